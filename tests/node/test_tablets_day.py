"""Four tablets at once against one real node by HTTPS, pressed into seconds: what of a day must never go wrong."""

import pytest

from tests.bench.node_day import Size, measure

pytestmark = [pytest.mark.serial, pytest.mark.timeout(180)]


def test_no_token_is_lost_or_given_twice_when_four_tablets_work_at_once() -> None:
    """How long an answer takes is not looked at here; ``./run bench node`` has goals, and the machine's load."""
    size = Size(visits=4, every_s=0.5, think_s=0.02, photo_each=3, doctor_each=3)
    got = measure(size)
    assert got.wrong == ()
    assert len(got.told.tokens) == size.tablets * size.visits
    assert got.told.pushes > size.tablets * size.visits
    assert got.memory.rss < 130

"""What the journeys of both boards stand on; a module says by ``BOARD`` for which one its appliance is built."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from .appliance_kit import ONE_LINE, Appliance, Workshop, why_not


@pytest.fixture(scope="module")
def workshop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    board = request.module.BOARD
    if reason := why_not(board):
        pytest.skip(reason)
    made = Workshop(tmp_path_factory.mktemp("workshop"), board)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def first(workshop: Workshop) -> Path:
    """The version that is flashed."""
    return workshop.build("2026.11.1")


@pytest.fixture(scope="module")
def second(workshop: Workshop, first: Path) -> Future[Path]:
    """The next one, a line later."""
    return workshop.later(lambda: workshop.build("2026.11.2", ONE_LINE))


@pytest.fixture(scope="module")
def update(workshop: Workshop, first: Path, second: Future[Path]) -> Future[Path]:
    """The delta between them."""
    return workshop.later(lambda: workshop.delta(first, second.result()))


@pytest.fixture(scope="module")
def appliance(workshop: Workshop, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """Flashed, set up, and after its first visit."""
    made = Appliance(tmp_path_factory.mktemp("appliance"), workshop, first)
    try:
        made.first_day()
        yield made
    finally:
        made.close()

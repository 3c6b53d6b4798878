"""The link goes away at every place where it hurts; what was written arrives when it is back."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.kits.cases import draw_case
from tests.kits.client import dig, items, text
from tests.kits.clinic import Clinic, wait_until
from tests.kits.link import Link, LinkSpec
from tests.kits.visit import DoctorVisit, NurseVisit

pytestmark = [pytest.mark.waits, pytest.mark.root, pytest.mark.timeout(180)]

AFTER_S = 30.0
"""How long after the link is back something may take on a slow line."""


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    with Link(LinkSpec.both(rate_kbps=64, rtt_ms=400, loss_pct=2, seed=11)) as made:
        yield made


@pytest.fixture(scope="module")
def clinic(link: Link, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Clinic(tmp_path_factory.mktemp("cuts"), link=link) as made:
        yield made


def test_a_visit_written_without_a_link_arrives_whole_when_it_is_back(clinic: Clinic, link: Link) -> None:
    nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
    link.down()
    time.sleep(1)  # what was in the air still comes down
    before = link.stats().uplink.delivered_packets
    visit = NurseVisit(draw_case(random.Random(1)))
    token = visit.run(nurse)
    at_hub = DoctorVisit(visit)
    time.sleep(5)
    assert not at_hub.in_queue(doctor)
    assert link.stats().uplink.delivered_packets == before
    link.up()
    at_hub.wait_in_queue(doctor, AFTER_S)
    at_node, there = visit.page(nurse), at_hub.page(doctor)
    assert text(there, "visit", "token") == text(at_node, "visit", "token") == token
    for part in ("complaints", "history", "allergies", "vitals", "signs_absent", "triage", "consents"):
        assert dig(there, "visit", part) == dig(at_node, "visit", part)

    link.down()
    at_hub.take(doctor)
    signed = at_hub.sign(doctor)
    time.sleep(5)
    assert visit.prescriptions(nurse) == []
    link.up()
    assert visit.wait_for_prescription(nurse, AFTER_S) == signed

    link.down()
    visit.confirm_printed(nurse, signed)
    visit.close(nurse)
    time.sleep(3)
    assert not at_hub.is_printed(doctor)
    link.up()
    wait_until(lambda: at_hub.is_printed(doctor), "the mark of the printer at the hub", AFTER_S)
    closed = visit.page(nurse)
    assert text(closed, "visit", "token") == token
    assert len(items(closed, "visit", "prescriptions")) == 1


def test_a_link_that_comes_and_goes_every_few_seconds_still_carries_a_visit(clinic: Clinic, link: Link) -> None:
    rng = random.Random(5)
    nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
    visit = NurseVisit(draw_case(rng))
    token = visit.run(nurse)
    for _ in range(4):
        link.down()
        time.sleep(rng.uniform(1, 4))
        link.up()
        time.sleep(rng.uniform(0.5, 2))
    DoctorVisit(visit).wait_in_queue(doctor, AFTER_S)
    assert text(DoctorVisit(visit).page(doctor), "visit", "token") == token

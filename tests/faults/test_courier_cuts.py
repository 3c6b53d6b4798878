"""kill -9 of either courier at each step of its writing, a dying service, duplicates by link and stick."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_courier import Island, answer, carry_both
from tests.kits.cases import draw_case
from tests.kits.client import dig
from tests.kits.clinic import Clinic, wait_until
from tests.kits.courier import carry, files
from tests.kits.visit import DoctorVisit, NurseVisit

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(300)]

AT_NODE = ("usb.begun", "usb.filled", "usb.checked", "usb.renamed", "usb.written:2")
AT_HUB = ("hub-entry-stored", "hub-before-commit", "hub-after-commit", "usb.synced", "usb.renamed", "usb.deleted")
BACK_AT_NODE = ("usb.deleted",)


@pytest.fixture(scope="module")
def island(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Island]:
    with Island(tmp_path_factory.mktemp("cuts")) as made:
        yield made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


def killed(module: str, data: Path, stick: Path, point: str) -> bool:
    """Whether the command was killed at ``point``; one that does not pass there has done its work."""
    run = carry(module, data, stick, env={"UPKENDRA_KILL_AT": point})
    assert run.code == -9 or run.complete, run.said
    return run.code == -9


def test_a_kill_at_any_step_of_either_side_is_repaired_by_doing_it_again(island: Island, stick: Path) -> None:
    """Both services rest, so that every step of store and stick runs in the command that is killed."""
    nurse = island.nurse_client()
    visit = NurseVisit(draw_case(random.Random(11)))
    visit.run(nurse)
    island.node.stop()
    island.hub.stop()
    kills = {"edge.node": 0, "hub": 0}
    for points, module, data in (
        (AT_NODE, "edge.node", island.node_data),
        (AT_HUB, "hub", island.hub_data),
        (BACK_AT_NODE, "edge.node", island.node_data),
    ):
        for point in points:
            kills[module] += killed(module, data, stick, point)
        assert carry(module, data, stick).complete
    assert kills == {"edge.node": len(AT_NODE) + len(BACK_AT_NODE), "hub": len(AT_HUB)}
    assert not list(stick.rglob("*.tmp"))
    island.hub.start()
    island.node.start()
    nurse, doctor = island.nurse_client(), island.doctor_client()
    assert DoctorVisit(visit).in_queue(doctor)
    signed = answer(island, doctor, visit)
    assert killed("hub", island.hub_data, stick, "usb.filled")
    carry_both(island, stick)
    assert visit.wait_for_prescription(nurse, 10) == signed
    carry_both(island, stick)
    assert files(stick, "RECEIPTS") == files(stick, "DOWN") == []


def test_a_service_that_dies_while_its_stick_is_read_loses_nothing(island: Island, stick: Path) -> None:
    nurse, doctor = island.nurse_client(), island.doctor_client()
    visit = NurseVisit(draw_case(random.Random(12)))
    visit.run(nurse)
    assert carry("edge.node", island.node_data, stick).complete
    for point in ("hub-before-commit", "hub-before-ack"):
        island.hub.stop()
        island.hub.start({"UPKENDRA_KILL_AT": point})
        before = files(stick, "UP")
        run = carry("hub", island.hub_data, stick)
        assert run.code != 0
        assert "courier_service_gone" in run.said
        assert files(stick, "UP") == before
        assert files(stick, "RECEIPTS") == []
    island.hub.stop()
    island.hub.start()
    assert carry("hub", island.hub_data, stick).complete
    doctor = island.doctor_client()
    signed = answer(island, doctor, visit)
    assert carry("hub", island.hub_data, stick).complete
    island.node.stop()
    island.node.start({"UPKENDRA_KILL_AT": "down.stored"})
    assert carry("edge.node", island.node_data, stick).code != 0
    island.node.stop()
    island.node.start()
    assert carry("edge.node", island.node_data, stick).complete
    nurse = island.nurse_client()
    assert visit.wait_for_prescription(nurse, 10) == signed


def test_what_goes_by_link_and_by_stick_is_there_once(tmp_path: Path, stick: Path) -> None:
    with Clinic(tmp_path / "linked") as clinic:
        nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
        clinic.hub.stop()
        visit = NurseVisit(draw_case(random.Random(13)))
        visit.run(nurse)
        assert carry("edge.node", clinic.node_data, stick).count("written") > 0
        clinic.hub.start()
        doctor = clinic.doctor_client()
        DoctorVisit(visit).wait_in_queue(doctor, 60)
        status = nurse.get("/api/status")
        wait_until(lambda: dig(nurse.get("/api/status"), "link", "backlog_items") == 0, f"an empty outbox {status}", 60)
        run = carry("hub", clinic.hub_data, stick)
        assert (run.count("fresh"), run.count("quarantined")) == (0, 0)
        assert run.count("taken") > 0
        signed = answer(clinic, doctor, visit)
        assert visit.wait_for_prescription(nurse, 60) == signed
        assert carry("hub", clinic.hub_data, stick).complete
        back = carry("edge.node", clinic.node_data, stick)
        assert (back.count("acknowledged"), back.count("answers")) == (0, 0)
        assert len(visit.prescriptions(nurse)) == 1
        assert back.complete

"""Attacks 2 and 11 of SEALING.md, real processes: old and copied cards, a hub from a backup, a lost outbox."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.node.config import OUTBOX_FILE
from tests.attacks.ground import PATIENCE_S, WholeVisit, copy_card, down_numbers, drained, places, swap_card
from tests.kits.client import Client, dig, items, text
from tests.kits.clinic import ROOT, Clinic, Server, free_port, wait_until

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with Clinic(tmp_path_factory.mktemp("restored")) as made:
        yield made


@pytest.fixture(scope="module")
def doctor(clinic: Clinic) -> Client:
    return clinic.doctor_client()


def hub_command(clinic: Clinic, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A hub command that may be refused."""
    return subprocess.run(
        [sys.executable, "-m", "hub", *arguments, "--data", str(clinic.hub_data)],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_02_a_node_restored_from_an_old_card_gets_everything_back(
    clinic: Clinic, doctor: Client, tmp_path: Path
) -> None:
    before = WholeVisit(clinic, 201)
    before.run(clinic.nurse_client(), doctor)
    clinic.node.stop()
    copy_card(clinic.node_data, tmp_path / "card")
    clinic.node.start()
    lost = WholeVisit(clinic, 202)
    nurse = clinic.nurse_client()
    lost.run(nurse, doctor)
    drained(nurse)
    clinic.node.stop()
    swap_card(clinic.node_data, tmp_path / "card")
    clinic.node.start()
    nurse = clinic.nurse_client()

    def is_back() -> bool:
        status, _ = nurse.raw("GET", f"/api/visits/{lost.nurse_side.visit_id}")
        return status == 200 and lost.is_whole(dig(lost.nurse_side.page(nurse), "visit"))

    wait_until(is_back, "the visit that the card did not know", PATIENCE_S)
    found = items(nurse.get(f"/api/patients?q={lost.nurse_side.case.mobile}"), "items")
    assert [text(one, "patient_id") for one in found] == [lost.nurse_side.patient_id]
    after = WholeVisit(clinic, 203)
    after.run(nurse, doctor)
    assert after.token not in (lost.token, before.token)
    for visit in (before, lost, after):
        assert visit.is_whole(visit.page_at_hub(doctor))


def test_02_both_copies_of_a_card_that_run_at_once_lose_and_hide_nothing(
    clinic: Clinic, doctor: Client, tmp_path: Path
) -> None:
    clinic.node.stop()
    copy_card(clinic.node_data, tmp_path / "clone")
    clinic.node.start()
    here = clinic.nurse_client()
    port = free_port()
    command = [sys.executable, "-m", "edge.node", "serve", "--data", str(tmp_path / "clone")]
    clone = Server(
        "clone", clinic.node_ground, [*command, "--http", f"127.0.0.1:{port}", "--no-announce"], tmp_path / "clone.log"
    )
    clone.start()
    try:
        there = Client(clone.url, connect=clinic.node_ground.connect)
        clinic.unlock(there)
        clinic.log_in_nurse(there)
        mine, theirs = WholeVisit(clinic, 211), WholeVisit(clinic, 212)
        mine.token = mine.nurse_side.run(here)
        theirs.token = theirs.nurse_side.run(there)
        for visit in (mine, theirs):
            visit.doctor_side.wait_in_queue(doctor, PATIENCE_S)
            visit.sign(doctor)
    finally:
        clone.stop()
    clinic.node.stop()
    clinic.node.start()
    here = clinic.nurse_client()
    for visit in (mine, theirs):
        wait_until(
            lambda visit=visit: here.raw("GET", f"/api/visits/{visit.nurse_side.visit_id}")[0] == 200,  # type: ignore[misc]
            "the visits of both copies at the one that stays",
            PATIENCE_S,
        )
        visit.finish(here, doctor)
        assert visit.is_whole(dig(visit.nurse_side.page(here), "visit"))


def test_11_a_hub_from_last_weeks_backup_asks_again_and_gets_everything(
    clinic: Clinic, doctor: Client, tmp_path: Path
) -> None:
    first, second = WholeVisit(clinic, 221), WholeVisit(clinic, 222)
    first.run(clinic.nurse_client(), doctor)
    clinic.command("hub", ["backup", "--data", str(clinic.hub_data), "--to", str(tmp_path / "backup")])
    second.run(clinic.nurse_client(), doctor)
    clinic.node.stop()  # what the hub will ask for belongs to a run that has ended
    clinic.node.start()
    nurse = clinic.nurse_client()
    drained(nurse)
    assert hub_command(clinic, "restore", "--from", str(tmp_path / "backup"), "--replace").returncode == 1
    clinic.hub.stop()
    assert hub_command(clinic, "restore", "--from", str(tmp_path / "backup")).returncode == 1
    clinic.command("hub", ["restore", "--data", str(clinic.hub_data), "--from", str(tmp_path / "backup"), "--replace"])
    aside = next(path for path in clinic.hub_data.glob("hub.db.before-*") if path.name[-4:] not in ("-wal", "-shm"))
    had, numbers = places(aside), down_numbers(aside)
    kept = down_numbers(tmp_path / "backup" / "hub.db")
    clinic.hub.start()
    doctor.close()
    clinic.log_in_doctor(doctor)

    def is_back() -> bool:
        status, _ = doctor.raw("GET", f"/api/visits/{second.doctor_side.visit_id}")
        return status == 200 and second.is_whole(second.page_at_hub(doctor))

    wait_until(is_back, "the visit that the backup did not hold", PATIENCE_S)
    third = WholeVisit(clinic, 223)
    third.run(nurse, doctor)

    def has_all() -> bool:
        return had.items() <= places(clinic.hub_data / "hub.db").items()

    wait_until(has_all, "every entry that the lost database held", PATIENCE_S)
    again = down_numbers(clinic.hub_data / "hub.db")
    assert not (set(again) - set(kept)) & set(numbers), "a down number was given twice"


def test_11_a_prescription_in_an_outbox_that_is_lost_while_locked_comes_again(clinic: Clinic, doctor: Client) -> None:
    visit = WholeVisit(clinic, 231)
    doctor.close()
    nurse = clinic.nurse_client()
    visit.begin(nurse, doctor)
    drained(nurse)
    clinic.node.stop()
    clinic.node.start()
    visit.sign(doctor)
    status = ["status", "--data", str(clinic.hub_data)]
    wait_until(lambda: dig(clinic.command("hub", status), "down_waiting") == 0, "the node's confirmation", PATIENCE_S)
    clinic.node.kill()
    for suffix in ("", "-wal", "-shm"):
        (clinic.node_data / (OUTBOX_FILE + suffix)).unlink(missing_ok=True)
    clinic.node.start()
    visit.finish(clinic.nurse_client(), doctor)


def test_11_a_hub_whose_database_is_gone_does_not_begin_anew(clinic: Clinic) -> None:
    clinic.hub.stop()
    database = clinic.hub_data / "hub.db"
    for suffix in ("", "-wal", "-shm"):
        path = clinic.hub_data / f"hub.db{suffix}"
        if path.exists():
            path.rename(path.with_name("aside" + path.name))
    for content in (None, b"", b"no database at all" * 1000):
        if content is not None:
            database.write_bytes(content)
        done = hub_command(clinic, "serve", "--http", "127.0.0.1:0", "--udp", "0", "--tls", "0")
        assert done.returncode == 1
        assert b'"store_gone"' in done.stderr
        assert hub_command(clinic, "init").returncode == 1
    for suffix in ("", "-wal", "-shm"):
        (clinic.hub_data / f"hub.db{suffix}").unlink(missing_ok=True)
        path = clinic.hub_data / f"asidehub.db{suffix}"
        if path.exists():
            path.rename(clinic.hub_data / f"hub.db{suffix}")
    clinic.hub.start()

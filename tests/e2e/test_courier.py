"""Clinics without any network, one stick, real processes: asked, answered, printed."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.node.config import load_config, save_config
from edge.slips.verify import verify_slip
from edge.sync import courier
from edge.sync.seal import verifier_of
from tests.kits.cases import draw_case
from tests.kits.client import Client, dig, items
from tests.kits.clinic import Clinic, free_port, wait_until
from tests.kits.courier import carry, files
from tests.kits.fat import STICK, Done, make_fat, python
from tests.kits.visit import DoctorVisit, NurseVisit

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(240)]


class Island(Clinic):
    """A clinic whose node was enrolled at a hub once and has had no network since."""

    def __init__(
        self, folder: Path, beside: Clinic | None = None, site: tuple[str, str] = ("NMP01", "Namunapur")
    ) -> None:
        super().__init__(folder, site=site)
        self._beside = beside

    @property
    def hub_data(self) -> Path:
        return self._beside.hub_data if self._beside else super().hub_data

    def make_hub(self) -> None:
        if self._beside is None:
            super().make_hub()
            return
        self.hub, self.doctor = self._beside.hub, self._beside.doctor

    def make_node(self) -> None:
        super().make_node()
        self.node.stop()
        self.cut()
        self.node.start()

    def cut(self) -> None:
        """From now on the hub is nowhere to be found."""
        config = load_config(self.node_data)
        save_config(self.node_data, msgspec.structs.replace(config, udp_port=free_port(), wss_port=free_port()))


@pytest.fixture(scope="module")
def island(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Island]:
    with Island(tmp_path_factory.mktemp("island")) as made:
        yield made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    (made / "holiday photos").mkdir()
    (made / "song.mp3").write_bytes(b"not ours")
    return made


def carry_both(clinic: Clinic, stick: Path) -> None:
    """Node → hub → node."""
    for module, data in (("edge.node", clinic.node_data), ("hub", clinic.hub_data), ("edge.node", clinic.node_data)):
        run = carry(module, data, stick)
        assert run.code == 0, run.said
        assert run.complete


def answer(clinic: Clinic, doctor: Client, visit: NurseVisit) -> str:
    """The doctor takes the visit from the queue and signs; the prescription's id."""
    at_hub = DoctorVisit(visit)
    at_hub.wait_in_queue(doctor)
    at_hub.take(doctor)
    return at_hub.sign(doctor, clinic.doctor.password)


def is_bundle(path: Path) -> bool:
    return isinstance(courier.parse(path.read_bytes()), courier.UpFile)


def sync_states(client: Client, visit: NurseVisit) -> set[str]:
    return {str(dig(line, "state")) for line in items(visit.page(client), "sync")}


def test_a_visit_is_answered_and_printed_without_any_network(island: Island, stick: Path) -> None:
    nurse, doctor = island.nurse_client(), island.doctor_client()
    visit = NurseVisit(draw_case(random.Random(1)))
    visit.run(nurse)

    up = carry("edge.node", island.node_data, stick)
    assert up.complete, up.said
    assert up.summary["node_running"] is True
    assert up.count("written") == len(files(stick, "UP")) > 0
    at_hub = carry("hub", island.hub_data, stick)
    assert at_hub.complete, at_hub.said
    assert at_hub.count("fresh") > 0
    assert at_hub.count("receipts") == 1
    assert files(stick, "UP") == []
    signed = answer(island, doctor, visit)
    assert carry("hub", island.hub_data, stick).count("downs") > 0

    down = carry("edge.node", island.node_data, stick)
    assert down.complete, down.said
    assert down.count("acknowledged") == up.count("written")
    assert down.count("answers") > 0
    arrived = visit.wait_for_prescription(nurse, 10)
    assert arrived == signed
    assert verify_slip(visit.slip(nurse, arrived), island.hub_key()).record.visit_id == visit.visit_id
    visit.confirm_printed(nurse, arrived)
    visit.close(nurse)

    carry_both(island, stick)
    wait_until(lambda: DoctorVisit(visit).is_printed(doctor), "the mark of the printer at the hub", 10)
    assert dig(doctor.get(f"/api/visits/{visit.visit_id}"), "visit", "state") == "completed"
    assert (stick / "song.mp3").read_bytes() == b"not ours"


def test_the_same_stick_put_in_twice_changes_nothing_more(island: Island, stick: Path) -> None:
    nurse = island.nurse_client()
    NurseVisit(draw_case(random.Random(2))).run(nurse)
    first = carry("edge.node", island.node_data, stick)
    listing = [(path, path.read_bytes()) for path in files(stick, "UP")]
    second = carry("edge.node", island.node_data, stick)
    assert first.count("written") > 0
    assert second.count("written") == 0
    assert [(path, path.read_bytes()) for path in files(stick, "UP")] == listing
    kept = {path.name: path.read_bytes() for path in files(stick, "UP")}
    assert carry("hub", island.hub_data, stick).count("fresh") > 0
    for name, raw in kept.items():
        (stick / "UPKENDRA" / "UP" / name).write_bytes(raw)
    again = carry("hub", island.hub_data, stick)
    assert (again.count("fresh"), again.count("receipts")) == (0, 0)
    assert again.count("taken") > 0
    assert files(stick, "UP") == []
    assert carry("edge.node", island.node_data, stick).count("acknowledged") > 0
    assert carry("edge.node", island.node_data, stick).count("acknowledged") == 0


def test_a_node_and_a_hub_that_rest_carry_a_visit_on_a_real_fat_and_it_prints_after_their_start(
    island: Island, tmp_path: Path
) -> None:
    stick = make_fat(tmp_path / "stick.img", 40)
    node = python("-m", "edge.node", "courier", "--data", str(island.node_data), "--stick", STICK)
    hub = python("-m", "hub", "courier", "--data", str(island.hub_data), "--stick", STICK)
    visit = NurseVisit(draw_case(random.Random(3)))
    visit.run(island.nurse_client())
    island.node.stop()
    island.hub.stop()
    up, taken, down = (summary_of(done) for done in stick.run([node, hub, node]))
    assert [one["complete"] for one in (up, taken, down)] == [True] * 3
    assert (up["node_running"], taken["hub_running"]) == (False, False)
    assert up["written"] == taken["taken"] == down["acknowledged"] > 0
    assert stick.names("RECEIPTS") == []
    assert len(stick.names("UP")) <= 1, "at most the node's list of what it holds"
    island.hub.start()
    answer(island, island.doctor_client(), visit)
    island.hub.stop()
    back, home = (summary_of(done) for done in stick.run([hub, node]))
    assert back["downs"] > 0
    assert home["answers"] > 0
    assert stick.check() == ""
    island.hub.start()
    island.node.start()
    nurse = island.nurse_client()
    visit.wait_for_prescription(nurse, 10)
    assert "hub_has_it" in sync_states(nurse, visit)


def summary_of(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.said
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_two_nodes_share_a_stick_and_each_takes_its_own(island: Island, stick: Path, tmp_path: Path) -> None:
    with_other = Island(tmp_path / "other", beside=island, site=("KLP02", "Kalpanapur"))
    try:
        with_other.folder.mkdir()
        with_other.make_hub()
        with_other.make_node()
        doctor = island.doctor_client()
        nurses = [(island, island.nurse_client()), (with_other, with_other.nurse_client())]
        visits = [NurseVisit(draw_case(random.Random(seed))) for seed in (4, 5)]
        for (clinic, nurse), visit in zip(nurses, visits, strict=True):
            visit.run(nurse)
            assert carry("edge.node", clinic.node_data, stick).complete
        assert carry("hub", island.hub_data, stick).count("receipts") == 2
        for visit in visits:
            answer(island, doctor, visit)
        assert carry("hub", island.hub_data, stick).complete
        for (clinic, nurse), visit in zip(nurses, visits, strict=True):
            run = carry("edge.node", clinic.node_data, stick)
            assert run.count("acknowledged") > 0
            visit.wait_for_prescription(nurse, 10)
        assert files(stick, "RECEIPTS") == files(stick, "DOWN") == []
    finally:
        with_other.node.stop()


def test_a_stick_that_stays_in_the_node_keeps_what_the_hub_has_only_once(island: Island, stick: Path) -> None:
    nurse = island.nurse_client()
    NurseVisit(draw_case(random.Random(6))).run(nurse)
    written = carry("edge.node", island.node_data, stick).count("written")
    kept = {path.name: path.read_bytes() for path in files(stick, "UP") if is_bundle(path)}
    carry("hub", island.hub_data, stick)
    for name, raw in kept.items():
        (stick / "UPKENDRA" / "UP" / name).write_bytes(raw)
    held = carry("edge.node", island.node_data, stick, "--hold")
    assert held.count("second_copies") == written
    assert all((stick / "UPKENDRA" / "UP" / name).exists() for name in kept)
    given_up = carry("edge.node", island.node_data, stick)
    assert given_up.count("second_copies") == 0
    assert not any((stick / "UPKENDRA" / "UP" / name).exists() for name in kept)


def test_an_update_comes_by_stick_once_and_is_whole(island: Island, stick: Path, tmp_path: Path) -> None:
    content = random.Random(7).randbytes(3 << 20) + b"the end"
    update = tmp_path / "system.raucb"
    update.write_bytes(content)
    key = random.Random(8).randbytes(32)
    (tmp_path / "update.key").write_bytes(key)
    spool = island.node_data / "updates"
    spool.mkdir()
    (spool / "target").write_text("amd64\n")
    (spool / "update.pub").write_text(verifier_of(key).hex())
    named = ["--name", "system", "--version", "1.2.0", "--target", "amd64", "--file", str(update)]
    island.command("hub", ["release-update", *named, "--signing-key", str(tmp_path / "update.key")])
    written = carry("hub", island.hub_data, stick, "--update", str(update))
    assert (written.complete, written.count("updates")) == (True, 1), written.said
    assert carry("hub", island.hub_data, stick, "--update", str(update)).count("updates") == 0
    first = carry("edge.node", island.node_data, stick)
    assert first.summary["updates"] == ["system 1.2.0"], first.said
    assert next(spool.glob("*.bundle")).read_bytes() == content
    assert carry("edge.node", island.node_data, stick).summary["updates"] == []
    status = island.command("edge.node", ["status", "--data", str(island.node_data)])
    assert dig(status, "sticks", "updates") == 1
    assert [dig(one, "version") for one in items(status, "updates")] == ["1.2.0"]


def test_a_revoked_node_learns_it_from_a_stick_and_an_older_stick_does_not_take_it_back(
    island: Island, stick: Path, tmp_path: Path
) -> None:
    node_id = load_config(island.node_data).node_id.hex()
    someone = ["--node", node_id, "--staff", "0123456789abcdef"]
    island.command("hub", ["remove-staff", "--data", str(island.hub_data), *someone])
    assert carry("hub", island.hub_data, stick).count("revoked") >= 1
    older = tmp_path / "older"
    shutil.copytree(stick, older)
    island.command("hub", ["revoke", "--data", str(island.hub_data), "--node", node_id])
    assert carry("hub", island.hub_data, stick).count("revoked") >= 1
    assert len(files(stick, "FLEET")) == 1
    island.node.stop()
    island.node.start()  # locked: it can open nothing
    taken = carry("edge.node", island.node_data, stick)
    assert taken.count("revoked") == 1
    back = carry("edge.node", island.node_data, older)
    assert (back.count("revoked"), back.summary["revoked_refused"]) == (0, "courier_older")
    status = island.command("edge.node", ["status", "--data", str(island.node_data)])
    assert (dig(status, "revoked", "revoked"), dig(status, "revoked", "staff_removed")) == (True, 1)
    last = carry("hub", island.hub_data, stick)
    refused = last.summary["refused"]
    assert isinstance(refused, dict)
    assert set(refused) <= {"node_revoked", "courier_not_ours"}, "its bundles, and its list of what it holds"
    assert (last.count("taken"), last.count("confirmed"), last.count("downs")) == (0, 0, 0)

"""What the hub keeps in FLEET: the newest lists, one update of a name, nothing half, nothing of another hub touched."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.model.errors import BadInput
from edge.sync import courier, release, revocation, seal
from edge.sync.bearers.usb import Stick
from edge.sync.bearers.usb_stick import Folder, part_name
from edge.sync.bearers.usb_visit import Carried, Files
from hub import accounts, directory, waves
from hub.courier import Desk
from hub.courier_fleet import Fleet, load_update, release_update

from .kit import HubKit

OTHER = bytes(range(32))


@pytest.fixture(autouse=True)
def _no_blocking_call_in_the_event_loop() -> Iterator[None]:
    """A courier command works on its stick in a loop of its own, which serves nobody else."""
    yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


def an_update(folder: Path, content: bytes, version: str, key: Path | None = None) -> Path:
    file = folder / f"system-{version}.raucb"
    file.write_bytes(content)
    release_update(file, "system", version, "amd64", key)
    return file


def silent(line: str) -> None:
    return


def names(path: Path) -> dict[str, int]:
    """How many files of each ending lie in FLEET."""
    found: dict[str, int] = {}
    for one in (path / "UPKENDRA" / "FLEET").iterdir():
        found[one.suffix] = found.get(one.suffix, 0) + 1
    return found


class Visiting:
    """One visit of a stick to a hub, as far as FLEET goes."""

    def __init__(self, kit: HubKit, path: Path) -> None:
        self.stick = Stick(path, time.monotonic)
        self.done = Carried()
        self.fleet = Fleet(Files(self.stick, self.done), Desk(kit.hub), kit.hub.keys.sign_public, silent)

    def __enter__(self) -> "Visiting":
        self.stick.__enter__()
        self.fleet.look()
        return self

    def __exit__(self, *_: object) -> None:
        self.stick.__exit__(None, None, None)


async def test_a_newer_update_takes_the_place_of_the_older_one_and_other_hubs_keep_theirs(
    kit: HubKit, path: Path, tmp_path: Path
) -> None:
    strange = release.describe("system", "0.9", "amd64", [b"theirs"])
    with Stick(path, time.monotonic) as stick:
        stick.write(Folder.FLEET, courier.update_file(OTHER, courier.EVERY_NODE, 5, 1, strange, bytes(64)))
    fleet = path / "UPKENDRA" / "FLEET"
    (fleet / (release.parse_release(strange).sha256[:24] + ".pay")).write_bytes(b"theirs")
    theirs = fleet / part_name(courier.hub_of(seal.verifier_of(OTHER)), "0" * 64)
    ours = fleet / part_name(courier.hub_of(kit.hub.keys.sign_public), "0" * 64)
    for half in (theirs, ours):
        half.write_bytes(b"half of something")
    first = load_update(an_update(tmp_path, b"first" * 300_000, "1.0"), "")
    with Visiting(kit, path) as visit:
        assert await visit.fleet.write_update(first)
    assert names(path) == {".upk": 2, ".pay": 2, ".par": 1}
    assert theirs.exists()
    with Visiting(kit, path) as visit:
        assert not await visit.fleet.write_update(first)
    kit.clock.pass_s(60)
    with Visiting(kit, path) as visit:
        assert await visit.fleet.write_update(load_update(an_update(tmp_path, b"second" * 300_000, "1.1"), ""))
    assert names(path) == {".upk": 2, ".pay": 2, ".par": 1}
    offers = [courier.parse(one.read_bytes()) for one in fleet.glob("*.upk")]
    assert {release.parse_release(one.release).version for one in offers if isinstance(one, courier.UpdateFile)} == {
        "0.9",
        "1.1",
    }


async def revoke(kit: HubKit, node_id: str) -> None:
    await kit.hub.store.write(lambda connection: directory.revoke_node(connection, node_id, kit.clock.ms))


async def test_lists_are_written_when_they_changed_and_older_ones_go(kit: HubKit, path: Path) -> None:
    node, other = await kit.enrol(), await kit.enrol("UP02")
    strange = revocation.sign_list(OTHER, node.keys.node_id, 5, 1, revocation.Content(1, bytes(16)))
    with Stick(path, time.monotonic) as stick:
        stick.write(Folder.FLEET, courier.revoked_files(courier.hub_of(seal.verifier_of(OTHER)), [strange])[0])
    for revoked, written in ((None, 0), (node, 1), (None, 0), (other, 2)):
        if revoked is not None:
            await revoke(kit, revoked.node_id)
        with Visiting(kit, path) as visit:
            assert await visit.fleet.write_lists() == written
    assert names(path) == {".upk": 2}


def test_an_update_without_a_fitting_release_is_not_taken_to_a_stick(tmp_path: Path) -> None:
    file = an_update(tmp_path, b"content", "1.0")
    with pytest.raises(BadInput):
        load_update(file, "no node")
    file.write_bytes(b"longer content")
    with pytest.raises(release.ReleaseRefused):
        load_update(file, "")
    file.with_name(file.name + ".update.sig").write_text("no signature")
    file.write_bytes(b"content")
    with pytest.raises(release.ReleaseRefused) as refused:
        load_update(file, "")
    assert refused.value.refusal.code == "update_signature"
    short = tmp_path / "short.key"
    short.write_bytes(b"short")
    with pytest.raises(BadInput):
        release_update(file, "system", "1.0", "amd64", short)
    with pytest.raises(release.ReleaseRefused):
        release_update(file, "System", "1.0", "amd64", None)


async def test_an_update_in_waves_is_offered_to_the_nodes_whose_wave_has_come_and_to_no_other(
    kit: HubKit, path: Path, tmp_path: Path
) -> None:
    node, later = await kit.enrol("UP01"), await kit.enrol("UP02")
    await kit.hub.store.write(
        lambda connection: accounts.move_site(connection, later.node_id, "Gaya", "", kit.clock.ms, "")
    )
    update = load_update(an_update(tmp_path, b"content", "1.0"), "")
    with Visiting(kit, path) as visit:
        assert await visit.fleet.write_update(update), "without waves it is for everybody"
    plan = (waves.Wave(0, 100, ("Sitapur",)), waves.Wave(kit.clock.ms + 3_600_000))
    sha256 = await kit.hub.store.write(
        lambda connection: waves.add(connection, update.release, plan, kit.clock.ms, "admin")
    )

    def offered_to() -> set[str]:
        files = [courier.parse(one.read_bytes()) for one in (path / "UPKENDRA" / "FLEET").glob("*.upk")]
        return {one.node_id.hex() for one in files if isinstance(one, courier.UpdateFile)}

    with Visiting(kit, path) as visit:
        with pytest.raises(courier.CourierRefused) as paused:
            await visit.fleet.write_update(update)
        assert paused.value.refusal.code == "update_not_due"
    assert offered_to() == set(), "the offer to everybody went with the pause"
    await kit.hub.store.write(
        lambda connection: waves.change(connection, sha256, plan, kit.clock.ms, "admin", paused=False)
    )
    kit.clock.pass_s(60)
    with Visiting(kit, path) as visit:
        assert await visit.fleet.write_update(update)
    assert offered_to() == {node.node_id}
    kit.clock.pass_s(3600)
    with Visiting(kit, path) as visit:
        assert await visit.fleet.write_update(update)
    with Visiting(kit, path) as visit:
        assert not await visit.fleet.write_update(update)
    assert offered_to() == {node.node_id, later.node_id}
    assert names(path)[".pay"] == 1
    await kit.hub.store.write(lambda connection: waves.remove(connection, sha256, kit.clock.ms, "admin"))
    with Visiting(kit, path) as visit, pytest.raises(courier.CourierRefused):
        await visit.fleet.write_update(update)
    assert offered_to() == set()
    assert ".pay" not in names(path)

"""What a stick makes a node believe about revocations, and which updates it keeps; locked or open, running or not."""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.node.config import load_config
from edge.node.courier import desk_of
from edge.node.report import at_rest
from edge.node.revoked import Revoked
from edge.node.spool import RESERVE_BYTES, Spool
from edge.node.unlock import Slots
from edge.sync import bundle, courier, hubkey, release, revocation, seal
from edge.sync.log import Stream
from tests.node.kit import PIN, Provisioned, Served, provisioned
from tests.sync.test_fleet import described

UPDATE = bytes(range(2, 34))
CONTENT = bytes(range(256)) * 4096 * 3 + b"the end"


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def a_list(setup: Provisioned, number: int, *, machine: bytes = b"", **said: object) -> bytes:
    mine = machine or revocation.machine_of(seal.verifier_of(setup.config.device))
    content = msgspec.structs.replace(revocation.Content(0, mine), **said)
    return revocation.sign_list(setup.hub.sign, setup.config.node_id, number, 1_790_000_000_000, content)


async def graded(served: Served) -> tuple[str, str]:
    report = await served.node.reporter.report()
    finding = next(one for one in report.findings if one.check == "standing")
    return finding.grade.value, finding.value


async def test_a_locked_node_learns_that_it_is_revoked_and_says_so_after_a_restart(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        assert await graded(served) == ("ok", "")
        assert served.node.clinic.locked
        assert await desk.take_revocations(a_list(setup, 5, revoked_ms=1_790_000_000_000))
        assert not await desk.take_revocations(a_list(setup, 5, revoked_ms=1_790_000_000_000))
        assert await graded(served) == ("fail", "node_revoked")
        assert (await served.tablet.get("/api/status"))["revoked"] == "node_revoked"
        with pytest.raises(courier.CourierRefused) as refused:
            await desk.take_revocations(a_list(setup, 4))
        assert refused.value.refusal.code == "courier_older"
        forged = revocation.sign_list(bytes(32), setup.config.node_id, 9, 1, revocation.Content(0, bytes(16)))
        with pytest.raises(courier.CourierRefused):
            await desk.take_revocations(forged)
    async with Served(setup) as served:
        assert await graded(served) == ("fail", "node_revoked")
        standing = (await served.node.reporter.report()).revoked
        assert standing is not None
        assert (standing.number, standing.revoked, standing.replaced) == (5, True, False)


async def test_a_machine_whose_place_another_has_taken_is_told_so_while_it_rests(setup: Provisioned) -> None:
    async with desk_of(setup.folder) as (desk, _, running):
        assert not running
        assert await desk.take_revocations(a_list(setup, 5, machine=b"another machine!"))
    async with Served(setup) as served:
        assert await graded(served) == ("fail", "node_replaced")


async def test_who_was_removed_is_logged_out_and_the_badge_opens_nothing_more(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        await served.tablet.login(setup)
        assert (await served.tablet.get("/api/session"))["staff"]
        assert await desk.take_revocations(a_list(setup, 5, staff=(setup.staff_id,)))
        status, _ = await served.tablet.call("GET", "/api/session")
        assert status == 401
        status, said = await served.tablet.call("POST", "/api/session", {"staff_id": setup.staff_id, "pin": PIN})
        assert (status, said["code"]) == (403, "staff_removed")
        kinds = {slot.kind for slot in await asyncio.to_thread(Slots(setup.folder).load)}
        assert kinds == {"recovery"}
        assert await desk.take_revocations(a_list(setup, 6))
        await served.tablet.call("POST", "/api/session", {"staff_id": setup.staff_id, "pin": PIN})
    async with Served(setup) as served:
        status, _ = await served.tablet.call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN})
        assert status == 401


async def test_a_kill_after_the_list_was_kept_leaves_the_badge_of_who_was_removed_no_life(setup: Provisioned) -> None:
    def kept() -> set[str]:
        return {slot.kind for slot in Slots(setup.folder).load()}

    await asyncio.to_thread(Revoked(setup.folder, setup.config).take, a_list(setup, 5, staff=(setup.staff_id,)))
    assert await asyncio.to_thread(kept) == {"badge", "recovery"}
    async with Served(setup) as served:
        status, _ = await served.tablet.call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN})
        assert status == 401
    assert await asyncio.to_thread(kept) == {"recovery"}


async def test_the_hubs_newest_key_comes_with_a_list_also_while_locked(setup: Provisioned) -> None:
    public = seal.public_of(bytes(range(32)))
    key = hubkey.sign_key(setup.hub.sign, 1_790_000_000_000, public)
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        assert served.node.clinic.locked
        assert await desk.take_revocations(a_list(setup, 5, hub_key=key))
        assert served.node.clinic.config.hub_kem[0] == public
    assert (await asyncio.to_thread(load_config, setup.folder)).hub_kem[0] == public


@pytest.mark.parametrize("again", [False, True])
async def test_a_kill_between_the_list_and_the_hubs_key_in_it_is_made_good(setup: Provisioned, again: bool) -> None:
    """At the next start, and when the same stick comes again while the node is at rest."""
    public = seal.public_of(bytes(range(32)))
    raw = a_list(setup, 5, hub_key=hubkey.sign_key(setup.hub.sign, 1_790_000_000_000, public))
    await asyncio.to_thread(Revoked(setup.folder, setup.config).take, raw)
    if again:
        async with desk_of(setup.folder) as (desk, _, _):
            assert not await desk.take_revocations(raw)
    else:
        async with Served(setup) as served:
            assert served.node.clinic.config.hub_kem[0] == public
    assert (await asyncio.to_thread(load_config, setup.folder)).hub_kem[0] == public


async def test_the_link_brings_the_same_list_in_the_hubs_log(setup: Provisioned) -> None:
    said = ev.RevocationsPublished(a_list(setup, 7, staff=("0123456789abcdef",)))
    raw = msgspec.msgpack.encode(ev.entry_of(said, 1_790_000_000_000 << 16, ""))
    payload = bundle.pack(bundle.BundlePayload(1, b"hub-run!", Stream.HUB, 1, (raw,)))
    blob = seal.seal_down(setup.record, 3, payload, setup.hub.sign)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.node.link.hear_down(3, blob)
        standing = (await served.node.reporter.report()).revoked
        assert standing is not None
        assert (standing.number, standing.staff_removed) == (7, 1)


# -- updates ---------------------------------------------------------------------------------------


def offer(
    setup: Provisioned,
    number: int = 5,
    *,
    node_id: bytes = courier.EVERY_NODE,
    key: bytes = UPDATE,
    content: bytes = CONTENT,
    **said: str,
) -> courier.UpdateFile:
    raw = described(content, **said)
    signature = release.sign_release(key, raw) if key else bytes(64)
    file = courier.parse(courier.update_file(setup.hub.sign, node_id, number, 1, raw, signature))
    assert isinstance(file, courier.UpdateFile)
    return file


def block(number: int, content: bytes = CONTENT) -> bytes:
    return content[number * release.BLOCK_BYTES :][: release.BLOCK_BYTES]


@pytest.fixture
def spool(setup: Provisioned) -> Spool:
    folder = setup.folder / "updates"
    folder.mkdir()
    (folder / "target").write_text("amd64\n")
    (folder / "update.pub").write_text(seal.verifier_of(UPDATE).hex() + "\n")
    return Spool(setup.folder, setup.config)


def nothing(_: int) -> None:
    return


def take(spool: Spool, file: courier.UpdateFile, number_of_blocks: list[int] | None = None) -> None:
    found = spool.look(file)
    assert found is not None
    spool.copy(file, found, block, 7, nothing if number_of_blocks is None else number_of_blocks.append)


def test_an_update_lies_whole_beside_its_json_and_comes_in_once(setup: Provisioned, spool: Spool) -> None:
    take(spool, offer(setup))
    (waiting,) = spool.waiting()
    assert (waiting.name, waiting.version, waiting.target, waiting.signed_by) == (
        "system",
        "1.2.0",
        "amd64",
        "update_key",
    )
    lies = setup.folder / "updates" / (waiting.sha256[:24] + ".bundle")
    assert lies.read_bytes() == CONTENT
    assert spool.look(offer(setup, 9)) is None
    newer = offer(setup, 10, version="1.3.0", content=b"a newer system")
    found = spool.look(newer)
    assert found is not None
    spool.copy(newer, found, lambda at: block(at, b"a newer system"), 8, nothing)
    assert [one.version for one in spool.waiting()] == ["1.3.0"]
    assert sorted(path.suffix for path in lies.parent.iterdir()) == ["", ".bundle", ".json", ".json", ".pub"]
    with pytest.raises(release.ReleaseRefused) as refused:
        spool.look(offer(setup, 9))
    assert refused.value.refusal.code == "update_older"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"target": "rpi"}, "update_target"),
        ({"key": bytes(range(9, 41))}, "update_signature"),
        ({"key": b""}, "update_unsigned"),
        ({"node_id": b"node-two"}, "courier_not_ours"),
    ],
)
def test_an_update_for_others_or_not_signed_is_refused(
    setup: Provisioned, spool: Spool, said: dict[str, str], code: str
) -> None:
    with pytest.raises(courier.CourierRefused) as refused:
        spool.look(offer(setup, **said))  # type: ignore[arg-type]
    assert refused.value.refusal.code == code
    forged = msgspec.structs.replace(offer(setup), number=6)
    forged = msgspec.structs.replace(forged, signed=forged.signed[:-1] + b"!")
    with pytest.raises(courier.CourierRefused):
        spool.look(forged)


def test_a_machine_without_an_installer_takes_no_update(setup: Provisioned, spool: Spool) -> None:
    (setup.folder / "updates" / "target").unlink()
    with pytest.raises(release.ReleaseRefused) as refused:
        spool.look(offer(setup))
    assert refused.value.refusal.code == "update_no_installer"


def test_an_update_leaves_room_for_records(setup: Provisioned, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = shutil.disk_usage(setup.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk._replace(free=RESERVE_BYTES + len(CONTENT) - 1))
    with pytest.raises(release.ReleaseRefused) as refused:
        spool.look(offer(setup))
    assert refused.value.refusal.code == "update_no_room"


def test_a_stick_that_lies_in_the_middle_costs_what_comes_after_and_the_next_one_goes_on(
    setup: Provisioned, spool: Spool
) -> None:
    file = offer(setup)
    found = spool.look(file)
    assert found is not None
    with pytest.raises(release.ReleaseRefused) as refused:
        spool.copy(file, found, lambda at: bytes(release.BLOCK_BYTES) if at >= 2 else block(at), 7, nothing)
    assert refused.value.refusal.code == "update_damaged"
    assert spool.waiting() == ()
    done: list[int] = []
    take(spool, file, done)
    assert done == [3, 4]
    assert len(spool.waiting()) == 1


def test_a_part_that_was_altered_meanwhile_is_copied_anew_from_there(setup: Provisioned, spool: Spool) -> None:
    file = offer(setup)
    found = spool.look(file)
    assert found is not None
    part = setup.folder / "updates" / (found.sha256[:24] + ".part")
    part.write_bytes(CONTENT[: 1 << 20] + b"?" * (3 << 20))
    (part.parent / ("0" * 24 + ".part")).write_bytes(b"of an update that nobody offers any more")
    done: list[int] = []
    take(spool, file, done)
    assert done == [2, 3, 4]
    assert not list(part.parent.glob("*.part"))


def test_what_a_kill_left_without_its_json_goes_before_the_room_is_asked_for(
    setup: Provisioned, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole payload whose stick never came again; what the installer has claimed stays."""
    folder = setup.folder / "updates"
    for stem, others in (("a", ()), ("b", (".claimed",)), ("c", (".json",))):
        for suffix in (".bundle", *others):
            (folder / (stem * 24 + suffix)).write_bytes(b"x" * 100)
    (folder / ("d" * 24 + ".part")).write_bytes(b"half")
    lying: list[set[str]] = []

    def asked(path: Path) -> object:
        lying.append({one.name[0] + one.suffix for one in path.iterdir() if one.name[1:24] == one.name[0] * 23})
        return type("Usage", (), {"free": 1 << 40})()

    monkeypatch.setattr(shutil, "disk_usage", asked)
    take(spool, offer(setup))
    assert lying == [{"b.bundle", "b.claimed", "c.bundle", "c.json"}]
    assert (folder / ("b" * 24 + ".bundle")).exists()


def test_two_sticks_do_not_fill_one_update_at_once(setup: Provisioned, spool: Spool) -> None:
    file = offer(setup)
    found = spool.look(file)
    assert found is not None

    def other(number: int) -> bytes:
        with pytest.raises(release.ReleaseRefused) as refused:
            take(spool, file)
        assert refused.value.refusal.code == "update_busy"
        return block(number)

    spool.copy(file, found, other, 7, nothing)
    assert len(spool.waiting()) == 1


async def test_the_report_names_what_waits_for_the_installer(setup: Provisioned, spool: Spool) -> None:
    await asyncio.to_thread(take, spool, offer(setup))
    async with Served(setup) as served:
        assert [one.version for one in (await served.node.reporter.report()).updates] == ["1.2.0"]
    resting = await asyncio.to_thread(at_rest, setup.folder, setup.config)
    assert [one.version for one in resting.updates] == ["1.2.0"]


@pytest.mark.parametrize("point", ["update.copied", "update.renamed", "update.told"])
def test_a_kill_at_any_step_of_the_copy_is_repaired_by_the_next_visit(
    setup: Provisioned, spool: Spool, point: str
) -> None:
    whole = CONTENT * 6
    file = offer(setup, content=whole)
    found = spool.look(file)
    assert found is not None
    child = os.fork()
    if child == 0:
        os.environ["UPKENDRA_KILL_AT"] = point
        spool.copy(file, found, lambda at: block(at, whole), 7, nothing)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    again = spool.look(file)
    assert (again is None) == (point == "update.told")
    if again is not None:
        assert spool.waiting() == ()
        done: list[int] = []
        spool.copy(file, again, lambda at: block(at, whole), 7, done.append)
        assert done[:1] == ([17] if point == "update.copied" else [])
    (waiting,) = spool.waiting()
    assert (setup.folder / "updates" / (waiting.sha256[:24] + ".bundle")).read_bytes() == whole
    with pytest.raises(release.ReleaseRefused) as refused:
        spool.look(offer(setup, 4, content=b"older"))
    assert refused.value.refusal.code == "update_older"

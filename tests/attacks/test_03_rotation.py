"""Attack 3 of SEALING.md: bundles 90 and 500 days late, across key rotations, are opened, or sealed anew."""

import asyncio
import json
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select

from edge.model import events as ev
from edge.node.config import load_config
from edge.sync import courier, hubkey, seal
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import HubKeyTold, NodeEvent, Reseal
from hub import keys as hub_keys
from hub.lived import Lived
from hub.store.schema import entries
from tests.attacks.ground import WholeVisit
from tests.hub.kit import HubKit, NodeKit, new_id, registered
from tests.kits.clinic import Clinic, wait_until

DAY_S = 86_400


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[HubKit]:
    made = await asyncio.to_thread(HubKit, tmp_path / "hub")
    await made.start()
    yield made
    await made.stop()


async def rotate(kit: HubKit) -> None:
    """``hub rotate-key`` while the hub runs, as it sees it."""
    await asyncio.to_thread(hub_keys.rotate, kit.settings.data, kit.clock.ms)
    await kit.hub._reload_keys()


async def stored(kit: HubKit) -> int:
    query = select(func.count()).select_from(entries).where(entries.c.stream != 5)
    return await kit.hub.store.read(lambda connection: connection.execute(query).scalar()) or 0


class Listening:
    """Keeps every event that the node's endpoint gives."""

    def __init__(self, node: NodeKit) -> None:
        self.heard: list[NodeEvent] = []
        hear = node._hear

        def both(event: NodeEvent) -> None:
            self.heard.append(event)
            hear(event)

        setattr(node, "_hear", both)  # noqa: B010

    def any(self, kind: type) -> bool:
        return any(isinstance(event, kind) for event in self.heard)


def again(node: NodeKit) -> None:
    """A new process of the node: an endpoint with the keys that it holds now."""
    node.run = secrets.token_bytes(8)
    node.endpoint = NodeEndpoint(
        node.keys,
        node.run,
        secrets.token_bytes(32),
        seal.Grade.LOG,
        node.drawn.log,
        node.kit.clock.monotonic_s(),
        random=secrets.token_bytes,
    )


async def test_03_a_bundle_ninety_days_late_is_opened_after_the_key_changed(kit: HubKit) -> None:
    node = await kit.enrol()
    ref = node.endpoint.seal_bundle(node.entries([registered(new_id())]))
    await rotate(kit)
    kit.clock.pass_s(90 * DAY_S)
    await kit.hub._reload_keys()
    again(node)
    heard = Listening(node)
    node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
    await node.until(lambda: ref.bundle_id in node.acked)
    assert await stored(kit) == 1
    await node.until(lambda: any(isinstance(said, ev.HubKeyPublished) for said in node.said_by_hub()))
    assert not heard.any(Reseal)


async def test_03_a_bundle_five_hundred_days_late_is_sealed_anew_by_a_node_that_knew_no_later_key(kit: HubKit) -> None:
    node = await kit.enrol()
    payload = node.entries([registered(new_id())])
    ref = node.endpoint.seal_bundle(payload)
    await rotate(kit)
    kit.clock.pass_s(500 * DAY_S)
    await kit.hub._reload_keys()
    assert len(kit.hub.keys.hub.kem) == 1
    again(node)
    heard = Listening(node)
    node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
    await node.until(lambda: heard.any(HubKeyTold))
    await node.until(lambda: heard.any(Reseal))
    assert await stored(kit) == 0
    fresh = node.endpoint.seal_bundle(payload)
    node.endpoint.submit_bundle(fresh, 1, kit.clock.monotonic_s())
    await node.until(lambda: fresh.bundle_id in node.acked)
    assert await stored(kit) == 1


async def test_03_a_stick_five_hundred_days_late_is_told_to_seal_anew(kit: HubKit) -> None:
    node = await kit.enrol()
    ref = node.endpoint.seal_bundle(node.entries([registered(new_id())]))
    raw = courier.up_file(courier.hub_of(kit.hub.keys.sign_public), ref.opening, ref.sealed)
    await rotate(kit)
    kit.clock.pass_s(399 * DAY_S)
    await kit.hub._reload_keys()
    parsed = courier.parse(raw)
    assert isinstance(parsed, courier.UpFile)
    assert not isinstance(courier.Opener(kit.hub.keys.hub, kit.hub.directory).open(parsed), courier.Stray)
    kit.clock.pass_s(101 * DAY_S)
    await kit.hub._reload_keys()
    assert isinstance(courier.Opener(kit.hub.keys.hub, kit.hub.directory).open(parsed), courier.Stray)


async def test_03_an_old_or_foreign_key_is_not_taken(kit: HubKit) -> None:
    node = await kit.enrol()
    now = kit.clock.monotonic_s()
    sign = kit.hub.keys.hub.sign
    new, old = (hubkey.sign_key(sign, made_ms, secrets.token_bytes(32)) for made_ms in (2, 1))
    assert not node.endpoint.adopt_hub_key(hubkey.sign_key(secrets.token_bytes(32), 9, bytes(32)), now)
    assert not node.endpoint.adopt_hub_key(msgspec.structs.replace(new, made_ms=3), now)
    assert node.endpoint.adopt_hub_key(new, now)
    assert not node.endpoint.adopt_hub_key(old, now)
    assert not node.endpoint.adopt_hub_key(new, now)


async def test_03_the_answer_to_a_lost_key_is_shorter_than_the_question(kit: HubKit) -> None:
    node = await kit.enrol()
    await rotate(kit)
    kit.clock.pass_s(500 * DAY_S)
    await kit.hub._reload_keys()
    again(node)
    now = kit.clock.monotonic_s()
    for data, _ in node.endpoint.datagrams_to_send(now):
        kit.hub.link.endpoint.receive(data, ("x", 1), now)
        kit.hub.link.endpoint.receive(data[: seal.OPENING_BYTES], ("x", 2), now)
        out = kit.hub.link.endpoint.datagrams_to_send(now)
        assert [path for _, path in out] == [("x", 1)]
        assert sum(len(answer) for answer, _ in out) < len(data)


def test_03_destroyed_keys_are_not_in_the_folder(tmp_path: Path) -> None:
    hub_keys.init_keys(tmp_path)
    first = json.loads((tmp_path / "keys.json").read_text())["kem"][0]["private"]
    hub_keys.rotate(tmp_path, 1000)
    run_for_long(tmp_path)
    assert hub_keys.destroy_old(tmp_path, 1000 + 400 * DAY_S * 1000) == 0
    assert first in (tmp_path / "keys.json").read_text()
    assert hub_keys.destroy_old(tmp_path, 1001 + 400 * DAY_S * 1000) == 1
    assert not [path for path in tmp_path.iterdir() if first.encode() in path.read_bytes()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "lived-hours", "tls.crt", "tls.key"]


def run_for_long(data: Path, days: int = 50) -> None:
    """As a serving hub counts."""
    counting = Lived(data)
    counting.note(0.0, hub_keys.least_hours(data))
    counting.note(days * DAY_S, hub_keys.least_hours(data))


@pytest.mark.parametrize("retired_ms", [1_790_000_000_000, 0])
def test_13_a_clock_that_jumps_to_2090_or_was_in_1970_at_the_rotation_destroys_no_key_for_fifty_days_of_running(
    tmp_path: Path, retired_ms: int
) -> None:
    hub_keys.init_keys(tmp_path)
    hub_keys.rotate(tmp_path, retired_ms + 1)
    in_2090_ms = 3_800_000_000_000
    run_for_long(tmp_path, 49)
    assert hub_keys.destroy_old(tmp_path, in_2090_ms) == 0
    assert len(hub_keys.rotate(tmp_path, in_2090_ms + 1).kem) == 3
    assert hub_keys.destroy_old(tmp_path, in_2090_ms) == 0
    run_for_long(tmp_path, 1)
    assert hub_keys.destroy_old(tmp_path, 1_790_000_000_000) == (0 if retired_ms else 1)
    assert hub_keys.destroy_old(tmp_path, in_2090_ms) == (1 if retired_ms else 0)


def test_13_a_lost_count_of_hours_begins_at_the_last_rotation_and_never_goes_back(tmp_path: Path) -> None:
    hub_keys.init_keys(tmp_path)
    run_for_long(tmp_path, 300)
    hub_keys.rotate(tmp_path, 1000)
    (tmp_path / "lived-hours").write_bytes(b"\xffnot a number")
    run_for_long(tmp_path, 49)
    assert hub_keys.destroy_old(tmp_path, 1001 + 400 * DAY_S * 1000) == 0
    run_for_long(tmp_path, 1)
    assert hub_keys.destroy_old(tmp_path, 1001 + 400 * DAY_S * 1000) == 1


async def test_13_a_serving_hub_whose_clock_jumps_keeps_what_it_can_open(kit: HubKit) -> None:
    node = await kit.enrol()
    ref = node.endpoint.seal_bundle(node.entries([registered(new_id())]))
    await rotate(kit)
    kit.hub.wall_ms = lambda: 3_800_000_000_000
    kit.clock.pass_s(7200)
    await kit.hub._reload_keys()
    assert len(kit.hub.keys.hub.kem) == 2
    assert (kit.settings.data / "lived-hours").read_text() == "2\n"
    again(node)
    node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
    await node.until(lambda: ref.bundle_id in node.acked)


def test_03_a_change_of_keys_that_was_cut_short_leaves_no_old_key_behind(tmp_path: Path) -> None:
    """Cut before the new file has its name, and before the old one is overwritten."""
    hub_keys.init_keys(tmp_path)
    kept = tmp_path / "keys.json.old"
    kept.hardlink_to(tmp_path / "keys.json")
    hub_keys.rotate(tmp_path, 1000)
    first = json.loads((tmp_path / "keys.json").read_text())["kem"][1]["private"]
    run_for_long(tmp_path)
    assert hub_keys.destroy_old(tmp_path, 1001 + 400 * DAY_S * 1000) == 1
    with kept.open("wb") as file:
        file.write(first.encode())
    with kept.open("rb") as reading:
        hub_keys.rotate(tmp_path, 2000)
        assert not kept.exists()
        assert first.encode() not in reading.read()
    assert len(hub_keys.load_keys(tmp_path).hub.kem) == 2


def test_03_the_old_keys_are_overwritten_only_when_the_new_file_certainly_has_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut in between may bring the old file back under its name: it must be whole then."""
    hub_keys.init_keys(tmp_path)
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(handle: int) -> None:
        fsync(handle)
        done.append(
            "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else Path(f"/proc/self/fd/{handle}").readlink().name
        )

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"renamed to {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    hub_keys.rotate(tmp_path, 1000)
    assert done == ["keys.json.draft", "renamed to keys.json", "folder", "keys.json.old", "folder"]


TURNS = 40
_CHANGING = (
    "import sys; from pathlib import Path; from hub import keys\n"
    "for turn in range(int(sys.argv[2])): keys.rotate(Path(sys.argv[1]), 1000 + turn)\n"
)


def test_03_commands_that_change_the_keys_at_the_same_time_lose_none_of_them(tmp_path: Path) -> None:
    """Each reads the file and writes it back: a command, a second one, and the hub that destroys what is due."""
    hub_keys.init_keys(tmp_path)
    again = [sys.executable, "-c", _CHANGING, str(tmp_path), str(TURNS)]
    running = [subprocess.Popen(again) for _ in range(2)]
    while any(one.poll() is None for one in running):
        assert hub_keys.destroy_old(tmp_path, 1000) == 0
    assert [one.wait() for one in running] == [0, 0]
    assert len(hub_keys.load_keys(tmp_path).hub.kem) == 1 + 2 * TURNS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "tls.crt", "tls.key"]


@pytest.mark.serial
@pytest.mark.timeout(200)
def test_03_running_node_and_hub_change_to_a_new_key(tmp_path: Path) -> None:
    with Clinic(tmp_path) as clinic:
        nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
        before = load_config(clinic.node_data).hub_kem[0]
        clinic.command("hub", ["rotate-key", "--data", str(clinic.hub_data)])
        wait_until(lambda: load_config(clinic.node_data).hub_kem[0] != before, "the new key at the node", 60)
        WholeVisit(clinic, 301).run(nurse, doctor)
        clinic.node.kill()
        clinic.node.start()
        WholeVisit(clinic, 302).run(clinic.nurse_client(), doctor)

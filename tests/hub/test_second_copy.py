"""Level 2 is said only of what is fsynced in the second copy; base and segments together are the whole hub."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from hub import backup, directory
from hub.backup import init_hub
from hub.config import Settings
from hub.hub import Hub
from hub.store import copy as copies
from hub.store.copy import CopyRefused, FolderCopy
from hub.store.schema import copy_log
from tests.hub.kit import Clock, HubKit, new_id, registered, visit_events


class CopiedKit(HubKit):
    """A hub with a second copy."""

    def __init__(self, data: Path, folder: Path, *, fresh: bool = True) -> None:
        self.clock = Clock()
        self.settings = Settings(data, copy=folder)
        if fresh:
            init_hub(self.settings)
        self.hub = Hub(self.settings, self.clock.wall_ms, self.clock.monotonic_s)
        self.totp = {}
        self.client = None
        self._pages = [{}, {}, {}]


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[CopiedKit]:
    made = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await made.start()
    yield made
    await made.stop()


def dump(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables but those of the copy itself."""
    with sqlite3.connect(database) as reading:
        names = [row[0] for row in reading.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        found = {
            name: sorted(map(repr, reading.execute(f"SELECT * FROM {name}").fetchall()))  # noqa: S608
            for name in names
            if not name.startswith("copy_")
        }
    reading.close()
    return found  # type: ignore[return-value]


async def test_nothing_is_level_two_without_a_second_copy(tmp_path: Path) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub")
    await kit.start()
    node = await kit.enrol()
    await node.send([registered(new_id())])
    for _ in range(50):
        await node.step()
    assert set(node.levels) == {1}
    assert await kit.hub.link.level_now() == 1
    await kit.stop()


async def test_level_two_waits_for_the_second_disk_and_level_one_does_not(
    kit: CopiedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await kit.enrol()
    broken = True
    keep = FolderCopy.keep

    def fails(self: FolderCopy, history: str, frames: list[copies.Frame]) -> None:
        if broken:
            raise OSError(5, "Input/output error")
        keep(self, history, frames)

    monkeypatch.setattr(FolderCopy, "keep", fails)
    monkeypatch.setattr(copies, "RETRY_S", 0.05)
    await node.send([registered(new_id())])
    assert node.levels == [1]
    broken = False
    await node.until(lambda: 2 in node.levels, 6000)
    await node.send([registered(new_id())])
    await node.until(lambda: node.levels.count(2) == 2, 6000)


async def test_a_second_disk_that_is_dead_for_long_costs_the_hub_names_only(
    kit: CopiedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await kit.enrol()
    keep, broken = FolderCopy.keep, True

    def fails(self: FolderCopy, history: str, frames: list[copies.Frame]) -> None:
        if broken:
            raise OSError(5, "Input/output error")
        keep(self, history, frames)

    monkeypatch.setattr(FolderCopy, "keep", fails)
    monkeypatch.setattr(copies, "RETRY_S", 0.05)
    monkeypatch.setattr(kit.hub.link, "_uncopied", deque(maxlen=6))
    before = len(asyncio.all_tasks())
    for _ in range(12):
        await node.send([registered(new_id())])
        assert not await kit.hub.link.is_copied(kit.hub.store.lsn, 0.0)
    assert len(asyncio.all_tasks()) <= before + 2
    assert len(kit.hub.copier._waiting if kit.hub.copier else ()) <= 1
    broken = False
    await node.until(lambda: node.levels.count(2) == 6, 6000)
    assert await kit.hub.link.level_now() == 2


async def test_a_copy_whose_files_were_deleted_under_the_running_hub_is_no_second_copy(
    kit: CopiedKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "RETRY_S", 0.05)
    node = await kit.enrol()
    await node.send([registered(new_id())])
    await node.until(lambda: 2 in node.levels, 6000)
    for path in (*(tmp_path / "copy").glob("log-*"), *(tmp_path / "copy").glob("base-*")):
        await asyncio.to_thread(path.unlink)
    await node.send([registered(new_id())])
    await node.until(lambda: bool(kit.hub.copier and kit.hub.copier.failure), 6000)
    assert not await kit.hub.link.is_copied(kit.hub.store.lsn, 0.3)
    assert node.levels.count(2) == 1


async def test_a_new_snapshot_that_finds_no_room_leaves_the_second_copy_as_it_was(
    kit: CopiedKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, full = FolderCopy.draft, True

    def fails(self: FolderCopy, history: str, database: Path) -> int:
        if full:
            raise OSError(28, "No space left on device")
        return draft(self, history, database)

    monkeypatch.setattr(FolderCopy, "draft", fails)
    monkeypatch.setattr(copies, "RETRY_S", 0.05)
    node, folder, copier = await kit.enrol(), FolderCopy(tmp_path / "copy"), kit.hub.copier
    assert copier is not None
    before = await asyncio.to_thread(folder.histories)
    anew = asyncio.create_task(copier.begin_anew())
    await node.until(lambda: copier.failure == "OSError", 6000)
    await node.send([registered(new_id())])
    await node.until(lambda: 2 in node.levels, 6000)
    assert await asyncio.to_thread(folder.histories) == before
    full = False
    await asyncio.wait_for(anew, 20)
    (after,) = await asyncio.to_thread(folder.histories)
    assert after not in before
    await node.send([registered(new_id())])
    await node.until(lambda: node.levels.count(2) == 2, 6000)
    assert await asyncio.to_thread(folder.tip, after) == kit.hub.store.lsn


async def test_an_erasure_that_waits_for_the_disk_of_the_copy_holds_up_nothing_else(
    kit: CopiedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = asyncio.Event()

    async def waits() -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("hub.hub.RELOAD_S", 0.01)
    monkeypatch.setattr(kit.hub.erasures, "step", waits)
    node = await kit.enrol()
    await asyncio.wait_for(began.wait(), 20)
    name = node.keys.node_id.hex()
    known = kit.hub._known_nodes[name]
    await kit.hub.store.write(lambda connection: directory.revoke_node(connection, name, kit.clock.ms))
    await node.until(lambda: kit.hub._known_nodes.get(name) != known)


async def test_the_copy_alone_is_the_whole_hub(tmp_path: Path) -> None:
    kit = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await kit.start()
    await kit.add_doctor()
    node = await kit.enrol()
    patient, visit = new_id(), new_id()
    await node.send([registered(patient), *visit_events(visit, patient)])
    await kit.stop()
    data = kit.settings.data
    lost = await asyncio.to_thread(dump, data / "hub.db")
    elsewhere = tmp_path / "elsewhere"
    await asyncio.to_thread(shutil.copytree, data, elsewhere, ignore=shutil.ignore_patterns("hub.db*", "*.sock"))
    settings = msgspec.structs.replace(kit.settings, data=elsewhere)
    done = await asyncio.to_thread(backup.restore_copy, settings, tmp_path / "copy", kit.clock.ms, replace=False)
    assert done.changes > 0
    found = await asyncio.to_thread(dump, elsewhere / "hub.db")
    lost["sessions"] = []
    lost["audit"] = found["audit"]
    assert found == lost


async def test_a_backup_and_the_copy_give_what_was_changed_after_the_backup(kit: CopiedKit, tmp_path: Path) -> None:
    node = await kit.enrol()
    await node.send([registered(new_id())])
    await asyncio.to_thread(backup.make_backup, kit.settings, tmp_path / "old", kit.clock.ms, with_keys=True)
    await kit.enrol("UP02")
    assert await kit.hub.link.is_copied(kit.hub.store.lsn, 10)
    for settings, nodes in ((Settings(tmp_path / "a"), 1), (Settings(tmp_path / "b", copy=tmp_path / "copy"), 2)):
        done = await asyncio.to_thread(backup.restore, settings, tmp_path / "old", kit.clock.ms, replace=False)
        assert (done.nodes, done.changes > 0) == (nodes, nodes == 2)


async def test_a_database_that_is_behind_its_copy_is_not_served(tmp_path: Path) -> None:
    kit = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await kit.start()
    await asyncio.to_thread(backup.snapshot, kit.settings.data / "hub.db", tmp_path / "old.db")
    await kit.enrol()
    await kit.stop()
    for suffix in ("-wal", "-shm"):
        await asyncio.to_thread((kit.settings.data / f"hub.db{suffix}").unlink, missing_ok=True)
    await asyncio.to_thread(shutil.copy, tmp_path / "old.db", kit.settings.data / "hub.db")
    with pytest.raises(CopyRefused) as met:
        await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy", fresh=False)
    assert met.value.refusal.code == "copy_ahead"


async def test_a_copy_goes_on_after_a_restart_and_begins_anew_after_a_pause(tmp_path: Path) -> None:
    first = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await first.start()
    await first.enrol()
    await first.stop()
    folder = FolderCopy(tmp_path / "copy")
    assert len(await asyncio.to_thread(folder.histories)) == 1
    again = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy", fresh=False)
    await again.start()
    assert len(await asyncio.to_thread(folder.histories)) == 1
    assert not await again.hub.store.read(lambda connection: connection.execute(select(copy_log)).all())
    await again.stop()
    without = await asyncio.to_thread(HubKit, tmp_path / "hub", fresh=False)
    await without.start()
    await without.stop()
    third = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy", fresh=False)
    await third.start()
    assert len(await asyncio.to_thread(folder.histories)) == 2
    await third.stop()


def test_a_torn_end_of_a_segment_is_not_read(tmp_path: Path) -> None:
    folder = FolderCopy(tmp_path)
    folder.base("h").touch()
    folder.keep("h", [(1, b"one"), (2, b"two"), (3, b"three")])
    folder.close()
    segment = next(tmp_path.glob("log-h-*"))
    whole = segment.read_bytes()
    for cut in range(len(whole)):
        segment.write_bytes(whole[:cut])
        found = [lsn for lsn, _ in folder.frames("h", 0)]
        assert found == list(range(1, len(found) + 1))
        assert len(found) < 3
    segment.write_bytes(whole)
    folder.keep("h", [(4, b"four")])
    assert [lsn for lsn, _ in folder.frames("h", 0)] == [1, 2, 3, 4]
    segment.write_bytes(whole[:-1])
    assert [lsn for lsn, _ in folder.frames("h", 0)] == [1, 2]


def test_a_transaction_of_any_size_is_read_again_and_so_is_what_comes_after_it(tmp_path: Path) -> None:
    """Level 2 was said of it: 256 bundles with their views can share one."""
    folder = FolderCopy(tmp_path)
    folder.base("h").touch()
    large = bytes(65 << 20)
    folder.keep("h", [(1, b"one"), (2, large), (3, b"three")])
    folder.close()
    assert [(lsn, len(body)) for lsn, body in folder.frames("h", 0)] == [(1, 3), (2, len(large)), (3, 5)]


async def test_what_waits_for_the_copy_is_read_into_memory_a_little_at_a_time(
    kit: CopiedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: FolderCopy, history: str, frames: list[copies.Frame]) -> None:
        raise OSError(5, "Input/output error")

    keep = FolderCopy.keep
    monkeypatch.setattr(FolderCopy, "keep", fails)
    monkeypatch.setattr(copies, "RETRY_S", 0.05)
    node = await kit.enrol()
    held = kit.hub.copier.held if kit.hub.copier else 0
    for _ in range(5):
        await node.send([registered(new_id())])
    waiting = await kit.hub.store.read(lambda c: copies._frames_after(c, held))
    assert len(waiting) > 2
    monkeypatch.setattr(copies, "BATCH_BYTES", len(waiting[0][1]) + 1)
    assert await kit.hub.store.read(lambda c: copies._frames_after(c, held)) == waiting[:2]
    monkeypatch.setattr(FolderCopy, "keep", keep)
    assert await kit.hub.link.is_copied(kit.hub.store.lsn, 20.0)


CHANGER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from hub import directory
    from hub.app import wall_ms
    from hub.config import Settings
    from hub.hub import Hub
    import time

    hub = Hub(Settings(Path(sys.argv[1]), copy=Path(sys.argv[2])), wall_ms, time.monotonic)
    for number in range(40):
        site = directory.Site("", f"N{number}", "x", "y")
        hub.store.write_now(lambda c: directory.add_token(c, hub.keys, site, 1, 60))
        if hub.copier.held >= hub.store.lsn:
            print(number, flush=True)
    """
)


@pytest.mark.parametrize("point", ["copy.written:3", "copy.synced:3", "hub-after-commit:9", "hub-before-commit:9"])
def test_a_kill_between_database_and_copy_loses_nothing_and_needs_no_new_snapshot(tmp_path: Path, point: str) -> None:
    init_hub(Settings(tmp_path / "hub"))
    command = [sys.executable, "-c", CHANGER, str(tmp_path / "hub"), str(tmp_path / "copy")]
    done = subprocess.run(command, env={**os.environ, "UPKENDRA_KILL_AT": point}, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    clock = Clock()
    hub = Hub(Settings(tmp_path / "hub", copy=tmp_path / "copy"), clock.wall_ms, clock.monotonic_s)
    assert len(FolderCopy(tmp_path / "copy").histories()) == 1
    hub.copier.close()  # type: ignore[union-attr]
    hub.store.close()
    source = dump(tmp_path / "hub" / "hub.db")
    shutil.copytree(tmp_path / "hub", tmp_path / "other", ignore=shutil.ignore_patterns("hub.db*"))
    backup.restore_copy(Settings(tmp_path / "other"), tmp_path / "copy", 1, replace=False)
    assert dump(tmp_path / "other" / "hub.db")["tokens"] == source["tokens"]

"""The second copy of photos: level 2 only with it, the first shelf is mended from it, a backup has them too."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from edge.model import events as ev
from edge.sync import holdings
from edge.sync.frontier import Ranges
from hub import backup, blob_copy, blob_rows, blobs, returns
from hub.blob_rows import BlobRow
from hub.hub import Hub
from hub.shelf import FolderShelf, ShelfFailed
from hub.store.schema import blob_chunks
from tests.hub.test_blobs import PHOTO, Case, files, send_chunk, settled
from tests.hub.test_second_copy import CopiedKit
from tests.kits import media as made
from tests.node.kit import contents


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[CopiedKit]:
    made = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await made.start()
    await made.add_doctor()
    yield made
    await made.stop()


async def sent(kit: CopiedKit) -> Case:
    case = Case(await kit.enrol())
    await case.open_visit()
    await case.announce()
    await case.send(range(case.count))
    return case


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(6000):
        if await met():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def copied(kit: CopiedKit, case: Case) -> None:
    await until(lambda: kit.hub.blobs.are_copied(case.node.node_id))


async def loose(kit: CopiedKit) -> int:
    return await kit.hub.store.read(lambda c: c.execute(select(func.count()).select_from(blob_chunks)).scalar() or 0)


def seconds(kit: CopiedKit) -> list[bytes]:
    folder = kit.settings.copied_blobs_folder
    assert folder is not None
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_a_chunk_is_at_level_two_and_goes_only_when_the_whole_lies_twice(kit: CopiedKit) -> None:
    case = await sent(kit)
    await case.node.until(lambda: case.node.levels.count(2) >= case.count, 6000)
    await copied(kit, case)
    assert await loose(kit) == 0
    assert await asyncio.to_thread(seconds, kit) == [path.read_bytes() for path in files(kit)]


async def test_while_the_second_disk_fails_the_doctor_sees_the_photo_and_its_chunks_stay(
    kit: CopiedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, broken = FolderShelf.put, True

    async def fails(self: FolderShelf, name: str, content: bytes) -> None:
        if broken and self is kit.hub.blobs.copy._second:
            raise ShelfFailed("no room")
        await put(self, name, content)

    monkeypatch.setattr(FolderShelf, "put", fails)
    monkeypatch.setattr(blob_copy, "RETRY_S", 0.02)
    case = await sent(kit)
    page = await kit.login()
    assert (await case.state(page))["state"] == "whole"
    assert await loose(kit) == case.count
    assert not await kit.hub.blobs.are_copied(case.node.node_id)
    assert not kit.hub.blobs.copy.holds(case.node.node_id, case.manifest.blob_id)
    broken = False
    await copied(kit, case)
    assert await loose(kit) == 0


async def test_a_database_that_was_away_ends_neither_the_copying_nor_the_asking(
    kit: CopiedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_copy, "RETRY_S", 0.02)
    monkeypatch.setattr(blobs, "MISSING_AGAIN_S", 0.02)
    desk, left = kit.hub.blobs, 2

    def fails(work: Callable[[BlobRow], Awaitable[None]]) -> Callable[[BlobRow], Awaitable[None]]:
        async def away(row: BlobRow) -> None:
            nonlocal left
            if left:
                left -= 1
                raise OperationalError("SELECT", {}, Exception("server closed the connection"))
            await work(row)

        return away

    monkeypatch.setattr(desk.copy, "_carry", fails(desk.copy._carry))
    case = await sent(kit)
    await copied(kit, case)
    assert (left, desk.copy.failure) == (0, "")
    left = 2
    monkeypatch.setattr(desk, "_lost", fails(desk._lost))
    for row in await kit.hub.store.read(blob_rows.whole):
        desk._missing.put_nowait(row)

    async def waited_for() -> bool:
        return not await kit.hub.store.read(lambda c: blob_rows.all_whole(c, case.node.node_id))

    await until(waited_for)


async def test_a_first_shelf_that_lost_or_spoiled_a_photo_is_mended_from_the_second(kit: CopiedKit) -> None:
    case = await sent(kit)
    await copied(kit, case)
    page = await kit.login()
    (path,) = files(kit)
    good = path.read_bytes()
    for damage in (good[:700], good[:900] + b"\0" + good[901:], b""):
        path.write_bytes(damage)
        reply = await page.call("GET", case.blob)
        assert await reply.read() == PHOTO
        assert path.read_bytes() == good
    path.unlink()
    assert await (await page.call("GET", case.blob)).read() == PHOTO


async def test_a_hub_that_gets_a_second_disk_later_carries_what_is_there(tmp_path: Path) -> None:
    kit = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    with_copy, kit.settings = kit.settings, msgspec.structs.replace(kit.settings, copy=None)
    await asyncio.to_thread(kit.hub._close)
    kit.hub = await asyncio.to_thread(Hub, kit.settings, kit.clock.wall_ms, kit.clock.monotonic_s)
    await kit.start()
    case = await sent(kit)
    assert await loose(kit) == 0
    again = await send_chunk(case.node, case.chunk(0))
    assert not again
    assert set(case.node.levels) == {1}
    await kit.stop()
    kit.settings = with_copy
    kit.hub = await asyncio.to_thread(Hub, kit.settings, kit.clock.wall_ms, kit.clock.monotonic_s)
    await kit.start()
    await copied(kit, case)
    assert await asyncio.to_thread(seconds, kit) == [path.read_bytes() for path in files(kit)]
    await kit.stop()


async def test_taken_back_is_taken_from_both(kit: CopiedKit) -> None:
    case = await sent(kit)
    await copied(kit, case)
    await case.node.send([ev.MediaRemoved(case.visit_id, case.manifest.blob_id)])
    await settled(kit)
    assert files(kit) == []
    assert await asyncio.to_thread(seconds, kit) == []


@pytest.mark.parametrize("from_where", ["backup", "second copy"])
async def test_a_restored_hub_has_its_photos(tmp_path: Path, from_where: str) -> None:
    kit = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await kit.start()
    await kit.add_doctor()
    case = await sent(kit)
    await copied(kit, case)
    saved = tmp_path / "saved"
    await asyncio.to_thread(backup.make_backup, kit.settings, saved, kit.clock.ms, with_keys=True)
    totp = kit.totp
    await kit.stop()
    data = kit.settings.data
    await asyncio.to_thread(shutil.rmtree, data / "blobs")
    (data / "hub.db").unlink()
    if from_where == "backup":
        settings = msgspec.structs.replace(kit.settings, copy=None)
        await asyncio.to_thread(backup.restore, settings, saved, kit.clock.ms, replace=True)
    else:
        await asyncio.to_thread(backup.restore_copy, kit.settings, tmp_path / "copy", kit.clock.ms, replace=True)
    kit = await asyncio.to_thread(lambda: CopiedKit(data, tmp_path / "copy", fresh=False))
    kit.totp = totp
    await kit.start()
    page = await kit.login()
    assert await (await page.call("GET", case.blob)).read() == PHOTO
    await kit.stop()


async def test_what_no_shelf_has_is_waited_for_and_its_node_is_asked(tmp_path: Path) -> None:
    kit = await asyncio.to_thread(CopiedKit, tmp_path / "hub", tmp_path / "copy")
    await kit.start()
    case = await sent(kit)
    await copied(kit, case)
    await kit.stop()
    await asyncio.to_thread(shutil.rmtree, kit.settings.blobs_folder)
    await asyncio.to_thread(shutil.rmtree, tmp_path / "copy" / "blobs")
    kit = await asyncio.to_thread(lambda: CopiedKit(kit.settings.data, tmp_path / "copy", fresh=False))
    await kit.start()

    async def waited_for() -> bool:
        return not await kit.hub.store.read(lambda c: blob_rows.all_whole(c, case.node.node_id))

    await until(waited_for)
    row = await kit.hub.store.read(lambda c: blob_rows.load(c, case.node.node_id, case.manifest.blob_id))
    assert row is not None
    assert row.asked_ms > 0
    await kit.stop()


async def test_the_node_is_told_of_its_photos_only_when_nothing_is_lacking(kit: CopiedKit) -> None:
    case = await sent(kit)
    await copied(kit, case)
    told: list[holdings.Message] = []
    kit.hub.link.send_state = lambda node_id, message: told.append(message)  # type: ignore[method-assign]
    held = await kit.hub.store.read(lambda c: returns._held(c, case.node.node_id, ()))
    node_id = bytes.fromhex(case.node.node_id)
    await kit.hub.link._hear_state(node_id, holdings.encode(holdings.describe(held, held, (), whole=True)))
    assert told == [holdings.Wanted((), True, True)]
    more = {**held, (bytes(8), 2): Ranges((1, 3))}
    await kit.hub.link._hear_state(node_id, holdings.encode(holdings.describe(more, more, (), whole=True)))
    assert isinstance(told[1], holdings.Wanted)
    assert not told[1].media


async def test_pieces_that_wait_for_the_rest_lie_sealed_in_the_database_and_in_its_copy(kit: CopiedKit) -> None:
    """Also those that a release before this one kept as they came."""
    case = Case(await kit.enrol())
    await case.open_visit()
    await case.send(range(case.count - 1))
    old = case.chunk(0)
    mine = (blob_chunks.c.blob_id == old.blob_id, blob_chunks.c.number == 0)
    await kit.hub.store.write(lambda c: c.execute(update(blob_chunks).where(*mine).values(data=old.data)))
    await kit.hub.blobs.close()
    await kit.hub.blobs.start()
    await until(lambda: kit.hub.link.is_copied(kit.hub.store.lsn, 0.0))
    rows = await kit.hub.store.read(lambda c: c.execute(select(blob_chunks)).all())
    assert len(rows) == case.count - 1
    shown = [PHOTO[at : at + 24] for at in range(16_000, len(PHOTO) - 64, 4_001)]
    for row in rows:
        assert not [piece for piece in shown if piece in bytes(row.data)]
    again = Case(case.node, made.jpeg_of(50_000, 3))
    await again.send([0])
    disk = await asyncio.to_thread(contents, kit.settings.data)
    assert made.jpeg_of(50_000, 3)[5_000:5_024] not in disk, (
        "neither in the database, nor in its journal or second copy"
    )
    await case.announce()
    await case.send([case.count - 1])
    page = await kit.login()
    assert (await case.state(page))["state"] == "whole"
    assert await (await page.call("GET", case.blob)).read() == PHOTO

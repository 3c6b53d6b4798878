"""The folder of blobs passes the kit, and survives full disks and deaths."""

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from hub.shelf import FolderShelf, Shelf, ShelfFailed, sweep
from tests.kits import shelf as kit


@pytest.mark.parametrize("rule", kit.ALL, ids=lambda rule: rule.__name__)
async def test_a_folder_is_a_shelf(tmp_path: Path, rule: Callable[[Shelf], Coroutine[None, None, None]]) -> None:
    await rule(FolderShelf(tmp_path / "blobs"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_full_disk_leaves_what_was_there_and_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = FolderShelf(tmp_path)
    asyncio.run(shelf.put("node/blob", b"what was there"))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ShelfFailed):
            asyncio.run(shelf.put("node/blob", b"something else"))
    assert asyncio.run(shelf.read("node/blob", 0, 100)) == b"what was there"
    assert len(files(tmp_path)) == 1


def test_what_a_dead_process_left_half_written_is_swept(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    asyncio.run(shelf.put("node/blob", b"whole"))
    (whole,) = files(tmp_path)
    half = whole.with_name(".0123.new")
    half.write_bytes(b"hal")
    assert sweep(tmp_path, half.stat().st_mtime) == 0
    assert sweep(tmp_path, half.stat().st_mtime + 1) == 1
    assert files(tmp_path) == [whole]


def test_files_are_private(tmp_path: Path) -> None:
    asyncio.run(FolderShelf(tmp_path / "blobs").put("node/blob", b"x"))
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "blobs").rglob("*")} == {0}

"""Where whole blobs lie: an interface, and a folder that fulfils it. Knows no key, no visit and no table.

What is put here is sealed already (:mod:`edge.sync.vault`): a disk or a store of somebody else's
reads nothing. Every implementation passes ``tests/kits/shelf.py``.
"""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge.model.errors import BadInput, UpkendraError
from edge.sync import faults

_NAME = re.compile(r"[0-9a-z]{1,40}(/[0-9a-z]{1,40}){0,2}")


class ShelfFailed(UpkendraError):
    """The store of photos and notes does not answer, or is full. What was sent waits and is tried again."""

    code = "shelf_failed"


class Shelf(Protocol):
    """Named byte strings. ``put`` returns when the bytes are durable; nobody ever sees half of them."""

    async def put(self, name: str, content: bytes) -> None:
        """Keep content under a name, in the place of what was there. Raises ShelfFailed."""

    async def read(self, name: str, start: int, length: int) -> bytes:
        """At most ``length`` bytes from ``start``; empty when there is no such name. Raises ShelfFailed."""

    async def size(self, name: str) -> int | None:
        """Length of the content; None when there is none. Raises ShelfFailed."""

    async def delete(self, name: str) -> None:
        """Forget a name; it need not be there. Raises ShelfFailed."""

    async def close(self) -> None:
        """Let connections go."""


def is_name(name: str) -> bool:
    """Lower case letters and digits, up to three parts."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """The name, when it is one. Raises BadInput."""
    if not is_name(name):
        raise BadInput("This is no name of a blob.")
    return name


class FolderShelf:
    """Files below a folder, spread by a hash of two digits taken from the end of the name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> Path:
        parts = check_name(name).split("/")
        return self._folder.joinpath(*parts[:-1], parts[-1][-2:], parts[-1])

    async def put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        with _failures():
            await asyncio.to_thread(self._put, path, content)

    def _put(self, path: Path, content: bytes) -> None:
        made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        for folder in reversed(made):
            folder.mkdir(0o700, exist_ok=True)
        fresh = path.with_name(f".{secrets.token_hex(8)}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            faults.point("hub-blob-filled")
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        for folder in (path.parent, *(one.parent for one in made)):
            _sync_folder(folder)
        faults.point("hub-blob-put")

    async def read(self, name: str, start: int, length: int) -> bytes:
        path = self._path(name)
        with _failures():
            return await asyncio.to_thread(_read, path, start, length)

    async def size(self, name: str) -> int | None:
        path = self._path(name)
        with _failures():
            return await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else None)

    async def delete(self, name: str) -> None:
        path = self._path(name)
        with _failures():
            await asyncio.to_thread(lambda: path.unlink(missing_ok=True))

    async def close(self) -> None:
        return


def sweep(folder: Path, before_s: float) -> int:
    """Remove files that dead processes never finished, last written before that Unix time; how many. Blocking."""
    left = [path for path in folder.rglob(".*.new") if path.stat().st_mtime < before_s]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _read(path: Path, start: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except FileNotFoundError:
        return b""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ShelfFailed(f"The folder of blobs: {error.strerror}.") from error

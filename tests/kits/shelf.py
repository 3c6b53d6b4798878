"""The conformance kit of blob shelves: every implementation of :class:`hub.shelf.Shelf` passes it."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from edge.model.errors import BadInput
from hub.shelf import Shelf
from tests.kits.media import noise

NODE = "0123456789abcdef"


async def keeps_what_it_was_given(shelf: Shelf) -> None:
    content = noise(200_000)
    await shelf.put(f"{NODE}/aaaa", content)
    assert await shelf.size(f"{NODE}/aaaa") == len(content)
    assert await shelf.read(f"{NODE}/aaaa", 0, len(content)) == content
    assert await shelf.read(f"{NODE}/aaaa", 65_536, 1_000) == content[65_536:66_536]
    assert await shelf.read(f"{NODE}/aaaa", len(content) - 5, 100) == content[-5:]


async def gives_nothing_for_what_is_not_there(shelf: Shelf) -> None:
    assert await shelf.size(f"{NODE}/none") is None
    assert await shelf.read(f"{NODE}/none", 0, 10) == b""
    await shelf.delete(f"{NODE}/none")


async def gives_nothing_beyond_the_end(shelf: Shelf) -> None:
    await shelf.put(f"{NODE}/short", b"abc")
    assert await shelf.read(f"{NODE}/short", 3, 5) == b""
    assert await shelf.read(f"{NODE}/short", 100, 5) == b""


async def replaces_whole_and_tells_names_apart(shelf: Shelf) -> None:
    await shelf.put(f"{NODE}/one", noise(3_000, 1))
    await shelf.put(f"{NODE}/two", noise(3_000, 2))
    await shelf.put(f"{NODE}/one", b"shorter")
    assert await shelf.read(f"{NODE}/one", 0, 9_999) == b"shorter"
    assert await shelf.read(f"{NODE}/two", 0, 9_999) == noise(3_000, 2)


async def forgets(shelf: Shelf) -> None:
    await shelf.put(f"{NODE}/gone", b"abc")
    await shelf.delete(f"{NODE}/gone")
    await shelf.delete(f"{NODE}/gone")
    assert await shelf.size(f"{NODE}/gone") is None


async def takes_an_empty_one(shelf: Shelf) -> None:
    await shelf.put(f"{NODE}/empty", b"")
    assert await shelf.size(f"{NODE}/empty") == 0


async def shows_one_of_many_writers_whole(shelf: Shelf) -> None:
    contents = [noise(40_000, seed) for seed in range(6)]
    await asyncio.gather(*(shelf.put(f"{NODE}/busy", content) for content in contents))
    assert await shelf.read(f"{NODE}/busy", 0, 50_000) in contents


async def takes_no_other_names(shelf: Shelf) -> None:
    for name in ("", "../etc/passwd", "/abs", "a/../b", "a//b", "A", "a b", "a/b/c/d", "a\x00", "x" * 50, "."):
        with pytest.raises(BadInput):
            await shelf.put(name, b"x")


ALL: tuple[Callable[[Shelf], Coroutine[None, None, None]], ...] = (
    keeps_what_it_was_given,
    gives_nothing_for_what_is_not_there,
    gives_nothing_beyond_the_end,
    replaces_whole_and_tells_names_apart,
    forgets,
    takes_an_empty_one,
    shows_one_of_many_writers_whole,
    takes_no_other_names,
)

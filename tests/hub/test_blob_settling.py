"""One blob, many who find it whole: tasks of one process, and processes of one hub."""

import asyncio

import pytest

from hub import blob_rows
from hub.shelf import ShelfFailed

from .kit import HubKit
from .test_blobs import ready


async def test_a_blob_is_put_on_the_shelf_once_however_many_ask_for_it(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shelf fails the first of them; those who waited and those who come just then do not try at the same time."""
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    settle = type(kit.hub.blobs).settle
    asked: list[str] = []

    async def count(name: str, content: bytes) -> None:
        asked.append(name)
        await asyncio.sleep(0.05)
        if len(asked) == 1:
            raise ShelfFailed("It is full.")
        await put(name, content)

    put = kit.hub.blobs._shelf.put
    monkeypatch.setattr(kit.hub.blobs._shelf, "put", count)
    await case.send(range(case.count - 1))
    monkeypatch.setattr(type(kit.hub.blobs), "settle", _nothing)
    await case.send([case.count - 1])
    blobs, of = kit.hub.blobs, (case.node.node_id, case.manifest.blob_id)
    first = asyncio.create_task(settle(blobs, *of))
    rest = []
    for _ in range(40):
        rest.append(asyncio.create_task(settle(blobs, *of)))
        await asyncio.sleep(0.005)
    await asyncio.gather(first, *rest)
    assert len(asked) == 2
    assert (await case.state(page))["state"] == "whole"


async def test_two_processes_that_find_it_whole_seal_it_under_one_key(kit: HubKit) -> None:
    case, _ = await ready(kit)
    await case.open_visit()
    await case.announce()
    row = await kit.hub.store.read(
        lambda c: blob_rows.load(c, case.node.node_id, case.manifest.blob_id),
    )
    assert row is not None
    assert await kit.hub.store.write(lambda c: blob_rows.claim_key(c, row, b"first")) == b"first"
    assert await kit.hub.store.write(lambda c: blob_rows.claim_key(c, row, b"second")) == b"first"
    await kit.hub.store.write(lambda c: blob_rows.set_state(c, row, "removed"))
    assert await kit.hub.store.write(lambda c: blob_rows.claim_key(c, row, b"third")) == b""


async def _nothing(*_: object) -> None:
    """In the place of a settling that the test does itself."""

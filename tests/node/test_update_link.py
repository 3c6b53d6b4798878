"""A copy that comes by link: half of it by stick, pieces that lie, offers that go; and when nothing may come."""

import asyncio
import random
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from edge.node.clock import Clock
from edge.node.spool import RESERVE_BYTES, Spool, Waiting
from edge.node.spool_link import LinkCopy
from edge.node.update_link import UpdateFetcher
from edge.sync import courier, release, seal
from edge.sync import updating as up
from tests.node.kit import Provisioned, Served, provisioned
from tests.sync.test_fleet import described

UPDATE = bytes(range(2, 34))
CONTENT = random.Random(4).randbytes(2 * release.BLOCK_BYTES + 100_000)
STEP = up.PIECE_BYTES


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    made = await provisioned(tmp_path / "data")
    folder = made.folder / "updates"
    folder.mkdir(mode=0o700)
    (folder / "target").write_text("amd64\n")
    (folder / "update.pub").write_text(seal.verifier_of(UPDATE).hex())
    return made


def offer(setup: Provisioned, number: int = 5, version: str = "1.2.0", key: bytes = UPDATE) -> bytes:
    raw = described(CONTENT, version)
    signed = release.sign_release(key, raw)
    return courier.update_file(setup.hub.sign, setup.config.node_id, number, 1_790_000_000_000, raw, signed)


def copy_of(setup: Provisioned) -> LinkCopy:
    return LinkCopy(Spool(setup.folder, setup.config))


def fill(copy: LinkCopy, end: int, content: bytes = CONTENT) -> int:
    at = copy.position()
    while at < end:
        at = copy.append(at, content[at : min(at + STEP, end)])
    return at


def names(setup: Provisioned) -> set[str]:
    return {path.suffix or path.name for path in (setup.folder / "updates").iterdir()}


def test_a_copy_goes_on_after_a_restart_and_ends_as_a_sticks_does(setup: Provisioned) -> None:
    copy = copy_of(setup)
    assert copy.begin(offer(setup))
    fill(copy, 700_000)
    again = copy_of(setup)
    again.resume()
    assert again.position() == 700_000
    fill(again, len(CONTENT))
    assert again.finish(1_790_000_000_001)
    (waits,) = Spool(setup.folder, setup.config).waiting()
    assert (waits.version, waits.signed_by, waits.number) == ("1.2.0", "update_key", 5)
    stem = waits.sha256[:24]
    assert (setup.folder / "updates" / f"{stem}.bundle").read_bytes() == CONTENT
    assert not {".part", ".offer"} & names(setup)
    assert waits.sha256 in again.taken()
    assert not again.begin(offer(setup, 6)), "what came before does not come again"


def test_a_stick_brings_the_rest_and_the_link_the_rest_of_a_sticks(setup: Provisioned) -> None:
    copy, spool = copy_of(setup), Spool(setup.folder, setup.config)
    raw = offer(setup)
    copy.begin(raw)
    fill(copy, release.BLOCK_BYTES + 50_000)
    asked: list[int] = []

    def block(number: int) -> bytes:
        asked.append(number)
        return CONTENT[number * release.BLOCK_BYTES : (number + 1) * release.BLOCK_BYTES]

    stick = courier.parse(raw)
    assert isinstance(stick, courier.UpdateFile)
    found = spool.look(stick)
    assert found is not None
    made: Waiting = spool.copy(stick, found, block, 1, lambda done: None)
    assert asked == [1, 2], "the first block came by link"
    assert made.version == "1.2.0"
    assert copy.is_gone


def test_a_block_that_lies_is_cut_off_and_nothing_behind_it_is_kept(setup: Provisioned) -> None:
    copy = copy_of(setup)
    copy.begin(offer(setup))
    lying = CONTENT[:1_500_000] + b"?" + CONTENT[1_500_001:]
    at = copy.position()
    while at < 2 * release.BLOCK_BYTES:
        end = copy.append(at, lying[at : at + STEP])
        if end < at:
            break
        at = end
    assert end == copy.position() == release.BLOCK_BYTES
    fill(copy, len(CONTENT))
    assert copy.finish(1)


def test_what_another_key_signed_is_not_begun_and_a_dropped_one_leaves_nothing(setup: Provisioned) -> None:
    copy = copy_of(setup)
    with pytest.raises(release.ReleaseRefused) as refused:
        copy.begin(offer(setup, key=bytes(32)))
    assert refused.value.refusal.code == "update_signature"
    copy.begin(offer(setup))
    fill(copy, 100_000)
    copy.drop()
    assert not {".part", ".offer", ".json", ".bundle"} & names(setup)


def test_a_damaged_tail_after_a_power_cut_is_found_at_the_end(setup: Provisioned) -> None:
    copy = copy_of(setup)
    copy.begin(offer(setup))
    fill(copy, len(CONTENT))
    part = next((setup.folder / "updates").glob("*.part"))
    damaged = bytearray(CONTENT)
    damaged[-5] ^= 1
    part.write_bytes(damaged)
    assert not copy.finish(1)
    assert copy.position() == 2 * release.BLOCK_BYTES
    fill(copy, len(CONTENT))
    assert copy.finish(1)


def leave(setup: Provisioned, patch: pytest.MonkeyPatch, free_bytes: int) -> None:
    disk = shutil.disk_usage(setup.folder)._replace(free=free_bytes)
    patch.setattr(shutil, "disk_usage", lambda _: disk)


def test_what_photos_left_of_the_room_since_the_beginning_is_for_records(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copy_of(setup)
    copy.begin(offer(setup))
    fill(copy, 100_000)
    with monkeypatch.context() as patch:
        leave(setup, patch, RESERVE_BYTES + STEP - 1)
        with pytest.raises(release.ReleaseRefused) as refused:
            copy.append(100_000, CONTENT[100_000 : 100_000 + STEP])
    assert refused.value.refusal.code == "update_no_room"
    assert copy.position() == 100_000, "what came stays, and goes on when there is room"
    fill(copy, len(CONTENT))
    assert copy.finish(1)


def test_what_could_not_be_dropped_was_not_refused(setup: Provisioned) -> None:
    copy = copy_of(setup)
    copy.begin(offer(setup))
    fill(copy, 100_000)
    assert copy.release is not None
    sha256 = copy.release.sha256
    with Spool(setup.folder, setup.config).alone(), pytest.raises(release.ReleaseRefused) as refused:
        copy.refuse()
    assert refused.value.refusal.code == "update_busy"
    assert sha256 not in copy.taken()
    copy.refuse()
    assert sha256 in copy.taken()
    assert not {".part", ".offer"} & names(setup)


class Hub:
    """What a hub would answer, without a link."""

    def __init__(self, setup: Provisioned, served: Served, patch: pytest.MonkeyPatch) -> None:
        self.setup, self.said = setup, list[up.Message | None]()
        self.waits = ""
        self.fetcher: UpdateFetcher = served.node.updates
        link = served.node.link
        patch.setattr(link, "send_update", lambda body, key: self.said.append(up.decode(body)))
        patch.setattr(link, "update_waits", lambda: self.waits)

    async def turn(self) -> list[up.Message | None]:
        """One look of the fetcher; what it said."""
        self.said.clear()
        while self.fetcher._heard:
            await self.fetcher._take(up.decode(self.fetcher._heard.popleft()))
        await self.fetcher._tell()
        await self.fetcher._step(time.monotonic())
        return list(self.said)

    async def hear(self, message: up.Message) -> list[up.Message | None]:
        await self.fetcher.hear(up.encode(message))
        return await self.turn()


def at(setup: Provisioned, served: Served, patch: pytest.MonkeyPatch, hour: int, *, trusted: bool = True) -> None:
    now = served.node.clinic.clock.now()
    day_ms = now.wall_ms - now.wall_ms % 86_400_000
    there = msgspec.structs.replace(now, wall_ms=day_ms + hour * 3_600_000 - 19_800_000, trusted=trusted)
    patch.setattr(Clock, "now", lambda clock: there)


async def test_nothing_comes_by_day_in_a_call_or_by_an_unset_clock(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        await served.node.updates.stop()
        hub = Hub(setup, served, monkeypatch)
        sha = bytes.fromhex(release.parse_release(described(CONTENT)).sha256)
        at(setup, served, monkeypatch, 12)
        heads = up.Offers((up.Head(sha, "system", "1.2.0", len(CONTENT)),))
        assert not any(isinstance(one, up.WantOffer) for one in await hub.hear(heads)), "by day"
        at(setup, served, monkeypatch, 23, trusted=False)
        assert hub.fetcher.waits() == "clock"
        at(setup, served, monkeypatch, 23)
        for why in ("call", "cap", "busy", "hours", "hub"):
            hub.waits = why
            assert not any(isinstance(one, up.WantOffer) for one in await hub.turn()), why
        hub.waits = ""
        assert up.WantOffer(sha) in await hub.turn()
        wants = [one for one in await hub.hear(up.Offer(offer(setup))) if isinstance(one, up.Want)]
        assert [one.offset for one in wants] == [0, STEP, 2 * STEP, 3 * STEP]
        hub.waits = "call"
        first = up.Piece(sha[:8], 0, CONTENT[:STEP])
        assert not any(isinstance(one, up.Want) for one in await hub.hear(first)), "what was asked may come, no more"
        hub.waits = ""
        assert [one.offset for one in await hub.turn() if isinstance(one, up.Want)] == [4 * STEP]
        now = await hub.fetcher.now()
        assert now is not None
        assert (now.state, now.done_bytes, now.version) == ("coming", STEP, "1.2.0")
        await hub.hear(up.Offers(()))
        assert not {".part", ".offer"} & names(setup), "paused: its room is free"
        assert await hub.fetcher.now() is None


async def test_a_hub_that_gives_wrong_bytes_twice_is_asked_no_more(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        await served.node.updates.stop()
        hub = Hub(setup, served, monkeypatch)
        at(setup, served, monkeypatch, 23)
        said = await hub.hear(up.Offer(offer(setup)))
        rounds = 0
        while any(isinstance(one, up.Want) for one in said) and rounds < 1_000:
            rounds += 1
            wants = [one for one in said if isinstance(one, up.Want)]
            for want in wants:
                await hub.fetcher.hear(up.encode(up.Piece(want.sha256[:8], want.offset, bytes(want.length))))
            said = await hub.turn()
        told = [one for one in said if isinstance(one, up.Told)]
        assert [(one.state, one.code) for one in told] == [("refused", "update_damaged")]
        assert rounds < 100
        assert not {".part", ".offer", ".json"} & names(setup)


async def almost_all(hub: Hub, setup: Provisioned) -> up.Piece:
    """Begin, and hear everything but the last piece, which is what this returns."""
    said = await hub.hear(up.Offer(offer(setup)))
    while wants := [one for one in said if isinstance(one, up.Want)]:
        for want in wants:
            piece = up.Piece(want.sha256[:8], want.offset, CONTENT[want.offset : want.offset + want.length])
            if want.offset + want.length == len(CONTENT):
                last = piece
            else:
                await hub.fetcher.hear(up.encode(piece))
        said = await hub.turn()
    return last


async def test_without_room_nothing_is_asked_for_and_it_is_said(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        await served.node.updates.stop()
        hub = Hub(setup, served, monkeypatch)
        at(setup, served, monkeypatch, 23)
        first = next(one for one in await hub.hear(up.Offer(offer(setup))) if isinstance(one, up.Want))
        with monkeypatch.context() as patch:
            leave(setup, patch, RESERVE_BYTES)
            with pytest.raises(release.ReleaseRefused):
                await hub.hear(up.Piece(first.sha256[:8], 0, CONTENT[:STEP]))
            said = await hub.turn()
            assert not any(isinstance(one, up.Want) for one in said)
            assert [(one.state, one.code) for one in said if isinstance(one, up.Told)] == [("coming", "update_no_room")]
        assert first in await hub.turn()


@pytest.mark.parametrize("code", ["update_busy", "update_no_room"])
async def test_what_passes_at_the_end_costs_no_update(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    async with Served(setup) as served:
        await served.node.updates.stop()
        hub = Hub(setup, served, monkeypatch)
        at(setup, served, monkeypatch, 23)
        last = await almost_all(hub, setup)

        def passing(spool: Spool, file: courier.UpdateFile) -> None:
            raise release.ReleaseRefused("not now", code=code)

        with monkeypatch.context() as patch:
            patch.setattr(Spool, "look", passing)
            await hub.hear(last)
            assert {".part", ".offer"} <= names(setup)
            assert "taken-by-link" not in names(setup)
        hub.waits = "hub"
        await hub.turn()
        waiting = await asyncio.to_thread(Spool(setup.folder, setup.config).waiting)
        assert [one.version for one in waiting] == ["1.2.0"]


async def test_what_is_no_good_at_the_end_is_given_up(setup: Provisioned, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Served(setup) as served:
        await served.node.updates.stop()
        hub = Hub(setup, served, monkeypatch)
        at(setup, served, monkeypatch, 23)
        last = await almost_all(hub, setup)
        (setup.folder / "updates" / "update.pub").write_text(seal.verifier_of(bytes(32)).hex())
        with pytest.raises(release.ReleaseRefused):
            await hub.hear(last)
        assert not {".part", ".offer", ".json"} & names(setup)
        told = [one for one in await hub.turn() if isinstance(one, up.Told)]
        assert [(one.state, one.code) for one in told] == [("refused", "update_signature")]

"""How long a node had no hub: counted while it runs, over kills and wrong clocks, and said in its log."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.model import events as ev
from edge.model.clock import Instant, day_of, day_start_ms
from edge.model.errors import BadInput
from edge.model.watched import LinkWatched, Watched, watched
from edge.node.config import WATCHED_FILE
from edge.node.journal import Journal
from edge.node.month import as_csv, load_month
from edge.node.watching import GAP_MOST_S, LOOK_S, OFFLINE_KEEP_S, LinkWatch
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, provisioned
from tests.node.test_link import at_hub, until

DAY = 20_800
PART = b"abcd"


def test_parts_of_a_day_add_up_and_a_word_that_is_said_again_counts_once() -> None:
    words = [
        LinkWatched(DAY, PART, 100, 10),
        LinkWatched(DAY, PART, 300, 40),
        LinkWatched(DAY, PART, 100, 10),
        LinkWatched(DAY, b"efgh", 50, 50),
        LinkWatched(DAY + 9, PART, 7, 7),
    ]
    assert watched(words, DAY, DAY + 9) == Watched(350, 90, "")
    assert watched(words, DAY - 3, DAY + 30) == Watched(357, 97, "2026-12-13")
    assert watched([], DAY, DAY + 30) == Watched(0, 0, "")


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


class Day:
    """A watch that is looked at every few seconds of a clock of its own."""

    def __init__(self, served: Served) -> None:
        self.clinic = served.node.clinic
        self.day, self.now_s, self.online = DAY, 1_000.0, False
        self.clinic.clock.now = lambda: Instant(day_start_ms(self.day) + 3_600_000)  # type: ignore[method-assign]
        served.node.watch._over.set()  # its own counts no second of this one's day
        self.watch = LinkWatch(self.clinic, lambda: self.online, self.now_s)

    async def fresh(self) -> LinkWatch:
        """Of another process."""
        return await asyncio.to_thread(LinkWatch, self.clinic, lambda: self.online, self.now_s)

    async def passes(self, seconds: float, *, online: bool) -> None:
        self.online = online
        for _ in range(round(seconds / LOOK_S)):
            self.now_s += LOOK_S
            await self.watch.look(self.now_s)

    def sums(self) -> list[tuple[int, int, int]]:
        return [(one.day, one.ran_s, one.offline_s) for one in self.watch.words()]


async def said(served: Served) -> list[LinkWatched]:
    return await served.node.clinic.store.read(lambda views: views.watched())


async def test_a_day_is_said_when_it_is_over_and_a_rebuild_finds_the_same(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        day = Day(served)
        await day.passes(600, online=True)
        await day.passes(900, online=False)
        await day.passes(300, online=True)
        assert (day.sums(), await said(served)) == ([(DAY, 1_800, 900)], [])
        day.day = DAY + 1
        await day.passes(5, online=True)
        (word,) = await said(served)
        assert (word.day, word.ran_s, word.offline_s) == (DAY, 1_800, 900)
        assert day.sums() == [(DAY + 1, 5, 0)]
        ((stream,),) = await served.node.clinic.store.write(
            lambda journal: journal._db.rows("SELECT stream FROM entries WHERE kind = 37")
        )
        assert stream == 4
        await served.node.clinic.store.write(Journal.rebuild)
        assert await said(served) == [word]


async def test_a_clock_that_is_set_back_counts_the_same_day_further_and_no_second_twice(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        day = Day(served)
        await day.passes(100, online=False)
        day.day = DAY + 1
        await day.passes(50, online=False)
        day.day = DAY
        await day.passes(200, online=False)
        day.day = DAY + 2
        await day.passes(5, online=True)
        assert watched([*await said(served), *day.watch.words()], DAY, DAY + 1) == Watched(300, 300)
        assert watched([*await said(served), *day.watch.words()], DAY + 1, DAY + 3) == Watched(55, 50)


async def test_a_process_that_is_killed_loses_minutes_and_the_time_in_which_it_was_off_counts_as_neither(
    setup: Provisioned,
) -> None:
    async with Served(setup) as served:
        day = Day(served)
        for _ in range(3):
            await day.passes(4_000, online=False)
            day.now_s += 20 * 3600  # killed, and off for most of a day
            day.watch = await day.fresh()
        ((_, ran_s, offline_s),) = day.sums()
        assert 3 * (4_000 - OFFLINE_KEEP_S) <= offline_s == ran_s <= 3 * 4_000
        day.now_s += 10 * GAP_MOST_S  # it stood still
        await day.passes(5, online=False)
        assert day.sums() == [(DAY, ran_s, offline_s)]
        await day.passes(100, online=False)
        await day.passes(100, online=True)
        (kept,) = (await day.fresh()).words()
        assert kept.offline_s == ran_s + 100, "the end of a time without the hub is written"
        assert served.node.clinic.locked
        (setup.folder / WATCHED_FILE).write_bytes(b'{"part": ')
        assert (await day.fresh()).words() == ()


async def test_a_link_that_is_well_writes_once_an_hour_and_one_that_is_not_every_ten_minutes(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Served(setup) as served:
        day, written = Day(served), 0
        keep: Callable[[LinkWatch, float], Awaitable[None]] = LinkWatch._keep

        async def count(watch: LinkWatch, now_s: float) -> None:
            nonlocal written
            written += 1
            await keep(watch, now_s)

        monkeypatch.setattr(LinkWatch, "_keep", count)
        await day.passes(8 * 3600, online=True)
        assert written <= 9
        written = 0
        await day.passes(3600, online=False)
        assert written <= 6


async def test_a_node_watches_its_own_link_and_its_month_tells(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        clinic, watch = served.node.clinic, served.node.watch

        async def counts_a_link() -> bool:
            await watch.look(watch._seen_s + LOOK_S)
            return any(one.ran_s > one.offline_s for one in watch.words())

        await until(counts_a_link)
        today = day_of(clinic.clock.now().wall_ms)
        await clinic.record(ev.LinkWatched(today, PART, 36_000, 9_000))
        words = watch.words()
        found = await load_month(clinic, "", words)
        shown = {one.code: (one.value, one.since) for one in found.figures.tele}
        offline, since = shown["offline_hours"]
        assert offline == round((9_000 + sum(one.offline_s for one in words)) / 3600, 1)
        assert shown["ran_hours"] == (round((36_000 + sum(one.ran_s for one in words)) / 3600, 1), since)
        table = (await asyncio.to_thread(as_csv, clinic, found)).decode("utf-8-sig")
        row = next(one for one in table.splitlines() if ",offline_hours," in one)
        assert row.endswith(f",{offline:g},{since}")
        with pytest.raises(BadInput):
            await load_month(clinic, "2026-13", watch.words())

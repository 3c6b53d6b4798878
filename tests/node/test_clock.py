"""The node's wall clock: corrected by the hub, kept over restarts, never back before what was seen."""

import asyncio
import time
from pathlib import Path

import pytest

from edge.model.clock import day_of, day_text
from edge.model.errors import Refused
from edge.node.clock import KEEP_ALONE_MS, KEEP_EVERY_MS, BoardTime, Clock
from edge.node.config import CLOCK_FILE
from tests.node.kit import Served, provisioned

NOON_MS = 1_790_000_000_000
DAY_MS = 86_400_000


class Machine:
    """A machine's clock that the test moves, and its time since it was switched on."""

    def __init__(self, unix_ms: int) -> None:
        self.unix_ms = unix_ms
        self._up_ms = 40_000

    def __call__(self) -> int:
        return self.unix_ms

    def up_ms(self) -> int:
        return self._up_ms

    def passes(self, time_ms: int) -> None:
        self.unix_ms += time_ms
        self._up_ms += time_ms


def test_a_corrected_clock_tells_the_hubs_time_and_is_trusted(tmp_path: Path) -> None:
    machine = Machine(NOON_MS - 3_600_000)
    clock = Clock(tmp_path, machine, machine.up_ms)
    assert not clock.now().trusted
    clock.correct(NOON_MS)
    machine.passes(5_000)
    assert (clock.now().wall_ms, clock.now().trusted) == (NOON_MS + 5_000, True)


@pytest.mark.parametrize("jump_ms", [-365 * DAY_MS, DAY_MS])
def test_a_machines_clock_that_jumps_in_the_middle_of_the_day_moves_no_time_that_the_hub_told(
    tmp_path: Path, jump_ms: int
) -> None:
    machine = Machine(NOON_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    clock.correct(NOON_MS)
    machine.unix_ms += jump_ms
    machine.passes(60_000)
    assert clock.now().wall_ms == NOON_MS + 60_000
    assert clock.correct(NOON_MS + 60_000), "the offset to it is another one now"
    clock.keep()
    machine.passes(1_000)
    assert Clock(tmp_path, machine, machine.up_ms).now().wall_ms >= NOON_MS + 60_000


def test_the_offset_outlives_a_restart_but_not_the_trust(tmp_path: Path) -> None:
    machine = Machine(NOON_MS - 3_600_000)
    first = Clock(tmp_path, machine, machine.up_ms)
    assert first.correct(NOON_MS)
    first.keep()
    machine.passes(60_000)
    second = Clock(tmp_path, machine)
    assert (second.now().wall_ms, second.now().trusted) == (NOON_MS + 60_000, False)


def test_a_machine_that_starts_in_1970_goes_on_from_what_was_seen(tmp_path: Path) -> None:
    earlier = Machine(NOON_MS)
    first = Clock(tmp_path, earlier, earlier.up_ms)
    first.correct(NOON_MS)
    first.keep()
    machine = Machine(1_000)
    second = Clock(tmp_path, machine)
    assert second.now().wall_ms == NOON_MS
    machine.unix_ms += 7_000
    assert second.now().wall_ms == NOON_MS + 7_000


def test_the_card_is_not_written_with_every_answer_of_the_hub(tmp_path: Path) -> None:
    machine = Machine(NOON_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    assert clock.correct(NOON_MS)
    clock.keep()
    machine.passes(60_000)
    assert not clock.correct(NOON_MS + 60_100)
    machine.passes(KEEP_EVERY_MS)
    assert clock.correct(machine.unix_ms + 100)


def test_a_torn_file_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / CLOCK_FILE).write_bytes(b"{")
    assert Clock(tmp_path, Machine(NOON_MS)).now().wall_ms == NOON_MS


def kept_beside_a_board(folder: Path) -> None:
    """The hub told the time at noon, when the board had counted 1,000 s since its third power-up."""
    machine = Machine(NOON_MS)
    clock = Clock(folder, machine, machine.up_ms)
    clock.board = lambda: BoardTime(3, 1_000.0)
    clock.correct(NOON_MS)
    clock.keep()


def test_the_board_counts_the_hours_that_a_node_without_a_battery_was_off(tmp_path: Path) -> None:
    kept_beside_a_board(tmp_path)
    clock = Clock(tmp_path, Machine(1_000))
    assert clock.now().wall_ms == NOON_MS
    assert clock.hear_board(BoardTime(3, 37_000.0))
    assert (clock.now().wall_ms, clock.now().trusted) == (NOON_MS + 36_000_000, False)
    assert not clock.hear_board(BoardTime(3, 37_000.0)), "said once"


def test_a_clock_that_runs_years_ahead_is_brought_back_by_the_board(tmp_path: Path) -> None:
    kept_beside_a_board(tmp_path)
    clock = Clock(tmp_path, Machine(NOON_MS + 10**11))
    assert clock.hear_board(BoardTime(3, 1_060.0))
    assert clock.now().wall_ms == NOON_MS + 60_000


def test_a_board_that_was_without_power_itself_and_one_beside_a_good_clock_change_nothing(tmp_path: Path) -> None:
    kept_beside_a_board(tmp_path)
    clock = Clock(tmp_path, Machine(1_000))
    assert not clock.hear_board(BoardTime(4, 90_000.0))
    assert not clock.hear_board(BoardTime(3, 900.0))
    assert clock.now().wall_ms == NOON_MS
    right = Clock(tmp_path, Machine(NOON_MS + 3_600_500))
    assert not right.hear_board(BoardTime(3, 4_600.0))
    told = Clock(tmp_path, Machine(NOON_MS))
    told.correct(NOON_MS + 5_000)
    assert not told.hear_board(BoardTime(3, 90_000.0)), "the hub knows better"


def kept_at_noon(folder: Path) -> None:
    """The hub told the time at noon, by a machine whose own clock was right."""
    machine = Machine(NOON_MS)
    clock = Clock(folder, machine, machine.up_ms)
    clock.correct(NOON_MS)
    clock.keep()


def test_a_clock_that_is_a_year_ahead_is_doubted_and_what_is_recorded_stands_under_the_last_day(tmp_path: Path) -> None:
    kept_at_noon(tmp_path)
    machine = Machine(NOON_MS + 365 * DAY_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    machine.passes(60_000)
    assert (clock.now().wall_ms, clock.now().trusted) == (NOON_MS + 60_000, False)
    assert clock.doubted_ms == NOON_MS + 365 * DAY_MS + 60_000
    clock.correct(NOON_MS + 2 * DAY_MS)
    assert (clock.now().wall_ms, clock.doubted_ms) == (NOON_MS + 2 * DAY_MS, 0)


def test_a_person_settles_what_day_it_is_and_the_next_start_knows(tmp_path: Path) -> None:
    kept_at_noon(tmp_path)
    machine = Machine(NOON_MS + 365 * DAY_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    with pytest.raises(Refused) as before:
        clock.say(NOON_MS - 3 * DAY_MS)
    assert before.value.refusal.code == "clock_before"
    clock.say(NOON_MS + 9 * DAY_MS)
    clock.keep()
    assert (clock.now().wall_ms, clock.now().trusted) == (NOON_MS + 9 * DAY_MS, False)
    with pytest.raises(Refused) as certain:
        clock.say(NOON_MS + 9 * DAY_MS)
    assert certain.value.refusal.code == "clock_certain"
    machine.passes(DAY_MS)
    again = Clock(tmp_path, machine, machine.up_ms)
    assert (again.now().wall_ms, again.doubted_ms) == (NOON_MS + 10 * DAY_MS, 0)


def test_a_mistyped_year_is_refused_for_it_would_stand_in_all_records_for_good(tmp_path: Path) -> None:
    kept_at_noon(tmp_path)
    machine = Machine(NOON_MS + 36 * 365 * DAY_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    for said_ms in (clock.doubted_ms, NOON_MS + 20 * 365 * DAY_MS):
        with pytest.raises(Refused) as far:
            clock.say(said_ms)
        assert far.value.refusal.code == "clock_far"
    assert clock.now().wall_ms == NOON_MS and clock.doubted_ms, "the question stays, and the work goes on"
    clock.say(NOON_MS + 365 * DAY_MS)
    assert (clock.now().wall_ms, clock.doubted_ms) == (NOON_MS + 365 * DAY_MS, 0)


def test_the_last_work_settles_it_and_a_weekend_needs_nobody(tmp_path: Path) -> None:
    kept_at_noon(tmp_path)
    assert Clock(tmp_path, Machine(NOON_MS + 3 * DAY_MS)).doubted_ms == 0
    machine = Machine(NOON_MS + 30 * DAY_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    clock.worked(NOON_MS + 2 * DAY_MS)
    assert clock.doubted_ms, "the work ended weeks before, too"
    clock.worked(NOON_MS + 29 * DAY_MS)
    assert (clock.now().wall_ms, clock.doubted_ms) == (NOON_MS + 30 * DAY_MS, 0)


def test_without_the_hub_the_time_is_kept_once_an_hour_and_never_while_it_is_doubted(tmp_path: Path) -> None:
    kept_at_noon(tmp_path)
    machine = Machine(NOON_MS + DAY_MS)
    clock = Clock(tmp_path, machine, machine.up_ms)
    assert not clock.is_due()
    machine.passes(KEEP_ALONE_MS + 1)
    assert clock.is_due()
    clock.keep()
    assert not clock.is_due()
    doubted = Clock(tmp_path, ahead := Machine(NOON_MS + 99 * DAY_MS), ahead.up_ms)
    ahead.passes(KEEP_ALONE_MS + 1)
    assert doubted.doubted_ms and not doubted.is_due()


def test_a_board_that_counted_a_minute_takes_the_doubt_away(tmp_path: Path) -> None:
    kept_beside_a_board(tmp_path)
    clock = Clock(tmp_path, Machine(NOON_MS + 365 * DAY_MS))
    clock.hear_board(BoardTime(3, 1_060.0))
    assert (clock.now().wall_ms, clock.doubted_ms) == (NOON_MS + 60_000, 0)


async def test_a_node_whose_clock_jumped_asks_what_day_it_is_and_takes_the_answer(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    now_ms = time.time_ns() // 1_000_000
    machine = Machine(now_ms)

    def kept() -> Clock:
        first = Clock(setup.folder, machine, machine.up_ms)
        first.correct(now_ms)
        first.keep()
        machine.unix_ms += 365 * DAY_MS
        return Clock(setup.folder, machine, machine.up_ms)

    async with Served(setup) as served:
        tablet, served.node.clinic.clock = served.tablet, await asyncio.to_thread(kept)
        await tablet.login(setup)
        _, visit = await tablet.register()
        token = await tablet.fill(visit)
        status = await tablet.get("/api/status")
        assert (status["doubted_ms"], status["time_ms"]) == (now_ms + 365 * DAY_MS, now_ms)
        day = await tablet.get("/api/day")
        assert [row["token"] for row in day["rows"]] == [token]  # type: ignore[attr-defined]
        assert (day["day"], day["time_trusted"]) == (day_text(day_of(now_ms)), False)
        assert (await tablet.call("POST", "/api/clock", {"time_ms": 1}))[0] == 400
        tomorrow_ms = now_ms + DAY_MS
        assert await tablet.call("POST", "/api/clock", {"time_ms": tomorrow_ms}) == (200, {"time_ms": tomorrow_ms})
        status = await tablet.get("/api/status")
        assert (status["doubted_ms"], status["time_ms"]) == (0, tomorrow_ms)
        code, reply = await tablet.call("POST", "/api/clock", {"time_ms": now_ms})
        assert (code, reply["code"]) == (409, "clock_certain")

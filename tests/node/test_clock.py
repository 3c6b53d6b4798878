"""The node's wall clock: corrected by the hub, kept over restarts, never back before what was seen."""

from pathlib import Path

import pytest

from edge.node.clock import KEEP_EVERY_MS, BoardTime, Clock
from edge.node.config import CLOCK_FILE

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

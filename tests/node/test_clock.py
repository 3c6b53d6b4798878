"""The node's wall clock: corrected by the hub, kept over restarts, never back before what was seen."""

from pathlib import Path

from edge.node.clock import KEEP_EVERY_MS, Clock
from edge.node.config import CLOCK_FILE

NOON_MS = 1_790_000_000_000


class Machine:
    """A machine's clock that the test moves."""

    def __init__(self, unix_ms: int) -> None:
        self.unix_ms = unix_ms

    def __call__(self) -> int:
        return self.unix_ms


def test_a_corrected_clock_tells_the_hubs_time_and_is_trusted(tmp_path: Path) -> None:
    machine = Machine(NOON_MS - 3_600_000)
    clock = Clock(tmp_path, machine)
    assert not clock.now().trusted
    clock.correct(NOON_MS)
    machine.unix_ms += 5_000
    assert (clock.now().wall_ms, clock.now().trusted) == (NOON_MS + 5_000, True)


def test_the_offset_outlives_a_restart_but_not_the_trust(tmp_path: Path) -> None:
    machine = Machine(NOON_MS - 3_600_000)
    first = Clock(tmp_path, machine)
    assert first.correct(NOON_MS)
    first.keep()
    machine.unix_ms += 60_000
    second = Clock(tmp_path, machine)
    assert (second.now().wall_ms, second.now().trusted) == (NOON_MS + 60_000, False)


def test_a_machine_that_starts_in_1970_goes_on_from_what_was_seen(tmp_path: Path) -> None:
    first = Clock(tmp_path, Machine(NOON_MS))
    first.correct(NOON_MS)
    first.keep()
    machine = Machine(1_000)
    second = Clock(tmp_path, machine)
    assert second.now().wall_ms == NOON_MS
    machine.unix_ms += 7_000
    assert second.now().wall_ms == NOON_MS + 7_000


def test_the_card_is_not_written_with_every_answer_of_the_hub(tmp_path: Path) -> None:
    machine = Machine(NOON_MS)
    clock = Clock(tmp_path, machine)
    assert clock.correct(NOON_MS)
    clock.keep()
    machine.unix_ms += 60_000
    assert not clock.correct(NOON_MS + 60_100)
    machine.unix_ms += KEEP_EVERY_MS
    assert clock.correct(machine.unix_ms + 100)


def test_a_torn_file_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / CLOCK_FILE).write_bytes(b"{")
    assert Clock(tmp_path, Machine(NOON_MS)).now().wall_ms == NOON_MS

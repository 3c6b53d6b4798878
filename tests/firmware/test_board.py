"""The very same binary, run by the simulator: display, button, power, loader and update."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.node.devices import panel_protocol as table
from edge.node.devices.panel import (
    LOADER_MAGIC,
    BoardEvent,
    CommandDone,
    EventKind,
    Image,
    LogRead,
    StatusHeard,
    UploadEnded,
)
from edge.node.devices.panel_link import encode_frame
from tests.kits.panel_board import POWER_CUT, ROOT, Board, Figure, board, image, typical_ms

pytestmark = pytest.mark.timeout(300)

BUTTON_DOWN = 1 << 3
"""Bit of a status' flags."""


def kinds(made: Board) -> list[EventKind | None]:
    return [news.kind for news in made.news if isinstance(news, BoardEvent)]


def store_events(made: Board, wanted: EventKind, timeout_s: float = 20.0) -> bool:
    """Runs until the wanted event is there, acknowledging every event as a node would."""
    acknowledged: set[int] = set()

    def done() -> bool:
        for news in made.news:
            if isinstance(news, BoardEvent) and news.number not in acknowledged:
                acknowledged.add(news.number)
                made.session.stored(news.number)
        return wanted in kinds(made)

    return made.pump(done, timeout_s)


def upload(made: Board, new: Image, timeout_s: float = 60.0) -> UploadEnded | None:
    made.session.upload(new)
    made.pump(lambda: any(isinstance(n, UploadEnded) for n in made.news), timeout_s)
    return next((n for n in made.news if isinstance(n, UploadEnded)), None)


@pytest.mark.serial
def test_a_token_stands_on_the_display_within_100_ms(
    simulator: Path, firmware: Path, tmp_path: Path, figure: Figure
) -> None:
    delays: list[float] = []
    with board(simulator, firmware, tmp_path / "b") as made:
        assert made.met()
        for number in range(10):
            made.session.show(f"A-0{number}")
            seen = len(made.lines)
            began = time.monotonic()
            assert made.pump(lambda: any(isinstance(n, CommandDone) for n in made.news))
            delays.append((made.when(f"display     A-0{number}", seen) - began) * 1000)
            made.news.clear()
    delays.sort()
    figure(f"token → display, ms: median {delays[5]:.0f}, worst {delays[-1]:.0f}")
    assert typical_ms(delays) <= 100


@pytest.mark.serial
def test_a_press_calls_the_next_patient_and_a_long_one_the_same_again(
    simulator: Path, firmware: Path, tmp_path: Path, figure: Figure
) -> None:
    with board(simulator, firmware, tmp_path / "b") as made:
        assert made.met()
        assert store_events(made, EventKind.RESTARTED)
        delays: list[float] = []
        for _ in range(5):
            made.news.clear()
            seen = len(made.lines)
            made.tell("press 150")
            assert store_events(made, EventKind.CALL_NEXT)
            delays.append((time.monotonic() - made.when("released", seen)) * 1000)
        figure(f"button → event at the node: {min(delays):.0f} to {max(delays):.0f} ms")
        assert typical_ms(delays) <= 100
        made.news.clear()
        made.tell("press 1500")
        assert store_events(made, EventKind.RECALL)
        made.wait_for("released")
        made.silence(1)
        made.pump(lambda: False, 0.7)
        assert kinds(made) == [EventKind.RECALL]


@pytest.mark.serial
def test_contact_bounce_is_one_press(simulator: Path, firmware: Path, tmp_path: Path) -> None:
    with board(simulator, firmware, tmp_path / "b") as made:
        assert made.met()
        assert store_events(made, EventKind.RESTARTED)
        made.tell("bounce 1")
        assert made.pump(lambda: made.session.status is not None and bool(made.session.status.flags & BUTTON_DOWN))
        made.tell("bounce 0")
        assert made.pump(lambda: made.session.status is not None and not made.session.status.flags & BUTTON_DOWN)
        assert made.pump(lambda: len(kinds(made)) > 1)
        made.pump(lambda: False, 1.0)
        presses = [kind for kind in kinds(made) if kind is not EventKind.RESTARTED]
        assert presses in ([EventKind.CALL_NEXT], [EventKind.RECALL]), "one, whichever it came to"


def test_an_event_is_said_again_until_it_is_acknowledged_and_taken_once(
    simulator: Path, firmware: Path, tmp_path: Path
) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=4) as made:
        assert made.met()
        made.pump(lambda: False, 0.8)
        numbers = [message.number for message in made.heard if isinstance(message, table.Event)]
        assert len(numbers) >= 3, "not acknowledged, so repeated"
        assert len(set(numbers)) == 1
        assert len([n for n in made.news if isinstance(n, BoardEvent)]) == 1, "told once"
        made.session.stored(numbers[0])
        made.pump(lambda: False, 0.2)
        made.heard.clear()
        made.pump(lambda: False, 0.6)
        assert not [message for message in made.heard if isinstance(message, table.Event)]


def test_an_empty_battery_asks_for_shutdown_then_cuts_and_wakes_with_the_mains(
    simulator: Path, firmware: Path, tmp_path: Path
) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=10) as made:
        assert made.met()
        made.tell("mains 0")
        assert store_events(made, EventKind.MAINS_LOST)
        made.tell("adc 0 2070")  # 11.5 V behind the divider
        assert store_events(made, EventKind.BATTERY_LOW)
        made.tell("adc 0 1980")  # 11.0 V
        assert store_events(made, EventKind.SHUTDOWN_ASKED)
        made.session.acknowledge_shutdown(20)
        asked_s = made.uptime_s()
        assert made.pump(lambda: any(line[1] == "pi off" for line in made.lines))
        assert 19 <= made.uptime_s() - asked_s <= 45, "cut after the 20 s that were asked for, in the board's time"
        made.tell("adc 0 2290")
        made.tell("mains 1")
        assert store_events(made, EventKind.WOKE_MAINS)
        assert made.lines[-1][1] == "pi on" or any(line[1] == "pi on" for line in made.lines)


def test_a_node_that_halts_for_a_time_is_cut_and_woken_by_the_timer(
    simulator: Path, firmware: Path, tmp_path: Path
) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=10) as made:
        assert made.met()
        assert store_events(made, EventKind.RESTARTED)
        made.session.acknowledge_shutdown(5, wake_in_s=30)
        assert made.pump(lambda: any(isinstance(n, CommandDone) and n.result == "done" for n in made.news))
        assert made.wait_for("pi off")
        off_s = made.uptime_s()
        assert made.wait_for("pi on")
        assert 28 <= made.uptime_s() - off_s <= 60
        assert store_events(made, EventKind.WOKE_TIMER)


def test_a_hung_node_is_power_cycled_but_not_while_it_updates(simulator: Path, firmware: Path, tmp_path: Path) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=10) as made:
        assert made.met()
        assert store_events(made, EventKind.RESTARTED)
        made.session.announce(updating=True)
        assert made.pump(lambda: made.session.announced)
        made.silence(60)
        assert not [line for line in made.lines if line[1] == "pi off"]
        made.session.announce()
        assert made.pump(lambda: made.session.announced)
        assert made.wait_for("pi off", 60)
        assert made.wait_for("pi on", 60)
        assert store_events(made, EventKind.POWER_CYCLED)


def test_a_look_by_hand_does_not_make_the_board_miss_a_node(simulator: Path, firmware: Path, tmp_path: Path) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=10) as made:
        command = [sys.executable, "-m", "edge.node", "panel", "status", "--port", made.port]
        assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0
        made.silence(60)
        assert not [line for line in made.lines if line[1] == "pi off"]


def test_calibration_and_event_log_outlive_the_power_and_the_stack_has_room(
    simulator: Path, firmware: Path, tmp_path: Path, figure: Figure
) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=4) as made:
        assert made.met()
        assert made.pump(lambda: made.session.status is not None and made.session.status.battery_mv > 12_000)
        made.session.calibrate(0, 12_400)
        made.session.calibrate(1, 2_000)  # no meter reads that
        made.session.show("HELP-123")
        made.session.buzz(2)
        made.session.buzz(77)
        made.tell("mains 0")
        assert store_events(made, EventKind.MAINS_LOST)
        assert made.pump(lambda: sum(isinstance(n, CommandDone) for n in made.news) == 5)
        results = [n.result for n in made.news if isinstance(n, CommandDone)]
        assert results == ["done", "bad_value", "done", "done", "bad_value"]
    with board(simulator, firmware, tmp_path / "b", speed=4) as made:
        assert made.met()
        assert made.pump(lambda: made.session.status is not None and made.session.status.battery_mv != 0)
        status = made.session.status
        assert status is not None
        assert abs(status.battery_mv - 12_400) < 30
        for back in range(4):
            made.session.read_log(back)
        assert made.pump(lambda: sum(isinstance(n, LogRead) for n in made.news) == 4)
        records = [n.record for n in made.news if isinstance(n, LogRead)]
        assert [(one.kind, one.boots) for one in records] == [(10, 2), (3, 1), (10, 1), (0, 0)]
        made.news.clear()
        assert made.pump(lambda: any(isinstance(n, StatusHeard) for n in made.news))
        status = made.session.status
        assert status is not None
        figure(f"stack: {status.stack_free} B of RAM never touched")
        assert status.stack_free >= 512


def test_random_and_bit_flipped_bytes_hang_nothing_and_command_nothing(
    simulator: Path, firmware: Path, tmp_path: Path, request: pytest.FixtureRequest, figure: Figure
) -> None:
    size = 1_000_000 if request.config.getoption("--long", default=False) else 60_000
    rng = random.Random(7)
    good = b"".join(encode_frame(rng.randrange(256), table.Buzz(2)) for _ in range(40))
    with board(simulator, firmware, tmp_path / "b", speed=50) as made:
        assert made.met()
        sent = 0
        while sent < size:
            if rng.random() < 0.5:
                blob = rng.randbytes(400)
            else:
                # Each frame has one bit flipped: a CRC-16 finds every single-bit error.
                blob = b"".join(_flip(frame + b"\0", rng) for frame in good.split(b"\0")[:-1])
            made.write(blob)
            sent += len(blob)
            if sent // 20_000 != (sent - len(blob)) // 20_000:
                made.write(b"\0" + encode_frame(1, table.Heartbeat(0)))  # or the board would cut a hung node's power
        made.write(b"\0\0")
        assert not [line for line in made.lines if line[1] == "buzz on"]
        assert not [line for line in made.lines if line[1] in ("pi off", "watchdog")]
        made.session = type(made.session)(time.monotonic())
        assert made.met(), "answers as before"
        assert made.pump(lambda: made.session.status is not None)
        figure(f"{sent} B of noise: {made.session.status}")
        assert made.session.status is not None
        assert made.session.status.stack_free >= 512


def test_the_loader_hears_nothing_in_noise_and_takes_an_application_afterwards(
    simulator: Path, firmware: Path, newer: Path, tmp_path: Path, request: pytest.FixtureRequest, figure: Figure
) -> None:
    size = 1_000_000 if request.config.getoption("--long", default=False) else 40_000
    rng = random.Random(8)
    commands = (table.UploadBegin(2000, 1, 3), table.UploadCommit(), table.Start(), table.UploadData(0, bytes(32)))
    with board(simulator, firmware, tmp_path / "b", speed=4, uart=16, trace=True) as made:
        assert made.met()
        made.write(encode_frame(9, table.EnterLoader(LOADER_MAGIC)))
        assert made.hello().mode == 1
        written = sum(line.startswith("op ") for _, line in made.lines)
        sent = 0
        while sent < size:
            # Each frame has one bit flipped; some random bytes between them.
            blob = b"".join(_flip(encode_frame(rng.randrange(256), one), rng) + b"\0" for one in commands * 4)
            blob += rng.randbytes(200) + b"\0"
            made.write(blob)
            sent += len(blob)
            if sent // 20_000 != (sent - len(blob)) // 20_000:
                assert made.hello().mode == 1, "still there"
        assert made.hello().mode == 1
        assert sum(line.startswith("op ") for _, line in made.lines) == written, "nothing was erased or written"
        figure(f"{sent} B of noise into the loader: no write, no start")
        assert upload(made, image(newer, 2)) == UploadEnded(True, "running")


def _flip(frame: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(frame) - 1)
    flipped = frame[at] ^ (1 << rng.randrange(8))
    return frame[:at] + bytes([flipped or frame[at]]) + frame[at + 1 :] if flipped else frame[:at] + frame[at + 1 :]


@pytest.mark.serial
def test_the_link_is_as_fast_as_its_wire(
    simulator: Path, firmware: Path, newer: Path, tmp_path: Path, figure: Figure
) -> None:
    with board(simulator, firmware, tmp_path / "b") as made:
        assert made.met()
        delays: list[float] = []
        for _ in range(20):
            made.session.buzz(0)
            made.news.clear()
            began = time.monotonic()
            assert made.pump(lambda: any(isinstance(n, CommandDone) for n in made.news))
            delays.append((time.monotonic() - began) * 1000)
        delays.sort()
        new = image(newer, 2)
        began = time.monotonic()
        assert upload(made, new) == UploadEnded(True, "running")
        took_s = time.monotonic() - began
        figure(f"command and answer, ms: median {delays[10]:.1f}, worst {delays[-1]:.1f}")
        figure(f"upload of {len(new.data)} B until it runs: {took_s:.1f} s, {len(new.data) / took_s:.0f} B/s")
        assert typical_ms(delays) <= 50


def test_an_update_runs_confirms_itself_and_stays(
    simulator: Path, firmware: Path, newer: Path, tmp_path: Path, figure: Figure
) -> None:
    with board(simulator, firmware, tmp_path / "b", speed=4) as made:
        assert made.met()
        assert store_events(made, EventKind.RESTARTED)
        made.tell("mains 0")
        made.silence(3)
        before_s = made.uptime_s()
        began = time.monotonic()
        assert upload(made, image(newer, 2)) == UploadEnded(True, "running")
        figure(f"upload at 4 × speed: {time.monotonic() - began:.1f} s")
        assert made.session.identity is not None
        assert made.session.identity.app_version == 2
        assert made.session.identity.uptime_s >= before_s, "the time went on"
        assert made.pump(lambda: any(isinstance(n, StatusHeard) for n in made.news))
        assert made.pump(lambda: EventKind.MAINS_LOST in kinds(made)), "an event that nobody stored outlived it"
    for _ in range(5):
        with board(simulator, firmware, tmp_path / "b", speed=4) as made:
            assert made.met()
            assert made.session.identity is not None
            assert (made.session.identity.mode, made.session.identity.app_version) == (0, 2)


def test_an_application_that_hangs_is_given_three_chances_and_then_replaced(
    simulator: Path, firmware: Path, tmp_path: Path, figure: Figure
) -> None:
    hangs = Image(bytes([0xFF, 0xCF]) * 200, 9)  # rjmp to itself
    with board(simulator, firmware, tmp_path / "b", speed=4) as made:
        assert made.met()
        ended = upload(made, hangs)
        assert ended is not None
        assert not ended.ok
        assert sum(line[1] == "watchdog" for line in made.lines) >= 3
        assert made.session.identity is not None
        assert made.session.identity.mode == 1, "the loader waits"
        made.news.clear()
        began = time.monotonic()
        assert upload(made, image(firmware, 1)) == UploadEnded(True, "running")
        back_s = (time.monotonic() - began) * 4
        figure(f"previous application back after {back_s:.0f} s of the board's time")
        assert back_s <= 60


def count_writes(simulator: Path, firmware: Path, newer: Path, state: Path) -> int:
    """How many flash and EEPROM writes one whole update takes."""
    with board(simulator, firmware, state, speed=4, uart=16, trace=True) as made:
        assert made.met()
        assert upload(made, image(newer, 2)) == UploadEnded(True, "running")
        assert made.pump(lambda: any(isinstance(n, StatusHeard) for n in made.news))
    return sum(line[1].startswith("op ") for line in made.lines)


@pytest.mark.timeout(3000)
def test_a_power_cut_at_any_write_of_an_update_leaves_a_board_that_starts(
    simulator: Path, firmware: Path, newer: Path, tmp_path: Path, request: pytest.FixtureRequest, figure: Figure
) -> None:
    writes = count_writes(simulator, firmware, newer, tmp_path / "count")
    cuts = list(range(1, writes + 1))
    if not request.config.getoption("--long", default=False):
        cuts = sorted(random.Random(11).sample(cuts, 6))
    old = new = 0
    for cut in cuts:
        state = tmp_path / f"cut{cut}"
        with board(simulator, firmware, state, speed=4, uart=16, cut_at=cut, seed=cut) as made:
            if made.met():
                made.session.upload(image(newer, 2))
                made.pump(lambda: False, 30)
            assert made.close() == POWER_CUT
        with board(simulator, firmware, state, speed=4, uart=16) as made:
            assert made.met(), f"cut at write {cut}: the board is stuck"
            identity = made.session.identity
            assert identity is not None
            assert identity.mode == 0 or identity.app_version, f"cut at write {cut}: nothing to start"
            if identity.app_version == 2:
                new += 1
            else:
                old += 1
            made.news.clear()
            ended = upload(made, image(newer, 2), 30)
            assert ended is not None, f"cut at write {cut}: a second try does not get through"
            assert ended.ok, f"cut at write {cut}: {ended.reason}"
    figure(f"{len(cuts)} cuts of {writes}: old application {old}, new {new}, stuck 0")

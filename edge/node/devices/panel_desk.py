"""What the panel board means in the clinic: the button calls the next of the queue (:mod:`edge.node.calling`), the
display shows whose turn it is, an empty battery ends the node in order, and a node whose store no longer answers lets
itself be power-cycled.

Knows the clinic and the port; no serial line. What a press did is on the disk before the board may forget it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from edge.model.errors import UpkendraError
from edge.web.logs import say
from edge.web.refusals import Locked

from ..calling import Calling, CallOfToken
from ..clinic import Clinic
from ..live import Push, StickPush
from .panel import BoardEvent, BoardFound, CommandDone, EventKind, PanelNews, StatusHeard
from .panel_port import PanelHealth, PanelPort, PanelState
from .panel_protocol import ShutdownAck
from .panel_update import Holds, ImageStore

logger = logging.getLogger("edge.node.panel")

STALE_PRESS_S = 5
"""A press that waited longer for the node to come back calls nobody: whoever pressed has long gone on."""
STORE_CHECK_S = 5.0
STORE_TIMEOUT_S = 15.0
CUT_AFTER_S = 60
"""From the acknowledged shutdown to the power cut: what the operating system takes to halt, and as much again."""
ACK_TIMEOUT_S = 8.0
LEAVE_TIMEOUT_S = 2.0
LOOK_FOR_HOLD_S = 1.0
NEXT_PATIENT, EMERGENCY, ERROR_TONE, SHORT_TONE = 1, 2, 3, 4
"""Buzzer patterns of protocol.toml."""
_STICK_TONES = {"out": SHORT_TONE, "failed": ERROR_TONE}
"""What is heard of a USB stick by somebody who does not stand before a tablet."""
SHUTDOWN_ASKED = 2
"""``power_state`` of a status."""
NOISY_FRAMES_AN_HOUR = 100
STACK_LOW_BYTES = 128


class PanelReport(Struct, frozen=True):
    """The board as ``GET /api/panel`` tells of it."""

    fitted: bool
    """Whether this node was told of a board at all."""
    health: PanelHealth | None = None
    faults: tuple[str, ...] = ()


def faults_of(health: PanelHealth) -> tuple[str, ...]:
    """What somebody should look after, as stable codes, the gravest first."""
    found: list[str] = []
    if health.state is not PanelState.RUNNING:
        found.append(f"panel_{health.state.value}")
    elif health.uptime_s and not health.mains:
        found.append("battery_low" if health.battery_low else "on_battery")
    if health.bad_frames > NOISY_FRAMES_AN_HOUR * max(1.0, health.uptime_s / 3600):
        found.append("panel_line_noisy")
    if health.state is PanelState.RUNNING and 0 < health.stack_free < STACK_LOW_BYTES:
        found.append("panel_stack_low")
    return tuple(found)


def display_of(call: CallOfToken) -> str:
    """What the display shows for a token that was called: its serial, ``E`` before it in an emergency."""
    serial = f"{call.serial:03d}" if call.token else "---"
    return f"E-{serial}" if call.red else serial


class PanelDesk:
    """The board's place in a node."""

    def __init__(
        self, clinic: Clinic, calling: Calling, device: str, folder: Path, on_shutdown: Callable[[], None]
    ) -> None:
        """``folder`` is the node's data folder; ``on_shutdown`` ends the process in order."""
        self._clinic = clinic
        self._calling = calling
        self._on_shutdown = on_shutdown
        self._port = PanelPort(device, self._heard, ImageStore(folder / "panel"))
        self._holds = Holds(folder / "panel")
        self._presses: asyncio.Queue[tuple[BoardEvent, float]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._shutdown_asked = False
        self._cut_accepted = asyncio.Event()

    async def start(self) -> None:
        """Begin; the board may be absent."""
        self._clinic.tablets.listeners.append(self._pushed)
        self._calling.on_called.append(self._called)
        self._clinic.clock.board = self._port.board_time
        await self._port.start()
        works = (self._carry_out(), self._watch_store(), self._watch_hold())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def rest(self) -> None:
        """The node begins to stop: presses stay with the board, heartbeats go on."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._clinic.tablets.listeners.remove(self._pushed)
        self._calling.on_called.remove(self._called)

    async def stop(self) -> None:
        """End. Call it when all files are closed: the board that asked for a shutdown now hears that it may cut, and
        any other one that a node which restarts with its system is not a hung one."""
        if self._shutdown_asked and self._port.ask(lambda session: session.acknowledge_shutdown(CUT_AFTER_S)):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._cut_accepted.wait(), ACK_TIMEOUT_S)
            say(logger, "panel_shutdown_acknowledged", accepted=self._cut_accepted.is_set())
        elif self._port.health.state is PanelState.RUNNING:
            updating = await asyncio.to_thread(self._holds.wanted)
            heard = await self._port.announce(updating=updating, leaving=True, timeout_s=LEAVE_TIMEOUT_S)
            say(logger, "panel_leave_taken", heard=heard)
        await self._port.stop()

    def report(self) -> PanelReport:
        """How the board stands."""
        health = self._port.health
        return PanelReport(True, health, faults_of(health))

    # -- what the board says --------------------------------------------------------------------------

    def _heard(self, news: PanelNews) -> None:
        match news:
            case BoardFound():
                board = self._port.board_time()
                if board is not None and self._clinic.clock.hear_board(board):
                    say(logger, "clock_set_by_board", uptime_s=round(board.uptime_s))
                present = self._calling.present
                self._show(display_of(present) if present else "", 0)
            case BoardEvent():
                self._event(news)
            case StatusHeard(status) if status.power_state == SHUTDOWN_ASKED:
                self._end()  # also when the event waits behind presses that cannot be carried out
            case CommandDone(command=ShutdownAck(), result="done"):
                self._cut_accepted.set()
            case CommandDone(command, result) if result != "done":
                say(logger, "panel_command_failed", command=type(command).__name__, result=result)
            case _:
                return

    def _event(self, event: BoardEvent) -> None:
        if event.kind in (EventKind.CALL_NEXT, EventKind.RECALL):
            self._presses.put_nowait((event, asyncio.get_running_loop().time() - event.age_s))
            return
        kind = event.kind.value if event.kind else "unknown"
        say(logger, "panel_event", kind=kind, value=event.value, uptime_s=event.uptime_s)
        if event.kind is EventKind.BATTERY_LOW:
            self._port.ask(lambda session: session.buzz(ERROR_TONE))
        self._port.ask(lambda session: session.stored(event.number))
        if event.kind is EventKind.SHUTDOWN_ASKED:
            self._end()

    def _end(self) -> None:
        if not self._shutdown_asked:
            self._shutdown_asked = True
            self._on_shutdown()

    async def _carry_out(self) -> None:
        while True:
            event, pressed_at = await self._presses.get()
            try:
                await self._press(event, pressed_at)
            except (Locked, UpkendraError, OSError) as error:
                say(logger, "panel_press_refused", why=type(error).__name__)
                self._port.ask(lambda session: session.buzz(ERROR_TONE))
            self._port.ask(lambda session, number=event.number: session.stored(number))  # type: ignore[misc]

    async def _press(self, event: BoardEvent, pressed_at: float) -> None:
        key = (event.number, event.uptime_s)
        if self._calling.carried_out(key):
            return
        age_s = asyncio.get_running_loop().time() - pressed_at
        if age_s > STALE_PRESS_S:
            say(logger, "panel_press_stale", age_s=round(age_s))
            return
        calling = self._calling
        call = await (calling.again(key) if event.kind is EventKind.RECALL else calling.next(key))
        if call is None:
            self._port.ask(lambda session: session.buzz(ERROR_TONE))

    def _called(self, call: CallOfToken) -> None:
        self._show(display_of(call), EMERGENCY if call.red else NEXT_PATIENT)

    def _show(self, text: str, pattern: int) -> None:
        self._port.ask(lambda session: session.show(text))
        if pattern:
            self._port.ask(lambda session: session.buzz(pattern))

    # -- what the clinic says -------------------------------------------------------------------------

    def _pushed(self, message: Push) -> None:
        if isinstance(message, StickPush) and message.stage in _STICK_TONES:
            tone = _STICK_TONES[message.stage]
            self._port.ask(lambda session: session.buzz(tone))

    async def _watch_store(self) -> None:
        """The heartbeat says that the store answers, so it has to be asked."""
        while True:
            try:
                async with asyncio.timeout(STORE_TIMEOUT_S):
                    await self._clinic.store.outbox(lambda outbox: outbox.backlog())
                self._port.set_healthy(True)
            except TimeoutError:
                say(logger, "store_does_not_answer", logging.ERROR)
                self._port.set_healthy(False)
            await asyncio.sleep(STORE_CHECK_S)

    async def _watch_hold(self) -> None:
        """An update of the node is announced before anything falls silent, and confirmed to whoever runs it."""
        held = False
        await asyncio.to_thread(self._holds.confirm, held)
        while True:
            wanted, confirmed = await asyncio.to_thread(lambda: (self._holds.wanted(), self._holds.held()))
            if (wanted is not held or wanted is not confirmed) and await self._port.announce(updating=wanted):
                held = wanted
                say(logger, "panel_hold", held=held)
                await asyncio.to_thread(self._holds.confirm, held)
            await asyncio.sleep(LOOK_FOR_HOLD_S)

"""The panel board's serial port in the event loop: opens it, opens it again after a loss, and runs the session on it.

Does what :class:`~.panel.PanelSession` and :class:`~.panel_update.UpdatePolicy` say; decides nothing about patients.
Opening happens on a thread, because a USB adapter that dies can hold up an open for seconds.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from enum import StrEnum

import serial
from msgspec import Struct, structs

from edge.web.logs import say

from ..clock import BoardTime
from . import panel_protocol as table
from .panel import (
    BoardEvent,
    BoardFound,
    BoardLost,
    EventKind,
    PanelNews,
    PanelSession,
    StatusHeard,
    UploadEnded,
)
from .panel_update import ImageRefused, ImageStore, UpdatePolicy, Verdict

logger = logging.getLogger("edge.node.panel")

BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
LOOK_FOR_IMAGE_S = 2.0
"""How often the folder is looked at for a new application (``panel update`` puts it there)."""
MAX_WAITING_BYTES = 4096
"""A port that takes nothing for so long is opened anew."""


class PanelState(StrEnum):
    ABSENT = "absent"
    """The port cannot be opened."""
    SILENT = "silent"
    """The port is open, nobody answers."""
    LOADER = "loader"
    """The board waits in its loader for an application."""
    RUNNING = "running"


class PanelHealth(Struct, frozen=True):
    """How the board stands, for the checks and ``panel status``."""

    state: PanelState
    app_version: int = 0
    app_crc: int = 0
    uptime_s: int = 0
    battery_mv: int = 0
    input_mv: int = 0
    mains: bool = False
    battery_low: bool = False
    power_state: int = 0
    bad_frames: int = 0
    unknown: int = 0
    stack_free: int = 0
    upload: float | None = None
    """0 to 1 while an application is uploaded."""
    opens: int = 0
    """How often the port was opened since the start."""


class PanelPort:
    """One board. ``start`` and ``stop`` in the loop; everything else may be called between."""

    def __init__(self, device: str, on_news: Callable[[PanelNews], None], images: ImageStore | None = None) -> None:
        """``on_news`` is called in the loop with everything that the board says."""
        self._device = device
        self._on_news = on_news
        self._images = images
        self._policy: UpdatePolicy | None = None
        self._port: serial.Serial | None = None
        self._descriptor = -1
        self._session: PanelSession | None = None
        self._out = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._looked_at: tuple[int, int] = (0, 0)
        self._keeping: set[asyncio.Future[None]] = set()
        self._healthy = True
        self._announcement = (False, False)
        self._status_heard = asyncio.Event()
        self._opens = 0
        self._uploaded_at_s = 0.0

    async def start(self) -> None:
        """Begin to look for the board. Returns at once."""
        if self._images is not None:
            images = self._images
            good = await asyncio.to_thread(images.load, "good")
            self._policy = UpdatePolicy(good, None)
            self._watcher = asyncio.create_task(self._watch_images())
        self._runner = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Let the port go. What was not sent is forgotten; what the board knows it says again to whoever comes."""
        for task in (self._runner, self._watcher):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._keeping:
            await asyncio.wait(set(self._keeping))
        await self._close()

    @property
    def session(self) -> PanelSession | None:
        """The session on the open port, to ask things of; call :meth:`wake` afterwards."""
        return self._session

    @property
    def health(self) -> PanelHealth:
        session = self._session
        if session is None:
            return PanelHealth(PanelState.ABSENT, opens=self._opens)
        identity, status = session.identity, session.status
        health = PanelHealth(PanelState.SILENT, upload=session.upload_progress, opens=self._opens)
        if identity is None:
            return health
        state = PanelState.LOADER if identity.mode == 1 else PanelState.RUNNING
        health = structs.replace(
            health, state=state, app_version=identity.app_version, app_crc=identity.app_crc, uptime_s=identity.uptime_s
        )
        if status is None:
            return health
        return structs.replace(
            health,
            uptime_s=status.uptime_s,
            battery_mv=status.battery_mv,
            input_mv=status.input_mv,
            mains=bool(status.flags & 1),
            battery_low=bool(status.flags & 2),
            power_state=status.power_state,
            bad_frames=status.bad_frames,
            unknown=status.unknown,
            stack_free=status.stack_free,
        )

    def board_time(self) -> BoardTime | None:
        """The board's clock now, None while it is unknown. From any thread."""
        session = self._session
        if session is None or not session.boots:
            return None
        return BoardTime(session.boots, session.board_uptime_s(time.monotonic()))

    def set_healthy(self, healthy: bool) -> None:
        """Whether the node can do its work; when not, heartbeats stop and the board power-cycles it."""
        self._healthy = healthy
        if self._session is not None:
            self._session.healthy = healthy

    async def announce(self, *, updating: bool = False, leaving: bool = False, timeout_s: float = 5.0) -> bool:
        """Tell the board why the node may fall silent (:meth:`PanelSession.announce`), over reopened ports too.

        True once the board has confirmed it: only then may the node be silent.
        """
        self._announcement = (updating, leaving)
        self.ask(lambda session: session.announce(updating=updating, leaving=leaving))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._session is None or not self._session.announced:
                    self._status_heard.clear()
                    await self._status_heard.wait()
                return True
        return False

    def ask(self, what: Callable[[PanelSession], None]) -> bool:
        """Ask something of the session and send it. False when there is no open port."""
        if self._session is None:
            return False
        what(self._session)
        self.wake()
        return True

    def wake(self) -> None:
        """Send what is to be sent, hand out the news and set the timer anew."""
        session = self._session
        if session is None:
            return
        now = asyncio.get_running_loop().time()
        self._out += session.bytes_to_send(now)
        self._write()
        while (news := session.next_news()) is not None:
            self._heard(news, now)
        self._begin_upload(session, now)
        self._out += session.bytes_to_send(now)
        self._write()
        if self._timer is not None:
            self._timer.cancel()
        if self._session is session:
            at = max(session.get_timer(), now + 0.001)
            self._timer = asyncio.get_running_loop().call_at(at, self.wake)

    # -- the application ------------------------------------------------------------------------------

    def _begin_upload(self, session: PanelSession, now: float) -> None:
        if self._policy is None or session.upload_progress is not None:
            return
        image = self._policy.next_upload(now)
        if image is not None:
            self._uploaded_at_s = session.board_uptime_s(now)
            say(logger, "panel_upload", version=image.version)
            session.upload(image)

    def _heard(self, news: PanelNews, now: float) -> None:
        if self._policy is not None:
            self._follow(self._policy, news, now)
        if isinstance(news, StatusHeard):
            self._status_heard.set()
        self._on_news(news)

    def _follow(self, policy: UpdatePolicy, news: PanelNews, now: float) -> None:
        verdict: Verdict | None = None
        match news:
            case BoardFound(identity):
                policy.found(identity, now)
            case BoardLost():
                verdict = policy.lost(now)
            case StatusHeard():
                verdict = policy.alive(now)
            case BoardEvent(kind=EventKind.RESTARTED, uptime_s=uptime_s) if uptime_s >= self._uploaded_at_s - 2:
                # An older one waited in the board's memory and says nothing about the new application.
                verdict = policy.restarted()
            case UploadEnded(ok, reason):
                say(logger, "panel_upload_ended", ok=ok, reason=reason)
                verdict = policy.ended(ok, now)
            case _:
                return
        if verdict is not None and self._images is not None:
            say(logger, "panel_application", verdict=verdict.value)
            work = self._images.promote if verdict is Verdict.PROMOTE else self._images.discard
            kept = asyncio.get_running_loop().run_in_executor(None, work)
            self._keeping.add(kept)
            kept.add_done_callback(self._kept)

    def _kept(self, kept: "asyncio.Future[None]") -> None:
        self._keeping.discard(kept)
        if not kept.cancelled() and kept.exception() is not None:
            logger.error("the panel's image could not be kept", exc_info=kept.exception())

    async def _watch_images(self) -> None:
        assert self._images is not None
        assert self._policy is not None
        images = self._images

        def look() -> tuple[int, int]:
            try:
                found = (images.folder / "wanted.img").stat()
            except OSError:
                return 0, 0
            return found.st_mtime_ns, found.st_ino

        while True:
            seen = await asyncio.to_thread(look)
            if seen != self._looked_at:
                self._looked_at = seen
                image = await asyncio.to_thread(images.load, "wanted") if seen != (0, 0) else None
                if image is not None:
                    self._policy.want(image)
                    self.wake()
                elif seen != (0, 0):
                    say(logger, "panel_image_refused", code=ImageRefused.code)
            await asyncio.sleep(LOOK_FOR_IMAGE_S)

    # -- the port -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._open()
            except (OSError, serial.SerialException):
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
                continue
            began = asyncio.get_running_loop().time()
            say(logger, "panel_port_open", device=self._device)
            self.wake()
            await self._lost.wait()
            say(logger, "panel_port_lost", device=self._device)
            await self._close()
            if asyncio.get_running_loop().time() - began > 60.0:
                failures = 0
            await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            failures += 1

    async def _open(self) -> None:
        def opened() -> serial.Serial:
            return serial.Serial(self._device, table.BAUD, timeout=0, write_timeout=0, exclusive=True)

        port = await asyncio.to_thread(opened)
        self._lost.clear()
        self._port = port
        self._descriptor = port.fileno()
        os.set_blocking(self._descriptor, False)
        self._opens += 1
        self._out.clear()
        loop = asyncio.get_running_loop()
        self._session = PanelSession(loop.time())
        self._session.healthy = self._healthy
        updating, leaving = self._announcement
        self._session.announce(updating=updating, leaving=leaving)
        loop.add_reader(self._descriptor, self._readable)

    async def _close(self) -> None:
        port, self._port = self._port, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if port is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)
        session, self._session = self._session, None
        if session is not None and session.identity is not None:
            self._heard(BoardLost(), loop.time())
        await asyncio.to_thread(port.close)

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._give_up()
            return
        if self._session is not None:
            self._session.receive(data, asyncio.get_running_loop().time())
            self.wake()

    def _write(self) -> None:
        if not self._out or self._port is None:
            return
        loop = asyncio.get_running_loop()
        try:
            written = os.write(self._descriptor, self._out)
        except BlockingIOError:
            written = 0
        except OSError:
            self._give_up()
            return
        del self._out[:written]
        if len(self._out) > MAX_WAITING_BYTES:
            self._give_up()
        elif self._out:
            loop.add_writer(self._descriptor, self._write)
        else:
            loop.remove_writer(self._descriptor)

    def _give_up(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)
        self._lost.set()

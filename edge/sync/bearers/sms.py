"""SMS: a serial GSM modem in the event loop. Off unless it was asked for.

Opens the port, opens it again after a loss, and does what :class:`edge.sync.sms_mail.Mailer` says. Not a path for
packets: it carries messages of :mod:`edge.sync.sms`, which somebody keeps before the SIM forgets them.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import serial
from msgspec import Struct

from edge.model.errors import UpkendraError

from ..sms import Ledger
from ..sms_mail import Came, Delivered, GivenUp, Left, Mailer, Outcome, PortLost, StateChanged, Unreported
from ..sms_modem import Modem, Trouble
from .base import BearerRefused

logger = logging.getLogger("edge.sync.sms")

BAUD = 115_200
REOPEN_S = 5.0
OUTPUT_MAX_BYTES = 16 * 1024

Keep: TypeAlias = Callable[[str, bytes], Awaitable[None]]
"""Called with the sender's number and a whole message: keeps it durably, or knows that it never will. An exception
leaves it on the SIM, and it comes again."""


class SmsHealth(Struct, frozen=True):
    """How the bearer stands, for the technician."""

    up: bool
    trouble: str
    """A code of docs/errors.md, or ""."""
    waiting: int
    last_hour: int
    last_day: int
    per_hour: int
    per_day: int
    cost_paise: int
    sim_used: int
    sim_slots: int
    foreign: int
    opens: int


class SmsBearer:
    """One modem. ``open`` and ``close`` in the loop; everything else between."""

    name = "sms"

    def __init__(
        self, device: str, peer: str, ledger: Ledger, keep: Keep, on_outcome: Callable[[Outcome], None] | None = None
    ) -> None:
        """``peer``: where :meth:`send` goes; may be empty for a side that only answers."""
        self._device = device
        self._peer = peer
        self._keep = keep
        self._on_outcome = on_outcome
        self._mailer = Mailer(Modem(time.monotonic()), ledger, secrets.randbelow(0x10000))
        self._port: serial.Serial | None = None
        self._descriptor = -1
        self._out = bytearray()
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._keeping: set[asyncio.Task[None]] = set()
        self._being_kept: set[bytes] = set()
        self._opens = 0

    @property
    def up(self) -> bool:
        """Whether a message would leave now."""
        return self._port is not None and self._mailer.modem.ready

    @property
    def health(self) -> SmsHealth:
        mailer, now_ms = self._mailer, _wall_ms()
        ledger = mailer.ledger
        return SmsHealth(
            self.up,
            mailer.modem.trouble.value if self._port is not None else "modem_absent",
            mailer.waiting,
            ledger.last_hour(now_ms),
            ledger.last_day(now_ms),
            ledger.budget.per_hour,
            ledger.budget.per_day,
            ledger.cost_paise(now_ms),
            mailer.modem.used,
            mailer.modem.slots,
            mailer.foreign,
            self._opens,
        )

    async def open(self) -> None:
        """Begin to look for the modem; it may come later. Raises BearerRefused when it is open already."""
        if self._runner is not None:
            raise BearerRefused("the SMS bearer is open already")
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Let the port go, after what is being kept is kept."""
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None
        self._let_go()
        if self._keeping:
            await asyncio.wait(set(self._keeping))

    def send(self, datagram: bytes) -> None:
        """Send to the peer or lose; never raises. :meth:`submit` says more."""
        with contextlib.suppress(UpkendraError):
            self.submit(datagram, self._peer, emergency=False)

    def submit(self, message: bytes, number: str, *, emergency: bool) -> int:
        """Send a sealed message; its key for ``on_outcome``. Raises SmsNotSent, PduRefused."""
        key = self._mailer.submit(message, number, _now(), _wall_ms(), emergency=emergency)
        self._wake()
        return key

    # -- the port -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                port = await asyncio.to_thread(self._open_port)
            except (OSError, serial.SerialException, ValueError):
                await asyncio.sleep(REOPEN_S)
                continue
            self._lost.clear()
            self._port, self._descriptor = port, port.fileno()
            self._opens += 1
            self._mailer.restart(_now())
            asyncio.get_running_loop().add_reader(self._descriptor, self._readable)
            self._wake()
            await self._lost.wait()
            self._let_go()
            await asyncio.sleep(REOPEN_S)

    def _open_port(self) -> serial.Serial:
        return serial.Serial(self._device, BAUD, timeout=0, write_timeout=0, exclusive=True)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._port is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)
        self._writing = False
        self._out.clear()
        port, self._port = self._port, None
        with contextlib.suppress(OSError, serial.SerialException):
            port.close()

    def _readable(self) -> None:
        if self._port is None:
            return
        try:
            data = self._port.read(4096)
        except (OSError, serial.SerialException):
            self._lost.set()
            return
        self._mailer.receive(data, _now(), _wall_ms())
        self._wake()

    def _wake(self) -> None:
        """Write what is to be written, hand out what was heard, set the timer anew."""
        if self._port is None:
            return
        self._hear()
        self._out += self._mailer.take_output()
        self._write()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(self._mailer.get_timer() - _now(), 0.01), self._tick)

    def _tick(self) -> None:
        self._mailer.tick(_now(), _wall_ms())
        self._wake()

    def _write(self) -> None:
        if self._port is None or not self._out:
            return
        try:
            written = os.write(self._descriptor, self._out)
        except BlockingIOError:
            written = 0
        except OSError:
            self._lost.set()
            return
        del self._out[:written]
        if len(self._out) > OUTPUT_MAX_BYTES:
            self._lost.set()
        elif bool(self._out) != self._writing:
            self._writing = bool(self._out)
            loop = asyncio.get_running_loop()
            if self._writing:
                loop.add_writer(self._descriptor, self._write)
            else:
                loop.remove_writer(self._descriptor)

    # -- what was heard -----------------------------------------------------------------------------

    def _hear(self) -> None:
        while (event := self._mailer.next_event()) is not None:
            match event:
                case Came():
                    self._came(event)
                case Left() | Delivered() | Unreported() | GivenUp():
                    if self._on_outcome is not None:
                        self._on_outcome(event)
                case StateChanged(trouble):
                    level = logging.WARNING if trouble is not Trouble.NONE else logging.INFO
                    logger.log(level, "sms_modem", extra={"fields": {"trouble": trouble.value}})
                case PortLost():
                    self._lost.set()

    def _came(self, event: Came) -> None:
        """The same message may be offered again while it is being kept (the port was opened anew)."""
        if event.message in self._being_kept:
            return
        self._being_kept.add(event.message)
        task = asyncio.create_task(self._keep_then_delete(event))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _keep_then_delete(self, event: Came) -> None:
        try:
            await self._keep(event.number, event.message)
        except Exception:
            logger.exception("an SMS could not be kept; it stays on the SIM")
            self._mailer.not_kept(event.slots)
            return
        finally:
            self._being_kept.discard(event.message)
        self._mailer.kept(event.slots, _now())
        self._wake()


def _now() -> float:
    return time.monotonic()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000

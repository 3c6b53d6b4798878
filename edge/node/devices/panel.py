"""The node's end of the panel link: who is there, heartbeats, commands that are repeated until done,
events that are taken once, and the upload of an application.

Sans-I/O: bytes and the time come in, bytes and events go out. The port is :mod:`panel_port`'s.
"""

import binascii
from collections import deque
from enum import StrEnum

from msgspec import Struct

from . import panel_protocol as table
from .panel_link import FrameReader, Message, encode_frame

HELLO_EVERY_S = 0.2
REPEAT_COMMAND_S = 0.3
"""A command and its answer take about 20 ms on the wire; a page write 8 ms more."""
DATING_ANSWER_S = 1.0
"""An answer that took longer may have waited somewhere, as long as the node stood still: it dates no event."""
SILENT_AFTER_S = 5.0
"""No status for so long: the board is away, and hello starts anew."""
COMMAND_TRIES = 10
START_TIMEOUT_S = 30.0
"""Copying takes a second, three starts of an application that hangs seven."""
EVENTS_REMEMBERED = 32
"""The board keeps eight."""
CHUNK_BYTES = 32
IMAGE_MIN_BYTES, IMAGE_MAX_BYTES = 128, 15_232
LOADER_MAGIC = 0x4C55
UPDATE_KNOWN, NOT_EXPECTED = 1 << 4, 1 << 5
"""Bits of a status' flags."""
RESULTS = {0: "done", 1: "bad_value", 2: "not_now", 3: "bank_full", 4: "bad_check_sum", 5: "write_failed"}


class EventKind(StrEnum):
    CALL_NEXT = "call_next"
    RECALL = "recall"
    MAINS_LOST = "mains_lost"
    MAINS_BACK = "mains_back"
    BATTERY_LOW = "battery_low"
    SHUTDOWN_ASKED = "shutdown_asked"
    POWER_CYCLED = "power_cycled"
    WOKE_TIMER = "woke_timer"
    WOKE_MAINS = "woke_mains"
    RESTARTED = "restarted"


EVENT_KINDS = dict(enumerate(EventKind, start=1))
"""Kind numbers as in protocol.toml."""


class BoardEvent(Struct, frozen=True):
    """Something happened at the board. Given once; ack it with :meth:`PanelSession.stored`."""

    number: int
    kind: EventKind | None
    """None for a kind of a later firmware."""
    value: int
    uptime_s: int
    """When it happened, on the board's clock."""
    age_s: int
    """How long ago that was when it was told here, to a second."""


class CommandDone(Struct, frozen=True):
    """A command was carried out, or not: ``result`` is a value of :data:`RESULTS` or ``no_answer``."""

    command: Message
    result: str


class BoardFound(Struct, frozen=True):
    identity: table.Identity


class BoardLost(Struct, frozen=True):
    """The board has said nothing for :data:`SILENT_AFTER_S`."""


class StatusHeard(Struct, frozen=True):
    status: table.Status


class LogRead(Struct, frozen=True):
    record: table.LogRecord


class UploadEnded(Struct, frozen=True):
    """The new application runs (``ok``), or why not."""

    ok: bool
    reason: str


PanelNews = BoardEvent | CommandDone | BoardFound | BoardLost | StatusHeard | LogRead | UploadEnded


class ImageError(ValueError):
    """This is not an application for the board."""


class Image(Struct, frozen=True):
    """An application image as built, with its version."""

    data: bytes
    version: int

    def check(self) -> None:
        """Raises ImageError when the board's loader would refuse it."""
        if not IMAGE_MIN_BYTES <= len(self.data) <= IMAGE_MAX_BYTES:
            raise ImageError(f"an image has {IMAGE_MIN_BYTES} to {IMAGE_MAX_BYTES} bytes, not {len(self.data)}")
        if not 0 < self.version < 65_536:
            raise ImageError("a version lies between 1 and 65535")

    @property
    def crc(self) -> int:
        return binascii.crc_hqx(self.data, 0xFFFF)


class _Step(StrEnum):
    ENTER = "enter"
    BEGIN = "begin"
    DATA = "data"
    COMMIT = "commit"
    START = "start"


class _Upload:
    """Where an upload stands. Restartable at any step: the loader forgets nothing that matters."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.step = _Step.ENTER
        self.chunk = 0
        self.restarts = 0
        self.give_up_at: float | None = None

    def next_command(self) -> Message:
        match self.step:
            case _Step.ENTER:
                return table.EnterLoader(LOADER_MAGIC)
            case _Step.BEGIN:
                return table.UploadBegin(len(self.image.data), self.image.crc, self.image.version)
            case _Step.DATA:
                data = self.image.data[self.chunk * CHUNK_BYTES : (self.chunk + 1) * CHUNK_BYTES]
                return table.UploadData(self.chunk, data.ljust(CHUNK_BYTES, b"\xff"))
            case _:
                return table.UploadCommit()

    @property
    def chunks(self) -> int:
        return -(-len(self.image.data) // CHUNK_BYTES)

    @property
    def progress(self) -> float:
        return 1.0 if self.step in (_Step.COMMIT, _Step.START) else self.chunk / self.chunks


class _Pending:
    def __init__(self, sequence: int, command: Message) -> None:
        self.sequence, self.command = sequence, command
        self.tries = 0
        self.again_at = 0.0


class PanelSession:
    """One board on one port. Make a new one after each open of the port.

    ``now`` is monotonic seconds throughout.
    """

    def __init__(self, now: float) -> None:
        self.identity: table.Identity | None = None
        self.status: table.Status | None = None
        self.boots = 0
        """The board's count of power-ups, 0 while it is unknown: with the same one its up-time never went back."""
        self.healthy = True
        """Cleared while the node cannot do its work: it then sends no heartbeat, and the board power-cycles it."""
        self._reader = FrameReader()
        self._commands: deque[Message] = deque()
        self._pending: _Pending | None = None
        self._upload: _Upload | None = None
        self._sequence = 0
        self._hello_at = now
        self._heartbeat_at = now
        self._heard_at = now
        self._clock = (0, now)
        self._updating = self._leaving = False
        self._undated: dict[int, table.Event] = {}
        self._dating: tuple[int, float] | None = None
        self._given: dict[int, int] = {}
        self._taken: set[int] = set()
        self._out = bytearray()
        self._news: deque[PanelNews] = deque()

    # What the node asks for

    def show(self, text: str) -> None:
        """Put a token on the display; the part that fits, from the right. A later show replaces a waiting one."""
        shown = "".join(c if c in "0123456789ABCDEFHLPU- " else "-" for c in text.upper())[-8:]
        self._commands = deque(c for c in self._commands if not isinstance(c, table.Show))
        self._commands.append(table.Show(shown.encode()))

    def buzz(self, pattern: int) -> None:
        self._commands.append(table.Buzz(pattern))

    def acknowledge_shutdown(self, cut_in_s: int, wake_in_s: int = 0) -> None:
        """Everything is fsynced: cut the power in ``cut_in_s`` (5–250), wake after ``wake_in_s`` (0: mains)."""
        self._commands.append(table.ShutdownAck(cut_in_s, wake_in_s))

    def calibrate(self, channel: int, true_mv: int) -> None:
        self._commands.append(table.Calibrate(channel, true_mv))

    def read_log(self, back: int) -> None:
        self._commands.append(table.LogRead(back))

    def stored(self, number: int) -> None:
        """The event is durable at the node: the board may forget it."""
        self._taken.add(number)
        self._send(table.EventAck(number))

    def announce(self, *, updating: bool = False, leaving: bool = False) -> None:
        """Tell the board at once, and from now on, why the node may fall silent: an update of the node runs (it is
        then not power-cycled), or the node ends in order and comes back. Wait for :attr:`announced` before it does.
        """
        self._updating, self._leaving = updating, leaving
        self._heartbeat_at = 0.0

    @property
    def announced(self) -> bool:
        """Whether the board has confirmed what :meth:`announce` said last."""
        if self.status is None:
            return False
        flags = self.status.flags
        return bool(flags & UPDATE_KNOWN) is self._updating and bool(flags & NOT_EXPECTED) is self._leaving

    def upload(self, image: Image) -> None:
        """Replace the application. The caller has checked its signature. Raises ImageError."""
        image.check()
        self._upload = _Upload(image)
        self._pending = None
        if self.identity is not None and self.identity.mode == 1:
            self._upload.step = _Step.BEGIN

    def board_uptime_s(self, now: float) -> float:
        """The board's up-time now, by what it said last and the time since; 0 while nobody was heard."""
        uptime_s, at = self._clock
        return uptime_s + now - at if uptime_s else 0.0

    @property
    def upload_progress(self) -> float | None:
        """0 to 1 while an upload runs, else None."""
        return self._upload.progress if self._upload else None

    # Bytes and time

    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the port."""
        for sequence, message in self._reader.feed(data):
            self._heard_at = now
            self._take(sequence, message, now)

    def bytes_to_send(self, now: float) -> bytes:
        """What is to be written now. Call after receive and when the timer is due."""
        self._work(now)
        out = bytes(self._out)
        self._out.clear()
        return out

    def get_timer(self) -> float:
        """When to call :meth:`bytes_to_send` at the latest."""
        times = [self._hello_at if self.identity is None else self._heartbeat_at, self._heard_at + SILENT_AFTER_S]
        if self._pending is not None:
            times.append(self._pending.again_at)
        elif self.identity is not None and (self._commands or self._upload):
            return 0.0
        return min(times)

    def next_news(self) -> PanelNews | None:
        return self._news.popleft() if self._news else None

    def _send(self, message: Message, sequence: int | None = None) -> None:
        if sequence is None:
            self._sequence = self._sequence % 255 + 1
            sequence = self._sequence
        self._out += encode_frame(sequence, message)

    def _work(self, now: float) -> None:
        if self.identity is not None and now - self._heard_at > SILENT_AFTER_S:
            self.identity = self.status = None
            self._hello_at = now
            self._news.append(BoardLost())
        if self._upload is not None and self._upload.step is _Step.START:
            if self._upload.give_up_at is None:
                self._upload.give_up_at = now + START_TIMEOUT_S
            elif now > self._upload.give_up_at:
                self._end_upload(False, "the board did not come back")
        if self.identity is None:
            if now >= self._hello_at:
                self._hello_at = now + HELLO_EVERY_S
                self._send(table.Hello())
            return
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + table.HEARTBEAT_MS / 1000
            self._beat()
        self._work_commands(now)

    def _beat(self) -> None:
        """Say that the node lives, or, when it does not as it should, ask who is there: both answers tell the time."""
        if not self.healthy or (self.identity is not None and self.identity.mode == 1):
            self._send(table.Hello())
        else:
            self._send(table.Heartbeat((1 if self._updating or self._upload else 0) | (2 if self._leaving else 0)))

    def _work_commands(self, now: float) -> None:
        if self._pending is None:
            if self._upload is not None:
                command = self._upload.next_command()
            elif self._commands and self.identity is not None and self.identity.mode == 0:
                command = self._commands.popleft()
            else:
                return
            self._sequence = self._sequence % 255 + 1
            self._pending = _Pending(self._sequence, command)
        if now < self._pending.again_at:
            return
        if self._pending.tries >= COMMAND_TRIES:
            self._give_up(now)
            return
        self._pending.tries += 1
        self._pending.again_at = now + REPEAT_COMMAND_S
        self._send(self._pending.command, self._pending.sequence)

    def _give_up(self, now: float) -> None:
        pending, self._pending = self._pending, None
        assert pending is not None
        if self._upload is not None:
            self._restart_upload("no_answer")
        else:
            self._news.append(CommandDone(pending.command, "no_answer"))
        self.identity = None
        self._hello_at = now

    # What the board says

    def _take(self, sequence: int, message: Message, now: float) -> None:
        match message:
            case table.Identity():
                self._met(message, now)
                self._date(sequence, message.uptime_s, now)
            case table.Status():
                self.status = message
                self._clock = (message.uptime_s, now)
                self._news.append(StatusHeard(message))
                self._date(sequence, message.uptime_s, now)
            case table.Event():
                self._event(message, now)
            case table.Done():
                if self._pending is not None and message.command == self._pending.sequence:
                    self._done(message.result)
            case table.LogRecord():
                if self._pending is not None and isinstance(self._pending.command, table.LogRead):
                    self._pending = None
                    self._news.append(LogRead(message))
            case _:
                return

    def _event(self, event: table.Event, now: float) -> None:
        """An event is the same one when number and up-time are: numbers begin anew when the board was without power.

        A new one is told when its age is known. What lies between us and the board (a driver's buffer, our own
        process that was stopped) may have kept the event, and every status before it, for any time; so the board's
        clock is asked for once the event is here.
        """
        if self._given.get(event.number) == event.uptime_s:
            if event.number in self._taken:
                self._send(table.EventAck(event.number))
            return
        self._undated[event.number] = event
        if len(self._undated) > EVENTS_REMEMBERED:
            self._undated = {event.number: event}
        if self._dating is None or now - self._dating[1] > REPEAT_COMMAND_S:
            self._beat()
            self._dating = (self._sequence, now)

    def _date(self, sequence: int, uptime_s: int, now: float) -> None:
        """The answer to the question of :meth:`_event`. The board says an event again that was not dated."""
        if self._dating is None or self._dating[0] != sequence:
            return
        asked_at, self._dating = self._dating[1], None
        undated, self._undated = self._undated, {}
        if now - asked_at > DATING_ANSWER_S:
            return
        for event in undated.values():
            if event.uptime_s <= uptime_s:  # or it is of a life before the board lost its power
                self._tell(event, uptime_s - event.uptime_s)

    def _tell(self, event: table.Event, age_s: int) -> None:
        self._given.pop(event.number, None)
        self._given[event.number] = event.uptime_s
        self._taken.discard(event.number)
        while len(self._given) > EVENTS_REMEMBERED:
            oldest = next(iter(self._given))
            del self._given[oldest]
            self._taken.discard(oldest)
        kind = EVENT_KINDS.get(event.kind)
        self._news.append(BoardEvent(event.number, kind, event.value, event.uptime_s, age_s))

    def _met(self, identity: table.Identity, now: float) -> None:
        if identity.mode == 0:
            if self.boots not in (0, identity.boots):  # it was without power: its events are counted anew
                self._given.clear()
                self._taken.clear()
            self.boots = identity.boots
            self._clock = (identity.uptime_s, now)
        fresh = self.identity is None or self.identity.mode != identity.mode
        self.identity = identity
        if fresh:
            self._heartbeat_at = now
            self._news.append(BoardFound(identity))
        if self._upload is None:
            return
        if identity.mode == 1 and self._upload.step is _Step.ENTER:
            self._pending = None
            self._upload.step = _Step.BEGIN
        elif identity.mode == 1 and self._upload.step is _Step.START:
            if identity.app_crc == self._upload.image.crc:
                self._end_upload(False, "the new application did not start")
            else:
                self._restart_upload("the board did not take the application over")
        elif identity.mode == 0 and self._upload.step is _Step.START:
            ok = identity.app_crc == self._upload.image.crc
            self._end_upload(ok, "running" if ok else "the board kept the application before")
        elif identity.mode == 0 and self._upload.step is not _Step.ENTER:
            self._restart_upload("the board restarted")

    def _done(self, result: int) -> None:
        pending, self._pending = self._pending, None
        assert pending is not None
        upload = self._upload
        if upload is None:
            self._news.append(CommandDone(pending.command, RESULTS.get(result, "unknown")))
        elif result != 0:
            self._restart_upload(RESULTS.get(result, "unknown"))
        elif upload.step is _Step.BEGIN:
            upload.step, upload.chunk = _Step.DATA, 0
        elif upload.step is _Step.DATA:
            upload.chunk += 1
            if upload.chunk == upload.chunks:
                upload.step = _Step.COMMIT
        elif upload.step is _Step.COMMIT:
            # The loader now copies 120 pages (about a second) and starts; hello finds out what came of it.
            upload.step = _Step.START
            self.identity = None
            self._hello_at = 0.0

    def _restart_upload(self, reason: str) -> None:
        assert self._upload is not None
        if self._upload.restarts >= 3:
            self._end_upload(False, reason)
            return
        self._upload.restarts += 1
        self._upload.step = _Step.ENTER if self.identity is None or self.identity.mode == 0 else _Step.BEGIN
        self._pending = None

    def _end_upload(self, ok: bool, reason: str) -> None:
        self._upload = None
        self._pending = None
        self._news.append(UploadEnded(ok, reason))

"""A session with a GSM modem in PDU mode (AT commands, 3GPP TS 27.005), without I/O: bytes, lines, time as an argument.

Knows the modem's language; knows no port, no seal and nothing of what messages mean. A message stays on the SIM until
:meth:`Modem.stored` says that it is kept elsewhere, so that a power cut loses none.
"""

from collections import deque
from enum import Enum, StrEnum
from typing import TypeAlias

from msgspec import Struct

from .sms_pdu import Deliver, PduRefused, StatusReport, Submit, decode_incoming, encode_submit

COMMAND_S = 10.0
LIST_S = 30.0
SEND_S = 90.0
"""A network may take a minute to answer AT+CMGS."""
LOOK_S = 60.0
"""The SIM is listed this often even if the modem announces nothing."""
AGAIN_S = 20.0
"""Without SIM or network: ask again."""
HELLO_S = 2.0
FAILURES_MAX = 3
"""So many time-outs one after another, and the port is opened anew."""
LINE_MAX = 1024
CTRL_Z, ESCAPE = b"\x1a", b"\x1b"
CROWDED = 0.8
"""Share of the SIM's slots from which on incomplete messages give way."""

SIM_CODES = frozenset({310, 311, 312, 313, 315, 316, 317, 318})
NETWORK_CODES = frozenset({38, 331, 332, 30_331})
PERMANENT_CODES = frozenset({1, 8, 10, 21, 28, 29, 30, 50, 69, 81, 96, 97, 99, 111, 128, 129, 143, 144, 302, 303, 304})
"""CMS errors (27.005 and 24.011) after which the same message to the same number will fail again."""


class Trouble(StrEnum):
    """Why no message can leave."""

    NONE = ""
    SILENT = "modem_silent"
    NO_SIM = "modem_no_sim"
    NO_NETWORK = "modem_no_network"
    BROKEN = "modem_refuses"
    """The modem refuses PDU mode."""


class Ready(Struct, frozen=True):
    """Messages can leave and come."""


class TroubleHeard(Struct, frozen=True):
    trouble: Trouble


class Arrived(Struct, frozen=True):
    """A message lies in SIM slot ``slot``. Keep it, then call :meth:`Modem.stored`."""

    slot: int
    message: Deliver


class Unreadable(Struct, frozen=True):
    """What lay in this slot is no message; it is deleted."""

    slot: int
    code: str


class Sent(Struct, frozen=True):
    """The network took it. ``reference`` names it in a status report."""

    key: int
    reference: int


class SendFailed(Struct, frozen=True):
    """It did not leave, or (code ``sms_timeout``) nobody knows."""

    key: int
    code: str
    """``sms_timeout``, ``sms_lost`` or ``cms_<number>``."""
    permanent: bool


class Reported(Struct, frozen=True):
    report: StatusReport


class Lost(Struct, frozen=True):
    """The modem no longer answers: open the port anew, then call :meth:`Modem.restart`."""


ModemEvent: TypeAlias = Ready | TroubleHeard | Arrived | Unreadable | Sent | SendFailed | Reported | Lost


class _Kind(Enum):
    HELLO = "hello"
    SETUP = "setup"
    OPTIONAL = "optional"
    SIM = "sim"
    STORAGE = "storage"
    NETWORK = "network"
    LIST = "list"
    DELETE = "delete"
    SEND = "send"


class _Command(Struct, frozen=True):
    text: str
    kind: _Kind
    timeout_s: float = COMMAND_S
    key: int = 0
    pdu: str = ""
    slot: int = 0


_SETUP = (
    _Command("ATE0", _Kind.SETUP),
    _Command("AT+CMEE=1", _Kind.OPTIONAL),
    _Command("AT+CPIN?", _Kind.SIM),
    _Command("AT+CMGF=0", _Kind.SETUP),
    _Command("AT+CSMS=1", _Kind.OPTIONAL),
    _Command('AT+CPMS="SM","SM","SM"', _Kind.STORAGE),
    _Command("AT+CNMI=2,1,0,1,0", _Kind.SETUP),
    _Command("AT+CMMS=1", _Kind.OPTIONAL),
    _Command("AT+CREG?", _Kind.NETWORK),
    _Command("AT+CMGL=4", _Kind.LIST, LIST_S),
)


class Modem:
    """One modem. Feed it bytes and time; write what it says; take its events."""

    def __init__(self, now: float) -> None:
        self._events: deque[ModemEvent] = deque()
        self._sending: deque[_Command] = deque()
        self.used, self.slots = 0, 0
        """Slots of the SIM that hold something, and how many there are; 0 while unknown."""
        self.trouble = Trouble.SILENT
        self.sim_full = 0
        """How often the SIM was found full."""
        self._failures = 0
        self._now: _Command | None = None
        self.restart(now)

    def restart(self, now: float) -> None:
        """A fresh port: begin from the beginning. What waits to be sent stays; what was being sent is in doubt."""
        if self._now is not None and self._now.kind is _Kind.SEND:
            self._fail(self._now, "sms_timeout", permanent=False)
        self._buffer = bytearray()
        self._out = bytearray()
        self._queue: deque[_Command] = deque()
        self._deadline: float | None = None
        self._prompted = False
        self._body: list[str] = []
        self._report_follows = False
        self._ready = False
        self._offered: dict[int, str] = {}
        self._look_at = now + LOOK_S
        self._again_at: float | None = None
        self._hello(now)

    @property
    def ready(self) -> bool:
        """Whether a message would leave at once."""
        return self._ready and self.trouble is Trouble.NONE

    @property
    def waiting(self) -> int:
        """Messages that wait to be sent."""
        return len(self._sending) + (self._now is not None and self._now.kind is _Kind.SEND)

    @property
    def crowded(self) -> bool:
        """The SIM is nearly full."""
        return bool(self.slots) and self.used >= CROWDED * self.slots

    # -- what the application asks ------------------------------------------------------------------

    def send(self, key: int, message: Submit, now: float) -> None:
        """Send in order; ends in Sent or SendFailed with this key. Raises PduRefused."""
        tpdu = encode_submit(message)
        self._sending.append(_Command(f"AT+CMGS={len(tpdu)}", _Kind.SEND, COMMAND_S, key, "00" + tpdu.hex().upper()))
        self._next(now)

    def stored(self, slot: int, now: float) -> None:
        """What lay in this slot is kept: delete it, if the same still lies there as far as is known."""
        if slot not in self._offered:
            return
        self._queue.append(_Command(f"AT+CMGD={slot}", _Kind.DELETE, slot=slot))
        self._next(now)

    def offer_again(self, slot: int) -> None:
        """What lies in this slot could not be kept: say it again when the SIM is listed next."""
        self._offered.pop(slot, None)

    # -- bytes and time -----------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """What is to be written to the port now."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def next_event(self) -> ModemEvent | None:
        return self._events.popleft() if self._events else None

    def get_timer(self) -> float:
        """When :meth:`tick` is due at the latest."""
        times = [self._look_at, self._deadline, self._again_at]
        return min(time for time in times if time is not None)

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self._deadline is not None and now >= self._deadline:
            self._timed_out(now)
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            if self._now is None:
                self._begin(now)
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            if self._ready:
                self._ask_once(_Command("AT+CREG?", _Kind.NETWORK))
                self._ask_once(_SETUP[-1])
                self._next(now)

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the port, cut anywhere."""
        for byte in data:
            if byte in b"\r\n":
                if self._buffer:
                    line = self._buffer.decode("ascii", "replace").strip()
                    self._buffer.clear()
                    if line:
                        self._line(line, now)
                continue
            if len(self._buffer) < LINE_MAX:
                self._buffer.append(byte)
            if bytes(self._buffer) in (b">", b"> ") and self._wants_prompt():
                self._buffer.clear()
                self._prompt(now)

    # -- commands -----------------------------------------------------------------------------------

    def _hello(self, now: float) -> None:
        self._queue.clear()
        self._run(_Command("AT", _Kind.HELLO, HELLO_S), now)

    def _begin(self, now: float) -> None:
        self._ready = False
        self._queue.clear()
        self._queue.extend(_SETUP)
        self._next(now)

    def _ask_once(self, command: _Command) -> None:
        if command not in self._queue:
            self._queue.append(command)

    def _next(self, now: float) -> None:
        if self._now is not None:
            return
        if self._queue:
            self._run(self._queue.popleft(), now)
        elif self._sending and self.ready:
            self._run(self._sending.popleft(), now)

    def _run(self, command: _Command, now: float) -> None:
        self._now = command
        self._body = []
        self._prompted = False
        self._deadline = now + command.timeout_s
        self._out += command.text.encode() + b"\r"

    def _wants_prompt(self) -> bool:
        return self._now is not None and self._now.kind is _Kind.SEND and not self._prompted

    def _prompt(self, now: float) -> None:
        assert self._now is not None
        self._prompted = True
        self._deadline = now + SEND_S
        self._out += self._now.pdu.encode() + CTRL_Z

    def _timed_out(self, now: float) -> None:
        command, self._now, self._deadline = self._now, None, None
        assert command is not None
        self._failures += 1
        if command.kind is _Kind.SEND:
            self._out += ESCAPE
            self._fail(command, "sms_timeout", permanent=False)
        if self._failures >= FAILURES_MAX:
            self._failures = 0
            self._ready = False
            self._set_trouble(Trouble.SILENT)
            self._events.append(Lost())
            self._again_at = now + AGAIN_S
            return
        self._ready = False
        self._hello(now)

    # -- lines --------------------------------------------------------------------------------------

    def _line(self, line: str, now: float) -> None:
        if self._report_follows:
            self._report_follows = False
            self._take_report(line)
            self._ask_once(_Command("AT+CNMA", _Kind.OPTIONAL))
            self._next(now)
        elif line.startswith("+CDS:"):
            self._report_follows = True
        elif line.startswith("+CMTI:"):
            if self._ready:
                self._ask_once(_SETUP[-1])
                self._next(now)
        elif line in ("RDY", "+CFUN: 1", "+CPIN: NOT READY", "+CPIN: NOT INSERTED") and not self._asks_for_sim():
            self._restarted(now)
        elif self._now is None or line == self._now.text:
            return
        elif line == "OK":
            self._succeeded(now)
        elif line == "ERROR" or line.startswith(("+CMS ERROR:", "+CME ERROR:")):
            self._refused(_number(line), now)
        else:
            self._body.append(line)

    def _asks_for_sim(self) -> bool:
        return self._now is not None and self._now.kind is _Kind.SIM

    def _restarted(self, now: float) -> None:
        """The modem itself began anew: so do we; what was being sent is in doubt."""
        command, self._now, self._deadline = self._now, None, None
        if command is not None and command.kind is _Kind.SEND:
            self._fail(command, "sms_timeout", permanent=False)
        self._ready = False
        self._hello(now)

    def _succeeded(self, now: float) -> None:
        command, self._now, self._deadline = self._now, None, None
        assert command is not None
        self._failures = 0
        match command.kind:
            case _Kind.HELLO:
                self._begin(now)
            case _Kind.SIM:
                if not any("READY" in line and "NOT" not in line for line in self._body):
                    self._stop_setup(Trouble.NO_SIM, now)
            case _Kind.STORAGE:
                self._count_slots()
            case _Kind.NETWORK:
                self._check_network(now)
            case _Kind.LIST:
                self._take_list(now)
            case _Kind.DELETE:
                self._deleted(command.slot)
            case _Kind.SEND:
                reference = next((_number(line) for line in self._body if line.startswith("+CMGS:")), 0)
                self._events.append(Sent(command.key, reference & 0xFF))
            case _Kind.SETUP | _Kind.OPTIONAL:
                pass
        self._next(now)

    def _refused(self, code: int, now: float) -> None:
        command, self._now, self._deadline = self._now, None, None
        assert command is not None
        self._failures = 0
        match command.kind:
            case _Kind.SEND:
                self._fail(command, f"cms_{code}", permanent=code in PERMANENT_CODES)
                if code in SIM_CODES:
                    self._stop_setup(Trouble.NO_SIM, now)
                elif code in NETWORK_CODES:
                    self._ask_once(_Command("AT+CREG?", _Kind.NETWORK))
            case _Kind.SIM | _Kind.STORAGE | _Kind.LIST:
                self._stop_setup(Trouble.NO_SIM, now)
            case _Kind.SETUP | _Kind.HELLO:
                self._stop_setup(Trouble.BROKEN, now)
            case _Kind.DELETE:
                self._deleted(command.slot)
            case _Kind.NETWORK | _Kind.OPTIONAL:
                pass
        self._next(now)

    def _fail(self, command: _Command, code: str, *, permanent: bool) -> None:
        self._events.append(SendFailed(command.key, code, permanent))

    def _stop_setup(self, trouble: Trouble, now: float) -> None:
        self._queue.clear()
        self._ready = False
        self._set_trouble(trouble)
        self._again_at = now + AGAIN_S

    def _set_trouble(self, trouble: Trouble) -> None:
        if trouble is not self.trouble:
            self.trouble = trouble
            self._events.append(TroubleHeard(trouble) if trouble else Ready())

    # -- what the replies say -----------------------------------------------------------------------

    def _count_slots(self) -> None:
        for line in self._body:
            numbers = line.removeprefix("+CPMS:").replace('"SM",', "").split(",")
            if len(numbers) >= 2 and all(part.strip().isdecimal() for part in numbers[:2]):
                self.used, self.slots = int(numbers[0]), int(numbers[1])

    def _check_network(self, now: float) -> None:
        """+CREG: n,stat — 1 is home, 5 is roaming. Messages can be read without a network."""
        said = next((line for line in self._body if line.startswith("+CREG:")), "")
        fields = said.removeprefix("+CREG:").split(",")
        state = fields[1].strip() if len(fields) > 1 else ""
        self._ready = True
        self._set_trouble(Trouble.NONE if state in ("1", "5") else Trouble.NO_NETWORK)
        if self.trouble is not Trouble.NONE:
            self._look_at = min(self._look_at, now + AGAIN_S)

    def _take_list(self, now: float) -> None:
        seen: set[int] = set()
        lines = iter(self._body)
        for line in lines:
            if not line.startswith("+CMGL:"):
                continue
            fields = line.removeprefix("+CMGL:").split(",")
            text = next(lines, "")
            if not fields[0].strip().isdecimal():
                continue
            slot = int(fields[0])
            seen.add(slot)
            if self._offered.get(slot) == text:
                continue
            self._offered[slot] = text
            self._take_slot(slot, fields[1].strip() if len(fields) > 1 else "", text, now)
        self._offered = {slot: text for slot, text in self._offered.items() if slot in seen}
        self.used = len(seen)
        if self.slots and self.used >= self.slots:
            self.sim_full += 1

    def _take_slot(self, slot: int, state: str, text: str, now: float) -> None:
        """States 0 and 1 came from the network; 2 and 3 are drafts that nobody here has written."""
        try:
            if state not in ("0", "1"):
                raise PduRefused("a draft on the SIM", code="pdu_draft")
            message = decode_incoming(bytes.fromhex(text))
        except ValueError:
            self._unreadable(slot, "pdu_malformed", now)
        except PduRefused as error:
            self._unreadable(slot, error.refusal.code, now)
        else:
            if isinstance(message, StatusReport):
                self._events.append(Reported(message))
                self.stored(slot, now)
            else:
                self._events.append(Arrived(slot, message))

    def _unreadable(self, slot: int, code: str, now: float) -> None:
        self._events.append(Unreadable(slot, code))
        self.stored(slot, now)

    def _take_report(self, line: str) -> None:
        try:
            message = decode_incoming(bytes.fromhex(line))
        except (ValueError, PduRefused):
            return
        if isinstance(message, StatusReport):
            self._events.append(Reported(message))

    def _deleted(self, slot: int) -> None:
        self._offered.pop(slot, None)
        self.used = max(self.used - 1, 0)


def _number(line: str) -> int:
    """The number at the end of ``+CMS ERROR: 38`` or ``+CMGS: 7``; 0 when there is none."""
    text = line.rpartition(":")[2].split(",")[0].strip()
    return int(text) if text.isdecimal() and len(text) < 10 else 0

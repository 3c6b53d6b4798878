"""Whole messages over a modem: caps, tries, parts in and out, without I/O.

Joins :mod:`sms_modem`, :mod:`sms_pdu` and the ledger of :mod:`sms`. A message that came stays on the SIM until
:meth:`Mailer.kept`. A part that is sent again is the same bytes: the other side knows it by its name.
"""

from collections import deque
from typing import TypeAlias

from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from . import sms_modem as modem_
from .sms import Ledger
from .sms_modem import Modem, Trouble
from .sms_pdu import Reassembly, Submit, check_number, part_of, split

RETRY_S = (15.0, 30.0, 60.0, 120.0, 300.0)
"""Pause before each further try of a part; the last one repeats."""
GIVE_UP_S = 6 * 3600.0
TRIES_MAX = 8
"""Tries that the network answered, or may have taken; waiting for a network counts as none."""
WAITING_MAX = 32
REPORT_S = 25 * 3600.0
"""An hour longer than the network keeps an SMS: no report comes after that."""
SWEEP_S = 60.0
NUMBER_DIGITS = 8
"""Of a number, from its end: a report may name it with another prefix."""


class SmsNotSent(UpkendraError):
    """The message was not taken: the cap is reached, or too many wait already."""

    code = "sms_cap"
    fault = Fault.STATE


class Came(Struct, frozen=True):
    """A whole message of ours. Keep it durably, then ``kept(slots)``."""

    number: str
    message: bytes
    slots: tuple[int, ...]


class Left(Struct, frozen=True):
    """The network took every part."""

    key: int


class Delivered(Struct, frozen=True):
    """The network says that the other SIM has every part. Says nothing about what the other side did with it."""

    key: int


class Unreported(Struct, frozen=True):
    """It left, and no report can be matched to it any more. Nothing is known beyond that."""

    key: int


class GivenUp(Struct, frozen=True):
    """Some part did not leave: ``cms_<number>``, ``sms_timeout``, or ``sms_cap`` on a further try."""

    key: int
    code: str


class StateChanged(Struct, frozen=True):
    """The modem is ready, or says why not."""

    trouble: Trouble


class PortLost(Struct, frozen=True):
    """Open the port anew, then call :meth:`Mailer.restart`."""


Outcome: TypeAlias = Left | Delivered | Unreported | GivenUp
"""What became of a message that was given to the modem."""


class Sent:
    """Whose message each key of the modem is, until nothing more can be heard of it."""

    def __init__(self) -> None:
        self._names: dict[int, bytes] = {}

    def add(self, key: int, name: bytes) -> None:
        """The message ``name`` has been given to the modem as ``key``."""
        self._names[key] = name

    def became(self, outcome: Outcome) -> tuple[bytes, str] | None:
        """The name of the message and its new state (``left``, ``delivered``, or why it was given up)."""
        name = self._names.get(outcome.key)
        if name is None:
            return None
        if isinstance(outcome, Left):
            return name, "left"
        del self._names[outcome.key]
        match outcome:
            case Unreported():
                return None
            case Delivered():
                return name, "delivered"
            case GivenUp(_, code):
                return name, code


MailEvent: TypeAlias = Came | Left | Delivered | Unreported | GivenUp | StateChanged | PortLost


class _Letter(Struct):
    number: str
    emergency: bool
    since_s: float
    left: set[int]
    """Parts the network has taken."""
    delivered: set[int]
    total: int
    left_s: float = 0.0
    """When the last part left."""


class _Expected(Struct, frozen=True):
    """The report of one part."""

    letter: int
    """0: the network has given the same number to two parts, and nobody can tell whose report it would be."""
    place: int
    since_s: float


class _Leaf(Struct):
    letter: int
    place: int
    submit: Submit
    tries: int = 0
    again_at: float | None = None


class Mailer:
    """Messages in and out of one SIM. Two clocks: ``now`` counts seconds, ``wall_ms`` is for the caps."""

    def __init__(self, modem: Modem, ledger: Ledger, reference: int) -> None:
        """``reference``: a random number to begin with, so that parts of two runs are not mixed."""
        self.modem = modem
        self.ledger = ledger
        self.foreign = 0
        """SMS of other people that were deleted."""
        self.unreadable = 0
        self._reference = reference
        self._keys = 0
        self._letters: dict[int, _Letter] = {}
        self._leaves: dict[int, _Leaf] = {}
        self._reports: dict[tuple[str, int], _Expected] = {}
        """By the end of the number and the reference of the modem, which comes again after 256 parts."""
        self._sweep_s = 0.0
        self._reassembly = Reassembly()
        self._events: deque[MailEvent] = deque()

    def restart(self, now: float) -> None:
        """A fresh port: the SIM is listed anew."""
        self._reassembly.forget()
        self.modem.restart(now)

    def submit(self, message: bytes, number: str, now: float, wall_ms: int, *, emergency: bool) -> int:
        """Send a sealed message; its key. Raises SmsNotSent(sms_cap, sms_backlog), PduRefused."""
        number = check_number(number)
        pieces = split(message, self._reference)
        if len(self._leaves) + len(pieces) > WAITING_MAX:
            raise SmsNotSent("Too many SMS wait already.", code="sms_backlog")
        if not self.ledger.allows(len(pieces) + len(self._leaves), wall_ms, emergency=emergency):
            raise SmsNotSent("The cap of SMS for this hour or day is reached.")
        self._reference = (self._reference + 1) & 0xFFFF
        self._keys += 1
        letter = self._keys
        self._letters[letter] = _Letter(number, emergency, now, set(), set(), len(pieces))
        for place, piece in enumerate(pieces):
            self._keys += 1
            self._leaves[self._keys] = _Leaf(letter, place, Submit(number, piece, report=True))
            self.modem.send(self._keys, self._leaves[self._keys].submit, now)
        return letter

    def kept(self, slots: tuple[int, ...], now: float) -> None:
        """What lay in these SIM slots is durable here."""
        for slot in slots:
            self.modem.stored(slot, now)

    def not_kept(self, slots: tuple[int, ...]) -> None:
        """It could not be kept now: it comes again when the SIM is listed next, within a minute."""
        self._reassembly.forget_done()
        for slot in slots:
            self.modem.offer_again(slot)

    @property
    def waiting(self) -> int:
        """SMS that have not left."""
        return len(self._leaves)

    # -- bytes and time -----------------------------------------------------------------------------

    def receive(self, data: bytes, now: float, wall_ms: int) -> None:
        self.modem.receive(data, now)
        self._listen(now, wall_ms)

    def tick(self, now: float, wall_ms: int) -> None:
        self.modem.tick(now)
        self._sweep(now)
        for key, leaf in list(self._leaves.items()):
            if leaf.again_at is not None and now >= leaf.again_at:
                leaf.again_at = None
                if leaf.tries and not self.ledger.allows(1, wall_ms, emergency=self._letters[leaf.letter].emergency):
                    self._give_up(leaf.letter, "sms_cap")
                else:
                    self.modem.send(key, leaf.submit, now)
        self.kept(self._reassembly.give_way(now, crowded=self.modem.crowded), now)
        self._listen(now, wall_ms)

    def take_output(self) -> bytes:
        return self.modem.take_output()

    def get_timer(self) -> float:
        """When :meth:`tick` is due at the latest."""
        return min(
            [self.modem.get_timer()] + [leaf.again_at for leaf in self._leaves.values() if leaf.again_at is not None]
        )

    def next_event(self) -> MailEvent | None:
        return self._events.popleft() if self._events else None

    # -- what the modem says ------------------------------------------------------------------------

    def _listen(self, now: float, wall_ms: int) -> None:
        while (event := self.modem.next_event()) is not None:
            match event:
                case modem_.Arrived():
                    self._arrived(event, now)
                case modem_.Sent(key, reference):
                    self.ledger.spend(wall_ms)
                    self._sent(key, reference, now)
                case modem_.SendFailed(key, code, permanent):
                    if code == "sms_timeout":
                        self.ledger.spend(wall_ms)
                    self._failed(key, code, now, permanent=permanent)
                case modem_.Reported(report):
                    if report.delivered:
                        self._delivered(report.number, report.reference)
                case modem_.Unreadable():
                    self.unreadable += 1
                case modem_.TroubleHeard(trouble):
                    self._events.append(StateChanged(trouble))
                case modem_.Ready():
                    self._events.append(StateChanged(Trouble.NONE))
                case modem_.Lost():
                    self._events.append(PortLost())

    def _arrived(self, event: modem_.Arrived, now: float) -> None:
        part = part_of(event.message)
        if part is None:
            self.foreign += 1
            self.modem.stored(event.slot, now)
            return
        if part.total > 1 and self._reassembly.has(event.message.number, part):
            self.modem.stored(event.slot, now)
            return
        whole = self._reassembly.add(event.message.number, part, event.slot, now)
        if whole is not None:
            self._events.append(Came(whole.number, whole.message, whole.slots))

    def _sent(self, key: int, reference: int, now: float) -> None:
        leaf = self._leaves.pop(key, None)
        letter = self._letters.get(leaf.letter) if leaf is not None else None
        if leaf is None or letter is None:
            return
        letter.left.add(leaf.place)
        place = (_end_of(letter.number), reference)
        known = self._reports.pop(place, None)
        taken = known is not None and now - known.since_s <= REPORT_S
        self._reports[place] = _Expected(0 if taken else leaf.letter, leaf.place, now)
        if len(letter.left) == letter.total:
            letter.left_s = now
            self._events.append(Left(leaf.letter))

    def _delivered(self, number: str, reference: int) -> None:
        found = self._reports.get((_end_of(number), reference))
        letter = self._letters.get(found.letter) if found is not None else None
        if found is None or letter is None:
            return
        del self._reports[_end_of(number), reference]
        letter.delivered.add(found.place)
        if len(letter.delivered) == letter.total:
            del self._letters[found.letter]
            self._events.append(Delivered(found.letter))

    def _sweep(self, now: float) -> None:
        """Forget what no report can come for any more."""
        if now < self._sweep_s:
            return
        self._sweep_s = now + SWEEP_S
        self._reports = {place: one for place, one in self._reports.items() if now - one.since_s <= REPORT_S}
        for key, letter in list(self._letters.items()):
            if len(letter.left) == letter.total and now - letter.left_s > REPORT_S:
                del self._letters[key]
                self._events.append(Unreported(key))

    def _failed(self, key: int, code: str, now: float, *, permanent: bool) -> None:
        leaf = self._leaves.get(key)
        if leaf is None:
            return
        if not _waits(code):
            leaf.tries += 1
        old = now - self._letters[leaf.letter].since_s > GIVE_UP_S
        if permanent or old or leaf.tries >= TRIES_MAX:
            self._give_up(leaf.letter, code)
        else:
            leaf.again_at = now + RETRY_S[min(leaf.tries, len(RETRY_S) - 1)]

    def _give_up(self, letter: int, code: str) -> None:
        for key in [key for key, leaf in self._leaves.items() if leaf.letter == letter]:
            del self._leaves[key]
        if self._letters.pop(letter, None) is not None:
            self._events.append(GivenUp(letter, code))


def _end_of(number: str) -> str:
    return "".join(filter(str.isdigit, number))[-NUMBER_DIGITS:]


def _waits(code: str) -> bool:
    """A failure that only waits for the SIM or the network."""
    number = code.removeprefix("cms_")
    return number.isdecimal() and int(number) in modem_.SIM_CODES | modem_.NETWORK_CODES

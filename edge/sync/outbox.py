"""What leaves next: messages by class, decided when a packet departs. Pure.

Strict priority: nothing of a class leaves while a lower number has anything to send; within a class
first come, first served. A message of class 0 leaves twice, the second time ``COPY_AFTER_S`` after the first:
losses come in bursts, and what was acknowledged by then needs no second copy.
"""

from collections.abc import Iterator

from msgspec import Struct

from .frames import Frame
from .frontier import Ranges

CLASSES = 6
COPY_AFTER_S = 0.05


STORE_TIMEOUT_S = 60.0
"""A message that arrived whole, but was not called durable in this time, is sent again."""
STORE_DOUBLINGS = 6
"""What is not urgent waits twice as long each time, up to 64 minutes: a hub that has no room takes nothing sooner."""
PATIENT_CLS_MIN = 2


class Message(Struct, eq=False):
    """One outgoing message and how far it has come."""

    number: int
    """Name on the wire within a session, from 1; given anew when the other side has restarted."""
    kind: int
    cls: int
    body: bytes
    key: bytes
    """The application's name: bundle id, or down seq as 8 B, or signal number as 8 B."""
    pending: Ranges
    """Bytes that have to be sent (again)."""
    copies: Ranges
    """Bytes whose second copy has not left yet (class 0)."""
    held: Ranges
    """Bytes that the other side has acknowledged."""
    queued_s: float
    complete_s: float | None = None
    """When the last byte was acknowledged; it waits for the durable answer since then."""
    asked: bool = False
    """The other side was asked whether it is durable, since it arrived."""
    untaken: int = 0
    """How often in a row it arrived whole and was not called durable."""
    copy_s: float = 0.0
    """When the second copy may leave."""
    lead: Frame | None = None
    """A frame that has to leave before its first fragment (the opening of an earlier epoch)."""

    @classmethod
    def new(cls, number: int, kind: int, klass: int, body: bytes, key: bytes, now: float) -> "Message":
        whole = (0, len(body))
        copies = Ranges(whole) if klass == 0 else Ranges()
        return Message(number, kind, klass, body, key, Ranges(whole), copies, Ranges(), now)

    def again(self, number: int) -> None:
        """Begin anew under another number: the other side lost what it had."""
        whole = (0, len(self.body))
        self.number = number
        self.pending = Ranges(whole)
        self.copies = Ranges(whole) if self.cls == 0 else Ranges()
        self.held = Ranges()
        self.complete_s = None
        self.asked = False

    @property
    def store_due_s(self) -> float | None:
        """When to send it anew, because nobody called it durable; None while it has not arrived whole."""
        if self.complete_s is None:
            return None
        doublings = min(self.untaken, STORE_DOUBLINGS) if self.cls >= PATIENT_CLS_MIN else 0
        return self.complete_s + STORE_TIMEOUT_S * (1 << doublings)


class SendQueue:
    """All unfinished messages of one direction."""

    def __init__(self) -> None:
        self._classes: tuple[dict[bytes, Message], ...] = tuple({} for _ in range(CLASSES))

    def add(self, message: Message) -> None:
        self._classes[message.cls][message.key] = message

    def find(self, key: bytes) -> Message | None:
        return next((messages[key] for messages in self._classes if key in messages), None)

    def discard(self, key: bytes) -> Message | None:
        """Take a message out: it is durable at the other side, or given up."""
        for messages in self._classes:
            if key in messages:
                return messages.pop(key)
        return None

    def __iter__(self) -> Iterator[Message]:
        for messages in self._classes:
            yield from messages.values()

    def departures(
        self, now: float, *, signals: bool, kind_of_signal: int, cls_end: int = CLASSES
    ) -> Iterator[tuple[Message, Ranges]]:
        """Messages with something to send, in the order in which it leaves, and what of them.

        Only classes below ``cls_end``. Without ``signals`` (no fresh nonce at hand) call signals are passed over.
        """
        for messages in self._classes[:cls_end]:
            for message in messages.values():
                if message.pending and (signals or message.kind != kind_of_signal):
                    yield message, message.pending
            if messages is self._classes[0]:
                for message in messages.values():
                    due = message.copies and not message.pending and message.copy_s <= now
                    if due and (signals or message.kind != kind_of_signal):
                        yield message, message.copies

    def next_copy_s(self, now: float) -> float | None:
        """When the next second copy comes due after ``now``; None when there is none to wait for."""
        waiting = (m.copy_s for m in self._classes[0].values() if m.copies and not m.pending and m.copy_s > now)
        return min(waiting, default=None)

    def urgent(self) -> list[Message]:
        """The messages of class 0; signals are among them."""
        return list(self._classes[0].values())

    def waiting(self, cls_max: int = CLASSES) -> bool:
        """Whether anything of the classes up to ``cls_max`` has still to leave (first copies only)."""
        return any(message.pending for message in self if message.cls <= cls_max)

    def backlog(self, cls_min: int = 0) -> tuple[int, int]:
        """Unfinished messages of the classes from ``cls_min`` on, and their bytes."""
        sizes = [len(message.body) for message in self if message.cls >= cls_min]
        return len(sizes), sum(sizes)

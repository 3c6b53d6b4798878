"""Who is next: the order of the waiting, one's place in it and the expected wait.

forms.md §7: RED stands above the queue, then YELLOW, then pregnant, infant or old, then GREEN;
first come first served within a class, a GREEN patient who has waited an hour rises by one.
Pure functions of visits, people and the time.
"""

from collections.abc import Iterable
from enum import IntEnum
from math import ceil

from msgspec import Struct

from .age import DAYS_PER_YEAR, age_days
from .fold import Expected, Patient, Visit
from .records import STANDING_STATES, Colour, VisitState

AGEING_MS = 60 * 60 * 1000
"""GREEN that has waited longer rises by one class (forms.md §7, ours)."""
INFANT_BELOW_DAYS = 365
OLD_FROM_DAYS = ceil(65 * DAYS_PER_YEAR)
NO_SHOWS_BEFORE_THE_END = 2
"""The first time the place is kept, from the second on the patient waits at the end."""
DEFAULT_CONSULTATION_S = 10 * 60
"""Expected length of a consultation until the hub has measured its own (unsourced - verify)."""


class Rank(IntEnum):
    """Class in the queue; the lower is seen first."""

    EMERGENCY = 0
    SOON = 1
    """YELLOW, and visits that nobody has triaged: missing is never low risk."""
    GENTLE = 2
    """GREEN, but pregnant, an infant or 65 and older; and GREEN that has waited an hour."""
    ORDINARY = 3


class Waiting(Struct, frozen=True):
    """One visit that waits, with its patient (None when not known here yet)."""

    visit: Visit
    patient: Patient | None
    since_ms: int = 0
    """From when it counts as waiting, where somebody knows better than its node's clock; 0: :func:`since_ms`."""

    @property
    def from_ms(self) -> int:
        return self.since_ms or since_ms(self.visit)


class QueueVisit(Struct, frozen=True):
    """What a line of the queue shows of its visit. The rest is in the record, asked for when somebody opens it."""

    visit_id: str
    state: VisitState
    token: str
    colour: Colour
    """The stronger of rules and staff."""
    doctor_id: str
    doctor_name: str
    expected: Expected | None = None
    """What the hub said of the wait; none while the visit is with a doctor."""
    speciality: str = ""
    """Of which speciality a doctor was asked for; "" for none."""
    given: bool = False
    """Somebody else gave it to its doctor."""


def line_of(visit: Visit) -> QueueVisit:
    """A visit as the queue shows it."""
    told = visit.expected if waits(visit) and not visit.doctor_name else None
    doctor = visit.doctor_id, visit.doctor_name
    asked = visit.speciality, bool(visit.given_by)
    return QueueVisit(visit.visit_id, visit.state, visit.token, visit.colour, *doctor, told, *asked)


def waits(visit: Visit | QueueVisit) -> bool:
    """Whether a visit stands in the queue: waiting with its token, or RED and seen by nobody yet."""
    if visit.state is VisitState.WAITING:
        return True
    return visit.colour is Colour.RED and visit.state in (VisitState.DRAFT, VisitState.TRIAGED)


def stays(visit: Visit, since_ms: int) -> bool:
    """Whether an open visit is still something to do: begun after ``since_ms``, or owed to the patient since.

    Without a token it ages out. With one it waits for its doctor, or its answer is not printed or came lately.
    """
    if visit.opened_ms >= since_ms:
        return True
    if visit.state not in STANDING_STATES:
        return False
    if visit.state is not VisitState.RX_READY:
        return True
    return any(not one.printed_ms or one.signed_ms >= since_ms for one in visit.prescriptions)


def since_ms(visit: Visit) -> int:
    """From when a visit counts as waiting: its token, or its last missed turn from the second one on."""
    if len(visit.no_shows_ms) >= NO_SHOWS_BEFORE_THE_END:
        return visit.no_shows_ms[-1]
    return visit.queued_ms or visit.opened_ms


def is_gentle(visit: Visit, patient: Patient | None, now_ms: int) -> bool:
    """Pregnant, younger than one year, or 65 and older."""
    if visit.history is not None and visit.history.pregnant:
        return True
    if patient is None:
        return False
    days = age_days(patient.person, patient.registered_ms, now_ms)
    return days is not None and (days < INFANT_BELOW_DAYS or days >= OLD_FROM_DAYS)


def first_rank(waiting: Waiting, now_ms: int) -> Rank:
    """The class of a waiting visit when it came."""
    match waiting.visit.colour:
        case Colour.RED:
            return Rank.EMERGENCY
        case Colour.YELLOW | Colour.NOT_TRIAGED:
            return Rank.SOON
        case _:
            return Rank.GENTLE if is_gentle(waiting.visit, waiting.patient, now_ms) else Rank.ORDINARY


def rank_after(first: int, since_ms: int, now_ms: int) -> Rank:
    """The class at ``now_ms`` of whoever came with the class ``first``: GREEN rises by one after an hour."""
    aged = first >= Rank.GENTLE and now_ms - since_ms > AGEING_MS
    return Rank(first - aged)


def rank(waiting: Waiting, now_ms: int) -> Rank:
    """The class of a waiting visit at ``now_ms``."""
    return rank_after(first_rank(waiting, now_ms), waiting.from_ms, now_ms)


def key(first: int, since_ms: int, serial: int, visit_id: str, now_ms: int) -> tuple[int, int, int, str]:
    """Whoever has the lower one is seen first: the one order of the queue, of the node, the consoles and the rota."""
    return rank_after(first, since_ms, now_ms), since_ms, serial, visit_id


def order(waiting: Iterable[Waiting], now_ms: int) -> list[Waiting]:
    """The waiting in the order in which they will be seen; visits that do not wait are left out."""
    return sorted(
        (w for w in waiting if waits(w.visit)),
        key=lambda w: key(first_rank(w, now_ms), w.from_ms, w.visit.token_serial, w.visit.visit_id, now_ms),
    )


def places_of(ordered: Iterable[Waiting]) -> dict[str, int]:
    """Places of visits in the token queue, 1 for the next; RED stands above it and has none."""
    tokens = [w.visit.visit_id for w in ordered if w.visit.colour is not Colour.RED]
    return {visit_id: number for number, visit_id in enumerate(tokens, 1)}


def expected_wait_s(ahead: int, doctors: int, consultation_s: float = DEFAULT_CONSULTATION_S) -> int | None:
    """Seconds until the turn of somebody with ``ahead`` people before, or None when no doctor is there.

    ``consultation_s``: mean time that a doctor spends on one patient. People are shared out evenly.
    """
    if doctors <= 0:
        return None
    return int(ahead / doctors * consultation_s)

"""Which doctor is asked for which patient: one state, what happens to it, and what has to be done. Pure.

A patient is offered to one doctor at a time. A doctor who does not answer in ``ring_s`` seconds, declines or gets up
loses the offer to the next one, and the patient keeps the place; who misses several in a row counts as away. What
nobody has taken, and why, stands in :attr:`Rota.unclaimed` for the coordinator. Knows no store, page or clock.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct, field

from edge.model import queue

from .hours import Shift

EMERGENCY: Final = 0
"""The rank of RED (:class:`edge.model.queue.Rank`)."""
SORT_MS: Final = 60_000
"""So often the order is looked at again because somebody has waited an hour."""
GENERAL: Final = "general"
"""The speciality of whoever may be asked for everybody."""


class Settings(Struct, frozen=True):
    """How patient the rota is. All of it ours (unsourced - verify with the doctors)."""

    ring_s: int = 30
    """A doctor has so long to answer."""
    misses: int = 2
    """Who misses so many in a row counts as away."""
    same_doctor_s: int = 600
    """So long a follow-up waits for its own doctor, while she sits."""
    speciality_s: int = 600
    """So long a doctor of a speciality is waited for while none sits; then any doctor is asked."""
    language_s: int = 600
    """So long a patient waits for a doctor who speaks her language, while one sits."""
    again_s: int = 300
    """Who missed or declined a patient is asked for her again after this."""
    nobody_s: int = 60
    """After this the coordinator hears of a patient for whom nobody sits, or of a RED one whom nobody took."""
    gone_s: int = 120
    """A doctor who is not there for so long, no page and no word of one, loses whom she took, and is not ready."""
    gone_red_s: int = 60
    """The same, with a RED patient."""
    gone_in_call_s: int = 200
    """While the visit is in a call. Its sound goes past the hub: when a proxy for browsers is down, the two go on
    speaking. Who speaks into nothing hangs up, or the node does after two minutes of silence, and the state says so."""


class Doctor(Struct, frozen=True):
    """Whom a doctor may be asked for."""

    doctor_id: str
    name: str = ""
    districts: frozenset[str] = frozenset()
    """Empty: all."""
    languages: frozenset[str] = frozenset({"hi"})
    specialities: frozenset[str] = frozenset({GENERAL})
    hours: tuple[Shift, ...] = ()
    """Her own; none: those of her districts."""


class Wanting(Struct, frozen=True):
    """A visit that waits for a doctor."""

    visit_id: str
    rank: int
    """:func:`edge.model.queue.first_rank`: the class when it came; 0 is RED."""
    since_ms: int
    serial: int = 0
    district: str = ""
    language: str = "hi"
    speciality: str = GENERAL
    same_doctor: str = ""
    """Whoever saw this patient for the same condition before."""
    wanted_ms: int = 0
    """When the speciality was asked for, if that was later than ``since_ms``."""


class Why(StrEnum):
    """Why nobody has taken a visit."""

    NOBODY = "nobody"
    """No doctor who may see this patient sits."""
    SPECIALITY = "speciality"
    """No doctor of the speciality that was asked for sits."""
    RED = "red"
    """RED, and nobody has answered for a minute."""
    ALL_PASSED = "all_passed"
    """Everybody who may see this patient was asked and did not take her."""
    CLOSED = "closed"
    """Outside the hours."""
    DOCTOR_AWAY = "doctor_away"
    """Taken, and the doctor is not there any more: in the middle of writing, or after a call."""


class Left(StrEnum):
    """Why an offer ended."""

    TAKEN = "taken"
    MISSED = "missed"
    DECLINED = "declined"
    AWAY = "away"
    """The doctor got up."""
    GONE = "gone"
    """The visit waits no longer."""


class Ring(Struct, frozen=True):
    """Ask this doctor."""

    visit_id: str
    doctor_id: str
    until_ms: int


class Stop(Struct, frozen=True):
    """Ask this doctor no longer."""

    visit_id: str
    doctor_id: str
    why: Left


class GotUp(Struct, frozen=True):
    """The doctor missed several offers in a row and counts as away until she says that she is ready again."""

    doctor_id: str


Action: TypeAlias = Ring | Stop | GotUp
_Key: TypeAlias = tuple[int, int, int, str]


class _Seat(Struct):
    doctor: Doctor
    ready: bool = False
    free_ms: int = 0
    """Since when she has nobody."""
    missed: int = 0
    ringing: str = ""
    busy: set[str] = field(default_factory=set)
    """Visits that she has taken."""

    @property
    def free(self) -> bool:
        return self.ready and not self.ringing and not self.busy


class Rota:
    """All doctors who sit and all visits that wait."""

    def __init__(self, settings: Settings, is_open: Callable[[int, str], bool]) -> None:
        """``is_open(now_ms, district)``: whether it is within the hours."""
        self._settings = settings
        self._is_open = is_open
        self._seats: dict[str, _Seat] = {}
        self._waiting: dict[str, tuple[_Key, Wanting]] = {}
        self._order: list[tuple[_Key, Wanting]] = []
        self._sorted_ms = 0
        self._offers: dict[str, tuple[str, int]] = {}
        self._passed: dict[str, dict[str, int]] = {}
        self._actions: list[Action] = []
        self._open: frozenset[str] = frozenset()
        """Visits for which a speciality was asked that nobody has: any doctor may be asked now."""
        self.unclaimed: dict[str, Why] = {}
        """Visits that wait for the coordinator."""

    # What happens

    def sit(self, doctor: Doctor, now_ms: int) -> None:
        """The doctor is ready."""
        seat = self._seats.setdefault(doctor.doctor_id, _Seat(doctor))
        if not seat.ready:
            seat.free_ms, seat.missed = now_ms, 0
            for passed in self._passed.values():
                passed.pop(doctor.doctor_id, None)
        seat.doctor, seat.ready = doctor, True

    def stand(self, doctor_id: str, now_ms: int) -> None:
        """The doctor is away: nothing new for her; what she has taken stays hers."""
        seat = self._seats.get(doctor_id)
        if seat is None:
            return
        seat.ready = False
        if seat.ringing:
            self._end_offer(seat.ringing, Left.AWAY)
        if not seat.busy:
            del self._seats[doctor_id]

    def want(self, wanting: Wanting, now_ms: int) -> None:
        """A visit waits, or what is known of it has changed."""
        known = self._waiting.get(wanting.visit_id)
        if known is not None and known[1] == wanting:
            return
        self._strike(wanting.visit_id)
        place = self._waiting[wanting.visit_id] = _key(wanting, now_ms), wanting
        insort(self._order, place, key=_by_key)

    def leave(self, visit_id: str) -> None:
        """The visit waits no longer: closed, or the patient went home."""
        if visit_id in self._offers:
            self._end_offer(visit_id, Left.GONE)
        self._forget(visit_id)

    def take(self, visit_id: str, doctor_id: str, now_ms: int) -> None:
        """A doctor has taken the visit: the one who was asked, or one who chose it from the list."""
        asked = self._offers.get(visit_id)
        if asked is not None:
            self._end_offer(visit_id, Left.TAKEN)
        seat = self._seats.setdefault(doctor_id, _Seat(Doctor(doctor_id)))
        seat.missed = 0
        seat.busy.add(visit_id)
        if seat.ringing:  # she took another one than she was asked for
            self._pass(seat.ringing, doctor_id, Left.DECLINED, now_ms)
        self._forget(visit_id)

    def decline(self, visit_id: str, doctor_id: str, now_ms: int) -> bool:
        """The doctor who is asked leaves the patient to the next one; whether she was asked."""
        if self._offers.get(visit_id, ("", 0))[0] != doctor_id:
            return False
        self._pass(visit_id, doctor_id, Left.DECLINED, now_ms)
        return True

    def pass_by(self, visit_id: str, doctor_id: str, now_ms: int) -> None:
        """The doctor gave this visit on: she is not the next one who is asked for it."""
        self._passed.setdefault(visit_id, {})[doctor_id] = now_ms

    def done(self, visit_id: str, doctor_id: str, now_ms: int) -> None:
        """The doctor has no more to do for this visit, or gave it back."""
        seat = self._seats.get(doctor_id)
        if seat is None or visit_id not in seat.busy:
            return
        seat.busy.discard(visit_id)
        seat.free_ms = now_ms
        if not seat.busy and not seat.ready:
            del self._seats[doctor_id]

    def tick(self, now_ms: int) -> list[Action]:
        """Let time pass: pass on what nobody answered, ask for whoever is next. What has to be done, in order."""
        for visit_id, (doctor_id, until_ms) in list(self._offers.items()):
            if until_ms <= now_ms:
                self._miss(visit_id, doctor_id, now_ms)
        if now_ms - self._sorted_ms >= SORT_MS:
            self._waiting = {name: (_key(one, now_ms), one) for name, (_, one) in self._waiting.items()}
            self._order = sorted(self._waiting.values(), key=_by_key)
            self._sorted_ms = now_ms
        self._open_to_all(now_ms)
        self._ask(now_ms)
        actions, self._actions = self._actions, []
        return actions

    def shift(self, by_ms: int) -> None:
        """The clock that gives ``now_ms`` was set: what was counted from goes with it."""
        self._offers = {name: (doctor_id, at_ms + by_ms) for name, (doctor_id, at_ms) in self._offers.items()}
        for passed in self._passed.values():
            for doctor_id in passed:
                passed[doctor_id] += by_ms
        for seat in self._seats.values():
            seat.free_ms += by_ms
        self._sorted_ms = 0

    # Looking

    def asked(self, visit_id: str) -> str:
        """The doctor who is asked for a visit; "" for none."""
        return self._offers.get(visit_id, ("", 0))[0]

    def offer_to(self, doctor_id: str) -> tuple[str, int] | None:
        """The visit that a doctor is asked for, and until when."""
        seat = self._seats.get(doctor_id)
        return (seat.ringing, self._offers[seat.ringing][1]) if seat is not None and seat.ringing else None

    def is_ready(self, doctor_id: str) -> bool:
        """Whether a doctor said that she is ready, and has not been away since."""
        seat = self._seats.get(doctor_id)
        return seat is not None and seat.ready

    def passed(self, visit_id: str, now_ms: int) -> frozenset[str]:
        """Doctors who missed or declined this visit lately."""
        after_ms = now_ms - self._settings.again_s * 1000
        return frozenset(name for name, at_ms in self._passed.get(visit_id, {}).items() if at_ms > after_ms)

    def waiting(self) -> list[Wanting]:
        """All who wait, in their order."""
        return [one for _, one in self._order]

    def wanting(self, visit_id: str) -> Wanting | None:
        """A visit that waits; None for one that does not."""
        known = self._waiting.get(visit_id)
        return None if known is None else known[1]

    def sitting(self, wanting: Wanting) -> tuple[int, int]:
        """How many doctors who may see this patient sit, and how many of them have nobody."""
        asked = self._in_fact(wanting)
        fitting = [seat for seat in self._seats.values() if seat.ready and fits(seat.doctor, asked)]
        return len(fitting), sum(seat.free for seat in fitting)

    def is_open_to_all(self, visit_id: str) -> bool:
        """Whether any doctor is asked for a visit, because none of its speciality sits."""
        return visit_id in self._open

    def ahead(self, wanting: Wanting) -> int:
        """How many who wait come before this patient and could be seen by the same doctors (same district)."""
        known = self._waiting.get(wanting.visit_id)
        before = self._order if known is None else self._order[: self._at(known)]
        return sum(one.district == wanting.district or one.rank == EMERGENCY for _, one in before)

    def with_ahead(self) -> Iterator[tuple[Wanting, int]]:
        """All who wait now, in their order, each with :meth:`ahead`."""
        same: Counter[str] = Counter()
        emergencies: Counter[str] = Counter()
        total = 0
        for _, one in list(self._order):
            yield one, same[one.district] + total - emergencies[one.district]
            same[one.district] += 1
            if one.rank == EMERGENCY:
                total += 1
                emergencies[one.district] += 1

    def look(self, now_ms: int) -> dict[str, Why]:
        """Find anew what nobody takes; :attr:`unclaimed` afterwards."""
        found: dict[str, Why] = {}
        patient_ms = self._settings.nobody_s * 1000
        ready = [seat.doctor for seat in self._seats.values() if seat.ready]
        chances: dict[tuple[str, str], tuple[bool, set[str]]] = {}
        for _, one in self._order:
            if now_ms - one.since_ms < patient_ms:
                continue
            asked = self._in_fact(one)
            needs = (asked.district, asked.speciality)
            chance = chances.get(needs)
            if chance is None:
                fitting = {doctor.doctor_id for doctor in ready if fits(doctor, asked)}
                chance = chances[needs] = self._is_open(now_ms, one.district), fitting
            why = self._why(one, *chance, now_ms)
            if why is not None:
                found[one.visit_id] = why
        self.unclaimed = found
        return found

    # Inside

    def _why(self, one: Wanting, is_open: bool, fitting: set[str], now_ms: int) -> Why | None:
        if one.rank == EMERGENCY:
            return Why.RED
        if not is_open:
            return Why.CLOSED
        if one.visit_id in self._offers:
            return None
        if not fitting:
            return Why.NOBODY if self._in_fact(one).speciality == GENERAL else Why.SPECIALITY
        if one.visit_id not in self._passed:
            return None
        return Why.ALL_PASSED if fitting <= self.passed(one.visit_id, now_ms) else None

    def _in_fact(self, one: Wanting) -> Wanting:
        """For whom doctors are asked in fact: without the speciality, once that was given up."""
        return msgspec.structs.replace(one, speciality=GENERAL) if one.visit_id in self._open else one

    def _open_to_all(self, now_ms: int) -> None:
        patient_ms = self._settings.speciality_s * 1000
        late = [
            one
            for _, one in self._waiting.values()
            if one.speciality != GENERAL and now_ms - max(one.wanted_ms, one.since_ms) >= patient_ms
        ]
        ready = [seat.doctor for seat in self._seats.values() if seat.ready] if late else []
        self._open = frozenset(one.visit_id for one in late if not any(fits(doctor, one) for doctor in ready))

    def _ask(self, now_ms: int) -> None:
        free = {name: seat for name, seat in self._seats.items() if seat.free}
        hopeless: set[tuple[str, str]] = set()
        for _, wanting in self._order:
            if not free:
                return
            one = self._in_fact(wanting)
            needs = (one.district, one.speciality)
            if needs in hopeless or one.visit_id in self._offers:
                continue
            if one.rank != EMERGENCY and not any(fits(seat.doctor, one) for seat in free.values()):
                hopeless.add(needs)
                continue
            seat = self._best(one, free, now_ms)
            if seat is None:
                continue
            doctor_id = seat.doctor.doctor_id
            until_ms = now_ms + self._settings.ring_s * 1000
            seat.ringing = one.visit_id
            self._offers[one.visit_id] = (doctor_id, until_ms)
            self._actions.append(Ring(one.visit_id, doctor_id, until_ms))
            del free[doctor_id]

    def _best(self, one: Wanting, free: dict[str, _Seat], now_ms: int) -> _Seat | None:
        """Of the doctors who have nobody, the one to ask for this patient: None while it is better to wait."""
        passed = self.passed(one.visit_id, now_ms)
        may = [seat for name, seat in free.items() if fits(seat.doctor, one) and name not in passed]
        red = one.rank == EMERGENCY
        if not may and red:  # anybody rather than nobody; and everybody again
            may = [seat for name, seat in free.items() if name not in passed] or list(free.values())
        if not may or not (red or self._is_open(now_ms, one.district)):
            return None
        waited_s = (now_ms - one.since_ms) / 1000
        own = [seat for seat in may if seat.doctor.doctor_id == one.same_doctor]
        if not own and not red and waited_s < self._settings.same_doctor_s and self._sits(one.same_doctor, passed):
            return None
        speaking = [seat for seat in may if one.language in seat.doctor.languages]
        hold = not speaking and not own and not red and waited_s < self._settings.language_s
        if hold and self._somebody_speaks(one, passed):
            return None
        return min(own or speaking or may, key=lambda seat: (seat.free_ms, seat.doctor.doctor_id))

    def _sits(self, doctor_id: str, passed: frozenset[str]) -> bool:
        seat = self._seats.get(doctor_id)
        return seat is not None and seat.ready and doctor_id not in passed

    def _somebody_speaks(self, one: Wanting, passed: frozenset[str]) -> bool:
        return any(
            seat.ready and name not in passed and one.language in seat.doctor.languages and fits(seat.doctor, one)
            for name, seat in self._seats.items()
        )

    def _miss(self, visit_id: str, doctor_id: str, now_ms: int) -> None:
        self._pass(visit_id, doctor_id, Left.MISSED, now_ms)
        seat = self._seats[doctor_id]
        seat.missed += 1
        if seat.missed >= self._settings.misses:
            seat.ready = False
            if not seat.busy:
                del self._seats[doctor_id]
            self._actions.append(GotUp(doctor_id))

    def _pass(self, visit_id: str, doctor_id: str, why: Left, now_ms: int) -> None:
        self._passed.setdefault(visit_id, {})[doctor_id] = now_ms
        self._end_offer(visit_id, why)

    def _end_offer(self, visit_id: str, why: Left) -> None:
        doctor_id, _ = self._offers.pop(visit_id)
        self._seats[doctor_id].ringing = ""
        self._actions.append(Stop(visit_id, doctor_id, why))

    def _forget(self, visit_id: str) -> None:
        self._strike(visit_id)
        self._passed.pop(visit_id, None)
        self.unclaimed.pop(visit_id, None)

    def _strike(self, visit_id: str) -> None:
        """Take a visit out of those who wait, if it does."""
        place = self._waiting.pop(visit_id, None)
        if place is not None:
            del self._order[self._at(place)]

    def _at(self, place: tuple[_Key, Wanting]) -> int:
        """Where somebody who waits stands in the order."""
        return bisect_left(self._order, place[0], key=_by_key)


def fits(doctor: Doctor, one: Wanting) -> bool:
    """Whether a doctor may be asked for a patient: her district and what she needs."""
    return (not doctor.districts or one.district in doctor.districts) and one.speciality in doctor.specialities


def _key(one: Wanting, now_ms: int) -> _Key:
    return queue.key(one.rank, one.since_ms, one.serial, one.visit_id, now_ms)


def _by_key(place: tuple[_Key, Wanting]) -> _Key:
    return place[0]

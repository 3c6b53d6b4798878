"""A state's day in fast-forward: the real rota and the real store, made-up patients and doctors, time as an argument.

20,000 patients (the day that the newspaper report on Bihar names) at sub-centres and at home in 38 districts; doctors
of one district or of all, some of whom stay away, have lunch, leave early, miss a ring or decline. A patient is told a
range once, when the visit arrives; the error is of that first word. Nobody is a person.
"""

import random
import sys
import tempfile
from collections import Counter
from heapq import heappop, heappush
from pathlib import Path

from sqlalchemy import Connection

from edge.model.clock import IST_OFFSET_S
from hub.rota import store as kept
from hub.rota.core import Doctor, GotUp, Ring, Rota, Settings, Stop, Wanting, Why
from hub.rota.hours import Hours
from hub.rota.waits import Told, Waits
from hub.store.engine import Store
from tests.bench.rows import Row, at_most

PATIENTS = 20_000
DISTRICTS = tuple(f"D{number:02d}" for number in range(38))
DAY = 20_783
"""A Thursday, 2026-11-26."""
MORNING_MS = DAY * 86_400_000 - IST_OFFSET_S * 1000
OPENS_S, LAST_COME_S, CLOSES_S, ENDS_S = 9 * 3600, 15 * 3600 + 1800, 16 * 3600, 16 * 3600 + 1800
HOME_SHARE = 0.4
SERVICE_MEAN_S, SERVICE_SPREAD = 340.0, 0.45
ROUSING_S = (3, 20)
"""From the ring to the answer."""
MISSES, DECLINES, ABSENT = 0.04, 0.01, 0.12
SEEDS = (26, 27)


class Clinician:
    """A made-up doctor: when she sits, and how she answers."""

    def __init__(self, number: int, draw: random.Random) -> None:
        own = frozenset({DISTRICTS[number % len(DISTRICTS)]}) if draw.random() < 0.7 else frozenset()
        tongues = frozenset({"hi"}) | (
            frozenset({draw.choice(("bho", "mai", "mag"))}) if draw.random() < 0.5 else set()
        )
        self.doctor = Doctor(f"doctor{number:03d}", "", own, tongues)
        self.comes_s = OPENS_S + max(0, int(draw.gauss(60, 600)))
        self.lunch_s = draw.randrange(12 * 3600, 14 * 3600)
        self.goes_s = CLOSES_S if draw.random() < 0.9 else draw.randrange(13 * 3600, CLOSES_S)
        if draw.random() < ABSENT:
            self.comes_s = ENDS_S + 1


class Day:
    """One seed."""

    def __init__(self, store: Store, seed: int, doctors: int) -> None:
        self._store = store
        self._draw = random.Random(seed)
        self._hours = Hours()
        self.rota = Rota(Settings(), self._hours.is_open)
        self.waits = Waits()
        self._due: list[tuple[int, int, str, str, str]] = []
        self._count = 0
        self._said: dict[str, tuple[Wanting, int, Told | None]] = {}
        self._writes: list[tuple[str, tuple[object, ...]]] = []
        self.seen: dict[str, int] = {}
        self.rings = Counter[str]()
        self.nobody: set[str] = set()
        self._people = {one.doctor.doctor_id: one for one in (Clinician(n, self._draw) for n in range(doctors))}
        for one in self._people.values():
            for at_s, what in (
                (one.comes_s, "sit"),
                (one.lunch_s, "stand"),
                (one.lunch_s + 1800, "sit"),
                (one.goes_s, "stand"),
            ):
                if one.comes_s <= at_s and (what == "stand" or at_s < one.goes_s):
                    self._at(at_s, what, one.doctor.doctor_id)
        for number in range(PATIENTS):
            morning = self._draw.random() < 0.55
            span = (OPENS_S - 1800, 12 * 3600) if morning else (12 * 3600, LAST_COME_S)
            self._at(self._draw.randrange(*span), "come", f"v{number:05d}")

    def _at(self, at_s: int, what: str, who: str, more: str = "") -> None:
        self._count += 1
        heappush(self._due, (at_s, self._count, what, who, more))

    def run(self) -> None:
        """From half past eight to half past four, second by second."""
        for now_s in range(OPENS_S - 1800, ENDS_S):
            now_ms = MORNING_MS + now_s * 1000
            while self._due and self._due[0][0] <= now_s:
                _, _, what, who, more = heappop(self._due)
                self._happen(what, who, more, now_s, now_ms)
            for action in self.rota.tick(now_ms):
                self._act(action, now_s)
            if now_s % 30 == 0:
                self.nobody |= {name for name, why in self.rota.look(now_ms).items() if why is not Why.CLOSED}
            if now_s % 60 == 0:
                self._write()
        self._write()

    def _happen(self, what: str, who: str, more: str, now_s: int, now_ms: int) -> None:
        match what:
            case "come":
                self._come(who, now_ms)
            case "sit":
                self.rota.sit(self._people[who].doctor, now_ms)
            case "stand":
                self.rota.stand(who, now_ms)
            case "take" if self.rota.asked(more) == who:
                self._take(more, who, now_s, now_ms)
            case "decline":
                self.rota.decline(more, who, now_ms)
            case "done":
                self.rota.done(more, who, now_ms)
                self.waits.served((now_ms - self.seen[more]) / 1000)
                self._writes.append(("done", (more, now_ms)))
            case _:
                return

    def _come(self, visit_id: str, now_ms: int) -> None:
        draw = self._draw
        rank = draw.choices((0, 1, 2, 3), (1, 14, 20, 65))[0]
        language = draw.choices(("hi", "bho", "mai", "mag"), (70, 12, 12, 6))[0]
        own = draw.choice(sorted(self._people)) if draw.random() < 0.1 else ""
        home = draw.random() < HOME_SHARE
        one = Wanting(visit_id, rank, now_ms, int(home), draw.choice(DISTRICTS), language, same_doctor=own)
        self.rota.want(one, now_ms)
        sits, free = self.rota.sitting(one)
        expected = self.waits.expect(self.rota.ahead(one), sits, free) if self._hours.is_open(now_ms) else None
        self._said[visit_id] = (one, now_ms, None if expected is None else Told(expected, 0.0))
        self._writes.append(("told", (one, expected, now_ms)))

    def _act(self, action: Ring | Stop | GotUp, now_s: int) -> None:
        draw = self._draw
        match action:
            case Ring(visit_id, doctor_id, _):
                self.rings["rung"] += 1
                answer_s = now_s + draw.randrange(*ROUSING_S)
                luck = draw.random()
                if luck >= MISSES + DECLINES:
                    self._at(answer_s, "take", doctor_id, visit_id)
                elif luck >= MISSES:
                    self._at(answer_s, "decline", doctor_id, visit_id)
            case Stop(_, _, why):
                self.rings[why.value] += 1
            case GotUp(doctor_id):
                self.rings["got up"] += 1
                self._at(now_s + draw.randrange(60, 900), "sit", doctor_id)

    def _take(self, visit_id: str, doctor_id: str, now_s: int, now_ms: int) -> None:
        self.rota.take(visit_id, doctor_id, now_ms)
        self.seen[visit_id] = now_ms
        _, told_ms, told = self._said[visit_id]
        if told is not None:
            self.waits.learn(Told(told.expected, (now_ms - told_ms) / 1000))
        took_s = max(45, int(SERVICE_MEAN_S * self._draw.lognormvariate(-(SERVICE_SPREAD**2) / 2, SERVICE_SPREAD)))
        self._at(now_s + took_s, "done", doctor_id, visit_id)
        self._writes.append(("taken", (visit_id, doctor_id, now_ms)))

    def _write(self) -> None:
        batch, self._writes = self._writes, []
        calls = {"told": kept.note_told, "taken": kept.note_taken, "done": kept.note_done}

        def act(connection: Connection) -> None:
            for name, arguments in batch:
                calls[name](connection, *arguments)  # type: ignore[operator]

        if batch:
            self._store.write_now(act)


def measure(store: Store, seed: int, doctors: int) -> list[Row]:
    """One day; every patient is taken, or stands on the coordinator's list with the reason."""
    day = Day(store, seed, doctors)
    day.run()
    end_ms = MORNING_MS + ENDS_S * 1000
    left = day.rota.look(end_ms)
    lost = PATIENTS - len(day.seen) - len(left)
    found = store.read_now(lambda connection: kept.figures(connection, MORNING_MS, end_ms))
    assert found.taken == len(day.seen), "the store and the rota agree"
    again = store.read_now(kept.load_waits)
    assert again.service_s() > 0
    print(f"seed {seed}, {doctors} doctors: {dict(day.rings)}; not taken: {Counter(left.values())}", file=sys.stderr)
    name = f"seed {seed}, {doctors} doctors"
    return [
        at_most(f"tokens neither answered nor explained, {name}", lost, "", 0),
        Row(f"answered, {name}", found.taken, ""),
        Row(f"not taken by 16:30, each with its reason, {name}", len(left), ""),
        Row(f"came before the coordinator, {name}", len(day.nobody), ""),
        Row(f"wait, median, {name}", round((found.wait_median_s or 0) / 60, 1), "min"),
        Row(f"wait, 90th percentile, {name}", round((found.wait_p90_s or 0) / 60, 1), "min"),
        Row(f"error of the told wait, median, {name}", round((found.error_median_s or 0) / 60, 1), "min"),
        Row(f"error of the told wait, 90th percentile, {name}", round((found.error_p90_s or 0) / 60, 1), "min"),
        Row(f"told ranges that were true, {name}", round(100 * (found.held_share or 0), 1), "%"),
    ]


def run(*, seeds: tuple[int, ...] = SEEDS) -> list[Row]:
    """Enough doctors on two seeds, then a day with too few of them: the unfriendly one."""
    print(__doc__, file=sys.stderr)
    rows: list[Row] = []
    for seed, doctors in [*((seed, 400) for seed in seeds), (seeds[0], 300)]:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(f"sqlite:///{Path(folder) / 'hub.db'}", create=True)
            try:
                rows += measure(store, seed, doctors)
            finally:
                store.close()
    return rows

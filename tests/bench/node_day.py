"""A simulated day: four tablets, two hundred visits each, against one node process by HTTPS, with and without a quota.

The real hub is connected, a doctor there answers some visits, a board and a tablet that stays on the queue's page hear
every change. Time is pressed together, not the work: the figures say how much. Tokens are compared with the register.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.bench.rows import Row, at_most
from tests.bench.tablets import Plan, Told
from tests.kits import process, quota
from tests.kits.cases import Case
from tests.kits.client import ApiError
from tests.kits.clinic import ROOT, Clinic, free_port
from tests.kits.visit import DoctorVisit, NurseVisit

DAY_S = 7 * 3600.0
"""09:00 to 16:00."""
TABLETS, VISITS = 4, 200
SHARE = 0.2
LOOK_S = 0.5


class Size(Struct, frozen=True):
    """How much of a day, and in how long."""

    visits: int = VISITS
    """Of each tablet."""
    every_s: float = 3.0
    """A visit of a tablet begins so long after the one before; in a real day of 200 visits 126 s."""
    think_s: float = 0.08
    share: float = 0.0
    """Of one core, for the node; 0: as much as it likes."""
    tablets: int = TABLETS
    photo_each: int = 10
    doctor_each: int = 20


class Memory(Struct):
    """The most that was seen, MiB."""

    rss: float = 0.0
    pss: float = 0.0
    before: float = 0.0
    """RSS before the first log-in."""


class Measured(Struct, frozen=True):
    """A day and what the node was like in it."""

    told: Told
    memory: Memory
    processor_s: float
    """Of the node's process and of what it started and waited for."""
    how: str
    """How the quota was held."""
    wrong: tuple[str, ...]
    """What the register and the tablets do not agree on; empty is right."""
    load: float


def _memory_of(pid: int, most: Memory) -> None:
    now = process.memory(pid)
    most.rss, most.pss = max(most.rss, now.rss_mb), max(most.pss, now.pss_mb)


@contextmanager
def _watched(pid: int) -> Iterator[Memory]:
    """Look at a process's memory all the while."""
    most, ended = Memory(), threading.Event()
    _memory_of(pid, most)
    most.before = most.rss

    def look() -> None:
        while not ended.wait(LOOK_S):
            _memory_of(pid, most)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def _doctor(clinic: Clinic, lines: list[bytes], ended: threading.Event) -> None:
    """Sign for each named visit as soon as the hub has it; not for one that the nurse has closed by then."""
    doctor = clinic.doctor_client()
    while not ended.wait(LOOK_S):
        for line in list(lines):
            asked = json.loads(line)
            visit = NurseVisit(msgspec.convert(asked["case"], Case))
            visit.visit_id = asked["visit_id"]
            mine = DoctorVisit(visit)
            try:
                if not mine.in_queue(doctor):
                    continue
                mine.take(doctor)
                mine.sign(doctor)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
            lines.remove(line)
            doctor.close()  # the hub ends a connection that says nothing for a minute


def _work(clinic: Clinic, plan: Plan) -> Told:
    """Run the tablets; the doctor answers meanwhile, and a day without one is none."""
    lines: list[bytes] = []
    ended = threading.Event()
    command = [sys.executable, "-m", "tests.bench.tablets"]
    with ThreadPoolExecutor(1) as pool:
        doctor = pool.submit(_doctor, clinic, lines, ended)
        try:
            tablets, last = _tablets(command, plan, lines)
        finally:
            ended.set()
        doctor.result()
    if tablets:
        raise RuntimeError(f"the tablets ended with {tablets}; {clinic.node.log_tail()}")
    return msgspec.json.decode(last, type=Told)


def _tablets(command: list[str], plan: Plan, lines: list[bytes]) -> tuple[int, bytes]:
    """Run the tablets' process; its exit code and last line. ``lines`` gets the visits that want an answer."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tablets:
        assert tablets.stdin is not None
        assert tablets.stdout is not None
        tablets.stdin.write(msgspec.json.encode(plan) + b"\n")
        tablets.stdin.close()
        last = b""
        for line in tablets.stdout:
            if line.startswith(b'{"visit_id"'):
                lines.append(line)
            else:
                last = line
    return tablets.returncode, last


def disagreements(told: Told, size: Size) -> tuple[str, ...]:
    """Between what the tablets were told and the register: a token that is missing, twice, or of another visit."""
    tokens, kept, visits = told.tokens, told.register, size.visits * size.tablets
    wrong = [f"{one}: {token} told, {kept.get(one)} kept" for one, token in tokens.items() if kept.get(one) != token]
    if len(set(tokens.values())) != len(tokens):
        wrong.append("a token was given twice")
    serials = sorted(int(token.rpartition("-")[2]) for token in kept.values() if token)
    if serials != list(range(1, visits + 1)):
        wrong.append(f"{len(serials)} tokens from {serials[:1]} to {serials[-1:]}, {visits} visits")
    return tuple(wrong)


def measure(size: Size) -> Measured:
    """One day against a clinic made for it."""
    https = free_port()
    options = ["--https", f"127.0.0.1:{https}", "--lan-address", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder, Clinic(Path(folder), node_options=options) as clinic:
        pid = clinic.node.pid
        ca = (clinic.node_data / "lan" / "ca.pem").read_text()
        with _watched(pid) as memory, _held(pid, size.share) as how:
            plan = Plan(
                f"https://127.0.0.1:{https}", ca, clinic.nurse.badge, clinic.nurse.staff_id, clinic.nurse.pin,
                size.tablets, size.visits, size.every_s, size.think_s, size.photo_each, size.doctor_each,
            )  # fmt: skip
            before_s = process.cpu_s(pid, with_children=True)
            told = _work(clinic, plan)
            used_s = process.cpu_s(pid, with_children=True) - before_s
        return Measured(told, memory, used_s, how, disagreements(told, size), os.getloadavg()[0])


@contextmanager
def _held(pid: int, share: float) -> Iterator[str]:
    if not share:
        yield "none"
        return
    with quota.held(pid, share) as how:
        yield how


def _at(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def rows(size: Size, got: Measured) -> list[Row]:
    """The figures of one day with their goals."""
    told, visits = got.told, size.visits * size.tablets
    acted = [took for found in told.acted_ms.values() for took in found]
    reach = 600 if size.share else 150
    of = f", {size.share:.0%} of a core" if size.share else ""
    slowest = max(told.acted_ms, key=lambda kind: _at(told.acted_ms[kind], 0.99))
    return [
        Row(f"{visits} visits by {size.tablets} tablets{of}: actions", len(acted), ""),
        Row(f"a day of 7 h pressed together{of}", round(DAY_S / told.lasted_s, 1), "times"),
        Row(f"action, median{of}", round(_at(acted, 0.5), 1), "ms"),
        at_most(f"action, 99th percentile{of}", _at(acted, 0.99), "ms", reach),
        Row(f"action, slowest{of}", round(max(acted), 1), "ms"),
        Row(f"'{slowest}', the slowest kind, 99th percentile{of}", round(_at(told.acted_ms[slowest], 0.99), 1), "ms"),
        Row(f"what pages load by themselves, 99th percentile{of}", round(_at(told.shown_ms, 0.99), 1), "ms"),
        at_most(f"tokens lost, doubled or of another visit{of}", len(got.wrong), "", 0),
        Row(f"slips made in the node{of}", told.slips, ""),
        at_most(f"node, most RSS{of}", got.memory.rss, "MiB", 120),
        Row(f"node, most PSS{of}", round(got.memory.pss, 1), "MiB"),
        Row(f"node, processor time a visit{of}", round(got.processor_s / visits * 1000, 1), "ms"),
        Row(f"node, share of one core over the day{of}", round(got.processor_s / told.lasted_s * 100, 1), "%"),
        Row(f"a visit began later than planned, most{of}", round(told.late_s, 1), "s"),
        Row(f"the tablets' own lateness, 99th percentile{of}", round(told.own_late_ms, 1), "ms"),
        Row(f"the tablets' own share of one core{of}", round(told.own_processor_s / told.lasted_s * 100, 1), "%"),
        Row(f"load of the machine at the end{of}", round(got.load, 1), ""),
    ]


def run() -> list[Row]:
    """The day in ten minutes, with as much of the processor as the node likes."""
    return _day(Size())


def run_in_quota() -> list[Row]:
    """The same day under the quota, in 27 minutes."""
    return _day(Size(every_s=8.0, think_s=0.2, share=SHARE))


def _day(size: Size) -> list[Row]:
    got = measure(size)
    print(f"quota: {got.how}; {'; '.join(got.wrong[:5]) or 'all tokens right'}", file=sys.stderr, flush=True)
    return rows(size, got)

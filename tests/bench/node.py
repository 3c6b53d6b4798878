"""How long the nurse waits: commands, the start of a node, and the search with 50,000 patients."""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from tests.bench import many, node_day, node_idle, touch
from tests.bench.rows import Row, at_most
from tests.kits.cases import draw_case
from tests.kits.client import Client, dig, items, text
from tests.kits.clinic import Clinic
from tests.kits.process import cpu_s
from tests.kits.visit import NurseVisit

VISITS = 20
PATIENTS = 50_000
SEARCHES = 200
DUE, DUE_ASKED = "/api/due?why=sent_on", 20
SLOWEST = 5
QUIET_S = 3


def run(only: Sequence[str] = ()) -> list[Row]:
    """The groups asked for, or all."""
    return [row for name, group in GROUPS.items() if not only or name in only for row in group()]


def _commands() -> list[Row]:
    """On real processes. The answer counts from the request's first byte to the reply's last."""
    rng = random.Random(1)
    waits_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Clinic(Path(folder)) as clinic:
        nurse = clinic.nurse_client()
        reference = nurse.get("/api/reference")
        for _ in range(VISITS):
            for _, step in NurseVisit(draw_case(rng)).steps(reference):
                start_s = time.monotonic()
                step(nurse)
                waits_ms.append((time.monotonic() - start_s) * 1000)
        nurse.close()
        clinic.node.stop()
        start_s = time.monotonic()
        clinic.node.start()
        started_s = time.monotonic() - start_s
    waits_ms.sort()
    return [
        at_most("command, median", waits_ms[len(waits_ms) // 2], "ms", 100),
        at_most("command, 95th percentile", waits_ms[int(len(waits_ms) * 0.95)], "ms", 100),
        at_most("command, slowest", waits_ms[-1], "ms", 100),
        Row("node listens after its start", round(started_s, 2), "s"),
    ]


def _many() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, Clinic(Path(folder)) as clinic:
        clinic.node.stop()
        return _with_many(clinic)


def _with_many(clinic: Clinic) -> list[Row]:
    """Search and start with many patients: until it listens, and until somebody is logged in.

    First with the hub away, then while it gets back everything that it never had: what :mod:`tests.bench.many` writes
    was acknowledged by nobody.
    """
    nurse = clinic.nurse
    clinic.hub.stop()
    many.fill(clinic.node_data, nurse.badge, nurse.pin, PATIENTS, 7, time.time_ns() // 1_000_000)
    start_s = time.monotonic()
    clinic.node.start()
    listens_s = time.monotonic() - start_s
    client = clinic.nurse_client()
    logged_in_s = time.monotonic() - start_s
    first = items(client.get("/api/patients?q=&limit=100"), "items")
    assert len(first) == 100
    quiet = _searched(clinic, client, "")
    due_ms = sorted(_ask_ms(client, DUE) for _ in range(DUE_ASKED))
    listed = sum(int(str(dig(day, "people"))) for day in items(client.get(DUE), "days"))
    clinic.hub.start()
    busy = _searched(clinic, client, ", while the hub gets everything anew")
    client.close()
    return [
        at_most(f"node listens, {PATIENTS:,} patients", listens_s, "s", 3),
        at_most("… and somebody is logged in (two PIN checks)", logged_in_s, "s", 3),
        *quiet,
        at_most(f"the list of who is due ({listed} people), median", due_ms[len(due_ms) // 2], "ms", 100),
        at_most("the list of who is due, slowest", due_ms[-1], "ms", 150),
        *busy,
    ]


def _searched(clinic: Clinic, client: Client, how: str) -> list[Row]:
    """What nurses type, and what the node does meanwhile and beside it."""
    questions = _questions(random.Random(3), client)
    pid = clinic.node.pid
    time.sleep(QUIET_S)
    before_s = cpu_s(pid)
    time.sleep(QUIET_S)
    alone = (cpu_s(pid) - before_s) / QUIET_S
    before_s = cpu_s(pid)
    asked_ms = [(_search_ms(client, asked), number) for number, asked in enumerate(questions)]
    waits_ms = sorted(took_ms for took_ms, _ in asked_ms)
    for took_ms, number in sorted(asked_ms, reverse=True)[:SLOWEST]:
        print(f"search {number} of {len(questions)}{how}: {took_ms:.0f} ms, {_class(questions[number])}")
    each_ms = (cpu_s(pid) - before_s) / len(questions) * 1000
    return [
        at_most(f"search of {PATIENTS:,}, median{how}", waits_ms[len(waits_ms) // 2], "ms", 50),
        at_most(f"search, 95th percentile{how}", waits_ms[int(len(waits_ms) * 0.95)], "ms", 50),
        at_most(f"search, slowest{how}", waits_ms[-1], "ms", 50),
        Row(f"search, processor time of the node each, mean{how}", round(each_ms, 1), "ms"),
        Row(f"the node's processor while nobody searches{how}", round(alone * 100, 1), "% of a core"),
    ]


def _questions(rng: random.Random, client: Client) -> list[str]:
    """What nurses type: names of people who are there letter by letter, two words, villages, numbers, nobody."""
    people = items(client.get("/api/patients?q=&limit=100"), "items")
    asked = ["a", "र", "s", "d", "de", "dev", "r d", "k y", "ra de", "5", "55", "5550", "1", "zzyzx", "p k m"]
    while len(asked) < SEARCHES:
        row = rng.choice(people)
        assert isinstance(row, dict)
        person = row["person"]
        name = text(person, "name")
        length = rng.randint(1, len(name))
        mobile = text(person, "mobile")
        asked += [name[:length], name[:3], mobile[: rng.randint(1, 10)], mobile[-4:], text(person, "village")[:4]]
    return asked


def _class(asked: str) -> str:
    """What kind of question it is: no name of anybody, not even a made-up one."""
    if asked.isdigit():
        return f"{len(asked)} digits"
    words = asked.split()
    return (
        f"{'Latin' if asked.isascii() else 'Hindi'}, letters of each word: {' '.join(str(len(word)) for word in words)}"
    )


def _search_ms(client: Client, asked: str) -> float:
    return _ask_ms(client, f"/api/patients?q={quote(asked)}&limit=20")


def _ask_ms(client: Client, path: str) -> float:
    start_s = time.monotonic()
    client.get(path)
    return (time.monotonic() - start_s) * 1000


GROUPS: dict[str, Callable[[], list[Row]]] = {
    "commands": _commands,
    "many": _many,
    "day": node_day.run,
    "quota": node_day.run_in_quota,
    "idle": node_idle.run,
    "touch": touch.run,
}

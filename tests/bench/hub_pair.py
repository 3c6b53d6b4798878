"""Two processes of one hub on PostgreSQL and NATS under the country's load; the one that leads is killed.

Counted is what was acknowledged and is not in the database, and how long a call stands without signals: doctors whose
page was at the dead process open it anew at the other one and ring again, as pages do; the others go on.
"""

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

import aiohttp
import psycopg

from edge.media.signals import Candidate, Ring, Signal
from tests.bench.hub_calls import Calls, DoctorPage
from tests.bench.hub_load import LoadNode, another_process, drained, hub_only, paced, started, stopped
from tests.bench.rows import Row, at_most
from tests.kits.clinic import Clinic, Server
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

NODES, DOCTORS = 40, 4
PACED_PER_S, BEFORE_S, AFTER_S = 20.3, 20.0, 30.0
SAY_EVERY_S = 0.5
CALLS_BACK_S = 10.0
ACK_P99_MS = 1000


class Talk:
    """A call that says something twice a second, in either process, and when its node heard of it last."""

    def __init__(self, page: DoctorPage, node: LoadNode, call_id: str, url: str) -> None:
        self._page, self._call_id, self._visit = page, call_id, node.last_visit
        self.url = url
        self.heard_s = 0.0
        self.back_s = float("inf")
        self.back = asyncio.Event()
        """When the first signal came that was said after :meth:`lose`."""
        self._lost_s = float("inf")
        before = node.on_signal

        def heard(signal: Signal) -> None:
            before(signal)
            self.heard_s = time.monotonic()
            said = signal.candidate.removeprefix("said:") if isinstance(signal, Candidate) else ""
            if said and float(said) > self._lost_s:
                self.back_s = min(self.back_s, self.heard_s)
                self.back.set()

        node.on_signal = heard

    def lose(self) -> None:
        """From now on, count."""
        self._lost_s = time.monotonic()

    async def go_on(self, other: str) -> None:
        """Speak until cancelled; at the other process when this one is gone."""
        while True:
            try:
                await self._page.say(Candidate(self._call_id, f"said:{time.monotonic()}"))
            except (ConnectionError, aiohttp.ClientError):
                with contextlib.suppress(OSError, aiohttp.ClientError):
                    await self._page.connect(other)
                    await self._page.say(Ring(self._call_id, self._visit))
            await asyncio.sleep(SAY_EVERY_S)


async def _measure(clinic: Clinic, other: Server, database: str) -> list[Row]:
    nodes = await started(clinic, NODES)
    await asyncio.to_thread(other.start)
    pages = [await asyncio.to_thread(DoctorPage, clinic, f"d{number}") for number in range(DOCTORS)]
    calls = Calls()
    calls.wanted = DOCTORS
    talks = []
    for number, page in enumerate(pages):
        url = clinic.hub.url if number % 2 == 0 else other.url
        await page.connect(url)
        calls.serve(nodes[number])
        calls.answer(page)
        talks.append(Talk(page, nodes[number], await calls.ring(page, nodes[number]), url))
    async with asyncio.timeout(30):
        await calls.all_set_up.wait()
    speaking = [asyncio.create_task(talk.go_on(other.url)) for talk in talks]
    before = await paced(nodes, PACED_PER_S, BEFORE_S)
    loading = asyncio.create_task(paced(nodes, PACED_PER_S, AFTER_S))
    await asyncio.sleep(AFTER_S / 6)
    for talk in talks:
        talk.lose()
    killed_s = time.monotonic()
    clinic.hub.kill()
    after = await loading
    async with asyncio.timeout(60):
        for talk in talks:
            await talk.back.wait()
    await drained(nodes, 60)
    for task in speaking:
        task.cancel()
    await asyncio.gather(*speaking, return_exceptions=True)
    for page in pages:
        await page.close()
    await stopped(nodes)
    lost = await asyncio.to_thread(_lost, database, nodes)
    promised = sum(len(node.promised) for node in nodes)
    back = sorted(talk.back_s - killed_s for talk in talks)
    return [
        at_most(f"acknowledged entries that are gone, of {promised}", lost, "entries", 0),
        at_most("calls signalled again after the kill, the last of them", back[-1], "s", CALLS_BACK_S),
        Row("… the first of them", round(back[0], 2), "s"),
        at_most("two processes: ack at 20.3 visits a second, 99th percentile",
                before[int(len(before) * 0.99)], "ms", ACK_P99_MS),
        Row("while one was killed: median", round(after[len(after) // 2]), "ms"),
        Row("while one was killed: longest", round(after[-1]), "ms"),
    ]  # fmt: skip


def _lost(database: str, nodes: list[LoadNode]) -> int:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT run, seq, raw FROM entries").fetchall()
    there = {(bytes(row[0]), row[1]): bytes(row[2]) for row in rows}
    return sum(there.get((node.run, seq)) != raw for node in nodes for seq, raw in node.promised.items())


def run() -> list[Row]:
    """Measure on real processes."""
    with tempfile.TemporaryDirectory() as name, Postgres(durable=True) as server, Nats() as nats:
        database = server.database()
        with hub_only(Path(name), database, nats.url) as clinic:
            other = another_process(clinic, database, nats.url)
            try:
                return asyncio.run(_measure(clinic, other, database))
            finally:
                other.kill()

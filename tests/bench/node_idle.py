"""What a node spends while nobody presses anything, and what each change costs: ``./run bench node --only idle``.

Forty visits stand in the queue. Who asks by itself is turned on one after the other: the hub's link, five tablets with
their channels, what their pages ask every ten seconds, one of them on the queue's page, a board. Then one form is
written on, a draft and a command in turn, so that each change is heard and loaded again. Processor time of the node's
process over the time of each step; the askers are this process, by HTTPS as the pages are.
"""

import asyncio
import contextlib
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.node_day import TABLETS
from tests.bench.rows import Row
from tests.bench.tablets import OPEN_AT_ONCE, Day, Plan, Tablet
from tests.kits import process
from tests.kits.clinic import Clinic, free_port

SECONDS = float(os.environ.get("UPKENDRA_IDLE_S", "60"))
"""Of each step."""
SETTLE_S = 2.0
CHANGES_A_S = 2.0
"""Drafts, then commands, in the last steps; slow enough that each is heard by itself."""
VISIT_EVERY_S = 20.0
"""Of each tablet, in the last step; in a day of 200 visits it is 126 s."""
ONLINE_WITHIN_S = 60.0


def run() -> list[Row]:
    """Each step's cost: ms of processor a second, which is per mille of one core."""
    https = free_port()
    options = ["--https", f"127.0.0.1:{https}", "--lan-address", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder, Clinic(Path(folder), node_options=options) as clinic:
        plan = Plan(
            f"https://127.0.0.1:{https}", (clinic.node_data / "lan" / "ca.pem").read_text(), clinic.nurse.badge,
            clinic.nurse.staff_id, clinic.nurse.pin, TABLETS, 0, 1.0, 0.2, 0, 1_000_000,
        )  # fmt: skip
        return asyncio.run(_Steps(clinic, plan).run())


async def _visits(tablet: Tablet, numbers: range, every_s: float) -> None:
    """So many whole visits of one tablet, evenly."""
    begun_s = time.monotonic() + tablet.number * every_s / TABLETS
    for place, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, begun_s + place * every_s - time.monotonic()))
        await tablet.visit(number)


class _Steps:
    """The steps, each on top of the one before."""

    def __init__(self, clinic: Clinic, plan: Plan) -> None:
        self._clinic, self._pid, self._plan = clinic, clinic.node.pid, plan
        self._running: list[asyncio.Task[None]] = []
        self._rows: list[Row] = []

    async def run(self) -> list[Row]:
        trust = ssl.create_default_context(cadata=self._plan.ca)
        async with contextlib.AsyncExitStack() as stack:
            day, tablets = Day(self._plan), []
            for number in range(TABLETS + 1):
                http = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=trust, limit=6), cookie_jar=aiohttp.CookieJar(unsafe=True)
                )
                tablets.append(Tablet(day, number, await stack.enter_async_context(http)))
                await tablets[-1].log_in(unlock=number == 0)
            *writers, on_queue = tablets
            day.reference = await on_queue.ask("", "GET", "/api/reference")
            await asyncio.gather(*(_visits(one, range(1, OPEN_AT_ONCE + 1), 0.0) for one in writers))
            for one in writers:
                one.open_form(one.last_visit if one is writers[0] else "")
            await self._sent(on_queue)
            await asyncio.to_thread(self._clinic.hub.stop)
            await self._step("nobody, no hub", [])
            await asyncio.to_thread(self._clinic.hub.start)
            await self._sent(on_queue)
            await self._step("the hub's link", [])
            await self._step("five tablets' channels", [one.live for one in tablets])
            await self._step("what their pages ask every 10 s", [one.show_status for one in tablets])
            await self._step("one on the queue's page", [on_queue.show_queue])
            await self._step("a board every 2 s", [on_queue.show_board])
            idle = self._rows[-1].value
            for name, change in (("draft", writers[0].change_draft), ("command", writers[0].change_visit)):
                await self._changes(name, change, idle)
            await self._visits(writers)
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        return self._rows

    async def _sent(self, tablet: Tablet) -> None:
        """Wait until the hub has everything that was recorded."""
        async with asyncio.timeout(ONLINE_WITHIN_S):
            while True:
                link = (await tablet.ask("", "GET", "/api/status"))["link"]
                if link["online"] and link["backlog_items"] == 0:
                    return
                await asyncio.sleep(0.5)

    async def _step(self, name: str, more: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        self._running += [asyncio.create_task(work()) for work in more]
        await asyncio.sleep(SETTLE_S)
        before_s, begun_s = process.cpu_s(self._pid), time.monotonic()
        await asyncio.sleep(SECONDS)
        share = (process.cpu_s(self._pid) - before_s) / (time.monotonic() - begun_s)
        self._tell(f"idle node, processor a second: {name}", share * 1000)

    async def _changes(self, name: str, change: Callable[[int], Awaitable[None]], idle: float) -> None:
        """What one change costs the node, with everybody hearing it; ``idle``: what a second costs without, ms."""
        before_s, begun_s, count = process.cpu_s(self._pid), time.monotonic(), 0
        while time.monotonic() < begun_s + SECONDS:
            await asyncio.sleep(max(0.0, begun_s + count / CHANGES_A_S - time.monotonic()))
            await change(count)
            count += 1
        used_ms = (process.cpu_s(self._pid) - before_s) * 1000 - idle * (time.monotonic() - begun_s)
        self._tell(f"a {name} that five tablets hear: processor", used_ms / count)

    async def _visits(self, writers: list[Tablet]) -> None:
        """What a whole visit costs, all that others load for it and that goes on beside it included."""
        each = max(1, round(SECONDS / VISIT_EVERY_S))
        numbers = range(OPEN_AT_ONCE + 1, OPEN_AT_ONCE + 1 + each)
        before_s = process.cpu_s(self._pid, with_children=True)
        await asyncio.gather(*(_visits(one, numbers, VISIT_EVERY_S) for one in writers))
        used_ms = (process.cpu_s(self._pid, with_children=True) - before_s) * 1000
        self._tell(
            f"a visit of each tablet every {VISIT_EVERY_S:.0f} s: processor a visit", used_ms / each / len(writers)
        )

    def _tell(self, name: str, value: float) -> None:
        row = Row(name, round(value, 1), "ms")
        print(f"{row.name}: {row.value} ms", file=sys.stderr, flush=True)
        self._rows.append(row)

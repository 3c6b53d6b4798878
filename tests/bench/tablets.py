"""Tablets that work through a day against one node, as its own page speaks to it: HTTPS, a WebSocket each, drafts.

A process of its own, so that what it costs is not the node's and can be said: ``python -m tests.bench.tablets`` reads a
:class:`Plan` on standard input and prints a :class:`Told` at the end, with a line for each visit that a doctor may
answer meanwhile. A visit begins when the day's plan says so, late or not; within it a hand waits for each answer.
"""

import asyncio
import contextlib
import json
import random
import resource
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct

from tests.kits import cases
from tests.kits.media import jpeg_of
from tests.kits.visit import fresh_id

QUEUE_PAUSE_S = 0.3
"""As ``often.js``: the queue is loaded at a change, then once in such a time."""
STATUS_S = 10.0
BOARD_S = 2.0
BEAT_S = 0.01
OPEN_AT_ONCE = 10
"""Visits of a tablet that wait for their end: so long is the queue that everybody loads."""
PHOTO_BYTES, PREVIEW_BYTES = 180_000, 6_000


class Plan(Struct, frozen=True):
    """A day."""

    url: str
    """https://ADDR:PORT"""
    ca: str
    """PEM of the node's own authority."""
    badge: str
    staff_id: str
    pin: str
    tablets: int
    visits: int
    """Of each tablet."""
    every_s: float
    """A visit of a tablet begins so long after the one before it."""
    think_s: float
    """A hand pauses so long between two actions of one visit."""
    photo_each: int
    """One visit in so many has a photo; 0: none."""
    doctor_each: int
    """One visit in so many is named to the doctor."""
    seed: int = 1


class Told(Struct, frozen=True):
    """What came of it."""

    acted_ms: dict[str, list[float]]
    """Kind of action → how long each took, from the request's first byte to the answer's last."""
    shown_ms: list[float]
    """The same of what a page loads by itself: queues after a change, status, board."""
    tokens: dict[str, str]
    """Visit → the token that the tablet was given."""
    register: dict[str, str]
    """The same as the day's register has it at the end."""
    lasted_s: float
    late_s: float
    """So long after its plan the latest visit began."""
    own_processor_s: float
    own_late_ms: float
    """99th percentile of how late this process itself was at what it had planned."""
    slips: int
    pushes: int
    received_bytes: int


class Tablet:
    """One tablet with its page."""

    def __init__(self, day: "Day", number: int, http: aiohttp.ClientSession) -> None:
        self._day, self._http = day, http
        self._rng = random.Random(day.plan.seed * 1000 + number)
        self.number = number
        self._csrf = ""
        self._on_home = True
        self._stale = asyncio.Event()
        self._record = ""
        self._said: set[str] = set()
        """Its own commands: in a form their answers bring what they changed, as in ``app.js``."""
        self._mine: list[tuple[str, tuple[str, str]]] = []
        """Visits that wait for their end, with the patient's id and name."""
        self._people: list[tuple[str, str]] = []
        """Patients who may come again: none of their visits is open."""

    async def ask(
        self,
        kind: str,
        method: str,
        path: str,
        body: object = None,
        raw: bytes | None = None,
        headers: Any = None,
        or_code: str = "",
    ) -> Any:
        """One request; its time counts under ``kind``, or among what is shown where that is empty.

        ``or_code``: a refusal that the others' work may bring about, so that it is an answer too.
        """
        sent = {"X-CSRF": self._csrf, **(headers or {})}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        start_s = time.monotonic()
        async with self._http.request(method, self._day.plan.url + path, data=content, headers=sent) as reply:
            answer = await reply.read()
        took_ms = (time.monotonic() - start_s) * 1000
        self._day.received_bytes += len(answer)
        (self._day.acted_ms.setdefault(kind, []) if kind else self._day.shown_ms).append(took_ms)
        if reply.status >= 400 and not (or_code and json.loads(answer)["code"] == or_code):
            raise RuntimeError(f"{method} {path}: {reply.status} {answer[:300].decode(errors='replace')}")
        return json.loads(answer) if reply.content_type == "application/json" and answer else answer

    async def log_in(self, *, unlock: bool) -> None:
        plan = self._day.plan
        if unlock:
            await self.ask("log in", "POST", "/api/unlock", {"badge": plan.badge, "pin": plan.pin})
        reply = await self.ask("log in", "POST", "/api/session", {"staff_id": plan.staff_id, "pin": plan.pin})
        self._csrf = reply["csrf"]
        self._day.acted_ms.pop("log in")  # 64 MiB of Argon2id on purpose: no answer that a hand waits for all day

    # -- what a page does by itself ----------------------------------------------------------------------

    async def live(self) -> None:
        """The push channel: what is heard is loaded, where the screen shows it."""
        async with self._http.ws_connect(self._day.plan.url + "/api/live") as socket:
            async for message in socket:
                self._day.pushes += 1
                told = json.loads(message.data)
                visit_id = told.get("visit_id", "")
                if told["type"] in ("queue", "visit", "prescription"):
                    self._stale.set()
                own = told.get("command_id", "") in self._said
                if told["type"] in ("visit", "prescription") and visit_id == self._record and not own:
                    await self.ask("", "GET", f"/api/visits/{visit_id}")

    async def show_queue(self) -> None:
        """The queue while it is on the screen."""
        while True:
            await self._stale.wait()
            if self._on_home:
                self._stale.clear()
                await self.ask("", "GET", "/api/queue")
            await asyncio.sleep(QUEUE_PAUSE_S)

    async def show_status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_S)
            await self.ask("", "GET", "/api/status")

    async def show_board(self) -> None:
        """A screen in the waiting room."""
        while True:
            await self.ask("", "GET", "/api/board")
            await asyncio.sleep(BOARD_S)

    # -- what a hand does --------------------------------------------------------------------------------

    async def _think(self) -> None:
        await asyncio.sleep(self._day.plan.think_s * self._rng.uniform(0.5, 1.5))

    async def command(self, kind: str, **fields: object) -> Any:
        """A command; one in fifty is sent again, as after a lost answer, and one in fifty twice at the same time."""
        body = {"type": kind, "command_id": fresh_id(), **fields}
        headers = {"X-Staff": self._day.plan.staff_id}
        self._said.add(str(body["command_id"]))

        async def say() -> Any:
            return await self.ask(kind, "POST", "/api/commands", body, headers=headers)

        luck = self._rng.random()
        if luck < 0.02:
            first, second = await asyncio.gather(say(), say())
            self._day.same(first, second)
            return first
        reply = await say()
        if luck > 0.98:
            self._day.same(reply, await say())
        return reply

    async def _draft(self, key: str, revision: int, form: dict[str, object]) -> None:
        body = {"body": json.dumps(form, ensure_ascii=False), "revision": revision}
        await self.ask("draft", "PUT", f"/api/drafts/{key}", body)

    @property
    def last_visit(self) -> str:
        """Of those that wait for their end."""
        return self._mine[-1][0]

    def open_form(self, visit_id: str) -> None:
        """The form of a visit is on the screen now, no queue."""
        self._record, self._on_home = visit_id, False

    async def change_draft(self, number: int) -> None:
        """A few letters more in the form that is open."""
        await self._draft(f"visit-{self._record}", number + 1, {"record_complaints": {"notes": "x" * (number % 50)}})

    async def change_visit(self, number: int) -> None:
        """The complaints of the form that is open, said anew."""
        complaints = [{"code": "fever", "duration": 1 + number % 20, "duration_unit": "day"}]
        await self.command("record_complaints", visit_id=self._record, complaints=complaints, notes="")

    async def visit(self, number: int) -> None:
        """A patient from the door to the token, and the end of an earlier visit."""
        plan, case = self._day.plan, cases.draw_case(self._rng)
        returns = bool(self._people) and number % 5 >= 3
        patient_id, name = self._rng.choice(self._people) if returns else (fresh_id(), case.name)
        for length in (2, 4, 6):
            await self.ask("search", "GET", f"/api/patients?q={quote(name[:length])}&limit=20")
        await self._think()
        self._on_home = False
        person = cases.person(case)
        if returns:
            self._people.remove((patient_id, name))
            await self.ask("open a patient", "GET", f"/api/patients/{patient_id}")
        else:
            key = f"register-{patient_id}"
            for revision in (1, 2):
                await self._draft(key, revision, {"name": name[: 4 * revision], "village": case.village})
                await self._think()
            await self.ask("alike", "POST", "/api/patients/alike", person)
            await self.command("register_patient", patient_id=patient_id, person=person)
        visit_id = fresh_id()
        opened = await self.command("open_visit", patient_id=patient_id, visit_id=visit_id)
        if not returns:
            await self.ask("draft", "DELETE", f"/api/drafts/register-{patient_id}")
        assert opened["visit"]["visit_id"] == visit_id
        await self._form(visit_id, case)
        if plan.photo_each and number % plan.photo_each == 0:
            await self._photo(visit_id)
        reply = await self.command("issue_token", visit_id=visit_id)
        self._day.tokens[visit_id] = reply["visit"]["token"]
        await self.ask("draft", "DELETE", f"/api/drafts/visit-{visit_id}")
        await self.ask("open a visit", "GET", f"/api/visits/{visit_id}")
        if number % plan.doctor_each == 0:
            print(json.dumps({"visit_id": visit_id, "case": msgspec.to_builtins(case)}), flush=True)
        self._mine.append((visit_id, (patient_id, name)))
        self._record, self._on_home = "", True
        await self.ask("home", "GET", "/api/queue")
        await self.ask("home", "GET", "/api/drafts")
        if len(self._mine) > OPEN_AT_ONCE:
            await self.end()

    async def _form(self, visit_id: str, case: cases.Case) -> None:
        """The steps of the wizard, each with its draft before its command."""
        self._record = visit_id
        reference = self._day.reference
        versions = {one["purpose"]: one["version"] for one in reference["consent_statements"]}
        absent = [one["id"] for one in reference["signs"] if one["id"] not in case.signs_present]
        said: dict[str, object] = {"given": True, "method": "spoken", "language": "hi"}
        complaints = [msgspec.to_builtins(one) for one in case.complaints]
        for one in complaints:
            one["duration_unit"] = one.pop("unit")
        allergies = {"none_known": not case.allergies, "items": list(case.allergies)}
        steps: list[tuple[str, dict[str, object]]] = [
            ("record_consent", {"purpose": p, "statement_version": versions[p], **said}) for p in versions
        ]
        steps += [
            ("record_complaints", {"complaints": complaints, "notes": "तीन दिन से, रात में अधिक"}),
            ("record_history", {"history": cases.history(case), "allergies": allergies}),
            ("answer_signs", {"present": list(case.signs_present), "absent": absent}),
            ("record_vitals", {"vitals": cases.vitals(case)}),
        ]
        form: dict[str, object] = {}
        for revision, (kind, fields) in enumerate(steps, 1):
            form |= {kind: fields}
            await self._think()
            await self._draft(f"visit-{visit_id}", revision, form)
            await self.command(kind, visit_id=visit_id, **fields)

    async def _photo(self, visit_id: str) -> None:
        ids: list[str] = []
        for purpose, content in self._day.photos:
            upload_id = fresh_id()
            there = f"/api/visits/{visit_id}/uploads/{upload_id}"
            await self.ask("photo", "PUT", there, {"purpose": purpose, "size_bytes": len(content)})
            octets = {"Content-Type": "application/octet-stream"}
            await self.ask("photo", "PUT", f"{there}/parts/0", raw=content, headers=octets)
            ids.append(upload_id)
        await self.command("attach_media", visit_id=visit_id, preview_upload_id=ids[0], upload_id=ids[1])

    async def end(self) -> None:
        """Call who is next, print what the doctor has sent, close the oldest visit."""
        visit_id, patient = self._mine.pop(0)
        page = await self.ask("open a visit", "GET", f"/api/visits/{visit_id}")
        if page["visit"]["state"] == "waiting":
            # the doctor may have answered since that page was loaded: then nobody is there to be called
            await self.ask("call", "POST", "/api/queue/call", {"visit_id": visit_id}, or_code="nobody_to_call")
        for one in page["visit"]["prescriptions"]:
            there = f"/api/visits/{visit_id}/prescriptions/{one['prescription_id']}"
            await self.ask("slip", "GET", f"{there}/slip.pdf")
            self._day.slips += 1
            await self.command(
                "confirm_printed", visit_id=visit_id, prescription_id=one["prescription_id"], printer="pdf", copies=1
            )
        await self._think()
        await self.command("close_visit", visit_id=visit_id, outcome="completed", explained=True)
        self._people.append(patient)

    async def work(self) -> None:
        """The whole day; what is still open at its end is closed too."""
        plan = self._day.plan
        begun_s = self._day.begun_s + plan.every_s * self.number / plan.tablets
        for number in range(plan.visits):
            planned_s = begun_s + number * plan.every_s
            await asyncio.sleep(max(0.0, planned_s - time.monotonic()))
            self._day.late_s = max(self._day.late_s, time.monotonic() - planned_s)
            await self.visit(number)
        while self._mine:
            await self.end()


class Day:
    """All tablets, one that stays on the queue's page, and the board."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.acted_ms: dict[str, list[float]] = {}
        self.shown_ms: list[float] = []
        self.tokens: dict[str, str] = {}
        self.late_s = 0.0
        self.slips = self.pushes = self.received_bytes = 0
        self.begun_s = 0.0
        self.reference: Any = None
        self.photos = [("preview", jpeg_of(PREVIEW_BYTES, 2)), ("original", jpeg_of(PHOTO_BYTES, 3))]
        self._own_late_ms: list[float] = []

    @staticmethod
    def same(one: Any, other: Any) -> None:
        """A command that was sent twice has one answer."""
        if (one["visit"] or {}).get("token") != (other["visit"] or {}).get("token"):
            raise RuntimeError(f"two answers to one command: {one} {other}")

    async def _beat(self) -> None:
        while True:
            due_s = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self._own_late_ms.append((time.monotonic() - due_s) * 1000)

    async def run(self) -> Told:
        """Log all in, then let them work."""
        trust = ssl.create_default_context(cadata=self.plan.ca)
        async with contextlib.AsyncExitStack() as stack:
            tablets: list[Tablet] = []
            for number in range(self.plan.tablets + 1):
                http = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=trust, limit=6),
                    cookie_jar=aiohttp.CookieJar(unsafe=True),
                )
                tablets.append(Tablet(self, number, await stack.enter_async_context(http)))
                await tablets[-1].log_in(unlock=number == 0)
            self.reference = await tablets[0].ask("", "GET", "/api/reference")
            waiter = tablets[-1]
            beside: list[Callable[[], Awaitable[None]]] = [self._beat, waiter.show_board]
            beside += [work for one in tablets for work in (one.live, one.show_queue, one.show_status)]
            running = [asyncio.ensure_future(work()) for work in beside]
            self.begun_s = time.monotonic()
            works = [asyncio.ensure_future(one.work()) for one in tablets[:-1]]
            ended: asyncio.Future[Any] = asyncio.ensure_future(_all(works))
            await asyncio.wait([ended, *running], return_when=asyncio.FIRST_COMPLETED)
            lasted_s = time.monotonic() - self.begun_s
            for task in (ended, *running):
                if task.done():
                    task.result()
                task.cancel()
            await asyncio.gather(*running, *works, return_exceptions=True)
            register = await waiter.ask("the day's register", "GET", "/api/day")
        used = resource.getrusage(resource.RUSAGE_SELF)
        late = sorted(self._own_late_ms)
        return Told(
            self.acted_ms,
            self.shown_ms,
            self.tokens,
            {row["visit_id"]: row["token"] for row in register["rows"]},
            lasted_s,
            self.late_s,
            used.ru_utime + used.ru_stime,
            late[int(len(late) * 0.99)] if late else 0.0,
            self.slips,
            self.pushes,
            self.received_bytes,
        )


async def _all(works: "Sequence[asyncio.Future[None]]") -> None:
    await asyncio.gather(*works)


def main() -> None:
    """One day."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    print(msgspec.json.encode(asyncio.run(Day(plan).run())).decode(), flush=True)


if __name__ == "__main__":
    main()

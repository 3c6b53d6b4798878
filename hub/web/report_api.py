"""HTTP around figures: the sheet of ``hub report``, made by that very command in a process of its own.

A state's month is minutes of decoding: nobody's call waits for it. One report at a time; a viewer sees the districts
that she was given, in fives, and no line about a doctor.
"""

import asyncio
import io
import sys
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.clock import day_of, day_text, iso_day
from edge.model.errors import BadInput, Forbidden
from edge.web.refusals import Unavailable
from edge.web.routes import AnyRoute, Call, Raw, Route

from .. import accounts, audit, report
from ..hub import Hub
from ..permits import Role
from ..report_cli import sheet_pdf

DAYS_MAX = 366
PATIENCE_S = 300.0
WAITING_MAX = 8
"""People who wait for their figures, the one whose are being made among them."""
Day = Annotated[str, Meta(max_length=10)]
_lines = msgspec.json.Decoder(list[report.Line])


class ReportQuery(Struct, frozen=True, kw_only=True):
    since: Day = ""
    """YYYY-MM-DD, Indian calendar; empty: thirty days ago."""
    until: Day = ""
    """The last day; empty: today."""
    by: report.By = report.By.ALL
    district: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$(?!\n)")] = ""
    """Only this one; empty: all that one may see."""
    monthly: bool = False
    demo: bool = False


class Sheet(Struct, frozen=True):
    since: str
    until: str
    by: report.By
    items: tuple[report.Line, ...]
    districts: tuple[str, ...]
    """Those that one may ask for."""
    doctors: dict[str, str]
    """Names of the doctors of the lines."""
    totals: dict[str, float] = {}
    """Over all lines, by the names of :data:`hub.report.TOTALLED`."""
    coarse: bool = False
    """Numbers are to the nearest five, and waits of few visits are left out."""


class ReportApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._one = asyncio.Lock()
        self._waiting = 0

    def routes(self) -> list[AnyRoute]:
        return [
            Route("GET", "/api/report", self.get_report, None, Sheet, query=ReportQuery, errors=(503,)),
            Route(
                "GET",
                "/api/report.csv",
                self.get_report_csv,
                None,
                Raw,
                query=ReportQuery,
                reply_media="text/csv",
                errors=(503,),
            ),
            Route(
                "GET",
                "/api/report.pdf",
                self.get_report_pdf,
                None,
                Raw,
                query=ReportQuery,
                reply_media="application/pdf",
                errors=(503,),
            ),
        ]

    async def get_report(self, call: Call[None, ReportQuery]) -> Sheet:
        """The figures of some days: nothing about one person."""
        return await self._sheet(call)

    async def get_report_csv(self, call: Call[None, ReportQuery]) -> Raw:
        """The same as comma-separated values."""
        sheet, out = await self._sheet(call), io.StringIO()
        report.write_csv(sheet.items, out)
        name = f'attachment; filename="upkendra-{sheet.since}-{sheet.until}-{sheet.by.value}.csv"'
        return Raw(out.getvalue().encode(), "text/csv", (("Content-Disposition", name),))

    async def get_report_pdf(self, call: Call[None, ReportQuery]) -> Raw:
        """The same as a sheet to print, A4."""
        sheet = await self._sheet(call)
        span = f"{sheet.since} – {sheet.until}"
        made = await asyncio.to_thread(sheet_pdf, sheet.items, span, sheet.by, demo=call.query.demo)
        return Raw(made, "application/pdf")

    async def _sheet(self, call: Call[None, ReportQuery]) -> Sheet:
        asked, today = call.query, day_of(self._hub.wall_ms())
        last = iso_day(asked.until) if asked.until else today
        first = iso_day(asked.since) if asked.since else None if last is None else last - 29
        if first is None or last is None or not 0 <= last - first < DAYS_MAX:
            raise BadInput("A day looks like 2026-11-26, the first comes first, and a year is the most.", field="since")
        only_views = not self._hub.desk.roles(call.subject) & {Role.ADMINISTRATOR, Role.COORDINATOR}
        if asked.by is report.By.DOCTOR and only_views:
            raise Forbidden("Figures of single doctors are not for viewers.")

        def look(connection: Connection) -> tuple[frozenset[str], dict[str, str]]:
            audit.record(connection, self._hub.wall_ms(), call.subject, "report_read", asked.district[:60], asked.by)
            mine = accounts.districts_of(connection, call.subject)
            return mine, {one.person_id: one.name for one in accounts.people(connection)}

        mine, names = await self._hub.store.write(look)
        every = {self._hub.directory.site(node_id.hex()).district for node_id in self._hub.directory.node_ids()}
        may = frozenset(mine or every) - {""}
        if asked.district and asked.district not in may:
            raise Forbidden("Figures of this district are not for you.")
        wanted = (asked.district,) if asked.district else tuple(sorted(mine))
        since, until = day_text(first), day_text(last)
        items = await self._ask(since, until, asked, wanted)
        totals = report.totals(items)
        if only_views:
            items, totals = tuple(report.coarse(items)), report.coarse_totals(totals)
        about = {line.of for line in items} if asked.by is report.By.DOCTOR else set()
        doctors = {person_id: names[person_id] for person_id in about & names.keys()}
        return Sheet(since, until, asked.by, items, tuple(sorted(may)), doctors, totals, only_views)

    async def _ask(
        self, since: str, until: str, asked: ReportQuery, districts: tuple[str, ...]
    ) -> tuple[report.Line, ...]:
        settings = self._hub.settings
        command = [sys.executable, "-m", "hub", "report", "--json", "--data", str(settings.data)]
        command += ["--from", since, "--to", until, "--by", asked.by.value]
        command += ["--database", settings.database] if settings.database else []
        command += [word for district in districts for word in ("--district", district)]
        command += [f"--{name}" for name in ("monthly", "demo") if getattr(asked, name)]
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Many people ask for figures just now. Try again in a few minutes.")
        self._waiting += 1
        try:
            async with self._one:
                told = await self._run(command)
        finally:
            self._waiting -= 1
        return tuple(_lines.decode(told))

    @staticmethod
    async def _run(command: list[str]) -> bytes:
        """What the command says. Raises Unavailable."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            told, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        except TimeoutError:
            raise Unavailable("The figures took too long. Ask for fewer days.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise Unavailable("The figures could not be computed. Try again.")
        return told

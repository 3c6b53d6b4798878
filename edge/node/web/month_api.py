"""Handlers of the monthly report: on the screen, as a spreadsheet, as a page to print."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.watched import LinkWatched
from edge.node.clinic import Clinic
from edge.node.month import MonthFound, as_csv, load_month, page_of
from edge.slips.month import MonthPage, render_month
from edge.web.routes import AnyRoute, Call, Raw, Route


class MonthQuery(Struct, frozen=True):
    month: Annotated[str, Meta(pattern=r"^([0-9]{4}-(0[1-9]|1[0-2]))?$(?!\n)")] = ""
    """YYYY-MM in India; empty is the present one."""


class MonthApi:
    """The monthly report of one clinic."""

    def __init__(self, clinic: Clinic, untold: Callable[[], Sequence[LinkWatched]]) -> None:
        """``untold``: days of the link that the log does not hold yet."""
        self._clinic, self._untold = clinic, untold

    async def get_month(self, call: Call[None, MonthQuery]) -> MonthPage:
        """The month's figures with their words; an empty value was not recorded here."""
        return await asyncio.to_thread(page_of, self._clinic, await self._found(call))

    async def get_month_csv(self, call: Call[None, MonthQuery]) -> Raw:
        """The month's figures as CSV."""
        found = await self._found(call)
        body = await asyncio.to_thread(as_csv, self._clinic, found)
        return Raw(body, "text/csv", self._named(found, "csv", "attachment"))

    async def get_month_pdf(self, call: Call[None, MonthQuery]) -> Raw:
        """The month's report as PDF, A4."""
        found = await self._found(call)
        body = await asyncio.to_thread(lambda: render_month(page_of(self._clinic, found)))
        return Raw(body, "application/pdf", self._named(found, "pdf", "inline"))

    async def _found(self, call: Call[None, MonthQuery]) -> MonthFound:
        found = await load_month(self._clinic, call.query.month, self._untold())
        await self._clinic.accessed(call.subject, "month_report", found.month)
        return found

    def _named(self, found: MonthFound, kind: str, how: str) -> tuple[tuple[str, str], ...]:
        name = f"month-{self._clinic.config.site.code}-{found.month}.{kind}"
        return (("Content-Disposition", f'{how}; filename="{name}"'),)

    def routes(self) -> list[AnyRoute]:
        """The table."""
        path = "/api/month"
        return [
            Route("GET", path, self.get_month, reply=MonthPage, query=MonthQuery, errors=(423,)),
            Route(
                "GET",
                path + "/report.csv",
                self.get_month_csv,
                reply=bytes,
                reply_media="text/csv",
                query=MonthQuery,
                errors=(423,),
            ),
            Route(
                "GET",
                path + "/report.pdf",
                self.get_month_pdf,
                reply=bytes,
                reply_media="application/pdf",
                query=MonthQuery,
                errors=(423,),
            ),
        ]

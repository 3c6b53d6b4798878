"""Handlers of the closing page: a day's register on the screen, as a spreadsheet and as a page to print."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.clock import iso_day
from edge.model.errors import BadInput
from edge.node.clinic import Clinic
from edge.node.closing import Closing, Day, as_csv, as_pdf
from edge.web.routes import AnyRoute, Call, Raw, Route

from .schema import DayClosed


class DayQuery(Struct, frozen=True):
    day: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$(?!\n)")] = ""
    """YYYY-MM-DD in India; empty is today."""


class ClosingApi:
    """What the closing page asks, over one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic
        self._closing = Closing(clinic)

    async def get_day(self, call: Call[None, DayQuery]) -> Day:
        """The register of a day, and what of it is still waiting and why."""
        return await self._day(call)

    async def get_csv(self, call: Call[None, DayQuery]) -> Raw:
        """The register as CSV."""
        day = await self._day(call)
        return Raw(as_csv(day), "text/csv", _named(day, "csv", "attachment"))

    async def get_pdf(self, call: Call[None, DayQuery]) -> Raw:
        """The register as PDF, A4."""
        day = await self._day(call)
        return Raw(await asyncio.to_thread(as_pdf, day), "application/pdf", _named(day, "pdf", "inline"))

    async def post_close(self, call: Call[None, None]) -> DayClosed:
        """Close the day: day slots are erased on all sides, everybody is logged out, the records are locked."""
        return DayClosed(await self._clinic.close_day(call.subject))

    async def _day(self, call: Call[None, DayQuery]) -> Day:
        number = iso_day(call.query.day) if call.query.day else None
        if call.query.day and number is None:
            raise BadInput("There is no such day.", field="day")
        day = await self._closing.day(number)
        await self._clinic.accessed(call.subject, "day_register", day.day)
        return day

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        return (
            Route("POST", "/api/day/close", self.post_close, reply=DayClosed, errors=(423,)),
            Route("GET", "/api/day", self.get_day, reply=Day, query=DayQuery, errors=(423,)),
            Route(
                "GET",
                "/api/day/register.csv",
                self.get_csv,
                reply=bytes,
                reply_media="text/csv",
                query=DayQuery,
                errors=(423,),
            ),
            Route(
                "GET",
                "/api/day/register.pdf",
                self.get_pdf,
                reply=bytes,
                reply_media="application/pdf",
                query=DayQuery,
                errors=(423,),
            ),
        )


def _named(day: Day, kind: str, how: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Disposition", f'{how}; filename="register-{day.site_code}-{day.day}.{kind}"'),)

"""Handler of the list of who is due this week."""

from typing import Annotated

from msgspec import Meta, Struct

from edge.model.clock import day_of, day_text, iso_day
from edge.model.due import Due, DueWhy, due
from edge.model.errors import BadInput
from edge.node.clinic import Clinic
from edge.node.views import Views
from edge.web.routes import AnyRoute, Call, Route

PAGE = 100


class DueQuery(Struct, frozen=True):
    why: DueWhy = DueWhy.FOLLOW_UP
    day: str = ""
    """YYYY-MM-DD: of that day only."""
    skip: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """So many are known already."""


class DueDay(Struct, frozen=True):
    day: str
    """YYYY-MM-DD in India."""
    people: int


class DueList(Struct, frozen=True):
    today: str
    """YYYY-MM-DD in India."""
    items: list[Due]
    """A hundred at most, by day."""
    days: list[DueDay]
    """How many people each day of the list has, also those who are not among ``items``."""


class DueApi:
    """Who is expected, of one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def get_due(self, call: Call[None, DueQuery]) -> DueList:
        """Follow-ups of this week and of the two before, or people who were sent on and of whom nothing was heard."""
        today, query = day_of(self._clinic.clock.now().wall_ms), call.query
        day = iso_day(query.day) if query.day else None
        if query.day and day is None:
            raise BadInput("There is no such day.", field="day")

        def load(views: Views) -> DueList:
            page = views.expected.page(today, query.why, day, query.skip, PAGE)
            patients = {one: found for _, one in page if (found := views.patient(one)) is not None}
            visits = [visit for one in patients for visit in views.visits_of(one)]
            here = {visit_id for visit_id, _ in page}
            items = [one for one in due(visits, patients, today) if one.visit_id in here and one.why is query.why]
            days = [DueDay(day_text(of), people) for of, people in views.expected.days(today, query.why)]
            return DueList(day_text(today), items, days)

        listed = await self._clinic.store.read(load)
        await self._clinic.accessed(call.subject, "due_list", day_text(today))
        return listed

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [Route("GET", "/api/due", self.get_due, reply=DueList, query=DueQuery, errors=(400, 423))]

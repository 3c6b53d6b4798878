"""Handler of the list of who is due this week."""

from msgspec import Struct

from edge.model.clock import day_of, day_text
from edge.model.due import Due, due
from edge.node.clinic import Clinic
from edge.node.views import Views
from edge.web.routes import AnyRoute, Call, Route


class DueList(Struct, frozen=True):
    today: str
    """YYYY-MM-DD in India."""
    items: list[Due]


class DueApi:
    """Who is expected, of one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def get_due(self, call: Call[None, None]) -> DueList:
        """Follow-ups of this week and of the two before, and people who were sent on and of whom nothing was heard."""
        today = day_of(self._clinic.clock.now().wall_ms)

        def load(views: Views) -> list[Due]:
            ids = views.expected.patients(today)
            patients = {one: found for one in ids if (found := views.patient(one)) is not None}
            visits = [visit for one in patients for visit in views.visits_of(one)]
            return due(visits, patients, today)

        items = await self._clinic.store.read(load)
        await self._clinic.accessed(call.subject, "due_list", day_text(today))
        return DueList(day_text(today), items)

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [Route("GET", "/api/due", self.get_due, reply=DueList, errors=(423,))]

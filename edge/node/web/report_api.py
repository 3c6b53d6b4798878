"""The technician's page: one report, for technicians alone."""

from edge.model.errors import Forbidden
from edge.model.records import Role
from edge.node.clinic import Clinic
from edge.node.report import Report, Reporter
from edge.web.routes import AnyRoute, Call, Route


class ReportApi:
    """Handlers over one reporter."""

    def __init__(self, clinic: Clinic, reporter: Reporter) -> None:
        self._clinic = clinic
        self._reporter = reporter

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [Route("GET", "/api/report", self.get_report, None, Report, errors=(403, 423))]

    async def get_report(self, call: Call[None, None]) -> Report:
        """Link, bearers, backlog, what was put aside, sticks, modem, board, health checks. No patient is in it."""
        staff = await self._clinic.staff_of(call.subject)
        if staff.role is not Role.TECHNICIAN:
            raise Forbidden("This page is for the technician.")
        return await self._reporter.report()

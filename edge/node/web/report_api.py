"""The technician's page: one report, and a picture of the node's own camera; for technicians alone."""

import msgspec

from edge.model.clock import day_of, day_text
from edge.model.errors import Forbidden
from edge.model.records import Role
from edge.node.clinic import Clinic
from edge.node.clips import CameraStill, ClipDesk
from edge.node.report import Report, Reporter
from edge.web.routes import AnyRoute, Call, Raw, Route


class ReportApi:
    """Handlers over one reporter, and over the desk that has the camera."""

    def __init__(self, clinic: Clinic, reporter: Reporter, camera: ClipDesk) -> None:
        self._clinic = clinic
        self._reporter = reporter
        self._camera = camera

    def routes(self) -> list[AnyRoute]:
        """The table."""
        export = "/api/report/export.json"
        return [
            Route("GET", "/api/report", self.get_report, None, Report, errors=(403, 423)),
            Route("GET", export, self.get_export, reply=bytes, reply_media="application/json", errors=(403, 423)),
            Route("POST", "/api/camera/still", self.post_still, None, CameraStill, errors=(403, 409, 423)),
        ]

    async def get_report(self, call: Call[None, None]) -> Report:
        """Link, bearers, backlog, what was put aside, sticks, modem, board, health checks. No patient is in it."""
        await self._need_technician(call.subject)
        return await self._reporter.report()

    async def get_export(self, call: Call[None, None]) -> Raw:
        """The same as a file to send to whoever helps. No patient is in it."""
        await self._need_technician(call.subject)
        report = await self._reporter.report()
        name = f"upkendra-{report.site_code}-{day_text(day_of(report.time_ms))}.json"
        text = msgspec.json.format(msgspec.json.encode(report), indent=1)
        return Raw(text, "application/json", (("Content-Disposition", f'attachment; filename="{name}"'),))

    async def post_still(self, call: Call[None, None]) -> CameraStill:
        """One picture of the node's own camera, to see that it works. It is kept nowhere; a call goes before it."""
        await self._need_technician(call.subject)
        taken = await self._camera.still()
        await self._clinic.accessed(call.subject, "camera_still", self._clinic.config.node_id.hex())
        return taken

    async def _need_technician(self, staff_id: str) -> None:
        staff = await self._clinic.staff_of(staff_id)
        if staff.role is not Role.TECHNICIAN:
            raise Forbidden("This page is for the technician.")

"""Routes that are there when the node has an SMS modem: how it stands, what was said, say it now."""

from edge.node.sms_desk import SmsDesk, SmsLine
from edge.sync.bearers.sms import SmsHealth
from edge.web.routes import AnyRoute, Call, Route


class SmsApi:
    """Handlers over one desk."""

    def __init__(self, desk: SmsDesk) -> None:
        self._desk = desk

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [
            Route("GET", "/api/sms", self.get_sms, None, SmsHealth, while_locked=True),
            Route("GET", "/api/visits/{visit_id}/sms", self.get_visit_sms, None, list[SmsLine]),
            Route("POST", "/api/visits/{visit_id}/sms", self.post_visit_sms, None, list[SmsLine], errors=(409,)),
        ]

    async def get_sms(self, call: Call[None, None]) -> SmsHealth:
        """The modem, what waits, and what was spent."""
        return self._desk.health

    async def get_visit_sms(self, call: Call[None, None]) -> list[SmsLine]:
        """Every SMS about a visit."""
        return await self._desk.lines(call.path["visit_id"])

    async def post_visit_sms(self, call: Call[None, None]) -> list[SmsLine]:
        """Send a short summary of the visit to the doctor by SMS."""
        await self._desk.request(call.path["visit_id"])
        return await self._desk.lines(call.path["visit_id"])

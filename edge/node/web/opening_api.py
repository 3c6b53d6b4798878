"""Handlers of the locked page beside badge and PIN: the day slot of a tablet."""

from collections.abc import Sequence

from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Auth, Call, Route

from .schema import UnlockByDay, UnlockedByDay


class OpeningApi:
    """What opens one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def post_day(self, call: Call[UnlockByDay, None]) -> UnlockedByDay:
        """Unlock the records from a tablet that was here at the opening, with the PIN of its day slot."""
        body = call.body
        staff_id = await self._clinic.unlock_by_day(bytes.fromhex(body.tablet), body.age_s, body.pin)
        return UnlockedByDay(self._clinic.locked, staff_id)

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        return (
            Route(
                "POST",
                "/api/tablet/unlock",
                self.post_day,
                body=UnlockByDay,
                reply=UnlockedByDay,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(401, 409, 429),
            ),
        )

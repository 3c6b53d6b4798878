"""Handlers of the locked page beside badge and PIN: the day slot of a tablet, and asking the hub."""

from collections.abc import Sequence

from edge.node.clinic import Clinic
from edge.node.hub_opening import HubAsking, HubOpening
from edge.web.routes import AnyRoute, Auth, Call, Route

from .schema import DraftKey32, DraftKeyAsked, ForgetOthers, Forgotten, UnlockByDay, UnlockedByDay


class OpeningApi:
    """What opens one clinic."""

    def __init__(self, clinic: Clinic, hub: HubOpening) -> None:
        self._clinic, self._hub = clinic, hub

    async def post_day(self, call: Call[UnlockByDay, None]) -> UnlockedByDay:
        """Unlock the records from a tablet that was here at the opening, with the PIN of its day slot."""
        body = call.body
        staff_id = await self._clinic.unlock_by_day(bytes.fromhex(body.tablet), body.age_s, body.pin)
        return UnlockedByDay(self._clinic.locked, staff_id)

    async def post_draft_key(self, call: Call[DraftKeyAsked, None]) -> DraftKey32:
        """The key under which this tablet seals what has not reached the node, for who is logged in on it today."""
        slot, key = self._clinic.draft_key(call.subject, bytes.fromhex(call.body.tablet))
        return DraftKey32(slot, key.hex())

    async def post_forget_others(self, call: Call[ForgetOthers, None]) -> Forgotten:
        """A tablet is lost: every other one is logged out now, and wiped as soon as it looks at this node again."""
        assert call.session is not None
        return Forgotten(await self._clinic.forget_others(call.subject, call.session.token, call.body.keep))

    async def get_asking(self, call: Call[None, None]) -> HubAsking:
        """How it stands with asking the hub to open this node."""
        return await self._hub.now()

    async def post_asking(self, call: Call[None, None]) -> HubAsking:
        """Ask the hub to open this node: a person there decides. Nobody needs to be logged in for that."""
        return await self._hub.ask()

    async def delete_asking(self, call: Call[None, None]) -> None:
        """Ask no more."""
        self._hub.stop()

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        path = "/api/hub-unlock"
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
            Route("POST", "/api/tablet/draft-key", self.post_draft_key, DraftKeyAsked, DraftKey32, errors=(409, 423)),
            Route(
                "POST", "/api/tablets/forget-others", self.post_forget_others, ForgetOthers, Forgotten, errors=(423,)
            ),
            Route("GET", path, self.get_asking, reply=HubAsking, auth=Auth.OPEN, while_locked=True),
            Route("POST", path, self.post_asking, reply=HubAsking, auth=Auth.OPEN, while_locked=True, errors=(409,)),
            Route("DELETE", path, self.delete_asking, auth=Auth.OPEN, while_locked=True),
        )

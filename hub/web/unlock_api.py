"""HTTP around locked nodes that ask to be opened: who asks, and a person's decision with her password and a reason."""

from typing import Annotated

from msgspec import Meta, Struct

from edge.web.routes import AnyRoute, Call, Route

from .. import unlocks
from ..hub import Hub
from .bodies import Password

Request = Annotated[str, Meta(pattern="^[0-9a-f]{16}$(?!\\n)")]
Why = Annotated[str, Meta(min_length=3, max_length=60, pattern=r"^[^\x00]*\S[^\x00]*$(?!\n)")]


class AskingList(Struct, frozen=True):
    items: list[unlocks.Asking]


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    request: Request
    approve: bool
    why: Why
    """Whom one has spoken with and how one knows her; stands in the audit log."""
    password: Password
    """Of the person who decides, again: an open page alone opens no node."""


class UnlockApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        return [
            Route("GET", "/api/unlocks", self.get_unlocks, None, AskingList),
            Route("POST", "/api/unlocks/{node_id}", self.decide, Decision, AskingList, errors=(401, 404, 409, 429)),
        ]

    async def get_unlocks(self, call: Call[None, None]) -> AskingList:
        """Nodes that asked in the last day to be opened, those that wait first."""
        return await self._listed()

    async def _listed(self) -> AskingList:
        now_ms = self._hub.wall_ms()
        return AskingList(await self._hub.store.read(lambda connection: unlocks.listed(connection, now_ms)))

    async def decide(self, call: Call[Decision, None]) -> AskingList:
        """Approve or refuse a request. The node fetches it within ten minutes, or asks anew."""
        body, now_ms = call.body, self._hub.wall_ms()
        node_id, who, why = call.path["node_id"], call.subject, body.why.strip()
        await self._hub.desk.need_password(who, body.password)
        await self._hub.store.write(
            lambda connection: unlocks.decide(connection, node_id, body.request, who, why, now_ms, approve=body.approve)
        )
        return await self._listed()

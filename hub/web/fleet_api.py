"""HTTP around the fleet: a page of nodes, and updates with their waves."""

import asyncio
import base64
import binascii
from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.errors import BadInput
from edge.web.routes import AnyRoute, Call, Route

from .. import accounts, audit, fleet, update_link, update_stock, waves
from ..hub import Hub
from .bodies import Password

KEPT_MS = 5000
SHA256 = {"sha256": Annotated[str, Meta(pattern="^[0-9a-f]{64}$(?!\\n)")]}


class FleetQuery(Struct, frozen=True, kw_only=True):
    q: Annotated[str, Meta(max_length=60)] = ""
    """Words of code, name, block or id."""
    district: Annotated[str, Meta(max_length=200)] = ""
    show: fleet.Show = fleet.Show.ALL
    sort: fleet.Sort = fleet.Sort.SITE
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=fleet.PAGE_MAX)] = 50


class Updates(Struct, frozen=True):
    items: tuple[waves.Offered, ...]
    districts: tuple[str, ...]
    now_ms: int
    told: dict[str, dict[str, int]]
    """By ``name version``: how many nodes are in which state, by their own word."""
    stocked: tuple[str, ...]
    """SHA-256 of those that lie here for the link; the others go by stick only."""


class AddUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    release: Annotated[str, Meta(max_length=200_000)]
    """``….update.json`` of ``hub release-update``, in base64: its bytes are what is signed."""
    plan: waves.Plan


class ChangeUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    plan: waves.Plan
    paused: bool


class RemoveUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password


class FleetApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._looking = asyncio.Lock()
        self._kept: tuple[int, list[fleet.Line]] = (-KEPT_MS, [])

    def routes(self) -> list[AnyRoute]:
        one = "/api/updates/{sha256}"
        return [
            Route("GET", "/api/fleet", self.get_fleet, None, fleet.Page, query=FleetQuery),
            Route("GET", "/api/updates", self.get_updates, None, Updates),
            Route("POST", "/api/updates", self.add_update, AddUpdate, Updates, errors=(409, 429)),
            Route("PUT", one, self.change_update, ChangeUpdate, Updates, params=SHA256, errors=(429,)),
            Route("DELETE", one, self.remove_update, RemoveUpdate, Updates, params=SHA256, errors=(429,)),
        ]

    async def get_fleet(self, call: Call[None, FleetQuery]) -> fleet.Page:
        """A page of nodes: when each was heard, and what it said of itself."""
        asked, now_ms = call.query, self._hub.wall_ms()
        await self._hub.store.write(
            lambda connection: audit.record(connection, now_ms, call.subject, "fleet_read", asked.district[:60])
        )
        found = await self._lines(now_ms)
        question = fleet.Question(asked.q, asked.district, asked.show, asked.sort, asked.offset, asked.limit)
        return await asyncio.to_thread(fleet.page, found, question, now_ms)

    async def _lines(self, now_ms: int) -> list[fleet.Line]:
        """All nodes, looked up once for whoever turns pages: ten thousand cost a good part of a second."""
        async with self._looking:
            at_ms, found = self._kept
            if not 0 <= now_ms - at_ms < KEPT_MS:
                link = self._hub.link
                found = await self._hub.store.read(
                    lambda connection: fleet.lines(connection, link.last_ack_age_s, link.online, now_ms)
                )
                self._kept = now_ms, found
            return found

    async def get_updates(self, call: Call[None, None]) -> Updates:
        """Updates that are offered, in their waves."""

        def load(connection: Connection) -> Updates:
            audit.record(connection, self._hub.wall_ms(), call.subject, "updates_read")
            return self._updates(connection)

        return await self._hub.store.write(load)

    def _updates(self, connection: Connection) -> Updates:
        now_ms = self._hub.wall_ms()
        items = tuple(waves.listed(connection, now_ms))
        told = {f"{name} {version}": states for (name, version), states in update_link.progress(connection).items()}
        folder = self._hub.settings.updates_folder
        stocked = tuple(one.sha256 for one in items if update_stock.is_there(folder, one.sha256))
        return Updates(items, tuple(sorted(accounts.districts(connection))), now_ms, told, stocked)

    async def add_update(self, call: Call[AddUpdate, None]) -> Updates:
        """Take in an update's release with a plan. It is paused until somebody lets it go."""
        body = call.body
        try:
            raw = base64.b64decode(body.release, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput("The release is not in base64.", field="release") from None
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> Updates:
            waves.need_districts(body.plan, accounts.districts(connection))
            waves.add(connection, raw, body.plan, self._hub.wall_ms(), call.subject)
            return self._updates(connection)

        return await self._hub.store.write(act)

    async def change_update(self, call: Call[ChangeUpdate, None]) -> Updates:
        """Another plan, a pause, or the end of one."""
        body = call.body
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> Updates:
            waves.need_districts(body.plan, accounts.districts(connection))
            now_ms = self._hub.wall_ms()
            waves.change(connection, call.path["sha256"], body.plan, now_ms, call.subject, paused=body.paused)
            return self._updates(connection)

        return await self._hub.store.write(act)

    async def remove_update(self, call: Call[RemoveUpdate, None]) -> Updates:
        """Offer it to nobody any more."""
        await self._hub.desk.need_password(call.subject, call.body.password)

        def act(connection: Connection) -> Updates:
            waves.remove(connection, call.path["sha256"], self._hub.wall_ms(), call.subject)
            return self._updates(connection)

        return await self._hub.store.write(act)

"""HTTP around centres: where each lies, who works there, tokens for machines, and what is believed no more."""

import asyncio
import base64
from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.clock import day_of, day_text
from edge.slips.enrol_label import enrol_label
from edge.slips.qr import qr_rows
from edge.web.routes import AnyRoute, Call, Route

from .. import accounts, audit, directory, on_call, places, revocations
from ..hub import Hub
from .bodies import Password
from .people_api import District

OldDistrict = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Block = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class Sites(Struct, frozen=True):
    items: tuple[accounts.NodeLine, ...]
    tokens: tuple[accounts.Token, ...]
    now_ms: int


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    district: District
    block: Block = ""


class Confirm(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password


class NewToken(Struct, frozen=True, forbid_unknown_fields=True):
    """For a new site, or (``replaces``) for the machine that takes a node's place."""

    password: Password
    hours: Annotated[int, Meta(ge=1, le=accounts.HOURS_MAX)] = 72
    replaces: Annotated[str, Meta(pattern="^([0-9a-f]{16})?$(?!\\n)")] = ""
    code: Annotated[str, Meta(max_length=40)] = ""
    name: Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""
    district: Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""
    block: Block = ""
    demo: bool = False


class TokenMade(Struct, frozen=True):
    """Shown once and kept nowhere."""

    token: str
    site_code: str
    site_name: str
    expires_ms: int
    qr: tuple[str, ...]
    label: str
    """The paper for the technician: a PDF in base64."""


class Staff(Struct, frozen=True):
    items: tuple[accounts.StaffLine, ...]


class SetStaff(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    removed: bool
    """May log in there no more; false: may again."""


class OnCall(Struct, frozen=True):
    items: tuple[on_call.List, ...]
    districts: tuple[str, ...]


class PutOnCall(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    district: OldDistrict
    """Empty: everywhere."""
    seen_ms: Annotated[int, Meta(ge=0)]
    """``changed_ms`` of the list that was changed; 0 where there was none."""
    items: Annotated[tuple[on_call.Number, ...], Meta(max_length=on_call.MOST)]


class SitesApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        site = "/api/sites/{node_id}"
        return [
            Route("GET", "/api/sites", self.get_sites, None, Sites),
            Route("PUT", site, self.move_site, Move, Sites),
            Route("POST", f"{site}/revoke", self.revoke, Confirm, Sites, errors=(429,)),
            Route("POST", f"{site}/tablet-lost", self.lose_tablet, Confirm, Sites, errors=(429,)),
            Route("GET", f"{site}/place", self.get_place, None, places.Place),
            Route("PUT", f"{site}/place", self.put_place, places.Place, places.Place),
            Route("GET", f"{site}/staff", self.get_staff, None, Staff),
            Route("PUT", f"{site}/staff/{{staff_id}}", self.put_staff, SetStaff, Staff, errors=(429,)),
            Route("POST", "/api/tokens", self.make_token, NewToken, TokenMade, errors=(404, 429)),
            Route("GET", "/api/on-call", self.get_on_call, None, OnCall),
            Route("PUT", "/api/on-call", self.put_on_call, PutOnCall, OnCall, errors=(409, 429)),
        ]

    async def get_sites(self, call: Call[None, None]) -> Sites:
        """All centres with a machine, and tokens that wait for one."""

        def load(connection: Connection) -> Sites:
            audit.record(connection, self._hub.wall_ms(), call.subject, "sites_read")
            return self._sites(connection)

        return await self._hub.store.write(load)

    def _sites(self, connection: Connection) -> Sites:
        now_ms = self._hub.wall_ms()
        return Sites(tuple(accounts.sites(connection)), tuple(accounts.waiting_tokens(connection, now_ms)), now_ms)

    async def move_site(self, call: Call[Move, None]) -> Sites:
        """Say in which district and block a centre lies."""
        body, node_id = call.body, call.path["node_id"]

        def act(connection: Connection) -> Sites:
            accounts.move_site(connection, node_id, body.district, body.block, self._hub.wall_ms(), call.subject)
            return self._sites(connection)

        found = await self._hub.store.write(act)
        await self._hub.reload_nodes()
        return found

    async def revoke(self, call: Call[Confirm, None]) -> Sites:
        """Never believe this node again. What it sent stays."""
        await self._hub.desk.need_password(call.subject, call.body.password)

        def act(connection: Connection) -> Sites:
            directory.revoke_node(connection, call.path["node_id"], self._hub.wall_ms(), call.subject)
            return self._sites(connection)

        found = await self._hub.store.write(act)
        await self._hub.reload_nodes()
        return found

    async def lose_tablet(self, call: Call[Confirm, None]) -> Sites:
        """A tablet of this centre is lost: all its tablets are logged out and wiped. Link or stick takes it there."""
        await self._hub.desk.need_password(call.subject, call.body.password)

        def act(connection: Connection) -> Sites:
            revocations.lose_tablet(connection, call.path["node_id"], self._hub.wall_ms(), call.subject)
            return self._sites(connection)

        return await self._hub.store.write(act)

    async def get_place(self, call: Call[None, None]) -> places.Place:
        """What people are told who look for this centre."""
        node_id = call.path["node_id"]

        def load(connection: Connection) -> places.Place:
            found = places.place_of(connection, node_id)
            audit.record(connection, self._hub.wall_ms(), call.subject, "site_place_read", node_id)
            return found

        return await self._hub.store.write(load)

    async def put_place(self, call: Call[places.Place, None]) -> places.Place:
        """Say what people are told who look for this centre."""
        place, node_id, now_ms = call.body, call.path["node_id"], self._hub.wall_ms()
        await self._hub.store.write(lambda c: places.put_place(c, node_id, place, now_ms, call.subject))
        return place

    async def get_staff(self, call: Call[None, None]) -> Staff:
        """Who works, or has worked, at a centre."""
        node_id = call.path["node_id"]

        def load(connection: Connection) -> Staff:
            audit.record(connection, self._hub.wall_ms(), call.subject, "staff_read", node_id)
            return Staff(tuple(accounts.staff(connection, node_id)))

        return await self._hub.store.write(load)

    async def put_staff(self, call: Call[SetStaff, None]) -> Staff:
        """Let somebody log in at a centre no more, or again. Link or stick takes it there."""
        body, node_id, staff_id = call.body, call.path["node_id"], call.path["staff_id"]
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> Staff:
            now_ms = self._hub.wall_ms()
            revocations.remove_staff(connection, node_id, staff_id, now_ms, back=not body.removed, actor=call.subject)
            return Staff(tuple(accounts.staff(connection, node_id)))

        return await self._hub.store.write(act)

    async def make_token(self, call: Call[NewToken, None]) -> TokenMade:
        """A token that serves once, with the paper for the technician."""
        body, now_ms = call.body, self._hub.wall_ms()
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> tuple[directory.Site, str]:
            if body.replaces:
                site = accounts.site_of_node(connection, body.replaces)
            else:
                site = accounts.new_site(body.code, body.name, body.district, body.block, demo=body.demo)
            life_s = body.hours * 3600
            return site, directory.add_token(connection, self._hub.keys, site, now_ms, life_s, call.subject)

        site, token = await self._hub.store.write(act)
        expires_ms = now_ms + body.hours * 3_600_000
        label = await asyncio.to_thread(
            enrol_label,
            site.site_name,
            site.site_code,
            ", ".join(part for part in (site.block, site.district) if part),
            token,
            day_text(day_of(expires_ms)),
            replaces=site.node_id,
            demo=site.demo,
        )
        rows = await asyncio.to_thread(qr_rows, token)
        return TokenMade(
            token, site.site_code, site.site_name, expires_ms, tuple(rows), base64.b64encode(label).decode()
        )

    async def get_on_call(self, call: Call[None, None]) -> OnCall:
        """Whom centres ring when no doctor answers."""

        def load(connection: Connection) -> OnCall:
            audit.record(connection, self._hub.wall_ms(), call.subject, "on_call_read")
            return self._on_call(connection)

        return await self._hub.store.write(load)

    def _on_call(self, connection: Connection) -> OnCall:
        return OnCall(tuple(on_call.listed(connection)), tuple(sorted(accounts.districts(connection))))

    async def put_on_call(self, call: Call[PutOnCall, None]) -> OnCall:
        """Replace the numbers of a district, or of everywhere. Nodes with a link hear of it within moments."""
        body = call.body
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> OnCall:
            on_call.put(connection, body.district, body.items, body.seen_ms, self._hub.wall_ms(), call.subject)
            return self._on_call(connection)

        return await self._hub.store.write(act)

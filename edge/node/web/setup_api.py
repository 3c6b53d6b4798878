"""Setting up over HTTP. Everything but how far it is wants the set-up code first."""

import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import segno
from aiohttp import web
from msgspec import Meta, Struct

from edge.model.ids import Id
from edge.model.records import Role
from edge.node.setting_up import SettingUp, SetupNow, Step
from edge.node.views import Staff
from edge.web import static
from edge.web.routes import AnyRoute, Auth, Call, Gate, Route, WithSession, mount
from edge.web.server import new_app
from edge.web.sessions import Session, SessionBook

from .door import DOOR, add_trusted

PAGES = Path(__file__).resolve().parents[1] / "setup_page"
COOKIE = "upkendra_setup"
IDLE_S, MAX_S = 1800.0, 4 * 3600.0


Pin = Annotated[str, Meta(pattern=r"^[0-9]{6}$(?!\n)")]


class CodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, Meta(pattern=r"^[0-9]{8}$(?!\n)")]


class SetupReply(Struct, frozen=True):
    """``csrf`` goes with every later request in X-CSRF."""

    csrf: str
    now: SetupNow


class TokenBody(Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(min_length=8, max_length=300)]


class RecoveryCode(Struct, frozen=True):
    recovery_code: str


class LastBody(Struct, frozen=True, forbid_unknown_fields=True):
    last: Annotated[str, Meta(min_length=4, max_length=8)]


class StaffBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    role: Role
    pin: Pin
    name_hi: Annotated[str, Meta(max_length=80)] = ""


class BadgeBody(Struct, frozen=True, forbid_unknown_fields=True):
    staff_id: Id
    pin: Pin


class BadgeMade(Struct, frozen=True):
    """``badge_svg``: the badge as a QR code, to be printed now; it is shown once."""

    staff: Staff
    badge: str
    badge_svg: str
    now: SetupNow


class SetupApi:
    """Handlers over one set-up. ``on_done`` is called when the node may serve."""

    def __init__(self, setting_up: SettingUp, on_done: Callable[[], None]) -> None:
        self._setting_up = setting_up
        self._on_done = on_done
        self._sessions = SessionBook(idle_s=IDLE_S, max_s=MAX_S, limit=4)
        self._one = asyncio.Lock()

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [
            Route("GET", "/api/setup", self.get_setup, None, SetupNow, auth=Auth.OPEN),
            Route("POST", "/api/setup/code", self.enter_code, CodeBody, SetupReply, auth=Auth.OPEN, errors=(409, 429)),
            Route("POST", "/api/setup/enrol", self.enrol, None, SetupNow, errors=(409,)),
            Route("POST", "/api/setup/token", self.new_token, TokenBody, SetupNow, errors=(409,)),
            Route("GET", "/api/setup/recovery", self.get_recovery, None, RecoveryCode, errors=(409,)),
            Route("POST", "/api/setup/recovery", self.recovery_written, LastBody, SetupNow, errors=(409,)),
            Route("POST", "/api/setup/staff", self.add_staff, StaffBody, BadgeMade, errors=(409,)),
            Route("POST", "/api/setup/badge", self.renew_badge, BadgeBody, BadgeMade, errors=(409,)),
            Route("POST", "/api/setup/finish", self.finish, None, SetupNow, errors=(409,)),
        ]

    async def app(self, *, secure: bool) -> web.Application:
        """Pages and API."""
        app = new_app()
        mount(app, self.routes(), Gate(COOKIE, self._find, secure=secure))
        if secure:
            add_trusted(app)
        pages, door = await asyncio.to_thread(lambda: (static.load(PAGES), static.load(DOOR)))
        static.add_static(app, "/door/", door)
        static.add_static(app, "/", pages)
        return app

    async def _find(self, token: str, untouched_s: float) -> Session | None:
        return self._sessions.find(token, time.monotonic(), untouched_s)

    async def get_setup(self, call: Call[None, None]) -> SetupNow:
        """How far the set-up is."""
        return self._setting_up.now()

    async def enter_code(self, call: Call[CodeBody, None]) -> WithSession:
        """Show that you are the technician who made the card."""
        self._setting_up.check_code(call.body.code, time.monotonic())
        session = self._sessions.open("technician", time.monotonic())
        return WithSession(SetupReply(session.csrf, self._setting_up.now()), session)

    async def enrol(self, call: Call[None, None]) -> SetupNow:
        """Enrol with the hub. ``problem`` says why it did not work."""
        async with self._one:
            return await self._setting_up.enrol()

    async def new_token(self, call: Call[TokenBody, None]) -> SetupNow:
        """Begin anew with another token."""
        async with self._one:
            return await asyncio.to_thread(self._setting_up.new_token, call.body.token)

    async def get_recovery(self, call: Call[None, None]) -> RecoveryCode:
        """The recovery code, to be written down and kept sealed."""
        return RecoveryCode(self._setting_up.recovery())

    async def recovery_written(self, call: Call[LastBody, None]) -> SetupNow:
        """It was written down."""
        return self._setting_up.recovery_written(call.body.last)

    async def add_staff(self, call: Call[StaffBody, None]) -> BadgeMade:
        """Add somebody who works here. The badge is shown once."""
        body = call.body
        async with self._one:
            staff, badge = await self._setting_up.add_staff(body.name, body.name_hi, body.role, body.pin)
        return self._made(staff, badge)

    async def renew_badge(self, call: Call[BadgeBody, None]) -> BadgeMade:
        """Give a badge to somebody of the node that this one replaces. It is shown once."""
        async with self._one:
            staff, badge = await self._setting_up.renew_badge(call.body.staff_id, call.body.pin)
        return self._made(staff, badge)

    def _made(self, staff: Staff, badge: str) -> BadgeMade:
        picture = io.BytesIO()
        segno.make(badge, error="m").save(picture, kind="svg", scale=5, border=2)
        return BadgeMade(staff, badge, picture.getvalue().decode(), self._setting_up.now())

    async def finish(self, call: Call[None, None]) -> SetupNow:
        """The node is set up; it serves the clinic's pages in a moment."""
        async with self._one:
            now = await asyncio.to_thread(self._setting_up.finish)
        if now.step is Step.DONE:
            self._on_done()
        return now

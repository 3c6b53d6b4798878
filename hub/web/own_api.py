"""A person's own log-in over HTTP: another password and authenticator, and recovery codes."""

import asyncio
import base64
import binascii
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import BadInput
from edge.slips.qr import qr_rows
from edge.web.routes import AnyRoute, Call, Route

from .. import doctors
from ..hub import Hub
from .bodies import Password


class AskAuthenticator(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    """The one that was typed at the log-in, again."""


class Authenticator(Struct, frozen=True):
    """A fresh entry for the authenticator; nothing is changed by asking."""

    secret: str
    uri: str
    qr: tuple[str, ...]
    ticket: str
    """Send it back with the entry's code."""


class RenewLogin(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    new_password: Password
    ticket: Annotated[str, Meta(max_length=200)]
    code: Annotated[str, Meta(min_length=6, max_length=8, pattern="^[0-9]+$(?!\\n)")]
    """Of the new entry."""


class RecoveryCodes(Struct, frozen=True):
    codes: tuple[str, ...]
    """Shown this once. Each stands for the authenticator's code one time."""


class OwnApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        return [
            Route("POST", "/api/own/authenticator", self.draw, AskAuthenticator, Authenticator, errors=(401, 429)),
            Route("PUT", "/api/own/login", self.renew, RenewLogin, RecoveryCodes, errors=(401, 409, 429)),
        ]

    async def draw(self, call: Call[AskAuthenticator, None]) -> Authenticator:
        """A fresh entry for one's own authenticator."""
        secret, ticket = await self._hub.desk.draw_authenticator(call.subject, call.body.password)
        uri = doctors.totp_uri(call.subject, secret)
        rows = await asyncio.to_thread(qr_rows, uri)
        return Authenticator(secret, uri, tuple(rows), base64.b64encode(ticket).decode())

    async def renew(self, call: Call[RenewLogin, None]) -> RecoveryCodes:
        """Replace one's own password and authenticator; all other sessions of this person end.

        The first time, after somebody else made or reset the account, the signing key is replaced too.
        """
        body, session = call.body, call.session
        assert session is not None
        try:
            ticket = base64.b64decode(body.ticket, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput("This was not drawn for you here. Begin again.", field="ticket") from None
        return RecoveryCodes(
            await self._hub.desk.renew_login(session, body.password, body.new_password, ticket, body.code)
        )

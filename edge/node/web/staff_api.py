"""Badges for people who came back to a replaced node by name alone."""

import asyncio

import segno
from msgspec import Struct

from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Auth, Call, Route

from .schema import BadgeText, Pin, StaffId

QR_SCALE = 6


class GiveBadge(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who can unlock this node vouches for the one who gets the badge."""

    badge: BadgeText
    """Of the one who vouches."""
    badge_pin: Pin
    pin: Pin
    """What the new badge's owner has chosen."""


class BadgeMade(Struct, frozen=True):
    """To be printed or copied now: it is kept nowhere."""

    badge: str
    qr: str
    """The same as a picture: a data URL of SVG."""


class StaffApi:
    """Handlers over one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [
            Route(
                "POST",
                "/api/staff/{staff_id}/badge",
                self.post_badge,
                GiveBadge,
                BadgeMade,
                params={"staff_id": StaffId},
                auth=Auth.OPEN,
                errors=(401, 404, 409, 423, 429),
            )
        ]

    async def post_badge(self, call: Call[GiveBadge, None]) -> BadgeMade:
        """Give a badge and a PIN to somebody who has none here. Another badge and its PIN have to vouch for it."""
        body = call.body
        text = await self._clinic.give_badge(call.path["staff_id"], (body.badge, body.badge_pin), body.pin)
        return BadgeMade(text, await asyncio.to_thread(_picture, text))


def _picture(text: str) -> str:
    return segno.make(text, error="m").svg_data_uri(scale=QR_SCALE)

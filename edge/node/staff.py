"""Who works here, as the log says it, and how somebody gets a badge. Knows files of slots, no HTTP."""

import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.model import events as ev
from edge.model.errors import NotFound, Refused

from .stretch import SALT_BYTES, stretch
from .unlock import Slot, Slots, make_badge
from .views import Staff

ENTRY_SALT_BYTES = 16


class NewBadge(msgspec.Struct, frozen=True):
    """A badge that was just made, with the verifier of its owner's PIN."""

    text: str
    """To be printed once; kept nowhere."""
    slot: Slot
    salt: bytes
    verifier: bytes

    def __repr__(self) -> str:
        return "NewBadge(…)"


def unlisted(raws: Iterable[bytes], staff: Iterable[Staff]) -> list[ev.StaffListed]:
    """What the log has still to say: people with a PIN whom no entry of ``raws`` (oldest first) names as they are."""
    said: dict[str, ev.StaffListed] = {}
    for raw in raws:
        event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry)) if raw else None
        if isinstance(event, ev.StaffListed):
            said[event.staff_id] = event
    fresh: list[ev.StaffListed] = []
    for one in staff:
        known = said.get(one.staff_id)
        same = known is not None and (known.name, known.name_hi, known.role) == (one.name, one.name_hi, one.role)
        if one.has_pin and not same:
            salt = secrets.token_bytes(ENTRY_SALT_BYTES)
            fresh.append(ev.StaffListed(one.staff_id, one.name, one.name_hi, one.role, salt))
    return fresh


async def new_badge(dmk: bytes, staff_id: str, pin: str) -> NewBadge:
    """A badge of ``staff_id`` that opens the records with ``pin``, and the verifier to log in with. About 0.6 s."""
    salt = secrets.token_bytes(SALT_BYTES)
    verifier = await stretch(pin, salt)
    text, slot = await make_badge(dmk, pin)
    return NewBadge(text, msgspec.structs.replace(slot, staff_id=staff_id), salt, verifier)


def may_get_badge(staff: Staff | None) -> Staff:
    """Somebody who came back to a replaced node without badge and PIN. Raises NotFound, Refused.

    Who has a PIN gets no second badge: the first one would go on opening the records.
    """
    if staff is None:
        raise NotFound("Nobody of that id works here.")
    if staff.has_pin:
        raise Refused("This person has a badge and a PIN here already.", code="has_badge")
    return staff


def keep_slot(folder: Path, badge: NewBadge) -> None:
    """Let the badge open the records. Blocking."""
    Slots(folder).add(badge.slot)

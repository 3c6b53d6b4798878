"""Sending a patient on without a doctor's word, and how it ended: what the nurse does when nobody answers. Pure.

The places are those of forms.md §5. Ways and ends are our own words for the paper, no clinical grading
(unsourced - verify with the district).
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .ids import Id
from .records import Code, Referral, Text


class Place(StrEnum):
    """Where to (forms.md §5)."""

    PHC = "phc"
    CHC = "chc"
    DISTRICT = "district"
    COLLEGE = "college"
    PRIVATE = "private"
    OTHER = "other"


class Way(StrEnum):
    """How the patient gets there."""

    AMBULANCE = "108"
    OWN = "own"
    NOT_GONE = "not_gone"


class Ending(StrEnum):
    """What became of somebody who was sent on, as far as it was heard."""

    REACHED = "reached"
    REFUSED = "refused"
    BETTER = "better"
    DIED = "died"
    NOT_HEARD = "not_heard"


class Referred(Struct, frozen=True, array_like=True):
    """Event: the nurse sent the patient on. ``Referral.to`` is a :class:`Place`, or the words of another place."""

    visit_id: Id
    referral: Referral
    way: Annotated[str, Meta(pattern="^(108|own|not_gone)$(?!\\n)")]
    given: Text = ""
    """What was done for the patient before."""


class EndingTold(Struct, frozen=True, array_like=True):
    """Event: what became of the patient; a later word replaces it."""

    visit_id: Id
    ending: Code
    note: Text = ""


class MadeReferral(Struct, frozen=True):
    """A referral as the visit shows it."""

    at_ms: int
    by: str
    to: str
    urgency: str
    reason: str
    way: str
    given: str
    stamp: int = 0
    """Stamp of its entry; 0 where an earlier release folded it."""
    at_count: int = 0
    """Of the entries of that ms: the stamp's last 16 bits, for a browser, whose numbers do not hold the whole."""


class ToldEnding(Struct, frozen=True):
    """How it ended, as the visit shows it."""

    at_ms: int
    by: str
    ending: str
    note: str


def made(event: Referred, stamp: int, by: str) -> MadeReferral:
    """What an event says, for the visit."""
    one = event.referral
    at_ms, at_count = stamp >> 16, stamp & 0xFFFF
    return MadeReferral(at_ms, by, one.to, one.urgency, one.reason, event.way, event.given, stamp, at_count)

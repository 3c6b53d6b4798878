"""The paper that goes with an enrolment token to the technician: the token in letters and as a QR code. A PDF."""

from functools import lru_cache

import msgspec
from msgspec import Struct

from .coverage import clean
from .qr import qr_rows
from .render import compile_pdf
from .words import TEMPLATES_DIR, Pair

TEMPLATE = "enrol-1"


class Labels(Struct, frozen=True):
    """The words of the template, Hindi and English."""

    title: Pair
    token: Pair
    until: Pair
    replaces: Pair
    once: Pair
    demo: Pair


class EnrolLabel(Struct, frozen=True):
    """Everything that the template prints."""

    words: Labels
    site: str
    code: str
    place: str
    token: str
    until: str
    replaces: str
    """Id of the node whose place the machine takes; empty for a new one."""
    demo: bool
    qr: tuple[str, ...]


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The words, read once."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{TEMPLATE}.json").read_bytes(), type=Labels)


def enrol_label(
    site: str, code: str, place: str, token: str, until: str, *, replaces: str = "", demo: bool = False
) -> bytes:
    """The label as PDF, 100 × 70 mm; the same data give the same bytes."""
    page = EnrolLabel(
        labels(),
        clean(site),
        clean(code),
        clean(place),
        token,
        until,
        replaces,
        demo,
        tuple(qr_rows(token)),
    )
    return compile_pdf(TEMPLATE, page)

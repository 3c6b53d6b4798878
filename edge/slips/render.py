"""Rendering: signed prescription or token → PDF, always the same bytes for the same input.

typst runs in a helper process (:mod:`.typeset`) with the fonts of this package only, no network, no clock and no
system font. Text reaches it as JSON data.
"""

from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct

from edge.model.prescribing import SignedPrescription

from .coverage import clean
from .refusal import SlipCode, SlipRefused
from .typeset import Typesetter
from .words import TEMPLATES_DIR, SlipWords, slip_words

PAPERS = ("a5", "a4")
ROLLS = {80: 576, 58: 384}
"""Width of a thermal printer's roll in mm → dots that its head prints, 8 a millimetre."""
ROLL_PPI = 203.2
"""8 dots a millimetre."""
TEMPLATES = {("rx", 1): "rx-1"}
"""Template id and version → file. Old versions stay as long as slips made with them may be checked."""
_typesetter = Typesetter()
TOKEN_MM = 80
"""Width of the token's template; on a narrower roll all of it is smaller."""


class TokenWords(Struct, frozen=True):
    """What a token slip prints."""

    token: str
    centre: str
    expected: str
    date: str
    demo: bool
    grievance: str = ""
    """Whom patients complain to about their data (security.md R2)."""


@lru_cache(maxsize=8)
def _template(name: str) -> bytes:
    return (TEMPLATES_DIR / f"{name}.typ").read_bytes()


def _compile(template: str, words: Struct, kind: Literal["pdf", "png"] = "pdf", ppi: float = 72.0) -> tuple[bytes, ...]:
    """One file for a PDF, one for each page of a PNG. Raises TypesetFailed."""
    return _typesetter.pages(_template(template), msgspec.json.encode(words), kind, ppi)


def rest() -> None:
    """End the helper process; the next page begins another."""
    _typesetter.close()


def compile_pdf(template: str, words: Struct) -> bytes:
    """A page of this package's templates as PDF, from plain data."""
    return _compile(template, words)[0]


def compile_png(template: str, words: Struct, ppi: float) -> bytes:
    """The first page of a template as PNG; a page without a height has no second one."""
    return _compile(template, words, "png", ppi)[0]


def _slip(signed: SignedPrescription, paper: str) -> tuple[str, SlipWords]:
    if paper not in PAPERS:
        raise SlipRefused(SlipCode.PAPER_UNKNOWN, "Paper is a4 or a5.")
    template = TEMPLATES.get((signed.template_id, signed.template_version))
    if template is None:
        raise SlipRefused(SlipCode.TEMPLATE_UNKNOWN, "This release does not have the template of this prescription.")
    return template, slip_words(signed, template, paper)


def render_slip(signed: SignedPrescription, *, paper: str = "a5") -> bytes:
    """The prescription on ``paper`` ("a5" or "a4") as PDF, with the signed record attached.

    Signatures are not checked here: a page is made of what is given. Raises SlipRefused with
    slip_record_bad, slip_template_unknown or slip_paper_unknown.
    """
    return _compile(*_slip(signed, paper))[0]


def render_pages(signed: SignedPrescription, *, paper: str = "a5", ppi: float = 110.0) -> tuple[bytes, ...]:
    """The same pages as PNG, one each, for a tablet that shows no PDF. ``ppi``: pixels an inch, 36–300.

    Raises SlipRefused as :func:`render_slip`, ValueError for another resolution.
    """
    if not 36 <= ppi <= 300:
        raise ValueError("a page is drawn with 36 to 300 pixels an inch")
    return _compile(*_slip(signed, paper), "png", ppi)


def render_roll(signed: SignedPrescription, *, roll_mm: int = 80) -> bytes:
    """The prescription as one long PNG, as wide as the head of a thermal printer: :data:`ROLLS`.

    Raises SlipRefused with slip_record_bad, slip_template_unknown or slip_paper_unknown.
    """
    if roll_mm not in ROLLS:
        raise SlipRefused(SlipCode.PAPER_UNKNOWN, "A roll is 80 or 58 mm wide.")
    template, words = _slip(signed, PAPERS[0])
    return compile_png(
        template.replace("rx-", "roll-"), msgspec.structs.replace(words, paper=f"roll{roll_mm}"), ROLL_PPI
    )


def render_token_roll(words: TokenWords, *, roll_mm: int = 80) -> bytes:
    """The token slip as a PNG for the head of a thermal printer. Raises SlipRefused with slip_paper_unknown."""
    if roll_mm not in ROLLS:
        raise SlipRefused(SlipCode.PAPER_UNKNOWN, "A roll is 80 or 58 mm wide.")
    return compile_png("token-1", words, ROLLS[roll_mm] / TOKEN_MM * 25.4)


def render_token(
    token: str, centre: str, expected: str = "", date: str = "", *, demo: bool = False, grievance: str = ""
) -> bytes:
    """A token slip 80 mm wide as PDF. ``expected`` and ``date`` are printed as given, or left out when empty; so is
    ``grievance``, whom patients complain to."""
    return _compile("token-1", token_words(token, centre, expected, date, demo=demo, grievance=grievance))[0]


def token_words(
    token: str, centre: str, expected: str = "", date: str = "", *, demo: bool = False, grievance: str = ""
) -> TokenWords:
    """The words of a token slip, with characters that no font has seen to be missing."""
    return TokenWords(clean(token), clean(centre), clean(expected), clean(date), demo, clean(grievance))

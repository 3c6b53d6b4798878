"""The day register as a printed page, A4 lying: the columns of the paper register, in Hindi and English."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from edge.model.clock import clock_text
from edge.model.reference import reference
from edge.model.register import BANDS, RegisterRow, Totals, Unfinished

from .coverage import clean
from .referral import labels as referral_labels
from .render import compile_pdf
from .words import TEMPLATES_DIR, Pair

TEMPLATE = "register-1"


class Labels(Struct, frozen=True):
    """The words of the template, Hindi and English."""

    title: Pair
    empty: Pair
    waiting_title: Pair
    nothing_waits: Pair
    sign: Pair
    unsure: Pair
    heads: tuple[Pair, ...]
    new: dict[str, str]
    provisional: str
    colours: dict[str, str]
    modes: dict[str, str]
    sexes: dict[str, Pair]
    ages: dict[str, str]
    total: Pair
    unknown_age: Pair
    why: dict[str, Pair]


class RegisterPage(Struct, frozen=True):
    """Everything that the template prints. Text only: the template never evaluates any of it."""

    title: Pair
    site: str
    day: str
    demo: bool
    heads: tuple[Pair, ...]
    rows: tuple[tuple[str, ...], ...]
    total_heads: tuple[str, ...]
    totals: tuple[tuple[str, ...], ...]
    waiting_title: Pair
    waiting: tuple[str, ...]
    empty: Pair
    sign: Pair


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The words, read once."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{TEMPLATE}.json").read_bytes(), type=Labels)


def render_register(
    site: str,
    day: str,
    rows: Sequence[RegisterRow],
    counts: Sequence[Totals],
    waiting: Sequence[Unfinished],
    workers: Mapping[str, str],
    *,
    demo: bool,
    sure: bool = True,
) -> bytes:
    """The register of ``day`` (YYYY-MM-DD) as PDF; the same data give the same bytes.

    ``workers``: staff id → name. ``sure`` False: the day is marked as not sure.
    """
    words = labels()
    page = RegisterPage(
        words.title,
        site,
        day if sure else f"{day} ({' / '.join(words.unsure)})",
        demo,
        words.heads,
        tuple(_cells(row, words, workers) for row in rows),
        ("", *(_band(low, high) for low, high in BANDS), " / ".join(words.unknown_age), " / ".join(words.total)),
        tuple(
            (" / ".join(words.sexes[one.sex.value]), *map(str, one.bands), str(one.unknown), str(one.all))
            for one in counts
        ),
        words.waiting_title,
        tuple(_waits(one, words) for one in waiting) or (" ".join(words.nothing_waits),),
        words.empty,
        words.sign,
    )
    return compile_pdf(TEMPLATE, _cleaned(page))


def _cells(row: RegisterRow, words: Labels, workers: Mapping[str, str]) -> tuple[str, ...]:
    number, _, unit = row.age.partition(" ")
    hindi = {item.id: item.hi for item in reference().complaints}
    diagnosis = " ".join(filter(None, (row.diagnosis, row.diagnosis_code and f"({row.diagnosis_code})")))
    return (
        str(row.serial),
        row.token,
        f"{clock_text(row.in_ms)} – {clock_text(row.out_ms)}",
        row.name,
        f"{number} {words.ages.get(unit, unit)}, {words.sexes[row.sex.value][0]}".strip(),
        row.village,
        words.new["new" if row.new else "old"],
        ", ".join(hindi.get(code, code) for code in row.complaints),
        words.colours[row.colour],
        " / ".join(filter(None, (row.bp, row.sugar))),
        " – ".join(filter(None, (diagnosis, words.provisional if row.provisional else ""))),
        " · ".join(filter(None, (row.doctor, words.modes.get(row.mode, "")))),
        ", ".join(row.given),
        referral_labels().places.get(row.referred_to, (row.referred_to, ""))[0],
        row.follow_up,
        workers.get(row.worker, row.worker),
    )


def _band(low: int, high: int) -> str:
    return f"≥ {low}" if high >= BANDS[-1][1] else f"{low}–{high - 1}"


def _waits(one: Unfinished, words: Labels) -> str:
    hindi, english = words.why[one.why.value]
    return f"{one.token or '—'} {one.name}: {hindi} / {english}"


def _cleaned(page: RegisterPage) -> RegisterPage:
    """Characters that no font has are seen to be missing, never empty boxes."""

    def cleaned(value: object) -> object:
        if isinstance(value, str):
            return clean(value)
        return tuple(cleaned(one) for one in value) if isinstance(value, tuple) else value

    return msgspec.convert({name: cleaned(value) for name, value in msgspec.structs.asdict(page).items()}, RegisterPage)

"""The monthly report as a printed page, A4: figures with their words, empty boxes for what is not recorded here."""

from functools import lru_cache

import msgspec
from msgspec import Struct

from edge.model.month import Figure, Month
from edge.model.register import BANDS

from .coverage import clean
from .render import compile_pdf
from .words import TEMPLATES_DIR, Pair

TEMPLATE = "month-1"
SECTIONS = ("opd", "hmis", "tele")


class Labels(Struct, frozen=True):
    """The words of the template, Hindi and English."""

    title: Pair
    sections: dict[str, Pair]
    not_recorded: Pair
    format_note: Pair
    unsure: Pair
    running: Pair
    sign: Pair
    total: Pair
    unknown_age: Pair
    by_age: Pair
    sexes: dict[str, Pair]
    lines: dict[str, Pair]
    since: Pair
    whys: dict[str, Pair]
    """Why a line has no value, where it is not for the ANM to fill in."""


class Line(Struct, frozen=True):
    code: str
    name: Pair
    value: str
    """Empty: not recorded here."""
    why: Pair
    """Why not; empty with a value."""
    since: Pair
    """From when it counts, where that is not the whole month; else empty."""


class Section(Struct, frozen=True):
    head: Pair
    lines: tuple[Line, ...]


class MonthPage(Struct, frozen=True):
    """Everything that the template prints. Text only: the template never evaluates any of it."""

    title: Pair
    site: str
    month: str
    demo: bool
    notes: tuple[Pair, ...]
    sections: tuple[Section, ...]
    by_age: Pair
    total_heads: tuple[str, ...]
    totals: tuple[tuple[str, ...], ...]
    not_recorded: Pair
    sign: Pair


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The words, read once."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{TEMPLATE}.json").read_bytes(), type=Labels)


def value_text(value: float | None) -> str:
    """A figure as it is written; empty for none."""
    return "" if value is None else f"{value:g}"


def _since(words: Labels, one: Figure) -> Pair:
    if not one.since or one.value is None:
        return ("", "")
    hindi, english = words.since
    return (hindi.format(day=one.since), english.format(day=one.since))


def figures(found: Month, section: str) -> list[Figure]:
    """The figures of a section by its name."""
    return {"opd": found.opd, "hmis": found.hmis, "tele": found.tele}[section]


def month_page(found: Month, site: str, month: str, *, demo: bool, sure: bool = True, over: bool = True) -> MonthPage:
    """What the report says. ``month``: YYYY-MM; ``over`` False: the month is not over yet."""
    words = labels()
    notes = [words.format_note] + ([] if sure else [words.unsure]) + ([] if over else [words.running])
    sections = tuple(
        Section(
            words.sections[name],
            tuple(
                Line(
                    one.code if name == "hmis" else "",
                    words.lines[one.code],
                    value_text(one.value),
                    words.whys.get(one.code, words.not_recorded) if one.value is None else ("", ""),
                    _since(words, one),
                )
                for one in figures(found, name)
            ),
        )
        for name in SECTIONS
    )
    bands = (f"≥ {low}" if high >= BANDS[-1][1] else f"{low}–{high - 1}" for low, high in BANDS)
    return MonthPage(
        words.title,
        clean(site),
        month,
        demo,
        tuple(notes),
        sections,
        words.by_age,
        ("", *bands, " / ".join(words.unknown_age), " / ".join(words.total)),
        tuple(
            (" / ".join(words.sexes[one.sex.value]), *map(str, one.bands), str(one.unknown), str(one.all))
            for one in found.totals
        ),
        words.not_recorded,
        words.sign,
    )


def render_month(page: MonthPage) -> bytes:
    """The report as PDF; the same data give the same bytes."""
    return compile_pdf(TEMPLATE, page)

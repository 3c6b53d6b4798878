"""Figures of many centres as a printed sheet, A4 lying: one line a place or doctor, Hindi and English heads."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from .coverage import clean
from .render import compile_pdf
from .words import TEMPLATES_DIR, Pair

TEMPLATE = "figures-1"


class Labels(Struct, frozen=True):
    """The words of the template, Hindi and English."""

    title: Pair
    notes: tuple[Pair, ...]
    heads: dict[str, Pair]
    """By the name of the figure, in the order of the sheet."""
    everywhere: Pair
    unassigned: Pair
    nothing: Pair
    sign: Pair


class FiguresPage(Struct, frozen=True):
    """Everything that the template prints. Text only: the template never evaluates any of it."""

    title: Pair
    span: str
    demo: bool
    notes: tuple[Pair, ...]
    heads: tuple[Pair, ...]
    rows: tuple[tuple[str, ...], ...]
    nothing: Pair
    sign: Pair


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The words, read once."""
    return msgspec.json.decode((TEMPLATES_DIR / f"{TEMPLATE}.json").read_bytes(), type=Labels)


def figures_page(lines: Sequence[dict[str, object]], span: str, *, everywhere: bool, demo: bool) -> FiguresPage:
    """The sheet. ``lines``: figures by their names; ``everywhere``: lines are not about a place or doctor."""
    words = labels()
    nobody = " / ".join(words.everywhere if everywhere else words.unassigned)

    def cell(name: str, value: object) -> str:
        if value is None:
            return "–"
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return clean(text) if text else nobody if name == "of" else ""

    return FiguresPage(
        words.title,
        clean(span),
        demo,
        words.notes,
        tuple(words.heads.values()),
        tuple(tuple(cell(name, line[name]) for name in words.heads) for line in lines),
        words.nothing,
        words.sign,
    )


def render_figures(page: FiguresPage) -> bytes:
    """The sheet as PDF; the same data give the same bytes."""
    return compile_pdf(TEMPLATE, page)

"""Which characters our fonts can draw, read from their own tables (OpenType 1.9, `cmap` formats 4 and 12).

A character that no font has must be seen to be missing, never be an empty box by accident, so
text is cleaned here before it meets a template. This module knows no template.
"""

import struct
import unicodedata
from functools import lru_cache
from pathlib import Path

FONTS_DIR = Path(__file__).parent / "fonts"
MISSING = "\ufffd"
"""Stands for a character that no shipped font can draw."""
_JOINERS = frozenset("\u200c\u200d")
"""Zero-width (non-)joiner: they shape Devanagari, Bengali and Urdu and have no picture of their own."""
_LONG_WORD = 26
_PIECE = 12
_VIRAMAS = frozenset("\u094d\u09cd")


def _format_4(table: bytes) -> set[int]:
    segments = struct.unpack_from(">H", table, 6)[0] // 2
    ends = struct.unpack_from(f">{segments}H", table, 14)
    starts = struct.unpack_from(f">{segments}H", table, 16 + 2 * segments)
    return {code for start, end in zip(starts, ends, strict=True) for code in range(start, end + 1) if code != 0xFFFF}


def _format_12(table: bytes) -> set[int]:
    groups = struct.unpack_from(">I", table, 12)[0]
    rows = (struct.unpack_from(">II", table, 16 + 12 * group) for group in range(groups))
    return {code for start, end in rows for code in range(start, end + 1)}


def font_characters(font: bytes) -> frozenset[int]:
    """Code points that a TrueType font maps to glyphs; segments are taken as a whole."""
    for table in range(struct.unpack_from(">H", font, 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sIII", font, 12 + 16 * table)
        if tag == b"cmap":
            break
    else:
        return frozenset()
    found: set[int] = set()
    for record in range(struct.unpack_from(">H", font, offset + 2)[0]):
        _, _, place = struct.unpack_from(">HHI", font, offset + 4 + 8 * record)
        subtable = font[offset + place :]
        kind = struct.unpack_from(">H", subtable)[0]
        if kind == 4:
            found |= _format_4(subtable)
        elif kind == 12:
            found |= _format_12(subtable)
    return frozenset(found)


@lru_cache(maxsize=1)
def shipped_characters() -> frozenset[int]:
    """Code points that at least one shipped font can draw."""
    fonts = sorted(FONTS_DIR.glob("*.ttf"))
    return frozenset().union(*(font_characters(font.read_bytes()) for font in fonts))


def _breakable(word: str) -> str:
    """A long word with places to break it, never inside a syllable of an Indian script."""
    if len(word) <= _LONG_WORD:
        return word
    letters: list[str] = []
    since = 0
    for position, letter in enumerate(word):
        joined = unicodedata.category(letter).startswith("M") or letter in _JOINERS
        if since >= _PIECE and not joined and word[position - 1] not in _VIRAMAS | _JOINERS:
            letters.append("\u200b")
            since = 0
        letters.append(letter)
        since += 1
    return "".join(letters)


def clean(text: str) -> str:
    """One line of text as it can be printed.

    Control and direction characters go (they could reorder a dose), runs of blanks become one, and
    what no font can draw becomes :data:`MISSING`.
    """
    covered = shipped_characters()
    letters: list[str] = []
    for letter in text:
        if letter in _JOINERS:
            letters.append(letter)
        elif letter.isspace() or unicodedata.category(letter) == "Cc":
            letters.append(" ")
        elif unicodedata.category(letter) != "Cf":
            letters.append(letter if ord(letter) in covered else MISSING)
    return " ".join(_breakable(word) for word in "".join(letters).split())


def lines(text: str) -> list[str]:
    """The lines of a text, each cleaned, without empty ones."""
    return [line for line in map(clean, text.splitlines()) if line]

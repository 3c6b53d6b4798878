"""Patterns at the borders end where the text ends, and take one script's digits."""

import re
from pathlib import Path

import msgspec
import pytest

from edge.model.ids import Id
from edge.model.records import IsoDay, Name, Text

ROOT = Path(__file__).resolve().parents[2]
PATTERN = re.compile(r'(?:pattern=|ID_PATTERN = )r?"((?:[^"\\]|\\.)*)"')


def test_no_pattern_takes_a_line_end_behind_it_or_another_scripts_digits() -> None:
    """Python's ``$`` stands before a last line end too, and its ``\\d`` for every script's digits."""
    found = [
        (path.relative_to(ROOT), text)
        for folder in ("edge", "hub")
        for path in (ROOT / folder).rglob("*.py")
        for text in PATTERN.findall(path.read_text())
    ]
    assert len(found) > 80
    assert [one for one in found if one[1].endswith("$") or r"\d" in one[1]] == []


@pytest.mark.parametrize(
    ("kind", "good"), [(Id, "0123456789abcdef"), (Name, "सीता देवी"), (IsoDay, "2026-11-27")], ids=("id", "name", "day")
)
def test_a_value_with_a_line_end_is_refused(kind: object, good: str) -> None:
    assert msgspec.convert(good, kind) == good
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"{good}\n", kind)


def test_text_of_several_lines_may_end_with_one() -> None:
    assert msgspec.convert("one\ntwo\n", Text) == "one\ntwo\n"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("२०२६-११-२७", IsoDay)

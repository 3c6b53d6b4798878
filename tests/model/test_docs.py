"""The page of errors names every code that the model and the image tool can give."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GIVEN = (
    r'(?:Refusal|Denial|_refuse|Gate)\(\s*(?:False,\s*)?"([a-z_]+)"',
    r'^\s+code = "([a-z_]+)"',
    r'^    "([a-z_]+)": "[A-Z]',
)
"""How the model's source writes a code."""


def test_every_code_of_the_model_is_on_the_page_of_errors() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "edge/model").glob("*.py")))
    given = {code for pattern in GIVEN for code in re.findall(pattern, source, re.MULTILINE)}
    assert len(given) > 60
    explained = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/errors.md").read_text()))
    assert given <= explained, sorted(given - explained)


def test_every_code_of_the_image_tool_is_on_the_page_of_errors() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "images").glob("*.py")))
    given = set(re.findall(r'\bcode ?= ?"([a-z_]+)"', source))
    assert len(given) > 15
    explained = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/errors.md").read_text()))
    assert given <= explained, sorted(given - explained)

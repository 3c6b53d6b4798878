"""Each check of the technician's page has a name in both languages: a code was shown for one."""

from pathlib import Path

import pytest

from edge.node.checks import base
from edge.node.printing.escpos import Outcome

CHECKS = sorted(
    path.stem for path in Path(base.__file__).parent.glob("*.py") if path.stem not in ("__init__", "base", "run")
)
FLUENT = Path(__file__).parents[2] / "edge" / "ui" / "fluent"


@pytest.mark.parametrize("language", ["hi", "en"])
def test_each_check_has_a_name(language: str) -> None:
    words = (FLUENT / f"{language}-technician.ftl").read_text().splitlines()
    named = {line.partition(" = ")[0] for line in words}
    assert CHECKS
    assert [check for check in CHECKS if f"check-{check.replace('_', '-')}" not in named] == []
    troubles = [one.value for one in Outcome if one not in (Outcome.PRINTED, Outcome.SENT)]
    assert [one for one in troubles if f"value-{one.replace('_', '-')}" not in named] == []

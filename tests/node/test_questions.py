"""Guided questions: shown from a reviewed file only, and never from a file that something is wrong with."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from edge.node import questions
from tests.node.kit import Provisioned, Served, provisioned

ASKED = {"id": "q1", "hi": "परीक्षा का सवाल?", "en": "A question of a test?", "kind": "yes_no"}
CHOICE = {
    "id": "q2",
    "hi": "परीक्षा का चुनाव?",
    "en": "A choice of a test?",
    "kind": "choice",
    "options": [{"id": "a", "hi": "पहला", "en": "first"}, {"id": "b", "hi": "दूसरा", "en": "second"}],
}
GOOD: dict[str, object] = {
    "version": "test",
    "reviewed_by": "Dr Nobody, TEST/0",
    "reviewed_on": "2026-11-26",
    "complaints": {"fever": [ASKED, CHOICE]},
}


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def kept(folder: Path, content: object) -> questions.Guided:
    (folder / questions.FILE).write_bytes(msgspec.json.encode(content))
    return questions.load(folder)


def test_a_reviewed_file_is_shown(tmp_path: Path) -> None:
    assert questions.load(tmp_path) is questions.NONE
    found = kept(tmp_path, GOOD)
    assert [one.id for one in found.complaints["fever"]] == ["q1", "q2"] and found.reviewed_by == "Dr Nobody, TEST/0"


@pytest.mark.parametrize(
    "change",
    [
        {"reviewed_by": ""},
        {"reviewed_on": "soon"},
        {"complaints": {"no_such_complaint": [ASKED]}},
        {"complaints": {"fever": []}},
        {"complaints": {"fever": [ASKED, ASKED]}},
        {"complaints": {"fever": [{**ASKED, "kind": "essay"}]}},
        {"complaints": {"fever": [{**ASKED, "options": CHOICE["options"]}]}},
        {"complaints": {"fever": [{**CHOICE, "options": []}]}},
        {"complaints": {"fever": [{**ASKED, "hi": ""}]}},
        {"complaints": {"fever": [{**ASKED, "id": f"q{n}", "hi": f"{n}?"} for n in range(questions.MOST + 1)]}},
        {"more": 1},
    ],
)
def test_a_file_that_nobody_answers_for_or_that_is_wrong_shows_nothing(
    tmp_path: Path, change: dict[str, object]
) -> None:
    assert kept(tmp_path, {**GOOD, **change}) is questions.NONE


async def test_the_tablet_gets_them_when_somebody_is_logged_in(setup: Provisioned) -> None:
    async with Served(setup) as served:
        assert (await served.tablet.call("GET", "/api/questions"))[0] in (401, 423)
        await served.tablet.login(setup)
        assert (await served.tablet.get("/api/questions"))["complaints"] == {}
        await asyncio.to_thread(kept, setup.folder, GOOD)
        assert list((await served.tablet.get("/api/questions"))["complaints"]) == ["fever"]  # type: ignore[call-overload]

"""Calling tokens, and the public board that hears of nothing else."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from edge.node.calling import CALLED_FILE
from edge.node.live import QueueChanged
from tests.node.kit import COMPLAINT, MOBILE, NAME, VILLAGE, Provisioned, Served, Tablet, provisioned


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def board(tablet: Tablet) -> dict[str, object]:
    """What somebody sees who has never logged in."""
    async with tablet.http.get("/api/board", cookies={}) as reply:
        assert reply.status == 200
        raw = await reply.read()
    for word in (NAME, VILLAGE, MOBILE, COMPLAINT, "red", "colour"):
        assert word.encode() not in raw
    return msgspec.json.decode(raw, type=dict[str, object])


def shown(now: dict[str, object]) -> tuple[list[str], object]:
    called = now["called"]
    assert isinstance(called, list)
    return [f"{one['token']} ×{one['times']}" for one in called], now["waiting"]


async def test_the_board_shows_numbers_in_the_order_of_the_queue_and_nothing_of_anybody(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        locked = await board(tablet)
        assert locked["locked"] is True and shown(locked) == ([], [])
        await tablet.login(setup)
        visits, tokens = [], []
        for _ in range(3):
            _, visit = await tablet.register()
            visits.append(visit)
            tokens.append(await tablet.fill(visit))
        assert shown(await board(tablet)) == ([], tokens)
        status, called = await tablet.call("POST", "/api/queue/call", {})
        assert (status, called["token"], called["times"]) == (200, tokens[0], 1)
        assert shown(await board(tablet)) == ([f"{tokens[0]} ×1"], tokens[1:])
        assert (await tablet.call("POST", "/api/queue/call", {"visit_id": visits[0]}))[1]["times"] == 2
        await tablet.call("POST", "/api/queue/call", {"visit_id": visits[2]})
        assert shown(await board(tablet)) == ([f"{tokens[2]} ×1", f"{tokens[0]} ×2"], [tokens[1]])
        await tablet.say("move_visit", visit_id=visits[1], state="no_show", reason="not there")
        assert shown(await board(tablet))[1] == []
        status, refused = await tablet.call("POST", "/api/queue/call", {})
        assert (status, refused["code"]) == (409, "nobody_to_call")
        await tablet.say("move_visit", visit_id=visits[1], state="waiting", reason="is here now")
        assert (await tablet.call("POST", "/api/queue/call", {}))[1]["token"] == tokens[1]
        assert NAME.encode() not in await asyncio.to_thread((setup.folder / CALLED_FILE).read_bytes)
    async with Served(setup) as again:
        await again.tablet.login(setup)
        assert shown(await board(again.tablet))[0][0] == f"{tokens[1]} ×1"
        assert (await again.tablet.call("POST", "/api/queue/call", {}))[0] == 409, "nobody is called twice"


async def test_an_emergency_is_called_first_and_does_not_stand_among_the_waiting(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, calm = await tablet.register()
        token = await tablet.fill(calm)
        _, grave = await tablet.register()
        await tablet.say("raise_triage", visit_id=grave, colour="red", reason="emergency button")
        grave_token = (await tablet.say("issue_token", visit_id=grave))["visit"]["token"]  # type: ignore[index]
        assert shown(await board(tablet)) == ([], [token])
        assert (await tablet.call("POST", "/api/queue/call", {}))[1]["token"] == grave_token
        await tablet.say("move_visit", visit_id=calm, state="in_call")
        async with asyncio.timeout(10):
            while True:
                if shown(await board(tablet)) == ([f"{token} ×1", f"{grave_token} ×1"], []):
                    break
                await asyncio.sleep(0.02)


async def test_calling_needs_a_log_in(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        served.tablet.http.session.cookie_jar.clear()
        assert (await served.tablet.call("POST", "/api/queue/call", {}))[0] == 401


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng makes the placeholders")
async def test_every_piece_of_a_call_can_be_played_without_a_log_in_and_no_other_prompt(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        found = (await tablet.get("/api/board/prompts"))["items"]
        assert isinstance(found, list)
        pieces = {"board-token", "board-come", *(f"board-digit-{n}" for n in range(10))}
        assert {(one["prompt_id"], one["language"]) for one in found} == {
            (p, lang) for p in pieces for lang in ("hi", "en")
        }
        async with tablet.http.get(found[0]["path"]) as reply:
            assert reply.status == 200 and (await reply.read())[:4] == b"RIFF"
        await tablet.login(setup)
        consent = (await tablet.get("/api/prompts"))["items"]
        assert isinstance(consent, list)
        assert not [one for one in consent if one["prompt_id"].startswith("board")]
        name = consent[0]["path"].rpartition("/")[2]
        assert (await tablet.call("GET", f"/api/board/prompts/{name}"))[0] == 404


async def test_a_token_of_yesterday_is_not_shown_among_those_of_today(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, old = await tablet.register()
        token = await tablet.fill(old)
        await tablet.call("POST", "/api/queue/call", {})
        _, waits = await tablet.register()
        second = await tablet.fill(waits)
        assert shown(await board(tablet)) == ([f"{token} ×1"], [second])
        clock = served.node.clinic.clock
        assert clock.correct(clock.now().wall_ms + 24 * 3_600_000)
        served.node.clinic.tablets.push(QueueChanged())
        assert shown(await board(tablet)) == ([], [])
        _, fresh = await tablet.register()
        third = await tablet.fill(fresh)
        assert shown(await board(tablet)) == ([], [third])

"""A lost tablet: said at another one, or a person is removed; its slot opens nothing more, also after a restart."""

import secrets
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from edge.sync import revocation, seal
from tests.node.kit import PIN, Provisioned, Served, Tablet, provisioned


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def log_in(setup: Provisioned, tablet: Tablet) -> tuple[str, str]:
    """(secret of the tablet, name of its slot)."""
    secret = secrets.token_hex(32)
    body = {"staff_id": setup.staff_id, "pin": PIN, "tablet": secret}
    status, reply = await tablet.call("POST", "/api/session", body)
    assert status == 200, reply
    tablet.csrf = str(reply["csrf"])
    return secret, str(reply["day_slot"])


async def test_all_tablets_but_the_asking_one_are_logged_out_and_their_slots_named_as_lost(setup: Provisioned) -> None:
    async with Served(setup) as served:
        mine = served.tablet
        await mine.login(setup)
        _, kept = await log_in(setup, mine)
        lost = Tablet(TestClient(mine.http.server))
        secret, gone = await log_in(setup, lost)
        assert (await lost.call("GET", "/api/queue"))[0] == 200
        status, reply = await mine.call("POST", "/api/tablets/forget-others", {"keep": [kept]})
        assert status == 200, reply
        assert (await lost.call("GET", "/api/queue"))[0] == 401
        assert (await mine.call("GET", "/api/queue"))[0] == 200
        told = await mine.get("/api/status")
        assert (told["day_slots"], told["lost_slots"]) == ([kept], [gone])
        await lost.http.close()
    async with Served(setup) as served:
        body = {"tablet": secret, "age_s": 1.0, "pin": PIN}
        status, refusal = await served.tablet.call("POST", "/api/tablet/unlock", body)
        assert (status, refusal["code"]) == (409, "day_slot_gone")
        assert (await served.tablet.get("/api/status"))["lost_slots"] == [gone], "it may come back days later"


async def test_nobody_who_is_not_logged_in_sends_the_others_away(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        stranger = Tablet(TestClient(served.tablet.http.server))
        assert (await stranger.call("POST", "/api/tablets/forget-others", {"keep": []}))[0] == 401
        assert (await served.tablet.call("GET", "/api/queue"))[0] == 200
        await stranger.http.close()


async def test_the_hub_says_that_a_tablet_is_lost_and_all_are_logged_out_once(setup: Provisioned) -> None:
    def told(number: int, tablets_ms: int) -> bytes:
        machine = revocation.machine_of(seal.verifier_of(setup.config.device))
        content = revocation.Content(0, machine, tablets_ms=tablets_ms)
        return revocation.sign_list(setup.hub.sign, setup.config.node_id, number, 1_790_000_000_000, content)

    async with Served(setup) as served:
        await served.tablet.login(setup)
        secret, gone = await log_in(setup, served.tablet)
        assert await served.node.link.hear_revocations(told(7, 1_790_000_000_000))
        assert (await served.tablet.call("GET", "/api/queue"))[0] == 401
        told_now = await served.tablet.get("/api/status")
        assert (told_now["day_slots"], told_now["lost_slots"]) == ([], [gone])
        again, fresh = await log_in(setup, served.tablet)
        assert await served.node.link.hear_revocations(told(8, 1_790_000_000_000))
        assert (await served.tablet.call("GET", "/api/queue"))[0] == 200, "it was said once"
    async with Served(setup) as served:  # locked: a stick brings it
        assert await served.node.link.hear_revocations(told(9, 1_790_000_100_000))
        for one in (secret, again):
            status, refusal = await served.tablet.call(
                "POST", "/api/tablet/unlock", {"tablet": one, "age_s": 1.0, "pin": PIN}
            )
            assert (status, refusal["code"]) == (409, "day_slot_gone")
        assert (await served.tablet.get("/api/status"))["lost_slots"] == [gone, fresh]

"""The key under which a tablet seals what has not reached the node: one person's, one tablet's, one day's."""

import secrets
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from tests.node.kit import PIN, Provisioned, Served, Tablet, provisioned

PATH = "/api/tablet/draft-key"


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def log_in(setup: Provisioned, tablet: Tablet, secret: str) -> str:
    """The name of the day slot."""
    status, reply = await tablet.call(
        "POST", "/api/session", {"staff_id": setup.staff_id, "pin": PIN, "tablet": secret}
    )
    assert status == 200, reply
    tablet.csrf = str(reply["csrf"])
    return str(reply["day_slot"])


async def test_the_same_tablet_is_given_the_same_key_after_a_restart_and_another_one_another(
    setup: Provisioned,
) -> None:
    one, other = secrets.token_hex(32), secrets.token_hex(32)
    keys = []
    for _ in range(2):
        async with Served(setup) as served:
            await served.tablet.login(setup)
            slot = await log_in(setup, served.tablet, one)
            status, given = await served.tablet.call("POST", PATH, {"tablet": one})
            assert (status, given["slot"]) == (200, slot)
            keys.append(given["key"])
            await log_in(setup, served.tablet, other)
            keys.append((await served.tablet.call("POST", PATH, {"tablet": other}))[1]["key"])
    assert len(bytes.fromhex(str(keys[0]))) == 32
    assert keys[:2] == keys[2:]
    assert keys[0] != keys[1]


async def test_a_lost_tablet_and_one_without_a_slot_are_given_none(setup: Provisioned) -> None:
    secret = secrets.token_hex(32)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        status, refusal = await served.tablet.call("POST", PATH, {"tablet": secret})
        assert (status, refusal["code"]) == (409, "day_slot_gone")
        lost = Tablet(TestClient(served.tablet.http.server))
        await log_in(setup, lost, secret)
        assert (await served.tablet.call("POST", "/api/tablets/forget-others", {"keep": []}))[0] == 200
        assert (await lost.call("POST", PATH, {"tablet": secret}))[0] == 401
        status, refusal = await served.tablet.call("POST", PATH, {"tablet": secret})
        assert (status, refusal["code"]) == (409, "day_slot_gone")
        await lost.http.close()


async def test_nobody_who_is_not_logged_in_is_given_one(setup: Provisioned) -> None:
    secret = secrets.token_hex(32)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await log_in(setup, served.tablet, secret)
        stranger = Tablet(TestClient(served.tablet.http.server))
        assert (await stranger.call("POST", PATH, {"tablet": secret}))[0] == 401
        await stranger.http.close()

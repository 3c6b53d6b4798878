"""The node's API as a tablet uses it: unlock, log in, from registration to token, bad input, locked mode."""

from pathlib import Path

import pytest

from tests.node.kit import Provisioned, Served, provisioned


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def test_a_visit_goes_from_registration_to_its_token_without_any_network(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        patient, visit = await tablet.register()
        token = await tablet.fill(visit)
        assert token.endswith("-001")
        queue = await tablet.get("/api/queue")
        assert queue["items"][0]["visit"]["visit_id"] == visit  # type: ignore[index]
        assert queue["items"][0]["sync"] == "waiting"  # type: ignore[index]
        page = await tablet.get(f"/api/visits/{visit}")
        assert {item["item"] for item in page["sync"]} >= {"consent", "complaints", "vitals", "token"}  # type: ignore[attr-defined]
        found = await tablet.get("/api/patients?q=" + "सुनी")
        assert found["items"][0]["patient_id"] == patient  # type: ignore[index]
        assert (await tablet.get("/api/status"))["link"]["backlog_items"] > 0  # type: ignore[index]

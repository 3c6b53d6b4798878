"""The list of who is due is looked up by its days, also in records that an earlier release has written."""

from pathlib import Path

import pytest

from edge.node.journal import Journal
from tests.node.kit import NAME, Provisioned, Served, provisioned


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def names(served: Served) -> list[str]:
    listed = (await served.tablet.get("/api/due"))["items"]
    assert isinstance(listed, list)
    return [one["name"] for one in listed]


async def test_who_was_sent_on_is_listed_until_the_ending_is_told(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        assert await names(served) == []
        referral = {"to": "phc", "urgency": "today", "reason": ""}
        await tablet.say("refer", visit_id=visit, referral=referral, way="own", given="")
        assert await names(served) == [NAME]

        def forget(journal: Journal) -> None:
            journal.views.expected.clear()
            journal._db.run("DELETE FROM meta WHERE name = 'expected'")

        await served.node.clinic.store.write(forget)
        assert await names(served) == []
    async with Served(setup) as served:
        await served.tablet.login(setup)
        assert await names(served) == [NAME], "found again at the opening"
        await served.node.clinic.store.write(lambda journal: journal.rebuild())
        assert await names(served) == [NAME]
        await served.tablet.say("tell_ending", visit_id=visit, ending="reached", note="")
        assert await names(served) == []

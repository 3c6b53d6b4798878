"""The list of who is due is looked up by its days, also in records that an earlier release has written."""

from pathlib import Path

import msgspec
import pytest

from edge.model import due, fold, records, referral
from edge.model.clock import day_start_ms
from edge.node.database import Database
from edge.node.journal import Journal
from edge.node.views import Views, make_tables
from tests.model import test_due as samples
from tests.node.kit import NAME, Provisioned, Served, provisioned


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def names(served: Served) -> list[str]:
    listed = (await served.tablet.get("/api/due?why=sent_on"))["items"]
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


TODAY = 20_800


def sent_on(number: int, day: int, patient: str) -> fold.Visit:
    made = referral.MadeReferral(day_start_ms(day), "anm1", "phc", "today", "", "own", "")
    at_ms = day_start_ms(day) + number
    return fold.Visit(f"v{number:03d}", patient, at_ms, "anm1", state=records.VisitState.COMPLETED, referrals=(made,))


def test_many_are_counted_by_day_and_shown_a_page_at_a_time_each_once(tmp_path: Path) -> None:
    db = Database(tmp_path / "plain.db")
    make_tables(db)
    views = Views(db)
    days = [TODAY - number % 20 for number in range(60)]
    for number, day in enumerate(days):
        views.put_visit(sent_on(number, day, f"p{number}"), b"")
    why = due.DueWhy.SENT_ON
    counted = views.expected.days(TODAY, why)
    assert counted == [(TODAY - late, 3) for late in range(due.BACK_DAYS, -1, -1)]
    pages = [views.expected.page(TODAY, why, None, skip, 20) for skip in (0, 20, 40, 60)]
    assert [len(page) for page in pages] == [20, 20, 5, 0]
    assert len({visit for page in pages for visit, _ in page}) == 45
    assert views.expected.page(TODAY, why, TODAY - 1, 0, 20) == [("v001", "p1"), ("v021", "p21"), ("v041", "p41")]
    assert views.expected.page(TODAY, why, TODAY - 15, 0, 20) == [], "not on the list any more"
    db.close()


def test_a_later_visit_ends_a_follow_up_and_its_cancelling_brings_it_back(tmp_path: Path) -> None:
    db = Database(tmp_path / "plain.db")
    make_tables(db)
    views = Views(db)
    why = due.DueWhy.FOLLOW_UP
    views.put_visit(samples.visit(TODAY - 5, prescriptions=(samples.prescribed(TODAY - 5, TODAY + 1),)), b"")
    assert views.expected.days(TODAY, why) == [(TODAY + 1, 1)]
    again = samples.visit(TODAY - 1, 2)
    views.put_visit(again, b"")
    assert views.expected.days(TODAY, why) == []
    views.put_visit(msgspec.structs.replace(again, state=records.VisitState.CANCELLED), None)
    assert views.expected.days(TODAY, why) == [(TODAY + 1, 1)]
    db.close()

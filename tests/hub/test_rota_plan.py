"""The plan of the rota on its page: what a change means, that it counts at once, that it can be taken back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.errors import BadInput
from hub.permits import Role
from hub.rota import changes, plan
from hub.rota import store as kept
from hub.rota.hours import Hours
from hub.rota.plan import Closed, Plan, Times
from hub.rota.store import Profile, Sitting

from .kit import PASSWORD, HubKit, Page
from .test_office import post, said
from .test_permits import person
from .test_rota_core import ms
from .test_rota_desk import OpenPage
from .test_together import Pair, nats, pair

__all__ = ["nats", "pair"]

WEEK = tuple(Times(day, "09:00", "16:00") for day in range(6))
DAY_HOURS = [{"weekday": day, "start": "00:00", "end": "24:00"} for day in range(7)]
MINUTE_HOURS = [{"weekday": day, "start": "00:00", "end": "00:01"} for day in range(7)]
PLAN = "/api/rota/plan"


async def put(page: Page, calendar: object, number: int, password: str = PASSWORD) -> tuple[int, Any]:
    return await post(page, PLAN, {"password": password, "number": number, "calendar": calendar}, "PUT")


async def test_a_plan_that_is_saved_counts_at_once_and_is_taken_back_as_it_was(kit: HubKit) -> None:
    page = await person(kit, Role.COORDINATOR)
    found: Any = await page.get(PLAN)
    assert found["number"] == 0
    assert [(one["weekday"], one["start"], one["end"]) for one in found["hours"]] == [
        (day, "09:00", "16:00") for day in range(6)
    ]
    before = kit.hub.rota.is_open()
    wanted = {"hours": MINUTE_HOURS if before else DAY_HOURS, "holidays": []}
    assert (await put(page, wanted, 0, "wrong"))[0] == 401
    status, reply = await put(page, wanted, 0)
    assert (status, reply["number"]) == (200, 1)
    assert kit.hub.rota.is_open() is not before, "no look was waited for"
    assert (await kit.hub.front.hours()).open is not before
    assert {one["kind"] for one in reply["undo"]} == {"hours"}
    assert (reply["history"][0]["by"], reply["history"][0]["calendar"]) == ("Person coordinator", True)
    status, stale = await put(page, {"hours": [], "holidays": []}, 0)
    assert (status, stale["code"]) == (409, "rota_outdated")
    assert (await post(page, f"{PLAN}/undo", {"password": PASSWORD, "number": 0}))[0] == 409
    status, back = await post(page, f"{PLAN}/undo", {"password": PASSWORD, "number": 1})
    assert (status, back["number"], back["hours"]) == (200, 2, found["hours"])
    assert kit.hub.rota.is_open() is before
    status, again = await post(page, f"{PLAN}/undo", {"password": PASSWORD, "number": 2})
    assert (status, again["hours"]) == (200, reply["hours"]), "what was taken back can be taken back"
    assert [action for _, action, _ in await said(kit, "rota_set", "rota_undone", "rota_plan_read")] == [
        *("rota_plan_read", "rota_set", "rota_undone", "rota_undone"),
    ]


async def test_what_one_process_saves_counts_at_once_in_the_one_that_keeps_the_rota(pair: Pair) -> None:
    page = await person(pair.second, Role.COORDINATOR)
    assert not pair.second.hub.front.leads
    before = pair.first.hub.rota.is_open()
    status, _ = await put(page, {"hours": MINUTE_HOURS if before else DAY_HOURS, "holidays": []}, 0)
    assert status == 200
    assert pair.first.hub.rota.is_open() is not before
    assert (await pair.second.hub.front.hours()).open is not before


async def test_nothing_is_taken_back_before_the_first_change(kit: HubKit) -> None:
    page = await person(kit, Role.ADMINISTRATOR)
    assert (await post(page, f"{PLAN}/undo", {"password": PASSWORD, "number": 0}))[0] == 404


async def test_a_doctors_own_hours_end_her_ready_and_others_stay_with_their_districts(kit: HubKit) -> None:
    clerk = await person(kit, Role.ADMINISTRATOR)
    assert (await put(clerk, {"hours": DAY_HOURS, "holidays": []}, 0))[0] == 200
    pages = {}
    for name in ("asha", "ravi"):
        await kit.add_doctor(name)
        pages[name] = await kit.login(name)
        await OpenPage(kit, name).open()
        assert (await post(pages[name], "/api/rota/ready", {"ready": True}, "PUT"))[0] == 200
    own = {"hours": MINUTE_HOURS, "languages": ["hi", "mai"]}
    body = {"password": PASSWORD, "number": 1, "profile": own}
    assert (await post(clerk, "/api/rota/people/nobody", body, "PUT"))[0] == 404
    status, reply = await post(clerk, "/api/rota/people/asha", body, "PUT")
    assert status == 200
    by_id = {one["person_id"]: one for one in reply["doctors"]}
    assert set(by_id) == {"asha", "ravi"}, "who treats nobody is not planned"
    assert by_id["asha"]["profile"]["hours"] == own["hours"]
    assert {one["kind"] for one in reply["undo"]} == {"languages", "person_hours"}
    ends: Any = (await pages["asha"].get("/api/rota"))["ends_ms"]
    others: Any = (await pages["ravi"].get("/api/rota"))["ends_ms"]
    assert kit.clock.ms < ends <= kit.clock.ms + 86_400_000 < others
    assert await said(kit, "rota_person_set") == [("administrator", "rota_person_set", "asha")]
    status, back = await post(clerk, f"{PLAN}/undo", {"password": PASSWORD, "number": 2})
    assert status == 200
    assert next(one for one in back["doctors"] if one["person_id"] == "asha")["profile"] == {}


async def test_what_saving_would_mean_is_said_and_nothing_is_changed_by_asking(kit: HubKit) -> None:
    page = await person(kit, Role.ADMINISTRATOR)
    await kit.enrol()
    wanted = {"hours": DAY_HOURS, "holidays": [{"day": "2027-01-26", "name": "Republic Day"}]}
    status, means = await post(page, f"{PLAN}/meaning", wanted)
    assert status == 200
    assert len([one for one in means["lines"] if one["kind"] == "hours"]) == 7
    assert [one["day"] for one in means["lines"] if one["kind"] == "holiday_added"] == ["2027-01-26"]
    found: Any = await page.get(PLAN)
    assert found["number"] == 0
    overlapping = [{"weekday": 0, "start": "09:00", "end": "12:00"}, {"weekday": 0, "start": "11:00", "end": "13:00"}]
    for wrong in (
        {"hours": [{"weekday": 0, "start": "10:00", "end": "09:00"}]},
        {"hours": overlapping},
        {"hours": [], "holidays": [{"day": "2027-02-30"}]},
    ):
        assert (await post(page, f"{PLAN}/meaning", wrong))[0] == 400
        assert (await put(page, wrong, 0))[0] == 400


def test_a_district_with_hours_of_its_own_is_named_with_what_counts_there() -> None:
    before = Plan(WEEK)
    after = Plan((*WEEK, Times(0, "10:00", "14:00", "Gaya")), (Closed("2027-03-22", "Holi", "होली", "Gaya"),))
    lines = changes.of_calendar(before, after)
    assert [(one.kind, one.district, one.weekday, one.before, one.after) for one in lines[:2]] == [
        (changes.Kind.FOLLOWS, "Gaya", -1, ("all",), ("own",)),
        (changes.Kind.HOURS, "Gaya", 0, ("09:00-16:00",), ("10:00-14:00",)),
    ]
    assert [(one.weekday, one.after) for one in lines[2:7]] == [(day, ()) for day in range(1, 6)]
    assert (lines[7].kind, lines[7].name_hi) == (changes.Kind.HOLIDAY_ADDED, "होली")
    monday = ms("2026-11-23 09:30")
    found = {one.district: (one.open_before, one.open_after) for one in changes.opens(before, after, ("Gaya",), monday)}
    assert found == {"Gaya": (True, False)}


@given(st.lists(st.builds(Times, st.integers(0, 6), st.just("09:00"), st.sampled_from(["10:00", "24:00"]))))
def test_no_line_is_said_exactly_when_the_calendar_stays_the_same(times: list[Times]) -> None:
    try:
        plan.check(Plan(tuple(times)))
    except BadInput:
        return
    lines = changes.of_calendar(Plan(WEEK), Plan(tuple(times)))
    was, now = (
        sorted(map(msgspec.structs.astuple, plan.hours_of(one).shifts)) for one in (Plan(WEEK), Plan(tuple(times)))
    )
    assert (lines == ()) is (was == now)


def test_hours_of_her_own_leave_the_holidays_and_the_calendar_of_others() -> None:
    profile = Profile(hours=(Sitting(0, "18:00", "20:00"),))
    own = Hours().of(profile.own_shifts())
    assert own.is_open(ms("2026-11-23 19:00"), "Gaya")
    assert not own.is_open(ms("2026-11-23 10:00"), "Gaya")
    assert Hours().of(()) == Hours()
    assert kept.doctor_of("a", "A", profile).hours == profile.own_shifts()


def test_the_file_is_checked_as_the_page_is() -> None:
    with pytest.raises(BadInput):
        plan.parse(b'{"hours": [{"weekday": 0, "start": "09:00", "end": "09:00"}]}')

"""Who counts as ready: by a page that is there, within the hours unless she stays, for the districts that she sees."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from edge.model import events as ev
from edge.model.clock import day_of
from hub.rota import plan
from hub.rota import store as kept
from hub.rota.hours import Holiday, Hours, Shift
from hub.store.schema import rota_doctors

from .kit import HubKit, NodeKit, Page
from .test_rota_core import T0, ms
from .test_rota_desk import OpenPage, always_open, ready, waits
from .test_rota_gone import GONE_S, doctor, pass_s

HOUR_S = 3600


async def closes_in(kit: HubKit, seconds: int) -> None:
    """Hours that end so soon, each day anew."""
    here = datetime.fromtimestamp(kit.clock.ms / 1000, UTC) + timedelta(hours=5, minutes=30, seconds=seconds)
    minute = here.hour * 60 + here.minute
    hours = Hours(tuple(Shift(weekday, 0, minute) for weekday in range(7)))
    await kit.hub.store.write(lambda connection: kept.put_hours(connection, hours))
    await kit.hub.rota.reload()


async def is_ready(page: Page) -> bool:
    return bool((await page.get("/api/rota"))["ready"])


def told(node: NodeKit, visit_id: str) -> list[str]:
    return [one.state for one in node.said_by_hub() if isinstance(one, ev.VisitExpected) and one.visit_id == visit_id]


async def test_a_doctor_who_did_not_press_away_keeps_nothing_open_at_night(kit: HubKit) -> None:
    await closes_in(kit, HOUR_S)
    node = await kit.enrol()
    page, laptop = await doctor(kit, "asha")
    await ready(kit, page)
    kit.hub.live.remove(laptop)
    kit.clock.pass_s(2 * HOUR_S)
    visit_id = await waits(node)
    await pass_s(kit, GONE_S + 70)
    await node.until(lambda: told(node, visit_id) == ["closed"])
    assert not kit.hub.rota.is_open()
    await OpenPage(kit, "asha").open()
    kit.clock.pass_s(22 * HOUR_S)
    page = await kit.login("asha")
    await kit.hub.rota.look()
    assert not await is_ready(page), "opening the page in the morning sits nobody"


async def test_the_end_of_the_hours_makes_away_but_for_whoever_says_that_she_stays(kit: HubKit) -> None:
    await closes_in(kit, HOUR_S)
    gets_up, stays = (await doctor(kit, "asha"))[0], (await doctor(kit, "ravi"))[0]
    await ready(kit, gets_up)
    state = await ready(kit, stays)
    ends_ms = int(str(state["ends_ms"]))
    assert 0 < ends_ms - kit.clock.ms <= HOUR_S * 1000
    reply = await stays.call("PUT", "/api/rota/ready", {"ready": True, "stays": True})
    assert (await reply.json())["ends_ms"] == ends_ms + 24 * HOUR_S * 1000
    kit.clock.ms = ends_ms - 1000
    await kit.hub.rota.look()
    assert (await is_ready(gets_up), await is_ready(stays)) == (True, True)
    kit.clock.ms = ends_ms
    await kit.hub.rota.look()
    assert (await is_ready(gets_up), await is_ready(stays)) == (False, True)
    assert kit.hub.rota.is_open()
    by_will = await ready(kit, gets_up)
    assert (by_will["ready"], by_will["ends_ms"]) == (True, ends_ms + 24 * HOUR_S * 1000)


async def test_a_doctor_who_sits_at_night_opens_the_districts_that_she_sees_and_no_other(kit: HubKit) -> None:
    wanted = plan.parse(b'{"hours": [], "doctors": {"asha": {"districts": ["Gaya"]}}}')
    page, _ = await doctor(kit, "asha")
    await kit.hub.store.write(lambda connection: plan.put(connection, wanted, kit.clock.ms))
    await kit.hub.rota.reload()
    await ready(kit, page)
    rota = kit.hub.rota
    assert (rota.is_open("Gaya"), rota.is_open("Sitapur"), rota.is_open()) == (True, False, False)


async def test_who_logs_out_is_not_ready_unless_she_is_logged_in_elsewhere(kit: HubKit) -> None:
    await always_open(kit)
    page, _ = await doctor(kit, "asha")
    other = await kit.login("asha")
    await ready(kit, page)
    assert (await page.call("DELETE", "/api/session")).status in (200, 204)
    assert await is_ready(other)
    assert (await other.call("DELETE", "/api/session")).status in (200, 204)
    assert kit.hub.rota.doctors_here() == []
    since = await kit.hub.store.read(lambda connection: connection.execute(select(rota_doctors.c.ready_ms)).scalar())
    assert since == 0


@pytest.mark.parametrize(
    ("after", "districts", "ends"),
    [
        ("2026-11-26T10:00:00", (), "2026-11-26T16:00:00"),
        ("2026-11-26T20:00:00", (), "2026-11-27T16:00:00"),
        ("2026-11-26T10:00:00", ("Gaya",), "2026-11-26T11:00:00"),  # its own hours: Thursdays from ten to eleven
        ("2026-11-26T10:00:00", ("Gaya", "Saran"), "2026-11-26T16:00:00"),
        ("2026-11-26T10:00:00", ("Patna",), "2026-11-27T16:00:00"),  # a holiday
        ("2026-11-28T20:00:00", ("Saran",), "2026-11-30T16:00:00"),
    ],
)
def test_hours_end_at_the_end_of_a_span_of_all_districts_that_one_sees(
    after: str, districts: tuple[str, ...], ends: str
) -> None:
    hours = Hours((*Hours().shifts, Shift(3, 600, 660, "Gaya")), (Holiday(day_of(T0), "Chhath", "छठ", "Patna"),))
    assert hours.ends_ms(ms(after), districts) == ms(ends)


def test_hours_that_go_on_at_midnight_do_not_end_there_and_a_calendar_without_a_day_has_no_end() -> None:
    always = Hours(tuple(Shift(weekday, 0, 24 * 60) for weekday in range(7)))
    assert always.ends_ms(T0, ()) > T0 + 50 * 86_400_000
    assert Hours(()).ends_ms(T0, ()) == 0
    assert (Hours().sits(T0, ()), Hours().sits(ms("2026-11-26T20:00:00"), ())) == (True, False)

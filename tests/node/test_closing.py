"""Closing the day: register, totals, what waits and why, as JSON, CSV and PDF."""

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.model import events as ev
from edge.model.clock import clock_text, day_of, day_start_ms, day_text
from edge.model.progress import ItemLine, SyncState
from edge.node.views import Views
from edge.sync import bundle
from edge.sync.link import BundleAcked
from edge.sync.log import Stream
from tests.node.kit import NAME, VILLAGE, Provisioned, Served, Tablet, new_id, provisioned
from tests.node.test_link import prescription

MONDAY_MS = 43 * 3600 * 1000
"""From a Saturday's afternoon to the Monday after it."""


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def raw(tablet: Tablet, path: str) -> tuple[str, bytes]:
    async with tablet.http.get(path) as reply:
        assert reply.status == 200
        return reply.content_type, await reply.read()


async def signed(served: Served, setup: Provisioned, visit: str) -> None:
    rx = new_id()
    event = ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx)))
    now = served.node.clinic.clock.now()
    entry = ev.entry_of(event, (now.wall_ms + 1_000) << 16, "dr-1")
    payload = bundle.BundlePayload(1, bytes(8), int(Stream.HUB), 1, (msgspec.msgpack.encode(entry),))
    await served.node.clinic.store.write(
        lambda journal: journal.import_down(payload, {1: ev.PrescriptionStored(visit, rx)}, now)
    )


async def items(tablet: Tablet, path: str, name: str) -> list[dict[str, Any]]:
    found = (await tablet.get(path))[name]
    assert isinstance(found, list)
    return found


async def unfinished(tablet: Tablet) -> set[tuple[str, str]]:
    return {(str(one["visit_id"]), str(one["why"])) for one in await items(tablet, "/api/day", "unfinished")}


async def test_the_register_of_a_day_has_a_row_a_visit_and_says_what_waits_and_why(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        assert (await tablet.get("/api/day"))["rows"] == []
        _, with_paper = await tablet.register()
        token = await tablet.fill(with_paper)
        await signed(served, setup, with_paper)
        _, slip = await tablet.register()
        await tablet.say("move_visit", visit_id=slip, state="cancelled", reason="undone: wrong patient")
        _, begun = await tablet.register()
        await served.node.clinic.seal_now()
        day = await tablet.get("/api/day")
        rows = day["rows"]
        assert isinstance(rows, list) and [row["visit_id"] for row in rows] == [with_paper, begun]
        first = rows[0]
        assert (first["serial"], first["token"], first["name"], first["village"]) == (1, token, NAME, VILLAGE)
        assert (first["age"], first["sex"], first["new"], first["bp"]) == ("34 years", "female", True, "118/76")
        assert first["complaints"] == ["fever"] and first["diagnosis"] and first["doctor"] and first["mode"]
        women = next(one for one in day["totals"] if one["sex"] == "female")  # type: ignore[attr-defined]
        assert (women["bands"], women["all"]) == ([0, 0, 0, 2, 0], 2)
        waits = {(one["visit_id"], one["why"]) for one in day["unfinished"]}  # type: ignore[attr-defined]
        assert waits >= {(with_paper, "not_printed"), (begun, "no_token"), (with_paper, "not_at_hub")}
        assert (slip, "no_token") not in waits
        behind = next(one for one in day["unfinished"] if one["why"] == "not_at_hub")  # type: ignore[attr-defined]
        assert "consent" in behind["items"] and behind["since_ms"] > 0
        await tablet.say("close_visit", visit_id=begun, outcome="completed")
        again = await tablet.get("/api/day")
        assert (begun, "no_token") not in {(one["visit_id"], one["why"]) for one in again["unfinished"]}  # type: ignore[attr-defined]
        assert again["rows"][1]["out_ms"] >= again["rows"][1]["in_ms"]  # type: ignore[index]
        yesterday = day_text(day_of(served.node.clinic.clock.now().wall_ms) - 1)
        assert (await tablet.get(f"/api/day?day={yesterday}"))["rows"] == []
        assert (await tablet.call("GET", "/api/day?day=2026-02-30"))[0] == 400


async def test_a_case_of_saturday_that_is_answered_on_monday_stands_in_the_queue_and_at_closing(
    setup: Provisioned,
) -> None:
    async with Served(setup) as served:
        tablet, clinic = served.tablet, served.node.clinic
        await tablet.login(setup)
        _, case = await tablet.register()
        await tablet.fill(case)
        _, begun = await tablet.register()
        clinic.clock.correct(clinic.clock.now().wall_ms + MONDAY_MS)
        await tablet.login(setup)
        assert [one["visit"]["visit_id"] for one in await items(tablet, "/api/queue", "items")] == [case]
        assert (case, "for_doctor") in await unfinished(tablet)
        await signed(served, setup, case)
        (line,) = await items(tablet, "/api/queue", "items")
        assert (line["visit"]["visit_id"], line["visit"]["state"]) == (case, "rx_ready")
        waits = await unfinished(tablet)
        assert (case, "not_printed") in waits and begun not in {visit for visit, _ in waits}
        board = await tablet.get("/api/board")
        assert board["waiting"] == [], "who is on paper since Saturday does not sit in the room"
        await tablet.say("close_visit", visit_id=case, outcome="completed")
        assert await items(tablet, "/api/queue", "items") == []
        assert (case, "not_printed") not in await unfinished(tablet)


async def test_what_the_hub_lacks_of_many_visits_is_what_it_lacks_of_each(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet, clinic = served.tablet, served.node.clinic
        await tablet.login(setup)
        visits = [(await tablet.register())[1] for _ in range(4)]
        for visit in visits[:3]:
            await tablet.fill(visit)
        await clinic.seal_now()
        refs = [ref for _, ref, _ in await clinic.store.read(lambda views: views.unacknowledged())]
        await clinic.store.acknowledged([BundleAcked(ref, 1) for ref in refs], clinic.clock.now().wall_ms)
        for visit in visits[1:3]:
            await tablet.say("close_visit", visit_id=visit, outcome="completed")
        await clinic.seal_now()
        await tablet.fill(visits[3])
        sent = frozenset(ref for _, ref, _ in await clinic.store.read(lambda views: views.unacknowledged()))

        def both(views: Views) -> tuple[dict[str, list[ItemLine]], dict[str, list[ItemLine]]]:
            found = [visit for name in visits if (visit := views.visit(name)) is not None]
            return views.lines_behind(found, sent), {one.visit_id: views.lines(one, sent)[0] for one in found}

        at_once, each = await clinic.store.read(both)
        assert list(at_once) and visits[0] not in at_once
        assert at_once == {name: lines for name, lines in each.items() if name != visits[0]}
        assert {line.state for line in at_once[visits[1]]} == {SyncState.HUB_HAS_IT, SyncState.SENT}
        assert SyncState.WAITING in {line.state for line in at_once[visits[3]]}


async def test_the_register_is_given_as_csv_without_formulas_and_as_a_page_to_print(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, empty_pdf = await raw(tablet, "/api/day/register.pdf")
        _, visit = await tablet.register()
        token = await tablet.fill(visit)
        evil = new_id()
        person = {"name": "=HYPERLINK(A1)", "gender": "other", "village": '@village, "x"', "age": {"value": 3}}
        await tablet.say("register_patient", patient_id=evil, person=person)
        await tablet.say("open_visit", visit_id=new_id(), patient_id=evil)
        kind, body = await raw(tablet, "/api/day/register.csv")
        assert kind == "text/csv"
        head, one, two = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))
        assert head[:2] == ["serial", "token"] and len(head) == len(one) == len(two) == 23
        assert one[1] == token and one[4] == NAME and one[22] == "Asha Devi"
        assert two[4] == "'=HYPERLINK(A1)" and two[7] == '\'@village, "x"'
        kind, pdf = await raw(tablet, "/api/day/register.pdf")
        assert kind == "application/pdf" and pdf.startswith(b"%PDF") and len(pdf) > len(empty_pdf)


def test_the_clock_of_india_makes_days_and_hours() -> None:
    day = day_of(1_795_500_000_000)
    assert day_of(day_start_ms(day)) == day and day_of(day_start_ms(day) - 1) == day - 1
    assert clock_text(day_start_ms(day) + 9 * 3_600_000 + 5 * 60_000) == "09:05"
    assert clock_text(0) == ""
    assert day_text(0) == "1970-01-01"

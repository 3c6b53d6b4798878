"""The monthly report over HTTP: the same figures on the screen, in the spreadsheet and on paper."""

import asyncio
import csv
import io
from functools import partial
from pathlib import Path

import pytest

from edge.model import events as ev
from edge.model.clock import day_of, day_text
from edge.model.errors import BadInput
from edge.model.month import HMIS
from edge.node.journal import Journal
from edge.node.month import days_of
from edge.slips.month import labels
from edge.sync.link import BundleAcked
from tests.node.hubside import HubSide
from tests.node.kit import NAME, Provisioned, Served, Tablet, provisioned
from tests.node.test_closing import raw, signed
from tests.node.test_link import at_hub, until
from tests.node.test_sending import text_of


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def test_a_month_ends_where_the_next_begins() -> None:
    assert [day_text(one) for one in days_of("2026-12")] == ["2026-12-01", "2027-01-01"]
    assert [day_text(one) for one in days_of("2028-02")] == ["2028-02-01", "2028-03-01"]
    with pytest.raises(BadInput):
        days_of("9999-12")


def test_every_line_has_its_words_in_both_languages() -> None:
    words = labels()
    assert set(HMIS) <= words.lines.keys()
    assert all(hindi and english.isascii() for code, (hindi, english) in words.lines.items() if code != "1.2.1")


async def test_the_months_report_is_the_same_on_screen_in_the_spreadsheet_and_on_paper(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        await signed(served, setup, visit)
        this = day_text(day_of(served.node.clinic.clock.now().wall_ms))[:7]
        page = await tablet.get("/api/month")
        assert page["month"] == this and len(page["notes"]) >= 2  # type: ignore[arg-type]
        shown = {
            line["name"][1]: line["value"]
            for section in page["sections"]  # type: ignore[attr-defined]
            for line in section["lines"]
        }
        assert (shown["Visits"], shown["New patients"], shown["Answered by a doctor"]) == ("1", "1", "1")
        assert shown["ANC registered"] == "" and shown["Pregnant women with BP above 140/90"] == "0"
        whys = {line["name"][1]: line["why"][1] for section in page["sections"] for line in section["lines"]}  # type: ignore[attr-defined]
        assert whys["Visits"] == "" and "register" in whys["ANC registered"]
        assert shown["Prescriptions stopped by the drug rules"] == "0", "no doctor opened a record"
        delay = "Median delay until the hub had it (min)"
        assert shown[delay] != "", "what waits counts until now"
        kind, body = await raw(tablet, f"/api/month/report.csv?month={this}")
        table = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
        assert kind == "text/csv" and NAME not in body.decode("utf-8-sig")
        moves_on = {delay: shown[delay]}  # what waits grows between two looks
        assert {row["line"]: row["value"] for row in table if row["line"]} | moves_on == shown
        assert {row["code"]: row["value"] for row in table if row["section"] == "sex_age"}["female:30-59"] == "1"
        kind, pdf = await raw(tablet, "/api/month/report.pdf")
        text, pages = await asyncio.to_thread(text_of, pdf)
        assert kind == "application/pdf" and pages <= 2
        assert all(english in text.replace("\r\n", " ").replace("\n", " ") for english in shown)
        empty = await tablet.get("/api/month?month=2020-02")
        assert empty["sections"][0]["lines"][0]["value"] == "0"  # type: ignore[index]
        assert (await tablet.call("GET", "/api/month?month=2026-13"))[0] == 400


async def test_the_delay_to_the_hub_counts_from_the_entry_to_its_first_acknowledgement(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet, store = served.tablet, served.node.clinic.store
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        await served.node.clinic.seal_now()
        now_ms = served.node.clinic.clock.now().wall_ms
        span = now_ms - 3_600_000, now_ms + 3_600_000
        refs = [ref for _, ref, _ in await store.read(lambda views: views.unacknowledged())]
        waiting = await store.read(lambda views: views.lags_ms(*span, now_ms + 600_000))
        assert waiting and min(waiting) > 540_000
        for level, at_ms in ((1, now_ms + 120_000), (2, now_ms + 900_000)):
            words = [BundleAcked(ref, level, False) for ref in refs]
            await store.write(partial(Journal.acknowledged, words=words, at_ms=at_ms))
        lags = await store.read(lambda views: views.lags_ms(*span, now_ms + 999_000))
        assert sorted(lags) == sorted(one - 480_000 for one in waiting), "a second copy is no delay"
        assert await store.read(lambda views: views.lags_ms(span[1], span[1] + 1, now_ms)) == []


async def test_what_the_rules_stopped_at_the_hub_is_in_the_months_report_and_a_rebuild_finds_the_same(
    setup: Provisioned,
) -> None:
    stopped = "Prescriptions stopped by the drug rules"

    async def line(tablet: Tablet) -> tuple[str, str, str]:
        page = await tablet.get("/api/month")
        lines = {one["name"][1]: one for part in page["sections"] for one in part["lines"]}  # type: ignore[attr-defined]
        return lines[stopped]["value"], lines[stopped]["why"][1], lines[stopped]["since"][1]

    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, older = await tablet.register()
        hub.say(ev.VisitSeen(older, "dr-1"))

        async def silent() -> bool:
            return await line(tablet) == ("", "the hub did not tell it in this month", "")

        await until(silent)
        _, visit = await tablet.register()
        hub.say(ev.VisitSeen(visit, "dr-1", tells_denials=True))
        hub.say(*(ev.SigningDenied(visit, one) for one in (("prohibited",), ("list_a_needs_video", "unknown_drug"))))
        today = day_text(day_of(served.node.clinic.clock.now().wall_ms))

        async def told() -> bool:
            return await line(tablet) == ("2", "", f"counted since {today}")

        await until(told)
        await served.node.clinic.store.write(Journal.rebuild)
        assert await line(tablet) == ("2", "", f"counted since {today}")
        _, pdf = await raw(tablet, "/api/month/report.pdf")
        text, _ = await asyncio.to_thread(text_of, pdf)
        assert f"counted since {today}" in text.replace("\r\n", " ").replace("\n", " ")

"""Sending a patient on when no doctor answers: the slip, the numbers to ring, and how it ended."""

import asyncio
from pathlib import Path

import pypdfium2
import pytest

from edge.model.events import GrievanceNamed, OnCallNumber, OnCallPublished
from edge.node import on_call
from edge.node.printing.port import Printer
from edge.slips.referral import referral_page, render_referral
from tests.kits.printer import PrinterOnPty, ThermalPrinter
from tests.node.kit import COMPLAINT, MOBILE, NAME, Provisioned, Served, provisioned
from tests.node.test_printing import ended


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def text_of(pdf: bytes) -> tuple[str, int]:
    """What a PDF says, and on how many pages."""
    pages = list(pypdfium2.PdfDocument(pdf))
    return "\n".join(page.get_textpage().get_text_range() for page in pages), len(pages)


REFERRAL = {"to": "chc", "urgency": "now", "reason": "SpO2 low"}


async def test_a_red_patient_without_a_doctor_is_sent_on_with_a_slip_and_the_loop_is_closed(setup: Provisioned) -> None:
    printer = ThermalPrinter(58)
    with PrinterOnPty(printer) as there:
        async with Served(setup, printer=Printer(58, there.path)) as served:
            tablet = served.tablet
            await tablet.login(setup)
            _, visit = await tablet.register()
            await tablet.say("record_complaints", visit_id=visit, complaints=[{"code": "other", "text": COMPLAINT}])
            await tablet.say("raise_triage", visit_id=visit, colour="red", reason="emergency button")
            assert (await tablet.call("GET", f"/api/visits/{visit}/referral.pdf"))[0] == 404
            wrong = {"visit_id": visit, "referral": {**REFERRAL, "to": " "}, "way": "108"}
            status, refused = await tablet.command("refer", **wrong)
            assert (status, refused["code"]) == (400, "referral_place")
            said = await tablet.say("refer", visit_id=visit, referral=REFERRAL, way="108", given="oxygen\nleft side")
            made = said["visit"]["referrals"]  # type: ignore[index]
            assert [(one["to"], one["way"], one["by"]) for one in made] == [("chc", "108", setup.staff_id)]
            async with tablet.http.get(f"/api/visits/{visit}/referral.pdf") as reply:
                assert reply.status == 200
                body = await reply.read()
            text, pages = await asyncio.to_thread(text_of, body)
            assert pages == 1
            for word in ("RED", "CHC", "108", "SpO2 low", "oxygen", "left side", MOBILE, COMPLAINT, "not measured"):
                assert word in text, word
            assert (await tablet.call("POST", f"/api/visits/{visit}/referral/print"))[1]["kind"] == "referral"
            assert [one["state"] for one in await ended(served)] == ["printed"]
            assert any(any(row) for row in printer.paper.pieces[0])
            await tablet.say("close_visit", visit_id=visit, outcome="referred")
            await tablet.say("tell_ending", visit_id=visit, ending="not_heard")
            ending = (await tablet.say("tell_ending", visit_id=visit, ending="reached", note="by telephone"))["visit"]
            assert ending["ending"]["ending"] == "reached" and ending["state"] == "referred"  # type: ignore[index]
            assert (await tablet.command("refer", visit_id=visit, referral=REFERRAL, way="own"))[0] == 409
            row = (await tablet.get("/api/day"))["rows"][0]  # type: ignore[index]
            assert row["referred_to"] == "chc"


async def test_a_long_story_stays_on_one_sheet_and_no_letter_is_lost(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        patient, visit = await tablet.register()
        await tablet.fill(visit)
        reason, given = "कारण " * 30, "\n".join(f"दवा {number} दी" for number in range(12))
        to = {"to": "सदर अस्पताल, बिहारशरीफ़", "urgency": "today", "reason": reason.strip()[:160]}
        await tablet.say("refer", visit_id=visit, referral=to, way="own", given=given)
        clinic = served.node.clinic
        found = await clinic.visit(visit)
        known = await clinic.store.read(lambda views: views.patient(patient))
        assert known is not None
        facts = (found, known, found.referrals[0], "उप-स्वास्थ्य केंद्र", "आशा देवी")
        page = await asyncio.to_thread(lambda: referral_page(*facts, demo=True, sure=False))
        assert page.to[0] == to["to"] and page.name == NAME and "date not sure" in page.when
        vitals = next(part.lines for part in page.parts if part.head[1] == "Measured")
        assert any("118" in line for line in vitals) and any("97" in line for line in vitals)
        text, pages = await asyncio.to_thread(lambda: text_of(render_referral(page)))
        assert pages == 1 and "\ufffd" not in text


async def test_the_numbers_to_ring_are_there_while_the_node_is_locked_and_kept_by_who_is_logged_in(
    setup: Provisioned,
) -> None:
    numbers = {"items": [{"name": "पीएचसी ड्यूटी डॉक्टर", "phone": "+91 612 2345678"}]}
    async with Served(setup) as served:
        tablet = served.tablet
        assert await tablet.get("/api/on-call") == {"items": [], "from_hub": [], "grievance": ""}
        assert (await tablet.call("PUT", "/api/on-call", numbers))[0] in (401, 423)
        await tablet.login(setup)
        wrong = {"items": [{"name": "PHC", "phone": "call me"}]}
        assert (await tablet.call("PUT", "/api/on-call", wrong))[0] == 400
        assert (await tablet.call("PUT", "/api/on-call", numbers))[0] == 200
    said = OnCallPublished((OnCallNumber("District control room", "5550100"),))
    await asyncio.to_thread(on_call.hear, setup.folder, said)
    async with Served(setup) as locked:
        assert (await locked.tablet.get("/api/status"))["locked"] is True
        assert not (await locked.tablet.get("/api/on-call"))["grievance"]
        await asyncio.to_thread(on_call.hear_grievance, setup.folder, GrievanceNamed("श्रीमती क. राव", "+91 522 555"))
        both = {
            **numbers,
            "grievance": "श्रीमती क. राव, +91 522 555",
            "from_hub": [{"name": "District control room", "phone": "5550100"}],
        }
        assert await locked.tablet.get("/api/on-call") == both
    await asyncio.to_thread((setup.folder / on_call.GRIEVANCE_FILE).write_text, "{broken")
    assert await asyncio.to_thread(on_call.grievance, setup.folder) == ""
    await asyncio.to_thread((setup.folder / on_call.FILE).write_text, "{broken")
    assert await asyncio.to_thread(on_call.load, setup.folder) == on_call.OnCallList()

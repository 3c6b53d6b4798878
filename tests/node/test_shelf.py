"""The node's shelf, handing out, in-person records, and slips that were replaced."""

from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.model.month import Month
from edge.node.journal import Journal
from edge.node.month import load_month
from edge.slips.qr import qr_text
from edge.sync import bundle
from edge.sync.log import Stream
from tests.node.kit import Provisioned, Served, new_id, provisioned
from tests.node.test_link import prescription


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def arrives(served: Served, *events: ev.Event, first: int = 1) -> None:
    """The hub says these, later than all that the node has said."""
    clinic = served.node.clinic
    now = clinic.clock.now()
    raws = tuple(
        msgspec.msgpack.encode(ev.entry_of(event, (now.wall_ms + 1_000 * (first + number)) << 16, "dr-1"))
        for number, event in enumerate(events)
    )
    payload = bundle.BundlePayload(1, bytes(8), int(Stream.HUB), first, raws)
    await clinic.store.write(lambda journal: journal.import_down(payload, {}, now))


async def test_the_book_of_the_shelf_follows_counts_deliveries_and_what_was_handed_out(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        await tablet.say("receive_stock", drug_id="F001", units=500, batch="B7", expires="2028-03")
        await tablet.say("count_stock", drug_id="F001", units=240)
        await tablet.say("receive_stock", drug_id="F001", units=60)
        assert (await tablet.command("count_stock", drug_id="F999", units=1))[0] == 400
        level = {"drug_id": "F001", "units": 300}
        found = (await tablet.get("/api/stock"))["items"]
        assert [{key: one[key] for key in level} for one in found] == [level]  # type: ignore[attr-defined]
        before = found
        await served.node.clinic.store.write(Journal.rebuild)
        assert (await tablet.get("/api/stock"))["items"] == before


async def test_only_what_stands_on_a_prescription_that_stands_is_handed_out(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        old, new = new_id(), new_id()
        first = prescription(setup, visit, old)
        await arrives(served, ev.PrescriptionSigned(visit, old, msgspec.msgpack.encode(first)))
        ask = {"visit_id": visit, "prescription_id": old, "units": 9}
        assert (await tablet.command("dispense", drug_id="F001", **ask))[0] == 409
        await tablet.say("dispense", drug_id="paracetamol-500", **ask)
        status, body = await tablet.command("dispense", drug_id="paracetamol-500", given_before=0, **ask)
        assert (status, body["code"]) == (409, "given_meanwhile"), "two tablets at once: the second has to look first"
        await tablet.say("dispense", drug_id="paracetamol-500", given_before=9, **ask)
        checked = await tablet.call("POST", "/api/check-slip", {"qr": qr_text(first)})
        assert (checked[0], checked[1]["stands"]["standing"]) == (200, "valid")  # type: ignore[index]
        await tablet.say("close_visit", visit_id=visit, outcome="completed", explained=True)
        second = prescription(setup, visit, new, replaces=old)
        await arrives(served, ev.PrescriptionSigned(visit, new, msgspec.msgpack.encode(second), old), first=2)
        status, body = await tablet.command("dispense", drug_id="paracetamol-500", **ask)
        assert (status, body["code"]) == (409, "prescription_replaced")
        _, checked_old = await tablet.call("POST", "/api/check-slip", {"qr": qr_text(first)})
        assert checked_old["stands"]["standing"] == "replaced" and checked_old["stands"]["by"] == new  # type: ignore[index]
        page = await tablet.get(f"/api/visits/{visit}/prescriptions/{old}")
        assert page["stands"]["standing"] == "replaced"  # type: ignore[index]
        record = await tablet.get(f"/api/visits/{visit}")
        assert record["visit"]["state"] == "rx_ready"  # type: ignore[index]


async def test_slips_are_taken_back_from_any_tablet_and_a_rebuild_says_the_same(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        rx = new_id()
        await arrives(served, ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx))))
        line = {"prescription_id": rx, "drug_id": "paracetamol-500"}
        await tablet.say("refer", visit_id=visit, referral={"to": "phc", "urgency": "now", "reason": ""}, way="108")
        for units in (9, 3):
            given = await tablet.say("dispense", visit_id=visit, units=units, **line)
        await tablet.say("close_visit", visit_id=visit, outcome="referred")
        now = given["visit"]
        assert isinstance(now, dict)
        slip, sent = now["handed_out"][0], now["referrals"][0]
        for ask, fields in (
            ("take_back_hand_out", {**line, "given_ms": slip["at_ms"], "given_count": slip["at_count"]}),
            ("take_back_closing", {}),
            ("take_back_referral", {"made_ms": sent["at_ms"], "made_count": sent["at_count"]}),
        ):
            await tablet.say(ask, visit_id=visit, **fields)
            status, body = await tablet.command(ask, visit_id=visit, **fields)
            assert (status, body["code"]) == (400, "nothing_to_undo"), "another tablet's second try"

        async def shown() -> list[object]:
            day, month = await tablet.get("/api/day"), await load_month(served.node.clinic, "")
            record = (await tablet.get(f"/api/visits/{visit}"))["visit"]
            return [record, day["rows"], month.figures, (await tablet.get("/api/stock"))["items"]]

        before = await shown()
        record, rows, found, shelf = before
        assert isinstance(record, dict) and isinstance(rows, list) and isinstance(shelf, list)
        assert isinstance(found, Month)
        assert [one["units"] for one in record["handed_out"]] == [3]
        assert (record["state"], record["closed_ms"], record["referrals"]) == ("rx_ready", 0, [])
        assert (len(rows[0]["given"]), rows[0]["referred_to"], rows[0]["out_ms"]) == (1, "", 0)
        assert [(one["drug_id"], one["units"]) for one in shelf] == [("paracetamol-500", -3)]
        figures = {one.code: one.value for one in (*found.opd, *found.tele)}
        assert (figures["handed_out"], figures["referred"]) == (1, 0)
        await served.node.clinic.store.write(Journal.rebuild)
        assert await shown() == before


async def test_the_nurse_records_who_saw_the_patient_in_person(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await arrives(served, ev.VisitAssigned(visit, "dr-1", "Dr Meera Iyer"))
        assert (await tablet.get("/api/doctors"))["items"] == [{"doctor_id": "dr-1", "name": "Dr Meera Iyer"}]
        ask = {"visit_id": visit, "doctor_id": "dr-1"}
        status, body = await tablet.command("record_in_person", held_on="2099-01-01", **ask)
        assert (status, body["code"]) == (400, "in_person_day")
        status, body = await tablet.command("record_in_person", held_on="2024-01-05", **ask)
        assert (status, body["code"]) == (400, "in_person_paper")
        await tablet.say("record_in_person", held_on="2024-01-05", paper_seen=True, **ask)
        record = await tablet.get(f"/api/visits/{visit}")
        seen = record["visit"]["in_person"]  # type: ignore[index]
        assert [(one["doctor_id"], one["said_by"]) for one in seen] == [("dr-1", "paper")]

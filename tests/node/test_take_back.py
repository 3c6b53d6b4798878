"""Own entries that come back newest first: the chain, the visits and the shelf are what they were."""

import asyncio
import secrets
from pathlib import Path

import msgspec

from edge.model import events as ev
from edge.model.clock import Instant, next_stamp
from edge.model.records import Role
from edge.node import provision
from edge.node.journal import Journal, Secrets
from edge.node.unlock import Slots
from edge.sync.bundle import BundlePayload
from edge.sync.log import Stream
from tests.node.kit import Served, new_id, provisioned

Rows = list[tuple[int, bytes, bytes, bytes]]
SQL = "SELECT seq, raw, c, h FROM entries WHERE run = ? AND stream = ? ORDER BY seq"


async def test_pieces_that_come_back_newest_first_end_in_the_same_chain(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    async with Served(setup) as served:
        await served.tablet.login(setup)
        visits = []
        for _ in range(3):
            _, visit = await served.tablet.register()
            await served.tablet.fill(visit)
            visits.append(visit)
        run = served.node.clinic.run
        await served.node.clinic.record(ev.StockCounted("F001", 90), ev.StockReceived("F001", 10))
        await served.node.clinic.record(ev.StaffListed("mina-1", "Mina", "मीना", Role.ANM, bytes(16)))
        pages = [await served.node.clinic.visit(visit) for visit in visits]
        before: Rows = await served.node.clinic.store.write(
            lambda journal: list(journal._db.rows(SQL, run, int(Stream.CLINICAL)))
        )
    other = tmp_path / "other"
    other.mkdir(0o700)
    keys = Secrets(secrets.token_bytes(32), secrets.token_bytes(32))
    recovery = await provision.make_store(other, setup.config, keys)
    at = Instant(pages[-1].changed_stamp >> 16, True)

    def restore(journal: Journal) -> None:
        answers: list[ev.Event] = []
        for first in range(len(before) - len(before) % 4, -1, -4):
            raws = tuple(raw for _, raw, _, _ in before[first : first + 4])
            if raws:
                payload = BundlePayload(2, run, int(Stream.CLINICAL), first + 1, raws)
                answers += journal.import_down(payload, {}, at).answers
        assert not answers
        assert journal._db.rows(SQL, run, int(Stream.CLINICAL)) == before
        assert [journal.views.visit(visit) for visit in visits] == pages
        assert [(one.drug_id, one.units) for one in journal.views.stock_levels()] == [("F001", 100)]
        assert [(one.name, one.has_pin) for one in journal.views.staff()] == [("Mina", False)]

    dmk = await provision._open(other, Slots(other), (recovery, ""))
    await asyncio.to_thread(provision._with_records, other, setup.config, dmk, restore)


async def test_a_prescription_that_comes_before_its_visit_is_answered_when_the_visit_is_there(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    visit, patient, prescription = new_id(), new_id(), new_id()
    stamp = next_stamp(0, 1_790_000_000_000)
    opened = ev.VisitOpened(visit, patient, bytes(range(16)))
    signed = ev.PrescriptionSigned(visit, prescription, b"signed")
    stored = ev.PrescriptionStored(visit, prescription)
    at, theirs, mine = Instant(1_790_000_001_000, True), secrets.token_bytes(8), secrets.token_bytes(8)
    dmk = await provision._open(setup.folder, Slots(setup.folder), (setup.recovery, ""))

    def act(journal: Journal) -> None:
        raw = msgspec.msgpack.encode(ev.entry_of(signed, stamp + 1, "anil"))
        early = journal.import_down(BundlePayload(1, theirs, int(Stream.HUB), 1, (raw,)), {1: stored}, at)
        assert not early.answers
        raw = msgspec.msgpack.encode(ev.entry_of(opened, stamp, "asha"))
        later = journal.import_down(BundlePayload(2, mine, int(Stream.CLINICAL), 1, (raw,)), {}, at)
        assert later.answers == (stored,)
        assert later.visits == {visit}
        found = journal.views.visit(visit)
        assert found is not None
        assert found.prescriptions[0].stored_ms > 0
        again = journal.import_down(BundlePayload(2, mine, int(Stream.CLINICAL), 1, (raw,)), {}, at)
        assert not again.answers

    await asyncio.to_thread(provision._with_records, setup.folder, setup.config, dmk, act)

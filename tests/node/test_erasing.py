"""What the hub says was erased by law goes at the node too, and does not come back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.model import events as ev
from edge.node import erasing
from edge.node.journal import Journal
from edge.node.views import Views
from edge.sync.erased import name_of
from edge.sync.log import NO_SALT, Chain, Position, Stream, commitment
from tests.node.hubside import HubSide
from tests.node.kit import COMPLAINT, MOBILE, NAME, VILLAGE, Provisioned, Served, new_id, provisioned
from tests.node.test_link import at_hub, until

MARKS = (NAME, COMPLAINT, MOBILE, VILLAGE)


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def with_marker(journal: Journal) -> set[str]:
    """Tables of the open records in which a row names the patient or what she said."""
    db = journal._db
    found = set()
    for (table,) in db.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in db.rows(f'SELECT * FROM "{table}"'):  # noqa: S608
            held = b"\0".join(one if isinstance(one, bytes) else str(one).encode() for one in row)
            if any(mark.encode() in held for mark in MARKS):
                found.add(table)
    return found


def broken(journal: Journal, node_id: bytes) -> list[tuple[bytes, int, int]]:
    """Places whose hash does not follow from the one before."""
    rows = journal._db.rows("SELECT run, stream, seq, raw, c, h, kind FROM entries ORDER BY run, stream, seq")
    chains: dict[tuple[bytes, int], Chain] = {}
    wrong = []
    for run, stream, seq, raw, c, h, kind in rows:
        chain = chains.setdefault((run, stream), Chain(node_id, run, Stream(stream)))
        place: Position = chain.append_commitment(c)
        good = place.seq == seq and place.head == h
        if raw and kind == 1:
            good = good and commitment(raw, NO_SALT, Stream(stream), seq) == c
        if not good:
            wrong.append((run, stream, seq))
    return wrong


async def test_nothing_of_an_erased_patient_is_left_and_the_logs_hold(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        clinic, link = served.node.clinic, served.node.link
        await served.tablet.login(setup)
        patient, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        await served.tablet.call("PUT", f"/api/drafts/visit:{visit}", {"body": f'"{NAME}"', "revision": 1})
        assert {"entries", "patients", "visits", "commands", "found_by"} <= await clinic.store.write(with_marker)
        hub.say(ev.VisitAssigned(visit, "dr-1", NAME), ev.DoctorNote(visit, "dr-1", COMPLAINT))
        await until(lambda: in_table(served, "hub_entries"))
        names = (name_of(visit), name_of(patient))
        hub.answers = False  # what is said from here on is at the node alone
        await served.tablet.say("close_visit", visit_id=visit, outcome="cancelled")
        await clinic.seal_now()
        hub.say(ev.RecordsErased(names))
        await until(lambda: taken(served))
        assert await clinic.store.write(with_marker), "the hub has not acknowledged all of it: nothing goes"
        hub.answers = True
        for name in list(link._submitted):
            hub.endpoint.bundle_stored(setup.record.node_id, name)
        hub.wake()
        await until(lambda: no_marker(served))
        assert await clinic.store.write(lambda journal: broken(journal, clinic.config.node_id)) == []
        assert await clinic.store.write(_said) == 1, "what is given back to the hub is packed: it went as a whole"
        assert await clinic.store.read(lambda views: views.visit(visit)) is None
        assert await clinic.store.read(Views.count_patients) == 1, "her number is given to nobody else"
        await until(lambda: told(hub, names))
        assert await clinic.store.write(Journal.rebuild) == 0
        assert await no_marker(served)
        late = hub.say(ev.DoctorNote(visit, "dr-1", COMPLAINT))
        await until(lambda: heard(hub, late))
        await until(lambda: no_marker(served))
        assert hub.conflicts == 0


async def test_a_patient_who_came_again_meanwhile_stays_as_long_as_her_visit_does(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        clinic, link = served.node.clinic, served.node.link
        await served.tablet.login(setup)
        patient, before = await served.tablet.register()
        await served.tablet.say("close_visit", visit_id=before, outcome="cancelled")
        await clinic.seal_now()
        await until(lambda: nothing_waits(served))
        hub.answers = False  # the hub erases her, and does not know that she is here again
        hers = await clinic.store.read(lambda views: views.patient(patient))
        again = new_id()
        await served.tablet.say("open_visit", visit_id=again, patient_id=patient)
        hub.say(ev.RecordsErased((name_of(before), name_of(patient))))
        await until(lambda: gone(served, before))
        token = await served.tablet.fill(again)
        items = (await served.tablet.get("/api/queue"))["items"]
        assert [one["visit"]["token"] for one in items] == [token]  # type: ignore[attr-defined]
        hub.answers = True
        for name in list(link._submitted):
            hub.endpoint.bundle_stored(setup.record.node_id, name)
        hub.wake()
        await until(lambda: told(hub, (name_of(before),)))
        assert not await told(hub, (name_of(patient),)), "nobody may believe that her name is gone"
        await until(lambda: named(hub, patient, 2))
        assert await clinic.store.read(lambda views: views.patient(patient)) == hers, "here she is who she was"
        assert await clinic.store.read(lambda views: views.patient(patient)) is not None
        assert not await clinic.store.write(is_due), "the log is not read again for each acknowledgement"
        await served.tablet.say("close_visit", visit_id=again, outcome="cancelled")
        await clinic.seal_now()
        hub.say(ev.RecordsErased((name_of(again),)))
        await until(lambda: no_marker(served))
        await until(lambda: told(hub, (name_of(again), name_of(patient))))
        assert await named(hub, patient, 2), "said once"


async def test_an_erasing_that_fails_holds_up_no_acknowledgement(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        clinic, link = served.node.clinic, served.node.link
        await served.tablet.login(setup)
        patient, visit = await served.tablet.register()
        await served.tablet.say("close_visit", visit_id=visit, outcome="cancelled")
        await clinic.seal_now()
        await until(lambda: nothing_waits(served))
        refuse = "CREATE TRIGGER refusing BEFORE DELETE ON visits BEGIN SELECT RAISE(ABORT, 'no room'); END"
        await clinic.store.write(lambda journal: journal._db.run(refuse))
        hub.say(ev.RecordsErased((name_of(visit), name_of(patient))))
        await until(lambda: taken(served))
        await served.tablet.register()
        await clinic.seal_now()
        await until(lambda: nothing_waits(served))
        assert not link.words.left and not link._submitted, "each acknowledgement is taken in at once"
        assert not await gone(served, visit)
        await clinic.store.write(lambda journal: journal._db.run("DROP TRIGGER refusing"))
        await served.tablet.register()
        await clinic.seal_now()
        await until(lambda: told(hub, (name_of(visit), name_of(patient))))


async def test_a_long_log_is_looked_through_in_pieces_and_what_comes_between_two_of_them_counts(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VISITS_AT_ONCE", "ENTRIES_AT_ONCE", "REPLIES_AT_ONCE"):
        monkeypatch.setattr(erasing, name, 2)
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        clinic = served.node.clinic
        await served.tablet.login(setup)
        erased = [await served.tablet.register() for _ in range(3)]
        for _, visit in erased:
            await served.tablet.say("close_visit", visit_id=visit, outcome="cancelled")
        kept, kept_visit = await served.tablet.register()
        await clinic.seal_now()
        await until(lambda: nothing_waits(served))
        ids = [name for pair in erased for name in pair]
        now = clinic.clock.now()

        def begin(journal: Journal) -> Iterator[None]:
            journal.erasing.hear(ev.RecordsErased(tuple(name_of(one) for one in ids)))
            return erasing.sweep(journal, now)

        pieces = await clinic.store.write(begin)
        hub.answers = False
        again, amended, late = new_id(), False, erased[2][1]
        steps = 0
        while await clinic.store.write(lambda _: next(pieces, pieces)) is None:
            steps += 1
            if steps == 1:  # the first of them comes in meanwhile; something of the third comes back from the hub
                await served.tablet.say("open_visit", visit_id=again, patient_id=erased[0][0])
            if await gone(served, late) and not amended:
                amended = True
                await clinic.store.write(lambda journal: journal.erasing.reopen({late}))
        entries = await clinic.store.write(lambda journal: journal._db.row("SELECT max(rowid) FROM entries"))
        assert entries is not None and steps > entries[0] / 2
        assert await clinic.store.read(lambda views: views.patient(erased[0][0])) is not None, "she is here"
        assert await clinic.store.read(lambda views: views.patient(erased[1][0])) is None
        assert await clinic.store.read(lambda views: views.visit(kept_visit)) is not None
        assert await clinic.store.read(lambda views: views.patient(kept)) is not None
        done = await clinic.store.write(lambda journal: journal._db.rows("SELECT name FROM erased WHERE done = 1"))
        waits = {name_of(erased[0][0]), name_of(late)}
        assert {name for (name,) in done} == {name_of(one) for one in ids} - waits
        assert await clinic.store.write(is_due), "what came back meanwhile is looked at again"


async def named(hub: HubSide, patient_id: str, times: int) -> bool:
    said = [one for one in hub.events() if isinstance(one, ev.PatientRegistered) and one.patient_id == patient_id]
    return len(said) == times


def is_due(journal: Journal) -> bool:
    return journal.erasing.is_due()


async def nothing_waits(served: Served) -> bool:
    return not await served.node.clinic.store.read(Views.unacknowledged)


async def gone(served: Served, visit_id: str) -> bool:
    return await served.node.clinic.store.read(lambda views: views.visit(visit_id)) is None


def _said(journal: Journal) -> int:
    return len(journal._db.rows("SELECT 1 FROM hub_said"))


async def taken(served: Served) -> bool:
    return await served.node.clinic.store.write(lambda journal: journal._db.row("SELECT 1 FROM erased") is not None)


async def in_table(served: Served, table: str) -> bool:
    return table in await served.node.clinic.store.write(with_marker)


async def no_marker(served: Served) -> bool:
    return not await served.node.clinic.store.write(with_marker)


async def heard(hub: HubSide, seq: int) -> bool:
    return seq in hub.down_stored


async def told(hub: HubSide, names: tuple[bytes, ...]) -> bool:
    said = [event for event in hub.events() if isinstance(event, ev.ErasureDone)]
    return set(names) <= {name for event in said for name in event.names}

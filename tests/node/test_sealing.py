"""A draft visit travels as one bundle with its token; what is urgent does not wait; nothing is left behind."""

import errno
import time
from pathlib import Path

import pytest

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.fold import Visit
from edge.model.records import Colour, Complaint, Gender, Person, TriageResult, VisitState
from edge.node import clinic as node_clinic
from edge.node.sealing import AUDIT_S, DRAFT_S, PRINTED_S, SOON_S, SealPlan, delay_s
from edge.sync.bundle import BundlePayload
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, provisioned
from tests.node.test_link import at_hub, line_of, until

DRAFT = Visit("v", "p", 0, "anm1")
RED = Visit("v", "p", 0, "anm1", triage=TriageResult(Colour.RED))
QUEUED = Visit("v", "p", 0, "anm1", state=VisitState.WAITING, token="A-001")
COMPLAINT = cmd.RecordComplaints("c", "v", (Complaint("fever"),))


def test_a_draft_waits_and_what_somebody_waits_for_does_not() -> None:
    person = Person("A", Gender.MALE, "B")
    assert delay_s(cmd.RegisterPatient("c", "p", person), None) == DRAFT_S
    assert delay_s(COMPLAINT, DRAFT) == DRAFT_S
    assert delay_s(COMPLAINT, RED) == 0.0
    assert delay_s(cmd.IssueToken("c", "v"), QUEUED) == 0.0
    assert delay_s(COMPLAINT, QUEUED) == SOON_S
    assert delay_s(cmd.ConfirmPrinted("c", "v", "r"), QUEUED) == PRINTED_S
    assert delay_s(cmd.AmendPatient("c", "p", person), None) == SOON_S


def test_the_earliest_wish_counts_and_audit_waits_by_itself() -> None:
    plan = SealPlan()
    plan.want(0.0, AUDIT_S, audit=True)
    plan.want(10.0, DRAFT_S)
    plan.want(60.0, DRAFT_S)
    assert plan.next_s == 10.0 + DRAFT_S
    plan.want(70.0, 0.0)
    assert plan.next_s == 70.0
    assert not plan.take(70.0)
    assert plan.next_s == AUDIT_S
    assert plan.take(AUDIT_S)
    assert plan.next_s is None
    plan.want(0.0, AUDIT_S, audit=True)
    assert plan.take(1.0, everything=True)
    assert plan.next_s is None


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def _bundles(served: Served) -> list[tuple[int, int, int]]:
    """Stream, first and last entry of each bundle that was sealed."""
    journal_rows = "SELECT stream, first_seq, last_seq FROM bundles ORDER BY rowid"
    return [tuple(row) for row in await served.node.clinic.store.write(lambda journal: journal._db.rows(journal_rows))]


async def test_a_visit_is_one_bundle_at_its_token_and_the_rest_follows_at_the_end(setup: Provisioned) -> None:
    async with HubSide(setup) as hub:
        async with Served(at_hub(setup, hub)) as served:
            await served.tablet.login(setup)
            before = len(await _bundles(served))
            _, visit = await served.tablet.register()
            assert len(await _bundles(served)) == before, "a draft waits"
            await served.tablet.fill(visit)

            async def there() -> bool:
                return any(isinstance(event, ev.TokenIssued) for event in hub.events())

            await until(there)
            assert len(await _bundles(served)) == before + 1, "the whole visit is one bundle"
            await served.tablet.register()
            drafted = len(hub.events())
        registered = sum(isinstance(event, ev.PatientRegistered) for event in hub.events())
        assert registered == 2, "what waited is sealed when the node ends"
        assert len(hub.events()) > drafted
        assert sum(isinstance(event, ev.Accessed) for event in hub.events()) >= 1


async def test_an_emergency_does_not_wait_for_a_token(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.say("answer_signs", visit_id=visit, present=["unresponsive"], absent=[])

        async def there() -> bool:
            red = any(
                isinstance(event, ev.Triaged) and event.result.colour is Colour.RED and event.visit_id == visit
                for event in hub.events()
            )
            return red and any(isinstance(event, ev.PatientRegistered) for event in hub.events())

        await until(there)


async def test_an_emergency_that_could_not_be_sealed_goes_out_without_another_word(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_clinic, "SEAL_AGAIN_S", 0.05)
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        pack, tries = served.node.clinic._pack, 0

        def packs(payload: BundlePayload) -> bytes:
            nonlocal tries
            tries += 1
            if tries < 6:  # a command seals once or twice; the others are its own
                raise OSError(errno.ENOSPC, "No space left on device")
            return pack(payload)

        monkeypatch.setattr(served.node.clinic, "_pack", packs)
        await served.tablet.say("answer_signs", visit_id=visit, present=["unresponsive"], absent=[])

        async def there() -> bool:
            return any(isinstance(event, ev.Triaged) and event.visit_id == visit for event in hub.events())

        await until(there)
        assert tries >= 6


async def test_whoever_asks_for_everything_gets_drafts_too_and_once(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.tablet.register()
        await served.node.clinic.seal_now()
        waiting = await served.node.clinic.store.outbox(lambda outbox: outbox.backlog())
        assert waiting[0] >= 1
        await served.node.clinic.seal_now()
        assert await served.node.clinic.store.outbox(lambda outbox: outbox.backlog()) == waiting, "once is enough"


async def test_what_the_hub_says_seals_no_draft(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)

        async def stored() -> bool:
            return await line_of(served.tablet, visit) == "hub_has_it"

        await until(stored)
        await served.tablet.register()
        before = await _bundles(served)
        hub.say(ev.VisitSeen(visit, "dr-1"))

        async def opened() -> bool:
            return await line_of(served.tablet, visit) == "doctor_opened"

        await until(opened)
        await served.node.link.downs.import_all()
        due_s = served.node.clinic._plan.next_s
        assert due_s is not None and due_s > time.monotonic() + DRAFT_S / 2, "the draft waits for its token"
        assert await _bundles(served) == before

"""What a node says it holds, seals again, takes back, and lets go of."""

import asyncio
from pathlib import Path

import pytest

from edge.node.journal import Journal
from edge.node.views import Views
from edge.sync import holdings
from edge.sync.log import Stream
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, provisioned
from tests.node.test_link import at_hub, until

FAR_MS = 1 << 60


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def describe(journal: Journal) -> holdings.Holdings:
    return journal.held.describe((), whole=True)


def longest(told: holdings.Holdings) -> holdings.LogHeld:
    """The clinical log with most entries: the present run's."""
    return max((log for log in told.logs if log.stream == Stream.CLINICAL), key=lambda log: log.spans[0][1])


async def acknowledged(served: Served, hub: HubSide) -> None:
    async def drained() -> bool:
        return (await served.node.clinic.store.outbox(lambda outbox: outbox.backlog()))[0] == 0

    await served.node.clinic.seal_now()
    await until(drained)


async def test_what_the_hub_lacks_is_sealed_again_exactly_and_once(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        await acknowledged(served, hub)
        clinic = served.node.clinic
        told = await clinic.store.write(describe)
        clinical = longest(told)
        first, last = clinical.spans[0]
        wanted = holdings.Span(clinical.run, Stream.CLINICAL, first + 2, last - 1)
        kept = dict(hub.entries)
        for seq in range(wanted.first, wanted.last + 1):
            del hub.entries[(wanted.run, wanted.stream, seq)]
        assert await clinic.store.write(lambda journal: journal.held.want([wanted])) == 0
        pieces = await clinic.store.write(Journal.pending)
        assert sum(len(piece.payload.entries) for piece in pieces) == wanted.last - wanted.first + 1
        assert await clinic.store.write(lambda journal: journal.held.want([wanted, wanted])) == 0
        await acknowledged(served, hub)
        assert hub.entries == kept
        assert hub.conflicts == 0
        assert await clinic.store.write(Journal.pending) == []
        assert (await clinic.store.write(describe)).logs == told.logs


async def test_a_wanted_range_survives_a_restart(setup: Provisioned) -> None:
    async with HubSide(setup) as hub:
        async with Served(at_hub(setup, hub)) as served:
            await served.tablet.login(setup)
            await served.tablet.register()
            await acknowledged(served, hub)
            clinic = served.node.clinic
            told = await clinic.store.write(describe)
            spans = [holdings.Span(log.run, log.stream, *log.spans[0]) for log in told.logs]
            await clinic.store.write(lambda journal: journal.held.want(spans))
            kept = dict(hub.entries)
            hub.entries.clear()
        async with Served(at_hub(setup, hub)) as served:
            await served.tablet.login(setup)

            async def back() -> bool:
                return kept.items() <= hub.entries.items()

            await until(back)


async def test_content_goes_only_with_a_second_copy_and_its_place_stays(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        patient, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        await served.tablet.say("close_visit", visit_id=visit, outcome="referred")
        await acknowledged(served, hub)
        clinic = served.node.clinic
        before = await clinic.store.write(describe)
        assert await clinic.store.write(lambda journal: journal.held.prune(FAR_MS, 0)) == 0
        await clinic.store.write(lambda journal: journal.held.copied(before.question - 1, media=False))
        assert await clinic.store.write(lambda journal: journal.held.prune(FAR_MS, 0)) == 0, "a late answer"
        await clinic.store.write(lambda journal: journal.held.copied(before.question, media=False))
        assert await clinic.store.write(lambda journal: journal.held.prune(FAR_MS, 1)) == 0
        assert await clinic.store.write(lambda journal: journal.held.prune(0, 0)) == 0
        assert await clinic.store.write(lambda journal: journal.held.prune(FAR_MS, 0)) == 1
        assert (await served.tablet.call("GET", f"/api/visits/{visit}"))[0] == 404
        assert await clinic.store.read(lambda views: views.patient(patient)) is not None
        assert (await clinic.store.write(describe)).logs == before.logs
        clinical = longest(before)
        span = holdings.Span(clinical.run, Stream.CLINICAL, *clinical.spans[0])
        gone = await clinic.store.write(lambda journal: journal.held.want([span]))
        assert gone >= 8
        assert await clinic.store.write(Journal.rebuild) == 0
        assert await clinic.store.read(_patients) == 1


def _patients(views: Views) -> int:
    return views.count_patients()


async def test_a_hub_that_asks_for_what_was_pruned_is_told_so(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.say("close_visit", visit_id=visit, outcome="referred")
        await acknowledged(served, hub)
        clinic = served.node.clinic
        told = await clinic.store.write(describe)
        await clinic.store.write(lambda journal: journal.held.copied(told.question, media=False))
        assert await clinic.store.write(lambda journal: journal.held.prune(FAR_MS, 0)) == 1
        clinical = longest(told)
        span = holdings.Span(clinical.run, Stream.CLINICAL, *clinical.spans[0])
        hub.endpoint.send_state(setup.record.node_id, holdings.encode(holdings.Wanted((span,))), 1)
        hub.wake()
        notice = await asyncio.wait_for(hub.notice(holdings.GONE), 20)
        assert notice.count > 0

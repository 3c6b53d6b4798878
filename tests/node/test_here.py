"""The queue's page is kept from one asking to the next: after whatever happens it says what the records say."""

import secrets
from pathlib import Path

import pytest

from edge.model import events as ev
from edge.node.here import Everybody, Here
from edge.node.journal import Journal
from edge.node.touched import Touched
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, provisioned
from tests.node.test_link import at_hub, until


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def kept_and_read(served: Served) -> tuple[tuple[Here, ...], tuple[Here, ...]]:
    """What is kept, and what somebody reads who keeps nothing."""
    store, now_ms = served.node.clinic.store, served.node.clinic.clock.now().wall_ms

    def read(journal: Journal) -> tuple[Here, ...]:
        anew = Everybody(journal.views, Touched())
        anew.renew(now_ms)
        return anew.rows(now_ms)

    while True:
        kept = await store.here(now_ms)
        rows = await store.write(read)
        if kept == await store.here(now_ms):  # else something was sealed or acknowledged meanwhile
            return kept, rows


async def test_what_is_kept_is_what_the_records_say_after_every_step_of_a_visit(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        seen: set[int] = set()

        async def same() -> tuple[Here, ...]:
            kept, read = await kept_and_read(served)
            assert kept == read
            seen.add(len(kept))
            return kept

        await same()
        patient, visit = await tablet.register()
        assert [one.visit.visit_id for one in await same()] == [visit]
        await tablet.say("answer_signs", visit_id=visit, present=[], absent=["unresponsive"])
        await same()
        await tablet.fill(visit)
        await same()

        async def at_the_hub() -> bool:
            return all(one.settled is not None for one in await same())

        await until(at_the_hub)
        await tablet.say("move_visit", visit_id=visit, state="no_show", reason="called twice")
        assert (await same())[0].visit.no_shows_ms, "who does not come is shown all day"
        _, other = await tablet.register()
        await tablet.say("raise_triage", visit_id=other, colour="red", reason="x")
        assert {one.visit.colour.value for one in await same()} >= {"red"}
        await tablet.say("close_visit", visit_id=visit, outcome="no_show")
        assert [one.visit.visit_id for one in await same()] == [other]
        await served.node.clinic.record(ev.Accessed("read_visit", other))
        await same()
        assert patient and seen == {0, 1, 2}


async def test_a_transaction_that_names_nothing_makes_all_be_read_again(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        assert len((await kept_and_read(served))[0]) == 1

        def erase(journal: Journal) -> None:
            with journal._db.transaction():
                journal._db.run("DELETE FROM visits WHERE visit_id = ?", visit)

        await served.node.clinic.store.write(erase)
        assert (await kept_and_read(served))[0] == ()


def test_what_could_not_be_read_is_read_the_next_time() -> None:
    touched, name = Touched(), secrets.token_hex(8)
    assert touched.take() is None, "at first anything"
    touched.name({name, ""})
    assert not touched.waits, "not before the end of the transaction"
    touched.ended()
    assert touched.waits and touched.take() == {name}
    assert not touched.waits and touched.take() == frozenset()
    touched.lost()
    assert touched.waits and touched.take() is None


async def test_a_patient_who_is_amended_has_the_new_name_in_the_queue(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        patient, _ = await tablet.register()
        before = (await kept_and_read(served))[0][0].patient
        assert before is not None
        person = {"name": "Naya Naam", "gender": "female", "village": "X", "age": {"value": 40}}
        await tablet.say("amend_patient", patient_id=patient, person=person)
        kept, read = await kept_and_read(served)
        assert kept == read and kept[0].patient is not None and kept[0].patient.person.name == "Naya Naam"

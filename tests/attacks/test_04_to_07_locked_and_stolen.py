"""Attacks 4 to 7 of SEALING.md in one process: a locked node, its card, a thief; files beside this try real ones."""

import asyncio
import base64
from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.node.config import RECORDS_FILE
from edge.node.database import Database, WrongKey
from edge.node.unlock import Slots, open_with_recovery
from edge.sync import holdings, seal
from tests.node.hubside import HubSide
from tests.node.kit import COMPLAINT, MOBILE, NAME, VILLAGE, Provisioned, Served, contents, new_id, provisioned
from tests.node.test_link import at_hub, prescription, until

MARKERS = (NAME, VILLAGE, MOBILE, COMPLAINT)


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def test_04_a_locked_node_without_any_tablet_empties_its_outbox_and_merges_at_unlock(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        clinic = served.node.clinic

        async def drained() -> bool:
            return (await clinic.store.outbox(lambda outbox: outbox.backlog()))[0] == 0

        await until(drained)
        assert clinic.locked
        assert hub.grades <= {"L", "D"}
        assert any(isinstance(event, ev.VisitOpened) for event in hub.events())
        rx = new_id()
        signed = ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx)))
        seq = hub.say(signed)

        async def stored() -> bool:
            return seq in hub.down_stored

        await until(stored)
        assert hub.states.empty(), "a locked node cannot say what it holds"
        await served.tablet.login(setup)

        async def answered() -> bool:
            page = await served.tablet.get(f"/api/visits/{visit}")
            return rx in str(page)

        await until(answered)
        told = await asyncio.wait_for(hub.states.get(), 20)
        assert isinstance(told, holdings.Holdings)
        assert hub.conflicts == 0


async def test_05_no_marker_of_a_patient_lies_in_any_file_while_open_closed_or_killed(setup: Provisioned) -> None:
    """The data folder with its WAL, journals and logs. Free space of a real card waits for the images (issue 8)."""

    def found() -> list[str]:
        everything = contents(setup.folder)
        return [marker for marker in MARKERS if marker.encode() in everything]

    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        draft = {"body": f'{{"words": "{COMPLAINT}"}}', "revision": 1}
        assert (await served.tablet.call("PUT", "/api/drafts/visit-form", draft))[0] == 200
        await served.node.clinic.seal_now()
        assert await asyncio.to_thread(found) == []
    assert await asyncio.to_thread(found) == []


async def test_06_a_thief_of_the_node_finds_no_key_that_opens_a_record(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
    slots = await asyncio.to_thread(Slots(setup.folder).load)
    dmk = await open_with_recovery(slots, setup.recovery)
    everything = await asyncio.to_thread(contents, setup.folder)
    config = setup.config
    for secret in (dmk, seal.hkdf(dmk, b"db")):
        for form in (secret, secret.hex().encode(), base64.b64encode(secret)):
            assert form not in everything
    for known in (config.psk, config.device, bytes(32), seal.hkdf(config.psk, b"db"), seal.hkdf(config.device, b"db")):
        with pytest.raises(WrongKey):
            await asyncio.to_thread(Database, setup.folder / RECORDS_FILE, known)
    assert {slot.kind for slot in slots} <= {"badge", "recovery"}


async def test_06_a_node_that_is_locked_speaks_at_device_grade_only(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        clinic = served.node.clinic

        async def met() -> bool:
            return clinic.link_now is not None and clinic.link_now().online

        await until(met)
        record = hub.endpoint.presence(setup.record.node_id, 0)
        assert record is not None
        hub.say(ev.DoctorNote(new_id(), "dr-1", COMPLAINT))

        async def kept() -> bool:
            return bool(await clinic.store.outbox(lambda outbox: outbox.downs()))

        await until(kept)
        everything = await asyncio.to_thread(contents, setup.folder)
        assert COMPLAINT.encode() not in everything
        ((_, blob),) = await clinic.store.outbox(lambda outbox: outbox.downs())
        with pytest.raises(seal.SealRefused):
            seal.open_down(blob, setup.config.node_id, setup.config.device, setup.config.hub_sign)

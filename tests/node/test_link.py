"""A node and the hub's endpoint over a real socket: what is saved arrives, what is signed comes back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.model import events as ev
from edge.model.prescribing import PrescriptionRecord, SignedPrescription
from edge.model.records import ConsultType, MedicineLine, Mode
from edge.node.journal import Journal
from edge.node.outbox import OutboxDb
from edge.slips.sign import certify_doctor, sign_record
from edge.slips.verify import verify_slip
from edge.sync import bundle, seal
from edge.sync.link import LinkChanged
from edge.sync.log import Stream, verify_head
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, Tablet, new_id, provisioned, settled


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def until(met: Callable[[], Awaitable[bool]], timeout_s: float = 40.0) -> None:
    """Wait for something that another process or socket has to bring."""
    deadline_s = time.monotonic() + timeout_s
    while not await met():
        assert time.monotonic() < deadline_s, "it did not come"
        await asyncio.sleep(0.05)


def at_hub(setup: Provisioned, hub: HubSide) -> Provisioned:
    return msgspec.structs.replace(setup, config=msgspec.structs.replace(setup.config, udp_port=hub.port, wss_port=0))


def prescription(
    setup: Provisioned, visit_id: str, prescription_id: str, site: str = "Rampur", replaces: str = ""
) -> SignedPrescription:
    doctor = Ed25519PrivateKey.generate().private_bytes_raw()
    line = MedicineLine(
        "paracetamol-500", "PARACETAMOL", "tablet", "500 mg", "1", "oral", "TDS", 3, "after", "9", "", "O", True
    )
    record = PrescriptionRecord(
        prescription_id, visit_id, "BR-RMP-001", int(time.time() * 1000), True, site, "BR-RMP", "Asha Devi", "dr-1",
        "Dr Meera Iyer", "MBBS", "BR/12345", "", "Sunita", "34 years", "female", "Rampur", None, ("fever",), "",
        "Viral fever", "", True, "none known", (line,), "Rest and fluids.", (), None, "", Mode.VIDEO, ConsultType.FIRST,
        False, False, replaces,
    )  # fmt: skip

    def hub_sign(message: bytes) -> bytes:
        return seal.sign(setup.hub.sign, message)

    certificate = certify_doctor(seal.verifier_of(doctor), "dr-1", "Dr Meera Iyer", "BR/12345", hub_sign)
    return sign_record(record, doctor, certificate, hub_sign, record.signed_ms)


async def line_of(tablet: Tablet, visit: str) -> str:
    line = (await tablet.get(f"/api/visits/{visit}"))["line"]
    assert isinstance(line, dict)
    return str(line["state"])


async def test_what_has_left_is_sent_and_waits_again_when_the_link_is_lost_before_the_answer(
    setup: Provisioned,
) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        hub.answers = False
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        assert await line_of(tablet, visit) == "waiting"
        await served.node.clinic.seal_now()

        async def sent() -> bool:
            return await line_of(tablet, visit) == "sent"

        await until(sent, 30.0)
        await settled()
        state = msgspec.structs.replace(served.node.link._endpoint.link_state(time.monotonic()), online=False)
        await served.node.link._heard(LinkChanged(state))
        assert await line_of(tablet, visit) == "waiting"


async def test_an_acknowledgement_that_a_full_disk_refused_is_kept_once_there_is_room(setup: Provisioned) -> None:
    """The hub says it once: until now the node went on showing it as not sent, to its next start."""
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        hub.answers = False
        tablet, link, clinic = served.tablet, served.node.link, served.node.clinic
        link.words.write_again_s = 0.2
        await tablet.login(setup)
        _, visit = await tablet.register()
        await clinic.seal_now()

        async def is_line(state: str) -> bool:
            return await line_of(tablet, visit) == state

        await until(lambda: is_line("sent"))
        await clinic.store.outbox(lambda outbox: outbox._db.run("PRAGMA query_only = 1"))
        for name in list(link._submitted):
            hub.endpoint.bundle_stored(setup.record.node_id, name)
        hub.wake()

        async def refused() -> bool:
            return not link._endpoint._refs and bool(link.words.left)

        await until(refused)
        assert await line_of(tablet, visit) == "sent"
        await clinic.store.outbox(lambda outbox: outbox._db.run("PRAGMA query_only = 0"))
        await until(lambda: is_line("hub_has_it"))

        async def written() -> bool:  # of other bundles too, which the visit's line does not wait for
            return not link.words.left and not link._submitted

        await until(written)


async def test_entries_reach_the_hub_and_the_prescription_comes_back_to_the_slip(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)

        async def hub_has_it() -> bool:
            return await line_of(tablet, visit) == "hub_has_it"

        await until(hub_has_it)
        said = [type(event) for event in hub.events()]
        assert said.count(ev.PatientRegistered) == 1
        assert said.count(ev.TokenIssued) == 1
        hub.say(ev.VisitSeen(visit, "dr-1"))

        async def opened() -> bool:
            return await line_of(tablet, visit) == "doctor_opened"

        await until(opened)
        rx = new_id()
        hub.say(ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx))))

        async def answered() -> bool:
            return await line_of(tablet, visit) == "answered"

        await until(answered)
        page = await tablet.get(f"/api/visits/{visit}/prescriptions/{rx}")
        assert page["verified"] is True
        async with tablet.http.get(f"/api/visits/{visit}/prescriptions/{rx}/slip.pdf") as reply:
            assert reply.status == 200
            pdf = await reply.read()
        verified = await asyncio.to_thread(verify_slip, pdf, setup.config.hub_sign)
        assert verified.record.prescription_id == rx
        await tablet.say("confirm_printed", visit_id=visit, prescription_id=rx)

        async def told() -> bool:
            return any(isinstance(event, ev.SlipPrinted) for event in hub.events())

        await until(told)
        assert await line_of(tablet, visit) in ("printed", "sent", "waiting")
        assert any(isinstance(event, ev.PrescriptionStored) for event in hub.events())
        assert hub.conflicts == 0


async def test_a_locked_node_keeps_downlink_sealed_and_takes_it_in_at_unlock(setup: Provisioned) -> None:
    async with HubSide(setup) as hub:
        here = at_hub(setup, hub)
        async with Served(here) as served:
            await served.tablet.login(setup)
            _, visit = await served.tablet.register()
            await served.tablet.fill(visit)
        async with Served(here) as served:
            rx = new_id()
            seq = hub.say(ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx))))

            async def stored() -> bool:
                return seq in hub.down_stored

            await until(stored)
            assert (await served.tablet.call("GET", "/api/queue"))[0] == 423
            await served.tablet.login(setup)
            page = await served.tablet.get(f"/api/visits/{visit}/prescriptions/{rx}")
            assert page["verified"] is True
            visit_page = await served.tablet.get(f"/api/visits/{visit}")
            assert len(visit_page["visit"]["prescriptions"]) == 1  # type: ignore[index]
        assert hub.grades == {"L"}, "nothing is sealed at device grade but by a locked node"


async def test_what_was_saved_without_a_link_leaves_after_a_restart_while_still_locked(setup: Provisioned) -> None:
    async with HubSide(setup) as hub:
        async with Served(setup) as served:
            await served.tablet.login(setup)
            _, visit = await served.tablet.register()
            await served.tablet.fill(visit)
            assert (await served.tablet.get("/api/status"))["link"]["online"] is False  # type: ignore[index]
        assert not hub.entries
        async with Served(at_hub(setup, hub)) as served:

            async def all_there() -> bool:
                return any(isinstance(event, ev.TokenIssued) for event in hub.events())

            await until(all_there)
            assert (await served.tablet.get("/api/status"))["locked"] is True
            await served.tablet.login(setup)
            assert await line_of(served.tablet, visit) == "hub_has_it"
    assert hub.heads, "the head of the first run was signed when it closed"


async def test_a_prescription_that_the_hub_did_not_sign_is_refused_and_reported(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        rx = new_id()
        good = prescription(setup, visit, rx)
        bad = msgspec.structs.replace(good, record=good.record.replace(b"PARACETAMOL", b"PARACETAMOX"))
        seq = hub.say(ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(bad)))

        async def stored() -> bool:
            return seq in hub.down_stored

        await until(stored)
        hub.say(ev.VisitSeen(visit, "dr-1"))

        async def seen() -> bool:
            page = await tablet.get(f"/api/visits/{visit}")
            return bool(page["visit"]["seen_ms"])  # type: ignore[index]

        await until(seen)
        page = await tablet.get(f"/api/visits/{visit}")
        assert page["visit"]["prescriptions"] == []  # type: ignore[index]
        store = served.node.clinic.store
        refused = await store.outbox(lambda outbox: outbox.refused_downs())
        assert [number for number, reason in refused if reason] == [seq], "put aside with its reason"
        assert await store.outbox(lambda outbox: outbox.downs()) == [], "and tried no more"


async def test_a_prescription_is_answered_once_although_its_blob_is_taken_in_twice(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        rx = new_id()
        signed = ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx)))
        entry = msgspec.msgpack.encode(ev.entry_of(signed, 1, "dr-1"))
        payload = bundle.BundlePayload(1, bytes(8), int(Stream.HUB), 1, (entry,))
        answers = {1: ev.PrescriptionStored(visit, rx)}
        clinic = served.node.clinic
        for _ in range(2):
            await clinic.store.write(lambda journal: journal.import_down(payload, answers, clinic.clock.now()))
        await clinic.seal_now()

        async def told() -> bool:
            return any(isinstance(event, ev.PrescriptionStored) for event in hub.events())

        await until(told)
        assert sum(isinstance(event, ev.PrescriptionStored) for event in hub.events()) == 1


async def test_a_bundle_that_the_hub_cannot_open_is_sealed_anew_at_unlock(setup: Provisioned) -> None:
    async with HubSide(setup) as hub:
        async with Served(setup) as served:
            await served.tablet.login(setup)
            await served.tablet.register()
            await settled()

        def refuse_all(outbox: OutboxDb) -> int:
            refs = [ref for ref, _ in outbox.waiting()]
            outbox.want_reseal(refs)
            return len(refs)

        outbox = await asyncio.to_thread(OutboxDb, setup.folder)
        assert await asyncio.to_thread(refuse_all, outbox) > 0
        assert outbox.waiting() == []
        await asyncio.to_thread(outbox.close)
        async with Served(at_hub(setup, hub)) as served:
            await served.tablet.login(setup)

            async def all_there() -> bool:
                return any(isinstance(event, ev.PatientRegistered) for event in hub.events())

            await until(all_there)
        assert hub.conflicts == 0


async def test_the_head_of_a_run_that_was_killed_is_signed_by_the_next_one(setup: Provisioned) -> None:
    async with HubSide(setup) as hub:
        async with Served(setup) as served:
            await served.tablet.login(setup)
            await served.tablet.register()
            await settled()
            first_run = served.node.clinic.run
            await served.node.clinic.store.write(Journal.close_run)
            served.node.clinic.store._journal = None  # what follows is not written: as if it had been killed
        async with Served(at_hub(setup, hub)) as served:
            await served.tablet.login(setup)

            async def promised() -> bool:
                return any(payload.run == first_run for payload in hub.heads)

            await until(promised)
        for payload in hub.heads:
            head = payload.head
            assert head is not None
            public, stream = setup.config.log_public, Stream(payload.stream)
            assert verify_head(head, setup.config.node_id, payload.run, stream, public)


async def test_a_prescription_that_does_not_verify_any_more_is_neither_shown_nor_printed(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        await tablet.fill(visit)
        rx = new_id()
        signed = prescription(setup, visit, rx)
        other = msgspec.structs.replace(signed, signature=bytes(64))
        await served.node.clinic.record(ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(other)))
        path = f"/api/visits/{visit}/prescriptions/{rx}"
        for refused in (path, f"{path}/slip.pdf"):
            async with tablet.http.get(refused) as reply:
                assert reply.status == 400
                assert (await reply.json())["code"] == "slip_signature_bad"


async def test_a_fault_of_ours_in_one_answer_stops_neither_the_unlocking_nor_the_others(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Journal.import_down

    def stumbles(journal: Journal, payload: bundle.BundlePayload, *rest: Any) -> Any:
        for raw in payload.entries:
            event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry))
            if isinstance(event, ev.DoctorNote):
                raise KeyError("a fault that this release has")
        return take(journal, payload, *rest)

    async with HubSide(setup) as hub:
        here = at_hub(setup, hub)
        async with Served(here) as served:
            await served.tablet.login(setup)
            _, visit = await served.tablet.register()
            await served.tablet.fill(visit)
        monkeypatch.setattr(Journal, "import_down", stumbles)
        async with Served(here) as served:
            bad = hub.say(ev.DoctorNote(visit, "dr-1", "…"))
            good = hub.say(ev.VisitSeen(visit, "dr-1"))

            async def stored() -> bool:
                return {bad, good} <= set(hub.down_stored)

            await until(stored)
            await served.tablet.login(setup)

            async def seen() -> bool:
                page = await served.tablet.get(f"/api/visits/{visit}")
                return bool(page["visit"]["seen_ms"])  # type: ignore[index]

            await until(seen)
            store = served.node.clinic.store
            assert await store.outbox(lambda outbox: outbox.refused_downs()) == [(bad, "down_unfoldable")]
        monkeypatch.setattr(Journal, "import_down", take)
        async with Served(here) as served:
            await served.tablet.login(setup)

            async def none_aside() -> bool:
                return not await served.node.clinic.store.outbox(lambda outbox: outbox.refused_downs())

            await until(none_aside)

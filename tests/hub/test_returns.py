"""What a node that lost everything is sent back: the young and the last visits, whole, and no more."""

import asyncio
import threading

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from edge.model import events as ev
from edge.sync import holdings, seal
from edge.sync.bundle import BundlePayload, unpack
from edge.sync.frontier import Ranges
from edge.sync.link import BundleArrived, BundleRef, StateArrived
from edge.sync.log import Stream, decode_entry
from hub import giving, returns
from hub.down import DownBlob
from hub.store.schema import audit as audits
from hub.store.schema import down, entries
from tests.hub.kit import HubKit, NodeKit, new_id, registered, visit_events

DAY_S = 86_400


async def ask(kit: HubKit, node: NodeKit) -> list[DownBlob]:
    """What the hub seals for a node that says that it holds nothing."""
    record = kit.hub.directory.by_id(node.keys.node_id)
    assert record is not None
    nothing = holdings.Holdings(True, holdings.digest_of({}), ())

    def act(connection: Connection) -> list[DownBlob]:
        found = returns.answer(connection, record.node_id.hex(), nothing, kit.clock.ms)
        assert isinstance(found.message, holdings.Wanted)
        packed = [giving.pack_piece(connection, kit.hub.speaker, record, one) for one in found.pieces]
        return [
            giving.seal_piece(connection, kit.hub.speaker, record, one, kit.clock.ms)
            for one in packed
            if one is not None
        ]

    return await kit.hub.store.write(act)


def payloads(node: NodeKit, blobs: list[DownBlob]) -> list[BundlePayload]:
    opened = [seal.open_down(blob.blob, node.keys.node_id, node.drawn.records, node.keys.hub_sign) for blob in blobs]
    return [unpack(down.payload) for down in opened]


async def test_old_visits_beyond_the_last_ones_are_not_sent_back(kit: HubKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving, "KEPT_VISITS", 2)
    node = await kit.enrol()
    made: list[str] = []
    for _ in range(4):
        patient, visit = new_id(), new_id()
        made.append(visit)
        await node.send([registered(patient), *visit_events(visit, patient)])
        kit.clock.pass_s(100 * DAY_S)
    answer = await ask(kit, node)
    found: dict[str, int] = {}
    people = 0
    for payload in payloads(node, answer):
        for raw in payload.entries:
            event = ev.event_of(decode_entry(raw))
            people += isinstance(event, ev.PatientRegistered)
            if ev.visit_of(event):
                found[ev.visit_of(event)] = found.get(ev.visit_of(event), 0) + 1
    assert set(found) == set(made[2:])
    assert set(found.values()) == {9}
    assert people == 4


async def test_a_replaced_node_is_asked_for_all_once_and_again_only_when_it_has_lost_something(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never sent its old visits, so the hub holds more than it for ever."""
    monkeypatch.setattr(giving, "KEPT_VISITS", 1)
    node = await kit.enrol()
    for _ in range(3):
        patient, visit = new_id(), new_id()
        await node.send([registered(patient), *visit_events(visit, patient)])
        kit.clock.pass_s(100 * DAY_S)
    await node.send([registered(new_id())])
    held: dict[holdings.Log, Ranges] = {}
    assert isinstance(await node.state(holdings.describe(held, (), (), whole=False, question=1)), holdings.AskAll)
    assert isinstance(await node.state(holdings.describe(held, (), (), whole=True, question=2)), holdings.Wanted)

    def returned() -> dict[holdings.Log, Ranges]:
        logs: dict[holdings.Log, Ranges] = {}
        for blob in node.downs.values():
            one = seal.open_down(blob, node.keys.node_id, node.drawn.records, node.keys.hub_sign)
            payload = unpack(one.payload)
            if payload.stream != Stream.HUB:  # that is what the hub tells every node
                log = logs.setdefault((payload.run, payload.stream), Ranges())
                log.add(payload.first_seq, payload.first_seq + len(payload.entries))
        return logs

    def size() -> int:
        """Entries: four people, and one visit of nine."""
        return sum(spans.size for spans in returned().values())

    await node.until(lambda: size() >= 13)
    assert size() == 13
    held = returned()
    for question in (3, 4):
        reply = await node.state(holdings.describe(held, (), (), whole=False, question=question))
        assert reply == holdings.Wanted((), False, False, question)
    some = {log: Ranges((2, spans.spans()[-1][1])) for log, spans in held.items()}
    assert isinstance(await node.state(holdings.describe(some, (), (), whole=False, question=5)), holdings.AskAll)


async def test_what_was_refused_is_not_sealed_again_however_much_it_is(kit: HubKit) -> None:
    node = await kit.enrol()
    many = 2_300
    run = bytes(8)

    def act(connection: Connection) -> None:
        one = {"node_id": node.node_id, "run": run, "stream": Stream.HUB.value}
        said = [
            {**one, "seq": n, "raw": b"x", "kind": 0, "stamp": 1, "visit_id": "", "patient_id": "", "received_ms": 1}
            for n in range(1, many + 1)
        ]
        sent = [
            {**one, "seq": n, "cls": 1, "blob": b"x", "made_ms": 1, "stored_ms": 1, "first_seq": n, "last_seq": n}
            for n in range(1, many + 1)
        ]
        connection.execute(entries.insert(), said)
        connection.execute(down.insert(), sent)

    await kit.hub.store.write(act)
    for refused, lacking in ((many, 0), (many - 1, 1)):
        told = holdings.Holdings(True, holdings.digest_of({}), (), tuple(range(1, refused + 1)))
        found = await kit.hub.store.read(lambda c: returns.answer(c, node.node_id, told, kit.clock.ms))  # noqa: B023
        assert sum(piece.last - piece.first + 1 for piece in found.pieces if piece.log == (run, Stream.HUB)) == lacking


async def test_entries_that_are_gone_are_counted_once_however_often_they_are_missed(kit: HubKit) -> None:
    node = await kit.enrol()

    async def counted() -> tuple[int, int]:
        def look(connection: Connection) -> tuple[int, int]:
            rows = [row for row in returns.load_notices(connection) if row["code"] == holdings.GONE]
            audited = select(func.count()).select_from(audits).where(audits.c.action == "notice")
            return sum(int(str(row["count"])) for row in rows), connection.execute(audited).scalar() or 0

        return await kit.hub.store.read(look)

    for count, expected in ((5, (5, 1)), (5, (5, 1)), (7, (7, 2)), (4, (7, 2))):
        node.endpoint.send_state(holdings.encode(holdings.Notice(holdings.GONE, count)), 1, kit.clock.monotonic_s())
        nothing = holdings.Holdings(True, holdings.digest_of({}), ())
        await node.state(nothing)
        assert await counted() == expected


async def test_what_is_on_its_way_is_not_sent_back_twice(kit: HubKit) -> None:
    node = await kit.enrol()
    patient, visit = new_id(), new_id()
    await node.send([registered(patient), *visit_events(visit, patient)])
    first = await ask(kit, node)
    assert first
    assert not await ask(kit, node)
    numbers = [blob.seq for blob in first]
    assert len(set(numbers)) == len(numbers)


async def test_what_is_written_does_not_wait_for_a_comparison(kit: HubKit, monkeypatch: pytest.MonkeyPatch) -> None:
    node, other = await kit.enrol("UP01"), await kit.enrol("UP02")
    await node.send([registered(new_id())])
    held: dict[holdings.Log, Ranges] = {(node.run, Stream.CLINICAL): Ranges((1, 2))}
    comparing, go_on = threading.Event(), threading.Event()
    compare = holdings.compare

    def slowly(told: holdings.Holdings, held: holdings.Held, left: holdings.Held) -> holdings.Difference:
        comparing.set()
        assert go_on.wait(60)
        return compare(told, held, left)

    monkeypatch.setattr(holdings, "compare", slowly)
    told = holdings.describe(held, tuple(held), (), whole=True, question=7)
    try:
        await kit.hub.link.take(StateArrived(node.keys.node_id, holdings.encode(told)))
        await asyncio.to_thread(comparing.wait, 30)
        await other.send([registered(new_id())])
        assert not node.states
    finally:
        go_on.set()
    await node.until(lambda: bool(node.states))
    assert node.states == [holdings.Wanted((), False, False, 7)]


async def test_what_a_node_sent_before_it_asked_is_not_asked_for_again(kit: HubKit) -> None:
    """The bundle waits for the writer when the question comes."""
    node = await kit.enrol()
    begun, free = threading.Event(), threading.Event()

    def occupy(connection: Connection) -> None:
        begun.set()
        assert free.wait(60)

    busy = kit.hub.store.write_later(occupy)
    await asyncio.to_thread(begun.wait, 30)
    payload = node.entries([registered(new_id())])
    held: dict[holdings.Log, Ranges] = {(node.run, Stream.CLINICAL): Ranges((1, 2))}
    told = holdings.describe(held, tuple(held), (), whole=True, question=7)
    await kit.hub.link.take(BundleArrived(node.keys.node_id, b"bundle id..", seal.Grade.LOG, payload, b""))
    await kit.hub.link.take(StateArrived(node.keys.node_id, holdings.encode(told)))
    await asyncio.sleep(0)
    free.set()
    await asyncio.wrap_future(busy)
    await node.until(lambda: bool(node.states))
    assert node.states == [holdings.Wanted((), False, False, 7)]


async def test_a_node_that_asks_again_while_it_is_given_back_is_sent_each_entry_once(kit: HubKit) -> None:
    node = await kit.enrol()
    for _ in range(3):
        patient, visit = new_id(), new_id()
        await node.send([registered(patient), *visit_events(visit, patient)])
    nothing = holdings.Holdings(True, holdings.digest_of({}), ())
    for _ in range(3):
        node.endpoint.send_state(holdings.encode(nothing), 1, kit.clock.monotonic_s())
    await node.until(lambda: len(node.states) >= 3 and bool(node.downs))
    for _ in range(100):
        await node.step()
    given = [
        (payload.run, seq)
        for payload in payloads(node, [DownBlob(node.keys.node_id, seq, blob, 0) for seq, blob in node.downs.items()])
        if payload.stream == Stream.CLINICAL
        for seq in range(payload.first_seq, payload.first_seq + len(payload.entries))
    ]
    assert sorted(given) == [(node.run, seq) for seq in range(1, 31)]


async def test_what_this_release_cannot_read_is_kept_passed_on_and_counted_for_a_person(kit: HubKit) -> None:
    """An unknown kind, a dictionary and a format of another release: from the node to the report, and back."""
    node = await kit.enrol()
    raw = msgspec.msgpack.encode(ev.Entry(60, 3, 1 << 20, "anm1", b"\x91\x01"))
    await node.send_payload(BundlePayload(1, node.run, Stream.CLINICAL, 1, (raw,)))
    for first in (b"\x01\xfe", b"\x7f\x00"):
        sealed = node.endpoint._epoch.seal_bundle(seal.pad(first + bytes(30)))
        ref = BundleRef(node.endpoint.opening, sealed, seal.bundle_id(sealed))
        node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
        await node.until(lambda ref=ref: ref.bundle_id in node.acked)  # type: ignore[misc]
        assert node.acked[ref.bundle_id] is True
    assert await kit.hub.store.read(returns.unknown_kinds) == {"60": 1}
    aside = await kit.hub.store.read(returns.quarantined_by_reason)
    assert aside == {"dictionary_unknown": 1, "format_unknown": 1}
    again = payloads(node, await ask(kit, node))
    assert raw in [entry for payload in again for entry in payload.entries]

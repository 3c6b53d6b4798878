"""Releases that are years apart: a frozen level-1 peer at either end, and a peer that is ahead of this release."""

import json
from pathlib import Path

import pytest

from edge.sync import bundle, seal
from edge.sync import frames as fr
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.link import BundleArrived, Cls
from edge.sync.versions import FIRST, OURS, Reads, Span, common_level

from . import level1
from .kit import Keyring, Medium, World

RECORDED = json.loads((Path(__file__).parents[1] / "vectors" / "level1.json").read_text())
AHEAD = bytes((0x50, 3)) + b"new" + bytes((0x7F, 0)) + level1.frag(9, 1, 7, b"a kind of a later release")
"""A frame that asks to be acknowledged, one that does not, and a message of an unknown kind."""


def payload(run: bytes, seq: int, text: bytes) -> bundle.BundlePayload:
    return bundle.BundlePayload(1, run, 2, seq, (text,))


def test_level_one_frames_are_still_the_recorded_bytes() -> None:
    names: dict[str, fr.Frame] = {
        "frag": fr.Frag(1, 1, 300, 0, 5, b"piece"),
        "ack": fr.Ack(b"\1\2", 70_000, 0, b"\xff\1"),
        "probe": fr.Probe(),
        "stored": fr.Stored(bytes(range(11)), 1),
        "stored_here": fr.StoredHere(1, ((3, 3), (300, 304))),
        "down_stored": fr.DownStored(258),
        "path": fr.Path(True, bytes(range(8))),
        "hello": fr.Hello(FIRST),
    }
    assert set(RECORDED) == set(names)
    for name, frame in names.items():
        recorded = bytes.fromhex(RECORDED[name])
        assert fr.decode(recorded) == [frame]
        assert level1.parse(recorded)
        if name != "hello":
            assert fr.encode(frame) == recorded
    assert level1.frag(1, 1, 300, b"piece").hex() == RECORDED["frag"]
    assert level1.ack(b"\1\2", 70_000, b"\xff\1").hex() == RECORDED["ack"]
    assert level1.PROBE.hex() == RECORDED["probe"]


def test_an_old_node_delivers_to_todays_hub_and_gets_its_prescriptions() -> None:
    world = World(Medium(1))
    keys, now = Keyring(), 1_000.0
    run = world.draw.randbytes(8)
    node = level1.OldNode(keys.node, run, keys.log, world.draw.randbytes(32))
    hub = HubEndpoint(keys.hub, keys, now, unix_offset_s=0, random=world.draw.randbytes)
    names = [node.submit(bundle.pack(payload(run, n, b"entry %d" % n), model=None)) for n in range(1, 5)]
    hub.send_down(keys.node_id, 9, seal.seal_down(keys.record, 9, b"rx", keys.sign), Cls.CLINICAL, now)
    entries: list[bytes] = []
    for _ in range(40):
        now += 0.5
        for datagram in node.datagrams():
            hub.receive(datagram, ("udp", 1), now)
        while (event := hub.next_event()) is not None:
            if isinstance(event, BundleArrived):
                entries += event.payload.entries
                hub.bundle_stored(event.node_id, event.bundle_id)
        for datagram, _ in hub.datagrams_to_send(now):
            node.receive(datagram)
    assert node.stored == set(names) and not node.waiting
    assert sorted(entries) == [b"entry %d" % n for n in range(1, 5)]
    assert node.downs == {9}
    assert node.unreadable == 0
    assert hub.reads(keys.node_id) == FIRST
    assert hub.presence(keys.node_id, now).level == 1


@pytest.mark.parametrize("extra", [b"", AHEAD])
def test_todays_node_delivers_to_an_old_hub_and_to_one_that_says_more_than_it_knows(extra: bytes) -> None:
    world = World(Medium(1))
    keys, now = Keyring(), 1_000.0
    run = world.draw.randbytes(8)
    hub = level1.OldHub(keys.hub, keys.record, world.draw.randbytes(6))
    hub.extra = extra
    node = NodeEndpoint(
        keys.node, run, world.draw.randbytes(32), seal.Grade.LOG, keys.log, now, random=world.draw.randbytes
    )
    texts = [b"entry %d" % n * 9 for n in range(1, 5)]
    for n, text in enumerate(texts, 1):
        node.submit_bundle(node.seal_bundle(payload(run, n, text)), 1, now)
    for _ in range(60):
        now += 0.5
        for datagram, _ in node.datagrams_to_send(now):
            hub.receive(datagram)
        for datagram in hub.datagrams():
            node.receive(datagram, "udp", now)
    assert sorted(bundle.unpack(packed).entries[0] for packed in hub.bundles.values()) == texts
    assert node.link_state(now).backlog_items == 0
    assert node.link_state(now).level == 1
    assert hub.unreadable == 0


def test_a_node_packs_only_what_its_hub_has_said_that_it_reads() -> None:
    world = World(Medium(1))
    world.go(2)
    assert world.node.hub_reads == OURS
    entries = payload(world.run, 1, b"an entry")
    world.node.hub_reads = Reads(Span(1, 1), Span(1, 1), Span(3, 4), Span(9, 9))
    ref = world.node.seal_bundle(entries)
    packed = seal.open_opening(ref.opening, world.keys.hub, world.keys.record).open_bundle(ref.sealed)
    assert packed[:2] == bytes((bundle.FORMAT, bundle.NO_DICTIONARY))


def test_a_side_that_has_dropped_our_level_is_named_and_nothing_is_lost() -> None:
    world = World(Medium(1))
    world.go(2)
    later = Reads(Span(5, 7), OURS.formats, OURS.dictionaries, OURS.models)
    assert common_level(later) is None
    assert common_level(Reads(Span(1, 7), *OURS[1:])) == OURS.levels.newest
    session = world.hub._nodes[world.keys.node_id].current
    assert session is not None
    session.arq.control(fr.Hello(later))
    world.hub._dirty[session] = None
    assert world.go(5, lambda: world.node.hub_reads == later)
    assert world.node.link_state(world.now).level == 0
    name = world.submit((b"kept",))
    world.go(5)
    assert name in world.acked or name in world.outbox


def test_frames_of_a_later_release_are_acknowledged_and_passed_over() -> None:
    world = World(Medium(1))
    world.go(2)
    session = world.hub._nodes[world.keys.node_id].current
    assert session is not None
    session.arq.control(fr.Unknown(0x50, b"new"))
    world.hub._dirty[session] = None
    world.go(0.01)
    assert session.arq._sent
    world.go(2)
    assert not session.arq._sent
    assert not fr.eliciting(fr.Unknown(0x60, b""))
    with pytest.raises(fr.FrameRefused):
        fr.decode(bytes((0x3F, 0)))
    longer = bytes((0x40, 9)) + bytes.fromhex(RECORDED["hello"])[2:] + b"\1"
    assert fr.decode(longer) == [fr.Hello(FIRST)]

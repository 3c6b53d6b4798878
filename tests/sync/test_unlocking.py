"""Asking the hub to open a node: on the wire, over a bad medium, and what is never answered."""

import json
from pathlib import Path

from edge.sync import frames as fr
from edge.sync import seal
from edge.sync.link import UnlockAsked, UnlockTold
from tests.sync.kit import Medium, World

REQUEST, SECRET = bytes(range(8)), bytes(range(32))
VECTORS = Path(__file__).parents[1] / "vectors" / "unlock.json"


def locked(world: World) -> None:
    """As a node that was started and not opened: device grade."""
    world.node.set_grade(seal.Grade.DEVICE, world.keys.device, world.now)
    world.go(3)


def asked(world: World) -> list[bytes]:
    return [event.request for event in world.hub_events if isinstance(event, UnlockAsked)]


def told(world: World) -> list[tuple[int, bytes]]:
    return [(event.state, event.secret) for event in world.node_events if isinstance(event, UnlockTold)]


def test_the_frames_are_as_published() -> None:
    vector = json.loads(VECTORS.read_text())
    published: dict[str, fr.Frame] = {
        "ask": fr.UnlockAsk(REQUEST, 0xCAFEF00D),
        "waits": fr.Unlock(REQUEST, fr.UNLOCK_WAITS),
        "refused": fr.Unlock(REQUEST, fr.UNLOCK_REFUSED),
        "released": fr.Unlock(REQUEST, fr.UNLOCK_RELEASED, SECRET),
    }
    assert vector.keys() == published.keys()
    for name, frame in published.items():
        assert fr.encode(frame).hex() == vector[name]
        assert fr.decode(bytes.fromhex(vector[name])) == [frame]
    assert SECRET.hex() not in repr(published["released"])


def test_a_request_reaches_the_hub_and_its_answer_the_node_on_a_bad_link() -> None:
    world = World(Medium(5, delay_s=0.5, jitter_s=0.3, loss=0.3))
    locked(world)
    world.node.unlock.begin(REQUEST)
    assert world.go(60, lambda: REQUEST in asked(world))
    world.hub.tell_unlock(world.keys.node_id, REQUEST, fr.UNLOCK_WAITS)
    assert world.go(60, lambda: (fr.UNLOCK_WAITS, b"") in told(world))
    count = len(asked(world))
    assert world.go(60, lambda: len(asked(world)) >= count + 2), "it asks until it is told for good"
    world.hub.tell_unlock(world.keys.node_id, REQUEST, fr.UNLOCK_RELEASED, SECRET)
    assert world.go(60, lambda: (fr.UNLOCK_RELEASED, SECRET) in told(world))
    world.node.unlock.end()
    world.go(10)
    count = len(asked(world))
    world.go(60)
    assert len(asked(world)) == count


def test_an_answer_leaves_in_the_session_that_asked_and_in_no_other() -> None:
    world = World(Medium(6))
    locked(world)
    world.node.unlock.begin(REQUEST)
    assert world.go(20, lambda: REQUEST in asked(world))
    world.node.unlock.end()
    world.start_node()
    locked(world)
    world.node.unlock.request = REQUEST
    world.hub.tell_unlock(world.keys.node_id, REQUEST, fr.UNLOCK_RELEASED, SECRET)
    world.node.unlock.end()
    world.go(10)
    assert told(world) == []
    world.hub.tell_unlock(world.keys.node_id, bytes(8), fr.UNLOCK_RELEASED, SECRET)
    world.go(10)
    assert told(world) == []


def test_a_revoked_node_is_neither_heard_nor_answered() -> None:
    world = World(Medium(7))
    locked(world)
    world.node.unlock.begin(REQUEST)
    assert world.go(20, lambda: REQUEST in asked(world))
    record = world.keys.record
    world.keys.record = seal.NodeRecord(
        record.node_id, record.psk, record.device_public, record.log_public, record.records_public, revoked=True
    )
    count = len(asked(world))
    world.hub.tell_unlock(world.keys.node_id, REQUEST, fr.UNLOCK_RELEASED, SECRET)
    world.go(60)
    assert told(world) == [] and len(asked(world)) == count


def test_a_request_with_a_nonce_that_is_not_fresh_is_not_heard() -> None:
    world = World(Medium(8))
    locked(world)
    for nonce in (0, 0xFFFFFFFF):
        _, datagram = world.node._seal([fr.UnlockAsk(REQUEST, nonce)])
        world.hub.receive(datagram, world.address, world.now)
        world.go(1)
    assert asked(world) == []
    known = world.node._nonce
    assert known is not None
    world.medium.cut = True
    world.go(31)
    _, datagram = world.node._seal([fr.UnlockAsk(REQUEST, known[0])])
    world.hub.receive(datagram, world.address, world.now)
    world.go(1)
    assert asked(world) == []

"""Many nodes at one hub process: timers found without a search, and which sessions go when there are too many."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sync import endpoint_hub, seal
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.timers import Timers
from tests.sync.kit import Keyring

NODES, MOST, REPLAYS = 12, 20, 40


@given(st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 50), st.integers(0, 3)), max_size=300))
def test_what_is_due_is_what_a_table_of_times_says(steps: list[tuple[int, int | None, int]]) -> None:
    timers: Timers[int] = Timers()
    table: dict[int, float] = {}
    now = 0.0
    for key, due, pause in steps:
        timers.set(key, due)
        table.pop(key, None)
        if due is not None:
            table[key] = due
        now += pause
        assert timers.next() == min(table.values(), default=None)
        found = timers.due(now)
        assert sorted(found) == sorted(key for key, at in table.items() if at <= now)
        assert [table[key] for key in found] == sorted(table[key] for key in found)
        table = {key: at for key, at in table.items() if at > now}
        assert len(timers) == len(table)


class _Directory:
    def __init__(self, rings: Sequence[Keyring]) -> None:
        self._rings = {ring.node_id: ring for ring in rings}

    def by_hint(self, hint: bytes) -> Sequence[seal.NodeRecord]:
        return [ring.record for ring in self._rings.values() if seal.node_hint(ring.node_id) == hint]

    def by_id(self, node_id: bytes) -> seal.NodeRecord | None:
        return self._rings[node_id].record if node_id in self._rings else None


def _talk(hub: HubEndpoint, nodes: dict[bytes, NodeEndpoint], now: float) -> None:
    """Datagrams both ways until nobody says anything."""
    while True:
        up = [(data, name) for name, node in nodes.items() for data, _ in node.datagrams_to_send(now)]
        for data, name in up:
            hub.receive(data, ("udp", name), now)
        down = hub.datagrams_to_send(now)
        for data, path in down:
            assert isinstance(path, tuple)
            if path[1] in nodes:
                nodes[path[1]].receive(data, "udp", now)
        if not up and not down:
            return


def test_of_too_many_sessions_those_that_nobody_uses_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_hub, "SESSIONS_MAX", MOST)
    draw = random.Random(5)
    hub_keys = Keyring(0).hub
    rings = [Keyring(0)] + [_member(number) for number in range(1, NODES)]
    hub = HubEndpoint(hub_keys, _Directory(rings), 1000.0, unix_offset_s=1e9, random=draw.randbytes)

    def endpoint(ring: Keyring, now: float) -> NodeEndpoint:
        return NodeEndpoint(
            ring.node, draw.randbytes(8), draw.randbytes(32), seal.Grade.LOG, ring.log, now, random=draw.randbytes
        )

    nodes = {ring.node_id: endpoint(ring, 1000.0) for ring in rings}
    now = 1000.0
    for _ in range(20):
        now += 0.1
        _talk(hub, nodes, now)
    assert len(hub.online(now)) == NODES
    # Openings that were recorded elsewhere come again, from an address that proves nothing.
    for number in range(REPLAYS):
        now += 0.01
        recorded = endpoint(rings[number % NODES], now)
        for data, _ in recorded.datagrams_to_send(now):
            hub.receive(data, ("udp", b"stranger"), now)
        hub.datagrams_to_send(now)
    now += 0.5
    for _ in range(10):
        now += 0.1
        _talk(hub, nodes, now)
    assert len(hub.online(now)) == NODES
    assert hub._session_count <= MOST
    assert hub._session_count == sum(map(len, hub._sessions.values()))


def _member(number: int) -> Keyring:
    """Another node of the same hub."""
    ring = Keyring(number + 100)
    first = Keyring(0)
    ring.hub = first.hub
    ring.node = seal.NodeKeys(
        ring.node_id, ring.node.psk, ring.device, first.node.hub_root, first.node.hub_sign, first.node.hub_kem
    )
    return ring

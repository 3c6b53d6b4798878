"""A Hypothesis machine drives both ends through a dying medium: nothing lost, nothing doubled, nothing early."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.sync import frames as fr
from edge.sync import seal
from edge.sync.link import DownArrived
from edge.sync.meter import Meter, Used
from edge.sync.versions import OURS, Reads, Span
from tests.sync.kit import Medium, World, watch_nonces


class TwoEnds(RuleBasedStateMachine):
    """Rules are what field life does; invariants are what must never happen."""

    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed: int) -> None:
        self.nonces = watch_nonces()
        self.world = World(Medium(seed, delay_s=0.3), seed)
        self.names: list[bytes] = []
        self.texts: list[bytes] = []
        self.downs = 0
        self.spoken = 0

    @rule(
        loss=st.sampled_from((0.0, 0.03, 0.15, 0.4)),
        doubling=st.sampled_from((0.0, 0.3)),
        jitter_s=st.sampled_from((0.0, 0.5, 3.0)),
        rate_bps=st.sampled_from((None, 32_000.0, 128_000.0)),
    )
    def weather(self, loss: float, doubling: float, jitter_s: float, rate_bps: float | None) -> None:
        medium = self.world.medium
        medium.loss, medium.doubling, medium.jitter_s, medium.rate_bps = loss, doubling, jitter_s, rate_bps

    @rule(count=st.integers(1, 4), size=st.sampled_from((1, 60, 900, 6_000)), cls=st.sampled_from((0, 1, 1, 3)))
    def record(self, count: int, size: int, cls: int) -> None:
        entries = tuple(self.world.draw.randbytes(size) for _ in range(count))
        self.texts += entries
        self.names.append(self.world.submit(entries, cls))

    @rule()
    def prescribe(self) -> None:
        self.downs += 1
        self.world.prescribe(self.downs, b"rx %d" % self.downs)

    @rule(count=st.integers(1, 3), size=st.sampled_from((5, 3_000)))
    def signal_both_ways(self, count: int, size: int) -> None:
        for _ in range(count):
            self.spoken += 1
            number, noise = b"%08d" % self.spoken, self.world.draw.randbytes(size)
            self.world.node.send_signal(self.world.run + number + noise, self.world.now)
            self.world.hub.send_signal(self.world.keys.node_id, self.world.hub_run + number + noise, self.world.now)

    @rule(seconds=st.sampled_from((0.05, 0.4, 2.0, 20.0)))
    def time_passes(self, seconds: float) -> None:
        self.world.go(seconds)

    @rule()
    def the_link_dies_or_comes_back(self) -> None:
        self.world.medium.cut = not self.world.medium.cut

    @rule(port=st.integers(1, 5))
    def the_address_changes(self, port: int) -> None:
        self.world.address = ("udp", ("10.0.0.1", port))

    @rule(delay_s=st.sampled_from((0.0, 0.01, 5.0)))
    def the_disk_is_fast_or_slow(self, delay_s: float) -> None:
        self.world.store_delay_s = delay_s

    @rule(used=st.booleans())
    def the_days_cap_is_used_up_or_a_new_day_begins(self, used: bool) -> None:
        self.world.node.meter = Meter({"udp": 1}, used=Used(0, {"udp": 1}, {})) if used else Meter()

    @rule(rate_bps=st.sampled_from((None, 0.0, 4_000.0, 30_000.0)))
    def a_call_begins_or_ends(self, rate_bps: float | None) -> None:
        self.world.node.limit_bulk(rate_bps)

    @rule(newest=st.integers(1, 9), at_hub=st.booleans())
    def the_other_side_is_of_another_release(self, newest: int, at_hub: bool) -> None:
        """It says so, and sends frames and a message that this release does not know."""
        world = self.world
        arqs = [world.node._arq] if at_hub else [s.arq for node in world.hub._nodes.values() for s in node.sessions[:1]]
        for arq in arqs:
            arq.control(fr.Hello(Reads(Span(1, newest), *OURS[1:])))
            arq.control(fr.Unknown(0x55, world.draw.randbytes(9)))
            arq.control(fr.Frag(11, 7, 4_000 + newest, 0, 3, b"new"))

    @rule()
    def the_node_restarts(self) -> None:
        self.world.start_node()

    @rule()
    def the_hub_restarts(self) -> None:
        self.world.start_hub()

    @rule()
    def the_epoch_ends(self) -> None:
        self.world.node.rotate(self.world.now)

    @invariant()
    def nothing_is_acknowledged_before_it_is_stored(self) -> None:
        if hasattr(self, "world"):
            assert set(self.world.acked) <= set(self.world.hub_offers)
            assert set(self.world.downs_confirmed) <= set(self.world.downs_held)

    @invariant()
    def signals_of_a_process_come_in_order_and_once_to_each_process(self) -> None:
        if hasattr(self, "world"):
            for heard in (self.world.hub_signals, self.world.node_signals):
                for sender in {blob[:8] for blob in heard}:
                    numbers = [blob[8:16] for blob in heard if blob[:8] == sender]
                    assert numbers == sorted(set(numbers))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.settle()
        finally:
            self.nonces.stop()
        assert self.nonces.sealed
        assert not self.nonces.repeated

    def settle(self) -> None:
        """The weather clears: within minutes everything is where it belongs."""
        world = self.world
        medium = world.medium
        medium.cut, medium.loss, medium.rate_bps, medium.jitter_s = False, 0.0, None, 0.0
        world.store_delay_s = 0.0
        world.node.meter = Meter()
        world.node.limit_bulk(None)
        world.go(400, lambda: not world.outbox and not world.downs_wanted and set(self.names) <= set(world.hub_offers))
        assert not world.outbox, "an entry was not delivered"
        assert not world.downs_wanted, "a prescription was not delivered"
        assert sorted(world.hub_log.values()) == sorted(self.texts)
        assert sorted(world.downs_held) == list(range(1, self.downs + 1))
        seqs = [event.seq for event in world.node_events if isinstance(event, DownArrived)]
        assert set(seqs) == set(world.downs_held)
        opened = [
            seal.open_down(blob, world.keys.node_id, world.keys.records, world.keys.node.hub_sign)
            for blob in world.downs_held.values()
        ]
        assert sorted((down.seq, down.payload) for down in opened) == [
            (seq, b"rx %d" % seq) for seq in range(1, self.downs + 1)
        ]


TwoEnds.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTwoEnds = TwoEnds.TestCase

"""Which bearer a node uses, on simulated links: UDP and a WebSocket over the same bad way."""

from collections.abc import Hashable

import pytest

from edge.sync.bearers.switch import RETURN_ANSWERS, SILENT_S, Switch

from .kit import Medium, World

CONNECT_ROUND_TRIPS = 4
UDP: Hashable = ("udp", ("10.0.0.1", 1))
WSS: Hashable = ("wss", 1)


class Steered(World):
    """A world whose node chooses its bearer as the runner lets it choose."""

    def __init__(self, medium: Medium, seed: int = 7) -> None:
        self.choice = Switch(1000.0)
        self.udp_blocked = False
        self.wss_up = False
        self.connections = 0
        self._connected_s: float | None = None
        super().__init__(medium, seed)

    def step(self) -> None:
        link_down = self.medium.cut
        if self._connected_s is not None and self._connected_s <= self.now:
            self._connected_s, self.wss_up = None, not link_down
        steps = self.choice.steer(self.node.silence(self.now), wss_up=self.wss_up, now=self.now)
        self.node.use_path(steps.path, self.now)
        if steps.connect_wss and self._connected_s is None:
            self.connections += 1
            if not link_down:
                self._connected_s = self.now + CONNECT_ROUND_TRIPS * 2 * self.medium.delay_s
        if steps.drop_wss:
            self.wss_up = False
        if steps.ask_udp:
            self.node.probe_path("udp", self.now)
        for way, data, path in self.medium.due(self.now):
            if path == UDP and self.udp_blocked:
                continue
            if way == "up":
                self.hub.receive(data, path, self.now)
            elif self.node.receive(data, "udp" if path == UDP else "wss", self.now):
                self.choice.heard("udp" if path == UDP else "wss", self.now)
        self._apply()
        for data, path in self.node.datagrams_to_send(self.now):
            if path == "udp" or self.wss_up:
                self.medium.send("up", data, UDP if path == "udp" else WSS, self.now)
        for data, path in self.hub.datagrams_to_send(self.now):
            if path == UDP or self.wss_up:
                self.medium.send("down", data, path, self.now)

    def _apply(self) -> None:
        while (heard := self.node.next_event()) is not None:
            self._node_hears(heard)
        while (told := self.hub.next_event()) is not None:
            self._hub_hears(told)
        for at, event in [item for item in self._storing if item[0] <= self.now]:
            self._storing.remove((at, event))
            self._hub_stores(event)

    def pass_time(self, seconds: float) -> None:
        """Steer at least once a second, as the runner does."""
        for _ in range(int(seconds)):
            self.go(1.0)


def test_a_link_that_a_call_fills_stays_on_udp() -> None:
    for seed in range(20):
        medium = Medium(seed, loss=0.02, delay_s=0.2, jitter_s=1.0)  # the call's queue comes and goes
        medium.rate_bps = 64_000
        world = Steered(medium, seed)
        for number in range(60):
            world.pass_time(5)
            world.node.send_signal(b"candidate %d" % number, world.now)
            if number % 4 == 0:
                world.submit((world.draw.randbytes(400),))
        assert world.choice.moves == 0
        assert world.connections == 0


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_an_idle_link_with_heavy_loss_is_not_called_blocked(loss: float) -> None:
    for seed in range(10):
        world = Steered(Medium(seed, loss=loss, delay_s=0.3), seed)
        world.pass_time(600)
        assert world.choice.moves == 0


def test_udp_that_is_blocked_is_left_once_and_taken_again_once_it_answers() -> None:
    world = Steered(Medium(1, loss=0.02, delay_s=0.2))
    world.pass_time(30)
    world.udp_blocked = True
    bundle_id = world.submit((b"behind the wall",))
    world.pass_time(30)
    assert bundle_id in world.acked
    assert (world.choice.path, world.choice.moves) == ("wss", 1)
    world.pass_time(600)
    assert world.choice.moves == 1
    world.udp_blocked = False
    world.pass_time(40)
    assert (world.choice.path, world.choice.moves) == ("udp", 2)
    assert not world.wss_up
    again = world.submit((b"in the open",))
    world.pass_time(300)
    assert again in world.acked
    assert world.choice.moves == 2


def test_an_outage_of_the_whole_link_moves_no_bearer() -> None:
    for seed in range(10):
        world = Steered(Medium(seed, loss=0.02, delay_s=0.3), seed)
        world.pass_time(20)
        for cut_s in (20, 45, 300):
            world.medium.cut = True
            name = world.submit((b"entry",))
            world.pass_time(cut_s + seed)
            world.medium.cut = False
            world.pass_time(60)
            assert name in world.acked
        assert world.choice.moves == 0


def test_udp_that_comes_and_goes_is_tried_ever_more_rarely() -> None:
    world = Steered(Medium(2, delay_s=0.2))
    world.pass_time(20)
    for _ in range(60):
        world.udp_blocked = not world.udp_blocked
        world.pass_time(60)
    assert world.choice.moves <= 20


def test_a_websocket_that_dies_while_udp_is_blocked_is_opened_again_at_once() -> None:
    world = Steered(Medium(3, delay_s=0.2))
    world.udp_blocked = True
    world.pass_time(40)
    assert world.choice.path == "wss"
    world.wss_up = False
    world.pass_time(4)
    assert (world.choice.path, world.wss_up) == ("wss", True)


def test_one_stray_answer_over_udp_brings_nobody_back() -> None:
    world = Steered(Medium(4, delay_s=0.2))
    world.udp_blocked = True
    world.pass_time(40)
    for _ in range(RETURN_ANSWERS - 1):
        world.choice.heard("udp", world.now)
    world.pass_time(60)
    assert world.choice.path == "wss"


def test_udp_is_not_left_before_it_was_silent_for_twelve_seconds() -> None:
    world = Steered(Medium(5, delay_s=0.2))
    world.pass_time(20)
    world.udp_blocked = True
    world.submit((b"entry",))
    world.pass_time(SILENT_S - 1)
    assert world.connections == 0

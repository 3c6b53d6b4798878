"""Attack 2 of SEALING.md, on simulated time: two processes of one node at once are noticed, a restart is not."""

from edge.sync import holdings, seal
from edge.sync.endpoint import NodeEndpoint
from edge.sync.hub_node import TWICE_AFTER_S, TWICE_EVERY_S
from edge.sync.link import HubMet, NodeTwice, StateArrived
from tests.sync.kit import Medium, World


class TwoCopies(World):
    """A second copy of the node's card speaks to the same hub from another address."""

    def start_clone(self) -> None:
        self.clone_run = self.draw.randbytes(8)
        self.clone = NodeEndpoint(
            self.keys.node,
            self.clone_run,
            self.draw.randbytes(32),
            seal.Grade.LOG,
            self.keys.log,
            self.now,
            random=self.draw.randbytes,
        )

    def both(self, seconds: float) -> None:
        """Both processes speak for a while, each at its keep-alive."""
        end = self.now + seconds
        while self.now < end:
            self.go(1.0)
            for data, _ in self.clone.datagrams_to_send(self.now):
                self.hub.receive(data, ("udp", ("10.0.0.2", 2)), self.now)
            for data, path in self.hub.datagrams_to_send(self.now):
                if path == ("udp", ("10.0.0.2", 2)):
                    self.clone.receive(data, "udp", self.now)
                else:
                    self.medium.send("down", data, path, self.now)
            while self.clone.next_event() is not None:
                pass

    def noticed(self) -> list[NodeTwice]:
        return [event for event in self.hub_events if isinstance(event, NodeTwice)]


def test_02_two_live_copies_of_a_card_are_noticed_and_told_once_in_ten_minutes() -> None:
    world = TwoCopies(Medium(1))
    world.go(5)
    world.start_clone()
    world.both(TWICE_AFTER_S - 20)
    assert world.noticed() == []
    world.both(60)
    assert len(world.noticed()) == 1
    found = world.noticed()[0]
    assert {found.run, found.other} == {world.run, world.clone_run}
    world.both(TWICE_EVERY_S / 2)
    assert len(world.noticed()) == 1


def test_02_a_node_that_restarts_often_is_not_taken_for_two() -> None:
    world = World(Medium(2, loss=0.05, delay_s=1.0, jitter_s=3.0))
    for _ in range(20):
        world.go(40)
        world.start_node()
    world.go(200)
    assert not [event for event in world.hub_events if isinstance(event, NodeTwice)]


def test_a_meeting_is_told_once_for_each_session_and_states_arrive_both_ways() -> None:
    world = World(Medium(3, loss=0.2))
    world.go(30)
    assert sum(isinstance(event, HubMet) for event in world.node_events) == 1
    world.node.send_state(b"from the node", 1, world.now)
    world.hub.send_state(world.keys.node_id, b"from the hub", 3, world.now)
    world.go(60)
    assert [event.body for event in world.hub_events if isinstance(event, StateArrived)] == [b"from the node"]
    assert [event.body for event in world.node_events if isinstance(event, StateArrived)] == [b"from the hub"]
    world.start_hub()
    world.go(60)
    assert sum(isinstance(event, HubMet) for event in world.node_events) == 2


def test_a_device_grade_session_is_not_asked_and_not_heard() -> None:
    world = World(Medium(4))
    world.node.set_grade(seal.Grade.DEVICE, world.keys.device, world.now)
    world.go(20)
    body = holdings.encode(holdings.Holdings(True, bytes(8), ()))
    world.node.send_state(body, 1, world.now)
    world.go(20)
    assert not [event for event in world.hub_events if isinstance(event, StateArrived)]

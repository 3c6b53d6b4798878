"""Node and hub over a medium on simulated time."""

from collections import Counter
from collections.abc import Hashable
from itertools import pairwise

import pytest

from edge.sync import frames as fr
from tests.sync.kit import Medium, World


def test_a_bundle_is_durable_at_the_hub_one_round_trip_after_it_was_submitted() -> None:
    world = World(Medium(1, delay_s=0.3))
    world.go(5)
    start = world.now
    name = world.submit((b"entry one", b"entry two"))
    assert world.go(5, lambda: name in world.acked)
    assert world.now - start < 0.65
    assert sorted(world.hub_log.values()) == [b"entry one", b"entry two"]


def test_the_first_packet_of_a_process_may_carry_a_bundle() -> None:
    world = World(Medium(1, delay_s=0.3))
    start = world.now
    name = world.submit((b"cold",))
    assert world.go(5, lambda: name in world.acked)
    assert world.now - start < 0.65


def test_a_prescription_reaches_the_node_and_the_hub_learns_that_it_is_stored() -> None:
    world = World(Medium(2, delay_s=0.2))
    world.go(3)
    world.prescribe(1, b"rx")
    assert world.go(5, lambda: world.downs_confirmed == [1])


def test_signals_go_both_ways_in_order_and_once() -> None:
    world = World(Medium(3, delay_s=0.1, jitter_s=0.2, loss=0.2))
    world.go(3)
    for number in range(20):
        world.node.send_signal(b"up %d" % number * 20, world.now)
        assert world.hub.send_signal(world.keys.node_id, b"down %d" % number * 20, world.now)
    assert world.go(20, lambda: len(world.node_signals) == 20 and len(world.hub_signals) == 20)
    assert world.hub_signals == [b"up %d" % number * 20 for number in range(20)]
    assert world.node_signals == [b"down %d" % number * 20 for number in range(20)]


def test_a_hub_that_restarts_hears_everything_again() -> None:
    world = World(Medium(4, delay_s=0.2))
    world.store_delay_s = 60.0
    names = [world.submit((b"entry %d" % number,)) for number in range(10)]
    world.go(3)
    world.store_delay_s = 0.0
    world.start_hub()
    world.prescribe(9, b"rx")
    assert world.go(30, lambda: set(names) <= set(world.acked) and 9 in world.downs_confirmed)
    assert len(world.hub_log) == 10


def test_a_node_that_restarts_sends_what_an_earlier_epoch_sealed() -> None:
    world = World(Medium(5, delay_s=0.2))
    world.medium.cut = True
    names = [world.submit((b"entry %d" % number,)) for number in range(5)]
    world.go(2)
    world.start_node()
    world.medium.cut = False
    names.append(world.submit((b"new",)))
    assert world.go(30, lambda: set(names) <= set(world.acked))
    assert len(world.hub_log) == 6
    assert not world.outbox


def test_an_idle_link_is_not_taken_for_a_silent_one() -> None:
    world = World(Medium(6, delay_s=0.2))
    name = world.submit((b"entry",))
    assert world.go(5, lambda: name in world.acked)
    for _ in range(60):
        world.go(1)
        assert world.node.silent_for_s(world.now) < 2


def test_a_link_without_answers_is_silent_from_its_first_unanswered_packet() -> None:
    world = World(Medium(7, delay_s=0.2))
    world.go(5)
    world.medium.cut = True
    world.submit((b"entry",))
    world.go(9)
    assert 8 < world.node.silent_for_s(world.now) <= 9


def _connected(world: World) -> tuple[bool, bool]:
    """Whether the hub shows the node, and the node the hub."""
    return world.hub.presence(world.keys.node_id, world.now).online, world.node.link_state(world.now).online


def test_an_idle_cut_shows_at_both_ends_after_a_keep_alive_and_two_round_trips() -> None:
    world = World(Medium(8, delay_s=0.2))
    world.go(40)
    world.medium.cut = True
    world.go(30)
    assert _connected(world) == (False, False)


def test_a_nat_that_forgets_after_thirty_seconds_is_refreshed_even_when_a_keep_alive_is_lost() -> None:
    world = World(Medium(12, delay_s=0.2))
    world.go(5)
    came, send = [world.now], world.medium.send

    def lose_what_ends_a_silence(way: str, data: bytes, path: Hashable, now: float) -> None:
        if way == "up" and now - came[-1] > 20.0 and len(came) % 2:
            came.append(came[-1])
            return
        if way == "up":
            came.append(now)
        send(way, data, path, now)

    world.medium.send = lose_what_ends_a_silence  # type: ignore[method-assign]
    world.go(600)
    assert len(set(came)) > 20 and len(came) > len(set(came)), "some were lost"
    assert max(later - before for before, later in pairwise(came)) <= 30.0


def test_during_a_call_a_cut_shows_within_ten_seconds() -> None:
    world = World(Medium(9, delay_s=0.2))
    world.go(5)
    assert world.hub.send_signal(world.keys.node_id, b"ring", world.now)
    world.go(60)
    assert _connected(world) == (True, True)
    world.medium.cut = True
    world.go(10)
    assert _connected(world) == (False, False)
    world.medium.cut = False
    assert world.go(3, lambda: _connected(world) == (True, True))


def test_loss_alone_does_not_make_a_node_look_gone() -> None:
    gone = 0
    for seed in range(10):
        world = World(Medium(seed, loss=0.05, delay_s=0.2), seed=seed)
        world.go(30)
        for _ in range(120):
            world.go(5)
            gone += _connected(world) != (True, True)
    assert gone <= 12, "of 1,200 looks"


@pytest.mark.parametrize("store_delay_s", [0.0, 0.3], ids=["with the ACK", "after it"])
def test_a_lost_word_that_a_bundle_is_durable_is_asked_for_within_seconds(store_delay_s: float) -> None:
    world = World(Medium(10, delay_s=0.2))
    world.go(20)
    world.store_delay_s = store_delay_s
    send = world.medium.send
    lost: list[bytes] = []

    def lose_the_last_answer(way: str, data: bytes, path: Hashable, now: float) -> None:
        if way == "down" and world.hub_offers and not lost:
            lost.append(data)
            return
        send(way, data, path, now)

    world.medium.send = lose_the_last_answer  # type: ignore[method-assign]
    name = world.submit((b"entry",))
    assert world.go(4, lambda: name in world.acked)
    assert lost
    assert len(world.hub_offers) == 1


def test_a_confirmed_prescription_and_a_stored_bundle_cost_no_packet_of_their_own() -> None:
    world = World(Medium(11, delay_s=0.2))
    world.go(20)
    packets: Counter[str] = Counter()
    send = world.medium.send

    def count(way: str, data: bytes, path: Hashable, now: float) -> None:
        packets[way] += 1
        send(way, data, path, now)

    world.medium.send = count  # type: ignore[method-assign]
    name = world.submit((b"entry",))
    world.go(3)
    assert name in world.acked and packets == {"up": 1, "down": 1}
    world.prescribe(1, b"rx")
    world.go(3)
    assert world.downs_confirmed == [1] and packets == {"up": 2, "down": 2}


def test_bundles_are_named_by_their_numbers_in_one_frame() -> None:
    one, two = fr.StoredHere(1, ((3, 3),)), fr.StoredHere(1, ((4, 6),))
    assert two.join(one) == fr.StoredHere(1, ((3, 6),))
    assert one.join(fr.StoredHere(2, ((4, 4),))) is None
    assert one.join(fr.StoredHere(1, tuple((n, n) for n in range(10, 10 + 2 * fr.SPANS_MAX, 2)))) is None
    crowd = bytes((fr.SPANS_MAX + 1,)) + b"\2\0" * (fr.SPANS_MAX + 1)
    for refused in (b"", b"\0", b"\2\1\0\1\0", b"\1\0\0", crowd):
        with pytest.raises(fr.FrameRefused):
            fr.decode(b"\x0c\1" + refused)


def crowd(world: World) -> Hashable:
    """A live session whose path has no room, and bulk that waits for it."""
    world.submit((b"entry",))
    world.go(5)
    old = world.address
    world.hub.has_room = lambda path, line_bytes: path != old
    for seq in range(1, 6):
        world.prescribe(seq, world.draw.randbytes(20_000), 3)
    turns = 0

    def turn() -> bool:
        nonlocal turns
        turns += 1
        return False

    before = world.medium.bytes["down"]
    world.go(5, turn)
    assert world.medium.bytes["down"] == before, "nothing was taken for the full path"
    assert turns < 60, "it waits without being asked again and again"
    return old


def test_a_path_without_room_is_handed_nothing_and_what_is_urgent_by_then_leaves_first() -> None:
    world = World(Medium(5))
    old = crowd(world)
    world.prescribe(99, b"rx", 1)
    world.hub.has_room = lambda path, line_bytes: True
    world.hub.made_room(old)
    assert world.go(60, lambda: len(world.downs_confirmed) == 6)
    assert next(iter(world.downs_held)) == 99


def test_a_node_that_has_moved_is_followed_though_its_old_path_has_no_room() -> None:
    """A WebSocket that is stuck must not hold what another way could carry."""
    world = World(Medium(6))
    crowd(world)
    world.address = ("udp", ("10.0.0.2", 2))
    world.submit((b"from elsewhere",))
    assert world.go(60, lambda: len(world.downs_confirmed) == 5)


def test_a_signal_that_was_heard_before_the_epoch_ended_is_not_heard_again_after_it() -> None:
    """Where its acknowledgement was lost, the hub takes it along into the new session."""
    heard = 0
    for seed in range(120):
        world = World(Medium(seed, loss=0.4), seed)
        world.go(20)
        world.node.rotate(world.now)
        world.hub.send_signal(world.keys.node_id, b"ring", world.now)
        world.go(2)
        world.node.rotate(world.now)
        world.go(20)
        assert world.node_signals in ([], [b"ring"])
        heard += len(world.node_signals)
    assert heard > 60

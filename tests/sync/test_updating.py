"""Updates by link: the messages to the byte, any bytes at all, and pulling through a medium that loses and repeats."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync import updating as up
from edge.sync.link import HubEvent, HubMet, NodeEvent, UpdateHeard
from edge.sync.pace import Pace
from tests.sync.kit import Medium, World
from tests.sync.line import Line
from tests.vectors.make_updating import MESSAGES

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "updating.json").read_text())
SHA = bytes(range(32))


def test_the_vectors_hold() -> None:
    assert {name: up.encode(message).hex() for name, message in MESSAGES.items()} == VECTORS
    for name, message in MESSAGES.items():
        assert up.decode(bytes.fromhex(VECTORS[name])) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        up.decode(body)
    except up.UpdatingRefused as error:
        assert error.refusal.code == "updating_malformed"


def test_a_later_number_is_passed_over_and_a_later_field_is_no_fault() -> None:
    assert up.decode(bytes((0x92, 9, 0xC0))) is None
    longer = b"\x93" + up.encode(up.Ask("rpi"))[1:] + b"\x07"
    assert up.decode(longer) == up.Ask("rpi")


def test_a_word_that_a_database_may_refuse_is_no_message() -> None:
    up.decode(up.encode(up.Told("system", "1.2.0", "rolled_back", why="two\nlines")))
    for told in (up.Told("system", "1\0", "here"), up.Told("system", "1", "rolled_back", why="no\nhub\0\n")):
        with pytest.raises(up.UpdatingRefused):
            up.decode(up.encode(told))


def head(letter: int, version: str, size_bytes: int, name: str = "system") -> up.Head:
    return up.Head(bytes((letter,)) * 32, name, version, size_bytes)


def test_the_newest_version_is_chosen_then_what_has_begun_then_the_smallest() -> None:
    full, delta, old = head(1, "1.2.0", 9_000), head(2, "1.2.0", 30), head(3, "1.1.0", 20)
    heads = (full, delta, old)
    assert up.choose(heads, "1.1.0", frozenset(), "") == delta
    assert up.choose(heads, "1.1.0", frozenset(), "01" * 12) == full
    assert up.choose(heads, "1.1.0", frozenset({"02" * 32}), "") == full, "a delta that was refused is not tried again"
    assert up.choose(heads, "1.2.0", frozenset(), "") is None
    assert up.choose((head(4, "7", 10, "panel"),), "9.0", frozenset(), "") is not None, "another name, other versions"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 200_000), st.integers(0, 3))
def test_pieces_lost_doubled_and_in_any_order_make_the_file(seed: int, size_bytes: int, breaks: int) -> None:
    draw = random.Random(seed)
    content = draw.randbytes(size_bytes)
    out = bytearray()
    pull, now_s = up.Pull(SHA, size_bytes, 0), 0.0
    flying: list[up.Piece] = []
    for _ in range(10_000):
        if pull.is_whole:
            break
        now_s += draw.choice((1.0, up.PATIENCE_S))
        wants = pull.wants(now_s)
        assert len(wants) <= up.WINDOW
        flying += [up.Piece(SHA[:8], w.offset, content[w.offset : w.offset + w.length]) for w in wants]
        draw.shuffle(flying)
        for piece in [flying.pop() for _ in range(draw.randrange(len(flying) + 1))]:
            if draw.random() < 0.8:
                out += pull.take(piece, now_s)
                assert pull.at == len(out)
                out += pull.take(piece, now_s)
        if breaks and draw.random() < 0.2:
            breaks -= 1
            keep = draw.randrange(len(out) + 1)
            del out[keep:]
            pull.go_to(keep)
    assert bytes(out) == content


def test_a_piece_that_nobody_asked_for_changes_nothing() -> None:
    pull = up.Pull(SHA, 100_000, 0)
    assert pull.take(up.Piece(SHA[:8], 0, b"x" * up.PIECE_BYTES), 0.0) == b""
    pull.wants(0.0)
    assert pull.take(up.Piece(b"another8", 0, b"x" * up.PIECE_BYTES), 0.0) == b""
    assert pull.take(up.Piece(SHA[:8], 0, b"short"), 0.0) == b""
    assert pull.at == 0


def test_nothing_of_class_five_leaves_while_a_call_is_up() -> None:
    pace = Pace(0.0)
    assert pace.cls_end(1.0, met=True) == 6
    pace.bulk_bps = 30_000.0
    assert pace.cls_end(1.0, met=True) == 5
    pace.held = True
    assert pace.cls_end(1.0, met=True) == 3


class UpdateWorld(World):
    """A hub that gives pieces of one update, and a node that pulls it."""

    def __init__(self, medium: Medium, size_bytes: int, seed: int = 7) -> None:
        self.content = random.Random(seed).randbytes(size_bytes)
        self.came = bytearray()
        self.pull = up.Pull(SHA, size_bytes, 0)
        super().__init__(medium, seed)

    def ask(self) -> None:
        for want in self.pull.wants(self.now):
            self.node.send_update(up.encode(want), b"want" + want.offset.to_bytes(8, "big"), self.now)

    def _hub_hears(self, event: HubEvent) -> None:
        if isinstance(event, UpdateHeard):
            want = up.decode(event.body)
            assert isinstance(want, up.Want)
            data = self.content[want.offset : want.offset + want.length]
            key = want.offset.to_bytes(8, "big")
            self.hub.send_update(event.node_id, up.encode(up.Piece(SHA[:8], want.offset, data)), key, self.now)
        else:
            super()._hub_hears(event)

    def _node_hears(self, event: NodeEvent) -> None:
        if isinstance(event, UpdateHeard):
            piece = up.decode(event.body)
            assert isinstance(piece, up.Piece)
            self.came += self.pull.take(piece, self.now)
            self.ask()
        elif isinstance(event, HubMet):
            self.pull.forget_asked()
            self.ask()
            super()._node_hears(event)
        else:
            super()._node_hears(event)


@pytest.mark.parametrize("seed", range(5))
def test_an_update_crosses_a_lossy_link_and_outages(seed: int) -> None:
    medium = Medium(seed, loss=0.05, delay_s=0.3)
    medium.rate_bps = 64_000
    world = UpdateWorld(medium, 150_000, seed)
    world.ask()
    world.go(10.0, lambda: False)
    medium.cut = True
    world.go(30.0, lambda: False)
    medium.cut = False
    while not world.pull.is_whole:
        assert world.now < 2_000
        world.ask()
        world.go(5.0, lambda: world.pull.is_whole)
    assert bytes(world.came) == world.content


def test_little_is_sent_beside_the_update_itself() -> None:
    line = Line(1, rate_bps=64_000, rtt_s=0.6)
    world = UpdateWorld(line, 400_000)
    world.ask()
    assert world.go(120.0, lambda: world.pull.is_whole)
    assert (line.bytes["up"] + line.bytes["down"]) / 400_000 < 1.15

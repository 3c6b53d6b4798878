"""Attacks 9, 10, 13 and 14 of SEALING.md on the pure core; the others named there have tests of their own."""

import hashlib
import os
import random
import ssl
from collections.abc import Hashable
from pathlib import Path

import msgspec
from cryptography import x509

from edge.model import events as ev
from edge.sync import log, seal
from hub import keys as hub_keys
from tests.sync.kit import Keyring, Medium, World

FORGED_PER_S = 2_000


def forged(draw: random.Random, keys: Keyring) -> bytes:
    """An opening with the right hint and no key behind it, and a packet."""
    head = bytes((seal.TYPE_OPENING, 1)) + seal.key_id(seal.public_of(keys.kem)) + seal.node_hint(keys.node_id)
    return head + draw.randbytes(seal.OPENING_BYTES - len(head)) + b"\x03" + draw.randbytes(60)


def test_09_a_flood_of_forged_openings_takes_no_goodput_and_gets_no_answer() -> None:
    """Goodput in simulated time: what the flood costs the honest node is nothing but the hub's seconds of CPU."""

    def goodput(flood: bool) -> tuple[int, int]:
        world, draw = World(Medium(7, loss=0.01)), random.Random(8)
        world.medium.rate_bps = 64_000
        for number in range(40):
            world.submit((b"x" * 3000 + bytes((number,)),), 2)
        answered = 0
        end = world.now + 10
        while world.now < end:
            world.go(0.1)
            for _ in range(FORGED_PER_S // 10 if flood else 0):
                world.hub.receive(forged(draw, world.keys), ("udp", ("10.9.9.9", draw.randrange(65_536))), world.now)
            sent = world.hub.datagrams_to_send(world.now)
            answered += sum(path != world.address for _, path in sent)
            for data, path in sent:
                world.medium.send("down", data, path, world.now)
        return len(world.hub_log), answered

    calm, _ = goodput(False)
    flooded, answered = goodput(True)
    assert calm >= 10
    assert flooded >= 0.9 * calm
    assert answered == 0


def test_09_a_flood_of_unknown_epochs_does_not_keep_a_restarted_hub_from_its_node() -> None:
    """The hub says "unknown epoch" so often a second and no more: strangers can take all of it."""
    world, draw = World(Medium(12, loss=0.01)), random.Random(13)
    world.go(5)
    world.start_hub()
    receive = world.hub.receive

    def crowded(data: bytes, path: Hashable, now: float) -> bool:
        for _ in range(60):
            receive(b"\x03" + draw.randbytes(60), ("udp", ("10.9.9.9", draw.randrange(65_536))), now)
        return receive(data, path, now)

    world.hub.receive = crowded  # type: ignore[method-assign]
    world.submit((b"after the restart",))
    assert world.go(30, lambda: bool(world.hub_log))


def test_10_a_nat_that_rebinds_every_thirty_seconds_costs_no_entry_and_no_silence() -> None:
    world = World(Medium(9, loss=0.02, delay_s=0.3))
    world.go(5)
    longest_s = 0.0
    last = world.now
    for turn in range(20):
        world.address = ("udp", ("10.0.0.1", 2000 + turn))
        world.submit((b"entry %d" % turn,))
        world.prescribe(turn + 1, b"rx %d" % turn)
        for _ in range(30):
            before = world.medium.bytes["down"]
            world.go(1.0)
            if world.medium.bytes["down"] > before:
                last = world.now
            longest_s = max(longest_s, world.now - last)
    assert len(world.hub_log) == 20
    assert sorted(world.downs_held) == list(range(1, 21))
    assert longest_s <= 30.0


def test_10_copies_that_overtake_from_a_false_address_do_not_hijack_the_path() -> None:
    """Each packet of the node arrives first from somebody else's address, and all of them again each ten seconds."""
    world, thief = World(Medium(11, loss=0.02, delay_s=0.3)), ("udp", ("10.6.6.6", 6))
    world.go(5)
    recorded: list[bytes] = []
    came = went = 0
    longest_s, last = 0.0, world.now
    receive, send = world.hub.receive, world.medium.send

    def overtaken(data: bytes, path: Hashable, now: float) -> bool:
        nonlocal came
        recorded.append(data)
        came += len(data)
        first = receive(data, thief, now)
        return receive(data, path, now) or first

    def watched(way: str, data: bytes, path: Hashable, now: float) -> None:
        nonlocal went, last, longest_s
        if way == "down" and path == thief:
            went += len(data)
        elif way == "down":
            longest_s, last = max(longest_s, now - last), now
        send(way, data, path, now)

    world.hub.receive = overtaken  # type: ignore[method-assign]
    world.medium.send = watched  # type: ignore[method-assign]
    for turn in range(30):
        world.submit((b"entry %d" % turn,))
        world.prescribe(turn + 1, b"rx %d" % turn)
        world.go(10.0)
        for data in recorded:
            came += len(data)
            receive(data, thief, world.now)
    world.go(10.0)
    assert not world.outbox
    assert sorted(world.downs_held) == list(range(1, 31))
    assert 0 < went <= came
    assert longest_s <= 30.0


def test_13_the_hubs_leaf_is_good_in_1970_and_the_node_looks_at_no_date(tmp_path: Path) -> None:
    """Order and slips under a wrong clock: ``tests/node/test_clock.py``, ``tests/slips/test_slip.py``."""
    hub_keys.init_keys(tmp_path)
    leaf = x509.load_pem_x509_certificate((tmp_path / hub_keys.LEAF_FILE).read_bytes())
    assert leaf.not_valid_before_utc.year == 1970
    assert hub_keys.load_keys(tmp_path).tls_context().minimum_version is ssl.TLSVersion.TLSv1_3


def test_13_order_is_by_sequence_whatever_the_clock_says() -> None:
    world = World(Medium(10))
    for number, offset in enumerate((1e9, -1e9, 4e9)):
        world.hub.unix_offset_s = offset
        world.submit((b"%d" % number,))
        world.go(20)
    held = [raw for _, raw in sorted(world.hub_log.items(), key=lambda item: item[0][2])]
    assert held == [b"0", b"1", b"2"]


def test_14_an_erased_phone_number_cannot_be_confirmed_and_the_chain_still_verifies() -> None:
    node_id, run, private, salt = os.urandom(8), os.urandom(8), os.urandom(32), os.urandom(16)
    writer = log.Writer(node_id, run, log.Stream.CLINICAL)
    numbers = [f"98765{number:05d}" for number in range(200)]
    secret = "9876500123"
    raws = []
    places = []
    for text in ("before", secret, "after"):
        event = ev.DoctorNote("v" * 16, "doc", text)
        raw = msgspec.msgpack.encode(ev.entry_of(event, 1 << 16, "n1"))
        raws.append(raw)
        places.append(writer.append(raw, salt))
    signed = writer.sign_head(private, seal.Grade.LOG)
    reader = log.Chain(node_id, run, log.Stream.CLINICAL)
    reader.append(raws[0], salt)
    reader.append_commitment(places[1].commitment)
    reader.append(raws[2], salt)
    assert reader.confirms(signed, seal.verifier_of(private))
    assert secret in numbers
    for number in numbers:  # whoever has all that is left, but not the salt, which was erased with the visit
        event = ev.DoctorNote("v" * 16, "doc", number)
        raw = msgspec.msgpack.encode(ev.entry_of(event, 1 << 16, "n1"))
        guesses = [hashlib.sha256(raw).digest(), log.commitment(raw, log.NO_SALT, log.Stream.CLINICAL, 2)]
        guesses += [log.commitment(raw, left[:16], log.Stream.CLINICAL, 2) for left in (node_id * 2, run * 2)]
        guesses += [log.commitment(raw, place.head[:16], log.Stream.CLINICAL, 2) for place in places]
        assert places[1].commitment not in guesses
    assert log.commitment(raws[1], salt, log.Stream.CLINICAL, 2) == places[1].commitment

"""What strangers, thieves, old recordings and broken disks send."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.errors import BadInput, UpkendraError
from edge.sync import bundle, enrol, frames, inbox, log, seal, signals
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.frontier import Frontier
from edge.sync.hub_node import OFFERED_MAX
from edge.sync.incoming import PARTIAL_SPANS_MAX, Incoming
from edge.sync.link import BundleArrived, BundleRef, Reseal
from tests.sync.kit import Keyring, Medium, World

SEEDS = (b"", b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06")


def payload(entries: tuple[bytes, ...] = (b"x",), cls: int = 1) -> bundle.BundlePayload:
    return bundle.BundlePayload(cls, bytes(8), 2, 1, entries)


# Fuzz: any bytes give a typed refusal or a value, never another exception.


@given(data=st.binary(max_size=600))
def test_any_bytes_in_any_parser_end_in_a_typed_refusal_or_a_value(data: bytes) -> None:
    keys = Keyring()
    token = enrol.SiteToken(bytes(16), bytes(16))
    secrets = enrol.EnrolSecrets(keys.device, keys.log, keys.records, keys.kem)
    checked = enrol.CheckedKeys(bytes(32), bytes(32), (bytes(32),))
    for parse in (
        lambda: frames.decode(data),
        lambda: bundle.unpack(data),
        lambda: bundle.unpack(bytes((1, 0)) + len(data).to_bytes(3, "big") + data + bytes(-(5 + len(data)) % 32)),
        lambda: bundle.decompress(data),
        lambda: log.decode_entry(data),
        lambda: Frontier.decode(data),
        lambda: enrol.parse_token(data.decode("latin-1")),
        lambda: enrol.parse_token("UPK1-" + data.decode("latin-1")),
        lambda: enrol.check_announcement(data, token),
        lambda: enrol.open_request(data, keys.hub),
        lambda: enrol.open_request(b"\x10" + seal.key_id(seal.public_of(keys.kem)) + data, keys.hub),
        lambda: enrol.open_reply(b"\x11" + data, b"body", secrets, checked),
        lambda: signals.unpack_signal(data),
        lambda: inbox.judge(data, seal.Grade.LOG, None),
    ):
        try:
            parse()
        except UpkendraError as error:
            assert error.refusal.code != "internal"


@given(data=st.binary(max_size=300), start=st.sampled_from(SEEDS))
def test_any_datagram_leaves_both_ends_unmoved(data: bytes, start: bytes) -> None:
    world = _quiet()
    world.hub.receive(start + data, ("udp", ("6.6.6.6", 6)), world.now)
    world.node.receive(start + data, "udp", world.now)
    assert all(len(out) <= len(start + data) for out, _ in world.hub.datagrams_to_send(world.now))


@given(data=st.binary(max_size=300))
def test_any_frames_of_an_authentic_sender_raise_nothing_at_the_other_end(data: bytes) -> None:
    keys = Keyring()
    now = 5.0
    node_epoch = seal.Epoch.new(keys.node, bytes(8), os.urandom(32), seal.Grade.LOG, keys.log)
    hub = HubEndpoint(keys.hub, keys, now, unix_offset_s=0, random=os.urandom)
    hub.receive(node_epoch.opening + node_epoch.seal_packet(data)[1], "a", now)
    hub.datagrams_to_send(now)
    node = NodeEndpoint(keys.node, bytes(8), os.urandom(32), seal.Grade.LOG, keys.log, now, random=os.urandom)
    other = seal.open_opening(node.opening, keys.hub, keys.record)
    node.receive(other.seal_packet(bytes(6), data)[1], "udp", now)
    node.datagrams_to_send(now)


def _quiet() -> World:
    world = World(Medium(1))
    world.go(1)
    return world


# Openings, paths and replays.


def test_a_forged_opening_costs_no_public_key_work(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _quiet()
    opened: list[bytes] = []
    real = seal.hpke_open

    def counted(private: bytes, info: bytes, sealed: bytes) -> bytes:
        opened.append(sealed)
        return real(private, info, sealed)

    monkeypatch.setattr(seal, "hpke_open", counted)
    forged = bytearray(world.node.opening)
    forged[20] ^= 1
    for _ in range(100):
        world.hub.receive(bytes(forged) + bytes(60), ("udp", ("6.6.6.6", 6)), world.now)
    assert not opened
    assert world.hub.datagrams_to_send(world.now) == []


def test_a_known_opening_that_is_repeated_costs_no_public_key_work(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _quiet()

    def refuse(*args: object) -> bytes:
        raise AssertionError("opened again")

    monkeypatch.setattr(seal, "hpke_open", refuse)
    world.hub.receive(world.node.opening, ("udp", ("6.6.6.6", 6)), world.now)


def test_an_address_that_proved_nothing_never_gets_more_bytes_than_it_sent() -> None:
    keys = Keyring()
    now = 1.0
    node = NodeEndpoint(keys.node, bytes(8), os.urandom(32), seal.Grade.LOG, keys.log, now, random=os.urandom)
    hub = HubEndpoint(keys.hub, keys, now, unix_offset_s=0, random=os.urandom)
    for seq in range(40):
        hub.send_down(keys.node_id, seq, os.urandom(900), 1, now)
    sent = received = 0
    for step in range(200):
        now = 1.0 + step
        if step < 5:
            for data, _ in node.datagrams_to_send(now):
                sent += len(data)
                hub.receive(data, "victim", now)
        received += sum(len(data) for data, _ in hub.datagrams_to_send(now))
        assert received <= sent


def test_a_replayed_recording_does_not_become_the_nodes_session() -> None:
    world = World(Medium(1))
    recorded: list[bytes] = []
    for _ in range(40):
        world.now += 0.1
        for data, _ in world.node.datagrams_to_send(world.now):
            recorded.append(data)
            world.hub.receive(data, world.address, world.now)
        for data, _ in world.hub.datagrams_to_send(world.now):
            world.node.receive(data, "udp", world.now)
    assert world.hub.presence(world.keys.node_id, world.now).online
    world.start_hub()
    for data in recorded:
        world.hub.receive(data, ("udp", ("6.6.6.6", 6)), world.now)
        world.hub.datagrams_to_send(world.now)
    assert not world.hub.presence(world.keys.node_id, world.now).online
    assert not world.hub.send_signal(world.keys.node_id, b"ring", world.now)


def test_copies_from_a_spoofed_address_do_not_move_the_path() -> None:
    world = _quiet()
    world.medium.delay_s = 0.05
    world.submit((b"entry",))
    for data, _ in world.node.datagrams_to_send(world.now):
        world.hub.receive(data, ("udp", ("6.6.6.6", 6)), world.now)
        world.hub.receive(data, world.address, world.now)
    world.go(2)
    world.submit((b"another",))
    assert world.go(3, lambda: len(world.acked) == 2)
    world.prescribe(1, b"rx")
    assert all(path == world.address for _, path in world.hub.datagrams_to_send(world.now))


def test_a_node_whose_address_changes_goes_on_in_the_same_session() -> None:
    world = _quiet()
    for port in range(2, 8):
        world.address = ("udp", ("10.0.0.1", port))
        name = world.submit((b"entry %d" % port,))
        assert world.go(6, lambda name=name: name in world.acked)  # type: ignore[misc]
    assert sum(1 for event in world.hub_events if isinstance(event, BundleArrived)) == 6


def test_a_stale_signal_is_not_delivered_even_if_its_packet_is_fresh_to_the_window() -> None:
    world = _quiet()
    world.node.send_signal(b"old ring", world.now)
    held = [data for data, _ in world.node.datagrams_to_send(world.now)]
    world.now += 31
    for data in held:
        world.hub.receive(data, world.address, world.now)
    world.step()
    assert world.hub_signals == []


def test_a_signal_of_more_than_32_kb_is_refused() -> None:
    world = _quiet()
    with pytest.raises(BadInput):
        world.node.send_signal(bytes(32 * 1024 + 1), world.now)


# Bad contents under a good seal.


def test_a_poisoned_bundle_is_kept_aside_with_a_reason_and_the_rest_goes_on() -> None:
    world = _quiet()
    bomb = bundle.compress(bytes(3 << 20))
    poison = bytes((1, 0)) + len(bomb).to_bytes(3, "big") + bomb
    epoch = world.node._epoch
    sealed = epoch.seal_bundle(poison)
    name = seal.bundle_id(sealed)
    ref = BundleRef(epoch.opening, sealed, name)
    world.outbox[name] = (ref, 1)
    world.node.submit_bundle(ref, 1, world.now)
    good = world.submit((b"good",))
    assert world.go(5, lambda: not world.outbox)
    assert [(event.reason, event.sealed) for event in world.quarantine] == [("too_large", sealed)]
    assert good in world.acked


def test_a_device_grade_epoch_may_carry_emergencies_but_no_clinic() -> None:
    packed = bundle.pack(payload())
    assert inbox.judge(packed, seal.Grade.DEVICE, None) == inbox.Rejected("device_grade")
    urgent = bundle.pack(payload(cls=0))
    assert isinstance(inbox.judge(urgent, seal.Grade.DEVICE, None), inbox.Accepted)


def test_a_bundle_at_the_end_of_all_sequences_is_placed_at_once() -> None:
    """It is authentic, so that nothing before this would have refused it; the hub judges it in its event loop."""
    far = (1 << 48) - 1
    packed = bundle.pack(msgspec.structs.replace(payload(), first_seq=far))
    verdict = inbox.judge(packed, seal.Grade.LOG, None)
    assert isinstance(verdict, inbox.Gap)
    assert (verdict.first, verdict.last) == (1, far - 1)


def test_a_message_in_crumbs_takes_little_memory_and_is_whole_in_the_end() -> None:
    incoming = Incoming()
    total = frames.MESSAGE_MAX_BYTES
    crumbs = [frames.Frag(frames.KIND_BUNDLE, 1, 1, at, total, b"x") for at in range(0, total, 2)]
    taken = sum(incoming.take(crumb) for crumb in crumbs)
    assert taken == PARTIAL_SPANS_MAX
    for at in range(0, total, 1_000):
        assert incoming.take(frames.Frag(frames.KIND_BUNDLE, 1, 1, at, total, b"y" * min(1_000, total - at)))
    assert [len(one.body) for one in incoming.arrived] == [total]


def test_the_signal_that_all_others_wait_for_is_taken_however_many_those_are() -> None:
    order = signals.SignalOrder()
    assert order.take(0, 0, b"0", 0.0) == [b"0"]
    for number in range(2, 2 + 2 * signals.HELD_MAX):
        assert order.take(number, 0, b"later", 1.0) == []
    assert order.take(1, 0, b"1", 2.0) == [b"1", *[b"later"] * signals.HELD_MAX]


def test_entries_that_are_missing_are_named_and_entries_that_are_held_are_duplicates() -> None:
    held = Frontier(3)
    late = bundle.BundlePayload(1, bytes(8), 2, 6, (b"six",))
    assert inbox.place(late, held) == inbox.Gap(late, 4, 5)
    early = bundle.BundlePayload(1, bytes(8), 2, 2, (b"two", b"three"))
    assert inbox.place(early, held) == inbox.Duplicate(early)


@pytest.mark.parametrize(
    "bad",
    [
        payload((b"x",) * 4097),
        payload((bytes(256 * 1024 + 1),)),
        bundle.BundlePayload(9, bytes(8), 2, 1, ()),
        bundle.BundlePayload(1, b"short", 2, 1, ()),
        bundle.BundlePayload(1, bytes(8), 2, 0, ()),
    ],
)
def test_a_payload_beyond_its_limits_is_not_packed(bad: bundle.BundlePayload) -> None:
    with pytest.raises(bundle.BundleRefused):
        bundle.pack(bad)


def test_a_bundle_with_an_unknown_dictionary_or_format_says_so() -> None:
    packed = bundle.pack(payload(), bundle.NO_DICTIONARY)
    for altered, code in (
        (packed[:1] + b"\xee" + packed[2:], "dictionary_unknown"),
        (b"\x09" + packed[1:], "format_unknown"),
    ):
        with pytest.raises(bundle.BundleRefused) as refused:
            bundle.unpack(altered)
        assert refused.value.refusal.code == code


def test_a_bundle_whose_hub_key_is_destroyed_is_asked_for_anew() -> None:
    world = World(Medium(1))
    world.medium.cut = True
    name = world.submit((b"late by a year",))
    world.go(1)
    old = world.keys.kem
    world.keys.kem = os.urandom(32)
    world.keys.hub = seal.HubKeys((world.keys.kem,), world.keys.sign)
    assert old != world.keys.kem
    world.keys.node = seal.NodeKeys(
        world.keys.node_id,
        world.keys.node.psk,
        world.keys.device,
        world.keys.node.hub_root,
        world.keys.node.hub_sign,
        (seal.public_of(world.keys.kem),),
    )
    world.start_node()
    world.start_hub()
    world.medium.cut = False
    assert world.go(20, lambda: any(isinstance(event, Reseal) for event in world.node_events))
    assert [event.bundle_id for event in world.node_events if isinstance(event, Reseal)] == [name]


# Time and priority.


def test_an_urgent_entry_overtakes_bulk_in_about_a_round_trip() -> None:
    world = World(Medium(1, delay_s=0.3))
    world.medium.rate_bps = 64_000.0
    world.go(3)
    for number in range(10):
        world.submit((os.urandom(30_000 + number),), 3)
    world.go(20)
    start = world.now
    name = world.submit((b"red",), 0)
    assert world.go(10, lambda: name in world.acked)
    assert world.now - start < 2.0


def test_an_outage_is_probed_often_and_then_slowly_and_costs_little() -> None:
    world = _quiet()
    world.submit((os.urandom(5_000),))
    world.medium.cut = True
    before = world.medium.bytes["up"]
    world.go(120)
    assert world.medium.bytes["up"] - before < (120 + 60) * 115 + 8_000
    assert not world.node.link_state(world.now).online
    world.go(60)
    before = world.medium.bytes["up"]
    world.go(600)
    assert 35 * 60 < world.medium.bytes["up"] - before < 45 * 115


def test_what_waited_leaves_within_about_a_second_of_the_links_return() -> None:
    world = _quiet()
    world.medium.cut = True
    name = world.submit((b"entry",))
    world.go(60)
    world.medium.cut = False
    start = world.now
    assert world.go(10, lambda: name in world.acked)
    assert world.now - start < 1.7


def test_an_idle_link_is_kept_open_by_one_small_packet_in_15_seconds() -> None:
    world = World(Medium(1))
    world.go(60)
    before = world.medium.bytes["up"]
    world.go(300)
    assert world.node.link_state(world.now).online
    assert world.hub.presence(world.keys.node_id, world.now).online
    assert world.medium.bytes["up"] - before <= 21 * 120


def test_a_hub_that_stores_slowly_is_not_flooded_and_gets_everything_in_the_end() -> None:
    world = World(Medium(5, delay_s=0.01))
    world.store_delay_s = 5.0
    wanted = {world.submit((b"entry %d" % number,)) for number in range(OFFERED_MAX + 200)}
    peak = 0

    def all_acknowledged() -> bool:
        nonlocal peak
        peak = max(peak, len(world._storing))
        return set(world.acked) == wanted

    assert world.go(120, all_acknowledged)
    assert OFFERED_MAX <= peak < OFFERED_MAX + 30, "one packet's bundles may come on top"


def test_text_that_is_no_text_is_refused_and_stops_nothing() -> None:
    """A decoder of strings raises what no decoder of structures does."""
    head = [1, bytes(32), "@@", bytes(64)]
    plain = msgspec.msgpack.encode([1, bytes(8), 2, 1, [b"x"], head]).replace(b"\xa2@@", b"\xa2\xff\xfe")
    body = bundle.compress(plain)
    packed = seal.pad(bytes((1, 0)) + len(body).to_bytes(3, "big") + body)
    with pytest.raises(bundle.BundleRefused) as met:
        bundle.unpack(packed)
    assert met.value.refusal.code == "payload_malformed"

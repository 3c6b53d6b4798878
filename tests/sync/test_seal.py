"""Sealing: sizes of the specification, replay, altered bytes, grades, and the frozen vectors."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sync import bundle, enrol, frames, log, seal
from tests.sync.kit import Keyring

VECTORS = Path(__file__).parent.parent / "vectors"


def load(name: str) -> dict[str, str]:
    """Hexadecimal fields of a vector file; those that start with _ are remarks."""
    content: dict[str, str] = json.loads((VECTORS / f"{name}.json").read_text())
    return content


def hexed(vector: dict[str, str], name: str) -> bytes:
    return bytes.fromhex(vector[name])


def ends(grade: seal.Grade = seal.Grade.LOG) -> tuple[Keyring, seal.Epoch, seal.OpenedEpoch]:
    keys = Keyring()
    signer = keys.log if grade is seal.Grade.LOG else keys.device
    epoch = seal.Epoch.new(keys.node, bytes(8), os.urandom(32), grade, signer)
    return keys, epoch, seal.open_opening(epoch.opening, keys.hub, keys.record)


def code_of(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(seal.SealRefused) as refused:
        call(*args)
    return refused.value.refusal.code


def test_sizes_are_those_of_the_specification() -> None:
    _, epoch, opened = ends()
    assert len(epoch.opening) == 176
    packed = bundle.pack(bundle.BundlePayload(1, bytes(8), 2, 1, (b"x",)))
    assert len(epoch.seal_bundle(packed)) == len(packed) + 24
    assert len(epoch.seal_packet(b"12345")[1]) == 5 + 24
    assert len(opened.seal_packet(bytes(6), b"12345")[1]) == 5 + 30


@pytest.mark.parametrize("grade", list(seal.Grade))
def test_an_opening_says_who_opened_it_with_which_key(grade: seal.Grade) -> None:
    keys, _, opened = ends(grade)
    assert (opened.node_id, opened.run, opened.grade) == (keys.node_id, bytes(8), grade)


def test_an_opening_signed_with_the_device_key_cannot_claim_the_log_grade() -> None:
    keys = Keyring()
    epoch = seal.Epoch.new(keys.node, bytes(8), bytes(32), seal.Grade.LOG, keys.device)
    assert code_of(seal.open_opening, epoch.opening, keys.hub, keys.record) == "opening_signature"


@given(at=st.integers(0, 175), bit=st.integers(0, 7))
def test_an_opening_with_a_flipped_bit_is_refused_by_its_cheap_check(at: int, bit: int) -> None:
    keys, epoch, _ = ends()
    altered = bytearray(epoch.opening)
    altered[at] ^= 1 << bit
    assert code_of(seal.open_opening, bytes(altered), keys.hub, keys.record) in (
        "opening_mac",
        "opening_malformed",
        "suite_unknown",
    )


def test_an_opening_to_a_destroyed_hub_key_says_so() -> None:
    keys, epoch, _ = ends()
    others = seal.HubKeys((os.urandom(32),), keys.sign)
    assert code_of(seal.open_opening, epoch.opening, others, keys.record) == "hub_key_gone"


def test_a_revoked_node_opens_nothing() -> None:
    keys, epoch, _ = ends()
    record = seal.NodeRecord(
        keys.node_id, keys.record.psk, keys.record.device_public, keys.record.log_public, bytes(32), revoked=True
    )
    assert code_of(seal.open_opening, epoch.opening, keys.hub, record) == "node_revoked"


def test_a_packet_is_opened_once_in_either_direction() -> None:
    _, epoch, opened = ends()
    counter, up = epoch.seal_packet(b"frames")
    assert opened.open_packet(up) == (counter, b"frames")
    assert code_of(opened.open_packet, up) == "replayed"
    _, down = opened.seal_packet(b"saltsa", b"frames")
    epoch.open_packet(down)
    assert code_of(epoch.open_packet, down) == "replayed"


def test_packets_in_any_order_within_the_window_are_opened_and_older_ones_are_not() -> None:
    _, epoch, opened = ends()
    packets = [epoch.seal_packet(b"x")[1] for _ in range(1100)]
    opened.open_packet(packets[1099])
    for number in range(1098, 1099 - 1024, -1):
        opened.open_packet(packets[number])
    assert code_of(opened.open_packet, packets[1099 - 1024]) == "replayed"


def test_a_counter_that_is_used_up_refuses_to_seal() -> None:
    counter = seal.Counter()
    counter.value = seal.COUNTER_LIMIT
    assert code_of(counter.take) == "epoch_exhausted"


def test_a_down_blob_opens_for_its_node_only_and_with_the_hubs_signature() -> None:
    keys = Keyring()
    blob = seal.seal_down(keys.record, 9, b"payload", keys.sign)
    public = seal.verifier_of(keys.sign)
    down = seal.open_down(blob, keys.node_id, keys.records, public)
    assert (down.seq, down.payload) == (9, b"payload")
    assert code_of(seal.open_down, blob, bytes(8), keys.records, public) == "hpke_refused"
    forged = seal.seal_down(keys.record, 9, b"payload", os.urandom(32))
    assert code_of(seal.open_down, forged, keys.node_id, keys.records, public) == "down_signature"


def test_secrets_do_not_show_when_keys_are_printed() -> None:
    keys = Keyring()
    secrets = enrol.EnrolSecrets(keys.device, keys.log, keys.records, keys.kem)
    shown = f"{keys.node!r} {keys.hub!r} {keys.record!r} {secrets!r} {enrol.SiteToken(keys.kem, keys.kem)!r}"
    for secret in (keys.node.psk, keys.device, keys.kem, keys.sign):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_code_by_every_opener(data: bytes) -> None:
    keys, epoch, opened = ends()
    for opener in (
        lambda: seal.open_opening(data, keys.hub, keys.record),
        lambda: epoch.open_packet(data),
        lambda: opened.open_packet(data),
        lambda: opened.open_bundle(data),
        lambda: seal.open_down(data, keys.node_id, keys.records, keys.node.hub_sign),
        lambda: seal.open_down(b"\x05" + data, keys.node_id, keys.records, keys.node.hub_sign),
    ):
        with pytest.raises(seal.SealRefused):
            opener()


# The frozen wire.


def test_the_vector_of_keys_and_labels_holds() -> None:
    v = load("keys")
    psk, epsilon = hexed(v, "psk"), hexed(v, "epsilon")
    assert seal.mac_key(psk) == hexed(v, "psk_mac")
    assert seal.mix_key(psk) == hexed(v, "psk_mix")
    mix = seal.mix_key(psk)
    assert seal.hkdf(epsilon, b"bundle", mix) == hexed(v, "k_bundle")
    assert seal.hkdf(epsilon, b"n2h", mix) == hexed(v, "k_n2h")
    assert seal.hkdf(epsilon, b"h2n" + hexed(v, "salt"), mix) == hexed(v, "k_h2n")
    assert seal.key_id(hexed(v, "hub_kem_public")) == hexed(v, "hub_key_id")
    assert seal.node_hint(hexed(v, "node_id")) == hexed(v, "node_hint")


@pytest.mark.parametrize("grade", list(seal.Grade))
def test_the_vector_of_an_opening_and_what_it_seals_holds(grade: seal.Grade) -> None:
    v = load(f"opening-{grade.value}")
    record = seal.NodeRecord(
        hexed(v, "node_id"), hexed(v, "psk"), hexed(v, "device_public"), hexed(v, "log_public"), bytes(32)
    )
    opening = hexed(v, "opening")
    opened = seal.open_opening(opening, seal.HubKeys((hexed(v, "hub_kem_private"),), bytes(32)), record)
    assert (opened.run, opened.grade, opened.epoch_id) == (hexed(v, "run"), grade, hexed(v, "epoch_id"))
    keys = seal.NodeKeys(
        hexed(v, "node_id"), hexed(v, "psk"), bytes(32), bytes(32), bytes(32), (hexed(v, "hub_kem_public"),)
    )
    epoch = seal.Epoch(opening, hexed(v, "epsilon"), keys, opened.run, grade)
    sealed = epoch.seal_bundle(hexed(v, "bundle_plain"))
    assert sealed == hexed(v, "bundle")
    assert seal.bundle_id(sealed) == hexed(v, "bundle_id")
    assert opened.open_bundle(sealed) == seal.pad(hexed(v, "bundle_plain"))
    assert epoch.seal_packet(hexed(v, "frames"))[1] == hexed(v, "packet_up")
    assert opened.open_packet(hexed(v, "packet_up")) == (0, hexed(v, "frames"))
    assert opened.seal_packet(hexed(v, "salt"), hexed(v, "frames"))[1] == hexed(v, "packet_down")
    assert epoch.open_packet(hexed(v, "packet_down")) == (hexed(v, "salt"), 0, hexed(v, "frames"))


def test_the_vector_of_a_down_blob_holds() -> None:
    v = load("down")
    opened = seal.open_down(
        hexed(v, "blob"), hexed(v, "node_id"), hexed(v, "records_private"), hexed(v, "hub_sign_public")
    )
    assert (opened.seq, opened.payload) == (int(v["seq"]), hexed(v, "payload"))


def test_the_vector_of_a_log_holds() -> None:
    v = load("log")
    writer = log.Writer(hexed(v, "node_id"), hexed(v, "run"), log.Stream.CLINICAL)
    assert writer.head == hexed(v, "h0")
    first = writer.append(hexed(v, "raw1"), hexed(v, "visit_salt"))
    assert (first.commitment, first.head) == (hexed(v, "c1"), hexed(v, "h1"))
    second = writer.append(hexed(v, "raw2"))
    assert (second.commitment, second.head) == (hexed(v, "c2"), hexed(v, "h2"))
    assert writer.sign_head(hexed(v, "log_private"), seal.Grade.LOG).signature == hexed(v, "signature")


def test_the_vector_of_a_payload_holds() -> None:
    v = load("payload")
    payload = bundle.unpack(hexed(v, "packed"))
    assert (payload.cls, payload.run, payload.stream) == (int(v["cls"]), hexed(v, "run"), int(v["stream"]))
    assert (payload.first_seq, payload.entries) == (int(v["first_seq"]), (hexed(v, "raw1"), hexed(v, "raw2")))


def test_the_vector_of_a_modelled_payload_holds() -> None:
    v = load("payload_modelled")
    payload = bundle.unpack(hexed(v, "packed"))
    assert hexed(v, "packed")[:2] == b"\x02\x02"
    assert (payload.cls, payload.run, payload.stream) == (int(v["cls"]), hexed(v, "run"), int(v["stream"]))
    assert payload.entries == tuple(hexed(v, f"raw{place}") for place in range(1, int(v["count"]) + 1))
    assert payload.head is not None
    assert (payload.head.seq, payload.head.grade) == (payload.first_seq + int(v["count"]) - 1, "D")
    assert bundle.pack(payload) == hexed(v, "packed")


def test_the_vector_of_frames_holds() -> None:
    v = load("frames")
    decoded = frames.decode(hexed(v, "all"))
    assert b"".join(frames.encode(frame) for frame in decoded) == hexed(v, "all")
    assert [type(frame).__name__ for frame in decoded] == v["names"].split()
    for name in v["names"].split():
        assert frames.encode(frames.decode(hexed(v, name))[0]) == hexed(v, name)


def test_the_vector_of_an_enrolment_holds() -> None:
    v = load("enrol")
    token = enrol.parse_token(v["token"])
    assert token.secret == hexed(v, "secret")
    checked = enrol.check_announcement(hexed(v, "announcement"), token)
    request = enrol.open_request(hexed(v, "request"), seal.HubKeys((hexed(v, "hub_kem_private"),), bytes(32)))
    assert request.secret == token.secret
    secrets = enrol.EnrolSecrets(bytes(32), bytes(32), bytes(32), hexed(v, "response_private"))
    grant, _ = enrol.open_reply(hexed(v, "reply"), hexed(v, "request"), secrets, checked)
    assert hashlib.sha256(grant.psk).hexdigest() == v["psk_sha256"]

"""Courier files: vectors, forgery, and any bytes at all; the hub opens what a stick brings like what a link brings."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync import bundle, courier, seal
from edge.sync.link import BundleArrived, BundleQuarantined
from edge.sync.log import Stream
from tests.sync.kit import Keyring

VECTORS = Path(__file__).parent.parent / "vectors"
KEYS = Keyring()
HUB = courier.hub_of(KEYS.node.hub_sign)


def sealed_bundle(
    keys: Keyring = KEYS, *, text: bytes = b"entry", grade: seal.Grade = seal.Grade.LOG, plain: bytes | None = None
) -> tuple[bytes, bytes]:
    """(opening, sealed) of a fresh epoch."""
    signer = keys.log if grade is seal.Grade.LOG else keys.device
    epoch = seal.Epoch.new(keys.node, b"r" * 8, hashlib.sha256(text).digest(), grade, signer)
    packed = bundle.pack(bundle.BundlePayload(1, b"r" * 8, Stream.CLINICAL, 1, (text,)))
    return epoch.opening, epoch.seal_bundle(packed if plain is None else plain)


def up(keys: Keyring = KEYS, **how: bytes) -> courier.UpFile:
    file = courier.parse(courier.up_file(HUB, *sealed_bundle(keys, **how)))  # type: ignore[arg-type]
    assert isinstance(file, courier.UpFile)
    return file


def row(number: int, level: int = 1) -> courier.Row:
    return courier.Row(number.to_bytes(11, "big"), number.to_bytes(16, "big"), level)


def test_every_kind_comes_back_as_it_was_written() -> None:
    opening, sealed = sealed_bundle()
    assert courier.parse(courier.up_file(HUB, opening, sealed)) == courier.UpFile(HUB, opening, sealed)
    receipt = courier.parse(courier.receipt_file(KEYS.sign, KEYS.node_id, 5, [row(2), row(1, 0x81)]))
    assert isinstance(receipt, courier.ReceiptFile)
    assert receipt.rows == (row(1, 0x81), row(2))
    assert (receipt.rows[0].durable, receipt.rows[0].quarantined) == (1, True)
    courier.check_receipt(receipt, KEYS.node.hub_sign)
    blob = seal.seal_down(KEYS.record, 7, b"payload", KEYS.sign)
    down = courier.parse(courier.down_file(KEYS.sign, KEYS.node_id, 7, blob))
    assert isinstance(down, courier.DownFile)
    assert (down.seq, down.blob, down.hub, down.node_id) == (7, blob, HUB, KEYS.node_id)
    courier.check_down(down, KEYS.node.hub_sign)
    stored = courier.parse(courier.stored_file(KEYS.device, HUB, KEYS.node_id, [9, 1, 2, 3]))
    assert isinstance(stored, courier.StoredFile)
    assert stored.ranges == ((1, 3), (9, 9))
    courier.check_stored(stored, KEYS.record.device_public)


def test_what_another_key_signed_is_not_believed() -> None:
    other = Keyring(2)
    receipt = courier.parse(courier.receipt_file(other.sign, KEYS.node_id, 5, [row(1)]))
    assert isinstance(receipt, courier.ReceiptFile)
    with pytest.raises(courier.CourierRefused, match="signed"):
        courier.check_receipt(receipt, KEYS.node.hub_sign)
    down = courier.parse(
        courier.down_file(other.sign, KEYS.node_id, 1, seal.seal_down(KEYS.record, 1, b"", other.sign))
    )
    assert isinstance(down, courier.DownFile)
    with pytest.raises(courier.CourierRefused, match="signed"):
        courier.check_down(down, KEYS.node.hub_sign)
    stored = courier.parse(courier.stored_file(other.device, HUB, KEYS.node_id, [1]))
    assert isinstance(stored, courier.StoredFile)
    with pytest.raises(courier.CourierRefused, match="signed"):
        courier.check_stored(stored, KEYS.record.device_public)


@pytest.mark.parametrize("kind", ["up", "receipt", "down", "stored"])
def test_a_file_with_any_bit_changed_or_any_end_missing_is_refused(kind: str) -> None:
    raw = bytes.fromhex(json.loads((VECTORS / "courier.json").read_text())[kind])
    draw = random.Random(3)
    for _ in range(300):
        at = draw.randrange(len(raw))
        broken = raw[:at] + bytes((raw[at] ^ 1 << draw.randrange(8),)) + raw[at + 1 :]
        with pytest.raises(courier.CourierRefused):
            courier.parse(broken)
    for size in range(0, len(raw), 7):
        with pytest.raises(courier.CourierRefused):
            courier.parse(raw[:size])


def test_a_forger_who_mends_the_sum_of_a_receipt_still_fails_at_the_signature() -> None:
    raw = courier.receipt_file(KEYS.sign, KEYS.node_id, 5, [row(1), row(3)])
    draw = random.Random(4)
    believed = 0
    for _ in range(400):
        at = draw.randrange(courier.HEADER_BYTES, len(raw) - courier.SUM_BYTES)
        whole = raw[:at] + bytes((raw[at] ^ 1 << draw.randrange(8),)) + raw[at + 1 : -courier.SUM_BYTES]
        try:
            file = courier.parse(whole + hashlib.sha256(whole).digest()[: courier.SUM_BYTES])
            assert isinstance(file, courier.ReceiptFile)
            courier.check_receipt(file, KEYS.node.hub_sign)
            believed += 1
        except courier.CourierRefused:
            continue
    assert believed == 0


@given(st.binary(max_size=2_000), st.sampled_from([1, 2, 3, 4, 5, 200]), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_parsed_or_refused(body: bytes, kind: int, later: bool) -> None:
    whole = courier.MAGIC + bytes((2 if later else 1, kind)) + HUB + body
    try:
        file = courier.parse(whole + hashlib.sha256(whole).digest()[: courier.SUM_BYTES])
    except courier.CourierRefused:
        return
    assert isinstance(file, courier.LaterFile) == (later or kind not in (1, 2, 3, 4))
    if isinstance(file, courier.StoredFile):
        assert len(file.ranges) <= courier.RANGES_MAX


def test_a_file_of_a_later_release_is_told_from_damage() -> None:
    whole = courier.MAGIC + bytes((courier.VERSION, 7)) + HUB + b"revocations"
    assert courier.parse(whole + hashlib.sha256(whole).digest()[:16]) == courier.LaterFile(1, 7)


def test_the_hub_opens_a_bundle_from_a_stick_as_one_from_the_link() -> None:
    event = courier.Opener(KEYS.hub, KEYS).open(up())
    assert isinstance(event, BundleArrived)
    assert (event.node_id, event.payload.entries) == (KEYS.node_id, (b"entry",))


def test_an_authentic_bundle_with_bad_contents_is_quarantined_and_a_forged_one_gets_no_receipt() -> None:
    poison = up(plain=b"\xff" * 64)
    event = courier.Opener(KEYS.hub, KEYS).open(poison)
    assert isinstance(event, BundleQuarantined)
    assert event.reason == "format_unknown"
    good = up()
    forged = courier.UpFile(HUB, good.opening, good.sealed[:20] + bytes(len(good.sealed) - 24) + good.sealed[-4:])
    assert forged.bundle_id == good.bundle_id
    assert forged.digest != good.digest
    with pytest.raises(seal.SealRefused):
        courier.Opener(KEYS.hub, KEYS).open(forged)


def test_bundles_that_are_months_late_open_under_the_old_key_and_are_sealed_anew_without_it() -> None:
    late = up()
    fresh_kem = random.Random(9).randbytes(32)
    rotated = seal.HubKeys((fresh_kem, KEYS.kem), KEYS.sign)
    assert isinstance(courier.Opener(rotated, KEYS).open(late), BundleArrived)
    expired = seal.HubKeys((fresh_kem,), KEYS.sign)
    assert courier.Opener(expired, KEYS).open(late) == courier.Stray(KEYS.node_id, late.bundle_id)


def test_a_node_that_is_unknown_or_revoked_gets_no_receipt() -> None:
    with pytest.raises(seal.SealRefused, match="no node"):
        courier.Opener(KEYS.hub, KEYS).open(up(Keyring(2)))
    stolen = Keyring()
    stolen.record = seal.NodeRecord(
        stolen.node_id,
        stolen.record.psk,
        stolen.record.device_public,
        stolen.record.log_public,
        stolen.record.records_public,
        revoked=True,
    )
    with pytest.raises(seal.SealRefused, match="revoked"):
        courier.Opener(stolen.hub, stolen).open(up())


def test_a_node_knows_its_own_bundles_among_those_of_others() -> None:
    assert courier.is_of_node(up(), KEYS.node_id, KEYS.node.psk)
    assert not courier.is_of_node(up(Keyring(2)), KEYS.node_id, KEYS.node.psk)


def test_the_frozen_vectors_still_hold() -> None:
    known = json.loads((VECTORS / "courier.json").read_text())
    raw = {kind: bytes.fromhex(known[kind]) for kind in ("up", "receipt", "down", "stored")}
    hub_sign = bytes.fromhex(known["hub_sign_private"])
    public = seal.verifier_of(hub_sign)
    assert courier.hub_of(public).hex() == known["hub8"]
    receipt, down, stored = (courier.parse(raw[kind]) for kind in ("receipt", "down", "stored"))
    assert isinstance(receipt, courier.ReceiptFile)
    assert isinstance(down, courier.DownFile)
    assert isinstance(stored, courier.StoredFile)
    courier.check_receipt(receipt, public)
    courier.check_down(down, public)
    courier.check_stored(stored, seal.verifier_of(bytes.fromhex(known["device_private"])))
    assert courier.receipt_file(hub_sign, receipt.node_id, receipt.made_ms, receipt.rows) == raw["receipt"]
    assert courier.down_file(hub_sign, down.node_id, down.seq, down.blob) == raw["down"]
    up_file = courier.parse(raw["up"])
    assert isinstance(up_file, courier.UpFile)
    assert courier.up_file(up_file.hub, up_file.opening, up_file.sealed) == raw["up"]
    assert (up_file.bundle_id.hex(), up_file.digest.hex()) == (known["bundle_id"], known["digest"])

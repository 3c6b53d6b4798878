"""Entries and signed prescriptions as ``tests/vectors`` and ``docs/protocol.md`` give them to other implementations."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.model import events as ev
from edge.model.prescribing import SignedPrescription
from edge.slips.verify import verify_signed
from tests.vectors import make_entries

ROOT = Path(__file__).parents[2]
ENTRIES = json.loads((ROOT / "tests/vectors/entries.json").read_text("utf-8"))
PRESCRIPTION = {
    name: bytes.fromhex(value)
    for name, value in json.loads((ROOT / "tests/vectors/prescription.json").read_text("utf-8")).items()
}
ROW = re.compile(r"^\| (\d+) (\w+) \| (.*) \|$", re.MULTILINE)


def test_every_kind_is_there_once() -> None:
    assert [one["kind"] for one in ENTRIES] == sorted(ev.KINDS)
    assert make_entries.entries() == ENTRIES


@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: one["name"])
def test_the_bytes_of_a_kind_hold_its_fields_in_order(one: dict[str, object]) -> None:
    """Read without our types, as a stranger would."""
    kind, version, stamp, actor, payload = msgspec.msgpack.decode(bytes.fromhex(str(one["raw"])))
    assert (kind, version, stamp, actor) == (one["kind"], 1, make_entries.STAMP, make_entries.ACTOR)
    fields = one["fields"]
    assert isinstance(fields, dict)
    assert len(msgspec.msgpack.decode(payload)) == len(fields)
    event = ev.event_of(msgspec.msgpack.decode(bytes.fromhex(str(one["raw"])), type=ev.Entry))
    assert {name: json.loads(msgspec.json.encode(getattr(event, name))) for name in fields} == fields
    assert msgspec.msgpack.encode(event) == payload


def test_the_document_names_every_kind_and_its_fields() -> None:
    text = (ROOT / "docs/protocol.md").read_text("utf-8").partition("## 15. Entries")[2]
    rows = {int(number): (name, re.sub(r"\([^)]*\)", "", fields)) for number, name, fields in ROW.findall(text)}
    assert set(rows) == set(ev.KINDS)
    for number, struct in ev.KINDS.items():
        name, fields = rows[number]
        assert name == struct.__name__
        found = [re.match(r"\s*([a-z_]+)", field) for field in re.split(r",(?=\s*[a-z_])", fields)]
        named = [one.group(1).rstrip("0123456789") for one in found if one is not None]
        assert named == list(struct.__struct_fields__), (name, named)


def test_a_signed_prescription_is_signed_as_the_document_says() -> None:
    assert make_entries.prescription() == {name: value.hex() for name, value in PRESCRIPTION.items()}
    hub = Ed25519PrivateKey.from_private_bytes(PRESCRIPTION["hub_sign_private"])
    record, template, version, doctor, signature, certificate, at_ms, hub_signature = msgspec.msgpack.decode(
        PRESCRIPTION["signed"]
    )
    assert record == PRESCRIPTION["record"]
    said = b"upk1 rx" + bytes((len(template),)) + template.encode() + version.to_bytes(2, "big") + record
    assert said == PRESCRIPTION["signing_input"]
    fields = msgspec.msgpack.decode(record)
    who = b"upk1 doc" + doctor + msgspec.msgpack.encode([fields[8], fields[9], fields[11]])
    assert who == PRESCRIPTION["certificate_input"]
    Ed25519PublicKey.from_public_bytes(doctor).verify(signature, said)
    hub.public_key().verify(certificate, who)
    hub.public_key().verify(hub_signature, b"upk1 rxt" + signature + at_ms.to_bytes(8, "big"))
    verify_signed(
        msgspec.msgpack.decode(PRESCRIPTION["signed"], type=SignedPrescription), hub.public_key().public_bytes_raw()
    )


def test_a_limit_is_what_the_document_says() -> None:
    recorded = json.loads((ROOT / "tests/vectors/limit.json").read_text())
    assert make_entries.limits() == recorded
    assert recorded == {"held": "41030100f0", "free": "410300ffff"}

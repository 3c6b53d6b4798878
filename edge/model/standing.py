"""Which of a visit's prescriptions stands: an amendment replaces one, a cancellation leaves none in its place.

Nothing signed is ever changed. The newer record names the older one, and both stay. Pure.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from .errors import Fault, Refusal
from .fold import PrescriptionState
from .prescription import PrescriptionRecord, SignedPrescription


class Standing(StrEnum):
    VALID = "valid"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    """A later record took it back; also the state of the record that says so."""


class Stands(Struct, frozen=True):
    """How one prescription stands, and which later record says so ("" for none)."""

    prescription_id: str
    standing: Standing
    by: str = ""
    by_ms: int = 0


def record_in(signed: bytes) -> PrescriptionRecord | None:
    """The record inside msgpack of a SignedPrescription; None when it cannot be read. Signatures are not checked."""
    try:
        found = msgspec.msgpack.decode(signed, type=SignedPrescription)
        return msgspec.msgpack.decode(found.record, type=PrescriptionRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def standing(prescriptions: Sequence[PrescriptionState]) -> dict[str, Stands]:
    """How each prescription of a visit stands, by what the signed records say of one another.

    A record that cannot be read replaces nothing. Of two that replace the same, the earlier signed counts.
    """
    found = {one.prescription_id: Stands(one.prescription_id, Standing.VALID) for one in prescriptions}
    records = [record for one in prescriptions if (record := record_in(one.signed)) is not None]
    for record in sorted(records, key=lambda one: (one.signed_ms, one.prescription_id), reverse=True):
        if record.cancels:
            found[record.prescription_id] = Stands(record.prescription_id, Standing.CANCELLED)
        if record.replaces in found and record.replaces != record.prescription_id:
            state = Standing.CANCELLED if record.cancels else Standing.REPLACED
            found[record.replaces] = Stands(record.replaces, state, record.prescription_id, record.signed_ms)
    return found


def check_replacing(prescriptions: Sequence[PrescriptionState], prescription_id: str) -> Refusal | None:
    """Why this prescription cannot be amended or cancelled; None when it can."""
    found = standing(prescriptions).get(prescription_id)
    if found is None:
        text = "No such prescription is known here; it may not have arrived yet."
        return Refusal("no_such_prescription", text, "prescription_id", Fault.CALLER)
    if found.standing is not Standing.VALID:
        text = "This prescription was replaced or cancelled already. Load the visit again."
        return Refusal("prescription_replaced", text, "prescription_id")
    return None

"""Prescribing by tele-consultation: the one door to the record, the gate, the check and the dose line.

:mod:`~edge.model.prescription` says what is signed, :mod:`~edge.model.drug_gate` which lists are
open, :mod:`~edge.model.prescribing_check` whether a draft may be signed.
"""

from .doses import dose_line
from .drug_gate import FOLLOW_UP_WINDOW_DAYS, NO_APPROVALS, Approvals, Gate, Letter, Prior, allowed, approved, letter_of
from .prescribing_check import (
    GATE_REASONS,
    Denial,
    check,
    consult_type,
    is_child,
    prior_of,
    runs_until,
    standing_records,
    warnings,
)
from .prescription import (
    AUDIO_FROM_S,
    RECORD_LABEL,
    VIDEO_FROM_S,
    DraftLine,
    Prescriber,
    PrescriptionDraft,
    PrescriptionRecord,
    SignedPrescription,
    Site,
    achieved_mode,
    build_record,
    cancelling,
    child_dose,
    effective_mode,
    signing_input,
    vitals_text,
    weight_of,
)
from .standing import Standing, Stands, check_replacing, record_in, standing

__all__ = [
    "AUDIO_FROM_S",
    "FOLLOW_UP_WINDOW_DAYS",
    "GATE_REASONS",
    "NO_APPROVALS",
    "RECORD_LABEL",
    "VIDEO_FROM_S",
    "Approvals",
    "Denial",
    "DraftLine",
    "Gate",
    "Letter",
    "Prescriber",
    "PrescriptionDraft",
    "PrescriptionRecord",
    "Prior",
    "SignedPrescription",
    "Site",
    "Standing",
    "Stands",
    "achieved_mode",
    "allowed",
    "approved",
    "build_record",
    "cancelling",
    "check",
    "check_replacing",
    "child_dose",
    "consult_type",
    "dose_line",
    "effective_mode",
    "is_child",
    "letter_of",
    "prior_of",
    "record_in",
    "runs_until",
    "signing_input",
    "standing",
    "standing_records",
    "vitals_text",
    "warnings",
    "weight_of",
]

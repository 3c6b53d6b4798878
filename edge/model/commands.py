"""What people ask for. A command is the body of ``POST /api/commands`` and the input of decide.

Every command carries a ``command_id`` made by the tablet: the same command sent again gives the
same answer and is recorded once. JSON, tagged by ``type``.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from .ids import Id
from .marks import Marks
from .records import (
    Allergies,
    Code,
    Colour,
    Complaint,
    Guardian,
    History,
    IsoDay,
    Person,
    Referral,
    ShortText,
    Text,
    VisitState,
    Vitals,
)


class RegisterPatient(Struct, frozen=True, tag="register_patient", forbid_unknown_fields=True):
    """Register a new patient. ``patient_id`` is made by the tablet."""

    command_id: Id
    patient_id: Id
    person: Person


class AmendPatient(Struct, frozen=True, tag="amend_patient", forbid_unknown_fields=True):
    """Correct who a patient is."""

    command_id: Id
    patient_id: Id
    person: Person
    based_on: int | None = None
    """How often the patient had been amended as the person saw her; refused when that has changed. None: not said."""


class OpenVisit(Struct, frozen=True, tag="open_visit", forbid_unknown_fields=True):
    """Begin a visit of a registered patient today."""

    command_id: Id
    visit_id: Id
    patient_id: Id
    category: Code = "general"
    follow_up_of: str = ""
    open_known: int | None = None
    """How many visits of this patient were open as the person saw it; refused when there are more. None: not said."""


class RecordConsent(Struct, frozen=True, tag="record_consent", forbid_unknown_fields=True):
    command_id: Id
    visit_id: Id
    purpose: Annotated[str, Meta(pattern="^(teleconsultation|data)$(?!\\n)")]
    given: bool
    method: Annotated[str, Meta(pattern="^(spoken|tick|thumb|audio|otp)$(?!\\n)")]
    language: Annotated[str, Meta(pattern="^[a-z]{2,3}$(?!\\n)")]
    statement_version: ShortText
    guardian: Guardian | None = None


class RecordComplaints(Struct, frozen=True, tag="record_complaints", forbid_unknown_fields=True):
    command_id: Id
    visit_id: Id
    complaints: Annotated[tuple[Complaint, ...], Meta(min_length=1, max_length=5)]
    notes: Text = ""


class RecordHistory(Struct, frozen=True, tag="record_history", forbid_unknown_fields=True):
    command_id: Id
    visit_id: Id
    history: History
    allergies: Allergies | None = None


class RecordVitals(Struct, frozen=True, tag="record_vitals", forbid_unknown_fields=True):
    command_id: Id
    visit_id: Id
    vitals: Vitals


class AnswerSigns(Struct, frozen=True, tag="answer_signs", forbid_unknown_fields=True):
    """Answers of the danger-sign screen. What is in neither list was not asked."""

    command_id: Id
    visit_id: Id
    present: Annotated[tuple[Code, ...], Meta(max_length=100)]
    absent: Annotated[tuple[Code, ...], Meta(max_length=100)]


class RaiseTriage(Struct, frozen=True, tag="raise_triage", forbid_unknown_fields=True):
    """A person sets a colour above what the rules say. Lowering is refused (triage.md §1.8)."""

    command_id: Id
    visit_id: Id
    colour: Colour
    reason: ShortText = ""


class IssueToken(Struct, frozen=True, tag="issue_token", forbid_unknown_fields=True):
    """Put the visit into the queue. A RED visit needs no token and no form before it."""

    command_id: Id
    visit_id: Id


class MoveVisit(Struct, frozen=True, tag="move_visit", forbid_unknown_fields=True):
    """Skip, recall, cancel, mark as not there, or take a token back that was given by mistake."""

    command_id: Id
    visit_id: Id
    state: VisitState
    reason: ShortText = ""


class ConfirmPrinted(Struct, frozen=True, tag="confirm_printed", forbid_unknown_fields=True):
    command_id: Id
    visit_id: Id
    prescription_id: Id
    printer: ShortText = "pdf"
    copies: Annotated[int, Meta(ge=1, le=5)] = 1


class CloseVisit(Struct, frozen=True, tag="close_visit", forbid_unknown_fields=True):
    command_id: Id
    visit_id: Id
    outcome: VisitState
    explained: bool = False


class AttachMedia(Struct, frozen=True, tag="attach_media", forbid_unknown_fields=True):
    """Attach what was uploaded to its visit: a photo with its preview, a voice note, a clip."""

    command_id: Id
    visit_id: Id
    upload_id: Id
    preview_upload_id: Annotated[str, Meta(pattern="^([0-9a-hjkmnp-tv-z]{16})?$(?!\\n)")] = ""
    """The upload that is the preview; a photo needs one."""
    caption: ShortText = ""


class RemoveMedia(Struct, frozen=True, tag="remove_media", forbid_unknown_fields=True):
    """Take an attached photo, note or clip back, with its preview, before it was sent."""

    command_id: Id
    visit_id: Id
    blob_id: Id


class MarkPhoto(Struct, frozen=True, tag="mark_photo", forbid_unknown_fields=True):
    """Keep what was drawn on a photo of the visit, beside the photo."""

    command_id: Id
    visit_id: Id
    blob_id: Id
    marks: Marks


class RecordInPerson(Struct, frozen=True, tag="record_in_person", forbid_unknown_fields=True):
    """A doctor examined the patient in person for the condition of this visit: here, or by the paper that was shown."""

    command_id: Id
    visit_id: Id
    doctor_id: Annotated[str, Meta(min_length=1, max_length=60)]
    held_on: IsoDay
    paper_seen: bool = False


class CountStock(Struct, frozen=True, tag="count_stock", forbid_unknown_fields=True):
    """What was counted on the shelf, in tablets, bottles, tubes."""

    command_id: Id
    drug_id: Code
    units: Annotated[int, Meta(ge=0, le=1_000_000)]


class ReceiveStock(Struct, frozen=True, tag="receive_stock", forbid_unknown_fields=True):
    command_id: Id
    drug_id: Code
    units: Annotated[int, Meta(ge=1, le=1_000_000)]
    batch: ShortText = ""
    expires: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2})?$(?!\n)")] = ""


class Dispense(Struct, frozen=True, tag="dispense", forbid_unknown_fields=True):
    """Hand out a medicine against a line of a prescription that stands."""

    command_id: Id
    visit_id: Id
    prescription_id: Id
    drug_id: Code
    units: Annotated[int, Meta(ge=1, le=10_000)]
    given_before: int | None = None
    """Units handed out by this line as the person saw it; refused when that has changed. None: not said."""


class Refer(Struct, frozen=True, tag="refer", forbid_unknown_fields=True):
    """Send the patient on, without a doctor's word."""

    command_id: Id
    visit_id: Id
    referral: Referral
    way: Annotated[str, Meta(pattern="^(108|own|not_gone)$(?!\\n)")]
    given: Text = ""


class TellEnding(Struct, frozen=True, tag="tell_ending", forbid_unknown_fields=True):
    """What became of a patient who was sent on or was an emergency."""

    command_id: Id
    visit_id: Id
    ending: Annotated[str, Meta(pattern="^(reached|refused|better|died|not_heard)$(?!\\n)")]
    note: Text = ""


class TakeBackClosing(Struct, frozen=True, tag="take_back_closing", forbid_unknown_fields=True):
    """Closing or cancelling this visit was a slip of the finger."""

    command_id: Id
    visit_id: Id


class TakeBackHandOut(Struct, frozen=True, tag="take_back_hand_out", forbid_unknown_fields=True):
    """A medicine was handed out by a slip of the finger; the last two: its ``at_ms`` and ``at_count`` in the visit."""

    command_id: Id
    visit_id: Id
    prescription_id: Id
    drug_id: Code
    given_ms: Annotated[int, Meta(ge=0)]
    given_count: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class TakeBackReferral(Struct, frozen=True, tag="take_back_referral", forbid_unknown_fields=True):
    """The patient was sent on by a slip of the finger; the last two are the referral's ``at_ms`` and ``at_count``."""

    command_id: Id
    visit_id: Id
    made_ms: Annotated[int, Meta(ge=0)]
    made_count: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


Command: TypeAlias = (
    RegisterPatient
    | AmendPatient
    | OpenVisit
    | RecordConsent
    | RecordComplaints
    | RecordHistory
    | RecordVitals
    | AnswerSigns
    | RaiseTriage
    | IssueToken
    | MoveVisit
    | ConfirmPrinted
    | CloseVisit
    | AttachMedia
    | RemoveMedia
    | MarkPhoto
    | RecordInPerson
    | CountStock
    | ReceiveStock
    | Dispense
    | Refer
    | TellEnding
    | TakeBackClosing
    | TakeBackHandOut
    | TakeBackReferral
)

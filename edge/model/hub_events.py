"""The facts that the hub writes: its log for one node. Fields are only appended, as in :mod:`edge.model.events`."""

from typing import Annotated

from msgspec import Meta, Struct

from .ids import Id
from .marks import Marks
from .media import Facts
from .records import Code, IsoDay, Role, ShortText, Text


class StaffPublished(Struct, frozen=True, array_like=True):
    """A doctor or staff member that the node should know: name, role, public signing key."""

    person_id: ShortText
    name: ShortText
    role: Role
    registration: ShortText = ""
    qualification: ShortText = ""
    public_key: bytes = b""
    """Ed25519, 32 B, for doctors."""


class VisitAssigned(Struct, frozen=True, array_like=True):
    visit_id: Id
    doctor_id: ShortText
    doctor_name: ShortText


class VisitSeen(Struct, frozen=True, array_like=True):
    """A doctor opened the record."""

    visit_id: Id
    doctor_id: ShortText
    tells_denials: bool = False
    """This hub says :class:`SigningDenied` of this visit; one of an earlier release did not."""


class SigningDenied(Struct, frozen=True, array_like=True):
    """The rules about medicines stopped a prescription that a doctor wanted to sign. Says of no medicine which."""

    visit_id: Id
    reasons: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=20)]
    """Codes of docs/errors.md, each once, in the order of letters."""


class PrescriptionSigned(Struct, frozen=True, array_like=True):
    visit_id: Id
    prescription_id: Id
    signed: bytes
    """msgpack of :class:`edge.model.prescribing.SignedPrescription`, kept byte for byte."""
    replaces: str = ""
    """The prescription that this one amends or cancels, as the signed record says it too; empty for a new one."""


class InPersonConfirmed(Struct, frozen=True, array_like=True):
    """The doctor herself says that she examined this patient in person for this condition."""

    visit_id: Id
    doctor_id: ShortText
    held_on: IsoDay


class VisitExpected(Struct, frozen=True, array_like=True):
    """What the hub's rota says about the wait; a later word replaces it. Told again only when it differs."""

    visit_id: Id
    state: Annotated[str, Meta(pattern="^(waiting|nobody|closed)$(?!\\n)")]
    """waiting: a range; nobody: no doctor for this patient sits, the coordinator knows; closed: outside the hours."""
    low_min: Annotated[int, Meta(ge=0, le=100_000)] = 0
    high_min: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Minutes from the time of this entry: true for about eight of ten patients who were told one."""
    opens_ms: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    """When doctors sit next, for ``closed``; 0 when the calendar has no such day."""


class SpecialityWanted(Struct, frozen=True, array_like=True):
    """A doctor asked for a colleague of another speciality; a later word replaces it, "" asks for none."""

    visit_id: Id
    speciality: Annotated[str, Meta(pattern="^[a-z_]{0,30}$(?!\\n)")]
    doctor_id: ShortText
    """Who asked."""


class HubKeyPublished(Struct, frozen=True, array_like=True):
    """The hub's new KEM key; the older ones are destroyed after 400 days."""

    made_ms: int
    public: bytes
    """X25519, 32 B."""
    signature: bytes
    """By H, :mod:`edge.sync.hubkey`."""


class RevocationsPublished(Struct, frozen=True, array_like=True):
    """What is no longer believed, as the hub signed it for this node; a courier stick brings the same bytes."""

    signed_list: bytes
    """:mod:`edge.sync.revocation`."""


class OnCallNumber(Struct, frozen=True, array_like=True):
    """Somebody to ring when no doctor answers: on duty, never a patient."""

    name: ShortText
    phone: ShortText


class OnCallPublished(Struct, frozen=True, array_like=True):
    """Whom this centre rings when no doctor answers, in that order; in the place of what was published before."""

    numbers: Annotated[tuple[OnCallNumber, ...], Meta(max_length=12)]


class GrievanceNamed(Struct, frozen=True, array_like=True):
    """Whom patients complain to about their data (security.md R2); in the place of who was named before."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    phone: Annotated[str, Meta(max_length=120)] = ""
    email: Annotated[str, Meta(max_length=120)] = ""


class RecordsErased(Struct, frozen=True, array_like=True):
    """By law, and by two people: what has these names holds nothing any more, here and wherever it comes from."""

    names: Annotated[tuple[Annotated[bytes, Meta(min_length=16, max_length=16)], ...], Meta(max_length=500)]
    """:func:`edge.sync.erased.name_of` of visits, patients and blobs."""


class DoctorNote(Struct, frozen=True, array_like=True):
    visit_id: Id
    doctor_id: ShortText
    note: Text


class MediaSeen(Struct, frozen=True, array_like=True):
    """A doctor opened an original, or played a note or clip, for the first time."""

    visit_id: Id
    blob_id: Id
    doctor_id: ShortText


class MediaWanted(Struct, frozen=True, array_like=True):
    """These chunks did not verify at the hub, or were lost there: send them again."""

    visit_id: Id
    blob_id: Id
    missing: bytes
    """Bit i (least significant bit of the first byte is 0): chunk i."""


class DoctorMarked(Struct, frozen=True, array_like=True):
    """A doctor drew on a photo of this visit."""

    visit_id: Id
    blob_id: Id
    doctor_id: ShortText
    marks: Marks


class AnswerSpoken(Struct, frozen=True, array_like=True):
    """A doctor answered by voice. Its sound comes in parts of their own, class 2, before or after this."""

    visit_id: Id
    answer_id: Id
    doctor_id: ShortText
    facts: Facts
    size_bytes: int
    parts: int


class AnswerPart(Struct, frozen=True, array_like=True):
    """Bytes of a spoken answer, from ``number`` × 16 KiB on (:data:`edge.model.media.ANSWER_PART_BYTES`)."""

    visit_id: Id
    answer_id: Id
    number: int
    data: bytes


class ThirdJoined(Struct, frozen=True, array_like=True):
    """A specialist came into a call that runs, as its third person, asked by the doctor who holds it."""

    visit_id: Id
    third_id: Id
    call_id: Id
    doctor_id: ShortText
    """Who asked."""
    specialist_id: ShortText
    name: ShortText
    registration: ShortText
    qualification: ShortText
    agreed: Annotated[str, Meta(pattern="^(spoken|emergency)$(?!\\n)")]
    """spoken: the doctor asked in the call, and the patient agreed; emergency: there was no time to ask."""


class ThirdLeft(Struct, frozen=True, array_like=True):
    """The specialist is in the call no more. Figures: what her browser received of it, as she said."""

    visit_id: Id
    third_id: Id
    because: ShortText
    """left, sent_away, lost, call_over."""
    video_s: Annotated[float, Meta(ge=0)]
    audio_s: Annotated[float, Meta(ge=0)]
    concealed_s: Annotated[float, Meta(ge=0)]

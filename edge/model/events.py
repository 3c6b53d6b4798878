"""Every fact. A fact is past tense, is written once, and is never changed.

Each event struct is encoded as an msgpack array without its name; the kind number in
:data:`KINDS` and a version stand beside it in the entry. Fields are only appended, with a
default; a changed meaning takes a new kind. Readers keep kinds they do not know as raw bytes.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from .hub_events import AnswerPart as AnswerPart
from .hub_events import AnswerSpoken as AnswerSpoken
from .hub_events import DoctorMarked as DoctorMarked
from .hub_events import DoctorNote as DoctorNote
from .hub_events import GrievanceNamed as GrievanceNamed
from .hub_events import HubKeyPublished as HubKeyPublished
from .hub_events import InPersonConfirmed as InPersonConfirmed
from .hub_events import MediaSeen as MediaSeen
from .hub_events import MediaWanted as MediaWanted
from .hub_events import OnCallNumber as OnCallNumber
from .hub_events import OnCallPublished as OnCallPublished
from .hub_events import PrescriptionSigned as PrescriptionSigned
from .hub_events import RecordsErased as RecordsErased
from .hub_events import RevocationsPublished as RevocationsPublished
from .hub_events import SigningDenied as SigningDenied
from .hub_events import SpecialityWanted as SpecialityWanted
from .hub_events import StaffPublished as StaffPublished
from .hub_events import ThirdJoined as ThirdJoined
from .hub_events import ThirdLeft as ThirdLeft
from .hub_events import VisitAssigned as VisitAssigned
from .hub_events import VisitExpected as VisitExpected
from .hub_events import VisitSeen as VisitSeen
from .ids import Id
from .marks import Marks
from .media import Manifest
from .records import (
    Allergies,
    Code,
    Complaint,
    Guardian,
    History,
    IsoDay,
    Mode,
    Name,
    Person,
    Role,
    ShortText,
    Text,
    TriageResult,
    VisitState,
    Vitals,
)
from .referral import EndingTold as EndingTold
from .referral import Referred as Referred
from .watched import LinkWatched as LinkWatched


class PatientRegistered(Struct, frozen=True, array_like=True):
    patient_id: Id
    local_id: ShortText
    """``<state>-<facility>-<6 digits>``, given by the node."""
    person: Person


class PatientAmended(Struct, frozen=True, array_like=True):
    """The whole person anew; the earlier entry stays in the log."""

    patient_id: Id
    person: Person


class VisitOpened(Struct, frozen=True, array_like=True):
    visit_id: Id
    patient_id: Id
    salt: bytes
    """16 random bytes that salt the hashes of this visit's entries; erased with it (SEALING.md)."""
    category: Code = "general"
    follow_up_of: str = ""
    """An earlier visit id, when the patient comes back for the same condition."""


class ConsentRecorded(Struct, frozen=True, array_like=True):
    """Teleconsultation and data are two separate records (security.md C1)."""

    visit_id: Id
    purpose: Annotated[str, Meta(pattern="^(teleconsultation|data)$(?!\\n)")]
    given: bool
    method: Annotated[str, Meta(pattern="^(spoken|tick|thumb|audio|otp)$(?!\\n)")]
    language: str
    statement_version: ShortText
    guardian: Guardian | None = None


class ComplaintsRecorded(Struct, frozen=True, array_like=True):
    visit_id: Id
    complaints: tuple[Complaint, ...]
    notes: Text = ""


class HistoryRecorded(Struct, frozen=True, array_like=True):
    visit_id: Id
    history: History


class AllergiesRecorded(Struct, frozen=True, array_like=True):
    visit_id: Id
    allergies: Allergies


class VitalsRecorded(Struct, frozen=True, array_like=True):
    visit_id: Id
    vitals: Vitals


class SignsAnswered(Struct, frozen=True, array_like=True):
    """Danger-sign screen: which signs are present, which were asked and absent."""

    visit_id: Id
    present: tuple[Code, ...]
    absent: tuple[Code, ...]


class Triaged(Struct, frozen=True, array_like=True):
    visit_id: Id
    result: TriageResult
    raised_by_staff: bool = False
    """True when a person set the colour above what the rules say."""
    reason: ShortText = ""


class TokenIssued(Struct, frozen=True, array_like=True):
    visit_id: Id
    token: ShortText
    """``<site code>-<3 digits>``, counted anew each day."""
    day: int
    """Indian calendar day number, :func:`edge.model.clock.day_of`."""
    serial: int


class VisitMoved(Struct, frozen=True, array_like=True):
    """The visit changed its place: skipped, recalled, waiting again, closed …"""

    visit_id: Id
    state: VisitState
    reason: ShortText = ""


class CallHeld(Struct, frozen=True, array_like=True):
    """What one attempt of a call carried, as one side measured it (proof of consultation)."""

    visit_id: Id
    call_id: Id
    doctor_id: ShortText
    started_ms: int
    ended_ms: int
    video_s: float
    """Seconds in which frames were received and shown."""
    audio_s: float
    concealed_s: float
    mode: Mode
    side: Annotated[str, Meta(pattern="^(node|doctor)$(?!\\n)")]
    ended_because: ShortText = ""


class PrescriptionStored(Struct, frozen=True, array_like=True):
    """The node holds this signed prescription durably and has checked its signatures."""

    visit_id: Id
    prescription_id: Id


class SlipPrinted(Struct, frozen=True, array_like=True):
    visit_id: Id
    prescription_id: Id
    printer: ShortText
    copies: int = 1


class VisitClosed(Struct, frozen=True, array_like=True):
    visit_id: Id
    outcome: VisitState
    explained: bool = False
    """The slip was read out to the patient."""


class RunStarted(Struct, frozen=True, array_like=True):
    """First entry of an audit stream: which software speaks."""

    software: ShortText
    schema: int


class Accessed(Struct, frozen=True, array_like=True):
    """Audit: who read, printed or exported what (security.md S5). Holds no clinical text."""

    action: Code
    subject: str
    result: ShortText = "ok"


class MediaAttached(Struct, frozen=True, array_like=True):
    """A photo, voice note or clip belongs to this visit from now on; its bytes travel in chunks of their own."""

    visit_id: Id
    media: Manifest


class MediaRemoved(Struct, frozen=True, array_like=True):
    """Taken back before it was sent (a photo of the wrong thing). The bytes are gone at the node."""

    visit_id: Id
    blob_id: Id


class InPersonRecorded(Struct, frozen=True, array_like=True):
    """The nurse saw it, or saw its paper: this doctor examined the patient in person for this condition."""

    visit_id: Id
    doctor_id: ShortText
    held_on: IsoDay
    """Indian calendar day of that consultation."""
    paper_seen: bool = False
    """Known from the paper that the patient brought, not because the doctor was here."""


class StockCounted(Struct, frozen=True, array_like=True):
    """Somebody counted what lies on the shelf: from here on the book says so."""

    drug_id: Code
    units: Annotated[int, Meta(ge=0, le=1_000_000)]
    """Tablets, bottles, tubes: what is handed out as one piece."""


class StockReceived(Struct, frozen=True, array_like=True):
    drug_id: Code
    units: Annotated[int, Meta(ge=1, le=1_000_000)]
    batch: ShortText = ""
    expires: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2})?$(?!\n)")] = ""
    """YYYY-MM, or empty."""


class Dispensed(Struct, frozen=True, array_like=True):
    """Handed to the patient, against a line of a prescription that stands."""

    visit_id: Id
    prescription_id: Id
    drug_id: Code
    units: Annotated[int, Meta(ge=1, le=10_000)]


STAMP_LAST = (1 << 63) - 1


class ClosingTakenBack(Struct, frozen=True, array_like=True):
    """Closing or cancelling this visit was a slip: it is open again."""

    visit_id: Id
    state: VisitState
    """Where it stands again."""


class HandOutTakenBack(Struct, frozen=True, array_like=True):
    """A hand-out was a slip, or came back unopened: it counts no more, and its pieces lie on the shelf."""

    visit_id: Id
    drug_id: Code
    stamp: Annotated[int, Meta(ge=0, le=STAMP_LAST)]
    """Of the entry that said :class:`Dispensed`."""


class ReferralTakenBack(Struct, frozen=True, array_like=True):
    """Sending the patient on was a slip: she was not sent."""

    visit_id: Id
    stamp: Annotated[int, Meta(ge=0, le=STAMP_LAST)]
    """Of the entry that said :class:`~edge.model.referral.Referred`."""


class PhotoMarked(Struct, frozen=True, array_like=True):
    """Somebody at the node drew on a photo of this visit. The photo stays as it is."""

    visit_id: Id
    blob_id: Id
    marks: Marks


class StaffListed(Struct, frozen=True, array_like=True):
    """Who works at this node, so that papers can carry a name. Never a PIN, a verifier or a badge."""

    staff_id: ShortText
    name: Name
    name_hi: Name
    role: Role
    salt: bytes
    """16 random bytes that salt the hash of this entry, so that the name can be erased by law."""


class ClassBacklog(Struct, frozen=True, array_like=True):
    """What of one priority class the hub has not acknowledged."""

    cls: int
    items: int
    size_bytes: int
    oldest_s: int


class NodeTold(Struct, frozen=True, array_like=True):
    """How the node stands, for whoever looks after many; a few a day. Holds nothing about people."""

    software: ShortText
    bearer: ShortText
    rtt_ms: int
    rate_bps: int
    backlog: tuple[ClassBacklog, ...] = ()
    findings: tuple[Code, ...] = ()
    """``check:grade`` of every health check that is not well."""
    disk_free_mb: int = 0
    records_mb: int = 0
    clock_trusted: bool = False
    power: ShortText = ""
    """``mains``, ``battery``, ``low``; empty without a board that measures it."""
    battery_mv: int = 0
    sim: ShortText = ""
    """``up``, or what is wrong with modem or SIM; empty without a modem."""
    update: ShortText = ""
    """Name and version of the update that lies there for the installer."""


class ErasureDone(Struct, frozen=True, array_like=True):
    """What the hub erased by law holds nothing here either; said when all that was said of it before had left."""

    names: Annotated[tuple[Annotated[bytes, Meta(min_length=16, max_length=16)], ...], Meta(max_length=500)]
    """Of :class:`RecordsErased`, whether it was here or not."""


Event: TypeAlias = (
    PatientRegistered
    | PatientAmended
    | VisitOpened
    | ConsentRecorded
    | ComplaintsRecorded
    | HistoryRecorded
    | AllergiesRecorded
    | VitalsRecorded
    | SignsAnswered
    | Triaged
    | TokenIssued
    | VisitMoved
    | CallHeld
    | PrescriptionStored
    | SlipPrinted
    | VisitClosed
    | RunStarted
    | Accessed
    | MediaAttached
    | MediaRemoved
    | PhotoMarked
    | StaffListed
    | NodeTold
    | InPersonRecorded
    | StockCounted
    | StockReceived
    | Dispensed
    | Referred
    | EndingTold
    | ClosingTakenBack
    | HandOutTakenBack
    | ReferralTakenBack
    | StaffPublished
    | VisitAssigned
    | VisitSeen
    | PrescriptionSigned
    | DoctorNote
    | HubKeyPublished
    | RevocationsPublished
    | MediaSeen
    | MediaWanted
    | InPersonConfirmed
    | VisitExpected
    | DoctorMarked
    | AnswerSpoken
    | AnswerPart
    | ThirdJoined
    | ThirdLeft
    | SpecialityWanted
    | OnCallPublished
    | GrievanceNamed
    | RecordsErased
    | ErasureDone
    | LinkWatched
    | SigningDenied
)

KINDS: dict[int, type[Struct]] = {
    1: PatientRegistered,
    2: PatientAmended,
    3: VisitOpened,
    4: ConsentRecorded,
    5: ComplaintsRecorded,
    6: HistoryRecorded,
    7: AllergiesRecorded,
    8: VitalsRecorded,
    9: SignsAnswered,
    10: Triaged,
    11: TokenIssued,
    12: VisitMoved,
    13: CallHeld,
    14: PrescriptionStored,
    15: SlipPrinted,
    16: VisitClosed,
    17: RunStarted,
    18: Accessed,
    19: MediaAttached,
    20: MediaRemoved,
    24: StaffListed,
    25: NodeTold,
    26: InPersonRecorded,
    27: StockCounted,
    28: StockReceived,
    29: Dispensed,
    30: Referred,
    31: EndingTold,
    32: PhotoMarked,
    33: ClosingTakenBack,
    34: HandOutTakenBack,
    35: ReferralTakenBack,
    36: ErasureDone,
    37: LinkWatched,
    64: StaffPublished,
    65: VisitAssigned,
    66: VisitSeen,
    67: PrescriptionSigned,
    68: DoctorNote,
    69: MediaSeen,
    70: MediaWanted,
    71: InPersonConfirmed,
    72: VisitExpected,
    73: DoctorMarked,
    74: AnswerSpoken,
    75: AnswerPart,
    76: ThirdJoined,
    77: ThirdLeft,
    78: SpecialityWanted,
    80: HubKeyPublished,
    81: RevocationsPublished,
    82: OnCallPublished,
    83: RecordsErased,
    84: SigningDenied,
    85: GrievanceNamed,
}
"""Kind number on the wire → struct. 1–63 are said by nodes, 64–127 by the hub. Never reused."""

KIND_OF: dict[type[Struct], int] = {struct: kind for kind, struct in KINDS.items()}

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[int, msgspec.msgpack.Decoder[Event]] = {
    kind: msgspec.msgpack.Decoder(struct) for kind, struct in KINDS.items()
}


class Entry(Struct, frozen=True, array_like=True):
    """One log entry as it is hashed, signed and sent. ``payload`` is never re-encoded."""

    kind: int
    version: int
    stamp: int
    """Hybrid logical time, :mod:`edge.model.clock`."""
    actor: str
    """Id of the staff member or doctor who said it; "" for the machine itself."""
    payload: bytes
    """msgpack of the event struct."""


class Unknown(Struct, frozen=True):
    """An event that this release cannot read: kept and forwarded as it is."""

    kind: int
    version: int
    payload: bytes


def entry_of(event: Event, stamp: int, actor: str) -> Entry:
    """Wrap an event into an entry of version 1."""
    return Entry(KIND_OF[type(event)], 1, stamp, actor, _encoder.encode(event))


def event_of(entry: Entry) -> Event | Unknown:
    """The event in an entry, or :class:`Unknown` for a kind or version of a later release.

    Raises msgspec.ValidationError when a known kind holds something else than its fields.
    """
    decoder = _decoders.get(entry.kind)
    if decoder is None or entry.version != 1:
        return Unknown(entry.kind, entry.version, entry.payload)
    return decoder.decode(entry.payload)


def visit_of(event: Event | Unknown) -> str:
    """The visit an event belongs to, or "" for one that belongs to none."""
    return getattr(event, "visit_id", "")

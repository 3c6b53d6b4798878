"""Requests and replies of the node's API, as the structs that parse and write them.

``/openapi.json`` is made from these. Fields without a unit in their name are codes or text.
"""

from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import Refusal
from edge.model.fold import Patient, Visit
from edge.model.ids import Id
from edge.model.marks import Mark
from edge.model.prescribing import PrescriptionRecord, Stands
from edge.model.progress import ItemLine, Line, SyncState
from edge.model.queue import QueueVisit
from edge.model.stock import Level
from edge.node.live import Link
from edge.node.views import Draft, Staff

Pin = Annotated[str, Meta(min_length=4, max_length=12, pattern="^[0-9]+$(?!\\n)")]
BadgeText = Annotated[str, Meta(min_length=1, max_length=80)]
StaffId = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[0-9a-z-]+$(?!\\n)")]
DraftKey = Annotated[str, Meta(min_length=1, max_length=80, pattern="^[0-9A-Za-z_.:-]+$(?!\\n)")]
Tablet = Annotated[str, Meta(max_length=60, pattern="^[0-9A-Za-z_.:-]*$(?!\\n)")]
TabletSecret = Annotated[str, Meta(pattern="^[0-9a-f]{64}$(?!\\n)")]
DRAFT_MAX_CHARS = 65_536


SlotName = Annotated[str, Meta(pattern="^[0-9a-f]{16}$(?!\\n)")]


class Status(Struct, frozen=True):
    node_id: str
    site_code: str
    site_name: str
    demo: bool
    locked: bool
    language: str
    time_ms: int
    time_trusted: bool
    link: Link
    tablets: int
    version: str
    sms_fitted: bool
    """Whether this node was told of an SMS modem."""
    revoked: str = ""
    """Why the hub believes this machine no more: node_revoked, node_replaced; empty when it does."""
    day_slots: list[str] = []
    """Names of the day slots that open this node; a tablet whose own is not among them forgets its key."""
    training: bool = False
    """A node for practice: nobody here is real, and nothing leaves it."""
    lost_slots: list[str] = []
    """Names of day slots whose tablet was lost: a tablet that finds its own here wipes what it holds."""
    own_camera: bool = False
    """Calls take picture and sound from the node's own camera, and clips may."""
    unreadable: bool = False
    """Somebody gave the right key since the start, and the records did not open with it."""
    doubted_ms: int = 0
    """What the machine's clock says, Unix ms, where it is not believed: ``time_ms`` goes on from the last work until a
    person says what time it is. 0 when there is no doubt."""


class Unlock(Struct, frozen=True, forbid_unknown_fields=True):
    badge: BadgeText
    pin: Pin


class UnlockByDay(Struct, frozen=True, forbid_unknown_fields=True):
    tablet: TabletSecret
    age_s: Annotated[float, Meta(ge=-1e9, le=1e9)]
    """How old the tablet's key is by the tablet's own clock."""
    pin: Pin


class UnlockedByDay(Struct, frozen=True):
    locked: bool
    staff_id: str
    """Whose PIN it is: who logs in next with it."""


class DayClosed(Struct, frozen=True):
    erased: int
    """Day slots that there were."""


class DraftKeyAsked(Struct, frozen=True, forbid_unknown_fields=True):
    tablet: TabletSecret


class DraftKey32(Struct, frozen=True):
    slot: SlotName
    """The day slot that it belongs to."""
    key: str
    """32 B in hex, for AES-256-GCM: to be kept in memory only."""


class ForgetOthers(Struct, frozen=True, forbid_unknown_fields=True):
    keep: Annotated[tuple[SlotName, ...], Meta(max_length=40)] = ()
    """Names of the asking tablet's own day slots."""


class Forgotten(Struct, frozen=True):
    sessions: int
    """So many were logged out."""


class Unlocked(Struct, frozen=True):
    locked: bool


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    staff_id: StaffId
    pin: Pin
    tablet: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$(?!\\n)")] = ""
    """The tablet's secret: a day slot is made for it."""


class SessionReply(Struct, frozen=True):
    staff: Staff
    csrf: str
    day_slot: str = ""
    """Name of the day slot that was made, with which this tablet opens the node again today."""


class CommandReply(Struct, frozen=True):
    command_id: str
    events: int
    patient: Patient | None
    visit: Visit | None
    warnings: tuple[Refusal, ...]


class PatientQuery(Struct, frozen=True):
    q: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class PatientRow(Patient, frozen=True):
    last_visit_ms: int = 0
    open_visit_id: str = ""
    """A visit of this patient that is not closed; empty when there is none."""
    open_token: str = ""


class PatientList(Struct, frozen=True):
    items: list[PatientRow]


class Village(Struct, frozen=True):
    name: str
    patients: int


class VillageList(Struct, frozen=True):
    items: list[Village]


class PatientPage(Struct, frozen=True):
    patient: Patient
    visits: list[Visit]


class QueueItem(Struct, frozen=True):
    visit: QueueVisit
    patient_name: str
    patient_age: str
    patient_sex: str
    place: int
    """1 for the next one; 0 for RED, which stands above the queue, and for visits without a token."""
    wait_s: int
    sync: SyncState
    sync_ms: int
    """Since when it stands so; 0 when that is not known."""
    sms: str
    """State of the short copy that went by SMS; empty when none did."""


class Queue(Struct, frozen=True):
    items: list[QueueItem]
    day: int


class VisitPage(Struct, frozen=True):
    visit: Visit
    patient: Patient
    sync: list[ItemLine]
    line: Line


class DraftBody(Struct, frozen=True, forbid_unknown_fields=True):
    body: Annotated[str, Meta(max_length=DRAFT_MAX_CHARS)]
    revision: Annotated[int, Meta(ge=0, le=2**53)]


class DraftSaved(Struct, frozen=True):
    kept: bool
    """False: a newer revision is here already."""
    revision: int


class DraftList(Struct, frozen=True):
    items: list[Draft]


class PrescriptionPage(Struct, frozen=True):
    record: PrescriptionRecord
    verified: bool
    prescription_id: str
    stands: Stands | None = None
    """Whether it stands, and which later one replaced or cancelled it."""


class Doctor(Struct, frozen=True):
    """A doctor whom this node has heard of."""

    doctor_id: str
    name: str


class DoctorList(Struct, frozen=True):
    items: list[Doctor]


class Stock(Struct, frozen=True):
    """The book of the shelf."""

    items: list[Level]


class CheckSlip(Struct, frozen=True, forbid_unknown_fields=True):
    """What was scanned from a slip."""

    qr: Annotated[str, Meta(max_length=200)]


class CheckedSlip(Struct, frozen=True):
    """A genuine slip, and whether it still stands as far as is known here."""

    prescription_id: str
    visit_id: str
    stands: Stands


class SlipQuery(Struct, frozen=True):
    paper: Annotated[str, Meta(pattern="^(a4|a5)$(?!\\n)")] = "a5"


class AcceptCall(Struct, frozen=True, forbid_unknown_fields=True):
    tablet: Tablet = ""


class LanRequest(Struct, frozen=True, forbid_unknown_fields=True):
    sdp: Annotated[str, Meta(min_length=1, max_length=20_000)]
    tablet: Tablet = ""


class LanReply(Struct, frozen=True):
    sdp: str


class DrewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    blob_id: Id
    mark_id: Id
    mark: Mark | None
    """null: taken back."""


class CallNow(Struct, frozen=True):
    call_id: Id
    visit_id: str
    doctor_name: str
    state: str
    rung: str
    why: str
    camera: str
    """"tablet" when the tablet that takes the call gives picture and sound, else "node"."""


class CallList(Struct, frozen=True):
    items: list[CallNow]


class Health(Struct, frozen=True):
    ok: bool
    locked: bool

"""What the hub's API takes and gives, as structs: they parse the requests and describe the API."""

from typing import Annotated

from msgspec import Meta, Struct

from edge.media.signals import IceServer
from edge.model.events import NodeTold
from edge.model.fold import Call, Patient, Visit
from edge.model.ids import Id
from edge.model.prescribing import Denial, PrescriptionDraft, PrescriptionRecord, Stands
from edge.model.progress import SyncState
from edge.model.queue import QueueVisit
from edge.model.records import ConsultType, Mode, ShortText

from ..nodes import Worker
from ..permits import Role

User = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00]*$(?!\n)")]
"""A NUL is no part of any name, and PostgreSQL takes it for none of its texts."""
Password = Annotated[str, Meta(max_length=200)]


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    user: User
    password: Password
    totp: Annotated[str, Meta(pattern=r"^([0-9]{6,8}|[2-7A-Za-z -]{16,24})$(?!\n)")]
    """The authenticator's code, or a recovery code."""


class DoctorView(Struct, frozen=True):
    doctor_id: str
    name: str
    registration: str
    qualification: str


class LoggedIn(Struct, frozen=True):
    doctor: DoctorView
    csrf: str
    """Echo it in ``X-CSRF`` on everything that is not a GET."""
    can_sign: bool = True
    """False after a restart of the hub: the next signing asks for the password."""
    sms_fitted: bool = False
    """Whether early copies come by SMS (``/api/early``)."""
    roles: tuple[Role, ...] = ()
    """What this person may do (``hub/permits.py``)."""
    given: bool = False
    """Somebody else has seen this log-in: replace it first (``PUT /api/own/login``)."""
    codes_left: int = 0
    """Recovery codes that were not used."""


class QueueItem(Struct, frozen=True):
    visit: QueueVisit
    patient_name: str
    patient_age: str
    patient_sex: str
    site_code: str
    site_name: str
    node_id: str
    node_online: bool
    last_ack_age_s: float | None
    """Seconds since the node was last heard; null for never."""
    waited_s: int
    place: int
    """1 for the next; 0 for RED and for visits that are being seen."""
    home: bool = False
    """A patient at home; ``node_online`` then says whether a page of hers is open."""


class Queue(Struct, frozen=True):
    items: tuple[QueueItem, ...]


class SiteView(Struct, frozen=True):
    node_id: str
    site_code: str
    site_name: str
    district: str
    online: bool
    """The node was heard lately; at home: a page of the patient is open."""
    last_ack_age_s: float | None
    home: bool = False
    """A patient at home: a call rings at her telephone, also when her page is not open yet."""


class SyncLine(Struct, frozen=True):
    """How far a prescription has come, as the hub may say it."""

    item: str
    """Id of a prescription."""
    state: SyncState
    """waiting (the node has not said that it holds it), answered (it has), printed."""
    at_ms: int


class EarlierLine(Struct, frozen=True):
    generic: str
    strength: str
    runs: bool
    """The patient still takes it, by its days."""


class EarlierPaper(Struct, frozen=True):
    """A prescription of another visit that stands."""

    visit_id: str
    signed_ms: int
    doctor_name: str
    diagnosis: str
    diagnosis_code: str
    provisional: bool
    medicines: tuple[EarlierLine, ...]


class Record(Struct, frozen=True):
    visit: Visit
    patient: Patient | None
    """null while the registration has not arrived."""
    patient_age: str
    site: SiteView
    prescriptions: tuple[PrescriptionRecord, ...]
    calls: tuple[Call, ...]
    sync: tuple[SyncLine, ...]
    earlier: tuple[Visit, ...]
    """Other visits of this patient."""
    earlier_papers: tuple[EarlierPaper, ...]
    """What was found and prescribed in them, and stands."""
    workers: tuple[Worker, ...]
    """Who works at the node: names for the staff ids in the visit."""
    now_ms: int
    standing: tuple[Stands, ...] = ()
    """Which prescriptions stand, and which later one replaced or cancelled the others."""


class VisitReply(Struct, frozen=True):
    visit: Visit


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=20_000, pattern=r"^[^\x00]*$(?!\n)")]


class SavedNote(Struct, frozen=True):
    text: str
    saved_ms: int


class CheckDraft(Struct, frozen=True, forbid_unknown_fields=True):
    draft: PrescriptionDraft
    replaces: Annotated[str, Meta(pattern="^([0-9a-hjkmnp-tv-z]{16})?$(?!\\n)")] = ""
    """The signed prescription that this one amends."""


class PutSheet(Struct, frozen=True, forbid_unknown_fields=True):
    """The prescription as far as it is written, and the command under which it will be signed."""

    draft: PrescriptionDraft
    command_id: Id


class SignDraft(Struct, frozen=True, forbid_unknown_fields=True):
    command_id: Id
    draft: PrescriptionDraft
    password: Password = ""
    """Needed once after a restart of the hub."""
    replaces: Annotated[str, Meta(pattern="^([0-9a-hjkmnp-tv-z]{16})?$(?!\\n)")] = ""
    """The signed prescription that this one amends."""
    reason: ShortText = ""
    """Why, in a few words; it stands on the paper."""


class Signed(Struct, frozen=True):
    prescription_id: str


class DeniedReply(Struct, frozen=True):
    """Body of 422."""

    code: str
    message: str
    denials: tuple[Denial, ...]
    field: str = ""
    fault: str = "state"


class Checks(Struct, frozen=True):
    denials: tuple[Denial, ...]
    warnings: tuple[Denial, ...]
    mode: Mode
    consult_type: ConsultType
    dose_lines: tuple[tuple[str, str], ...] = ()
    """Hindi and English of each line in the words of the slip; empty while the line is not whole."""
    child_doses: tuple[str, ...] = ()
    """For a child: what stands in ``child_doses_seen`` once the dose of a line is confirmed for the present weight."""


class IceReply(Struct, frozen=True):
    ice_servers: tuple[IceServer, ...]


class NodeView(Struct, frozen=True):
    """A node as whoever looks after many sees it."""

    node_id: str
    site_code: str
    site_name: str
    district: str
    revoked: bool
    online: bool
    last_ack_age_s: float | None
    """Seconds since the node was last heard; null for never."""
    told: NodeTold | None
    """What it said of itself last: software, bearer, backlog, what is not well."""
    told_ms: int
    """When it said that, by its own clock; 0 for never."""


class NodeList(Struct, frozen=True):
    items: tuple[NodeView, ...]
    now_ms: int


class Health(Struct, frozen=True):
    status: str
    version: str

"""What the patients' API takes and gives, as structs: they parse the requests and describe the API."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from edge.media.signals import IceServer
from edge.model import commands as cmd
from edge.model.fold import Consent, Expected, Patient, VitalsRound
from edge.model.fold_media import MediaItem, SpokenAnswer
from edge.model.records import Allergies, Colour, Complaint, History, VisitState
from edge.model.standing import Stands

from ..breach import Officer

Number = Annotated[str, Meta(min_length=10, max_length=20, pattern=r"^[+0-9][0-9 ().-]*$(?!\n)")]
Language = Annotated[str, Meta(pattern="^(hi|en)$(?!\\n)")]

HomeCommand: TypeAlias = (
    cmd.RegisterPatient
    | cmd.AmendPatient
    | cmd.OpenVisit
    | cmd.RecordConsent
    | cmd.RecordComplaints
    | cmd.RecordHistory
    | cmd.RecordVitals
    | cmd.AnswerSigns
    | cmd.IssueToken
    | cmd.MoveVisit
    | cmd.CloseVisit
    | cmd.RemoveMedia
)
"""What is said as a command; photos come by a call of their own."""


class AskCode(Struct, frozen=True, forbid_unknown_fields=True):
    mobile: Number
    language: Language = "hi"


class CodeAsked(Struct, frozen=True):
    good_s: int
    """For so long the code can be typed, if the number gets one."""
    digits: int
    """How long the code is."""
    sent: bool
    """False: the code of a message that went out a little while ago is meant."""


class PushKey(Struct, frozen=True):
    key: str
    """The hub's public key, base64url: ``applicationServerKey``."""


class PushTo(Struct, frozen=True, forbid_unknown_fields=True):
    """A browser's subscription (RFC 8030, 8291)."""

    endpoint: Annotated[str, Meta(min_length=10, max_length=1000)]
    p256dh: Annotated[str, Meta(min_length=80, max_length=100, pattern="^[A-Za-z0-9_-]+$(?!\\n)")]
    auth: Annotated[str, Meta(min_length=20, max_length=30, pattern="^[A-Za-z0-9_-]+$(?!\\n)")]
    on: bool = True
    """False: tell this browser no more."""


class PushSeen(Struct, frozen=True, forbid_unknown_fields=True):
    word: Annotated[str, Meta(pattern="^[0-9a-f]{32}$(?!\\n)")]
    """What came with the push."""


class HomeLogin(Struct, frozen=True, forbid_unknown_fields=True):
    mobile: Number
    proof: Annotated[str, Meta(min_length=6, max_length=30, pattern="^[0-9A-Za-z -]+$(?!\\n)")]
    """The code of the message, or today's token with its letters."""
    language: Language = "hi"


class CentreQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which centres are meant: not a word about who asks, and never where she is."""

    q: Annotated[str, Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""
    district: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""
    block: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""
    placed: bool = False
    """With coordinates only, more of them: the browser reckons the distances."""


class Opening(Struct, frozen=True):
    """When doctors sit, and whom to complain to."""

    open: bool
    opens_ms: int
    """When they sit next; 0 when the calendar has no such day."""
    grievance: Officer | None
    """Whom to complain to."""
    demo: bool
    """Synthetic numbers are taken, and no message leaves the hub."""
    now_ms: int


class InCall(Struct, frozen=True):
    """A specialist whom the doctor asked into a call of this visit."""

    third_id: str
    call_id: str
    name: str
    registration: str
    qualification: str
    joined_ms: int
    left_ms: int
    """0 while she is in it."""


class HomeVisitLine(Struct, frozen=True):
    visit_id: str
    patient_id: str
    state: VisitState
    colour: Colour
    token: str
    opened_ms: int
    closed_ms: int
    answered: bool
    """There is a prescription."""


class Family(Struct, frozen=True):
    """Who shares the number, and their visits from home."""

    mobile: str
    """Masked but for the last three digits."""
    csrf: str
    """Echo it in ``X-CSRF`` on everything that is not a GET."""
    language: str
    centre: str
    centre_name: str
    """Of the chosen sub-centre, with its district; "" for none."""
    people: tuple[Patient, ...]
    visits: tuple[HomeVisitLine, ...]
    now_ms: int


class Choose(Struct, frozen=True, forbid_unknown_fields=True):
    centre: Annotated[str, Meta(pattern="^([0-9a-f]{16})?$(?!\\n)")]
    language: Language


class Medicine(Struct, frozen=True):
    name: str
    how_hi: str
    """How to take it, in the words of the slip."""
    how_en: str


class Paper(Struct, frozen=True):
    """A prescription whose signatures hold."""

    prescription_id: str
    signed_ms: int
    doctor_name: str
    registration: str
    diagnosis: str
    medicines: tuple[Medicine, ...]
    advice: str
    follow_up: str
    cancels: bool
    stands: Stands
    kept: bool
    """The slip was opened."""


class HomeVisit(Struct, frozen=True):
    """A visit as its patient sees it."""

    visit_id: str
    patient: Patient
    state: VisitState
    colour: Colour
    token: str
    day_pass: str
    """Letters that go with the token: together they are the log-in of the day."""
    token_today: bool
    missed: int
    """How often the patient was called and was not there."""
    place: int
    expected: Expected | None
    doctor_name: str
    doctor_qualification: str
    doctor_registration: str
    consents: tuple[Consent, ...]
    complaints: tuple[Complaint, ...]
    complaint_notes: str
    history: History | None
    allergies: Allergies | None
    signs_present: tuple[str, ...]
    signs_absent: tuple[str, ...]
    vitals: tuple[VitalsRound, ...]
    photos: tuple[MediaItem, ...]
    papers: tuple[Paper, ...]
    answers: tuple[SpokenAnswer, ...]
    """What the doctor said into her microphone."""
    opened_ms: int
    closed_ms: int
    now_ms: int
    thirds: tuple[InCall, ...] = ()
    """Specialists who came into the calls of this visit."""
    speciality: str = ""
    """Of which speciality a doctor was asked for; "" for none."""


class CheckedSlip(Struct, frozen=True):
    """A slip that is genuine to the last byte."""

    prescription_id: str
    doctor_name: str
    registration: str
    signed_ms: int
    stands: Stands | None


class HomeIce(Struct, frozen=True):
    ice_servers: tuple[IceServer, ...]


class PhotoQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    preview_bytes: Annotated[int, Meta(ge=1, le=8_000)] = 1
    """So many bytes at the beginning of the body are the small preview, the rest is the photo."""


class HomeSlipQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    paper: Annotated[str, Meta(pattern="^a[45]$(?!\\n)")] = "a5"

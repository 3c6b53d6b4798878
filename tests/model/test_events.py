"""Entries: what is written is read again, old bytes stay readable, later kinds are kept."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model.marks import Mark, MarkKind
from edge.model.media import Facts, Manifest, MediaType, Purpose
from edge.model.records import (
    Age,
    AgeUnit,
    Allergies,
    Colour,
    Complaint,
    Gender,
    Guardian,
    History,
    Mode,
    Person,
    Reading,
    Referral,
    Role,
    TriageResult,
    VisitState,
    Vitals,
)
from tests.model.kit import an_id

VECTORS = Path(__file__).parent / "vectors" / "entries.json"
A, B, C = an_id(1), an_id(2), an_id(3)
STAMP = 1_795_500_000_000 << 16 | 7

SAMPLES: list[ev.Event] = [
    ev.PatientRegistered(
        A, "BR01-000001", Person("आशा कुमारी", Gender.FEMALE, "रामपुर", Age(30, AgeUnit.YEARS), mobile="5550123456")
    ),
    ev.PatientAmended(A, Person("Asha Devi", Gender.FEMALE, "Rampur", None, "1996-02-29")),
    ev.VisitOpened(B, A, bytes(range(16)), "general", C),
    ev.ConsentRecorded(B, "teleconsultation", True, "spoken", "hi", "tele-1", Guardian("Sita", "mother", True)),
    ev.ComplaintsRecorded(B, (Complaint("fever", "", 3, "day", 4),), "since Monday"),
    ev.HistoryRecorded(B, History(("diabetes",), "metformin", "", True, 20, False, "2026-07-01")),
    ev.AllergiesRecorded(B, Allergies(False, ("penicillin",))),
    ev.VitalsRecorded(B, Vitals((Reading("sbp", 120.0), Reading("temp_c", 38.5, confirmed=True)), "A", False, ("rr",))),
    ev.SignsAnswered(B, ("wheeze",), ("stridor", "unresponsive")),
    ev.Triaged(B, TriageResult(Colour.YELLOW, ("A-Y-WHEEZE",), ("signs",), 3, "2026-11-23")),
    ev.TokenIssued(B, "BR01-001", 20_781, 1),
    ev.VisitMoved(B, VisitState.NO_SHOW, "called twice"),
    ev.CallHeld(B, C, "doc1", 1, 61_000, 42.5, 58.25, 0.5, Mode.VIDEO, "doctor", "hangup"),
    ev.PrescriptionStored(B, C),
    ev.SlipPrinted(B, C, "pdf", 2),
    ev.VisitClosed(B, VisitState.COMPLETED, True),
    ev.RunStarted("upkendra 0.1.0", 1),
    ev.Accessed("read", B),
    ev.MediaAttached(
        B,
        Manifest(
            C,
            Purpose.ORIGINAL,
            Facts(MediaType.JPEG, 640, 480, 0, (700, 1_400)),
            9_000,
            bytes(range(32)),
            bytes(range(16)),
            A,
            "left hand",
        ),
    ),
    ev.MediaRemoved(B, C),
    ev.StaffListed("n1", "Sunita Devi", "सुनीता देवी", Role.ANM, bytes(range(16))),
    ev.NodeTold(
        "node 0.1.0",
        "udp",
        610,
        48_000,
        (ev.ClassBacklog(1, 3, 900, 42),),
        ("disk:warn",),
        900,
        12,
        True,
        "low",
        11_000,
        "up",
        "system 1.2.0",
    ),
    ev.InPersonRecorded(B, "doc1", "2026-11-20", True),
    ev.StockCounted("F001", 240),
    ev.StockReceived("F001", 500, "B-17", "2028-03"),
    ev.Dispensed(B, C, "F001", 9),
    ev.Referred(B, Referral("phc", "now", "stiff neck"), "108", "oxygen"),
    ev.EndingTold(B, "reached", "by telephone"),
    ev.PhotoMarked(B, C, (Mark(A, MarkKind.LINE, (0, 10, 500, 1_000)),)),
    ev.ClosingTakenBack(B, VisitState.RX_READY),
    ev.HandOutTakenBack(B, "F001", STAMP - 9),
    ev.ReferralTakenBack(B, STAMP - 9),
    ev.ErasureDone((bytes(range(16)),)),
    ev.LinkWatched(20_781, bytes(range(4)), 28_800, 5_400),
    ev.StaffPublished("doc1", "Dr Rao", Role.DOCTOR, "BR 1", "MBBS", bytes(32)),
    ev.VisitAssigned(B, "doc1", "Dr Rao"),
    ev.VisitSeen(B, "doc1", True),
    ev.PrescriptionSigned(B, C, b"\x95raw", A),
    ev.DoctorNote(B, "doc1", "Drinks well."),
    ev.MediaSeen(B, C, "doc1"),
    ev.MediaWanted(B, C, b"\x05"),
    ev.InPersonConfirmed(B, "doc1", "2026-11-20"),
    ev.VisitExpected(B, "waiting", 10, 25),
    ev.DoctorMarked(B, C, "doc1", (Mark(A, MarkKind.RING, (100, 200, 300, 400)),)),
    ev.AnswerSpoken(B, C, "doc1", Facts(MediaType.WEBM_AUDIO, 0, 0, 4_000), 9_000, 1),
    ev.AnswerPart(B, C, 0, b"\x1a\x45sound"),
    ev.ThirdJoined(B, C, A, "doc1", "doc2", "Dr Sen", "BR 2", "MD", "spoken"),
    ev.ThirdLeft(B, C, "left", 12.5, 14.0, 0.25),
    ev.SpecialityWanted(B, "child", "doc1"),
    ev.HubKeyPublished(1_790_000_000_000, bytes(32), bytes(64)),
    ev.RevocationsPublished(b"signed"),
    ev.OnCallPublished((ev.OnCallNumber("PHC, duty doctor", "5550100"),)),
    ev.RecordsErased((bytes(range(16)), bytes(range(16, 32)))),
    ev.SigningDenied(B, ("list_a_needs_video", "prohibited")),
    ev.GrievanceNamed("K. Rao", "011-555", "grievance@example.org"),
]


def as_hex(event: ev.Event) -> str:
    return msgspec.msgpack.encode(ev.entry_of(event, STAMP, "anm1")).hex()


def vectors() -> dict[str, str]:
    loaded = json.loads(VECTORS.read_text())
    assert isinstance(loaded, dict)
    return {str(name): str(value) for name, value in loaded.items()}


def test_there_is_a_sample_and_a_vector_for_every_kind() -> None:
    assert [ev.KIND_OF[type(sample)] for sample in SAMPLES] == sorted(ev.KINDS)
    assert set(vectors()) == {type(sample).__name__ for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_entries_are_written_byte_for_byte_as_ever(sample: ev.Event) -> None:
    assert as_hex(sample) == vectors()[type(sample).__name__]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_entries_written_before_can_still_be_read(sample: ev.Event) -> None:
    raw = bytes.fromhex(vectors()[type(sample).__name__])
    entry = msgspec.msgpack.decode(raw, type=ev.Entry)
    assert (entry.stamp, entry.actor) == (STAMP, "anm1")
    assert ev.event_of(entry) == sample


@given(
    st.integers(0, 2**63 - 1),
    st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60),
)
def test_any_reading_and_name_survives_the_codec(stamp: int, actor: str, value: float, notes: str) -> None:
    for event in (ev.VitalsRecorded(B, Vitals((Reading("hr", value),))), ev.ComplaintsRecorded(B, (), notes)):
        raw = msgspec.msgpack.encode(ev.entry_of(event, stamp, actor))
        entry = msgspec.msgpack.decode(raw, type=ev.Entry)
        assert ev.event_of(entry) == event
        assert msgspec.msgpack.encode(entry) == raw


@given(st.integers(0, 127), st.integers(1, 9), st.binary(max_size=40))
def test_kinds_and_versions_of_later_releases_are_kept_as_they_are(kind: int, version: int, payload: bytes) -> None:
    entry = ev.Entry(kind, version, STAMP, "x", payload)
    if kind in ev.KINDS and version == 1:
        return
    event = ev.event_of(entry)
    assert event == ev.Unknown(kind, version, payload)
    assert ev.visit_of(event) == ""


def test_a_known_kind_with_fields_of_a_later_release_can_be_read() -> None:
    payload = msgspec.msgpack.encode([B, "doc1", True, "a field that was appended"])
    assert ev.event_of(ev.Entry(66, 1, STAMP, "", payload)) == ev.VisitSeen(B, "doc1", True)


def test_what_an_earlier_release_wrote_has_the_defaults_of_the_fields_it_did_not_know() -> None:
    payload = msgspec.msgpack.encode([B, "doc1"])
    assert ev.event_of(ev.Entry(66, 1, STAMP, "", payload)) == ev.VisitSeen(B, "doc1", tells_denials=False)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode([B, 5]), msgspec.msgpack.encode({})])
def test_a_known_kind_with_something_else_in_it_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        ev.event_of(ev.Entry(66, 1, STAMP, "", payload))

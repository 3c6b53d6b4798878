"""Writes ``entries.json``, ``prescription.json`` and ``limit.json``: ``python -m tests.vectors.make_entries``.

One entry of every kind, as raw bytes and as an object, and a signed prescription with everything that signs it.
Nobody here is real.
"""

import json
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.model import events as ev
from edge.model import records as rec
from edge.model.marks import Mark, MarkKind
from edge.model.media import Facts, Manifest, MediaType, Purpose
from edge.model.prescribing import signing_input
from edge.slips.sign import certificate_input, time_input
from edge.sync import frames as fr
from tests.slips import samples

FOLDER = Path(__file__).parent
STAMP, ACTOR = 1_790_000_000_000 << 16 | 7, "anm1"
VISIT, PATIENT, OTHER = "0123456789abcdef", "ghjkmnpqrstvwxyz", "zyxwvtsrqpnmkjhg"
PERSON = rec.Person("Asha Devi", rec.Gender.FEMALE, "नमूनापुर", rec.Age(34), "", "Ram", "5550123456", "husband")
SOURCE = rec.Source("contec-v7", bytes.fromhex("01e0859680"), "2026-11-26T10:15")
READINGS = (
    rec.Reading("temp_c", 38.4),
    rec.Reading("spo2", 97.0, "device", "oximeter", "000123", "good", 1_790_000_000_000, True, SOURCE),
)
MANIFEST = Manifest(
    OTHER,
    Purpose.ORIGINAL,
    Facts(MediaType.JPEG, 640, 480, 0, (2_000, 9_000)),
    9_000,
    bytes(32),
    bytes(16),
    PATIENT,
    "arm",
)
EVENTS: tuple[ev.Event, ...] = (
    ev.PatientRegistered(PATIENT, "BR-NMP01-000001", PERSON),
    ev.PatientAmended(PATIENT, msgspec.structs.replace(PERSON, birth_date="1992-03", abha_number="12345678901234")),
    ev.VisitOpened(VISIT, PATIENT, bytes(range(16)), "general", OTHER),
    ev.ConsentRecorded(VISIT, "data", True, "thumb", "hi", "1", rec.Guardian("Ram Devi", "mother", True)),
    ev.ComplaintsRecorded(VISIT, (rec.Complaint("fever", "", 3, "day", 4),), "रात में ज़्यादा"),
    ev.HistoryRecorded(VISIT, rec.History(("diabetes",), "metformin", "", False, None, None, "2026-11-01")),
    ev.AllergiesRecorded(VISIT, rec.Allergies(False, ("penicillin",))),
    ev.VitalsRecorded(VISIT, rec.Vitals(READINGS, "A", False, ("rbs_mgdl",))),
    ev.SignsAnswered(VISIT, ("stiff_neck",), ("seizure",)),
    ev.Triaged(VISIT, rec.TriageResult(rec.Colour.YELLOW, ("HIGH-T",), ("rr",), 3, "1"), True, "looks worse"),
    ev.TokenIssued(VISIT, "NMP01-007", 20_717, 7),
    ev.VisitMoved(VISIT, rec.VisitState.IN_CALL, "called"),
    ev.CallHeld(
        VISIT, OTHER, "anil", 1_790_000_000_000, 1_790_000_060_000, 41.5, 59.25, 0.5, rec.Mode.VIDEO, "node", "bye"
    ),
    ev.PrescriptionStored(VISIT, OTHER),
    ev.SlipPrinted(VISIT, OTHER, "pdf", 2),
    ev.VisitClosed(VISIT, rec.VisitState.COMPLETED, True),
    ev.RunStarted("upkendra-node 0.1.0", 1),
    ev.Accessed("read_visit", VISIT, "ok"),
    ev.MediaAttached(VISIT, MANIFEST),
    ev.MediaRemoved(VISIT, OTHER),
    ev.StaffListed("s1", "Asha Devi", "आशा देवी", rec.Role.ANM, bytes(range(16))),
    ev.NodeTold(
        "upkendra-node 0.1.0",
        "udp",
        310,
        62_000,
        (ev.ClassBacklog(3, 2, 16_384, 90),),
        ("disk:warn",),
        812,
        40,
        True,
        "battery",
        12_210,
        "up",
        "system 1.2.0",
    ),
    ev.InPersonRecorded(VISIT, "anil", "2026-11-20", True),
    ev.StockCounted("F001", 90),
    ev.StockReceived("F001", 500, "B7", "2027-08"),
    ev.Dispensed(VISIT, OTHER, "F001", 9),
    ev.Referred(VISIT, rec.Referral("phc", "now", "stiff neck"), "108", "oxygen"),
    ev.EndingTold(VISIT, "reached", "by telephone"),
    ev.PhotoMarked(VISIT, OTHER, (Mark(PATIENT, MarkKind.LINE, (0, 10, 500, 1_000, 20, 30)),)),
    ev.ClosingTakenBack(VISIT, rec.VisitState.RX_READY),
    ev.HandOutTakenBack(VISIT, "F001", STAMP - 9),
    ev.ReferralTakenBack(VISIT, STAMP - 9),
    ev.ErasureDone((bytes(range(16)),)),
    ev.LinkWatched(20_717, bytes(range(4)), 28_800, 5_400),
    ev.StaffPublished("anil", "Dr Anil Demo", rec.Role.DOCTOR, "DEMO/00001", "MBBS (demo)", bytes(range(32))),
    ev.VisitAssigned(VISIT, "anil", "Dr Anil Demo"),
    ev.VisitSeen(VISIT, "anil", True),
    ev.PrescriptionSigned(VISIT, OTHER, b"\x98\x00", PATIENT),
    ev.DoctorNote(VISIT, "anil", "seen by video"),
    ev.MediaSeen(VISIT, OTHER, "anil"),
    ev.MediaWanted(VISIT, OTHER, b"\x05"),
    ev.InPersonConfirmed(VISIT, "anil", "2026-11-20"),
    ev.VisitExpected(VISIT, "waiting", 20, 45),
    ev.DoctorMarked(VISIT, OTHER, "anil", (Mark(PATIENT, MarkKind.ARROW, (100, 200, 300, 400)),)),
    ev.AnswerSpoken(VISIT, PATIENT, "anil", Facts(MediaType.WEBM_AUDIO, 0, 0, 4_000), 20_000, 2),
    ev.AnswerPart(VISIT, PATIENT, 1, bytes(range(40))),
    ev.ThirdJoined(VISIT, OTHER, PATIENT, "anil", "sen", "Dr Sen Demo", "DEMO/00002", "MD (demo)", "spoken"),
    ev.ThirdLeft(VISIT, OTHER, "left", 12.5, 14.0, 0.25),
    ev.SpecialityWanted(VISIT, "child", "anil"),
    ev.HubKeyPublished(1_790_000_000_000, bytes(range(32)), bytes(64)),
    ev.RevocationsPublished(b"as signed"),
    ev.OnCallPublished((ev.OnCallNumber("PHC, duty doctor", "5550100"),)),
    ev.RecordsErased((bytes(range(16)), bytes(range(16, 32)))),
    ev.SigningDenied(VISIT, ("list_a_needs_video", "prohibited")),
    ev.GrievanceNamed("K. Rao", "011-555", "grievance@example.org"),
)


def entries() -> list[dict[str, object]]:
    """Each kind once, in the order of kinds."""
    made = []
    for event in sorted(EVENTS, key=lambda one: ev.KIND_OF[type(one)]):
        entry = ev.entry_of(event, STAMP, ACTOR)
        named = {name: getattr(event, name) for name in event.__struct_fields__}
        fields = json.loads(msgspec.json.encode(named))
        raw = msgspec.msgpack.encode(entry).hex()
        made.append({"kind": entry.kind, "name": type(event).__name__, "fields": fields, "raw": raw})
    return made


def prescription() -> dict[str, object]:
    """The sample record, signed. Keys are in the clear: they sign nothing else."""
    signed = samples.sign()
    record = samples.RECORD
    return {
        "hub_sign_private": samples.HUB.private_bytes_raw().hex(),
        "doctor_private": samples.DOCTOR_PRIVATE.hex(),
        "doctor_public": Ed25519PrivateKey.from_private_bytes(samples.DOCTOR_PRIVATE)
        .public_key()
        .public_bytes_raw()
        .hex(),
        "certificate_input": certificate_input(
            samples.DOCTOR_KEY, record.doctor_id, record.doctor_name, record.registration
        ).hex(),
        "record": signed.record.hex(),
        "signing_input": signing_input(signed.record, signed.template_id, signed.template_version).hex(),
        "time_input": time_input(signed.signature, signed.hub_time_ms).hex(),
        "signed": msgspec.msgpack.encode(signed).hex(),
    }


def limits() -> dict[str, object]:
    """LIMIT: bulk held at 24 kbit/s, and anything."""
    return {"held": fr.encode(fr.Limit(True, 24_000)).hex(), "free": fr.encode(fr.Limit(False, None)).hex()}


if __name__ == "__main__":
    for name, content in (("entries", entries()), ("prescription", prescription()), ("limit", limits())):
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

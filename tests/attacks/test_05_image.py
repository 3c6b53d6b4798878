"""Attack 5 of SEALING.md: the image of a node's disk after a day's work, with its free space, tells no patient.

The node's data folder is a file system of its own on a loop device; the node's temporary files and its home lie there
too. After a day with kills in it the image is read whole: files, the file system's journal, and what was deleted.
"""

import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from tests.kits import cases, disk, photos
from tests.kits.client import Client, Json, items, text
from tests.kits.clinic import Clinic, wait_until
from tests.kits.media import jpeg, sound
from tests.kits.printer import PrinterOnPty, ThermalPrinter
from tests.kits.visit import DoctorVisit, NurseVisit, fresh_id

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.root, pytest.mark.timeout(240)]

BESIDE = ("TMPDIR", "SQLITE_TMPDIR", "HOME", "XDG_CACHE_HOME")
HINDI = "कखगघचछजझटठडढणतथदधनपफबभमयरलवशसह"
CONTROL = "ThisOneIsPlanted-Openly-0451"


class Markers:
    """Words that can be nobody's by chance, each remembered."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.all: list[str] = []

    def latin(self, kind: str) -> str:
        made = kind.capitalize() + "".join(self._rng.choices("bcdfghjklmnpqrstvwxz", k=9))
        self.all.append(made)
        return made

    def hindi(self) -> str:
        made = "".join(self._rng.choices(HINDI, k=9))
        self.all.append(made)
        return made

    def digits(self, start: str, length: int) -> str:
        made = start + "".join(self._rng.choices("0123456789", k=length - len(start)))
        self.all.append(made)
        return made


def forms(marker: str) -> set[bytes]:
    """How a word may lie on a disk: as text in three encodings, in an address, in JSON without Unicode."""
    return {
        marker.encode(),
        marker.encode("utf-16-le"),
        marker.encode("utf-16-be"),
        quote(marker).encode(),
        json.dumps(marker)[1:-1].encode(),
        marker.upper().encode(),
        marker.lower().encode(),
        marker.encode().hex().encode(),
    }


def found_in(image: bytes, markers: list[str]) -> list[str]:
    return [marker for marker in markers if any(form in image for form in forms(marker))]


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """(image, folder of the clinic): the node's folder, its temporary files and its home are on the image."""
    image, folder = tmp_path / "disk.img", tmp_path / "clinic"
    try:
        with disk.mounted(image, folder / "node"):
            for name in BESIDE:
                monkeypatch.setenv(name, os.environ.get(name, ""))  # put back what the test changes
            yield image, folder
    except disk.NoDisk as error:
        pytest.skip(f"no loop device: {error}")


def written(image: Path) -> bytes:
    """The image without its empty blocks."""
    with image.open("rb") as file:
        return b"".join(block for block in iter(lambda: file.read(4096), b"") if any(block))


def work(nurse: Client, say: Markers, reference: Json) -> NurseVisit:
    """A visit with everything that a nurse types, says and photographs."""
    case = msgspec.structs.replace(
        cases.SAMPLES[0],
        name=f"{say.latin('nm')} {say.hindi()}",
        village=say.latin("vil"),
        relative_name=say.hindi(),
        mobile=say.digits("5550", 10),
        notes=f"{say.latin('cmp')} {say.hindi()}",
    )
    visit = NurseVisit(case)
    for asked in (case.name[:8], case.name, say.latin("qry"), case.mobile):
        nurse.get(f"/api/patients?q={quote(asked)}&limit=20")
    for key in (f"register-{visit.patient_id}", f"visit-{visit.visit_id}"):
        form = {"name": case.name, "note": say.latin("drft"), "complaint_notes": case.notes}
        nurse.put(f"/api/drafts/{key}", {"body": json.dumps(form, ensure_ascii=False), "revision": 1})
    nurse.post("/api/patients/alike", cases.person(case))
    for _, step in visit.steps(reference):
        step(nurse)
    history: Json = {"medicines": say.latin("med"), "notes": say.hindi(), "pregnant": False, "post_partum": False}
    visit.case = msgspec.structs.replace(case, allergies=(say.latin("alg"),))  # the doctor reads it before she signs
    told: Json = {"none_known": False, "items": list(visit.case.allergies)}
    here: dict[str, Json] = {"visit_id": visit.visit_id}
    nurse.post(
        "/api/commands",
        {"type": "record_history", "command_id": fresh_id(), **here, "history": history, "allergies": told},
    )
    preview, whole = (jpeg(*size, seed=len(say.all)) for size in ((120, 90), (640, 480)))
    ids = [photos.upload(nurse, visit.visit_id, *one)[0] for one in (("preview", preview), ("original", whole))]
    attach: Json = {"preview_upload_id": ids[0], "upload_id": ids[1], "caption": say.latin("cap")}
    assert isinstance(attach, dict)
    nurse.post("/api/commands", {"type": "attach_media", "command_id": fresh_id(), **here, **attach})
    note, _ = photos.upload(nurse, visit.visit_id, "voice_note", sound("webm"))
    nurse.post("/api/commands", {"type": "attach_media", "command_id": fresh_id(), **here, "upload_id": note})
    nurse.post(f"/api/visits/{visit.visit_id}/token/print")
    return visit


def send_on(nurse: Client, say: Markers, visit: NurseVisit) -> None:
    """Refer, with its slip on both papers; then the end of the visit."""
    referral: Json = {"to": say.latin("ref"), "urgency": "today", "reason": say.hindi()}
    here: dict[str, Json] = {"visit_id": visit.visit_id}
    body = {"type": "refer", "command_id": fresh_id(), **here, "referral": referral, "way": "own", "given": ""}
    nurse.post("/api/commands", body)
    assert nurse.raw("GET", f"/api/visits/{visit.visit_id}/referral.pdf")[0] == 200
    nurse.post(f"/api/visits/{visit.visit_id}/referral/print")
    visit.close(nurse)


def prescribe(doctor: Client, nurse: Client, say: Markers, visit: NurseVisit) -> None:
    """The doctor's words come to the node, and out of both printers."""
    said = {"diagnosis": say.latin("dia"), "advice": f"{say.latin('adv')} {say.hindi()}"}
    visit.case = msgspec.structs.replace(visit.case, **said)
    mine = DoctorVisit(visit)
    mine.wait_in_queue(doctor, 60)
    mine.take(doctor)
    mine.sign(doctor)
    rx = visit.wait_for_prescription(nurse, 60)
    assert visit.slip(nurse, rx).startswith(b"%PDF")
    nurse.post(f"/api/visits/{visit.visit_id}/prescriptions/{rx}/print")
    visit.confirm_printed(nurse, rx)


def emergency(node: Client, say: Markers) -> None:
    """A RED patient while the node is locked."""
    key = os.urandom(16).hex()
    who: Json = {"case": key, "name": f"{say.latin('red')} {say.hindi()}", "gender": "female"}
    assert isinstance(who, dict)
    who["age"] = {"value": 40, "unit": "years"}
    page = node.post("/api/emergency", who)
    visit_id = text(page, "visit", "visit_id")
    body: Json = {
        "type": "record_complaints",
        "command_id": fresh_id(),
        "visit_id": visit_id,
        "notes": say.latin("red"),
    }
    assert isinstance(body, dict)
    complaints: list[Json] = [{"code": "fever", "text": say.hindi()}]
    node.post(f"/api/emergency/{visit_id}/commands?case={key}", {**body, "complaints": complaints})


def papers(nurse: Client) -> None:
    """What is shown and printed at the end of a day."""
    for path in ("/api/day", "/api/day/register.csv", "/api/day/register.pdf", "/api/month/report.pdf", "/api/due"):
        assert nurse.raw("GET", path)[0] == 200, path


def has_printed(nurse: Client) -> bool:
    jobs = items(nurse.get("/api/printer"), "jobs")
    return bool(jobs) and all(text(job, "state") not in ("waiting", "printing") for job in jobs)


def a_day(clinic: Clinic, say: Markers) -> None:
    """Visits, a kill in the middle of what is written, an emergency at the locked node, more visits, the closing."""
    limits = Path(f"/proc/{clinic.node.pid}/limits").read_text()
    assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core")] == ["0"], "no core dumps"
    nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
    reference = nurse.get("/api/reference")
    seen = [work(nurse, say, reference) for _ in range(5)]
    prescribe(doctor, nurse, say, seen[0])
    send_on(nurse, say, seen[1])
    ended = threading.Event()

    def keep_typing() -> None:
        other = clinic.node_client()
        other.csrf, other._cookies = nurse.csrf, dict(nurse._cookies)
        revision = 1
        with suppress(OSError, HTTPException):
            while not ended.is_set():
                revision += 1
                form = json.dumps({"name": say.all[0], "notes": say.all[4] * 200})
                other.put(f"/api/drafts/visit-{seen[2].visit_id}", {"body": form, "revision": revision})

    typing = threading.Thread(target=keep_typing)
    typing.start()
    work(nurse, say, reference)
    clinic.node.kill()
    ended.set()
    typing.join()
    clinic.node.start()
    emergency(clinic.node_client(), say)
    nurse = clinic.nurse_client()
    later = work(nurse, say, reference)
    prescribe(doctor, nurse, say, later)
    papers(nurse)
    for visit in (seen[0], later):
        visit.close(nurse)
    wait_until(lambda: has_printed(nurse), "everything printed", 60)
    nurse.post("/api/day/close")
    clinic.node.kill()
    clinic.node.start()
    nurse = clinic.nurse_client()
    assert nurse.raw("GET", f"/api/patients/{later.patient_id}")[0] == 200
    clinic.node.stop()


def test_05_the_image_of_the_disk_after_a_day_tells_no_patient(ground: tuple[Path, Path]) -> None:
    """The same search finds what was planted openly and deleted again: else it could find nothing."""
    image, folder = ground
    say = Markers(5)
    with PrinterOnPty(ThermalPrinter(80)) as printer:
        clinic = Clinic(folder, node_options=["--printer", f"80={printer.path}"])
        try:
            clinic.make_hub()
            for name in BESIDE:
                there = folder / "node" / f"beside-{name.lower()}"
                there.mkdir()
                os.environ[name] = str(there)
            clinic.make_node()
            a_day(clinic, say)
        finally:
            clinic.close()
    planted = folder / "node" / "planted"
    planted.write_text(CONTROL * 400)
    os.sync()
    planted.unlink()
    os.sync()
    lies = written(image)
    assert found_in(lies, [CONTROL]) == [CONTROL]
    assert len(say.all) >= 100
    assert found_in(lies, say.all) == []
    assert found_in((folder / "node.log").read_bytes(), say.all) == []

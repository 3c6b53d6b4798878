"""The whole consultation, as ``./run demo --once`` does it, with people and links that it was not tuned for."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.e2e.report import Report
from tests.kits.cases import Case, CaseComplaint, CaseMedicine
from tests.kits.clinic import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.serial, pytest.mark.timeout(400)]

STRANGER = Case(
    name="Thangkhiew Lyngdoh-Ñuñez",
    gender="male",
    age_years=71,
    village="Nongpoh Demo",
    complaints=(CaseComplaint("headache", 4, "hour"),),
    vitals={"sbp": 141, "dbp": 88, "hr": 70, "rr": 15, "temp_c": 36.5, "spo2": 96},
    conditions=("diabetes",),
    allergies=("Sulfa drugs",),
    diagnosis="Tension headache",
    medicines=(CaseMedicine("F001", "1", "BD", 2, instructions="with a glass of water"),),
    advice="Rest.",
)


def run_demo(out: Path, *options: str) -> Report:
    """One run; its report. The run itself says whether all went well."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.demo", "--once", "--out", str(out), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return msgspec.json.decode((out / "report.json").read_bytes(), type=Report)


def assert_whole(report: Report, out: Path) -> None:
    assert report.ok
    assert [step.name for step in report.steps if not step.ok] == []
    assert report.steps[-1].name == "doctor sees printed"
    assert (out / "slip.pdf").read_bytes().startswith(b"%PDF")
    assert len(list(out.glob("*.png"))) >= 15


def stranger(folder: Path) -> list[str]:
    """Options that bring other people than the built-in ones."""
    patient = folder / "patient.json"
    patient.write_bytes(msgspec.json.encode(STRANGER))
    return ["--patient", str(patient), "--nurse", "Mary Kharkongor", "--nurse-hi", "मैरी", "--doctor", "Dr Xavier Demo"]


@pytest.mark.root
def test_a_stranger_is_served_at_128_kbits_although_the_link_is_cut_twice(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run_demo(out, "--link", "128k", "--cut", "--call-seconds", "12", *stranger(tmp_path))
    assert_whole(report, out)
    assert report.call_at_doctor is not None and report.call_at_tablet is not None
    assert report.call_at_doctor.fps >= 5
    assert report.call_at_doctor.audio_energy > 0
    assert report.call_at_tablet.audio_energy > 0
    assert report.glass_to_glass_ms is not None


@pytest.mark.root
@pytest.mark.long
@pytest.mark.parametrize("link", ["128k", "64k"])
def test_a_consultation_is_whole_on_the_named_links(tmp_path: Path, link: str) -> None:
    assert_whole(run_demo(tmp_path, "--link", link), tmp_path)


@pytest.mark.root
@pytest.mark.long
def test_without_a_link_the_patient_still_gets_a_token(tmp_path: Path) -> None:
    report = run_demo(tmp_path, "--link", "down")
    assert report.token
    assert report.steps[-1].name == "token"


@pytest.mark.long
def test_a_consultation_on_a_lan_is_whole(tmp_path: Path) -> None:
    assert_whole(run_demo(tmp_path, "--link", "lan"), tmp_path)

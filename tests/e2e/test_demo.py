"""The whole consultation, as ``./run demo --once`` does it, with people and links that it was not tuned for."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.e2e.report import Report
from tests.kits.cases import Case, CaseComplaint, CaseMedicine
from tests.kits.clinic import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

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


@pytest.mark.root
def test_a_consultation_at_128_kbits_with_two_cuts_ends_with_a_slip(tmp_path: Path) -> None:
    report = run_demo(tmp_path, "--link", "128k", "--cut")
    assert_whole(report, tmp_path)
    assert report.call_at_doctor is not None and report.call_at_tablet is not None
    assert report.call_at_doctor.fps >= 5
    assert report.call_at_doctor.audio_energy > 0
    assert report.call_at_tablet.audio_energy > 0
    assert report.glass_to_glass_ms is not None


@pytest.mark.root
def test_a_stranger_at_64_kbits_is_served_as_well(tmp_path: Path) -> None:
    patient = tmp_path / "patient.json"
    patient.write_bytes(msgspec.json.encode(STRANGER))
    names = ("--nurse", "Mary Kharkongor", "--nurse-hi", "मैरी", "--doctor", "Dr Xavier Demo")
    report = run_demo(tmp_path / "out", "--link", "64k", "--patient", str(patient), *names)
    assert_whole(report, tmp_path / "out")


@pytest.mark.root
def test_without_a_link_the_patient_still_gets_a_token(tmp_path: Path) -> None:
    report = run_demo(tmp_path, "--link", "down")
    assert report.token
    assert report.steps[-1].name == "token"


@pytest.mark.long
def test_a_consultation_on_a_lan_is_whole(tmp_path: Path) -> None:
    assert_whole(run_demo(tmp_path, "--link", "lan"), tmp_path)

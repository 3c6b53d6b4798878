"""A clock with a battery on a Pi's pins: what is asked of the kernel. Folders stand for its /sys; no Pi has run it."""

import subprocess
from pathlib import Path

import pytest

from images.builder import prune
from tests.kits.clinic import ROOT

OVERLAY = ROOT / "images/overlay"
PROGRAM = OVERLAY / "usr/lib/upkendra/bin/board-clock"
UNIT = "upkendra-clock.service"


def bus(sys: Path, name: str = "fe804000.i2c", number: int = 1) -> Path:
    made = sys / f"bus/platform/devices/{name}/i2c-{number}"
    made.mkdir(parents=True)
    for file in ("new_device", "delete_device"):
        (made / file).touch()
    return made


def run(sys: Path) -> str:
    return subprocess.run([PROGRAM, sys], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["fe804000.i2c", "3f804000.i2c"])
def test_the_clock_is_named_on_the_bus_of_the_pins(tmp_path: Path, name: str) -> None:
    other, pins = bus(tmp_path, "fe205000.i2c", 0), bus(tmp_path, name, 11)
    run(tmp_path)
    assert (pins / "new_device").read_text() == "ds3231 0x68\n"
    assert (pins / "delete_device").read_text() == "0x68\n", "no chip answered"
    assert (other / "new_device").read_text() == ""


def test_a_clock_that_is_described_already_is_left_alone(tmp_path: Path) -> None:
    pins = bus(tmp_path)
    (tmp_path / "bus/i2c/devices/1-0068/driver").mkdir(parents=True)
    run(tmp_path)
    assert (pins / "new_device").read_text() == ""


def test_a_machine_without_such_pins_goes_on(tmp_path: Path) -> None:
    assert run(tmp_path) == ""


def test_an_image_for_a_pi_keeps_the_drivers(tmp_path: Path) -> None:
    drivers = tmp_path / "usr/lib/modules/7.0/kernel/drivers"
    for name in (
        "rtc/rtc-ds1307.ko.xz",
        "i2c/busses/i2c-bcm2835.ko.xz",
        "base/regmap/regmap-i2c.ko.xz",
        "ata/ahci.ko.xz",
    ):
        (drivers / name).parent.mkdir(parents=True, exist_ok=True)
        (drivers / name).touch()
    assert prune._unwanted(tmp_path, "rpi") == [drivers / "ata"]


def test_systemd_has_nothing_against_the_unit_and_starts_it_before_the_clock_is_used(tmp_path: Path) -> None:
    unit = (OVERLAY / "usr/lib/systemd/system" / UNIT).read_text()
    (tmp_path / UNIT).write_text(unit.replace("/usr/lib/upkendra", f"{OVERLAY}/usr/lib/upkendra"))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / UNIT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "Before=chrony.service" in unit
    assert f"enable {UNIT}\n" in (OVERLAY / "usr/lib/systemd/system-preset/10-upkendra.preset").read_text()

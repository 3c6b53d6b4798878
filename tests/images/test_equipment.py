"""What is plugged into a box: whatever stands in the file, the clinic starts; and what is good in it is obeyed."""

import random
import re
import subprocess
from pathlib import Path

import pytest

from edge.media.signals import ENCODERS, is_camera
from edge.model.errors import BadInput
from edge.node.__main__ import _parser
from edge.node.devices.drivers.table import DRIVERS
from edge.node.devices.registry import parse_device
from edge.node.printing.port import parse_printer
from edge.node.sms_desk import sms_options_of
from edge.node.usage import parse_caps
from edge.sync.meter import parse_hours
from images import fat
from images.appliance import equipment
from tests.kits.clinic import ROOT

from .kit import BOOT_OFFSET, Bench, bench

PARSER = _parser()
UNIT = ROOT / "images/overlay/usr/lib/systemd/system/upkendra-node.service"
WHOLE = b"""\xef\xbb\xbf# Namunapur\r
camera v4l2:/dev/video0\r
printer 80=/dev/usb/lp0\r
panel  /dev/ttyAMA0\r
device contec-v7=usb:10c4:ea60\r
device nonin=/dev/serial/by-id/usb-FTDI_FT232R-if00-port0\r
data-cap udp=50\r
bulk-hours 22:00-05:00\r
sms-modem /dev/ttyUSB2\r
sms-hub +911234567890\r
"""


def taken(found: equipment.Equipment) -> None:
    """The node's own command line takes all that was found, and starts with it. Raises what it would die of."""
    words = equipment.environment(found).removeprefix("UPKENDRA_NODE_OPTIONS=").split()
    options = PARSER.parse_args(["serve", "--data", "/x", "--camera", "tablet", *words])
    assert is_camera(options.camera)
    assert options.encoder in ENCODERS
    for text in options.device:
        parse_device(text)
    if options.printer:
        parse_printer(options.printer)
    sms_options_of(options.sms_modem, options.sms_hub, options.sms_cap, options.sms_after, options.sms_cost)
    parse_caps({}, options.data_cap)
    for hours in (options.bulk_hours, options.update_hours):
        parse_hours(hours or "")
    assert 0.5 <= options.lock_after <= 60


def test_a_whole_file_becomes_the_nodes_options() -> None:
    found = equipment.check(WHOLE)
    taken(found)
    assert "--camera v4l2:/dev/video0 --printer 80=/dev/usb/lp0 --panel /dev/ttyAMA0" in equipment.environment(found)
    assert set(equipment.MODELS) == set(DRIVERS)


@pytest.mark.parametrize(
    "line",
    [
        b"camera /dev/video0",
        b"camera test",
        b"camera file:/data/x",
        b"camera v4l2:/dev/video0 --hub-host evil",
        b"device contec-v9=/dev/ttyUSB0",
        b"printer 70=/dev/usb/lp0",
        b"printer 80=/dev/usb/lp0@9600@1",
        b"panel /dev/tty'AMA0",
        b"hub-host evil.example",
        b"bulk-hours 22:00-22:00",
        b"bulk-hours 25:00-05:00",
        b"lock-after 0",
        b"sms-modem /dev/ttyUSB2",
        b"data-cap udp=\xd9\xa3",
        b"camera tablet\ncamera tablet",
        b"x" * 5000,
    ],
)
def test_a_wrong_line_is_named_and_the_others_are_obeyed(line: bytes, tmp_path: Path) -> None:
    boot, run = tmp_path / "boot", tmp_path / "run"
    boot.mkdir()
    run.mkdir()
    (boot / equipment.FILE_NAME).write_bytes(line + b"\nencoder vp8\n")
    found = equipment.apply(boot, run)
    taken(found)
    assert len(found.wrong) == 1
    assert (boot / equipment.ERROR_FILE).read_text().strip() == found.wrong[0]
    assert ("encoder", "vp8") in found.lines or len(line) > equipment.FILE_MAX_BYTES
    with pytest.raises(BadInput):
        equipment.check(line)
    (boot / equipment.FILE_NAME).unlink()
    assert equipment.apply(boot, run) == equipment.Equipment()
    assert not (boot / equipment.ERROR_FILE).exists()
    assert (run / equipment.ENVIRONMENT_FILE).read_text() == "UPKENDRA_NODE_OPTIONS=\n"


def test_no_damaged_file_keeps_the_clinic_closed() -> None:
    draw = random.Random(8)
    for _ in range(200):
        content = bytearray(WHOLE)
        for _ in range(draw.randrange(1, 6)):
            at = draw.randrange(len(content))
            content[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
        taken(equipment.read(bytes(content)))


def test_the_clinics_unit_reads_what_is_written_and_never_shows_a_test_picture() -> None:
    unit = UNIT.read_text()
    assert f"EnvironmentFile=-/run/upkendra/{equipment.ENVIRONMENT_FILE}\n" in unit
    (line,) = re.findall(r"^ExecStart=.*$", unit, re.MULTILINE)
    assert line.endswith("--camera tablet $UPKENDRA_NODE_OPTIONS")
    assert "enable upkendra-equipment.service" in (UNIT.parent.parent / "system-preset/10-upkendra.preset").read_text()


def test_systemd_has_nothing_against_the_unit_that_reads_it(tmp_path: Path) -> None:
    name = "upkendra-equipment.service"
    (tmp_path / name).write_text((UNIT.parent / name).read_text().replace("/opt/upkendra", str(ROOT)))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("release"))


def test_the_file_goes_onto_a_card_with_the_image_and_later(made: Bench, tmp_path: Path) -> None:
    card, file = tmp_path / "card.img", tmp_path / "equipment.txt"
    file.write_bytes(b"camera /dev/video0\n")
    flash = ("flash", *made.release(), "--target", card, "--equipment", file)
    ran = made.tool(*flash, stdin="file card.img 25.2 MB\n")
    assert ran.refusal == "equipment_wrong"
    assert "v4l2:/dev/video0" in ran.said
    assert not card.exists()
    file.write_bytes(WHOLE)
    assert made.tool(*flash, stdin="file card.img 25.2 MB\n").code == 0
    assert fat.get(card, BOOT_OFFSET, equipment.FILE_NAME) == WHOLE
    file.write_bytes(b"camera tablet\n")
    manifest, *key = made.release()
    ran = made.tool("provision", "--equipment", file, "--target", card, "--manifest", manifest, *key)
    assert ran.code == 0, ran.said
    assert fat.get(card, BOOT_OFFSET, equipment.FILE_NAME) == b"camera tablet\n"

"""What the appliance does with a stick: units and udev rule, as systemd, udev, mount and our command line read them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge.node import machine_journal
from edge.node.__main__ import _parser
from tests.kits.clinic import ROOT
from tests.kits.courier import Run
from tests.kits.fat import STICK, make_fat
from tests.node.kit import provisioned

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(120)]

OVERLAY = ROOT / "images" / "overlay" / "usr" / "lib"
UNITS = OVERLAY / "systemd" / "system"
RULES = OVERLAY / "udev" / "rules.d" / "70-upkendra-stick.rules"
COURIER, MOUNT, JOURNAL = "upkendra-courier@.service", "upkendra-stick@.service", "upkendra-journal@.service"
HOME = "/opt/upkendra"
EXPOSURE_MAX = 2.0
NOBODY = "65534"


def lines_of(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def verified(folder: Path) -> str:
    """What ``systemd-analyze verify`` has against the units in a folder; their programs are this checkout's."""
    argv = ["systemd-analyze", "verify", *(str(folder / unit) for unit in (COURIER, MOUNT, JOURNAL))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else "failed")


def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    for unit in (COURIER, MOUNT, JOURNAL):
        (tmp_path / unit).write_text((UNITS / unit).read_text().replace(HOME, str(ROOT)))
    assert verified(tmp_path) == ""
    broken = (tmp_path / COURIER).read_text().replace("PrivateNetwork=", "PrivateNet=")
    (tmp_path / COURIER).write_text(broken)
    assert "PrivateNet" in verified(tmp_path)


def test_the_courier_waits_for_a_node_that_starts_and_does_not_take_its_folder_first() -> None:
    (line,) = lines_of(COURIER, "After")
    assert "upkendra-node.service" in line.split()
    assert (UNITS / "upkendra-node.service").is_file()
    assert "upkendra-node.service" not in " ".join(lines_of(COURIER, "Requires") + lines_of(COURIER, "Wants"))


@pytest.mark.parametrize("unit", [COURIER, JOURNAL])
def test_what_reads_a_stick_is_locked_up_well(unit: str) -> None:
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level is not None
    assert float(level.group(1)) <= EXPOSURE_MAX


@pytest.mark.parametrize(("unit", "key"), [(COURIER, "ExecStart"), (MOUNT, "ExecStopPost")])
def test_the_command_line_of_a_unit_is_one_of_ours(unit: str, key: str) -> None:
    (line,) = lines_of(unit, key)
    program, *words = shlex.split(line.lstrip("-+").replace("%i", "sda1").replace("${SERVICE_RESULT}", "exit-code"))
    assert program == f"{HOME}/.venv/bin/python"
    assert words[:2] == ["-m", "edge.node"]
    options = _parser().parse_args(words[2:])
    assert options.command == "courier"
    assert options.data == Path("/var/lib/upkendra")
    assert str(options.stick) == f"/run/{lines_of(MOUNT, 'RuntimeDirectory')[0]}".replace("%i", "sda1")
    if unit == COURIER:
        assert str(options.stick) in lines_of(unit, "ReadWritePaths")[0].replace("%i", "sda1").split()
        assert not options.pulled
    else:
        assert (options.pulled, options.result) == (True, "exit-code")


def test_the_stick_is_mounted_for_the_nodes_user_alone_and_udev_starts_the_courier_for_it(tmp_path: Path) -> None:
    (line,) = lines_of(MOUNT, "ExecStart")
    words = shlex.split(line)
    options = words[words.index("-o") + 1].replace("upkendra", NOBODY)
    assert {"nosuid", "nodev", "noexec"} <= set(options.split(","))
    stick = make_fat(tmp_path / "stick.img", 8, 16)
    usb, strange = tmp_path / "10-usb.rules", tmp_path / "65-label.rules"
    usb.write_text('SUBSYSTEM=="block", ENV{ID_BUS}="usb"\n')
    strange.write_text('ENV{ID_FS_LABEL}="UPK-BOOT-A"\n')
    asked = [_udev(tmp_path, RULES), _udev(tmp_path, RULES, usb), _udev(tmp_path, RULES, usb, strange)]
    listed, plain, ours, system = stick.run([["ls", "-ldn", STICK], *asked], options=options)
    assert listed.out.startswith("drwx------ ")
    assert listed.out.split()[2:4] == [NOBODY, NOBODY]
    assert plain.code == ours.code == system.code == 0, ours.said
    assert "ID_FS_TYPE=vfat" in plain.out
    assert "upkendra" not in plain.out
    started = " ".join(f"upkendra-{name}@ubda.service" for name in ("courier", "journal", "ssh"))
    assert f"SYSTEMD_WANTS={started}" in ours.out
    assert "UDISKS_IGNORE=1" in ours.out
    assert "SYSTEMD_WANTS" not in system.out
    assert "UDISKS_IGNORE=1" in system.out
    for done in (plain, ours, system):
        assert not [line for line in (done.out + done.said).splitlines() if RULES.name in line and "nvalid" in line]


def _udev(folder: Path, *rules: Path) -> list[str]:
    """A command that lets udev decide about the stick, with these rules beside the system's; prints its properties."""
    script = "mount -t tmpfs none /run && mount -t sysfs none /sys; mkdir -p /run/udev/rules.d && "
    script += f"cp {' '.join(map(str, rules))} /run/udev/rules.d && udevadm test --action=add /sys/block/ubda"
    return ["sh", "-c", script]


def test_the_journals_program_looks_where_the_stick_is_mounted() -> None:
    place = f"/run/{lines_of(MOUNT, 'RuntimeDirectory')[0]}"
    (line,) = lines_of(JOURNAL, "ExecStart")
    assert line.split()[1:3] == ["-m", machine_journal.__name__]
    assert line.split()[-1] == place
    assert lines_of(JOURNAL, "ExecCondition") == [f"/usr/bin/test -f {place}/{machine_journal.WISH_FILE}"]
    assert lines_of(JOURNAL, "ReadWritePaths") == [place]
    assert lines_of(JOURNAL, "User") == ["upkendra"]


async def test_the_courier_works_where_no_memory_may_be_written_and_run(tmp_path: Path) -> None:
    assert lines_of(COURIER, "MemoryDenyWriteExecute") == ["yes"]
    setup = await provisioned(tmp_path / "data")
    stick = tmp_path / "stick"
    stick.mkdir()
    run = carried(setup.folder, stick)
    assert run.complete, run.said


def carried(data: Path, stick: Path) -> Run:
    """The courier in a process that has given the right away (PR_SET_MDWE, Linux 6.3); as it is on an older kernel."""
    script = "import ctypes, runpy, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); "
    script += "runpy.run_module('edge.node', run_name='__main__')"
    argv = [sys.executable, "-c", script, "courier", "--data", str(data), "--stick", str(stick)]
    done = subprocess.run(argv, cwd=ROOT, env=dict(os.environ), capture_output=True, timeout=60, check=False)
    return Run(done.returncode, done.stdout, done.stderr)

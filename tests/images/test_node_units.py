"""The appliance's own services, as systemd and our command line read them."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from edge.node.__main__ import _parser
from images.appliance import updates
from images.appliance.__main__ import SYSTEM
from tests.kits.clinic import ROOT

OVERLAY = str(ROOT / "images" / "overlay")
UNITS = ROOT / "images" / "overlay" / "usr" / "lib" / "systemd" / "system"
NAMES = ("upkendra-first-boot.service", "upkendra-set-up.service", "upkendra-node.service")
HOME = "/opt/upkendra"
EXPOSURE_MAX = 2.0


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    for unit in NAMES:
        (tmp_path / unit).write_text((UNITS / unit).read_text().replace(HOME, str(ROOT)))
    argv = ["systemd-analyze", "verify", *(str(tmp_path / unit) for unit in NAMES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", NAMES)
def test_each_service_is_locked_up_well(unit: str) -> None:
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level is not None
    assert float(level.group(1)) <= EXPOSURE_MAX


@pytest.mark.parametrize(("unit", "command"), list(zip(NAMES, ("first-boot", "set-up", "serve"), strict=True)))
def test_the_command_line_of_a_unit_is_one_of_ours(unit: str, command: str) -> None:
    (line,) = values(unit, "ExecStart")
    program, *words = shlex.split(line.replace("$UPKENDRA_NODE_OPTIONS", ""))
    assert program == f"{HOME}/.venv/bin/python"
    assert words[0] == "-m"
    if words[1] == "edge.node.first_boot":  # by itself, without the seconds that the whole node takes to import
        words[1:2] = ["edge.node", "first-boot"]
    assert words[1] == "edge.node"
    options = _parser().parse_args(words[2:])
    assert options.command == command
    assert str(options.data) in values(unit, "ReadWritePaths")[0].split()


def test_no_service_leaves_a_core_swaps_or_runs_as_root_for_long() -> None:
    for unit in NAMES:
        assert values(unit, "LimitCORE") == ["0"]
        assert values(unit, "UMask") == ["0077"]
    for unit in NAMES[1:]:
        assert values(unit, "User") == ["upkendra"]
        assert values(unit, "MemorySwapMax") == ["0"]
        assert values(unit, "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    assert values("upkendra-node.service", "Type") == ["notify"]
    assert int(values("upkendra-node.service", "WatchdogSec")[0]) >= 30


def test_no_service_of_the_clinic_is_given_up_for_dying_quickly() -> None:
    for unit in (*NAMES[1:], "upkendra-dns.service", "upkendra-ap.service", "upkendra-health.service"):
        assert values(unit, "StartLimitIntervalSec") == ["0"]


def test_a_health_check_that_dies_is_started_again() -> None:
    assert values("upkendra-health.service", "Restart") == ["on-failure"]


@pytest.mark.parametrize(
    ("slot", "pending", "unproven"),
    [
        ("B", updates.Pending("2", "1", "B", "0" * 24, hub_answered=True), True),
        ("B", updates.Pending("2", "1", "B", "0" * 24, hub_answered=True, kept=True), False),
        ("A", updates.Pending("2", "1", "B", "0" * 24, hub_answered=False), False),
        ("A", updates.Pending("2", "1", "A", "0" * 24, hub_answered=False, installed=False), False),
        ("", updates.Pending("2", "1", "B", "0" * 24, hub_answered=True), False),
        ("B", None, False),
    ],
)
def test_a_new_system_that_nobody_found_good_is_known_without_its_python(
    tmp_path: Path, slot: str, pending: updates.Pending | None, *, unproven: bool
) -> None:
    updates.save(tmp_path, pending)
    (tmp_path / "cmdline").write_text(f"root=PARTUUID=x rauc.slot={slot} quiet\n")
    (line,) = values("upkendra-unproven.service", "ExecCondition")
    program, pending_file, _ = line.split()
    assert pending_file == str(SYSTEM / updates.PENDING_FILE)
    argv = [OVERLAY + program, str(tmp_path / updates.PENDING_FILE), str(tmp_path / "cmdline")]
    assert (subprocess.run(argv, capture_output=True, check=False).returncode == 0) is unproven

"""Steps that the journeys of both boards have in common; each asserts what it is about. Blocking."""

from collections.abc import Callable
from pathlib import Path

from images.builder.recipe import Board
from tests.kits.machine import BOOT_S

from .appliance_kit import DELTA_MAX_BYTES, Appliance

Record = Callable[[str, object], None]
NAMES: dict[Board, str] = {"amd64": "image", "rpi": "arm64 image"}
"""In figures."""


def becomes_a_node(appliance: Appliance, record: Record) -> None:
    """The first day's end: set up, its first visit at the hub, nothing failed."""
    machine, workshop = appliance.machine, appliance.workshop
    took_s = workshop.took_s["2026.11.1"]
    name = NAMES[workshop.board]
    record("figure", f"{name}: built in {took_s:.0f} s, pages {appliance.first_boot_said}")
    assert machine.run("ls /boot/upkendra/upkendra.json", 30)[0] != 0, "the provisioning file was wiped"
    assert (appliance.version(), appliance.slot()) == ("2026.11.1", "A")
    appliance.wait_at_hub(appliance.visits[0])
    grown = int(machine.sh("df --output=size -B1M /data | tail -n 1"))
    assert grown > 600, "the data partition has grown with the card"
    assert "ro" in machine.sh("findmnt -no OPTIONS /").strip().split(",")
    assert machine.sh("systemctl --failed --no-legend --plain").strip() == ""


def is_updated(
    appliance: Appliance,
    update: Path,
    come: Callable[[Path, str], None],
    record: Record,
    installed: Callable[[], None] = lambda: None,
) -> None:
    """A delta of one changed line is small, installed, started, and not kept before somebody opens the records.

    ``come``: how it gets to the node; ``installed``: is done between the install and the restart.
    """
    size_bytes = update.stat().st_size
    name = NAMES[appliance.workshop.board]
    record("figure", f"{name}: delta of one changed line {size_bytes} bytes")
    assert size_bytes <= DELTA_MAX_BYTES
    with appliance.timed() as install:
        come(update, "2026.11.2")
        appliance.wait_outcome("2026.11.2", "installed")
    installed()
    with appliance.timed() as restart:
        appliance.restart()
    record("figure", f"{name}: delta until installed {install}; restart until pages {restart}")
    assert (appliance.version(), appliance.slot()) == ("2026.11.2", "B")
    assert appliance.outcome()["ended"] == "installed", "nobody has opened the records yet"


def is_kept(appliance: Appliance) -> None:
    """Somebody opens the records: all is there, and the update is kept for good."""
    assert appliance.all_there(appliance.nurse())
    appliance.wait_outcome("2026.11.2", "committed")


def is_tried(appliance: Appliance, update: Path, version: str) -> None:
    """An update is installed and started in the slot that did not run."""
    slot = appliance.slot()
    appliance.place(update, version)
    appliance.wait_outcome(version, "installed")
    boot = appliance.boot_id()
    appliance.machine.sh("systemctl start --no-block upkendra-restart.service")
    appliance.wait_restart(boot)
    assert appliance.version() == version
    assert appliance.slot() != slot


def is_left(appliance: Appliance, version: str, why: str, boot: str, timeout_s: float = BOOT_S) -> None:
    """After the boot ``boot`` of a version the old one serves again, says why, and has all that was answered."""
    appliance.wait_restart(boot, timeout_s)
    appliance.wait_pages()
    assert why in appliance.wait_outcome(version, "rolled_back")["message"]
    assert (appliance.version(), appliance.slot()) == ("2026.11.2", "B")
    assert appliance.all_there(appliance.nurse())

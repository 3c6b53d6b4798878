"""An image for a Raspberry Pi, from packages to a node in service and through its updates, in qemu's ``virt`` machine.

U-Boot is its firmware; everything behind that is the card's own: script, counters, slots. What a Pi does before U-Boot,
and the kernel's drivers for it, run on a Pi alone. The steps stand one after the other, as in ``test_image``.
"""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from images.appliance import ubootenv
from images.builder.recipe import Board

from .appliance_kit import ANSWER_S, BROKEN, DELTA_MAX_BYTES, LOOK_S, Appliance, Workshop

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(3 * 3600)]


BOARD: Board = "rpi"
RESTARTS_S = 1800.0
"""A slot that is left for another one starts up to three times."""


def counters(appliance: Appliance, folder: Path) -> dict[str, str]:
    """What U-Boot would read now, by the card itself."""
    appliance.machine.sh("sync")
    slots = appliance.workshop.recipe
    env = folder / "env"
    with appliance.machine.disk.open("rb") as card:
        card.seek(slots.offset_bytes("UPK-ENV"))
        env.write_bytes(card.read(slots.slot("UPK-ENV").size_bytes))
    return ubootenv.read(env)


def old_table(appliance: Appliance) -> bytes:
    """Of the card: by it a Pi 3 finds the first partition."""
    with appliance.machine.disk.open("rb") as card:
        card.seek(446)
        return card.read(66)


def test_a_flashed_card_becomes_a_node_whose_visits_reach_the_hub(
    appliance: Appliance,
    workshop: Workshop,
    first: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    machine = appliance.machine
    took_s = workshop.took_s["2026.11.1"]
    record_property("figure", f"arm64 image: built in {took_s:.0f} s, pages {appliance.first_boot_said}")
    assert machine.sh("uname -m").strip() == "aarch64"
    assert machine.run("ls /boot/upkendra/upkendra.json", 30)[0] != 0, "the provisioning file was wiped"
    assert (appliance.version(), appliance.slot()) == ("2026.11.1", "A")
    appliance.wait_at_hub(appliance.visits[0])
    assert int(machine.sh("df --output=size -B1M /data | tail -n 1")) > 600, (
        "the data partition has grown with the card"
    )
    with (first / "disk.img").open("rb") as image:
        image.seek(446)
        assert image.read(66) == old_table(appliance), "growing it left the old table as a Pi 3 needs it"
    assert "ro" in machine.sh("findmnt -no OPTIONS /").strip().split(",")
    assert machine.sh("systemctl --failed --no-legend --plain").strip() == ""
    kept = {"BOOT_ORDER": "A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "0"}
    appliance.machine.wait(lambda: counters(appliance, tmp_path) == kept, "the slot to be kept", ANSWER_S, LOOK_S)


def test_a_delta_of_one_changed_line_is_installed_started_and_kept(
    appliance: Appliance,
    update: Future[Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    size_bytes = update.result().stat().st_size
    record_property("figure", f"arm64 image: delta of one changed line {size_bytes} bytes")
    assert size_bytes <= DELTA_MAX_BYTES
    with appliance.timed() as install:
        appliance.place(update.result(), "2026.11.2")
        appliance.wait_outcome("2026.11.2", "installed")
    assert counters(appliance, tmp_path) == {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
    with appliance.timed() as restart:
        appliance.restart()
    record_property("figure", f"arm64 image: delta installed {install}; restart until pages {restart}")
    assert (appliance.version(), appliance.slot()) == ("2026.11.2", "B")
    assert appliance.all_there(appliance.nurse())
    appliance.wait_outcome("2026.11.2", "committed")
    assert counters(appliance, tmp_path) == {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}


def test_a_version_that_does_not_serve_is_left_for_the_old_one(
    appliance: Appliance, workshop: Workshop, second: Future[Path], tmp_path: Path
) -> None:
    appliance.place(workshop.delta(second.result(), workshop.build("2026.11.3", BROKEN)), "2026.11.3")
    appliance.wait_outcome("2026.11.3", "installed")
    boot = appliance.boot_id()
    appliance.machine.sh("systemctl start --no-block upkendra-restart.service")
    appliance.wait_restart(boot)
    assert (appliance.version(), appliance.slot()) == ("2026.11.3", "A")
    appliance.wait_restart(appliance.boot_id(), RESTARTS_S)
    appliance.wait_pages()
    outcome = appliance.wait_outcome("2026.11.3", "rolled_back")
    assert "died" in outcome["message"]
    assert (appliance.version(), appliance.slot()) == ("2026.11.2", "B")
    assert counters(appliance, tmp_path)["BOOT_ORDER"] == "B", "RAUC struck the broken slot out"
    assert appliance.all_there(appliance.nurse())

"""An image for a Raspberry Pi, from packages to a node in service and through its updates, in qemu's ``virt`` machine.

U-Boot is its firmware; everything behind that is the card's own: script, counters, slots. What a Pi does before U-Boot,
and the kernel's drivers for it, run on a Pi alone. The steps stand one after the other, as in ``test_image``.
"""

from concurrent.futures import Future
from pathlib import Path

import pytest

from images.appliance import ubootenv
from images.builder.recipe import Board

from . import journey
from .appliance_kit import ANSWER_S, BROKEN, LOOK_S, Appliance, Workshop

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
    appliance: Appliance, first: Path, tmp_path: Path, record_property: journey.Record
) -> None:
    assert appliance.machine.sh("uname -m").strip() == "aarch64"
    journey.becomes_a_node(appliance, record_property)
    with (first / "disk.img").open("rb") as image:
        image.seek(446)
        assert image.read(66) == old_table(appliance), "growing it left the old table as a Pi 3 needs it"
    kept = {"BOOT_ORDER": "A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "0"}
    appliance.machine.wait(lambda: counters(appliance, tmp_path) == kept, "the slot to be kept", ANSWER_S, LOOK_S)


def test_a_delta_of_one_changed_line_is_installed_started_and_kept(
    appliance: Appliance, update: Future[Path], tmp_path: Path, record_property: journey.Record
) -> None:
    both = {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}

    def installed() -> None:
        assert counters(appliance, tmp_path) == both

    journey.is_updated(appliance, update.result(), appliance.place, record_property, installed)
    journey.is_kept(appliance)
    assert counters(appliance, tmp_path) == both


def test_a_version_that_does_not_serve_is_left_for_the_old_one(
    appliance: Appliance, workshop: Workshop, second: Future[Path], tmp_path: Path
) -> None:
    broken = workshop.delta(second.result(), workshop.build("2026.11.3", BROKEN))
    journey.is_tried(appliance, broken, "2026.11.3")
    journey.is_left(appliance, "2026.11.3", "died", appliance.boot_id(), RESTARTS_S)
    assert counters(appliance, tmp_path)["BOOT_ORDER"] == "B", "RAUC struck the broken slot out"

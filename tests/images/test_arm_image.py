"""An image for a Raspberry Pi, from packages to a node in service, in qemu's ``virt`` machine.

U-Boot is its firmware; everything behind that is the card's own: script, counters, slots. What a Pi does before U-Boot,
and the kernel's drivers for it, run on a Pi alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from images.appliance import ubootenv
from tests.kits.clinic import wait_until

from .appliance_kit import ANSWER_S, LOOK_S, Appliance, Workshop, why_not

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(3 * 3600)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    if reason := why_not("rpi"):
        pytest.skip(reason)
    made = Workshop(tmp_path_factory.mktemp("workshop"), "rpi")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def first(workshop: Workshop) -> Path:
    return workshop.build("2026.11.1")


@pytest.fixture(scope="module")
def appliance(workshop: Workshop, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    made = Appliance(tmp_path_factory.mktemp("appliance"), workshop, first)
    try:
        made.first_day()
        yield made
    finally:
        made.close()


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
    wait_until(lambda: counters(appliance, tmp_path) == kept, "the slot to be kept", ANSWER_S, LOOK_S)

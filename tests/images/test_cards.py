"""Which disks may be written: as lsblk tells them on laptops that technicians have."""

import json

import pytest
from msgspec import structs

from images import cards
from images.errors import CardRefused

IMAGE_BYTES = 4 * 10**9
CARD = cards.Block(
    "sdb",
    "/dev/sdb",
    "disk",
    32 * 10**9,
    rm=True,
    hotplug=True,
    tran="usb",
    vendor="Generic ",
    model="STORAGE DEVICE",
    serial="9451",
)


def part(name: str, *mounted: str, kind: str = "part") -> cards.Block:
    return cards.Block(name, f"/dev/{name}", kind, 10**9, mountpoints=mounted)


def test_a_card_in_a_usb_reader_may_be_written() -> None:
    assert cards.refusals(CARD, IMAGE_BYTES) == ()
    assert cards.choose((CARD,), "/dev/sdb", IMAGE_BYTES) == CARD
    assert CARD.label == "Generic STORAGE DEVICE 32.0 GB"


def test_a_card_in_the_laptops_own_slot_may_be_written_although_it_is_not_called_removable() -> None:
    slot = cards.Block("mmcblk0", "/dev/mmcblk0", "disk", 16 * 10**9)
    assert cards.refusals(slot, IMAGE_BYTES) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rm": False, "hotplug": False, "tran": "sata"}, "not removable"),
        ({"rm": False, "hotplug": False, "tran": "nvme"}, "not removable"),
        ({"children": (part("sdb1", "/"),)}, "runs from it"),
        ({"children": (part("sdb1", "/boot/firmware"),)}, "runs from it"),
        ({"children": (part("sdb2", "[SWAP]"),)}, "swaps"),
        ({"children": (part("sdb1", "/media/asha/CARD"),)}, "in use at /media/asha/CARD"),
        ({"mountpoints": ("/mnt",)}, "in use at /mnt"),
        ({"children": (structs.replace(part("sdb1"), children=(part("dm-0", kind="crypt"),)),)}, "encrypted"),
        ({"children": (structs.replace(part("sdb1"), children=(part("md0", kind="raid1"),)),)}, "RAID"),
        ({"children": (structs.replace(part("sdb1"), children=(part("vg-root", "/", kind="lvm"),)),)}, "runs from it"),
        ({"ro": True}, "write-protected"),
        ({"size": 257 * 10**9}, "backup disk"),
        ({"size": 2 * 10**9}, "too small"),
        ({"type": "loop"}, "not a whole disk"),
        ({"type": "rom"}, "not a whole disk"),
    ],
)
def test_every_dangerous_disk_is_refused_with_its_reason(change: dict[str, object], reason: str) -> None:
    block = structs.replace(CARD, **change)
    assert any(reason in one for one in cards.refusals(block, IMAGE_BYTES)), cards.refusals(block, IMAGE_BYTES)
    with pytest.raises(CardRefused, match=reason):
        cards.choose((block,), "/dev/sdb", IMAGE_BYTES)


def test_all_reasons_are_told_at_once() -> None:
    block = structs.replace(CARD, ro=True, size=10**12, children=(part("sdb1", "/mnt"),))
    assert len(cards.refusals(block, IMAGE_BYTES)) == 3


def test_a_partition_and_a_missing_disk_are_refused() -> None:
    block = structs.replace(CARD, children=(part("sdb1"),))
    with pytest.raises(CardRefused) as caught:
        cards.choose((block,), "/dev/sdb1", IMAGE_BYTES)
    assert caught.value.refusal.code == "card_is_part"
    with pytest.raises(CardRefused) as caught:
        cards.choose((block,), "/dev/sdz", IMAGE_BYTES)
    assert caught.value.refusal.code == "no_such_card"


def test_what_lsblk_prints_is_read_with_its_nulls_and_its_older_spellings() -> None:
    raw = {
        "blockdevices": [
            {"name": "sda", "path": "/dev/sda", "type": "disk", "size": "500107862016", "rm": "0", "ro": False,
             "hotplug": False, "tran": "sata", "vendor": "ATA     ", "model": "Samsung", "serial": None,
             "mountpoints": [None], "fstype": None,
             "children": [{"name": "sda1", "path": "/dev/sda1", "type": "part", "size": 1, "mountpoints": ["/"]}]},
        ]
    }  # fmt: skip
    (found,) = cards.parse(json.dumps(raw).encode())
    assert found.size == 500107862016
    assert any("runs from it" in one for one in cards.refusals(found, IMAGE_BYTES))
    with pytest.raises(CardRefused):
        cards.parse(b"lsblk: unknown column")


def test_the_disk_under_this_tests_feet_is_never_offered() -> None:
    for block in cards.look():
        if any(point == "/" for one in block.family() for point in one.mountpoints):
            assert cards.refusals(block, 0)

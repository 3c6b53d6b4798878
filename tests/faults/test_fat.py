"""Sticks with a real FAT, under the real vfat driver: full, lying, failing, torn by power cuts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kits.fat import STICK, Done, FatStick, make_fat, python
from tests.kits.fat_drill import contents, name_of

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(240)]

POINTS = ("begun", "filled", "synced", "checked", "renamed", "written", "deleted")


def drill(works: str) -> list[str]:
    return python("-m", "tests.kits.fat_drill", STICK, *works.split())


def told(done: Done) -> list[dict[str, Any]]:
    assert done.code == 0, done.said
    return [json.loads(line) for line in done.out.splitlines()]


def names(count: int, size_bytes: int) -> list[str]:
    return [name_of(raw) for raw in contents(count, size_bytes)]


def test_other_letters_limits_and_long_names_of_fat_change_nothing(tmp_path: Path) -> None:
    stick = make_fat(tmp_path / "stick.img", 8, 16)
    done, listing = stick.run([drill("tricks 3 5000, write 3 5000, write 3 5000, read"), ["ls", "-lR", STICK]])
    laid, wrote, again, found = told(done)
    assert "नमस्ते राम.txt" in laid["names"]
    assert wrote == {"written": names(3, 5_000), "code": ""}
    assert again["written"] == []
    assert set(found["found"]) == {*names(3, 5_000), name_of(b"somebody else's")}
    assert found["counts"] == {"junk": 3}
    assert "upkendra:" in listing.out
    assert "UPKENDRA:" not in listing.out
    assert ".TMP" not in listing.out
    assert stick.check() == ""


def test_a_full_fat_says_so_keeps_what_is_whole_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    stick = make_fat(tmp_path / "stick.img", 3, 12)
    (done,) = stick.run([drill("write 20 250000, read, clean 5, write 20 250000, read")])
    full, found, freed, on, after = told(done)
    fits = len(full["written"])
    assert full["code"] == "stick_full"
    assert 8 < fits <= 12
    assert full["written"] == names(20, 250_000)[:fits]
    assert sorted(found["found"]) == sorted(full["written"])
    assert freed == {"deleted": 5}
    assert on["code"] == "stick_full"
    assert len(after["found"]) == fits
    assert not drafts(stick)
    assert stick.check() == ""


def drafts(stick: FatStick) -> list[str]:
    return [name for name in stick.names("UP") if not name.lower().endswith(".upk")]


def test_a_counterfeit_that_forgets_is_found_out_at_its_true_size(tmp_path: Path) -> None:
    stick = make_fat(tmp_path / "stick.img", 16, 16)
    true_sectors, sectors = 2 << 20 >> 9, 16 << 20 >> 9
    lying = [f"0 {true_sectors} linear {{device}} 0", f"{true_sectors} {sectors - true_sectors} zero"]
    (done,) = stick.run([drill("write 20 250000, read")], table=lying)
    wrote, found = told(done)
    assert wrote["code"] == "stick_untrue"
    assert 4 < len(wrote["written"]) <= 8
    assert sorted(found["found"]) == sorted(wrote["written"])


def test_bad_sectors_cost_the_files_that_lie_on_them(tmp_path: Path) -> None:
    stick = make_fat(tmp_path / "stick.img", 16, 16)
    (done,) = stick.run([drill("write 16 250000")])
    assert told(done)[0]["code"] == ""
    at, sectors = 2 << 20 >> 9, 16 << 20 >> 9
    failing = [f"0 {at} linear {{device}} 0", f"{at} 64 error"]
    failing.append(f"{at + 64} {sectors - at - 64} linear {{device}} {at + 64}")
    (done,) = stick.run([drill("read")], table=failing)
    (found,) = told(done)
    assert found["code"] == ""
    lost = set(names(16, 250_000)) - set(found["found"])
    assert 1 <= len(lost) <= 2
    assert found["counts"] == {"unreadable": len(lost)}


def cut(folder: Path, point: str) -> None:
    """The power goes at ``point`` of the second file: FAT is dirty, the first file is whole, the next visit ends it."""
    stick = make_fat(folder / f"{point}.img", 8, 16)
    every, work = names(3, 60_000), "write 3 60000"
    if point == "deleted":
        stick.run([drill(work)])
        work = "clean 3"
    (died,) = stick.run([drill(work)], env={"UPKENDRA_KILL_AT": f"usb.{point}:2"}, power_cut=True)
    assert died.code == -9, died.said
    assert "Dirty bit" in stick.check()
    (done,) = stick.run([drill("read, write 3 60000, read")])
    found, wrote, after = told(done)
    assert found["code"] == wrote["code"] == ""
    assert point == "deleted" or every[0] in found["found"]
    assert set(every) <= set(after["found"])
    assert not drafts(stick)


def test_a_power_cut_leaves_what_was_synced_and_the_next_visit_ends_the_work(tmp_path: Path) -> None:
    cut(tmp_path, "renamed")


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_power_cut_at_any_step_leaves_what_was_synced(tmp_path: Path, point: str) -> None:
    cut(tmp_path, point)

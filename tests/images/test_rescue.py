"""A card that fails: what can be read of it is copied, and what cannot is counted."""

import os
from pathlib import Path

import pytest

from images.builder import disk
from images.builder.recipe import MIB
from images.builder.tools import run
from tests.images.test_build import SMALL

from .kit import tool

SEALED = os.urandom(3_000_000)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "upkendra/media").mkdir(parents=True)
    (data / "upkendra/outbox.db").write_bytes(SEALED)
    (data / "upkendra/media/photo").write_bytes(SEALED[:1000])
    disk.ext4(data, tmp_path / "data.img", SMALL.slot("UPK-DATA"))
    disk.assemble(SMALL, {"UPK-DATA": tmp_path / "data.img"}, made := tmp_path / "card.img")
    return made


def test_a_whole_cards_files_are_copied_as_they_are(card: Path, tmp_path: Path) -> None:
    ran = tool(tmp_path, "rescue", card, "--out", tmp_path / "out")
    assert ran.code == 0, ran.said
    assert isinstance(ran.shown, dict)
    assert (ran.shown["unreadable_bytes"], ran.shown["files"]) == (0, 2)
    assert (tmp_path / "out/files/upkendra/outbox.db").read_bytes() == SEALED
    assert (tmp_path / "out/files/upkendra/media/photo").read_bytes() == SEALED[:1000]


def test_what_cannot_be_read_is_counted_and_the_rest_is_copied(card: Path, tmp_path: Path) -> None:
    gone = 2 * MIB + 8192  # of the data; behind it lies the second table
    os.truncate(card, SMALL.image_bytes - MIB - gone)
    ran = tool(tmp_path, "rescue", card, "--out", tmp_path / "out")
    assert ran.code == 0, ran.said
    assert isinstance(ran.shown, dict)
    assert ran.shown["unreadable_bytes"] == gone
    assert (tmp_path / "out/files/upkendra/outbox.db").read_bytes() == SEALED


def test_a_folder_whose_name_has_spaces_is_written_to(card: Path, tmp_path: Path) -> None:
    ran = tool(tmp_path, "rescue", card, "--out", tmp_path / "ASHA USB/out of card")
    assert ran.code == 0, ran.said
    assert (tmp_path / "ASHA USB/out of card/files/upkendra/outbox.db").read_bytes() == SEALED


@pytest.mark.parametrize("lost", ["/", "/upkendra"])
def test_files_whose_folder_cannot_be_read_any_more_are_found_without_their_names(
    card: Path, tmp_path: Path, lost: str
) -> None:
    data = tmp_path / "data.img"
    block = int(run(["/sbin/debugfs", "-R", f"blocks {lost}", data]).split()[0])
    size = 4096 if b"Block size:               4096" in run(["/sbin/dumpe2fs", "-h", data]) else 1024
    with card.open("r+b") as file:
        file.seek(SMALL.offset_bytes("UPK-DATA") + block * size)
        file.write(bytes(size))
    ran = tool(tmp_path, "rescue", card, "--out", tmp_path / "out")
    assert ran.code == 0, ran.said
    found = [path.read_bytes() for path in (tmp_path / "out/files").rglob("*") if path.is_file()]
    assert SEALED in found


def test_a_card_whose_first_blocks_cannot_be_read_is_opened_by_their_copy(card: Path, tmp_path: Path) -> None:
    with card.open("r+b") as file:
        file.seek(SMALL.offset_bytes("UPK-DATA"))
        file.write(bytes(2048))
    ran = tool(tmp_path, "rescue", card, "--out", tmp_path / "out")
    assert ran.code == 0, ran.said
    assert (tmp_path / "out/files/upkendra/outbox.db").read_bytes() == SEALED


def test_a_card_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.img").write_bytes(bytes(4 * MIB))
    assert tool(tmp_path, "rescue", tmp_path / "other.img", "--out", tmp_path / "out").refusal == "no_data_partition"
    assert not (tmp_path / "out").exists()

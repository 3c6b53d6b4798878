"""A card that fails: what can be read of it is copied, and what cannot is counted."""

import os
from pathlib import Path

import pytest

from images.builder import disk
from images.builder.recipe import MIB
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


def test_a_card_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.img").write_bytes(bytes(4 * MIB))
    assert tool(tmp_path, "rescue", tmp_path / "other.img", "--out", tmp_path / "out").refusal == "no_data_partition"
    assert not (tmp_path / "out").exists()

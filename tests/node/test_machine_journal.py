"""The machine's journal: on the stick that asks for it, for nobody but the hub."""

import asyncio
import datetime
import os
import random
from pathlib import Path

import pytest

from edge.node import machine_journal
from edge.node.config import NotEnrolled
from edge.sync import journals, seal
from tests.node.kit import provisioned

PLAYED = '#!/bin/sh\necho "2026-11-27T01:02:03+0530 upkendra-node[7]: ready $*"\n'
NOW = datetime.datetime(2026, 11, 27, 8, 30, tzinfo=datetime.UTC)
PRIVATE = bytes(range(32))
NODE = bytes(8)


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stick that asks, and a journal that answers."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "journalctl").write_text(PLAYED)
    (programs / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / machine_journal.WISH_FILE).touch()
    return folder


def test_a_stick_that_asks_gets_the_journal_sealed_and_another_gets_nothing(tmp_path: Path, stick: Path) -> None:
    setup = asyncio.run(provisioned(tmp_path / "data"))
    path = machine_journal.save(setup.folder, stick, NOW)
    assert path is not None
    assert sorted(one.name for one in stick.iterdir()) == sorted((machine_journal.DONE_FILE, path.name))
    assert b"ready" not in path.read_bytes()
    assert path.read_bytes()[len(journals.MAGIC) :][:2] == seal.key_id(setup.config.hub_kem[0])
    assert machine_journal.save(setup.folder, stick, NOW) is None


def test_a_node_without_a_hub_has_nobody_to_seal_it_for(tmp_path: Path, stick: Path) -> None:
    with pytest.raises(NotEnrolled):
        machine_journal.save(tmp_path, stick, NOW)
    assert machine_journal.main(["--data", str(tmp_path), "--stick", str(stick)]) == 1
    assert [one.name for one in stick.iterdir()] == [machine_journal.WISH_FILE]


def test_the_newest_lines_go_and_none_is_cut() -> None:
    lines = [f"line {number} {'x' * 50}".encode() for number in range(100_000)]
    packed = journals.pack(b"\n".join(lines) + b"\n", NODE, seal.public_of(PRIVATE))
    node_id, text = journals.unpack(packed, (bytes(32), PRIVATE))
    assert node_id == NODE
    assert len(text) <= journals.TEXT_MAX_BYTES
    found = text.splitlines()
    assert found == lines[-len(found) :]
    assert len(packed) < journals.TEXT_MAX_BYTES / 5


def test_what_was_changed_cut_or_sealed_for_another_hub_does_not_open() -> None:
    packed = journals.pack(b"a line\n", NODE, seal.public_of(PRIVATE))
    draw = random.Random(1)
    for _ in range(200):
        at = draw.randrange(len(packed))
        changed = packed[:at] + bytes((packed[at] ^ 1 << draw.randrange(8),)) + packed[at + 1 :]
        with pytest.raises(seal.SealRefused):
            journals.unpack(changed, (PRIVATE,))
    for cut in range(0, len(packed), 7):
        with pytest.raises(seal.SealRefused):
            journals.unpack(packed[:cut], (PRIVATE,))
    with pytest.raises(seal.SealRefused) as caught:
        journals.unpack(packed, (bytes(range(1, 33)),))
    assert caught.value.refusal.code == "journal_key"

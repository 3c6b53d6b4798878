"""The installer of updates as its unit runs it, on real files; in RAUC's place a program that says what RAUC says."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from images.appliance import __main__ as appliance
from images.appliance import slots, updates

STEM = "a" * 24


class Box(Struct, frozen=True):
    """Folders of one node."""

    updates: Path
    system: Path
    rauc: Path

    def rauc_says(self, text: str, code: int) -> None:
        self.rauc.write_text(f"#!/bin/sh\necho called >>{self.rauc}.calls\necho '{text}'\nexit {code}\n")
        self.rauc.chmod(0o755)

    @property
    def calls(self) -> int:
        path = Path(f"{self.rauc}.calls")
        return path.read_text().count("called") if path.exists() else 0

    @property
    def outcome(self) -> dict[str, str] | None:
        path = self.updates / updates.OUTCOME_FILE
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(tmp_path / "data/updates", tmp_path / "system", tmp_path / "bin/rauc")
    for folder in (made.updates, made.system, made.rauc.parent):
        folder.mkdir(parents=True)
    (tmp_path / "cmdline").write_text("root=PARTUUID=x rauc.slot=A quiet\n")
    (tmp_path / "release.json").write_text('{"board": "amd64", "version": "2026.11.1"}')
    monkeypatch.setattr(appliance, "DATA", tmp_path / "data")
    monkeypatch.setattr(appliance, "FOLDER", made.updates)
    monkeypatch.setattr(appliance, "SYSTEM", made.system)
    monkeypatch.setattr(appliance, "CMDLINE", tmp_path / "cmdline")
    monkeypatch.setattr(slots, "RELEASE_FILE", tmp_path / "release.json")
    monkeypatch.setenv("PATH", f"{made.rauc.parent}:{os.environ['PATH']}")
    note = {"name": "system", "version": "2026.11.2", "target": "amd64", "number": 1, "sha256": "0" * 64}
    (made.updates / f"{STEM}.json").write_bytes(msgspec.json.encode(note))
    (made.updates / f"{STEM}.bundle").write_bytes(b"bundle")
    return made


def test_an_update_that_rauc_takes_waits_for_the_night(box: Box) -> None:
    box.rauc_says("Installing done", 0)
    assert appliance.main(["install"]) == 0
    pending = updates.load(box.system)
    assert pending is not None
    assert (pending.slot, pending.installed) == ("B", True)
    assert appliance.main(["install"]) == 0
    assert box.calls == 1, "one at a time"


def test_an_update_that_rauc_refuses_is_over(box: Box) -> None:
    box.rauc_says("LastError: signature verification failed", 1)
    appliance.main(["install"])
    assert box.outcome is not None
    assert (box.outcome["ended"], box.outcome["code"]) == ("refused", "update_signature")
    assert updates.load(box.system) is None
    assert not list(box.updates.glob(f"{STEM}*"))


@pytest.mark.parametrize(
    "said",
    [
        "D-Bus error while installing `/x.bundle`: GDBus.Error: rauc busy: cannot run install",
        "Error creating proxy: Could not connect: No such file or directory",
    ],
)
def test_an_update_that_rauc_never_looked_at_is_kept_and_tried_again(box: Box, said: str) -> None:
    box.rauc_says(said, 1)
    appliance.main(["install"])
    assert box.outcome is None, "it was not refused"
    assert (box.updates / f"{STEM}.bundle").exists()
    assert not (box.updates / f"{STEM}.json").exists(), "nothing is renamed, or the path unit would start it at once"
    box.rauc_says("Installing done", 0)
    appliance.main(["install"])
    assert box.calls == 2
    assert box.outcome is not None
    assert box.outcome["ended"] == "installed"


def test_an_install_that_was_killed_begins_anew_without_a_restart(box: Box) -> None:
    updates.claim(box.updates, STEM)
    updates.save(box.system, updates.Pending("2026.11.2", "2026.11.1", "B", STEM, hub_answered=False, installed=False))
    box.rauc_says("Installing done", 0)
    appliance.main(["install"])
    pending = updates.load(box.system)
    assert pending is not None
    assert pending.installed
    path = box.system / updates.PENDING_FILE
    path.write_bytes(path.read_bytes().replace(b"2026", b"\xff"))
    assert updates.load(box.system) is None, "what a card has damaged keeps the system from no start"


@pytest.mark.parametrize("ended", ["committed", "rolled_back"])
def test_the_end_of_an_update_that_was_cut_short_is_reached_again(box: Box, ended: str) -> None:
    box.rauc_says("Installing done", 0)
    why = box.system / updates.WHY_FILE
    why.write_text("of an earlier one")
    appliance.main(["install"])
    assert not why.exists()
    pending = updates.load(box.system)
    assert pending is not None
    why.write_text("nobody could log in")

    def end() -> None:
        if ended == "committed":
            appliance._end(pending.stem, updates.Outcome(pending.version, "committed"))
        else:
            appliance._rolled_back(pending)

    cut = box.updates / f".{updates.OUTCOME_FILE}.new"
    cut.mkdir()  # what it has to say cannot be written: everything after that is not done
    with pytest.raises(OSError, match=updates.OUTCOME_FILE):
        end()
    assert updates.load(box.system) == pending, "or the version that was given up would be installed again"
    cut.rmdir()
    end()
    assert updates.load(box.system) is None
    assert not list(box.updates.glob(f"{STEM}*"))
    assert box.outcome is not None
    assert box.outcome["ended"] == ended
    assert ended == "committed" or "nobody could log in" in box.outcome["message"]


def test_a_claimed_update_is_forgotten_before_its_bundle(box: Box) -> None:
    updates.claim(box.updates, STEM)
    bundle = box.updates / f"{STEM}.bundle"
    bundle.unlink()
    bundle.mkdir()
    with pytest.raises(OSError, match="bundle"):
        updates.drop(box.updates, STEM)
    assert appliance.main(["install"]) == 0
    assert box.outcome is None, "nothing is said to be missing that was taken"

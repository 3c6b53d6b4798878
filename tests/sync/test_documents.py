"""What the documents say about sync is what the code does."""

import re
from pathlib import Path

from edge.sync import frames

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
SOURCES = sorted((ROOT / "edge" / "sync").rglob("*.py"))


def test_every_code_of_sync_stands_in_the_protocol() -> None:
    codes = {code for file in SOURCES for code in re.findall(r"code=\"([a-z_]+)\"", file.read_text())}
    assert codes
    assert not {code for code in codes if f"`{code}`" not in PROTOCOL}


def test_every_fault_point_of_sync_stands_in_the_protocol() -> None:
    points = {name for file in SOURCES for name in re.findall(r"\bpoint\(\"([a-z._]+)\"\)", file.read_text())}
    on_a_stick = {f"usb.{step}" for step in ["begun", "filled", "synced", "checked", "renamed", "written", "deleted"]}
    assert points >= {"bundle.sealed", "hub.before_ack"} | on_a_stick
    assert not {name for name in points if f"`{name}`" not in PROTOCOL}


def test_the_table_of_frames_has_the_numbers_of_the_code() -> None:
    examples: dict[str, frames.Frame] = {
        "FRAG": frames.Frag(1, 1, 1, 0, 1, b"x"),
        "ACK": frames.Ack(b"12", 0, 0, b""),
        "PROBE": frames.Probe(),
        "TIME": frames.Time(0, 0),
        "SIGNAL": frames.Frag(3, 0, 1, 0, 1, b"x"),
        "PATH": frames.Path(False, bytes(8)),
        "OPEN": frames.Open(bytes(176)),
        "WANTED": frames.Wanted(bytes(4)),
        "RESEAL": frames.Reseal(bytes(11)),
        "STORED": frames.Stored(bytes(11), 1),
        "DOWN_STORED": frames.DownStored(1),
        "STORED_HERE": frames.StoredHere(1, ((1, 1),)),
    }
    told = dict(re.findall(r"^\| ([0-9a-f]{2}) \| ([A-Z_]+) \|", PROTOCOL, re.MULTILINE))
    assert {number: name for number, name in told.items() if name in examples} == {
        f"{frames.encode(frame)[0]:02x}": name for name, frame in examples.items()
    }

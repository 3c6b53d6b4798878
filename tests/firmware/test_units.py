"""The firmware's pure files on this machine under ASan and UBSan, their decoder against Python's, and the build."""

import binascii
import os
import random
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge.node.devices import panel_protocol as table
from edge.node.devices.panel import EVENT_KINDS, RESULTS
from edge.node.devices.panel_link import OVERHEAD, RESIDUE, unstuff
from edge.node.devices.panel_update import SignedImage
from tests.kits import panel_board
from tests.kits.panel_board import Figure

SOURCES = sorted((panel_board.ROOT / "firmware/host").glob("units*.c"))
UNITS = re.findall(r"^    TEST\((\w+)\),$", "".join(source.read_text() for source in SOURCES), re.MULTILINE)
KIND_WORDS = {
    "call next": ["call", "next"],
    "recall": ["recall"],
    "mains lost": ["mains", "lost"],
    "mains back": ["mains", "back"],
    "battery low": ["battery", "low"],
    "shutdown asked": ["shutdown", "asked"],
    "Pi power-cycled": ["power", "cycled"],
    "woke by timer": ["woke", "timer"],
    "woke by mains": ["woke", "mains"],
    "processor restarted": ["restarted"],
}
"""How the table words what the programs name."""
STRICT = {**os.environ, "UBSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0"}


@pytest.mark.parametrize("name", UNITS)
def test_unit(host: Path, name: str) -> None:
    done = subprocess.run([host / "units", name], env=STRICT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def frame(body: bytes) -> bytes:
    body += (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")
    return b"".join(bytes([len(run) + 1]) + run for run in body.split(b"\0")) + b"\0"


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def noise(rng: random.Random, size_bytes: int) -> bytes:
    """Random bytes, good frames of any length (some too long) and frames with flipped bits, as one line."""
    out = bytearray()
    while len(out) < size_bytes:
        good = frame(rng.randbytes(rng.choice((0, 1, 2, 3, 10, 44, 46, 47, 60, 200, 250))))
        match rng.randrange(4):
            case 0:
                out += rng.randbytes(rng.randrange(80))
            case 1:
                out += flipped(good, rng)
            case 2:
                out += good.replace(b"\1", b"\xff")
            case _:
                out += good
    return bytes(out) + b"\0"


def python_hears(line: bytes) -> list[bytes]:
    bodies = [unstuff(part) for part in line.split(b"\0")[:-1] if part]
    return [
        body[:-2]
        for body in bodies
        if body is not None and OVERHEAD <= len(body) <= table.FRAME_MAX and binascii.crc_hqx(body, 0xFFFF) == RESIDUE
    ]


def test_board_and_node_hear_the_same_in_whatever_comes_over_the_line(
    host: Path, request: pytest.FixtureRequest
) -> None:
    rounds = 60 if request.config.getoption("--long") else 6
    for seed in range(rounds):
        line = noise(random.Random(seed), 200_000)
        done = subprocess.run([host / "hear"], input=line, env=STRICT, capture_output=True, check=True)
        *lines, bad = done.stdout.decode().splitlines()
        heard = [bytes.fromhex(text) for text in lines[::2]]
        assert heard == python_hears(line)
        assert [bytes.fromhex(text) for text in lines[1::2]] == [frame(body) for body in heard], "encoded alike"
        assert len(heard) > 100
        parts = sum(1 for part in line.split(b"\0")[:-1] if part)
        assert int(bad.split()[1]) == min(65535, parts - len(heard))


def test_application_and_loader_keep_within_their_sizes(tmp_path: Path, figure: Figure) -> None:
    done = subprocess.run(
        ["make", "-C", panel_board.ROOT / "firmware/panel", f"OUT={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sizes = [line for line in done.stdout.splitlines() if " B flash" in line]
    figure("\n".join(sizes))
    assert len(sizes) == 2
    assert (tmp_path / "boot.bin").stat().st_size <= 2048
    assert (tmp_path / "app.bin").stat().st_size <= 15_232


def test_cppcheck_finds_nothing() -> None:
    done = subprocess.run(
        ["make", "-s", "-C", panel_board.ROOT / "firmware/panel", "check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_header_codec_and_manual_are_what_the_table_says() -> None:
    done = subprocess.run(
        [sys.executable, panel_board.ROOT / "firmware/generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["firmware/panel/common/protocol.h", "edge/node/devices/panel_protocol.py", "firmware/PROTOCOL.md"]
)
def test_a_file_made_from_the_table_and_edited_by_hand_is_found(tmp_path: Path, name: str) -> None:
    made = ("firmware/panel/common/protocol.h", "edge/node/devices/panel_protocol.py", "firmware/PROTOCOL.md")
    for one in (*made, "firmware/generate.py", "firmware/protocol.toml"):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).write_text((panel_board.ROOT / one).read_text())
    command = [sys.executable, str(tmp_path / "firmware/generate.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace("0x44", "0x4F", 1))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert Path(name).name in done.stderr


def test_both_sides_number_events_results_and_power_states_as_the_table_does() -> None:
    table_of = tomllib.loads((panel_board.ROOT / "firmware/protocol.toml").read_text())
    fields = {(one["name"], name): doc for one in table_of["message"] for name, _kind, doc in one.get("fields", [])}

    def numbered(message: str, field: str) -> dict[int, str]:
        return {int(n): text for n, text in re.findall(r"(\d+) ([a-zA-Z -]+)", fields[message, field])}

    kinds = numbered("event", "kind")
    assert {n: kind.value.split("_") for n, kind in EVENT_KINDS.items()} == {n: KIND_WORDS[k] for n, k in kinds.items()}
    power = (panel_board.ROOT / "firmware/panel/app/power.h").read_text()
    in_c = re.findall(r"EVENT_(\w+)", power[power.index("enum event_kind {") :].partition("}")[0])
    assert [name.lower() for name in in_c[1:]] == [EVENT_KINDS[n].value for n in sorted(kinds)]
    results = numbered("done", "result")
    assert {n: text.replace(" ", "_") for n, text in results.items()} == RESULTS
    states = re.search(r"enum power_state \{ (.*?) \}", power)
    assert states is not None
    assert states[1].split(", ") == ["POWER_ON", "POWER_WARNED", "POWER_ASKED", "POWER_ACKED", "POWER_OFF"]
    assert list(numbered("status", "power_state")) == [0, 1, 2, 3, 4]


def test_a_signed_image_is_made_by_the_release_tool(firmware: Path, tmp_path: Path) -> None:
    tool = [sys.executable, str(panel_board.ROOT / "firmware/sign.py"), "--key", str(tmp_path / "release.key")]
    made = subprocess.run([*tool, "--new-key"], capture_output=True, text=True, check=True)
    assert (tmp_path / "release.key").stat().st_mode & 0o777 == 0o600
    assert subprocess.run([*tool, "--new-key"], capture_output=True, check=False).returncode != 0, "never overwritten"
    subprocess.run([*tool, "--version", "7", firmware / "app.bin", tmp_path / "app.upk"], check=True)
    signed = SignedImage.verify((tmp_path / "app.upk").read_bytes(), bytes.fromhex(made.stdout))
    assert signed.image == panel_board.image(firmware, 7)
    (tmp_path / "long.bin").write_bytes(bytes(15_233))
    refused = subprocess.run(
        [*tool, "--version", "7", tmp_path / "long.bin", tmp_path / "long.upk"], capture_output=True, check=False
    )
    assert refused.returncode != 0
    assert not (tmp_path / "long.upk").exists()

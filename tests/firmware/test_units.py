"""The firmware's pure files on this machine under ASan and UBSan, their decoder against Python's, and the build."""

import binascii
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.node.devices import panel_protocol as table
from edge.node.devices.panel_link import OVERHEAD, RESIDUE, unstuff
from edge.node.devices.panel_update import SignedImage
from tests.kits import panel_board

UNITS = re.findall(r"^    TEST\((\w+)\),$", (panel_board.ROOT / "firmware/host/units.c").read_text(), re.MULTILINE)
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


def test_application_and_loader_keep_within_their_sizes(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-C", panel_board.ROOT / "firmware/panel", f"OUT={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sizes = [line for line in done.stdout.splitlines() if " B flash" in line]
    print("\n".join(sizes))
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

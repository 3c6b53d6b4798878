"""A small but real image (boot sector, FAT, data, holes), its release, and our tool as a process."""

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.sync import enrol
from tests.kits.client import Json
from tests.kits.clinic import ROOT

BOOT_OFFSET, BOOT_BYTES = 1 << 20, 8 << 20
IMAGE_BYTES = 24 << 20
TOKEN = enrol.TOKEN_PREFIX + base64.b32encode(
    bytes(range(enrol.TOKEN_SECRET_BYTES + enrol.ROOT_HASH_BYTES))
).decode().rstrip("=")


class Ran(Struct, frozen=True):
    """What one command did."""

    code: int
    shown: Json
    said: str

    @property
    def refusal(self) -> str:
        """Code of the refusal on the last line of stderr."""
        last = self.said.strip().rpartition("\n")[2]
        return str(json.loads(last)["error"]["code"])


class Bench(Struct, frozen=True):
    """A folder with a release in it."""

    folder: Path
    image: Path
    manifest: Path

    def tool(self, *arguments: str | Path, stdin: str = "", limit_bytes: int = 0) -> Ran:
        """Run the tool. ``limit_bytes``: no file may grow beyond that (EFBIG, a write error of the kernel)."""
        return tool(self.folder, *arguments, stdin=stdin, limit_bytes=limit_bytes)

    def release(self) -> list[str | Path]:
        return [self.manifest, "--key", self.folder / "keys" / "update.pub"]


def tool(folder: Path, *arguments: str | Path, stdin: str = "", limit_bytes: int = 0) -> Ran:
    argv = [sys.executable, "-m", "images", *(str(one) for one in arguments)]
    if limit_bytes:
        argv = ["prlimit", f"--fsize={limit_bytes}", *argv]
    ran = subprocess.run(
        argv,
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config")},
    )
    return Ran(ran.returncode, json.loads(ran.stdout) if ran.stdout.count("\n") == 1 else None, ran.stderr)


def make_image(path: Path, seed: int = 1) -> None:
    """Data in the first block, a FAT at 1 MiB, data at odd places, holes between them."""
    draw = random.Random(seed)
    with path.open("wb") as image:
        image.write(draw.randbytes(512))
        image.seek(BOOT_OFFSET + BOOT_BYTES + 4096 * 3)
        image.write(draw.randbytes(5 << 20))
        image.seek(IMAGE_BYTES - 700)
        image.write(draw.randbytes(700))
    # Blocks of 1 KiB, 8,192 of them, beginning at sector 2,048.
    subprocess.run(
        ["mkfs.vfat", "--invariant", "--offset", "2048", "-n", "BOOT", path, str(BOOT_BYTES // 1024)],
        check=True,
        capture_output=True,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )


def bench(folder: Path, version: str = "2026.11.1") -> Bench:
    """Keys, image and packed release."""
    image = folder / "raw.img"
    make_image(image)
    keys = folder / "keys"
    assert tool(folder, "keys", "--out", keys).code == 0
    packed = tool(
        folder,
        *("pack", image, "--board", "amd64", "--version", version, "--made-on", "2026-11-26"),
        *("--boot-offset", str(BOOT_OFFSET), "--boot-bytes", str(BOOT_BYTES)),
        *("--signing-key", keys / "update.key", "--out", folder / "out"),
    )
    assert packed.code == 0, packed.said
    shown = msgspec.convert(packed.shown, dict[str, str])
    return Bench(folder, image, Path(shown["manifest"]))

"""What a Raspberry Pi starts from its first partition: its firmware, U-Boot, our script for U-Boot; and the counters.

U-Boot is Debian's. Where that keeps its own environment differs from build to build, so our script reads and writes two
sectors of a partition by itself, in U-Boot's format; :mod:`images.appliance.ubootenv` does the same under Linux.
"""

import struct
import zlib
from pathlib import Path
from typing import Final

from images.appliance import ubootenv

from .recipe import Recipe
from .tools import BuildFailed

HERE = Path(__file__).resolve().parent
U_BOOT: Final = Path("usr/lib/u-boot/rpi_arm64/u-boot.bin")
FIRMWARE: Final = Path("usr/lib/raspi-firmware")
LOADED: Final = ("bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat")
"""The first three for a Pi 3, the others for a Pi 4; a Pi 5 has its firmware in a chip."""
CONFIG: Final = b"""# Read by the Pi's firmware. The trees are those of Debian's kernel, by the kernel's own names.
arm_64bit=1
kernel=u-boot.bin
upstream_kernel=1
os_prefix=
enable_uart=1
disable_splash=1
"""
TREES: Final = ("bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb", "bcm2711-rpi-4-b.dtb", "bcm2712-rpi-5-b.dtb")
"""One for each machine that an image for nodes must start on."""
SCRIPT: Final = "boot.scr"
COUNTERS: Final = {"BOOT_ORDER": "A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "0"}
"""Slot B is empty until the first update."""

_MAGIC, _LINUX, _ARM64, _SCRIPT, _PLAIN = 0x27051956, 5, 22, 6, 0


def text(recipe: Recipe, cmdline: str) -> str:
    """The script, with the recipe's partitions. Pure but for our own file."""
    script = (HERE / "boot.cmd").read_text()
    numbers = {"@ESP@": "UPK-ESP", "@ENV@": "UPK-ENV", "@BOOT_A@": "UPK-BOOT-A", "@BOOT_B@": "UPK-BOOT-B"}
    for mark, label in numbers.items():
        script = script.replace(mark, f"{recipe.number(label):x}")
    for mark, value in (
        ("@ROOT_A@", recipe.slot("UPK-ROOT-A").uuid),
        ("@ROOT_B@", recipe.slot("UPK-ROOT-B").uuid),
        ("@APART@", f"{ubootenv.APART_BYTES // ubootenv.SECTOR_BYTES:x}"),
        ("@CMDLINE@", cmdline),
    ):
        script = script.replace(mark, value)
    return script


def image(script: str, epoch_s: int) -> bytes:
    """A script as U-Boot's ``source`` takes it: its legacy image, a header of 64 bytes and a table of one. Pure."""
    content = "".join(f"{line}\n" for line in script.splitlines() if not line.lstrip().startswith("#")).encode("ascii")
    data = struct.pack(">II", len(content), 0) + content
    kinds = bytes((_LINUX, _ARM64, _SCRIPT, _PLAIN))

    def head(crc: int) -> bytes:
        numbers = struct.pack(">7I", _MAGIC, crc, epoch_s, len(data), 0, 0, zlib.crc32(data))
        return numbers + kinds + b"upkendra".ljust(32, b"\0")

    return head(zlib.crc32(head(0))) + data


def files(recipe: Recipe, root: Path, trees: Path, cmdline: str, epoch_s: int) -> dict[str, Path | bytes]:
    """What the first partition holds but for the recovery, by its place there. Raises BuildFailed, OSError.

    ``root``: where its firmware and U-Boot lie; ``trees``: descriptions of machines, of the image's kernel.
    """
    found = {path.name: path for path in sorted(trees.glob("*.dtb"))}
    if not recipe.for_tests and (missing := set(TREES) - found.keys()):
        raise BuildFailed(f"The kernel brings no description of {', '.join(sorted(missing))}.")
    return {
        "config.txt": CONFIG,
        **{name: root / FIRMWARE / name for name in LOADED},
        "u-boot.bin": root / U_BOOT,
        SCRIPT: image(text(recipe, cmdline), epoch_s),
        **found,
    }


def counters(out: Path, size_bytes: int) -> None:
    """The partition of the counters. Raises OSError."""
    with out.open("wb") as file:
        file.truncate(size_bytes)
    ubootenv.write(out, COUNTERS)
    ubootenv.write(out, COUNTERS)

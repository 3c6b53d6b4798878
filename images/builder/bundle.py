"""Signed RAUC bundles of a build: the full one, and a delta from an earlier build of the same board."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from .tools import BuildFailed, link_or_copy, run

HERE = Path(__file__).resolve().parent
PAD_BYTES = 8 * 1024
"""RAUC 1.13 refuses bundles whose content has 4,096 bytes or fewer."""
PIECE_BYTES = 1 << 20
XDELTA_WINDOW_BYTES = 8 << 20
SOURCE_WINDOW_BYTES = 64 << 20
"""So much of the old system a node holds in memory. xdelta3 goes back no further in a partition, which is a pipe to it;
therefore the delta is made from a pipe as well."""
BUILD_FILE = "build.json"
CLASSES = ("rootfs", "boot")

Say = Callable[[str], None]


class Part(Struct, frozen=True):
    """One file of a build that goes into a slot."""

    file: str
    size_bytes: int
    sha256: str


class Build(Struct, frozen=True):
    """``build.json``: what a build made, for the bundles that are made of it."""

    board: str
    version: str
    rootfs: Part
    boot: Part

    def part(self, name: str) -> Part:
        return self.rootfs if name == "rootfs" else self.boot


def part_of(path: Path) -> Part:
    """Size and hash of a file. Raises OSError. Blocking."""
    with path.open("rb") as file:
        return Part(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def load(folder: Path) -> Build:
    """A build by its folder. Raises BuildFailed."""
    try:
        return msgspec.json.decode((folder / BUILD_FILE).read_bytes(), type=Build)
    except (OSError, msgspec.MsgspecError) as error:
        raise BuildFailed(f"{folder} is no build: {error}.") from None


def full(folder: Path, out: Path, keys: Path, work: Path, say: Say) -> None:
    """The bundle with everything in it. Raises BuildFailed, OSError."""
    build = load(folder)
    content = _fresh(work / "bundle")
    sections = []
    for name in CLASSES:
        link_or_copy(folder / build.part(name).file, content / f"{name}.img")
        sections.append(f"[image.{name}]\nfilename={name}.img\n")
    say(f"bundle: full, version {build.version}")
    _bundle(content, build, sections, out, keys)


def delta(base_folder: Path, folder: Path, out: Path, keys: Path, work: Path, say: Say) -> None:
    """The bundle that turns a running ``base`` into this build. Raises BuildFailed, OSError."""
    base, build = load(base_folder), load(folder)
    if base.board != build.board:
        raise BuildFailed(f"A delta from {base.board} to {build.board} helps nobody.")
    content = _fresh(work / "bundle")
    values = [f"BASE_VERSION='{base.version}'"]
    sections = ["[hooks]\nfilename=hook.sh\nhooks=install-check\n"]
    say(f"bundle: delta, version {base.version} to {build.version}")
    for name in CLASSES:
        old, new = base.part(name), build.part(name)
        difference(base_folder / old.file, folder / new.file, content / f"{name}.xdelta", new.sha256)
        sections.append(f"[image.{name}]\nfilename={name}.xdelta\nhooks=install\n")
        key = name.upper()
        values += [f"{key}_BASE_SIZE={old.size_bytes}", f"{key}_BASE_SHA256={old.sha256}"]
        values += [f"{key}_SIZE={new.size_bytes}", f"{key}_SHA256={new.sha256}"]
    head, rest = (HERE / "hook.sh").read_text().split("set -eu\n", 1)
    hook = content / "hook.sh"
    hook.write_text(f"{head}set -eu\n" + "\n".join(values) + "\n" + rest)
    hook.chmod(0o755)
    pad = b"".join(hashlib.sha256(f"{build.version} {row}".encode()).digest() for row in range(PAD_BYTES // 32))
    (content / "pad").write_bytes(pad)
    _bundle(content, build, sections, out, keys)


def difference(old: Path, new: Path, out: Path, sha256: str) -> None:
    """The xdelta from one file to another, and a trial of it as a node does it. Raises BuildFailed."""
    window = ["-B", str(SOURCE_WINDOW_BYTES)]
    encode: list[str | Path] = ["xdelta3", "-e", "-9", "-f", "-n", "-A", "-W", str(XDELTA_WINDOW_BYTES), *window]
    encode += ["-s", "/dev/stdin", new, out]
    run(["sh", "-c", 'cat "$0" | "$@"', old, *encode])
    decode: list[str | Path] = ["xdelta3", "-d", "-c", *window, "-s", "/dev/stdin", out]
    made = run(["sh", "-c", 'cat "$0" | "$@" | sha256sum', old, *decode]).split()[0].decode()
    if made != sha256:
        raise BuildFailed(f"The delta to {new} does not make what it should.")


def _bundle(content: Path, build: Build, sections: list[str], out: Path, keys: Path) -> None:
    head = f"[update]\ncompatible=upkendra-{build.board}\nversion={build.version}\n\n[bundle]\nformat=verity\n"
    (content / "manifest.raucm").write_text("\n".join((head, *sections)))
    out.unlink(missing_ok=True)
    run(
        [
            *("rauc", "bundle", f"--cert={keys / 'bundle.cert.pem'}", f"--key={keys / 'bundle.key.pem'}"),
            *("--mksquashfs-args=-comp zstd -Xcompression-level 12 -all-root -no-xattrs -no-progress", content, out),
        ]
    )
    shutil.rmtree(content)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

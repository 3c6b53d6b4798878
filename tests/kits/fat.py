"""A stick with a real FAT file system: an image file, mounted by a Linux kernel of its own. Blocking.

The kernel is User-mode Linux (Debian's ``user-mode-linux``): an ordinary process with the real vfat driver, so that
neither root, nor a loop device, nor a module of the host's kernel is needed. The host's files are its root file system;
our own commands run inside on the mounted image. A power cut is one: what was not synced is lost with the kernel.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec import Struct

from tests.kits.clinic import ROOT

KERNEL = "linux.uml"
STICK = "{stick}"
"""In a command: where the image is mounted."""
OPTIONS = "nosuid,nodev,noexec,utf8,flush"
MEMORY = "384M"
TIMEOUT_S = 120.0
_GUEST = Path(__file__).with_name("fat_guest.py")


class Done(Struct, frozen=True):
    """What a command did inside."""

    code: int
    out: str
    said: str


def make_fat(image: Path, size_mb: int, bits: int = 32) -> "FatStick":
    """A freshly formatted stick."""
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    argv = ["mkfs.vfat", "-F", str(bits), "-s", "4" if bits == 12 else "1", "-n", "STICK", str(image)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return FatStick(image)


class FatStick:
    """One image. What is done to it is durable only as far as FAT and our own syncs make it so."""

    def __init__(self, image: Path) -> None:
        self.image = image

    def run(
        self,
        commands: Sequence[Sequence[str]],
        *,
        env: Mapping[str, str] | None = None,
        options: str = OPTIONS,
        table: Sequence[str] = (),
        power_cut: bool = False,
    ) -> list[Done]:
        """Plug it in, run commands one after another, and pull it: unmounted, or by a power cut after the last one.

        ``options``: of mount. ``table``: of the device mapper over ``{device}``, for sticks that lie or fail.

        Fails the test, with what to install, where there is no such kernel.
        """
        if shutil.which(KERNEL) is None:
            pytest.fail("A FAT stick needs User-mode Linux: apt-get install user-mode-linux dosfstools.")
        with tempfile.TemporaryDirectory(prefix="fat-", dir=self.image.parent) as folder:
            job = Path(folder) / "job.json"
            content = {
                "commands": [list(command) for command in commands],
                "cwd": str(ROOT),
                "env": {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
                "options": options,
                "table": list(table),
                "power_cut": power_cut,
            }
            job.write_text(json.dumps(content))
            log = self._boot(job)
            result = job.with_name("result.json")
            if not result.exists():
                raise AssertionError(f"the kernel of the stick ended early: {log[-2000:]}")
            return [Done(**one) for one in json.loads(result.read_text())]

    def _boot(self, job: Path) -> str:
        argv = [KERNEL, "rootfstype=hostfs", "rootflags=/", "rw", f"mem={MEMORY}", f"ubd0={self.image}"]
        argv += ["con=null", "con0=null,fd:1", "quiet", f"uml_dir={job.parent}", f"umid=stick{os.getpid()}"]
        argv += [f"init={_python()}", "--", str(_GUEST), str(job)]
        booted = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False, cwd=job.parent
        )
        return (booted.stdout + booted.stderr).decode(errors="replace")

    def check(self) -> str:
        """What ``fsck.vfat`` finds without repairing; empty when the file system is whole and clean."""
        done = subprocess.run(["fsck.vfat", "-n", "-v", str(self.image)], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 and "Dirty bit" not in done.stdout else done.stdout

    def names(self, folder: str) -> list[str]:
        """Names in a folder below ``UPKENDRA``, as the stick has them; read without mounting it."""
        done = subprocess.run(
            ["mdir", "-b", "-i", str(self.image), f"::UPKENDRA/{folder}"], capture_output=True, text=True, check=False
        )
        return [line.rpartition("/")[2] for line in done.stdout.split() if not line.endswith("/")]


def python(*arguments: str) -> list[str]:
    """A command that runs our Python inside."""
    return [sys.executable, *arguments]


def _python() -> str:
    return str(Path("/usr/bin/python3").resolve())

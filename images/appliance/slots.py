"""Which slot runs, and what RAUC does with slots. Blocking."""

import subprocess
from pathlib import Path

import msgspec

RELEASE_FILE = Path("/usr/lib/upkendra/release.json")
INSTALL_TIMEOUT_S = 2 * 3600.0
RAUC_TIMEOUT_S = 120.0
OTHER = {"A": "B", "B": "A"}


class Running(msgspec.Struct, frozen=True):
    """``release.json`` of the running system."""

    board: str
    version: str


def running() -> Running:
    """The release that runs. Raises OSError."""
    return msgspec.json.decode(RELEASE_FILE.read_bytes(), type=Running)


def booted(cmdline: str) -> str:
    """``A`` or ``B``, by what GRUB or U-Boot told the kernel; empty in the recovery. Pure."""
    words = [word.removeprefix("rauc.slot=") for word in cmdline.split() if word.startswith("rauc.slot=")]
    return words[-1] if words and words[-1] in OTHER else ""


def install(bundle: Path) -> tuple[bool, str]:
    """Install into the other slot: whether it worked, and what RAUC said."""
    return _rauc("install", str(bundle), timeout_s=INSTALL_TIMEOUT_S)


def keep() -> bool:
    """The running slot is good: its counter of tries begins anew."""
    return _rauc("status", "mark-good", "booted")[0]


def give_up() -> bool:
    """The running slot is bad: the other one starts from now on."""
    return _rauc("status", "mark-bad", "booted")[0]


def give_up_other() -> bool:
    """The slot that does not run is bad: after the recovery as well it comes last."""
    return _rauc("status", "mark-bad", "other")[0]


def _rauc(*arguments: str, timeout_s: float = RAUC_TIMEOUT_S) -> tuple[bool, str]:
    try:
        done = subprocess.run(
            ["rauc", *arguments], capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return False, f"rauc {arguments[0]} did not end in {timeout_s:.0f} seconds"
    return done.returncode == 0, done.stdout + done.stderr

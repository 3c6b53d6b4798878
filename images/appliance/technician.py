"""A technician's SSH: what opens it, what sshd is told, and what stays of it afterwards. Blocking.

``take`` looks at the key file on a stick and lays out a folder for sshd in memory; the unit `upkendra-sshd@` serves
from it as long as the stick is in; ``close`` clears up. What a node's user could have written is only read: the key
that signs lies in the read-only root.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from edge.model.clock import Guess, guess

from . import network, permit, updates
from .permit import Permit, PermitRefused

USER: Final = "technician"
PORT: Final = 22
ANSWER_FILE: Final = "upkendra-ssh-answer.txt"
NODE_FILE: Final = "node.json"
CLOCK_FILE: Final = "clock.json"
STATE_FILE: Final = "ssh.json"
HOST_KEY: Final = "ssh_host_ed25519_key"
NOTES: Final = "technician"
"""In the data folder: what the node is to write into its audit log (`edge.node.technician`)."""
NOTES_MAX: Final = 64
"""Kept for a node that nobody opens; what comes after is in the machine's journal only."""
_SMALL_BYTES: Final = 16 * 1024
_TIME_OVER: Final = "124"
"""The exit code of `timeout`."""


class Places(Struct, frozen=True):
    """Where things lie on an appliance."""

    data: Path = Path("/var/lib/upkendra")
    system: Path = Path("/data/system")
    run: Path = Path("/run/upkendra-ssh")
    trusted: Path = Path("/usr/lib/upkendra/update.pub")
    blocks: Path = Path("/sys/class/block")
    boot_id: Path = Path("/proc/sys/kernel/random/boot_id")


class State(Struct, frozen=True):
    """``ssh.json``: the last opening. ``disk``: the kernel's count of disks that were put in since the start."""

    boot: str
    disk: int
    is_open: bool


class Note(Struct, frozen=True):
    """What the node shall write into its audit log."""

    permit_id: str
    technician: str
    what: str
    """opened, ended"""
    why: str = ""


class _Site(Struct, frozen=True):
    code: str


class _Node(Struct, frozen=True):
    node_id: bytes
    site: _Site


class _Clock(Struct, frozen=True):
    offset_ms: int = 0
    seen_ms: int = 0


def take(stick: Path, device: str, unix_ms: int, places: Places) -> Permit:
    """Lay out what sshd needs for the key file on a stick. Raises PermitRefused, OSError, SubprocessError.

    The answer is written beside the key file, for whoever has no other screen.
    """
    try:
        found = _take(stick, device, unix_ms, places)
    except PermitRefused as error:
        _answer(stick, f"{error.refusal.code}: {error.refusal.message}\r\n")
        raise
    public = (places.run / device / f"{HOST_KEY}.pub").read_text().split()
    line = f"{network.ADDRESS} {public[0]} {public[1]}"
    _answer(
        stick,
        f"open for {found.hours} h, as long as this stick is in: ssh {USER}@{network.ADDRESS}\r\n"
        f"The line for known_hosts:\r\n{line}\r\n",
    )
    note(places, Note(found.permit_id, found.technician, "opened", f"{found.hours} h"))
    return found


def _take(stick: Path, device: str, unix_ms: int, places: Places) -> Permit:
    with (stick / permit.WISH_FILE).open("rb") as file:
        content = file.read(permit.FILE_MAX_BYTES + 1)
    found = permit.open_signed(content, bytes.fromhex(places.trusted.read_text().strip()))
    node_id, site = _who(places.data)
    permit.judge(found, node_id, site, _time(places.data, unix_ms))
    _tidy(places, device)
    boot, disk = places.boot_id.read_text().strip(), _disk(places.blocks, device)
    last = load(places.system)
    if last is not None and ((last.boot != boot and last.is_open) or (last.boot == boot and 0 < disk == last.disk)):
        save(places.system, State(boot, disk, is_open=False))
        raise PermitRefused(
            "It was open already with this stick in, until the hours were over or the machine was started again. "
            "Draw the stick and put it in again.",
            code="ssh_drawn",
        )
    folder = places.run / device
    folder.mkdir(mode=0o755)
    save(places.system, State(boot, disk, is_open=True))
    _host_key(places.system, folder)
    _write(folder / "authorized_keys", f"restrict,pty {found.key} {found.permit_id}\n", 0o644)
    _write(folder / "environment", f"UPKENDRA_SSH_S={found.hours * 3600}\n", 0o600)
    _write(folder / "permit.json", msgspec.json.encode(found).decode(), 0o600)
    _write(folder / "sshd_config", config(folder), 0o600)
    return found


def _who(data: Path) -> tuple[str, str]:
    try:
        found = msgspec.json.decode(_small(data / NODE_FILE), type=_Node)
    except FileNotFoundError:
        raise PermitRefused(
            "This node is not set up: nothing is on it. Flash its card anew.", code="ssh_not_set_up"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise PermitRefused(
            "node.json is damaged: nobody can tell which node this is.", code="ssh_not_set_up"
        ) from None
    return found.node_id.hex(), found.site.code


def _time(data: Path, unix_ms: int) -> Guess:
    try:
        kept = msgspec.json.decode(_small(data / CLOCK_FILE), type=_Clock)
    except (FileNotFoundError, msgspec.MsgspecError):
        kept = _Clock()
    return guess(unix_ms, kept.offset_ms, kept.seen_ms)


def _small(path: Path) -> bytes:
    """A file in a folder of the node's user, never through a link."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read(_SMALL_BYTES)


def _tidy(places: Places, device: str) -> None:
    """One stick at a time; what a stick that is gone left behind goes. Raises PermitRefused."""
    places.run.mkdir(mode=0o755, exist_ok=True)
    for folder in places.run.iterdir():
        if folder.name != device and (places.blocks / folder.name).exists():
            raise PermitRefused("SSH is open by another stick.", code="ssh_busy")
        shutil.rmtree(folder)


def _disk(blocks: Path, device: str) -> int:
    """The kernel's number of this putting-in of the disk (``diskseq``); 0 where it does not count."""
    place = (blocks / device).resolve()
    for path in (place / "diskseq", place.parent / "diskseq"):
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
    return 0


def _host_key(system: Path, folder: Path) -> None:
    """The node's own key, made when it is first needed, and a copy for sshd, to which the data partition is closed."""
    kept, key = system / HOST_KEY, folder / HOST_KEY
    if kept.exists():
        _write(key, kept.read_text(), 0o600)
    else:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "upkendra", "-f", str(key)]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        updates.write(kept, key.read_bytes())
    public = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], check=True, capture_output=True, timeout=60).stdout
    _write(folder / f"{HOST_KEY}.pub", public.decode(), 0o644)


def config(folder: Path, address: str = network.ADDRESS, port: int = PORT) -> str:
    """sshd_config: one user, one key, no password, no way through to anywhere else. Pure."""
    return "\n".join(
        (
            f"ListenAddress {address}",
            f"Port {port}",
            f"HostKey {folder / HOST_KEY}",
            f"AuthorizedKeysFile {folder / 'authorized_keys'}",
            f"AllowUsers {USER}",
            "AuthenticationMethods publickey",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "HostbasedAuthentication no",
            "PermitEmptyPasswords no",
            "PermitRootLogin no",
            # Without PAM what a session starts stays in sshd's unit, and ends with it.
            "UsePAM no",
            "StrictModes yes",
            "DisableForwarding yes",
            "PermitTunnel no",
            "PermitUserEnvironment no",
            "PermitUserRC no",
            "PrintMotd no",
            "MaxAuthTries 3",
            "MaxSessions 4",
            "MaxStartups 4:100:4",
            "LoginGraceTime 30",
            "ClientAliveInterval 60",
            "ClientAliveCountMax 3",
            "PidFile none",
            "",
        )
    )


def close(device: str, exit_status: str, places: Places) -> Permit | None:
    """Clear up after sshd; whose it was. ``exit_status``: of the unit's program. Raises OSError."""
    folder = places.run / device
    try:
        found = msgspec.json.decode((folder / "permit.json").read_bytes(), type=Permit)
    except FileNotFoundError:
        return None
    last = load(places.system)
    if last is not None:
        save(places.system, State(last.boot, last.disk, is_open=False))
    note(places, Note(found.permit_id, found.technician, "ended", "time" if exit_status == _TIME_OVER else "drawn"))
    shutil.rmtree(folder)
    return found


def load(system: Path) -> State | None:
    """The last opening; one that cannot be read counts as none."""
    try:
        return msgspec.json.decode((system / STATE_FILE).read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def save(system: Path, state: State) -> None:
    """Keep it, durably."""
    updates.write(system / STATE_FILE, msgspec.json.encode(state))


def note(places: Places, what: Note) -> None:
    """Leave it where the node reads it: the node writes its audit log when somebody has opened the records."""
    folder = places.data / NOTES
    if not folder.is_dir() or folder.is_symlink():
        return
    numbers = [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]
    if len(numbers) >= NOTES_MAX:
        return
    number = max(numbers, default=0) + 1
    updates.write(folder / f"{number:08d}.json", msgspec.json.encode(what), places.data.stat().st_uid)


def _answer(stick: Path, text: str) -> None:
    """A stick that cannot be written to keeps nobody out."""
    with contextlib.suppress(OSError):
        _write(stick / ANSWER_FILE, text, 0o600)


def _write(path: Path, text: str, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

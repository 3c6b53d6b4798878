"""The root file system of an image as a folder: base, application, settings, lists of what is in it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.model import provisioning

from . import prune, sbom
from .recipe import Recipe
from .tools import chroot, run

HERE = Path(__file__).resolve().parent
OVERLAY = HERE.parent / "overlay"
OVERLAY_CI = HERE.parent / "overlay-ci"
LOADERS = {
    "grub": "bootloader=grub\ngrubenv=/boot/upkendra/EFI/upkendra/grubenv",
    "uboot": "bootloader=uboot",
}
"""RAUC's words for who holds the counters. U-Boot's are read and written by our own `fw_printenv` and `fw_setenv`."""
HOME = "opt/upkendra"
SOURCES = ("edge", "images/__init__.py", "images/appliance", "docs/runbooks", "LICENSE")
NEVER_STARTED = (
    *("systemd-firstboot.service", "getty@.service", "serial-getty@.service", "console-getty.service"),
    *("ssh.service", "sshd.service", "ssh.socket", "ssh@.service", "sshd@.service", "sshd-keygen.service"),
)
"""Nobody logs in at a console, and no sshd runs but the one of `upkendra-sshd@`. systemd's own generator would make
sockets for whatever sshd it finds."""
MOUNTS = ("boot/upkendra", "data", "var/lib/upkendra")

Say = Callable[[str], None]


class About(Struct, frozen=True):
    """What is put into the image but for the packages."""

    version: str
    source: Path
    """A checkout."""
    update_key: bytes
    """update.pub: 64 hex digits."""
    certificate: bytes
    """bundle.cert.pem: whose bundles RAUC takes."""
    panel: Path | None = None
    """A signed application for the panel board, and its key beside it (release.pub)."""


def make(recipe: Recipe, base: Path, root: Path, about: About, say: Say) -> bytes:
    """Fill ``root``; the bill of materials. Raises BuildFailed, OSError."""
    root.mkdir(parents=True)
    say("tree: base")
    run(["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", root, "-f", base])
    say("tree: application and settings")
    _application(about.source, root / HOME)
    overlays = [OVERLAY, *((OVERLAY_CI, OVERLAY_CI.with_name(f"overlay-ci-{recipe.arch}")) if recipe.for_tests else ())]
    for overlay in filter(Path.is_dir, overlays):
        run(["cp", "-a", "--no-preserve=ownership", f"{overlay}/.", root])
    _settings(recipe, root, about)
    for name in MOUNTS:
        (root / name).mkdir(parents=True, exist_ok=True)
    chroot(root, "systemd-sysusers")
    _no_password(root / "etc/shadow", "technician")
    chroot(root, "systemctl", "preset-all", "--preset-mode=full")
    if not recipe.for_tests:  # those come without what makes the others large
        prune.prune(root, recipe.board, say)
        prune.check(root, say)
    _clean(root)
    say("tree: lists")
    listed = sbom.look(root)
    (root / "usr/lib/upkendra/sbom.json").write_bytes(content := sbom.cyclonedx(listed, recipe.board, about.version))
    return content


def _application(source: Path, home: Path) -> None:
    known = subprocess.run(["git", "-C", source, "ls-files", "-z", *SOURCES], capture_output=True, check=False)
    names = [name.decode() for name in known.stdout.split(b"\0") if name]
    if known.returncode != 0 or not names:
        names = [
            str(path.relative_to(source))
            for top in SOURCES
            for path in ([source / top] if (source / top).is_file() else sorted((source / top).rglob("*")))
            if path.is_file() and "__pycache__" not in path.parts
        ]
    for name in sorted(names):
        place = home / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, place)
    for path in (home, *home.rglob("*")):
        if ".venv" not in path.parts and not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    python = ["/usr/bin/python3", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    chroot(home.parents[1], *python, f"/{HOME}/edge", f"/{HOME}/images")


def _settings(recipe: Recipe, root: Path, about: About) -> None:
    conf = root / "etc/rauc/system.conf"
    content = conf.read_text().replace("@BOARD@", recipe.board).replace("@LOADER@", LOADERS[recipe.loader])
    conf.write_text(content)
    (root / "etc/rauc/keyring.pem").write_bytes(about.certificate)
    own = root / "usr/lib/upkendra"
    own.mkdir(parents=True, exist_ok=True)
    release = {"board": recipe.board, "version": about.version}
    (own / "release.json").write_bytes(msgspec.json.encode(release) + b"\n")
    (own / "update.pub").write_bytes(about.update_key.strip() + b"\n")
    lines = [
        "d /var/lib/upkendra/updates 0700 upkendra upkendra -",
        f"f+ /var/lib/upkendra/updates/target 0600 upkendra upkendra - {recipe.board}",
        f"f+ /var/lib/upkendra/updates/update.pub 0600 upkendra upkendra - {about.update_key.decode('ascii').strip()}",
    ]
    if about.panel is not None:
        shutil.copyfile(about.panel, own / "panel.upk")
        key = about.panel.with_name("release.pub").read_text().strip()
        # A folder that systemd made on the way would be root's, and the node could keep nothing there.
        lines.append("d /var/lib/upkendra/panel 0700 upkendra upkendra -")
        lines.append(f"f+ /var/lib/upkendra/panel/release.pub 0600 upkendra upkendra - {key}")
    (root / "usr/lib/tmpfiles.d/upkendra-updates.conf").write_text("\n".join(lines) + "\n")
    (root / "etc/hostname").write_text("upkendra\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost upkendra\n::1 localhost\n")
    (root / "etc/machine-id").write_text("")
    for name in ("etc/.updated", "var/.updated"):
        (root / name).write_text("# as old as /usr: nothing is to be brought up to date at the start\n")
    _link(root / "etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
    _link(root / "etc/localtime", f"/usr/share/zoneinfo/{provisioning.TIME_ZONE}")
    for name in NEVER_STARTED:
        _link(root / "etc/systemd/system" / name, "/dev/null")
    _link(root / "etc/systemd/system-generators/systemd-ssh-generator", "/dev/null")


def _no_password(shadow: Path, user: str) -> None:
    """A user without a password, but not locked: sshd without PAM lets nobody in whose entry begins with ``!``."""
    lines = [line.split(":") for line in shadow.read_text().splitlines()]
    (mine,) = [fields for fields in lines if fields[0] == user]
    mine[1] = "*"
    shadow.write_text("".join(f"{':'.join(fields)}\n" for fields in lines))


def _link(path: Path, to: str) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


def _clean(root: Path) -> None:
    for name in ("var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "etc/.pwd.lock", "etc/fstab.bak"):
        (root / name).unlink(missing_ok=True)
    for path in root.glob("etc/*-"):
        path.unlink()
    for path in (root / "var/log").rglob("*"):
        if path.is_file():
            path.unlink()

"""The base of an image: Debian's packages and the Python packages of the lock file, as one tar that is kept.

Packages come from where this machine's own apt takes them, of the image's suite. Downloads are kept in the cache, so
that the same packages give the same tar; the tar is kept under the hash of all that went into it.
"""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement

from . import recipe as recipes
from .recipe import Recipe
from .tools import BuildFailed, run

HERE = Path(__file__).resolve().parent
INITRAMFS = HERE.parent / "initramfs"
SITE = f"opt/upkendra/.venv/lib/python{recipes.PYTHON}/site-packages"
BASE_VERSION = 1
"""Counted up when this file makes another tar of the same packages."""

DEBIAN_S = 3 * 3600.0
"""Packages of another processor set themselves up in an emulated one."""

Say = Callable[[str], None]

_MARKERS = {
    "python_full_version": f"{recipes.PYTHON}.5",
    "python_version": recipes.PYTHON,
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "sys_platform": "linux",
}
_PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_PREPARE = r"""set -eu
root="$1"
mkdir -p "$root/var/cache/apt/archives" "$root/etc/initramfs-tools/conf.d" "$root/etc/kernel/postinst.d"
if [ -d "$CACHE/debs" ]; then cp -a "$CACHE/debs/." "$root/var/cache/apt/archives/"; fi
printf 'update_initramfs=no\n' >"$root/etc/initramfs-tools/update-initramfs.conf"
"""
_FINISH = r"""set -eu
root="$1"
mkdir -p "$CACHE/debs"
find "$root/var/cache/apt/archives" -maxdepth 1 -name '*.deb' -exec cp -n -t "$CACHE/debs" {} +
find "$root/var/cache/apt/archives" -name '*.deb' -delete
cp -a "$INITRAMFS/." "$root/etc/initramfs-tools/"
mkdir -p "$root/opt/upkendra"
cp -a "$VENV" "$root/opt/upkendra/.venv"
chown -R 0:0 "$root/opt" "$root/etc/initramfs-tools"
chroot "$root" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash -j 0 /opt/upkendra/.venv/lib || true
for kernel in "$root"/lib/modules/*; do
  chroot "$root" mkinitramfs -o "/boot/initrd.img" "${kernel##*/}"
  mv "$root/boot/vmlinuz-${kernel##*/}" "$root/boot/vmlinuz"
done
rm -rf "$root"/boot/*-* "$root"/initrd.img* "$root"/vmlinuz*
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/ldconfig/aux-cache
rm -f "$root"/etc/ssh/ssh_host_*
rm -rf "$root"/var/log/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old "$root"/etc/*-
"""
"""The keys that sshd's package makes as it sets itself up would be every node's."""
_PREPARE_RPI = r"""
mkdir -p "$root/boot/firmware"
"""
"""The firmware's package asks for the folder into which it copies itself at every new kernel."""
_FINISH_RPI = r"""
rm -rf "$root/boot/firmware"
mkdir -p "$root/boot/trees"
for tree in "$root"/usr/lib/linux-image-*/broadcom/bcm2*-rpi-*.dtb \
  "$root"/usr/lib/modules/*/dtb/broadcom/bcm2*-rpi-*.dtb; do
  if [ -e "$tree" ]; then cp "$tree" "$root/boot/trees/"; fi
done
"""
"""The machines' descriptions that the Pi's firmware hands to U-Boot and the kernel: as 6.12 has them, and as 7.3."""


def sources(suite: str = recipes.SUITE, *, backports: bool = False) -> tuple[str, ...]:
    """Lines of a sources list for the image, by the mirrors of this machine's own. Raises BuildFailed."""
    told = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]).decode()
    pairs = [line.split(" ", 1) for line in reversed(told.splitlines()) if " " in line]
    mirrors = {label: uri for uri, label in pairs}
    if "Debian" not in mirrors:
        raise BuildFailed("This machine has no Debian mirror in its sources, or `apt-get update` never ran.")
    lines = [f"deb {mirrors['Debian']} {pocket} main non-free-firmware" for pocket in (suite, f"{suite}-updates")]
    if backports:
        lines.append(f"deb {mirrors['Debian']} {suite}-backports main non-free-firmware")
    if "Debian-Security" in mirrors:
        lines.append(f"deb {mirrors['Debian-Security']} {suite}-security main non-free-firmware")
    return tuple(lines)


def requirements(lock: str, without: tuple[str, ...]) -> str:
    """The lock file's lines for the image's Python, with their hashes, but for some packages. Pure."""
    found = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        words = [word for word in block.replace("\\\n", " ").split("\n")[0].split("--hash=") if word.strip()]
        wanted = Requirement(words[0].strip())
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in without or (wanted.marker and not wanted.marker.evaluate(_MARKERS)):
            continue
        hashes = " ".join(f"--hash={word.strip()}" for word in words[1:])
        found.append(f"{wanted.name}{wanted.specifier} {hashes}\n")
    return "".join(found)


def _venv(folder: Path, wanted: str, python: Path, machine: str) -> None:
    """A virtual environment for the image's Python, filled with wheels of its platform only."""
    site = folder / "lib" / f"python{recipes.PYTHON}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to("/usr/bin/python3")
    (folder / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {recipes.PYTHON}\n"
    )
    listing = folder / "requirements.txt"
    listing.write_text(wanted)
    platforms = [word for name in _PLATFORMS for word in ("--platform", f"{name}_{machine}")]
    run(
        [
            python,
            *("-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check"),
            *("--target", site, "--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:"),
            *("--python-version", recipes.PYTHON, "--implementation", "cp", *platforms, "-r"),
            listing,
        ]
    )
    listing.unlink()
    for path in site.rglob("direct_url.json"):
        path.unlink()


def why_not(recipe: Recipe) -> str:
    """Why this machine runs no programs of the image's processor; empty when it does. Blocking."""
    if recipe.arch == run(["dpkg", "--print-architecture"]).decode().strip():
        return ""
    try:
        run(["arch-test", recipe.arch])
    except BuildFailed:
        return (
            f"This machine runs no programs of {recipe.arch}: qemu-user-static, binfmt-support and arch-test are "
            "needed, and binfmt_misc has to be mounted."
        )
    return ""


def _scripts(recipe: Recipe) -> tuple[str, str]:
    """What is done before the packages come, and after it. Pure."""
    return (_PREPARE + _PREPARE_RPI, _FINISH + _FINISH_RPI) if recipe.board == "rpi" else (_PREPARE, _FINISH)


def key_of(recipe: Recipe, wanted: str) -> str:
    """What a base depends on but for the packages' versions: another key, another tar. Pure but for our own files."""
    prepare, finish = _scripts(recipe)
    whole = hashlib.sha256(f"{BASE_VERSION}\n{prepare}{finish}{wanted}{recipe.packages}".encode())
    whole.update(f"{recipes.UNWANTED}{recipes.KEPT}".encode())
    for path in sorted(INITRAMFS.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(INITRAMFS)}\n".encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def make(
    recipe: Recipe, lock: Path, cache: Path, work: Path, python: Path, epoch_s: int, reuse_s: float, say: Say
) -> Path:
    """The base's tar. One in the cache that is not older than ``reuse_s`` is taken as it is. Raises BuildFailed."""
    wanted = requirements(lock.read_text(), recipe.without)
    tar = cache / f"base-{recipe.board}-{key_of(recipe, wanted)}.tar"
    if tar.exists() and time.time() - tar.stat().st_mtime < reuse_s:
        say(f"base: {tar.name} from the cache")
        return tar
    if reason := why_not(recipe):
        raise BuildFailed(reason, code="build_tool_missing")
    cache.mkdir(parents=True, exist_ok=True)
    venv = work / "venv"
    say("base: Python packages of the lock file")
    _venv(venv, wanted, python, recipe.machine)
    scripts = []
    for name, content in zip(("prepare", "finish"), _scripts(recipe), strict=True):
        script = work / f"{name}.sh"
        script.write_text(content)
        scripts.append(f"sh {script}")
    excludes = [f"--dpkgopt=path-exclude={path}" for path in recipes.UNWANTED]
    includes = [f"--dpkgopt=path-include={path}" for path in recipes.KEPT]
    say(f"base: {len(recipe.packages)} packages and what they need, of Debian {recipes.SUITE}")
    fresh = work / "base.tar"
    run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--quiet"),
            f"--architectures={recipe.arch}",
            *('--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"'),
            *('--aptopt=APT::Keep-Downloaded-Packages "true"', "--skip=essential/unlink,cleanup/apt/cache"),
            *("--dpkgopt=force-confold", *excludes, *includes, f"--include={','.join(recipe.packages)}"),
            *(f'--setup-hook={scripts[0]} "$1"', f'--customize-hook={scripts[1]} "$1"'),
            recipes.SUITE,
            fresh,
            *sources(backports="-backports" in recipe.kernel),
        ],
        env={
            "SOURCE_DATE_EPOCH": str(epoch_s),
            "CACHE": str(cache),
            "INITRAMFS": str(INITRAMFS),
            "VENV": str(venv),
            "TMPDIR": str(work),
        },
        timeout_s=DEBIAN_S,
    )
    fresh.replace(tar)
    return tar

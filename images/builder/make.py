"""A whole build: from packages and a checkout to an image and the files that bundles are made of."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from images.appliance import grubenv

from . import base, bundle, disk, sbom, tree, uboot
from .recipe import Recipe
from .tools import BuildFailed

DAY_S = 86_400.0
CI_REUSE_S = 14 * DAY_S
COUNTERS = {"ORDER": "A B", "A_OK": "1", "A_TRY": "0", "B_OK": "0", "B_TRY": "0"}
"""Slot B is empty until the first update."""

Say = Callable[[str], None]


class Order(Struct, frozen=True):
    """What to build and where."""

    recipe: Recipe
    about: tree.About
    epoch_s: int
    """Time stamp of everything."""
    out: Path
    cache: Path
    python: Path
    """Interpreter whose pip fetches wheels."""
    reuse_s: float
    """How old a base in the cache may be."""


class Built(Struct, frozen=True):
    """What was made."""

    image: str
    image_bytes: int
    rootfs_bytes: int
    packages: int
    boot_offset_bytes: int
    """Of the FAT that takes the provisioning file."""
    boot_bytes: int


def build(order: Order, say: Say) -> Built:
    """Make it. Raises BuildFailed, OSError. Blocking, minutes."""
    if os.geteuid() != 0:
        raise BuildFailed("An image is built as root: its files belong to root.", code="build_needs_root")
    recipe, out = order.recipe, order.out
    out.mkdir(parents=True, exist_ok=True)
    order.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=order.cache) as folder:
        work = Path(folder)
        work.chmod(0o755)
        old = os.umask(0o022)
        try:
            return _build(order, work, recipe, out, say)
        finally:
            os.umask(old)


def _build(order: Order, work: Path, recipe: Recipe, out: Path, say: Say) -> Built:
    lock = order.about.source / "requirements.lock"
    tar = base.make(recipe, lock, order.cache, work, order.python, order.epoch_s, order.reuse_s, say)
    root = work / "root"
    bill = tree.make(recipe, tar, root, order.about, say)
    packages = sbom.look(root)
    (out / "sbom.cdx.json").write_bytes(bill)
    (out / "packages.tsv").write_bytes(sbom.table(packages))
    (out / "licences.tsv").write_bytes(sbom.licences(packages))

    say("partitions: boot")
    kernel = {"vmlinuz": work / "vmlinuz", "initrd.img": work / "initrd.img"}
    for name, path in kernel.items():
        shutil.move(root / "boot" / name, path)
    boot = out / "boot.img"
    slot = recipe.slot("UPK-BOOT-A")
    disk.fat({**kernel}, boot, slot, order.epoch_s)
    esp = work / "esp.img"
    loader = _loader(recipe, work, root, order.epoch_s)
    recovery = {f"recovery/{name}": path for name, path in kernel.items()}
    disk.fat({**loader, **recovery}, esp, recipe.slot("UPK-ESP"), order.epoch_s)
    say("partitions: root")
    rootfs = out / "rootfs.img"
    disk.erofs(root, rootfs, order.epoch_s)
    say("partitions: data, image")
    data = work / "data"
    for name in ("upkendra", "system", "system/rauc"):
        (data / name).mkdir(mode=0o700, parents=True)
    shutil.chown(data / "upkendra", 800, 800)
    disk.ext4(data, work / "data.img", recipe.slot("UPK-DATA"))
    image = out / "disk.img"
    parts = {
        "UPK-ESP": esp,
        "UPK-BOOT-A": boot,
        "UPK-ROOT-A": rootfs,
        "UPK-DATA": work / "data.img",
    }
    if recipe.loader == "uboot":
        parts["UPK-ENV"] = work / "env.img"
        uboot.counters(parts["UPK-ENV"], recipe.slot("UPK-ENV").size_bytes)
    disk.assemble(recipe, parts, image)
    about = bundle.Build(recipe.board, order.about.version, bundle.part_of(rootfs), bundle.part_of(boot))
    (out / bundle.BUILD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    return Built(
        str(image),
        image.stat().st_size,
        rootfs.stat().st_size,
        len(packages),
        recipe.offset_bytes("UPK-ESP"),
        recipe.slot("UPK-ESP").size_bytes,
    )


def _loader(recipe: Recipe, work: Path, root: Path, epoch_s: int) -> dict[str, Path | bytes]:
    """What the first partition holds but for the recovery. Takes out of the tree what only it needs."""
    if recipe.loader == "uboot":
        apart = work / "loader"
        trees = Path("boot/trees")
        for name in (trees, uboot.FIRMWARE, uboot.U_BOOT.parent.parent):
            (apart / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(root / name, apart / name)
        return uboot.files(recipe, apart, apart / trees, disk.CMDLINE, epoch_s)
    program = work / "BOOTX64.EFI"
    disk.grub(recipe, program)
    return {"EFI/BOOT/BOOTX64.EFI": program, "EFI/upkendra/grubenv": grubenv.encode(COUNTERS)}

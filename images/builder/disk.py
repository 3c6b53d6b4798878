"""From a tree to partitions and a raw image: EROFS, FAT, GRUB, GPT; without mounts, the same bytes each time."""

import io
import os
import struct
import tarfile
import uuid
from pathlib import Path

from .recipe import DATA_UUID, DISK_UUID, ROOT_UUID, Recipe, Slot
from .tools import BuildFailed, link_or_copy, run

HERE = Path(__file__).resolve().parent
CMDLINE = (
    "ro rootfstype=erofs rootwait quiet loglevel=4 panic=10 net.ifnames=0 fsck.repair=yes systemd.gpt_auto=0 "
    "systemd.show_status=0 noresume"
)
"""Of the kernel, but for its consoles, which differ between machines."""
GRUB_CONSOLES = "console=tty0 console=ttyS0,115200"
GRUB_MODULES = (
    *("part_gpt", "fat", "normal", "linux", "loadenv", "test", "regexp", "echo", "reboot", "boot", "configfile"),
    *("memdisk", "tar"),
    *("efi_gop", "all_video", "search", "search_label"),
)
_EXTENT = 64 * 1024


def erofs(tree: Path, out: Path, epoch_s: int) -> None:
    """The root file system, uncompressed: a change of a line is then a change of a block. Raises BuildFailed.

    The ends of files do not lie beside their inodes: there a longer line would move every inode behind it, whose
    numbers are their places, and each folder that names one (78 kB of a delta instead of 2).
    """
    out.unlink(missing_ok=True)
    run(["mkfs.erofs", "-T", str(epoch_s), "-U", ROOT_UUID, "-x", "-1", "-E", "noinline_data", out, tree])


def fat(files: dict[str, Path | bytes], out: Path, slot: Slot, epoch_s: int) -> None:
    """A FAT32 with these files, in this order. Its size is the slot's. Raises BuildFailed."""
    out.unlink(missing_ok=True)
    serial = f"{uuid.UUID(slot.uuid).int & 0xFFFFFFFF:08x}"
    size = str(slot.size_bytes // 1024)
    name = slot.label.rpartition("-")[0] if slot.label.startswith("UPK-BOOT") else slot.label
    run(["mkfs.vfat", "--invariant", "-F", "32", "-S", "512", "-s", "1", "-i", serial, "-n", name, "-C", out, size])
    env = {"MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null", "TZ": "UTC", "SOURCE_DATE_EPOCH": str(epoch_s)}
    made: set[str] = set()
    for place, content in files.items():
        parents = Path(place).parts[:-1]
        for depth in range(1, len(parents) + 1):
            folder = "/".join(parents[:depth])
            if folder not in made:
                made.add(folder)
                run(["mmd", "-i", out, f"::/{folder}"], env=env)
        source = out.with_suffix(".file")
        if isinstance(content, Path):
            source.unlink(missing_ok=True)
            link_or_copy(content, source)
        else:
            source.write_bytes(content)
        os.utime(source, (epoch_s, epoch_s))
        run(["mcopy", "-m", "-i", out, source, f"::/{place}"], env=env)
        source.unlink()


def grub(recipe: Recipe, out: Path) -> None:
    """GRUB for UEFI, one file with everything in it. Raises BuildFailed."""
    config = (HERE / "grub.cfg").read_text()
    for name, value in (
        ("@ROOT_A@", recipe.slot("UPK-ROOT-A").uuid),
        ("@ROOT_B@", recipe.slot("UPK-ROOT-B").uuid),
        ("@CMDLINE@", f"{CMDLINE} {GRUB_CONSOLES}"),
    ):
        config = config.replace(name, value)
    memory = out.with_suffix(".tar")
    entry = tarfile.TarInfo("boot/grub/grub.cfg")
    entry.size = len(config.encode())
    with tarfile.open(memory, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(config.encode()))
    prefix = "(memdisk)/boot/grub"
    run(["grub-mkimage", "-O", "x86_64-efi", "-p", prefix, "-m", memory, "-o", out, *GRUB_MODULES])
    memory.unlink()


def ext4(tree: Path, out: Path, slot: Slot) -> None:
    """The data partition, empty but for its folders. Raises BuildFailed."""
    out.unlink(missing_ok=True)
    options = f"hash_seed={DATA_UUID},lazy_itable_init=0"
    run(
        [
            *("mkfs.ext4", "-q", "-F", "-L", slot.label, "-U", DATA_UUID, "-E", options, "-d", tree),
            *(out, f"{slot.size_bytes // 1024}k"),
        ]
    )


def assemble(recipe: Recipe, parts: dict[str, Path], out: Path) -> None:
    """Put partitions into an image with a partition table; holes stay holes. Raises BuildFailed."""
    out.unlink(missing_ok=True)
    with out.open("wb") as image:
        image.truncate(recipe.image_bytes)
    lines = ["label: gpt", f"label-id: {DISK_UUID}", "first-lba: 2048"]
    for slot in recipe.slots:
        start, size = recipe.offset_bytes(slot.label) // 512, slot.size_bytes // 512
        lines.append(f"start={start}, size={size}, type={slot.type_uuid}, uuid={slot.uuid}, name={slot.label}")
    run(["sfdisk", "-q", out], stdin="\n".join(lines).encode() + b"\n")
    if recipe.loader == "uboot":
        _name_in_old_table(recipe, out)
    for label, part in parts.items():
        slot = recipe.slot(label)
        if part.stat().st_size > slot.size_bytes:
            raise BuildFailed(f"{label} has room for {slot.size_bytes} bytes; {part.stat().st_size} are needed.")
        _copy(part, out, recipe.offset_bytes(label))


def _name_in_old_table(recipe: Recipe, out: Path) -> None:
    """Name the first partition in the old table of the first sector as well: a Pi 3 reads no other one.

    What guards the new table from old programs (UEFI 2.10, 5.2.3) stays, but ends before that partition. Linux and
    U-Boot take such a disk for one with a new table.
    """
    slot = recipe.slots[0]
    start, size = recipe.offset_bytes(slot.label) // 512, slot.size_bytes // 512
    fat = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x0C, b"\xfe\xff\xff", start, size)
    guard = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xfe\xff\xff", 1, start - 1)
    with out.open("r+b") as image:
        image.seek(446)
        image.write((fat + guard).ljust(64, b"\0"))


def _copy(part: Path, out: Path, at: int) -> None:
    with part.open("rb") as source, out.open("r+b") as image:
        while content := source.read(_EXTENT):
            if content.strip(b"\0"):
                image.seek(at)
                image.write(content)
            at += len(content)

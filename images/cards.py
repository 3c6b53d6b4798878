"""Which block devices may be written, and why the others may not.

:func:`parse` reads what ``lsblk`` prints, :func:`refusals` judges; both are pure. :func:`look` runs lsblk.
"""

import subprocess

import msgspec

from .errors import CardRefused

CARD_MAX_BYTES = 256 * 10**9
LSBLK = (
    *("lsblk", "--json", "--bytes", "--output"),
    "NAME,PATH,TYPE,SIZE,RM,RO,HOTPLUG,TRAN,VENDOR,MODEL,SERIAL,MOUNTPOINTS,FSTYPE",
)
LSBLK_TIMEOUT_S = 20.0
_REMOVABLE_BUSES = ("usb", "mmc", "sdio")


class Block(msgspec.Struct, frozen=True):
    """A disk, or what lies on one, as lsblk tells it."""

    name: str
    path: str
    type: str
    size: int = 0
    rm: bool = False
    ro: bool = False
    hotplug: bool = False
    tran: str | None = None
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    mountpoints: tuple[str | None, ...] = ()
    fstype: str | None = None
    children: tuple["Block", ...] = ()

    @property
    def label(self) -> str:
        """Model and size, as a person reads it off the screen and types it: ``SanDisk Ultra 32.0 GB``."""
        words = " ".join(f"{self.vendor or ''} {self.model or ''}".split())
        return f"{words or self.name} {size_text(self.size)}"

    def family(self) -> tuple["Block", ...]:
        """Itself and all that lies on it."""
        return (self, *(one for child in self.children for one in child.family()))


class _Listing(msgspec.Struct, frozen=True):
    blockdevices: tuple[Block, ...]


def size_text(size_bytes: int) -> str:
    """Bytes in the unit that is printed on cards: 32.0 GB is 32 × 10⁹."""
    if size_bytes < 10**9:
        return f"{size_bytes / 10**6:.1f} MB"
    return f"{size_bytes / 10**9:.1f} GB"


def parse(content: bytes) -> tuple[Block, ...]:
    """Disks of ``lsblk --json``. Raises CardRefused."""
    try:
        return msgspec.json.decode(content, type=_Listing, strict=False).blockdevices
    except msgspec.MsgspecError:
        raise CardRefused("lsblk answered something that this tool does not understand.", code="no_lsblk") from None


def look() -> tuple[Block, ...]:
    """The disks of this machine now. Raises CardRefused."""
    try:
        done = subprocess.run(LSBLK, capture_output=True, check=True, timeout=LSBLK_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        raise CardRefused("lsblk does not run here; it is part of util-linux.", code="no_lsblk") from None
    return parse(done.stdout)


def refusals(block: Block, image_bytes: int) -> tuple[str, ...]:
    """Why this device is not written; empty if it may be. Each is a sentence for the technician."""
    found = []
    family = block.family()
    mounted = sorted({point for one in family for point in one.mountpoints if point})
    if block.type != "disk":
        found.append("It is not a whole disk.")
    if not (block.rm or block.hotplug or (block.tran or "") in _REMOVABLE_BUSES or block.name.startswith("mmcblk")):
        found.append("It is not removable.")
    if {"/", "/boot", "/boot/firmware", "/usr", "/var", "/home"} & set(mounted):
        found.append("This computer runs from it.")
    if "[SWAP]" in mounted:
        found.append("This computer swaps to it.")
    others = [point for point in mounted if point != "[SWAP]"]
    if others:
        found.append(f"It is in use at {others[0]}; eject it first.")
    if any(one.type not in ("disk", "part") for one in family):
        found.append("A RAID, volume group or encrypted volume lies on it.")
    if block.ro:
        found.append("It is write-protected; look at the little switch on the card.")
    if block.size > CARD_MAX_BYTES:
        found.append(f"It has more than {size_text(CARD_MAX_BYTES)}: that looks like a backup disk, not like a card.")
    if block.size < image_bytes:
        found.append(f"It is too small: the image needs {size_text(image_bytes)}.")
    return tuple(found)


def choose(blocks: tuple[Block, ...], path: str, image_bytes: int) -> Block:
    """The disk of this path, if it may be written. Raises CardRefused with every reason."""
    for block in blocks:
        if path in (one.path for one in block.family()):
            if block.path != path:
                raise CardRefused(f"{path} is a part of {block.path}. Name the whole card.", code="card_is_part")
            reasons = refusals(block, image_bytes)
            if reasons:
                raise CardRefused(f"{path} is not written. {' '.join(reasons)}", code="card_dangerous")
            return block
    raise CardRefused(f"There is no disk {path}. `image cards` lists what is here.", code="no_such_card")

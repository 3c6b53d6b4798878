"""What an image is made of: packages, partitions, fixed numbers. Pure."""

from typing import Final, Literal

from msgspec import Struct

Board = Literal["amd64", "rpi"]
Loader = Literal["grub", "uboot"]
"""What starts a slot, and counts how often it did."""

SUITE: Final = "trixie"
PYTHON: Final = "3.13"
MIB: Final = 1 << 20

SYSTEM: Final = (
    *("systemd", "systemd-sysv", "systemd-resolved", "systemd-repart", "udev", "dbus", "kmod", "util-linux"),
    *("initramfs-tools", "busybox", "zstd", "rauc", "rauc-service", "xdelta3", "e2fsprogs", "dosfstools", "exfatprogs"),
    *("python3", "python3-venv", "ca-certificates", "tzdata"),
    *("nftables", "iproute2", "dnsmasq-base", "hostapd", "iw", "chrony", "openssh-server"),
)
MEDIA: Final = (
    *("python3-gi", "python3-gst-1.0", "gir1.2-gstreamer-1.0", "gir1.2-gst-plugins-base-1.0"),
    *("gir1.2-gst-plugins-bad-1.0", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good"),
    *("gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-ugly", "gstreamer1.0-nice", "gstreamer1.0-tools"),
    *("gstreamer1.0-alsa", "espeak-ng"),
)
"""What `run` installs for a node's calls."""

MODEM: Final = ("modemmanager",)
"""Speaks QMI and MBIM to modems; a virtual machine has none."""

HUB_ONLY: Final = ("alembic", "greenlet", "mako", "nats-py", "psycopg", "psycopg-binary", "pyotp", "sqlalchemy")
"""Of the lock file: what only the hub imports. The node's image does without."""
MEDIA_ONLY: Final = ("aioice", "aiortc", "av", "dnspython", "google-crc32c", "pyee", "pylibsrtp", "pyopenssl")
"""What only the program for calls imports: 140 MB that an image without :data:`MEDIA` has no use for."""
PRINT_ONLY: Final = ("typst",)
"""What only typesets slips: 81 MB of a machine whose tests print none."""

RPI: Final = ("u-boot-rpi", "raspi-firmware", "firmware-brcm80211")
"""What a Raspberry Pi starts with, and its radio."""

UNWANTED: Final = (
    *("/usr/share/man/*", "/usr/share/info/*", "/usr/share/lintian/*", "/usr/share/bug/*", "/usr/share/locale/*"),
    *("/usr/share/doc/*", "/usr/share/gtk-doc/*", "/usr/share/help/*"),
)
KEPT: Final = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")


class Slot(Struct, frozen=True):
    """One partition of the image. ``uuid`` is the partition's own, the same in every image."""

    label: str
    type_uuid: str
    size_bytes: int
    uuid: str


ESP: Final = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
XBOOTLDR: Final = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
ROOT_X86_64: Final = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
ROOT_ARM64: Final = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
RESERVED: Final = "8DA63339-0007-60C0-C436-083AC8230908"
LINUX_DATA: Final = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

DISK_UUID: Final = "75706b65-6e64-4261-8000-000000000000"
ROOT_UUID: Final = "75706b65-6e64-4261-8000-0000000000e0"
"""Of the EROFS itself, the same in both slots and every version: a delta would carry it otherwise."""
DATA_UUID: Final = "75706b65-6e64-4261-8000-0000000000d0"


def _uuid(number: int) -> str:
    return f"75706b65-6e64-4261-8000-{number:012x}"


class Recipe(Struct, frozen=True):
    """One kind of image."""

    board: Board
    loader: Loader
    arch: str
    """Debian's name of the processor."""
    kernel: str
    packages: tuple[str, ...]
    without: tuple[str, ...]
    """Of the lock file: what stays out."""
    slots: tuple[Slot, ...]
    for_tests: bool
    """Also what lies in ``overlay-ci``: a shell that a virtual machine's host can ask for."""

    def slot(self, label: str) -> Slot:
        return next(slot for slot in self.slots if slot.label == label)

    def offset_bytes(self, label: str) -> int:
        """Where a partition begins: the first at 1 MiB, each right behind the one before."""
        at = MIB
        for slot in self.slots:
            if slot.label == label:
                return at
            at += slot.size_bytes
        raise KeyError(label)

    def number(self, label: str) -> int:
        """Of a partition, from 1."""
        return 1 + [slot.label for slot in self.slots].index(label)

    @property
    def machine(self) -> str:
        """The processor's name where Debian's is not known: in wheels and in programs' own."""
        return {"amd64": "x86_64", "arm64": "aarch64"}[self.arch]

    @property
    def image_bytes(self) -> int:
        """With the second partition table at the end."""
        return MIB + sum(slot.size_bytes for slot in self.slots) + MIB


def _slots(esp: int, boot: int, root: int, data: int, root_type: str = ROOT_X86_64) -> tuple[Slot, ...]:
    return (
        Slot("UPK-ESP", ESP, esp, _uuid(1)),
        Slot("UPK-BOOT-A", XBOOTLDR, boot, _uuid(2)),
        Slot("UPK-BOOT-B", XBOOTLDR, boot, _uuid(3)),
        Slot("UPK-ROOT-A", root_type, root, _uuid(4)),
        Slot("UPK-ROOT-B", root_type, root, _uuid(5)),
        Slot("UPK-DATA", LINUX_DATA, data, _uuid(6)),
    )


def _with_counters(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """With a partition for U-Boot's counters behind the first one."""
    return (slots[0], Slot("UPK-ENV", RESERVED, 8 * MIB, _uuid(7)), *slots[1:])


def recipe(board: Board, *, ci: bool) -> Recipe:
    """The recipe of a board. ``ci``: a kernel for virtual machines, no programs for calls and slips; else the same."""
    return _rpi(ci=ci) if board == "rpi" else _amd64(ci=ci)


def _amd64(*, ci: bool) -> Recipe:
    unwanted = HUB_ONLY
    if ci:
        kernel = "linux-image-cloud-amd64"
        slots = _slots(64 * MIB, 40 * MIB, 512 * MIB, 256 * MIB)
        without = (*unwanted, *MEDIA_ONLY, *PRINT_ONLY)
        return Recipe("amd64", "grub", "amd64", kernel, (*SYSTEM, kernel), without, slots, for_tests=True)
    kernel = "linux-image-amd64"
    packages = (
        *SYSTEM,
        *MEDIA,
        *MODEM,
        kernel,
        "firmware-realtek",
        "firmware-iwlwifi",
        "firmware-atheros",
        "intel-microcode",
    )
    slots = _slots(256 * MIB, 160 * MIB, 2048 * MIB, 512 * MIB)
    return Recipe("amd64", "grub", "amd64", kernel, packages, unwanted, slots, for_tests=False)


def _rpi(*, ci: bool) -> Recipe:
    unwanted = HUB_ONLY
    if ci:
        kernel = "linux-image-cloud-arm64"
        slots = _slots(160 * MIB, 64 * MIB, 640 * MIB, 256 * MIB, ROOT_ARM64)
        without = (*unwanted, *MEDIA_ONLY, *PRINT_ONLY)
        packages = (*SYSTEM, *RPI, kernel)
        return Recipe("rpi", "uboot", "arm64", kernel, packages, without, _with_counters(slots), for_tests=True)
    kernel = f"linux-image-arm64/{SUITE}-backports"
    slots = _slots(256 * MIB, 160 * MIB, 2048 * MIB, 512 * MIB, ROOT_ARM64)
    whole = (*SYSTEM, *MEDIA, *MODEM, *RPI, kernel)
    return Recipe("rpi", "uboot", "arm64", kernel, whole, unwanted, _with_counters(slots), for_tests=False)

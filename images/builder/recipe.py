"""What an image is made of: packages, partitions, fixed numbers. Pure."""

from typing import Final, Literal

from msgspec import Struct

Board = Literal["amd64"]

SUITE: Final = "trixie"
PYTHON: Final = "3.13"
MIB: Final = 1 << 20

SYSTEM: Final = (
    *("systemd", "systemd-sysv", "systemd-resolved", "systemd-repart", "udev", "dbus", "kmod", "util-linux"),
    *("initramfs-tools", "busybox", "zstd", "rauc", "rauc-service", "xdelta3", "e2fsprogs", "dosfstools", "exfatprogs"),
    *("python3", "python3-venv", "ca-certificates", "tzdata"),
    *("nftables", "iproute2", "dnsmasq-base", "hostapd", "iw", "chrony"),
)
MEDIA: Final = (
    *("python3-gi", "python3-gst-1.0", "gir1.2-gstreamer-1.0", "gir1.2-gst-plugins-base-1.0"),
    *("gir1.2-gst-plugins-bad-1.0", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good"),
    *("gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-ugly", "gstreamer1.0-nice", "gstreamer1.0-tools"),
    *("gstreamer1.0-alsa", "espeak-ng"),
)
"""What `run` installs for a node's calls."""

HUB_ONLY: Final = ("alembic", "greenlet", "mako", "nats-py", "psycopg", "psycopg-binary", "pyotp", "sqlalchemy")
"""Of the lock file: what only the hub imports. The node's image does without."""
TOOLS_ONLY: Final = ("pip",)
MEDIA_ONLY: Final = ("aioice", "aiortc", "av", "dnspython", "google-crc32c", "pyee", "pylibsrtp", "pyopenssl")
"""What only the program for calls imports: 140 MB that an image without :data:`MEDIA` has no use for."""
PRINT_ONLY: Final = ("typst",)
"""What only typesets slips: 81 MB of a machine whose tests print none."""

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

    @property
    def image_bytes(self) -> int:
        """With the second partition table at the end."""
        return MIB + sum(slot.size_bytes for slot in self.slots) + MIB


def _slots(esp: int, boot: int, root: int, data: int) -> tuple[Slot, ...]:
    return (
        Slot("UPK-ESP", ESP, esp, _uuid(1)),
        Slot("UPK-BOOT-A", XBOOTLDR, boot, _uuid(2)),
        Slot("UPK-BOOT-B", XBOOTLDR, boot, _uuid(3)),
        Slot("UPK-ROOT-A", ROOT_X86_64, root, _uuid(4)),
        Slot("UPK-ROOT-B", ROOT_X86_64, root, _uuid(5)),
        Slot("UPK-DATA", LINUX_DATA, data, _uuid(6)),
    )


def recipe(board: Board, *, ci: bool) -> Recipe:
    """The recipe of a board. ``ci``: a kernel for virtual machines, no programs for calls and slips; else the same."""
    unwanted = (*HUB_ONLY, *TOOLS_ONLY)
    if ci:
        kernel = "linux-image-cloud-amd64"
        slots = _slots(64 * MIB, 40 * MIB, 512 * MIB, 256 * MIB)
        return Recipe(board, kernel, (*SYSTEM, kernel), (*unwanted, *MEDIA_ONLY, *PRINT_ONLY), slots, for_tests=True)
    kernel = "linux-image-amd64"
    packages = (*SYSTEM, *MEDIA, kernel, "firmware-realtek", "firmware-iwlwifi", "firmware-atheros", "intel-microcode")
    slots = _slots(256 * MIB, 160 * MIB, 2048 * MIB, 512 * MIB)
    return Recipe(board, kernel, packages, unwanted, slots, for_tests=False)

"""What Debian's packages bring and a node never loads: patterns of files, by what would load them. Pure data.

Debian's packages of GStreamer plug-ins bring every plug-in, and with them what those were linked with: a compiler for
graphics drivers, voices, encoders of a dozen formats. Paths count from the root; :mod:`images.builder.prune` takes them
out, and the libraries that nothing is linked with any more.
"""

from typing import Final

PLUGINS: Final = (
    *("alsa", "app", "audioconvert", "audiomixer", "audioparsers", "audiorate", "audioresample", "audiotestsrc"),
    *("autodetect", "coreelements", "dtls", "gio", "isomp4", "jpeg", "jpegformat", "level", "matroska", "nice", "ogg"),
    *("openh264", "opus", "opusparse", "playback", "rtp", "rtpmanager", "rtpmanagerbad", "sctp", "sdpelem", "srtp"),
    *("typefindfunctions", "udp", "uvch264", "v4l2codecs", "video4linux2", "videoconvertscale", "videocrop"),
    *("videofilter", "videoparsersbad", "videorate", "videotestsrc", "volume", "vorbis", "vpx", "wavparse", "webrtc"),
    "webrtcdsp",
)
"""Of GStreamer: these stay. `tests/images/test_loads.py` asks them for every element of calls and clips."""

ELEMENTS: Final = (
    *("alsasrc", "appsink", "appsrc", "audioconvert", "audioresample", "capsfilter", "decodebin", "dtlssrtpdec"),
    *("fakesink", "filesink", "filesrc", "h264parse", "level", "matroskademux", "nicesink", "nicesrc", "opusdec"),
    *("openh264enc", "opusenc", "queue", "rtpbin", "rtph264pay", "rtpopusdepay", "rtpopuspay", "rtpvp8depay"),
    *("rtpvp8pay", "v4l2src", "videoconvert", "videorate", "videoscale", "videotestsrc", "vp8dec", "vp8enc", "vp9dec"),
    *("webmmux", "webrtcbin"),
)
"""What calls and clips are made of: each build asks its image for them."""

LIBRARY: Final = "usr/lib/*-linux-gnu"
SCREENS: Final = (
    *(f"{LIBRARY}/{name}" for name in ("dri/*", "gbm/*", "libEGL_mesa.so*", "libGLX_mesa.so*", "gtk-3.0/*")),
    *(f"{LIBRARY}/{name}" for name in ("libgtk-3-0t64/*", "gdk-pixbuf-2.0/*/loaders/*", "vdpau/*", "caca/*")),
    *("usr/share/icons/*", "usr/share/themes/*", "usr/share/gtk-3.0/*", "usr/share/X11/*", "usr/share/iso-codes/*"),
    *("usr/share/xml/iso-codes/*", "usr/share/glvnd/*", "usr/share/drirc.d/*", "usr/bin/gtk*"),
)
"""A node has no desktop."""
LEFT_OVER: Final = tuple(f"{LIBRARY}/lib{name}*" for name in ("OpenEXR", "dnnl", "flite", "icu", "onnxruntime"))
"""Libraries of what goes that are linked with each other, or that plug-ins load by their names."""
SOUNDS: Final = ("usr/share/sounds/*", f"{LIBRARY}/espeak-ng-data/[!eh]*_dict")
"""Instruments; words of languages that no page speaks."""
PYTHON: Final = ("opt/upkendra/.venv/lib/python3*/site-packages/babel/locale-data/[!ehr]*.dat",)
"""Numbers and days of other languages than English and Hindi; ``root`` is what each begins with."""

MODULES: Final = "usr/lib/modules/*/kernel"
DRIVERS: Final = (
    *("gpu/drm/*/*", "infiniband", "iio", "media/dvb-core", "media/dvb-frontends", "media/firewire", "media/pci"),
    *("media/radio", "media/tuners", "scsi/*/*", "target"),
)
SOCKETS: Final = (
    *(
        "9p",
        "6lowpan",
        "appletalk",
        "atm",
        "ax25",
        "batman-adv",
        "ceph",
        "ieee802154",
        "mac802154",
        "nfc",
        "openvswitch",
    ),
    *("rds", "rxrpc", "smc", "sunrpc", "tipc"),
)
FILE_SYSTEMS: Final = (
    *(
        "9p",
        "afs",
        "affs",
        "btrfs",
        "ceph",
        "dlm",
        "ecryptfs",
        "f2fs",
        "gfs2",
        "hfs",
        "hfsplus",
        "jffs2",
        "jfs",
        "lockd",
    ),
    *("minix", "netfs", "nfs", "nfs_common", "nfsd", "nilfs2", "ocfs2", "omfs", "orangefs", "qnx4", "smb", "ubifs"),
    *("udf", "ufs", "xfs", "zonefs"),
)
KERNEL: Final = (
    *(f"{MODULES}/drivers/{name}" for name in DRIVERS),
    *(f"{MODULES}/net/{name}" for name in SOCKETS),
    *(f"{MODULES}/fs/{name}" for name in FILE_SYSTEMS),
    *("usr/lib/modules/*/dtb", "usr/lib/modules/*/vmlinuz", "usr/lib/modules/*/System.map"),
    "usr/lib/linux-image-*",
)
"""Modules for machines and networks that no node is or has; kernel and descriptions lie on the boot partitions."""
RPI: Final = (
    *(f"{MODULES}/drivers/{name}" for name in ("ata", "media/platform/[!br]*", "platform", "staging/media")),
    *(
        f"{MODULES}/drivers/net/ethernet/{name}"
        for name in ("[!bc]*", "broadcom/bn*", "broadcom/cnic*", "broadcom/tg3*")
    ),
    *(f"{MODULES}/drivers/net/ethernet/{name}" for name in ("c[!a]*", "ca[!d]*", "brocade")),
    *(f"{MODULES}/drivers/net/wireless/{name}" for name in ("[!b]*",)),
    *(f"{MODULES}/drivers/clk/{name}" for name in ("imx", "mediatek", "meson", "qcom", "renesas", "rockchip", "tegra")),
    *(f"{MODULES}/sound/{name}" for name in ("firewire", "hda", "pci", "soc/[!bc]*")),
)
"""What no Raspberry Pi has."""


def patterns(board: str) -> tuple[str, ...]:
    """Of everything that goes."""
    return (*SCREENS, *LEFT_OVER, *SOUNDS, *PYTHON, *KERNEL, *(RPI if board == "rpi" else ()))

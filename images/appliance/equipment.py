"""What is plugged into a box: a text file on the card's first partition, and the node's options that follow from it.

``upkendra-equipment.txt``, a line each: ``camera v4l2:/dev/video0``, ``printer 80=/dev/usb/lp0``. The root is
read-only, and a box may be changed after years: the file stays, is read at each start, and is no secret. A line that
the node's command line would not take is left out and named in a file beside it: a clinic never stays closed for a
wrong letter.
Texts are made purely; :func:`apply` writes them.
"""

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from edge.model.errors import BadInput

from . import updates

FILE_NAME: Final = "upkendra-equipment.txt"
ERROR_FILE: Final = "upkendra-equipment-error.txt"
ENVIRONMENT_FILE: Final = "node.env"
FILE_MAX_BYTES: Final = 4096
DEVICES_MAX: Final = 12
MODELS: Final = (
    *("beurer-bm", "contec-oem", "contec-old", "contec-v7", "contour-astm", "nonin", "nonin-13", "nonin-7", "nonin-8"),
    *("nonin-ascii", "onetouch-ultra", "onetouch-ultraeasy", "sd-codefree"),
)
"""Of medical devices, as `serve --device` knows them (docs/devices.md)."""

_PORT: Final = r"/dev/[A-Za-z0-9_.:+/-]{1,150}"
_HOURS: Final = r"(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d"


class Kind(Struct, frozen=True):
    """One kind of line: what may stand there, and how it is told to somebody who wrote something else."""

    pattern: str
    example: str
    most: int = 1


KINDS: Final = {
    "camera": Kind(r"tablet|v4l2:/dev/video\d{1,3}", "v4l2:/dev/video0, or tablet"),
    "encoder": Kind("vp8|v4l2h264|openh264", "vp8, v4l2h264 or openh264"),
    "printer": Kind(
        rf"(?:58|80)=(?:{_PORT}(?:@\d{{3,7}})?|tcp:[A-Za-z0-9.-]{{1,100}}:\d{{1,5}})",
        "80=/dev/usb/lp0, 58=/dev/ttyUSB0@9600 or 80=tcp:10.42.0.9:9100",
    ),
    "panel": Kind(_PORT, "/dev/ttyAMA0"),
    "device": Kind(
        rf"(?:{'|'.join(MODELS)})=(?:{_PORT}|usb:[0-9a-f]{{4}}:[0-9a-f]{{4}}(?::[A-Za-z0-9_.-]{{1,60}})?)",
        "contec-v7=/dev/serial/by-id/…; the models stand in docs/devices.md",
        DEVICES_MAX,
    ),
    "data-cap": Kind(r"(?:udp|wss)=\d{1,6}", "udp=50", 2),
    "bulk-hours": Kind(_HOURS, "22:00-05:00"),
    "update-hours": Kind(_HOURS, "20:00-06:00"),
    "lock-after": Kind(r"[1-9]|[1-5]\d|60", "5 (minutes, 1 to 60)"),
    "sms-modem": Kind(_PORT, "/dev/ttyUSB2, with a line sms-hub"),
    "sms-hub": Kind(r"\+?\d{3,15}", "+911234567890, with a line sms-modem"),
}
"""Each is an option of `serve`."""
TOGETHER: Final = ("sms-modem", "sms-hub")


class Equipment(Struct, frozen=True):
    """What a file says. ``wrong``: a sentence for each line that is left out."""

    lines: tuple[tuple[str, str], ...] = ()
    wrong: tuple[str, ...] = ()


def read(content: bytes) -> Equipment:
    """Every good line of a file, and why the others are none. Pure."""
    if len(content) > FILE_MAX_BYTES:
        return Equipment(wrong=(f"The file has more than {FILE_MAX_BYTES} bytes, and none of it is used.",))
    lines: list[tuple[str, str]] = []
    wrong = []
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        name, _, value = line.strip().partition(" ")
        value = value.strip()
        kind = KINDS.get(name)
        if not name or name.startswith("#"):
            continue
        if kind is None:
            wrong.append(f"Line {number}: a line begins with one of {', '.join(KINDS)}.")
        elif not re.fullmatch(kind.pattern, value, re.ASCII) or _is_no_time(value):
            wrong.append(f"Line {number}: {name} is written like {kind.example}.")
        elif [other for other, _ in lines].count(name) == kind.most:
            wrong.append(f"Line {number}: {name} stands there more than {kind.most} times.")
        else:
            lines.append((name, value))
    names = {name for name, _ in lines}
    if len(names & set(TOGETHER)) == 1:
        wrong.append(f"{' and '.join(TOGETHER)} stand there together, or neither of them.")
        lines = [line for line in lines if line[0] not in TOGETHER]
    return Equipment(tuple(lines), tuple(wrong))


def _is_no_time(value: str) -> bool:
    begin, dash, end = value.partition("-")
    return bool(dash) and begin == end


def check(content: bytes) -> Equipment:
    """A file without a wrong line. Raises BadInput."""
    found = read(content)
    if found.wrong:
        raise BadInput(" ".join(found.wrong), field=FILE_NAME, code="equipment_wrong")
    return found


def environment(found: Equipment) -> str:
    """The unit's environment file. No value has a space, a quote or a backslash: systemd parts them at spaces. Pure."""
    words = [word for name, value in found.lines for word in (f"--{name}", value)]
    return f"UPKENDRA_NODE_OPTIONS={' '.join(words)}\n"


def apply(boot: Path, run: Path) -> Equipment:
    """Write the node's options for this start, and beside a wrong file what is wrong. Raises OSError. Blocking."""
    try:
        with (boot / FILE_NAME).open("rb") as file:
            found = read(file.read(FILE_MAX_BYTES + 1))
    except FileNotFoundError:
        found = Equipment()
    updates.write(run / ENVIRONMENT_FILE, environment(found).encode())
    told = boot / ERROR_FILE
    text = "".join(f"{line}\r\n" for line in found.wrong).encode()
    if not text:
        told.unlink(missing_ok=True)
    elif not told.is_file() or told.read_bytes() != text:
        told.write_bytes(text)
    return found

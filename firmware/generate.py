"""Makes the C header, the Python codec and the tables of PROTOCOL.md from protocol.toml.

``python firmware/generate.py`` writes them; with ``--check`` it only says whether they are true.
"""

import argparse
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HEADER = HERE / "panel/common/protocol.h"
CODEC = HERE.parent / "edge/node/devices/panel_protocol.py"
MANUAL = HERE / "PROTOCOL.md"
SIZES = {"u8": 1, "u16": 2, "u32": 4, "i16": 2}
CONSTANTS = ("version", "baud", "frame_max", "event_repeat_ms", "heartbeat_ms", "heartbeat_missed")
FORMATS = {"u8": "B", "u16": "H", "u32": "I", "i16": "h"}
MARK_BEGIN, MARK_END = "<!-- table: begin, made by generate.py -->", "<!-- table: end -->"

Table = dict[str, Any]


def c_header(table: Table) -> str:
    """Constants and payload offsets for the firmware; multi-byte fields are little-endian."""
    lines = [
        "/* Made by firmware/generate.py from firmware/protocol.toml; do not edit. */",
        "#ifndef UPK_PROTOCOL_H",
        "#define UPK_PROTOCOL_H",
        "",
    ]
    for key in CONSTANTS:
        suffix = "UL" if table[key] > 32767 else "U"
        lines.append(f"#define UPK_{key.upper()} {table[key]}{suffix}")
    for message in table["message"]:
        name = message["name"].upper()
        lines += ["", f"/* {message['doc']} */", f"#define MSG_{name} 0x{message['code']:02X}U"]
        offset, open_ended = 0, False
        for field, kind, _doc in message.get("fields", []):
            lines.append(f"#define {name}_{field.upper()} {offset}U")
            if kind == "bytes":
                open_ended = True
            else:
                offset += SIZES[kind]
        lines.append(f"#define {name}_{'MIN' if open_ended else 'SIZE'} {offset}U")
    return "\n".join([*lines, "", "#endif", ""])


def python_codec(table: Table) -> str:
    """Frozen structs with their codes, and one decode table for each direction."""
    lines = [
        '"""Messages of the panel link. Made by firmware/generate.py from firmware/protocol.toml; do not edit."""',
        "",
        "from typing import ClassVar",
        "",
        "from msgspec import Struct",
        "",
    ]
    lines += [f"{key.upper()} = {table[key]}" for key in CONSTANTS]
    names: dict[str, list[str]] = {"board": [], "node": []}
    for message in table["message"]:
        name = "".join(part.title() for part in message["name"].split("_"))
        names[message["to"]].append(name)
        fields = message.get("fields", [])
        layout = "<" + "".join(FORMATS[kind] for _f, kind, _d in fields if kind != "bytes")
        tail = next((field for field, kind, _d in fields if kind == "bytes"), "")
        lines += [
            "",
            "",
            f"class {name}(Struct, frozen=True):",
            docstring(message["doc"]),
            "",
            f"    CODE: ClassVar[int] = 0x{message['code']:02X}",
            f'    LAYOUT: ClassVar[str] = "{layout}"',
            f'    TAIL: ClassVar[str] = "{tail}"',
        ]
        for field, kind, doc in fields:
            lines += [f"    {field}: {'bytes' if kind == 'bytes' else 'int'}", docstring(f"{doc[0].upper()}{doc[1:]}.")]
    for side, title in (("board", "TO_BOARD"), ("node", "TO_NODE")):
        lines += [*([""] * (2 if side == "board" else 1)), f"{title}: dict[int, type[Struct]] = {{"]
        lines += [f"    {name}.CODE: {name}," for name in names[side]]
        lines.append("}")
    return "\n".join([*lines, ""])


def docstring(text: str) -> str:
    """A docstring of a struct or field, wrapped at the house's line length."""
    wrapped = textwrap.wrap(f'"""{text}"""', 114)
    return "\n".join(f"    {line}" for line in wrapped)


def manual_table(table: Table) -> str:
    """The tables of PROTOCOL.md between their marks."""
    lines = [MARK_BEGIN, ""]
    for side, title in (("board", "Node → board"), ("node", "Board → node")):
        lines += [f"### {title}", "", "| code | message | payload (little-endian) | meaning |", "|---|---|---|---|"]
        for message in table["message"]:
            if message["to"] == side:
                payload = "<br>".join(f"`{f}` {k}: {d}" for f, k, d in message.get("fields", [])) or "–"
                lines.append(f"| 0x{message['code']:02X} | {message['name']} | {payload} | {message['doc']} |")
        lines.append("")
    return "\n".join([*lines, MARK_END])


def outputs() -> dict[Path, str]:
    """What the three files should hold."""
    table = tomllib.loads((HERE / "protocol.toml").read_text())
    manual = MANUAL.read_text()
    before, rest = manual.split(MARK_BEGIN)
    _old, after = rest.split(MARK_END)
    return {HEADER: c_header(table), CODEC: python_codec(table), MANUAL: before + manual_table(table) + after}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is out of date")
    check = parser.parse_args().check
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"out of date: {path.name}; run python firmware/generate.py", file=sys.stderr)
        else:
            path.write_text(outputs()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

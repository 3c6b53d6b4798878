"""Which shared libraries the programs of a tree load, read from their files: no program of it is run. Blocking.

A program names the libraries that it was linked with (System V gABI, dynamic section: DT_NEEDED). What is loaded by
name while a program runs stands in no table; for GObject's bindings the names are text in their ``.typelib``.
"""

import re
import struct
from pathlib import Path
from typing import Final

_LOAD, _DYNAMIC = 1, 2
_NULL, _NEEDED, _STRTAB = 0, 1, 5
_HEADER: Final = struct.Struct("<16xHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_ENTRY: Final = struct.Struct("<qQ")
_LIBRARY: Final = re.compile(rb"lib[A-Za-z0-9_+.-]+\.so[.0-9]*")


def needed(content: bytes) -> frozenset[str]:
    """Names of the libraries that an ELF file of 64 bits is linked with; none for another file. Pure."""
    if content[:6] != b"\x7fELF\x02\x01":
        return frozenset()
    head = _HEADER.unpack_from(content)
    offset, size, count = head[4], head[8], head[9]
    segments = [_SEGMENT.unpack_from(content, offset + number * size) for number in range(count)]
    found, strings = [], 0
    for kind, _, at, _, _, length, _, _ in segments:
        if kind != _DYNAMIC:
            continue
        for tag, value in _ENTRY.iter_unpack(content[at : at + length - length % _ENTRY.size]):
            if tag == _NULL:
                break
            if tag == _NEEDED:
                found.append(value)
            elif tag == _STRTAB:
                strings = value
    for kind, _, at, address, _, length, _, _ in segments:
        if kind == _LOAD and address <= strings < address + length:
            begin = at + strings - address
            return frozenset(content[begin + name : content.index(b"\0", begin + name)].decode() for name in found)
    return frozenset()


def named(content: bytes) -> frozenset[str]:
    """Names of libraries that stand as text in a file. Pure."""
    return frozenset(name.decode() for name in _LIBRARY.findall(content))


def of_tree(root: Path) -> dict[Path, frozenset[str]]:
    """Each file that loads libraries, and their names."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix == ".typelib":
            found[path] = named(path.read_bytes())
            continue
        with path.open("rb") as file:
            is_program = file.read(4) == b"\x7fELF"
        if is_program and path.suffix != ".ko":
            found[path] = needed(path.read_bytes())
    return found

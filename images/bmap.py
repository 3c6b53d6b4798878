"""Block maps: which parts of an image hold data, and the SHA-256 of each part.

The format is that of Intel's bmap-tools, version 2.0 (an XML file), so that their tool can write our images too.
Pure but for :func:`of_file`, which asks the file system where a sparse file has data.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from msgspec import Struct

from .errors import ImageRefused

BLOCK_BYTES = 4096
RANGE_MAX_BLOCKS = 2048
"""Our own maps cut longer runs of data, so that what is wrong is found after 8 MiB."""
MAP_MAX_BYTES = 32 * 1024 * 1024
RANGES_MAX = 200_000
_SHA = re.compile(r"^[0-9a-f]{64}$")
_RANGE = re.compile(r"^\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*$")


class Range(Struct, frozen=True):
    """Blocks ``first`` to ``last``, both included."""

    first: int
    last: int
    sha256: str


class BlockMap(Struct, frozen=True):
    """What is to be written of an image of ``image_bytes`` bytes."""

    image_bytes: int
    block_bytes: int
    ranges: tuple[Range, ...]

    def span(self, part: Range) -> tuple[int, int]:
        """(offset, length) of a range in bytes; the image's last block may be short."""
        start = part.first * self.block_bytes
        return start, min((part.last + 1) * self.block_bytes, self.image_bytes) - start

    @property
    def mapped_bytes(self) -> int:
        """Bytes that are written."""
        return sum(self.span(part)[1] for part in self.ranges)


class _Reader:
    """Collects the elements that we need. Entities and document types are refused before they can grow."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.ranges: list[tuple[str, str]] = []
        self.version = ""
        self._open: list[str] = []
        self._sha = ""
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        self._text = ""
        if name == "bmap":
            self.version = attributes.get("version", "")
        if name == "Range":
            if len(self.ranges) >= RANGES_MAX:
                raise ImageRefused("The block map has too many ranges.", code="bmap_wrong")
            self._sha = attributes.get("chksum", "")

    def end(self, name: str) -> None:
        self._open.pop()
        if name == "Range":
            self.ranges.append((self._text, self._sha))
        else:
            self.texts[name] = self._text.strip()
        self._text = ""

    def data(self, text: str) -> None:
        self._text += text

    def refuse(self, *_: object) -> None:
        raise ImageRefused("The block map holds a document type, which none of ours does.", code="bmap_wrong")


def parse(content: bytes) -> BlockMap:
    """Read a ``.bmap`` file of version 2.0 with SHA-256. Raises ImageRefused."""
    if len(content) > MAP_MAX_BYTES:
        raise ImageRefused("The block map is too large.", code="bmap_wrong")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError:
        raise ImageRefused("The block map is no well-formed XML. Download it again.", code="bmap_wrong") from None
    return _checked(reader)


def _checked(reader: _Reader) -> BlockMap:
    if not reader.version.startswith("2.") or reader.texts.get("ChecksumType") != "sha256":
        raise ImageRefused("The block map is not of version 2 with SHA-256.", code="bmap_wrong")
    image_bytes, block_bytes = _number(reader, "ImageSize"), _number(reader, "BlockSize")
    if not 512 <= block_bytes <= 1 << 20 or not 0 < image_bytes <= 1 << 44:
        raise ImageRefused("The block map names an impossible size.", code="bmap_wrong")
    ranges, behind = [], -1
    for text, sha in reader.ranges:
        found = _RANGE.match(text)
        if found is None or not _SHA.match(sha):
            raise ImageRefused("A range of the block map cannot be read.", code="bmap_wrong")
        first = int(found[1])
        last = int(found[2] or found[1])
        if not behind < first <= last or first * block_bytes >= image_bytes or last * block_bytes >= image_bytes:
            raise ImageRefused("The ranges of the block map overlap or pass the image's end.", code="bmap_wrong")
        ranges.append(Range(first, last, sha))
        behind = last
    if not ranges:
        raise ImageRefused("The block map is empty.", code="bmap_wrong")
    return BlockMap(image_bytes, block_bytes, tuple(ranges))


def _number(reader: _Reader, name: str) -> int:
    text = reader.texts.get(name, "")
    if not re.fullmatch(r"\d{1,15}", text):
        raise ImageRefused(f"The block map says no {name}.", code="bmap_wrong")
    return int(text)


def encode(block_map: BlockMap) -> bytes:
    """The ``.bmap`` file. The same map gives the same bytes."""
    blocks = -(-block_map.image_bytes // block_map.block_bytes)
    mapped = sum(part.last - part.first + 1 for part in block_map.ranges)
    lines = [
        '<?xml version="1.0" ?>',
        '<bmap version="2.0">',
        f"  <ImageSize>{block_map.image_bytes}</ImageSize>",
        f"  <BlockSize>{block_map.block_bytes}</BlockSize>",
        f"  <BlocksCount>{blocks}</BlocksCount>",
        f"  <MappedBlocksCount>{mapped}</MappedBlocksCount>",
        "  <ChecksumType>sha256</ChecksumType>",
    ]
    body = [
        f'    <Range chksum="{part.sha256}">'
        + (f"{part.first}" if part.first == part.last else f"{part.first}-{part.last}")
        + "</Range>"
        for part in block_map.ranges
    ]
    # The file's own sum, which bmaptool checks, is taken over the file with zeros in its place.
    own = "0" * 64
    text = "\n".join([*lines, f"  <BmapFileChecksum>{own}</BmapFileChecksum>", "  <BlockMap>", *body])
    content = f"{text}\n  </BlockMap>\n</bmap>\n"
    return content.replace(own, hashlib.sha256(content.encode()).hexdigest(), 1).encode()


def of_file(path: Path) -> BlockMap:
    """The map of a sparse image file: what the file system holds of it, zero blocks inside included."""
    ranges = []
    with path.open("rb") as image:
        size = os.fstat(image.fileno()).st_size
        for first, last in _runs(image.fileno(), size):
            image.seek(first * BLOCK_BYTES)
            data = image.read((last - first + 1) * BLOCK_BYTES)
            ranges.append(Range(first, last, hashlib.sha256(data).hexdigest()))
    return BlockMap(size, BLOCK_BYTES, tuple(ranges))


def _runs(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """First and last block of each run of data, cut to RANGE_MAX_BLOCKS."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole up to the end
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        first = max(start, at) // BLOCK_BYTES
        last = (end - 1) // BLOCK_BYTES
        while first <= last:
            upto = min(first + RANGE_MAX_BLOCKS - 1, last)
            yield first, upto
            first = upto + 1
        at = (last + 1) * BLOCK_BYTES

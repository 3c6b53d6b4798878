"""Block maps: ours are read back, those of others too, hostile ones are refused, and bmaptool takes ours."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images import bmap
from images.errors import ImageRefused

from .kit import IMAGE_BYTES, make_image

SHA = hashlib.sha256(b"").hexdigest()


@st.composite
def maps(draw: st.DrawFn) -> bmap.BlockMap:
    cuts = sorted(draw(st.sets(st.integers(0, 5000), min_size=2, max_size=40)))
    ranges = [bmap.Range(a, b - 1, SHA) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    last = ranges[-1].last
    size = draw(st.integers(last * 4096 + 1, last * 4096 + 40_000_000))
    return bmap.BlockMap(size, 4096, tuple(ranges))


@given(maps())
def test_a_map_is_read_as_it_was_written(block_map: bmap.BlockMap) -> None:
    assert bmap.parse(bmap.encode(block_map)) == block_map


@given(st.binary(max_size=400))
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused):
        bmap.parse(content)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"<ImageSize>\d+", "<ImageSize>0"),
        (r"<ImageSize>\d+", "<ImageSize>99999999999999999"),
        (r"<BlockSize>\d+", "<BlockSize>1"),
        (r">0-4<", ">4-0<"),
        (r">0-4<", ">0-400<"),
        (r">0-4<", ">0-9999999<"),
        (r">0-4<", ">-1<"),
        (r"sha256<", "sha1<"),
        (r'version="2.0"', 'version="3.0"'),
        (r'chksum="\w+"', 'chksum="xx"'),
        (r"<bmap ", '<!DOCTYPE b [<!ENTITY a "aaaa">]><bmap '),
        (r"(?s)<Range.*</Range>", ""),
    ],
)
def test_a_map_that_would_do_harm_is_refused(old: str, new: str) -> None:
    good = bmap.encode(bmap.BlockMap(40 * 4096, 4096, (bmap.Range(0, 4, SHA), bmap.Range(9, 9, SHA)))).decode()
    changed = re.sub(old, new, good, count=1)
    assert changed != good
    with pytest.raises(ImageRefused) as caught:
        bmap.parse(changed.encode())
    assert caught.value.refusal.code == "bmap_wrong"


def test_the_map_of_a_sparse_file_names_all_its_data_and_leaves_holes_out(tmp_path: Path) -> None:
    image = tmp_path / "raw.img"
    make_image(image)
    found = bmap.of_file(image)
    assert found.image_bytes == IMAGE_BYTES
    assert found.mapped_bytes < IMAGE_BYTES / 2
    content = image.read_bytes()
    rest = bytearray(content)
    for part in found.ranges:
        start, length = found.span(part)
        assert hashlib.sha256(content[start : start + length]).hexdigest() == part.sha256
        rest[start : start + length] = bytes(length)
    assert not any(rest), "what the map leaves out is zeros"


def test_bmaptool_writes_our_image_by_our_map(tmp_path: Path) -> None:
    tool = shutil.which("bmaptool")
    assert tool, "bmap-tools is not installed"
    image, out = tmp_path / "raw.img", tmp_path / "copy.img"
    make_image(image)
    (tmp_path / "raw.bmap").write_bytes(bmap.encode(bmap.of_file(image)))
    done = subprocess.run(
        [tool, "copy", "--bmap", tmp_path / "raw.bmap", image, out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == image.read_bytes()

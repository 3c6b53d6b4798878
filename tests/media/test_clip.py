"""Clips within a byte budget, whatever was recorded; and recordings that are none."""

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import av
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.media import clip
from edge.media.clip_process import Made, Order, Refused
from edge.model import media
from edge.model.media import MediaType, Purpose
from edge.model.media_probe import probe
from tests.kits import media as made_up
from tests.kits.recordings import recording

ROOT = Path(__file__).parents[2]


def run(content: bytes, budget_bytes: int = clip.BUDGET_BYTES) -> tuple[Made | Refused, bytes, bytes, int]:
    """What the process says of a recording, the preview, the clip, and its exit status."""
    order = msgspec.json.encode(Order(len(content), budget_bytes)) + b"\n" + content
    command = [sys.executable, "-m", "edge.media.clip_process"]
    done = subprocess.run(command, input=order, capture_output=True, cwd=ROOT, timeout=200, check=False)
    head, _, rest = done.stdout.partition(b"\n")
    said = msgspec.json.decode(head, type=Made | Refused)
    small = said.preview_bytes if isinstance(said, Made) else 0
    return said, rest[:small], rest[small:], done.returncode


@given(
    st.integers(64, 1_920),
    st.integers(64, 1_920),
    st.floats(0, 65),
    st.booleans(),
    st.integers(60_000, 2_000_000),
)
def test_a_shape_fits_the_recording_and_spends_no_more_than_the_budget(
    width: int, height: int, seconds: float, sound: bool, budget: int
) -> None:
    shape = clip.shape(width, height, seconds, sound=sound, budget_bytes=budget)
    assert 16 <= shape.width <= max(width, 16) and 16 <= shape.height <= max(height, 16)
    assert shape.width % 2 == shape.height % 2 == 0 and shape.fps >= 10
    if shape.video_bps > 8_000:
        assert (shape.video_bps + shape.sound_bps) * max(seconds, 1.0) / 8 <= budget
    less = clip.smaller(shape, 2 * budget, budget)
    assert less is None or less.video_bps < shape.video_bps


@given(st.floats(1, 60), st.floats(1.1, 3))
def test_a_shorter_recording_is_never_less_sharp(seconds: float, more: float) -> None:
    short, long = (clip.shape(640, 480, one, sound=True) for one in (seconds, seconds * more))
    assert short.width >= long.width and short.video_bps >= long.video_bps


@pytest.mark.parametrize(
    ("content", "seconds"), [("still", 2), pytest.param("walk", 3, marks=pytest.mark.long), ("noise", 2)]
)
def test_a_clip_keeps_to_its_budget_whatever_it_shows(content: str, seconds: float) -> None:
    budget = 40_000
    said, preview, small, status = run(recording(content, seconds, 320, 240), budget)
    assert status == 0 and isinstance(said, Made), said
    assert len(small) == said.clip_bytes <= budget and 0 < len(preview) <= media.LIMITS[Purpose.PREVIEW].size_bytes
    facts = probe(lambda at, length: small[at : at + length], len(small))
    assert isinstance(facts, media.Facts) and facts.media_type is MediaType.WEBM_VIDEO
    assert media.check(Purpose.CLIP, facts, len(small)) is None
    assert facts.duration_ms == pytest.approx(seconds * 1_000, abs=300)
    if content == "noise":
        assert len(small) > 0.4 * budget, "what is hard to draw uses what there is"
    with av.open(io.BytesIO(small)) as file:
        pictures = sum(1 for _ in file.decode(video=0))
        assert file.streams.audio and pictures == pytest.approx(seconds * said.fps, abs=3)


def test_what_is_no_recording_is_refused_with_a_reason() -> None:
    good = recording("walk", 2, 160, 120, sound=False)
    bad: dict[str, bytes] = {
        "media_type_unknown": b"MZ" + bytes(2_000),
        "media_purpose": made_up.jpeg(),
        "media_too_long": recording("still", 66, 32, 32, sound=False),
    }
    for code, content in bad.items():
        said, _, _, status = run(content)
        assert isinstance(said, Refused) and said.refusal.code == code and said.refusal.message, code
        assert status == 0
    said, _, _, _ = run(made_up.sound("webm"))
    assert isinstance(said, Refused) and said.refusal.code == "media_purpose", "sound is no clip"
    said, _, _, _ = run(good.replace(b"V_VP8", b"V_AV1"))
    assert isinstance(said, Refused) and said.refusal.code == "clip_codec"
    said, _, small, _ = run(good)
    assert isinstance(said, Made) and small, "and the same without a fault is taken"


def test_broken_recordings_end_in_a_refusal_or_a_clip_never_in_silence() -> None:
    good = recording("walk", 1, 160, 120)
    draw = random.Random(4)
    for number in range(3):
        broken = bytearray(good)
        for _ in range(40):
            broken[draw.randrange(300, len(broken))] = draw.randrange(256)
        said, _, small, status = run(bytes(broken[: draw.randrange(600, len(broken))] if number % 2 else broken))
        assert status == 0
        assert isinstance(said, Refused) or 0 < len(small) <= clip.BUDGET_BYTES


def test_a_picture_that_is_larger_than_it_says_costs_no_memory() -> None:
    """The header says 160x120, the first key frame of VP8 (RFC 6386, section 9.1) 16383x16383."""
    good = bytearray(recording("still", 1, 160, 120, sound=False))
    at = good.index(b"\x9d\x01\x2a") + 3
    good[at : at + 4] = b"\xff\x3f\xff\x3f"
    before = os.times().children_user
    said, _, _, status = run(bytes(good))
    assert isinstance(said, Refused) and status == 0
    assert os.times().children_user - before < 60

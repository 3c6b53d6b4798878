"""What a photo tells about its taking is gone, the picture is the same to the pixel, and it stands the right way up."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge.model.media import Facts, MediaType
from edge.model.media_probe import probe
from edge.model.media_strip import strip
from tests.kits import media as made

PLACE, ORIENTATION, GPS = made.PLACE, made.ORIENTATION, made.GPS
FORMATS = {"JPEG": MediaType.JPEG, "PNG": MediaType.PNG, "WEBP": MediaType.WEBP}


def look(data: bytes) -> Facts:
    facts = probe(made.reader(data), len(data))
    assert isinstance(facts, Facts)
    return facts


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("form", FORMATS)
def test_place_and_names_go_and_the_picture_stays(form: str, turned: int) -> None:
    data = made.tagged(form, turned)
    assert PLACE in data
    clean = strip(FORMATS[form], data)
    assert PLACE not in clean
    before, after = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(clean))
    assert after.tobytes() == before.tobytes()
    tags = after.getexif()
    assert dict(tags) == ({ORIENTATION: 6} if turned == 6 else {})
    assert not tags.get_ifd(GPS)
    if form != "PNG":
        assert after.info["icc_profile"] == b"profile"
    facts = look(clean)
    assert (facts.width_px, facts.height_px) == (160, 120)
    assert strip(FORMATS[form], clean) == clean


def test_what_tells_nothing_stays_as_it_is() -> None:
    for kind, data in {
        MediaType.JPEG: made.jpeg(progressive=True),
        MediaType.PNG: made.png(),
        MediaType.WEBP: made.webp(),
        MediaType.OGG_OPUS: made.sound(),
        MediaType.WEBM_VIDEO: made.clip(0.2),
    }.items():
        assert strip(kind, data) == data


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=40), st.floats(0, 1), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_whatever_passes_as_a_picture_can_be_stripped(form: str, noise: bytes, where: float, cut: int) -> None:
    good = TAGGED[form]
    at = int(where * len(good))
    data = good[:at] + noise + good[at + cut :]
    facts = probe(made.reader(data), len(data))
    if isinstance(facts, Facts):
        clean = strip(facts.media_type, data)
        assert len(clean) <= len(data) + 1
        assert strip(facts.media_type, clean) == clean


TAGGED = {form: made.tagged(form, 6) for form in FORMATS}

"""Sources of picture and sound: what a file that is not as it should be becomes."""

import itertools
import random
import threading
from pathlib import Path

import av
import pytest

from edge.media.capture import SOUND_FRAME_BYTES, FileSource, Thinning


class Kept:
    """A sink that counts, and tells when enough has come."""

    def __init__(self, enough: int) -> None:
        self.sounds: list[bytes] = []
        self.pictures = 0
        self.came = threading.Event()
        self._enough = enough

    def picture(self, i420: bytes, width: int, height: int) -> None:
        self.pictures += 1

    def sound(self, pcm: bytes) -> None:
        self.sounds.append(pcm)
        if len(self.sounds) == self._enough:
            self.came.set()


def test_a_file_whose_sound_has_no_frames_is_silent_at_the_calls_pace(tmp_path: Path) -> None:
    path = tmp_path / "mute.mkv"
    with av.open(str(path), "w") as made:
        picture = made.add_stream("mjpeg", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
        made.add_stream("pcm_s16le", rate=48_000)
        for number in range(5):
            frame = av.VideoFrame(64, 48, "yuvj420p")
            frame.pts = number
            made.mux(picture.encode(frame))
        made.mux(picture.encode())
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 1
        assert not list(container.decode(container.streams.audio[0]))
    source, kept = FileSource(path), Kept(10)
    source.start(kept)
    try:
        assert kept.came.wait(20), "no sound came"
    finally:
        source.stop()
    assert set(kept.sounds) == {bytes(SOUND_FRAME_BYTES)}
    assert not source.failure


@pytest.mark.parametrize("wanted", [4, 8, 10, 12, 14, 20, 24])
def test_a_source_of_thirty_pictures_gives_as_many_as_are_wanted(wanted: int) -> None:
    draw = random.Random(wanted)
    steady, late, encoder = Thinning(), Thinning(), Thinning(0.6)
    moments = [number / 30 for number in range(1, 60 * 30 + 1)]
    taken = [at_s for at_s in moments if steady.takes(at_s, wanted)]
    assert len(taken) == pytest.approx(60 * wanted, abs=2)
    spaces = [b - a for a, b in itertools.pairwise(taken)]
    assert max(spaces) < 1 / wanted + 1 / 30 + 1e-9
    waking = [at_s + draw.uniform(0, 0.015) for at_s in taken]
    assert sum(encoder.takes(at_s, wanted) for at_s in waking) == pytest.approx(len(taken), abs=len(taken) * 0.03)
    jittered = [at_s + draw.uniform(0, 0.015) for at_s in moments]
    assert sum(late.takes(at_s, wanted) for at_s in jittered) == pytest.approx(60 * wanted, abs=60 * wanted * 0.04)


def test_a_slow_source_gives_all_that_it_has_and_none_is_taken_when_none_is_wanted() -> None:
    thinning = Thinning()
    assert all(thinning.takes(number / 10, 24) for number in range(100))
    assert not any(thinning.takes(10 + number / 10, 0) for number in range(10))
    assert sum(thinning.takes(60 + number / 30, 4) for number in range(30)) <= 5  # what a pause left out is not made up

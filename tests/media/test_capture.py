"""Sources of picture and sound: what a file that is not as it should be becomes."""

import threading
from pathlib import Path

import av

from edge.media.capture import SOUND_FRAME_BYTES, FileSource


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

"""Where a call's picture and sound come from: a test picture, a file, a camera, or a tablet.

A source runs threads of its own and hands raw pictures (I420) and sound (48 kHz mono, 20 ms) to a
:class:`Sink`. It may not know the call, the network or the encoder. GStreamer and PyAV are
imported by the sources that need them, when they are opened.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge.media.testcard import Card, speech_pcm
from edge.model.errors import BadInput

SOUND_RATE_HZ = 48_000
SOUND_FRAME_SAMPLES = 960
SOUND_FRAME_BYTES = 2 * SOUND_FRAME_SAMPLES
SOUND_FRAME_S = SOUND_FRAME_SAMPLES / SOUND_RATE_HZ
MAX_WIDTH = 640
MAX_HEIGHT = 480
MAX_FPS = 24.0
SHARP_WAIT_S = 8.0
_SHARP_WIDTH, _SHARP_HEIGHT = 1_600, 1_200
SHARP_SETTLE = 6
"""Pictures that a camera takes to find its light after it was opened."""
_LARGEST_PX = 4_096

_LOG = logging.getLogger(__name__)
_SILENCE = bytes(SOUND_FRAME_BYTES)


class Sink(Protocol):
    """Takes what a source makes. Both methods are called from the source's threads and return at once."""

    def picture(self, i420: bytes, width: int, height: int) -> None:
        """One picture: planes Y, U, V without padding; ``width`` and ``height`` in pixels, both even."""

    def sound(self, pcm: bytes) -> None:
        """20 ms of sound: 960 signed 16-bit little-endian samples at 48 kHz, mono."""


class Source:
    """A source of picture and sound. Subclasses run :meth:`run_picture` and :meth:`run_sound` until stopped."""

    def __init__(self) -> None:
        self.fps = MAX_FPS
        """Pictures a second that are wanted; may change at any time; 0 for none."""
        self.failure = ""
        """What went wrong, when a source had to give up its picture or sound; never a path or a name."""
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, sink: Sink) -> None:
        """Begin to hand out pictures and sound."""
        for name, body in (("picture", self.run_picture), ("sound", self.run_sound)):
            thread = threading.Thread(target=self._guard, args=(body, sink), name=f"capture-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop and give back the devices. Blocks for a moment."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(1.0)

    def run_picture(self, sink: Sink) -> None:
        """Hand out pictures until :attr:`stopping`."""

    def run_sound(self, sink: Sink) -> None:
        """Hand out sound until :attr:`stopping`; silence keeps the clock of the call running."""
        beat = Beat(self._stopping)
        while beat.wait(SOUND_FRAME_S):
            sink.sound(_SILENCE)

    def sharp(self) -> tuple[bytes, int, int] | None:
        """One picture as large as the source gives it (I420, width, height); None: the latest one is as sharp as any.

        Called from another thread; blocks for a second or two. The moving picture may stand still meanwhile, the
        sound may not.
        """
        return None

    @property
    def stopping(self) -> bool:
        """True once :meth:`stop` was called."""
        return self._stopping.is_set()

    def _guard(self, body: object, sink: Sink) -> None:
        assert callable(body)
        try:
            body(sink)
        except Exception as error:
            self.failure = f"{threading.current_thread().name}: {type(error).__name__}"
            _LOG.exception("a source gave up")
            if body == self.run_sound:
                Source.run_sound(self, sink)


class Thinning:
    """Chooses which pictures of a source to take for a lower rate: evenly, and on the mean as many as are wanted.

    A source of 30 pictures a second so gives 12 where 12 are asked for, not the 10 that every third one would be.
    """

    def __init__(self, slack: float = 0.1) -> None:
        """``slack``: how much of an interval a picture may come before it is due."""
        self._due_s = float("-inf")
        self._slack = slack

    def takes(self, at_s: float, fps: float) -> bool:
        """Whether to take the picture of that moment, any steady clock's; ``fps`` 0: none."""
        if fps <= 0 or at_s < self._due_s - self._slack / fps:
            return False
        self._due_s = max(self._due_s, at_s - 0.9 / fps) + 1 / fps
        return True


class Beat:
    """Wakes at a steady pace without drift; skips beats when it is far behind."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._next_s = time.monotonic()

    def wait(self, interval_s: float) -> bool:
        """Sleep until the next beat; False when the source is to stop."""
        self._next_s += interval_s
        now_s = time.monotonic()
        if self._next_s < now_s - 0.5:
            self._next_s = now_s
        return not self._stopping.wait(max(self._next_s - now_s, 0.0))


class _Wanted:
    """A picture that another thread waits for."""

    def __init__(self) -> None:
        self._ask = threading.Event()
        self._came = threading.Event()
        self._picture: tuple[bytes, int, int] | None = None

    @property
    def asked(self) -> bool:
        return self._ask.is_set()

    def wait(self, most_s: float) -> tuple[bytes, int, int] | None:
        """Ask for one; None when none came."""
        self._picture = None
        self._came.clear()
        self._ask.set()
        self._came.wait(most_s)
        self._ask.clear()
        return self._picture

    def give(self, picture: tuple[bytes, int, int] | None) -> None:
        self._picture = picture
        self._ask.clear()
        self._came.set()


class TestSource(Source):
    """The test card with its burnt-in clock, and synthetic speech."""

    def sharp(self) -> tuple[bytes, int, int]:
        return Card(_SHARP_WIDTH, _SHARP_HEIGHT).draw(time.time_ns() // 1_000_000), _SHARP_WIDTH, _SHARP_HEIGHT

    def run_picture(self, sink: Sink) -> None:
        card = Card(MAX_WIDTH, MAX_HEIGHT)
        beat = Beat(self._stopping)
        while beat.wait(1 / max(self.fps, 2.0)):
            if self.fps > 0:
                sink.picture(card.draw(time.time_ns() // 1_000_000), MAX_WIDTH, MAX_HEIGHT)

    def run_sound(self, sink: Sink) -> None:
        speech = speech_pcm()
        beat = Beat(self._stopping)
        position = 0
        while beat.wait(SOUND_FRAME_S):
            sink.sound(speech[position : position + SOUND_FRAME_BYTES])
            position = (position + SOUND_FRAME_BYTES) % len(speech)


class FileSource(Source):
    """Any file that FFmpeg reads, played in a loop at its own pace."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        import av

        try:
            with av.open(str(path)) as container:
                self._has_picture = bool(container.streams.video)
                self._has_sound = bool(container.streams.audio)
        except (OSError, av.FFmpegError) as error:
            raise BadInput(f"the file cannot be played: {type(error).__name__}", field="camera") from error
        if not (self._has_picture or self._has_sound):
            raise BadInput("the file holds neither picture nor sound", field="camera")
        self._path = path
        self._wanted = _Wanted()

    def sharp(self) -> tuple[bytes, int, int] | None:
        return self._wanted.wait(SHARP_WAIT_S) if self._has_picture else None

    def run_picture(self, sink: Sink) -> None:
        import av

        thinning = Thinning()
        while self._has_picture and not self.stopping:
            with av.open(str(self._path)) as container:
                stream = container.streams.video[0]
                stream.thread_type = "NONE"
                start_s = time.monotonic()
                first_s: float | None = None
                for frame in container.decode(stream):
                    first_s = frame.time if first_s is None else first_s
                    at_s = start_s + (frame.time or 0.0) - (first_s or 0.0)
                    if self._stopping.wait(max(at_s - time.monotonic(), 0.0)):
                        return
                    if self._wanted.asked:
                        self._wanted.give(fitted_i420(frame, frame.width, frame.height))
                    if thinning.takes(at_s, self.fps):
                        sink.picture(*fitted_i420(frame))
                self._stopping.wait(0.04)

    def run_sound(self, sink: Sink) -> None:
        if not self._has_sound:
            super().run_sound(sink)
            return
        import av

        beat = Beat(self._stopping)
        heard = True
        while heard and not self.stopping:
            heard = False
            with av.open(str(self._path)) as container:
                resampler = av.AudioResampler("s16", "mono", SOUND_RATE_HZ, SOUND_FRAME_SAMPLES)
                for frame in container.decode(container.streams.audio[0]):
                    for piece in resampler.resample(frame):
                        heard = True
                        if not beat.wait(SOUND_FRAME_S):
                            return
                        sink.sound(bytes(piece.planes[0])[:SOUND_FRAME_BYTES].ljust(SOUND_FRAME_BYTES, b"\0"))
        super().run_sound(sink)  # a stream without a single frame: silence keeps the pace


class CameraSource(Source):
    """A V4L2 camera, and the machine's default microphone where there is one."""

    def __init__(self, device: str) -> None:
        super().__init__()
        if not Path(device).exists():
            raise BadInput("there is no such camera", field="camera")
        self._device = device
        self._wanted = _Wanted()

    def sharp(self) -> tuple[bytes, int, int] | None:
        return self._wanted.wait(SHARP_WAIT_S)

    def run_picture(self, sink: Sink) -> None:
        """Pictures of the call's size; for a sharp one the camera is opened anew, which only one can do at a time."""
        while not self.stopping:
            pull_until = lambda: self.stopping or self._wanted.asked  # noqa: E731
            self._pull(self._described(MAX_WIDTH, MAX_HEIGHT, f",framerate=[1/1,{MAX_FPS:.0f}/1]"), sink, pull_until)
            if self._wanted.asked:
                self._wanted.give(self._one_sharp())

    def _one_sharp(self) -> tuple[bytes, int, int] | None:
        from edge.media.pipeline import PipelineFailed, pull_one_picture

        try:
            return pull_one_picture(self._described(_LARGEST_PX, _LARGEST_PX, ""), SHARP_SETTLE, SHARP_WAIT_S / 2)
        except PipelineFailed as error:
            _LOG.warning("the camera gave no sharp picture: %s", error)
            return None

    def _described(self, width: int, height: int, rate: str) -> str:
        return (
            f"v4l2src device={self._device} ! decodebin ! videoconvert ! videoscale ! videorate drop-only=true ! "
            f"video/x-raw,format=I420,width=[160,{width}],height=[120,{height}]{rate}"
            " ! appsink name=out max-buffers=2 drop=true sync=false"
        )

    def run_sound(self, sink: Sink) -> None:
        self._pull(
            f"alsasrc ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate={SOUND_RATE_HZ},channels=1 ! "
            f"audiobuffersplit output-buffer-duration=1/50 ! appsink name=out max-buffers=5 drop=true sync=false",
            sink,
            lambda: self.stopping,
        )

    def _pull(self, description: str, sink: Sink, stopping: Callable[[], bool]) -> None:
        from edge.media.pipeline import pull_pictures_and_sound

        pull_pictures_and_sound(description, sink, stopping, lambda: self.fps)


class TabletSource(Source):
    """Hands on what the LAN leg receives from the tablet; silence while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._sink: Sink | None = None
        self._heard_s = 0.0
        self._thinning = Thinning()

    def run_picture(self, sink: Sink) -> None:
        self._sink = sink

    def run_sound(self, sink: Sink) -> None:
        beat = Beat(self._stopping)
        while beat.wait(SOUND_FRAME_S):
            if time.monotonic() - self._heard_s > 0.2:
                sink.sound(_SILENCE)

    def wants_picture(self) -> bool:
        """Whether the next picture would be used; asked before a frame is converted."""
        now_s = time.monotonic()
        return self._sink is not None and self._thinning.takes(now_s, self.fps)

    def picture(self, i420: bytes, width: int, height: int) -> None:
        """A picture from the tablet."""
        if self._sink is not None:
            self._sink.picture(i420, width, height)

    def sound(self, pcm: bytes) -> None:
        """20 ms of sound from the tablet."""
        self._heard_s = time.monotonic()
        if self._sink is not None:
            self._sink.sound(pcm)


def open_source(camera: str) -> Source:
    """The source behind ``test``, ``file:PATH``, ``v4l2:/dev/videoN`` or ``tablet``.

    Raises BadInput when the name is none of these or cannot be opened.
    """
    kind, _, rest = camera.partition(":")
    match kind:
        case "test" if not rest:
            return TestSource()
        case "tablet" if not rest:
            return TabletSource()
        case "file" if rest:
            return FileSource(Path(rest))
        case "v4l2" if re.fullmatch(r"/dev/video\d{1,3}", rest):
            return CameraSource(rest)
    raise BadInput("camera is none of test, file:PATH, v4l2:/dev/videoN, tablet", field="camera")


def fitted_i420(frame: object, most_width: int = MAX_WIDTH, most_height: int = MAX_HEIGHT) -> tuple[bytes, int, int]:
    """An ``av.VideoFrame`` as I420 bytes within 640×480 or what is said, aspect kept, never enlarged."""
    import av

    assert isinstance(frame, av.VideoFrame)
    scale = min(1.0, most_width / frame.width, most_height / frame.height)
    width = max(8, int(frame.width * scale) // 8 * 8)  # GStreamer pads rows of other widths
    height = max(2, int(frame.height * scale) // 2 * 2)
    fitted = frame.reformat(width, height, "yuv420p")
    planes = []
    for plane, (columns, rows) in zip(
        fitted.planes, ((width, height), (width // 2, height // 2), (width // 2, height // 2)), strict=True
    ):
        data = bytes(plane)
        stride = plane.line_size
        if stride == columns:
            planes.append(data[: columns * rows])
        else:
            planes.append(b"".join(data[row * stride : row * stride + columns] for row in range(rows)))
    return b"".join(planes), width, height

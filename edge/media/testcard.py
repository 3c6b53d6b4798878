"""The picture and the sound of camera ``test``: moving, talking, and telling the time to a script.

The top row of the picture holds 20 black or white blocks: white, black, then 16 bits of the Unix
time in milliseconds (modulo 65,536, Gray code, highest bit first), then even parity, then white.
A script that reads them from the receiver's canvas knows the delay from glass to glass. Pure but
for the speech, which espeak-ng renders where it is installed.
"""

import math
import shutil
import struct
import subprocess
import wave
from io import BytesIO

BLOCKS = 20
CLOCK_BITS = 16
CLOCK_MODULUS_MS = 1 << CLOCK_BITS
SPEECH_TEXT_HI = "नमस्ते। यह एक परीक्षण है। कृपया बताइए, आपको कब से बुखार और खाँसी है? धन्यवाद।"
_RATE_HZ = 48_000
_GLYPHS = {
    "0": "7555557", "1": "2622227", "2": "7117447", "3": "7117117", "4": "5557111", "5": "7447117",
    "6": "7447557", "7": "7111222", "8": "7557557", "9": "7557117", ":": "0220220", ".": "0000022",
}  # fmt: skip
"""3×7 pixels, one octal digit a row, highest bit on the left."""


def clock_bits(unix_ms: int) -> list[int]:
    """The 20 blocks of the burnt-in clock, 1 for white."""
    value = unix_ms % CLOCK_MODULUS_MS
    gray = value ^ (value >> 1)
    data = [gray >> shift & 1 for shift in range(CLOCK_BITS - 1, -1, -1)]
    return [1, 0, *data, sum(data) & 1, 1]


def read_clock(blocks: list[int]) -> int | None:
    """Unix milliseconds modulo 65,536 from the 20 blocks; None when they are no clock."""
    if len(blocks) != BLOCKS or blocks[0] != 1 or blocks[1] != 0 or blocks[-1] != 1:
        return None
    data = blocks[2:18]
    if sum(data) & 1 != blocks[18]:
        return None
    value = bit = 0
    for block in data:
        bit ^= block
        value = value << 1 | bit
    return value


class Card:
    """Draws pictures of a fixed size: a drifting pattern, a moving ball, the time as blocks and as digits."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        wave_of = [128 + int(40 * math.sin(x / 37) + 30 * math.sin(x / 91)) for x in range(2 * width)]
        self._row = bytes(wave_of)
        self._chroma = b"".join(
            bytes([value]) * (width // 2)
            for plane in (0, 1)
            for row in range(height // 2)
            for value in [128 + int(24 * math.sin(row / 40 + plane * 2))]
        )
        self._radius = height // 8

    def draw(self, unix_ms: int) -> bytes:
        """The picture of this moment: I420, ``width`` × ``height``."""
        width, height, row = self._width, self._height, self._row
        drift = unix_ms // 50
        luma = bytearray().join(row[o : o + width] for o in [(drift + y) % width for y in range(height)])
        self._ball(luma, unix_ms)
        self._blocks(luma, unix_ms)
        self._digits(luma, unix_ms)
        return bytes(luma) + self._chroma

    def _ball(self, luma: bytearray, unix_ms: int) -> None:
        width, height, radius = self._width, self._height, self._radius
        turn = unix_ms % 4000 / 4000 * 2 * math.pi
        centre_x = int(width / 2 + (width / 2 - radius - 4) * math.cos(turn))
        centre_y = int(height * 0.45 + height * 0.2 * math.sin(2 * turn))
        for dy in range(-radius, radius + 1):
            half = int(math.sqrt(radius * radius - dy * dy))
            start = (centre_y + dy) * width + centre_x - half
            luma[start : start + 2 * half] = b"\xd2" * (2 * half)

    def _blocks(self, luma: bytearray, unix_ms: int) -> None:
        width = self._width
        side = width // BLOCKS
        line = b"".join((b"\xeb" if bit else b"\x10") * side for bit in clock_bits(unix_ms)).ljust(width, b"\x10")
        luma[: width * side] = line * side

    def _digits(self, luma: bytearray, unix_ms: int) -> None:
        seconds, milliseconds = divmod(unix_ms, 1000)
        text = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"
        width = self._width
        dot = max(width // 80, 1)
        left, top = dot * 8, self._height - dot * 11
        luma[(top - dot) * width : (top + dot * 8) * width] = b"\x10" * (width * dot * 9)
        for place, character in enumerate(text):
            for line, digit in enumerate(_GLYPHS[character]):
                for column in range(3):
                    if not int(digit, 8) >> (2 - column) & 1:
                        continue
                    x = left + (place * 4 + column) * dot
                    for y in range(top + line * dot, top + (line + 1) * dot):
                        luma[y * width + x : y * width + x + dot] = b"\xeb" * dot


def speech_pcm() -> bytes:
    """A few seconds of speech with pauses: 48 kHz mono signed 16 bit, a whole number of 20 ms frames."""
    speech = _espeak() or _babble()
    frame_bytes = _RATE_HZ // 50 * 2
    speech += bytes(_RATE_HZ)  # half a second of silence
    return speech[: len(speech) // frame_bytes * frame_bytes]


def _espeak() -> bytes:
    program = shutil.which("espeak-ng")
    if program is None:
        return b""
    try:
        spoken = subprocess.run(
            [program, "-v", "hi", "-s", "150", "--stdout", SPEECH_TEXT_HI], capture_output=True, timeout=10, check=True
        ).stdout
        with wave.open(BytesIO(spoken)) as sound:
            rate_hz, samples = sound.getframerate(), sound.readframes(10 * sound.getframerate())
    except (OSError, subprocess.SubprocessError, wave.Error, EOFError):
        return b""
    count = len(samples) // 2
    values = struct.unpack(f"<{count}h", samples[: 2 * count])
    length = count * _RATE_HZ // rate_hz
    step = rate_hz / _RATE_HZ
    out = []
    for index in range(length):
        place = index * step
        whole = int(place)
        following = values[min(whole + 1, count - 1)]
        out.append(int(values[whole] + (following - values[whole]) * (place - whole)))
    return struct.pack(f"<{length}h", *out)


def _babble() -> bytes:
    """A voiced sound with syllables and formants, for machines without espeak-ng."""
    out = []
    phase = 0.0
    for index in range(6 * _RATE_HZ):
        at_s = index / _RATE_HZ
        pitch_hz = 120 + 25 * math.sin(2 * math.pi * 0.7 * at_s)
        phase += 2 * math.pi * pitch_hz / _RATE_HZ
        syllable = max(0.0, math.sin(2 * math.pi * 3.2 * at_s)) ** 0.5 * (1.0 if at_s % 2 < 1.5 else 0.0)
        formant = 500 + 300 * math.sin(2 * math.pi * 1.3 * at_s)
        value = sum(math.sin(n * phase) / (1 + abs(n * pitch_hz - formant) / 200) / n**0.5 for n in range(1, 16))
        out.append(int(max(-1.0, min(1.0, value * 0.35)) * syllable * 16_000))
    return struct.pack(f"<{len(out)}h", *out)

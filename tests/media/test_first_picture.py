"""What the encoder makes of the first real picture: it has to cross a thin link before anything can be seen."""

import time
from typing import Any

import numpy as np

from edge.media import wan
from edge.media.ladder import Allocation
from edge.media.pipeline import bytes_of

RINGING_S = 2.0


class Ears:
    """Hears what a leg tells, and keeps nothing of it."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *_: None


class Scale:
    """Stands where the pacer does, and weighs what comes."""

    rate_bps = 1e9

    def __init__(self) -> None:
        self.pictures: list[int] = []
        """Bytes of each whole picture."""
        self._bytes = 0

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def put(self, packet: Any, size_bytes: int) -> None:
        self._bytes += size_bytes
        if bytes_of(packet)[1] & 0x80:  # the marker of a picture's last packet, RFC 7741 §4.1
            self.pictures.append(self._bytes)
            self._bytes = 0

    def backlog_s(self) -> float:
        return 0.0


def face() -> bytes:
    """Something with soft edges and a little grain, as a camera sees it."""
    y, x = np.mgrid[0:480, 0:640]
    light = 110 + 70 * np.exp(-((x - 300) ** 2 + (y - 240) ** 2) / 15_000) + 30 * np.sin(x / 23) * np.sin(y / 31)
    grain = np.kron(np.random.default_rng(1).normal(0, 12, (120, 160)), np.ones((4, 4)))
    luma: bytes = np.clip(light + grain, 16, 235).astype(np.uint8).tobytes()
    return luma + b"\x80" * (640 * 480 // 2)


def test_the_first_real_picture_is_a_small_key_frame() -> None:
    """After a grey picture of its own size and some seconds of ringing it had eleven times the bytes."""
    leg = wan.WanLeg(Ears(), (), Allocation("video", 160, 120, 8, 33_000, 8_000, False, 600, "call-why-link-rate"))
    scale = Scale()
    leg._pacer = scale  # type: ignore[assignment]
    leg.start()
    try:
        _wait_for(lambda: len(scale.pictures) == 1)
        begun_s = time.monotonic()
        _wait_for(lambda: time.monotonic() - begun_s > RINGING_S)  # the encoder saves up bits by its clock
        leg._open = True  # as it is once the connection stands
        leg._key_frame()
        leg.picture(face(), 640, 480)
        _wait_for(lambda: len(scale.pictures) == 2)
    finally:
        leg.close()
    assert scale.pictures[1] < 1_200


def _wait_for(condition: Any, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "the encoder made nothing"
        time.sleep(0.01)

"""Medical devices for tests, as they behave on the line: prompts, acknowledgements, pace, memory, a clock of their own.

Each takes time as an argument; :class:`PtyDevice` puts one behind a pseudo-terminal, where it can be unplugged.
"""

import asyncio
import binascii
import contextlib
import math
import os
import threading
import tty
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from pathlib import Path

from msgspec import Struct

STEP_S = 0.02


class Kept(Struct, frozen=True):
    """A reading in a meter's memory: its values, and the meter's local time of it."""

    at_ms: int
    mgdl: int = 0
    pressure: tuple[int, int, int] = (0, 0, 0)
    control: bool = False


class Device:
    """One device. ``feed`` what the host says, ``step`` in time, ``take`` what it says."""

    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        """``clock_ms``: the device's own local clock at time 0."""
        self.clock_ms = clock_ms
        self.kept = list(kept)
        self.spo2, self.pulse, self.finger, self.searching = 97, 65, True, False
        self.heard = bytearray()
        self._out = bytearray()
        self._count = 0
        self._from_s: float | None = None

    def take(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def feed(self, data: bytes, now: float) -> None:
        self.heard += data

    def step(self, now: float) -> None:
        """Say what is due."""

    def now(self, now: float) -> datetime:
        return datetime.fromtimestamp((self.clock_ms + int(now * 1000)) / 1000, UTC)

    def _due(self, now: float, rate_hz: float) -> int:
        """Frames that are due since the last step; at most two seconds of them."""
        if self._from_s is None:
            self._from_s, self._count = now, 0
        due = int((now - self._from_s) * rate_hz) - self._count
        self._count += due
        return min(due, int(2 * rate_hz) + 1)

    def _wave(self, place: int) -> int:
        return int(50 + 45 * math.sin(place / 8))


class Contec7(Device):
    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        super().__init__(clock_ms, kept)
        self._until_s = -1.0
        self._held = bytearray()

    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        self._held += data
        while len(self._held) >= 9:
            command, self._held = bytes(self._held[:9]), self._held[9:]
            if command[:2] != b"\x7d\x81" or command[3:] != b"\x80" * 6:
                continue
            if command[2] == 0xA1:
                self._until_s = now + 5.5
                self._from_s = now
                self._count = 0
            elif command[2] == 0xAF and now <= self._until_s:
                self._until_s = now + 5.5
            elif command[2] == 0xA2:
                self._until_s = -1.0

    def step(self, now: float) -> None:
        if now > self._until_s:
            return
        for _ in range(self._due(now, 60)):
            self._out += self.frame(self._count)

    def frame(self, place: int) -> bytes:
        pulse, spo2 = (self.pulse, self.spo2) if self.finger and not self.searching else (0xFF, 0x7F)
        first = 5 if self.finger else 0x80
        second = self._wave(place) | (0x80 if self.searching else 0)
        data = bytes((first, second, 0x16, pulse, spo2, 0xFF, 0xFF))
        high = sum((byte >> 7) << place for place, byte in enumerate(data))
        return bytes((1, 0x80 | high)) + bytes(byte | 0x80 for byte in data)


class Contec4(Device):
    def step(self, now: float) -> None:
        for _ in range(self._due(now, 60)):
            self._out += self.frame(self._count)

    def frame(self, place: int) -> bytes:
        pulse, spo2 = (self.pulse, self.spo2) if self.finger and not self.searching else (0, 0)
        first = 0x80 | 5 | (0 if self.finger else 0x10)
        more = (pulse >> 7) << 6 | (0x20 if self.searching else 0) | 6
        return bytes((first, self._wave(place), more, pulse & 0x7F, spo2))


class NoninPackets(Device):
    wide = False

    def step(self, now: float) -> None:
        for _ in range(self._due(now, 3)):
            self._out += self.packet()

    def packet(self) -> bytes:
        pulse, spo2 = (self.pulse, self.spo2) if self.finger and not self.searching else (511, 127)
        data = [0] * 25
        data[0], data[1], data[2], data[3] = pulse >> 7, pulse & 0x7F, spo2, 0x94
        out = b""
        for place, value in enumerate(data):
            status = 0x80 | (place == 0) | (0 if self.finger else 0x48) | (0x10 if self.searching else 0)
            wave = self._wave(place) * 2
            frame = bytes((status, wave, 0, value)) if self.wide else bytes((1, status, wave, value))
            out += frame + bytes((sum(frame) & 0xFF,))
        return out


class NoninWide(NoninPackets):
    wide = True


class NoninFour(Device):
    def step(self, now: float) -> None:
        for _ in range(min(1, self._due(now, 1))):
            pulse, spo2 = (self.pulse, self.spo2) if self.finger and not self.searching else (511, 127)
            status = 0x80 | pulse >> 7 | (0 if self.finger else 0x40) | (0x20 if self.searching else 0)
            self._out += bytes((status, pulse & 0x7F, spo2, 0))


class NoninText(Device):
    def step(self, now: float) -> None:
        for _ in range(min(1, self._due(now, 1))):
            valued = self.finger and not self.searching
            self._out += (b"SPO2=%03d HR=%03d\r\n" % (self.spo2, self.pulse)) if valued else b"SPO2=--- HR=---\r\n"


class NoninSpot(Device):
    """Says its reading when the finger goes in, and again until it is acknowledged."""

    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        super().__init__(clock_ms, kept)
        self._said_s = -10.0
        self.acknowledged = False

    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        if b"\x06" in data:
            self.acknowledged = True
        elif b"\x15" in data:
            self._said_s = -10.0

    def step(self, now: float) -> None:
        if self.acknowledged or now - self._said_s < 2 or not self.finger:
            return
        self._said_s = now
        at = self.now(now)
        data = bytes((at.year // 100, at.year % 100, at.month, at.day, at.hour, at.minute, at.second, 0))
        status = 0x0100 if self.searching else 0x0200
        data += status.to_bytes(2, "big") + self.pulse.to_bytes(2, "big") + bytes((0, self.spo2))
        self._out += b"\x00\x02\x00\x0d\x00\x0e" + data + bytes((sum(data) & 0xFF, 3))


class Ultra(Device):
    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        super().__init__(clock_ms, kept)
        self._line = b""

    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        self._line += data
        while b"\r" in self._line:
            command, self._line = self._line.split(b"\r", 1)
            command = command.lstrip(b"\x11")
            if command == b"DMF":
                self._say(f'F "{self._stamp(self.now(now))}"')
            elif command == b"DM@":
                self._say('@ "TKF8EA0RT"')
            elif command == b"DMP":
                self._say(f'P {len(self.kept):03d},"TKF8EA0RT","MG/DL "')
                for kept in sorted(self.kept, key=lambda one: -one.at_ms):
                    at = datetime.fromtimestamp(kept.at_ms / 1000, UTC)
                    first = "C" if kept.control else " "
                    self._say(f'P "{self._stamp(at)}","{first} {kept.mgdl:03d} ", 00')

    @staticmethod
    def _stamp(at: datetime) -> str:
        return f'{at:%a}","{at:%m/%d/%y}","{at:%H:%M:%S}   '.upper()

    def _say(self, text: str) -> None:
        self._out += f"{text} {sum(text.encode()) & 0xFFFF:04X}\r\n".encode()


class UltraEasy(Device):
    """Keeps its own counters, acknowledges every frame, and says an answer again that was not acknowledged."""

    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        super().__init__(clock_ms, kept)
        self._held = bytearray()
        self._sent, self._expect = 0, 0

    @staticmethod
    def frame(link: int, message: bytes = b"") -> bytes:
        body = bytes((2, 6 + len(message), link)) + message + b"\x03"
        return body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")

    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        self._held += data
        while len(self._held) >= 6:
            size = self._held[1]
            if self._held[0] != 2 or size < 6:
                del self._held[0]
                continue
            if len(self._held) < size:
                return
            frame = bytes(self._held[:size])
            del self._held[:size]
            if self.frame(frame[2], frame[3:-3]) == frame:
                self._hear(frame[2], frame[3:-3], now)

    def _hear(self, link: int, message: bytes, now: float) -> None:
        if link & 8:
            self._sent = self._expect = 0
            self._out += self.frame(0x0C)
            return
        if link & 4 or not message:
            return
        if link & 1 != self._expect:
            return
        self._expect ^= 1
        self._out += self.frame(self._sent | self._expect << 1 | 4)
        if message[:3] == b"\x05\x20\x02":
            answer = int(self.now(now).timestamp()).to_bytes(4, "little")
        elif message[:2] == b"\x05\x1f":
            index = int.from_bytes(message[2:4], "little")
            if index == 501:
                answer = len(self.kept).to_bytes(2, "little")
            else:
                kept = sorted(self.kept, key=lambda one: -one.at_ms)[index]
                answer = (kept.at_ms // 1000).to_bytes(4, "little") + kept.mgdl.to_bytes(4, "little")
        else:
            return
        self._out += self.frame(self._sent | self._expect << 1, b"\x05\x06" + answer)
        self._sent ^= 1


class CodeFree(Device):
    """Speaks when it is switched on; one fetch too many and it is off."""

    on_at_s = 1.0

    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        super().__init__(clock_ms, kept)
        self._greeted = False
        self.fetched = 0

    @staticmethod
    def frame(message: bytes) -> bytes:
        return bytes((0x53, 0x20, len(message) + 2)) + message + bytes((reduce(xor, message), 0xAA))

    def step(self, now: float) -> None:
        if not self._greeted and now >= self.on_at_s:
            self._greeted = True
            self._out += b"\x00" + self.frame(b"\x10\x30")

    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        if data == bytes.fromhex("531004104050aa"):
            self._out += self.frame(b"\x30" + len(self.kept).to_bytes(2, "big") + b"\xaa" * 19)
        elif data == bytes.fromhex("531004106070aa") and self.fetched < len(self.kept):
            kept = self.kept[self.fetched]
            self.fetched += 1
            at = datetime.fromtimestamp(kept.at_ms / 1000, UTC)
            when = bytes((at.year % 100, at.month, at.day, at.hour, at.minute))
            self._out += self.frame(b"\x01\x02" + when + kept.mgdl.to_bytes(2, "big") + b"\x10" + bytes(8))


class Contour(Device):
    """Sends ENQ until somebody answers, then frame by frame; one that is refused comes again, at most six times."""

    def __init__(self, clock_ms: int = 0, kept: Sequence[Kept] = ()) -> None:
        super().__init__(clock_ms, kept)
        self._asked_s = -10.0
        self._frames: list[bytes] = []
        self._place = -1
        self.refused = 0

    @staticmethod
    def frame(number: int, text: str) -> bytes:
        body = f"{number % 8}{text}\r\x17".encode()
        return b"\x02" + body + f"{sum(body) & 0xFF:02X}\r\n".encode()

    def step(self, now: float) -> None:
        if self._place < 0 and now - self._asked_s >= 5:
            self._asked_s = now
            self._out.append(5)

    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        for byte in data:
            if byte == 6 and self._place < 0 and now - self._asked_s < 5:
                texts = [f"H|\\^&||-7880|Bayer7150^1.05\\0.00^7150-SAM2193|||||||P|1|{self.now(now):%Y%m%d%H%M}", "P|1"]
                for place, kept in enumerate(self.kept, 1):
                    at = datetime.fromtimestamp(kept.at_ms / 1000, UTC)
                    flag = "C" if kept.control else "B"
                    texts.append(f"R|{place}|^^^Glucose|{kept.mgdl}|mg/dL^P||{flag}||{at:%Y%m%d%H%M}")
                texts.append("L|1||N")
                self._frames = [self.frame(number, text) for number, text in enumerate(texts, 1)]
                self._place = 0
                self._out += self._frames[0]
            elif byte == 6 and 0 <= self._place < len(self._frames):
                self._place += 1
                self._out += self._frames[self._place] if self._place < len(self._frames) else b"\x04"
            elif byte == 0x15 and 0 <= self._place < len(self._frames):
                self.refused += 1
                self._out += self._frames[self._place]
            elif byte == 4:
                self._place = -1


class Beurer(Device):
    def feed(self, data: bytes, now: float) -> None:
        super().feed(data, now)
        at = 0
        while at < len(data):
            if data[at] == 0xAA:
                self._out.append(0x55)
            elif data[at] == 0xA2:
                self._out.append(len(self.kept))
            elif data[at] == 0xA4:
                self._out += b"Andon Blood Pressure Meter KD001"
            elif data[at] == 0xA3 and at + 1 < len(data):
                at += 1
                self._record(data[at])
            at += 1

    def _record(self, number: int) -> None:
        if not 1 <= number <= len(self.kept):
            self._out.append(0xA9)
            return
        kept = self.kept[number - 1]
        when = datetime.fromtimestamp(kept.at_ms / 1000, UTC)
        upper, lower, pulse = kept.pressure
        self._out += bytes(
            (0xAC, upper - 25, lower - 25, pulse, when.month, when.day, when.hour, when.minute, when.year % 100)
        )


DEVICES: dict[str, Callable[[int, Sequence[Kept]], Device]] = {
    "contec-v7": Contec7,
    "contec-old": Contec4,
    "contec-oem": Contec4,
    "nonin": NoninPackets,
    "nonin-7": NoninWide,
    "nonin-8": NoninFour,
    "nonin-ascii": NoninText,
    "nonin-13": NoninSpot,
    "onetouch-ultra": Ultra,
    "onetouch-ultraeasy": UltraEasy,
    "sd-codefree": CodeFree,
    "contour-astm": Contour,
    "beurer-bm": Beurer,
}
"""By the model of the driver that speaks to it."""


class PtyDevice:
    """A device behind a pseudo-terminal at ``path`` (a link, so that it can come back under the same name)."""

    def __init__(self, path: Path, device: Device) -> None:
        self.path, self.device = path, device
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self._master = self._slave = -1
        self._task: asyncio.Task[None] | None = None

    async def plug(self) -> None:
        """Appear."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.symlink_to(os.ttyname(self._slave))
        self._task = asyncio.create_task(self._run(self._master))

    async def _run(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(BlockingIOError, OSError):
                self.device.feed(os.read(master, 4096), loop.time())
            self.device.step(loop.time())
            if out := self.spoil(self.device.take()):
                with contextlib.suppress(BlockingIOError, OSError):
                    os.write(master, out)
            await asyncio.sleep(STEP_S)

    async def pull(self) -> None:
        """Disappear, in the middle of whatever it said."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            self.path.unlink()
            os.close(self._master)
            os.close(self._slave)


class ThreadedDevices:
    """Devices behind pseudo-terminals, for a test that blocks: they run in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "ThreadedDevices":
        self._thread.start()
        return self

    def plug(self, device: PtyDevice) -> None:
        asyncio.run_coroutine_threadsafe(device.plug(), self._loop).result(10)

    def pull(self, device: PtyDevice) -> None:
        asyncio.run_coroutine_threadsafe(device.pull(), self._loop).result(10)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

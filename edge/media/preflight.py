"""What a call would carry, judged before it from two short trains of packets and the state of the devices: pure.

A first train is small enough for the thinnest link; a longer one leaves where the one before was too quick.
Says what to expect, never whether to call. Knows no clock, no packet and no device; its texts are Fluent message ids.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from edge.media.ladder import Rules

FIRST_COUNT, FIRST_SIZE_BYTES = 8, 240
"""1.9 kB each way: 0.64 s of a link of 24 kbit/s."""
FURTHER_COUNT = 16
_FURTHER_S, _FURTHER_LEAST_BYTES, _LARGEST_BYTES = 0.8, 4_800, 16_000
_BUSY_S = 0.2
"""Some ways let a short burst through faster than they last: no more is shown than what would have taken so long."""
_LEAST_PAIRS = 3
_SURE_PAIRS = 5
_STALL_SHARE = 0.6
"""One gap that takes so much of the time was a pause of a machine or a radio."""
_HALVES = 2.5
"""Two halves of a train that differ by more than this tell of two links."""
HELD_SHARE = 0.85
"""Of what a train showed, so much is expected of a call."""
_POOR_LOSS, _NO_SOUND_LOSS = 0.25, 0.5
MOST_S = 2.8
"""A measurement takes no longer, whatever becomes of it."""
FIRST_MOST_S = 2.2


class Carried(Struct, frozen=True):
    """What one direction carries."""

    rate_bps: float
    """IP bits per second, never more than the train can show."""
    full: bool
    """The train was too short: it may carry more."""
    sure: bool
    """Steady enough to begin a call with."""
    lost: float
    """Share of its packets."""


def carried(size_bytes: int, arrived_s: Sequence[float | None]) -> Carried | None:
    """What a train shows whose packets of ``size_bytes`` (IP) left together; None: too few of them came to tell.

    Only neighbours that both came count, so that a lost packet does not make the link look slower or faster.
    """
    gaps = [after - before for before, after in pairwise(arrived_s) if before is not None and after is not None]
    if len(gaps) < _LEAST_PAIRS or not all(map(math.isfinite, gaps)):
        return None
    span_s, least_s = sum(map(abs, gaps)), _BUSY_S * len(gaps) / max(len(arrived_s) - 1, 1)
    half = len(gaps) // 2
    first_s, second_s = sum(gaps[:half]) / half, sum(gaps[half:]) / (len(gaps) - half)
    steady = min(gaps) >= 0 and (
        span_s <= least_s / 2
        or (max(gaps) <= _STALL_SHARE * span_s and max(first_s, second_s) <= _HALVES * min(first_s, second_s))
    )
    return Carried(
        rate_bps=len(gaps) * size_bytes * 8 / max(span_s, least_s),
        full=span_s < least_s,
        sure=steady and len(gaps) >= _SURE_PAIRS,
        lost=sum(at is None for at in arrived_s) / len(arrived_s),
    )


def further_bytes(before_bytes: int, seen: Carried | None, left_s: float, rtt_s: float) -> int:
    """Size of each packet of a further train of :data:`FURTHER_COUNT`, after one of ``before_bytes``.

    0: the rate is known, or this was the largest train, or there is no time for another.
    """
    if seen is None or not seen.full or before_bytes >= _LARGEST_BYTES:
        return 0
    total_bytes = min(max(int(seen.rate_bps * _FURTHER_S / 8), _FURTHER_LEAST_BYTES), _LARGEST_BYTES)
    if rtt_s + total_bytes * 8 / seen.rate_bps > left_s:
        return 0
    return total_bytes // FURTHER_COUNT


class LinkSeen(StrEnum):
    """How it stands with the way to the hub."""

    MEASURED = "measured"
    """By a train, as far as it came back."""
    SAVING = "saving"
    """The day's data is used up, or it is outside the hours: nothing was sent to measure it."""
    OFFLINE = "offline"


class DeviceState(StrEnum):
    """How it stands with a camera, a microphone, or the way to the loudspeaker."""

    OK = "ok"
    UNKNOWN = "unknown"
    """Nobody could tell, or the browser will ask first."""
    DENIED = "denied"
    MISSING = "missing"
    BUSY = "busy"
    """There, and does not open."""
    OFF = "off"


class Devices(Struct, frozen=True):
    """At the patient's side."""

    camera: DeviceState = DeviceState.UNKNOWN
    microphone: DeviceState = DeviceState.UNKNOWN
    sound: DeviceState = DeviceState.UNKNOWN
    """Whether the doctor will be heard."""


class Expect(StrEnum):
    """What will work."""

    VIDEO = "video"
    STILLS = "stills"
    SOUND = "sound"
    CASE = "case"
    """Better without a call: the case, photos and a voice note get through."""
    UNKNOWN = "unknown"
    """The link could not be measured: only a call tells."""


class Verdict(Struct, frozen=True):
    expect: Expect
    rung: str
    """The ladder's rung that the link should carry; empty where that is not known."""
    line: str
    """Message id of the one line; it takes the rung's own line as ``$carries`` where there is a rung."""
    devices: tuple[str, ...]
    """Message ids of what is wrong with the devices, the weightiest first."""


_BAD = {DeviceState.DENIED, DeviceState.MISSING, DeviceState.BUSY, DeviceState.OFF}


def judge(rules: Rules, seen: LinkSeen, up: Carried | None, down: Carried | None, devices: Devices) -> Verdict:
    """What to expect of a call now."""
    expect, rung, line = _of_link(rules, seen, up, down)
    wrong = []
    if devices.microphone in _BAD:
        wrong.append(f"preflight-microphone-{devices.microphone.value}")
        expect = Expect.CASE
    if devices.camera in _BAD:
        wrong.append(f"preflight-camera-{devices.camera.value}")
        expect = Expect.SOUND if expect in (Expect.VIDEO, Expect.STILLS) else expect
    if devices.sound in _BAD:
        wrong.append("preflight-sound-off")
    if expect is Expect.SOUND and rung and line == "preflight-expected" and devices.camera in _BAD:
        line = "preflight-sound"
    elif expect is Expect.CASE and line != "preflight-offline":
        line = "preflight-case"
    return Verdict(expect, rung, line, tuple(wrong))


def _of_link(rules: Rules, seen: LinkSeen, up: Carried | None, down: Carried | None) -> tuple[Expect, str, str]:
    if seen is LinkSeen.OFFLINE:
        return Expect.CASE, "", "preflight-offline"
    if seen is LinkSeen.SAVING:
        return Expect.UNKNOWN, "", "preflight-saving"
    if up is None:
        return Expect.UNKNOWN, "", "preflight-unknown"
    lost = max(up.lost, down.lost if down else 0.0)
    thinnest_bps = HELD_SHARE * min(up.rate_bps, down.rate_bps if down else math.inf)
    if thinnest_bps < rules.notes_below_bps or lost >= _NO_SOUND_LOSS:
        return Expect.CASE, "", "preflight-case"
    if lost >= _POOR_LOSS:
        return Expect.SOUND, "", "preflight-sound"
    fitting = [rung for rung in rules.rungs if rung.at_bps <= HELD_SHARE * up.rate_bps]
    rung = fitting[-1] if fitting else rules.rungs[0]
    expect = Expect.VIDEO if rung.video_max_bps else Expect.STILLS if rung.stills else Expect.SOUND
    return expect, rung.name, "preflight-expected"

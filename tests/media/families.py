"""Families of simulated links, made from a seed. Tune on :data:`FAMILIES`; :data:`HELD_OUT` is looked at last."""

import math
import random
from bisect import bisect_right
from collections.abc import Callable

from msgspec import Struct

from tests.media.bottleneck import Burst, WaySpec

Rate = Callable[[float], float]


class Scene(Struct, frozen=True):
    """One simulated call: its link, and what is asked of it."""

    name: str
    up: WaySpec
    """Of the picture and sound."""
    down: WaySpec
    """Of the feedback, beside the other side's sound."""
    length_s: float = 60.0
    outages: tuple[tuple[float, float], ...] = ()
    """(start, length) in seconds."""
    cubic_from_s: float = -1.0
    """A TCP flow under CUBIC shares the way up from then on; negative: none."""
    cubic_until_s: float = 1e9
    speech: float = 1.0
    """Share of the time in which somebody speaks; pauses cost nothing (DTX)."""


def constant(rate_bps: float) -> Rate:
    return lambda _: rate_bps


def steps(points: list[tuple[float, float]]) -> Rate:
    """(second, bits per second), stepwise; the first point is at 0."""
    starts = [at_s for at_s, _ in points]
    return lambda at_s: points[max(bisect_right(starts, at_s) - 1, 0)][1]


def ramp(from_bps: float, to_bps: float, start_s: float, end_s: float) -> Rate:
    def rate(at_s: float) -> float:
        share = min(max((at_s - start_s) / (end_s - start_s), 0.0), 1.0)
        return from_bps + (to_bps - from_bps) * share

    return rate


def with_outages(rate: Rate, outages: tuple[tuple[float, float], ...]) -> Rate:
    def cut(at_s: float) -> float:
        return 0.0 if any(start_s <= at_s < start_s + length_s for start_s, length_s in outages) else rate(at_s)

    return cut


def cellular(mean_bps: float, seed: int, length_s: float, swing: float = 0.45) -> Rate:
    """A log-normal random walk in steps of 0.2 s with a pull to its mean, and fades of a second or so."""
    chance, points, log = random.Random(seed), [], 0.0
    fade_until_s = 0.0
    for tick in range(int(length_s * 5) + 1):
        at_s = tick / 5
        log += -0.08 * log + chance.gauss(0, swing * 0.4)
        if chance.random() < 0.006:
            fade_until_s = at_s + chance.uniform(0.4, 1.6)
        level = 0.25 if at_s < fade_until_s else 1.0
        points.append((at_s, max(mean_bps * level * math.exp(min(max(log, -1.3), 0.9)), 9_000.0)))
    return steps(points)


def _pair(
    rate: Rate,
    rtt_s: float,
    loss: float,
    queue_s: float,
    *,
    typical_bps: float,
    burst: Burst | None = None,
    outages: tuple[tuple[float, float], ...] = (),
    keeps: bool = False,
    jitter_s: float = 0.0,
) -> tuple[WaySpec, WaySpec]:
    queue_bytes = max(typical_bps * queue_s / 8, 3_000.0)
    cut = with_outages(rate, outages) if outages else rate
    up = WaySpec(cut, rtt_s / 2, queue_bytes, loss, burst, not keeps, jitter_s)
    return up, up


def _scene(name: str, rate_kbps: float, rtt_ms: float, loss_pct: float, queue_s: float = 1.0, **more: object) -> Scene:
    rate_bps = rate_kbps * 1000
    given = dict(more)
    scene = {key: given.pop(key) for key in ("length_s", "cubic_from_s", "cubic_until_s", "speech") if key in given}
    rate = given.pop("rate", None) or constant(rate_bps)
    outages = given.get("outages", ())
    up, down = _pair(rate, rtt_ms / 1000, loss_pct / 100, queue_s, typical_bps=rate_bps, **given)  # type: ignore[arg-type]
    return Scene(name, up, down, outages=outages, **scene)  # type: ignore[arg-type]


_BURST = Burst(to_bad=0.004, to_good=0.18)
_LONG_BURST = Burst(to_bad=0.002, to_good=0.08)


def families(seed: int) -> list[Scene]:
    """What the mechanism is tuned on."""
    outage = ((24.0, 12.0),)
    return [
        _scene("24/800/3", 24, 800, 3),
        _scene("32/600/2", 32, 600, 2),
        _scene("64/400/2", 64, 400, 2),
        _scene("128/300/2", 128, 300, 2),
        _scene("256/200/5", 256, 200, 5),
        _scene("500/100/1", 500, 100, 1),
        _scene("128/300/2 pauses", 128, 300, 2, speech=0.5),
        _scene("24/800/3 pauses", 24, 800, 3, speech=0.75),
        _scene("32/600/2 pauses", 32, 600, 2, speech=0.75),
        _scene("64/400/2 pauses", 64, 400, 2, speech=0.75),
        _scene("step down 256-64", 256, 300, 1, rate=steps([(0, 256_000), (25, 64_000)])),
        _scene("step down 200-32", 200, 500, 1, rate=steps([(0, 200_000), (25, 32_000)])),
        _scene("step up 48-200", 200, 300, 1, rate=steps([(0, 48_000), (20, 200_000)])),
        _scene("ramp down 200-40", 200, 300, 1, rate=ramp(200_000, 40_000, 10, 45)),
        _scene("ramp up 40-300", 300, 200, 1, rate=ramp(40_000, 300_000, 10, 40)),
        _scene("cellular 80", 80, 200, 0.5, 2.0, rate=cellular(80_000, seed, 60), keeps=True),
        _scene("cellular 250", 250, 120, 0.5, 2.0, rate=cellular(250_000, seed + 7, 60), keeps=True),
        _scene("bursts 128", 128, 300, 0.5, burst=_BURST),
        _scene("bursts 256", 256, 150, 0, burst=_LONG_BURST),
        _scene("outage 12 s, 128", 128, 300, 2, outages=outage),
        _scene("outage 12 s, 256", 256, 200, 1, outages=outage),
        _scene("outage 12 s kept, 128", 128, 300, 1, outages=outage, keeps=True),
        _scene("outages 1-5 s, 96", 96, 300, 1, outages=((15, 1), (25, 2), (38, 5))),
        _scene("cubic, 1 s queue, 256", 256, 150, 0.2, cubic_from_s=15, cubic_until_s=45),
        _scene("bufferbloat 4 s, 128", 128, 200, 0.5, 4.0),
        _scene("shallow 60 ms, 256", 256, 150, 0.5, 0.06),
        _scene("shallow 100 ms, 128", 128, 300, 2, 0.1),
        _scene("jitter 60 ms, 128", 128, 200, 1, jitter_s=0.06),
    ]


def held_out(seed: int) -> list[Scene]:
    """Links of other kinds and other numbers, looked at only when the mechanism stands."""
    chance = random.Random(seed * 7919)
    outage_s = chance.uniform(6, 20)
    outages = ((20.0, outage_s),)
    low, high = chance.uniform(30, 60), chance.uniform(140, 400)
    wave = chance.uniform(8, 20)
    return [
        _scene("held: 20/700/2 pauses", 20, 700, 2, speech=0.75),
        _scene("held: 28/500/3 pauses", 28, 500, 3, speech=0.75),
        _scene("held: 40/700/4", 40, 700, 4),
        _scene("held: 48/350/1 pauses", 48, 350, 1, speech=0.75),
        _scene("held: 90/250/0", 90, 250, 0),
        _scene("held: 180/450/3", 180, 450, 3, 0.5),
        _scene("held: 384/150/5", 384, 150, 5, 0.3),
        _scene("held: 1000/60/0.5", 1000, 60, 0.5),
        _scene(
            "held: sine", high, 250, 1,
            rate=lambda at_s: (low + (high - low) * (0.5 + 0.5 * math.cos(at_s * 2 * math.pi / wave))) * 1000,
        ),
        _scene("held: square", high, 200, 1, rate=lambda at_s: (high if at_s % wave < wave / 2 else low) * 1000),
        _scene("held: cellular 50", 50, 350, 1, 3.0, rate=cellular(50_000, seed + 101, 60, 0.6), keeps=True),
        _scene("held: cellular 400", 400, 90, 0.3, 1.0, rate=cellular(400_000, seed + 102, 60, 0.6), keeps=True),
        _scene("held: outage, 200", 200, 250, 2, outages=outages),
        _scene("held: outage kept, 80", 80, 350, 1, outages=outages, keeps=True),
        _scene("held: bursts 90", 90, 300, 1, burst=Burst(to_bad=0.006, to_good=0.12)),
        _scene("held: cubic, 128", 128, 300, 0.5, cubic_from_s=20, cubic_until_s=50),
        _scene("held: bufferbloat 8 s, 64", 64, 300, 0.5, 8.0),
        _scene("held: shallow 80 ms, 400", 400, 100, 1, 0.08),
        _scene("held: jitter 150 ms, 200", 200, 300, 1, jitter_s=0.15),
    ]  # fmt: skip

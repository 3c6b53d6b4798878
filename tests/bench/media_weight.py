"""What a call weighs: with the tablet's picture coded anew, the same under a quota, and over an hour. Needs root."""

import statistics
import sys
from collections.abc import Callable

from msgspec import structs

from tests.bench import media_calls, media_load
from tests.bench.media_calls import Quota, Raw, Way
from tests.bench.media_figures import Figures, figures
from tests.bench.media_rows import ROWS
from tests.bench.media_source import Source
from tests.bench.rows import Row, at_most

QUOTA = Quota(0.2, 512)
_HOUR_S = 3600.0
_CPU_S = 60.0
_CPU_GOAL_PCT, _PSS_GOAL_MB = 25.0, 280.0
_SLOPE_GOAL_MB = 5.0
"""An hour's growth that counts as none: below what the allocator moves by itself."""
_HANDLES_GOAL = 2.0
"""What opens and closes as it goes; a leak of one a minute would be twenty here."""

Keep = Callable[[Raw], None]


def run(only: tuple[str, ...], source: Source, keep: Keep, seconds: float = 0.0) -> list[Row]:
    """``cpu`` unless other rows are asked for; ``hour`` only by its name, as long as ``seconds`` says."""
    rows: list[Row] = []
    if not only or "cpu" in only:
        rows += _cpu(source, keep)
    if "hour" in only:
        rows += _hour(source, keep, seconds or _HOUR_S)
    return rows


def _cpu(source: Source, keep: Keep) -> list[Row]:
    free, free_figures = _call("cpu", "500", _CPU_S, source, Way("tablet"), keep)
    _, held = _call("cpu-quota", "500", _CPU_S, source, Way("tablet", QUOTA), keep)
    name = "500 kbit/s, the tablet films"
    return [
        at_most(f"{name}: CPU of the call", free_figures.cpu_pct, "% of a core", _CPU_GOAL_PCT),
        at_most(f"{name}: node and call, PSS", free_figures.pss_mb, "MB", _PSS_GOAL_MB),
        Row(f"{name}: frames", round(free_figures.fps, 2), "1/s"),
        Row(f"{name}: load", round(max(sample.load for sample in free.samples), 1), ""),
        at_most(f"{name}, 20 % of a core, 512 MB: concealed", held.concealed_pct, "%", 5.0),
        at_most(f"{name}, 20 % of a core, 512 MB: concealed at the tablet", held.return_concealed_pct, "%", 5.0),
        Row(f"{name}, 20 % of a core, 512 MB: frames", round(held.fps, 2), "1/s", round(free_figures.fps, 2)),
        Row(f"{name}, 20 % of a core, 512 MB: STOI", round(held.stoi, 3), "", round(free_figures.stoi, 3)),
        at_most(f"{name}, 20 % of a core, 512 MB: attempts that ended", held.ended, "", 0.0),
    ]


def _hour(source: Source, keep: Keep, seconds: float) -> list[Row]:
    raw, found = _call("hour", "128", seconds, source, Way(light=True), keep)
    slope = slope_mb_per_hour(raw.samples)
    name = f"{seconds / 60:g} minutes at 128 kbit/s"
    return [
        at_most(f"{name}: growth of node and call, PSS", slope, "MB/h", _SLOPE_GOAL_MB),
        Row(f"{name}: node and call at most, PSS", round(found.pss_mb, 1), "MB"),
        at_most(f"{name}: descriptors more than after a third", more(raw.samples, "descriptors"), "", _HANDLES_GOAL),
        at_most(f"{name}: threads more than after a third", more(raw.samples, "threads"), "", _HANDLES_GOAL),
        at_most(f"{name}: attempts that ended", found.ended, "", 0.0),
        Row(f"{name}: sound made up", round(found.concealed_pct, 2), "%"),
        Row(f"{name}: frames", round(found.fps, 2), "1/s"),
    ]


def slope_mb_per_hour(samples: list[media_load.Sample]) -> float:
    """Growth of PSS by least squares over the last two thirds: the first third may still be warming up."""
    rest = samples[len(samples) // 3 :]
    return statistics.linear_regression([one.unix_s / 3600 for one in rest], [one.pss_mb for one in rest]).slope


def more(samples: list[media_load.Sample], of: str) -> float:
    """How many more are held in the last third than in the second, at the median."""
    third = len(samples) // 3
    held: list[int] = [getattr(one.handles, of) for one in samples]
    return statistics.median(held[2 * third :]) - statistics.median(held[third : 2 * third])


def _call(name: str, link: str, seconds: float, source: Source, way: Way, keep: Keep) -> tuple[Raw, Figures]:
    row = next(row for row in ROWS if row.name == link)
    print(f"media: {name}, {row.says}, {seconds:g} s, load {media_load.load():.1f}", file=sys.stderr)
    raw = structs.replace(media_calls.run(row, "ours", 1, seconds, source, way), row=name)
    keep(raw)
    found = figures(raw, source)
    print(f"  {found}", file=sys.stderr, flush=True)
    return raw, found

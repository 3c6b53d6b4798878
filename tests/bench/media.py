"""``./run bench media``: our call, a stock Chromium call and one capped by hand, on the same emulated links.

Definitions stand in ``media_figures``; links, caps and goals in ``media_rows``; what is shown and said in
``media_source``. Ours is not told the rate. Each seed draws the link's losses (and the cellular trace) anew;
figures are medians of the seeds. Calls are made one after the other in real time. Needs root.
"""

import gzip
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from tests.bench import media_calls, media_load, media_plot, media_simulated, media_source, media_weight
from tests.bench.media_figures import Figures, figures
from tests.bench.media_rows import PEERS, ROWS, LinkRow, Peer
from tests.bench.rows import Row

GROUPS = (*(row.name for row in ROWS), "cpu", "hour", "simulated")
RAW = media_source.FOLDER / "media"
"""Where each call's whole record is kept, gzipped JSON, until the next of that name."""
_QUICK_S = 20.0
_SHOWN = (
    "concealed_pct", "return_concealed_pct", "fps", "width", "frozen_s", "first_frame_s", "from_click_s", "stills",
    "picture_gap_s",
    "link_used_pct", "psnr_db", "ssim", "stoi", "return_stoi", "sentences_heard", "mouth_to_ear_ms",
    "glass_to_glass_ms", "own_frames", "cpu_pct", "pss_mb", "attempts", "back_s", "load",
)  # fmt: skip


class Options(Struct, frozen=True):
    """What to run."""

    only: tuple[str, ...] = ()
    """Names of rows; empty: all links and ``cpu``, not ``hour`` and not ``simulated``, which needs no root."""
    peers: tuple[Peer, ...] = PEERS
    seeds: tuple[int, ...] = (1, 2, 3)
    seconds: float = 0.0
    """Of each call; 0: what the row asks for."""
    plots: Path | None = None
    """Also draw a picture of each row into this folder."""
    camera: str = "file"


def quick() -> Options:
    """One short call of ours on one link: whether the bench itself works."""
    return Options(only=("128",), peers=("ours",), seeds=(1,), seconds=_QUICK_S)


def run(options: Options) -> tuple[list[Row], list[Figures]]:
    """Make the calls; the rows with their goals, and every call's figures."""
    if options.only == ("simulated",):
        return media_simulated.run(len(options.seeds)), []
    source = media_source.prepare()
    every: list[Figures] = []
    rows: list[Row] = []
    if "simulated" in options.only:
        rows += media_simulated.run(len(options.seeds))
    for link_row in ROWS:
        if options.only and link_row.name not in options.only:
            continue
        calls: dict[Peer, list[Figures]] = {peer: [] for peer in options.peers}
        for seed in options.seeds:
            for peer in options.peers:
                calls[peer].append(_call(link_row, peer, seed, options, source))
        every += [one for peer in options.peers for one in calls[peer]]
        _table(link_row, calls)
        rows += judge(link_row, {peer: median(ours) for peer, ours in calls.items() if ours})
    rows += media_weight.run(options.only, source, keep, options.seconds)
    return rows, every


def _call(row: LinkRow, peer: Peer, seed: int, options: Options, source: media_source.Source) -> Figures:
    seconds = options.seconds or row.seconds
    print(f"media: {row.says}, {peer}, seed {seed}, {seconds:g} s, load {media_load.load():.1f}", file=sys.stderr)
    raw = media_calls.run(row, peer, seed, seconds, source, media_calls.Way(options.camera))
    keep(raw)
    found = figures(raw, source)
    print("  " + ", ".join(f"{name} {getattr(found, name):.4g}" for name in _SHOWN), file=sys.stderr, flush=True)
    if options.plots is not None:
        media_plot.draw(raw, options.plots / f"media-{row.name}-{peer}.svg")
    return found


def keep(raw: media_calls.Raw) -> None:
    """Keep the record, so that figures and plots can be made again from it."""
    RAW.mkdir(parents=True, exist_ok=True)
    (RAW / f"{raw.row}-{raw.peer}-{raw.seed}.json.gz").write_bytes(gzip.compress(msgspec.json.encode(raw), 3))


def median(calls: Sequence[Figures]) -> Figures:
    """Figure by figure; one that cannot be said in most of the calls cannot be said."""
    fields: dict[str, object] = {"disturbed": any(one.disturbed for one in calls)}
    for name in Figures.__struct_fields__:
        values = [getattr(one, name) for one in calls]
        if name != "seed" and all(isinstance(value, float | int) and not isinstance(value, bool) for value in values):
            known = [value for value in values if not math.isnan(value)]
            fields[name] = statistics.median(known) if 2 * len(known) > len(values) else math.nan
    return structs.replace(calls[0], **fields)


def judge(row: LinkRow, calls: dict[Peer, Figures]) -> list[Row]:
    """One line for each goal of the link; nothing without a call of ours."""
    ours, capped = calls.get("ours"), calls.get("capped")
    if ours is None:
        return []
    other = capped or calls.get("stock")
    rows = []
    for goal in row.goals:
        value = float(getattr(ours, goal.figure))
        theirs = float(getattr(other, goal.figure)) if other is not None else None
        of_capped = float(getattr(capped, goal.figure)) if capped is not None else None
        known = theirs is not None and math.isfinite(theirs)
        bound = goal.bound * (of_capped or 0.0) if goal.of_capped else goal.bound
        rows.append(
            Row(
                f"{row.says}: {goal.figure}", round(value, 3), "" if goal.at_most else "(at least)",
                round(theirs, 3) if theirs is not None and known else None,
                round(value / theirs, 3) if theirs and known else None,
                round(bound, 3), goal.met(value, of_capped),
            )
        )  # fmt: skip
    return rows


def _table(row: LinkRow, calls: dict[Peer, list[Figures]]) -> None:
    columns = {peer: median(found) for peer, found in calls.items() if found}
    counts = ", ".join(f"{peer} {len(found)}" for peer, found in calls.items())
    marked = " — disturbed: load over 2.5" if any(one.disturbed for one in columns.values()) else ""
    print(f"\n{row.says} (medians; calls: {counts}){marked}")
    print(f"  {'':<22}" + "".join(f"{peer:>12}" for peer in columns))
    for name in _SHOWN:
        print(f"  {name:<22}" + "".join(_cell(getattr(one, name)) for one in columns.values()))
    sys.stdout.flush()


def _cell(value: float) -> str:
    return f"{'–':>12}" if math.isnan(value) else f"{value:>12.4g}"

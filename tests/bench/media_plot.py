"""Pictures of calls as SVG: what the link carried, what was sent, the queue, the rung and the frames over time.

Writes plain SVG text with colours that can be told apart in grey; knows no library of plots.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from msgspec import Struct

from tests.bench.media_calls import Raw
from tests.bench.media_figures import received_bps

_WIDTH, _PANEL, _LEFT, _RIGHT, _GAP, _TOP = 760, 110, 62, 150, 22, 34
Points = Sequence[tuple[float, float]]
Across = Callable[[float], float]


class Line(Struct, frozen=True):
    """One curve: (seconds, value)."""

    name: str
    colour: str
    points: Points
    stepped: bool = False


class Panel(Struct, frozen=True):
    """Curves that share a vertical axis from 0."""

    title: str
    lines: tuple[Line, ...]


def draw(raw: Raw, path: Path) -> None:
    """A picture of one call, from the start of ICE to its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{raw.row}: {raw.peer}, seed {raw.seed}"
    path.write_text(render(title, raw.seconds, panels(raw), marks(raw)))


def panels(raw: Raw) -> list[Panel]:
    """What is known of the call, over seconds since the start of ICE."""

    def at(unix_s: float) -> float:
        return unix_s - raw.began_ms / 1000

    line = Line("line", "#999999", [(at(s.unix_s), s.rate_bps / 1000) for s in raw.samples], stepped=True)
    got = Line("received", "#1f77b4", [(at(t / 1000), bps / 1000) for t, bps in received_bps(raw.doctor)])
    seconds = [entry for entry in raw.trace if entry["kind"] == "second"]
    feedback = [entry for entry in raw.trace if entry["kind"] == "feedback"]
    rates = [line, got]
    shown = [Panel("kbit/s", (line, got))]
    if seconds:
        rates += [
            Line("estimate", "#d62728", [(at(e["t"]), e["rate_bps"] / 1000) for e in feedback]),
            Line("sent", "#2ca02c", [(at(e["t"]), e["send_bps"] / 1000) for e in seconds]),
        ]
        shown = [
            Panel("kbit/s", tuple(rates)),
            Panel("queue ms", (Line("queue", "#9467bd", [(at(e["t"]), e["queue_s"] * 1000) for e in feedback]),)),
        ]
    times = [(at(entry[0] / 1000), entry[2]) for entry in raw.doctor.received]
    shown += [
        Panel("frames/s", (Line("frames", "#ff7f0e", _per_second([t for t, _ in times], raw.seconds)),)),
        Panel("width", (Line("width", "#8c564b", times, stepped=True),)),
        Panel("sound made up, ms/s", (Line("made up", "#e377c2", _made_up(raw)),)),
    ]
    return shown


def marks(raw: Raw) -> list[tuple[float, str]]:
    """Moments worth a vertical line."""
    begin_s = raw.began_ms / 1000
    found = [(float(e["t"]) - begin_s, str(e["rung"])) for e in raw.trace if e["kind"] == "allocation"]
    changed = [one for before, one in zip([(0.0, ""), *found], found, strict=False) if one[1] != before[1]]
    if raw.cut_s is not None:
        changed += [(raw.cut_s[0] - begin_s, "cut"), (raw.cut_s[1] - begin_s, "link back")]
    return [one for one in changed if 0 <= one[0] <= raw.seconds]


def _per_second(times: Sequence[float], seconds: float) -> Points:
    return [(s + 0.5, float(sum(1 for t in times if s <= t < s + 1))) for s in range(int(seconds))]


def _made_up(raw: Raw) -> Points:
    points, before = [], (0.0, 0.0)
    for look in raw.doctor.stats:
        for entry in look.entries:
            if entry["type"] == "inbound-rtp" and entry.get("kind") == "audio":
                made = float(entry.get("concealedSamples") or 0) - float(entry.get("silentConcealedSamples") or 0)
                at_s = (look.at - raw.began_ms) / 1000
                if at_s > before[0] and made >= before[1]:
                    points.append((at_s, (made - before[1]) / 48 / (at_s - before[0])))
                before = (at_s, made)
    return points


def render(title: str, seconds: float, shown: Sequence[Panel], moments: Sequence[tuple[float, str]]) -> str:
    """The SVG text."""
    height = _TOP + len(shown) * (_PANEL + _GAP) + 24
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        ' font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="16" font-size="13">{escape(title)}</text>',
    ]  # fmt: skip
    span = _WIDTH - _LEFT - _RIGHT

    def across(at_s: float) -> float:
        return _LEFT + span * min(max(at_s / seconds, 0.0), 1.0)

    bottom = _TOP + len(shown) * (_PANEL + _GAP) - _GAP
    for place, (at_s, name) in enumerate(moments):
        x = across(at_s)
        out.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#dddddd"/>')
        y = _TOP - 3 if place % 2 else _TOP + 8
        out.append(f'<text x="{x + 2:.1f}" y="{y}" font-size="8" fill="#666666">{escape(name)}</text>')
    for number, panel in enumerate(shown):
        out += _panel(panel, _TOP + number * (_PANEL + _GAP), span, across, seconds)
    for tick in range(0, int(seconds) + 1, 10):
        out.append(f'<text x="{across(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick} s</text>')
    return "\n".join([*out, "</svg>", ""])


def _panel(panel: Panel, top: float, span: float, across: Across, seconds: float) -> list[str]:
    highest = max((value for line in panel.lines for at, value in line.points if 0 <= at <= seconds), default=0.0)
    peak = _round_up(highest)
    out = [
        f'<rect x="{_LEFT}" y="{top}" width="{span}" height="{_PANEL}" fill="none" stroke="#bbbbbb"/>',
        f'<text x="{_LEFT - 6}" y="{top + 9}" text-anchor="end">{peak:g}</text>',
        f'<text x="{_LEFT - 6}" y="{top + _PANEL}" text-anchor="end">0</text>',
        f'<text transform="translate(14 {top + _PANEL / 2}) rotate(-90)" text-anchor="middle">',
        f"{escape(panel.title)}</text>",
    ]  # fmt: skip
    for number, line in enumerate(panel.lines):
        inside = [(at, value) for at, value in line.points if 0 <= at <= seconds]
        coordinates: list[str] = []
        before = 0.0
        for at_s, value in inside:
            x, y = across(at_s), top + _PANEL * (1 - min(max(value, 0.0) / peak, 1.0))
            if line.stepped and coordinates:
                coordinates.append(f"{x:.1f},{before:.1f}")
            coordinates.append(f"{x:.1f},{y:.1f}")
            before = y
        out.append(
            f'<polyline fill="none" stroke="{line.colour}" stroke-width="1.3" points="{" ".join(coordinates)}"/>'
        )
        y = top + 14 + 14 * number
        key = f'x1="{_LEFT + span + 8}" y1="{y - 4}" x2="{_LEFT + span + 26}" y2="{y - 4}"'
        out.append(f'<line {key} stroke="{line.colour}" stroke-width="2"/>')
        out.append(f'<text x="{_LEFT + span + 30}" y="{y}">{escape(line.name)}</text>')
    return out


def _round_up(value: float) -> float:
    """The next round number for the top of an axis."""
    step = 1.0
    while value > step * 10:
        step *= 10
    while value <= step and step > 1e-6:
        step /= 10
    return next((step * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if value <= step * factor), step * 10)

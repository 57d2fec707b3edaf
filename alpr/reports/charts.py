"""Charts as SVG: bars, histograms, lines and matrices inside a page, whose style colours them; lines also as a file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from alpr.reports.html import CHART_STYLE, DAY, Html, escape

COLOURS = 6
"""Series beyond this many begin again with the first colour."""
_WIDTH, _HEIGHT = 440.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 8.0, 36.0
_GRID_LINES = 5
_LABEL_PX = 7.0  # per character, roughly, of the labels below bars


@dataclass(frozen=True)
class Line:
    """A series of a line chart; NaN leaves a gap.

    Attributes:
        ends: (low, high) of a bar at each point, such as an interval's.

    Raises:
        ValueError: x, y and ends of different lengths.
    """

    x: Sequence[float]
    y: Sequence[float]
    ends: Sequence[tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y), len(self.x if self.ends is None else self.ends)}
        if len(lengths) > 1:
            raise ValueError(f"A line's x, y and ends have the lengths {sorted(lengths)}; expected the same.")

    @property
    def runs(self) -> list[list[_Point]]:
        """The points between its gaps."""
        ends = [(y, y) for y in self.y] if self.ends is None else self.ends
        runs: list[list[_Point]] = [[]]
        for x, y, (low, high) in zip(self.x, self.y, ends, strict=True):
            if all(map(math.isfinite, (x, y, low, high))):
                runs[-1].append(_Point(x, y, low, high))
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if run]


class _Point(NamedTuple):
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class _Frame:
    """Where values lie in the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = _WIDTH

    def across(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / ((high - low) or 1) * (self.width - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        low, high = self.y
        return _HEIGHT - _BOTTOM - (value - low) / ((high - low) or 1) * (_HEIGHT - _TOP - _BOTTOM)


def bar_chart(
    labels: Sequence[str], series: Mapping[str, Sequence[float]], *, title: str, unit: str = "", x_label: str = ""
) -> Html:
    """Bars of one or several series beside each other above each label; many labels make a chart that scrolls.

    Args:
        unit: of the values, for the axis and what is shown under the pointer, e.g. "%".

    Raises:
        ValueError: a series with another number of values than there are labels.
    """
    _check(series, len(labels), "labels")
    slot = max(_LABEL_PX * max(map(len, labels), default=1) + 6, 4.0 + 5.0 * len(series))
    width = max(_WIDTH, _LEFT + _RIGHT + slot * len(labels))
    frame = _Frame((0, max(len(labels), 1)), (0, _highest(series)), width)
    step = (width - _LEFT - _RIGHT) / max(len(labels), 1)
    bar = min(0.8 * step / max(len(series), 1), 40.0)
    drawn = []
    for k, (name, values) in enumerate(series.items()):
        for i, value in enumerate(values):
            if value > 0:
                x = frame.across(i + 0.5) + (k - len(series) / 2) * bar
                tip = f"{labels[i]}: {number(value)}{unit}" + (f" ({name})" if name else "")
                drawn.append(_rectangle(x, frame.up(value), bar, frame.up(0) - frame.up(value), k, tip))
    below = [_text(frame.across(i + 0.5), _HEIGHT - _BOTTOM + 15, label) for i, label in enumerate(labels)]
    return _chart(title, frame, [*_grid(frame, unit), *drawn, *below], list(series), x_label)


def histogram(
    edges: Sequence[float], series: Mapping[str, Sequence[float]], *, title: str, unit: str = "", x_label: str = ""
) -> Html:
    """Outlines of one or several series of counts or shares between edges, over each other.

    Raises:
        ValueError: a series that has not one value less than there are edges.
    """
    _check(series, len(edges) - 1, "bins")
    frame = _Frame((edges[0], edges[-1]), (0, _highest(series)))
    drawn = []
    for k, (name, values) in enumerate(series.items()):
        points = [(edges[0], 0.0)]
        for i, value in enumerate(values):
            points += [(edges[i], value), (edges[i + 1], value)]
        path = " ".join(f"{frame.across(x):.1f},{frame.up(y):.1f}" for x, y in [*points, (edges[-1], 0.0)])
        colour = k % COLOURS
        drawn.append(f'<polygon class="area f{colour} l{colour}" points="{path}">{_tip(name)}</polygon>')
    return _chart(title, frame, [*_grid(frame, unit), *drawn, *_ticks_below(frame)], list(series), x_label)


def line_chart(series: Mapping[str, Line], *, title: str, unit: str = "", x_label: str = "") -> Html:
    """Lines of one or several series, with a bar at each point where its ends are given.

    Raises:
        ValueError: no point at all.
    """
    points = [p for line in series.values() for run in line.runs for p in run]
    if not points:
        raise ValueError(f"The line chart {title!r} has no point; expected at least one.")
    low = min(0.0, min(p.low for p in points))
    frame = _Frame(
        (min(p.x for p in points), max(p.x for p in points)), (low, _round_up(max(p.high for p in points), low))
    )
    drawn = [*_grid(frame, unit), *_lines(frame, series, unit), *_ticks_below(frame)]
    return _chart(title, frame, drawn, list(series), x_label)


def shares_picture(labels: Sequence[str], series: Mapping[str, Line], *, title: str, x_label: str = "") -> str:
    """Lines of per cents over named steps as an SVG file of its own: each x of a series is the number of a label.

    The series stand a little beside each other in every step, or their bars would hide one another.
    """
    step = _LABEL_PX * max(map(len, labels), default=1) + 14
    width = max(_WIDTH, _LEFT + _RIGHT + step * len(labels))
    frame = _Frame((-0.5, max(len(labels), 1) - 0.5), (0, 100), width)
    beside = 5 / (width - _LEFT - _RIGHT) * max(len(labels), 1)
    moved = {
        name: Line([x + beside * (k - (len(series) - 1) / 2) for x in line.x], line.y, line.ends)
        for k, (name, line) in enumerate(series.items())
    }
    below = [_text(frame.across(i), _HEIGHT - _BOTTOM + 15, label) for i, label in enumerate(labels)]
    drawn = [*_grid(frame, " %"), *_lines(frame, moved, " %", labels), *below, *_x_label(frame, x_label)]
    return _alone(title, frame, drawn, list(series))


def points_picture(points: Mapping[str, tuple[float, float]], *, title: str, unit: str = "", x_label: str = "") -> str:
    """Named points (x, y) as an SVG file of its own; x runs by its logarithm, y from 0 to 100, names stand beside.

    Raises:
        ValueError: no point, or an x that is not above 0.
    """
    if not points or min(x for x, _ in points.values()) <= 0:
        raise ValueError(f"The picture {title!r} has {dict(points)}; expected points with an x above 0.")
    marks = [step * 10.0**power for power in range(-2, 7) for step in (1, 2, 5)]
    low = max(m for m in marks if m <= min(x for x, _ in points.values()))
    high = min(m for m in marks if m > max(x for x, _ in points.values()))
    frame = _Frame((math.log10(low), math.log10(high)), (0, 100), 1.6 * _WIDTH)
    drawn = _grid(frame, unit)
    drawn += [_text(frame.across(math.log10(m)), _HEIGHT - _BOTTOM + 15, number(m)) for m in marks if low <= m <= high]
    taken: list[tuple[float, float]] = []
    for k, (name, (value, height)) in enumerate(sorted(points.items(), key=lambda point: -point[1][1])):
        x, y = frame.across(math.log10(value)), frame.up(height)
        tip = _tip(f"{name}: {number(height)}{unit} at {number(value)}")
        drawn.append(f'<circle class="f{k % COLOURS}" cx="{x:.1f}" cy="{y:.1f}" r="4">{tip}</circle>')
        at = y + 4
        while any(abs(at - other) < 12 and abs(x - beside) < _LABEL_PX * 50 for beside, other in taken):
            at += 12
        taken.append((x, at))
        left = x > frame.across(sum(frame.x) / 2)
        drawn.append(_text(x - 8 if left else x + 8, at, name, "end" if left else "start"))
    return _alone(title, frame, [*drawn, *_x_label(frame, x_label)], [])


def _lines(frame: _Frame, series: Mapping[str, Line], unit: str, labels: Sequence[str] = ()) -> list[str]:
    drawn = []
    for k, (name, line) in enumerate(series.items()):
        colour = k % COLOURS
        for run in line.runs:
            path = " ".join(f"{frame.across(p.x):.1f},{frame.up(p.y):.1f}" for p in run)
            drawn.append(f'<polyline class="line l{colour}" points="{path}"/>')
            for p in run:
                x, between = frame.across(p.x), ""
                if p.high > p.low:
                    ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{frame.up(p.low):.1f}" y2="{frame.up(p.high):.1f}"'
                    drawn.append(f'<line class="line bar l{colour}" {ends}/>')
                    between = f", {number(p.low)} to {number(p.high)}"
                at = labels[round(p.x)] if labels else number(p.x)
                tip = _tip(f"{name}: {number(p.y)}{unit} at {at}{between}")
                drawn.append(f'<circle class="f{colour}" cx="{x:.1f}" cy="{frame.up(p.y):.1f}" r="3">{tip}</circle>')
    return drawn


def matrix_chart(
    rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], *, title: str, x_label: str = ""
) -> Html:
    """Counts in a grid of squares; a square is the darker the larger its share of its row.

    Raises:
        ValueError: another number of counts than there are rows and columns.
    """
    if len(counts) != len(rows) or any(len(row) != len(columns) for row in counts):
        raise ValueError(f"The matrix {title!r} has other counts than {len(rows)} rows of {len(columns)}.")
    side, left = 26.0, 30.0
    drawn = [_text(left + (j + 0.5) * side, 16, name) for j, name in enumerate(columns)]
    for i, (name, row) in enumerate(zip(rows, counts, strict=True)):
        y = 22 + i * side
        drawn.append(_text(left - 8, y + side / 2 + 4, name, "end"))
        for j, count in enumerate(row):
            if count:
                x, share = left + j * side, count / sum(row)
                tip = _tip(f"{name} read as {columns[j]}: {count}")
                place = f'x="{x:.0f}" y="{y:.0f}" width="{side - 1:.0f}" height="{side - 1:.0f}"'
                drawn.append(f'<rect class="f0" fill-opacity="{0.08 + 0.6 * share:.2f}" {place}>{tip}</rect>')
                drawn.append(_text(x + side / 2, y + side / 2 + 4, number(count)))
    width, height = left + side * len(columns) + 4, 24 + side * len(rows) + (18 if x_label else 0)
    if x_label:
        drawn.append(_text(left + side * len(columns) / 2, height - 4, x_label))
    return _figure(title, (width, height), drawn, [], wide=True)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from low to high, both included where they are round: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def number(value: float) -> str:
    """A short number for an axis."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.4g}k"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _check(series: Mapping[str, Sequence[float]], n: int, what: str) -> None:
    for name, values in series.items():
        if len(values) != n:
            raise ValueError(f"The series {name!r} has {len(values)} values for {n} {what}.")


def _highest(series: Mapping[str, Sequence[float]]) -> float:
    return _round_up(max((v for values in series.values() for v in values), default=0.0), 0.0)


def _round_up(high: float, low: float) -> float:
    if not high > low:
        return low + 1.0
    marks = ticks(low, high, most=_GRID_LINES)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    return math.ceil(high / step - 1e-9) * step


def _grid(frame: _Frame, unit: str) -> list[str]:
    drawn = []
    for value in ticks(*frame.y, most=_GRID_LINES):
        y = frame.up(value)
        drawn.append(f'<path class="axis" d="M{_LEFT} {y:.1f}H{frame.width - _RIGHT}"/>')
        drawn.append(_text(_LEFT - 6, y + 4, f"{number(value)}{unit}", "end"))
    return drawn


def _ticks_below(frame: _Frame) -> list[str]:
    return [_text(frame.across(v), _HEIGHT - _BOTTOM + 15, number(v)) for v in ticks(*frame.x)]


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rectangle(x: float, y: float, width: float, height: float, colour: int, tip: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width - 0.5, 0.5):.1f}" height="{height:.1f}"'
    return f'<rect class="f{colour % COLOURS}" {place}>{_tip(tip)}</rect>'


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _x_label(frame: _Frame, label: str) -> list[str]:
    return [_text((_LEFT + frame.width - _RIGHT) / 2, _HEIGHT - 4, label)] if label else []


def _chart(title: str, frame: _Frame, drawn: Sequence[str], names: Sequence[str], x_label: str) -> Html:
    whole = [*drawn, *_x_label(frame, x_label)]
    return _figure(title, (frame.width, _HEIGHT), whole, names, wide=frame.width > 1.5 * _WIDTH)


def _figure(
    title: str, size: tuple[float, float], drawn: Sequence[str], names: Sequence[str], *, wide: bool = False
) -> Html:
    """A drawing of (width, height) in a page, below its title and the names of its series."""
    legend = "".join(f'<span><i class="f{k % COLOURS}"></i>{escape(n)}</span>' for k, n in enumerate(names) if n)
    scrolls = ' class="wide"' if wide else ""
    return Html(
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f"{f'<div class=legend>{legend}</div>' if legend else ''}"
        f"<svg{scrolls} {_drawing(title, size, drawn)}</figure>\n"
    )


def _alone(title: str, frame: _Frame, drawn: Sequence[str], names: Sequence[str]) -> str:
    """The same as a file, with the colours of the day written out: few programs for pictures know variables."""
    legend = []
    left = _LEFT
    for k, name in enumerate(names):
        legend.append(f'<circle class="f{k % COLOURS}" cx="{left:.1f}" cy="10" r="4"/>')
        legend.append(_text(left + 8, 14, name, "start"))
        left += 24 + _LABEL_PX * len(name)
    style = re.sub(r"var\(--(\w+)\)", lambda found: DAY[found[1]], CHART_STYLE)
    height = _HEIGHT + 20
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" font-family="sans-serif" font-size="12" '
        + _drawing(
            title,
            (frame.width, height),
            [
                f"<style>\n{style}</style>",
                f'<rect width="{frame.width:.0f}" height="{height:.0f}" fill="{DAY["back"]}"/>',
                *legend,
                '<g transform="translate(0 20)">',
                *drawn,
                "</g>",
            ],
        )
        + "\n"
    )


def _drawing(title: str, size: tuple[float, float], drawn: Sequence[str]) -> str:
    """What follows `<svg`."""
    width, height = size
    return (
        f'role="img" aria-label="{escape(title)}" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">{"".join(drawn)}</svg>'
    )

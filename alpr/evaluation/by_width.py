"""Recall against a plate's width in the network's input, at several input sizes: what an input size is chosen by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import cv2

from alpr.detection.metrics import FOUND_IOU
from alpr.evaluation.outcomes import PlateRecord
from alpr.files import write_atomically
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import Scene
from alpr.reader.parts import PlateDetector

EDGES_PX = (0, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""The bins' lower edges; the last has no upper one."""
TIMED_IMAGES = 20
_COLOURS = ("#4269d0", "#ff725c", "#3ca951", "#a463f2", "#efb118", "#6cc5b0")
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 320, 56, 16


class Share(NamedTuple):
    """Found plates of all, with the 95 % interval of Wilson; 0 to 1 where there is no plate."""

    found: int
    plates: int
    low: float
    high: float


@dataclass(frozen=True)
class WidthBin:
    """The recall of the plates whose width in the input is at least `low_px` and below `high_px`."""

    low_px: int
    high_px: int | None
    share: Share

    @property
    def label(self) -> str:
        """Such as "24-32" or ">= 256"."""
        return f">= {self.low_px}" if self.high_px is None else f"{self.low_px}-{self.high_px}"


@dataclass(frozen=True)
class WidthCurve:
    """Recall at hull IoU > 0.5 by width, at one input size.

    Attributes:
        detector_ms: median of letterbox, network and decoding per image, one image at a time; measured beside.
    """

    input_px: int
    whole: Share
    bins: tuple[WidthBin, ...]
    detector_ms: float | None


def wilson(found: int, plates: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a share.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    if not plates:
        return 0.0, 1.0
    p = found / plates
    middle = p + z * z / (2 * plates)
    reach = z * sqrt(p * (1 - p) / plates + z * z / (4 * plates * plates))
    whole = 1 + z * z / plates
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def recall_curve(records: Sequence[PlateRecord], input_px: int, detector_ms: float | None = None) -> WidthCurve:
    """The curve of the plates that were looked for at one input size."""
    pairs = [
        (r.input_width_px, r.hull_iou > FOUND_IOU)
        for r in records
        if r.input_width_px is not None and r.hull_iou is not None
    ]
    bins = []
    for low, high in pairwise((*EDGES_PX, None)):
        assert low is not None  # only the last upper edge is
        found = [hit for width, hit in pairs if low <= width and (high is None or width < high)]
        bins.append(WidthBin(low, high, _share(found)))
    return WidthCurve(input_px, _share([hit for _, hit in pairs]), tuple(bins), detector_ms)


def _share(found: Sequence[bool]) -> Share:
    return Share(sum(found), len(found), *wilson(sum(found), len(found)))


def detector_ms(detector: PlateDetector, scenes: Sequence[Scene]) -> float | None:
    """The median time of one image through a detector, over the first 20 that can be read; None where none can.

    OpenCV has one thread; the network has as many as it was opened with.
    """
    times: list[float] = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for scene in scenes[:TIMED_IMAGES]:
            try:
                image = read_image(scene.image)
            except UnreadableImage:
                continue
            if not times:
                detector.detect([image])  # the first call prepares what later ones reuse
            started = perf_counter()
            detector.detect([image])
            times.append(1000 * (perf_counter() - started))
    finally:
        cv2.setNumThreads(threads)
    return median(times) if times else None


def curve_table(curves: Sequence[WidthCurve]) -> str:
    """A Markdown table: a row per width, a column per input size; bins that are empty at every size are left out."""
    lines = [
        "| width in the input, px |" + "".join(f" {c.input_px} px |" for c in curves),
        "|---" * len(curves) + "|---|",
    ]
    for row in zip(*(c.bins for c in curves), strict=True):
        if any(b.share.plates for b in row):
            lines.append(f"| {row[0].label} |" + "".join(f" {_cell(b.share)} |" for b in row))
    lines.append("| all plates |" + "".join(f" {_cell(c.whole)} |" for c in curves))
    if any(c.detector_ms is not None for c in curves):
        times = ["-" if c.detector_ms is None else f"{c.detector_ms:.1f}" for c in curves]
        lines.append("| ms per image, measured beside |" + "".join(f" {t} |" for t in times))
    return "\n".join(lines) + "\n"


def _cell(share: Share) -> str:
    if not share.plates:
        return "-"
    interval = f"{100 * share.low:.0f} to {100 * share.high:.0f}"
    return f"{100 * share.found / share.plates:.1f} % of {share.plates}, {interval}"


def curve_svg(curves: Sequence[WidthCurve]) -> str:
    """The curves as an SVG picture: recall over width in even steps per bin, whiskers for the intervals."""
    shown = [i for i in range(len(EDGES_PX)) if any(c.bins[i].share.plates for c in curves)]
    shown = list(range(min(shown), max(shown) + 1)) if shown else []
    step = (_WIDTH - _LEFT - 80) / max(1, len(shown))
    bottom = _HEIGHT - 44

    def height(share: float) -> float:
        return bottom - share * (bottom - _TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for percent in range(0, 101, 20):
        y = height(percent / 100)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - 80}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for place, i in enumerate(shown):
        label = curves[0].bins[i].label.replace(">", "&gt;")
        parts.append(
            f'<text x="{_LEFT + (place + 0.5) * step:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'
        )
    middle = (_LEFT + _WIDTH - 80) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">plate width in the input, px</text>')
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        points = []
        for place, i in enumerate(shown):
            share = curve.bins[i].share
            if share.plates:  # a little beside each other, or the whiskers hide one another
                x = _LEFT + (place + 0.5) * step + 5 * (number - (len(curves) - 1) / 2)
                y = height(share.found / share.plates)
                points.append(f"{x:.1f},{y:.1f}")
                whisker = f"M{x:.1f} {height(share.low):.1f}V{height(share.high):.1f}"
                parts.append(f'<path d="{whisker}" stroke="{colour}" opacity="0.6"/>')
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{_WIDTH - 72}" y="{_TOP + 14 + 18 * number}" fill="{colour}">{curve.input_px} px</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def curves_of(data: Mapping[str, Any]) -> list[WidthCurve]:
    """The curves of a recall_by_width.json that was read."""

    def curve(entry: Mapping[str, Any]) -> WidthCurve:
        bins = tuple(WidthBin(b["low_px"], b["high_px"], Share(*b["share"])) for b in entry["bins"])
        return WidthCurve(entry["input_px"], Share(*entry["whole"]), bins, entry["detector_ms"])

    return [curve(entry) for entry in data["curves"]]


def write_curves(curves: Sequence[WidthCurve], folder: Path, made_with: Mapping[str, Any]) -> None:
    """Writes recall_by_width.json, .md and .svg into an existing folder.

    Args:
        made_with: the commit, the device and the versions.

    Raises:
        OSError: a file that cannot be written.
    """
    data = {"made_with": made_with, "curves": [asdict(curve) for curve in curves]}
    numbers = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    for suffix, text in (("json", numbers + "\n"), ("md", curve_table(curves)), ("svg", curve_svg(curves))):
        write_atomically(folder / f"recall_by_width.{suffix}", [text.encode()], sync=False)

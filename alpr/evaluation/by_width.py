"""Recall and accuracy by the plate's width: curves over input sizes, and the narrowest plate that a bundle reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import cv2

from alpr.detection.metrics import FOUND_IOU
from alpr.evaluation.figures import MEASURES
from alpr.evaluation.intervals import share_interval
from alpr.evaluation.outcomes import PlateRecord
from alpr.evaluation.tables import Grid
from alpr.files import write_atomically
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import Scene
from alpr.plates.values import Fault, read_as
from alpr.reader.parts import PlateDetector
from alpr.reports.charts import Line, shares_picture

RECALL_EDGES_PX = (0, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""The lower edges of the curves' bins; the last has no upper one."""
READ_EDGES_PX = (0, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""The same for the narrowest plate that is read."""
SHARE = 0.9
"""Of a bin's plates that must be found and read."""
LEAST_PLATES = 10
"""A bin of fewer says nothing."""
_READ = "end_to_end_50"
TIMED_IMAGES = 20


class Share(NamedTuple):
    """Found plates of all, with their 95 % interval (`share_interval`); 0 to 1 where there is no plate."""

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


def recall_curve(records: Sequence[PlateRecord], input_px: int, detector_ms: float | None = None) -> WidthCurve:
    """The curve of the plates that were looked for at one input size."""
    pairs = [
        (r.input_width_px, (r.iou > FOUND_IOU, r.cluster))
        for r in records
        if r.input_width_px is not None and r.iou is not None
    ]
    bins = []
    for low, high in pairwise((*RECALL_EDGES_PX, None)):
        assert low is not None  # only the last upper edge is
        found = [hit for width, hit in pairs if low <= width and (high is None or width < high)]
        bins.append(WidthBin(low, high, _share(found)))
    return WidthCurve(input_px, _share([hit for _, hit in pairs]), tuple(bins), detector_ms)


def _share(found: Sequence[tuple[bool, str]]) -> Share:
    """Of (whether it was found, which plate it is)."""
    if not found:
        return Share(0, 0, 0.0, 1.0)
    values, clusters = zip(*found, strict=True)
    interval = share_interval(values, clusters)
    return Share(sum(values), len(values), interval.low, interval.high)


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


def curve_grid(curves: Sequence[WidthCurve]) -> Grid:
    """A row per width, a column per input size; bins that are empty at every size are left out."""
    rows = [
        (row[0].label, *(_cell(b.share) for b in row))
        for row in zip(*(c.bins for c in curves), strict=True)
        if any(b.share.plates for b in row)
    ]
    rows.append(("all plates", *(_cell(c.whole) for c in curves)))
    if any(c.detector_ms is not None for c in curves):
        times = ("-" if c.detector_ms is None else f"{c.detector_ms:.1f}" for c in curves)
        rows.append(("ms per image, measured beside", *times))
    header = ("width in the input, px", *(f"{c.input_px} px" for c in curves))
    return Grid("Recall by width of the plate", header, tuple(rows))


def curve_table(curves: Sequence[WidthCurve]) -> str:
    """The same in Markdown, without a title."""
    grid = curve_grid(curves)
    header, *rows = (f"| {' | '.join(row)} |" for row in (grid.header, *grid.rows))
    return "\n".join([header, "|---" * len(grid.header) + "|", *rows]) + "\n"


def _cell(share: Share) -> str:
    if not share.plates:
        return "-"
    interval = f"{100 * share.low:.0f} to {100 * share.high:.0f}"
    return f"{100 * share.found / share.plates:.1f} % of {share.plates}, {interval}"


def curve_svg(curves: Sequence[WidthCurve]) -> str:
    """The curves as an SVG picture: recall over width in even steps per bin, bars for the intervals."""
    filled = [i for i in range(len(RECALL_EDGES_PX)) if any(c.bins[i].share.plates for c in curves)]
    shown = range(min(filled), max(filled) + 1) if filled else range(0)
    series = {}
    for curve in curves:
        shares = [(step, curve.bins[i].share) for step, i in enumerate(shown) if curve.bins[i].share.plates]
        series[f"{curve.input_px} px"] = Line(
            [step for step, _ in shares],
            [100 * share.found / share.plates for _, share in shares],
            [(100 * share.low, 100 * share.high) for _, share in shares],
        )
    labels = [curves[0].bins[i].label for i in shown]
    return shares_picture(labels, series, title="Recall by width of the plate", x_label="plate width in the input, px")


def curves_of(data: Mapping[str, Any]) -> list[WidthCurve]:
    """The curves of a recall_by_width.json that was read.

    Raises:
        Fault: values of another form.
    """
    return list(read_as(_Curves, data, loose=(_Curves,)).curves)


@dataclass(frozen=True)
class _Curves:
    curves: tuple[WidthCurve, ...]


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


@dataclass(frozen=True)
class ReadBin:
    """The plates at least `low_px` and below `high_px` wide, and how many were found and read without a mistake."""

    low_px: int
    high_px: int | None
    plates: int
    read: int


@dataclass(frozen=True)
class Readable:
    """How wide a plate must be to be read.

    Attributes:
        width_px: the lower edge of the narrowest bin of which, and of every wider bin, at least `SHARE` of the plates
            were read; bins of fewer than `LEAST_PLATES` are passed over. None where there is no such bin.
        bins: those that hold a plate, narrowest first.
    """

    width_px: int | None
    bins: tuple[ReadBin, ...]

    @property
    def at(self) -> ReadBin | None:
        """The bin that `width_px` begins."""
        return next((b for b in self.bins if b.low_px == self.width_px), None)

    @property
    def narrower(self) -> bool:
        """Whether narrower plates were measured, enough of them to say that they are read worse."""
        return any(b.low_px < (self.width_px or 0) and b.plates >= LEAST_PLATES for b in self.bins)


@dataclass(frozen=True)
class ReadableWidths:
    """By the plates' width in the photograph, and in the detector's input, to which photographs are reduced."""

    image: Readable
    input: Readable

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a card's metrics."""
        return asdict(self)


def readable_widths(records: Sequence[PlateRecord]) -> ReadableWidths:
    """What the plates of an evaluation say; they need a place, a text and a reading by the detector's corners."""
    return ReadableWidths(
        _readable(records, lambda record: record.width_px), _readable(records, lambda record: record.input_width_px)
    )


def _readable(records: Sequence[PlateRecord], width: Callable[[PlateRecord], float | None]) -> Readable:
    outcomes = [
        (px, right)
        for record in records
        if (px := width(record)) is not None and (right := MEASURES[_READ](record)) is not None
    ]
    bins = []
    for low, high in pairwise((*READ_EDGES_PX, None)):
        assert low is not None  # only the last upper edge is
        inside = [right for px, right in outcomes if low <= px and (high is None or px < high)]
        if inside:
            bins.append(ReadBin(low, high, len(inside), sum(inside)))
    smallest = None
    for found in reversed(bins):
        if found.plates < LEAST_PLATES:
            continue
        if found.read < SHARE * found.plates:
            break
        smallest = found.low_px
    return Readable(smallest, tuple(bins))


def readable_from(metrics: Mapping[str, Any]) -> ReadableWidths | None:
    """What a card's metrics say; None where they do not, or in another form."""
    try:
        return read_as(ReadableWidths, metrics.get("readable"), loose=(ReadableWidths, Readable))
    except Fault:
        return None

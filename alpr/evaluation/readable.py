"""The narrowest plate that a bundle reads, from an evaluation: what a camera is chosen by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import pairwise
from typing import Any

from alpr.evaluation.outcomes import MEASURES, PlateRecord

EDGES_PX = (0, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""The bins' lower edges; the last has no upper one."""
SHARE = 0.9
"""Of a bin's plates that must be found and read."""
LEAST_PLATES = 10
"""A bin of fewer says nothing."""
_READ = "end_to_end_50"


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
    for low, high in pairwise((*EDGES_PX, None)):
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

    def one(entry: Mapping[str, Any]) -> Readable:
        bins = tuple(ReadBin(**b) for b in entry["bins"])
        numbers = [entry["width_px"], *(value for b in bins for value in astuple(b))]
        if any(type(value) is not int for value in numbers if value is not None):
            raise TypeError("a width or a count is no whole number")
        return Readable(entry["width_px"], bins)

    try:
        return ReadableWidths(one(metrics["readable"]["image"]), one(metrics["readable"]["input"]))
    except (KeyError, TypeError):
        return None

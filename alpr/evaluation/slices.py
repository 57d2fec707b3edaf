"""The figures by a property of the plate or of its image: its width, its country, its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from alpr.detection.metrics import DetectionMetrics
from alpr.evaluation.figures import MEASURES
from alpr.evaluation.outcomes import PlateRecord, Slice

WIDTHS_PX = (0, 20, 40, 80, 120, 160, 240)
HEIGHTS_PX = (0, 10, 15, 20, 30, 40, 60, 80)
TILTS_DEG = (0, 5, 10, 20, 30)
GREYS = (0, 40, 80, 120, 160, 200)
MAX_GROUPS = 40
UNKNOWN = "unknown"


def _bin(value: float | None, edges: Sequence[int], unit: str) -> str | None:
    if value is None:
        return None
    lower = max(edge for edge in edges if edge <= max(value, edges[0]))
    upper = next((edge for edge in edges if edge > lower), None)
    return f">= {lower} {unit}" if upper is None else f"{lower}-{upper} {unit}"


SLICES: Mapping[str, Callable[[PlateRecord], str | None]] = {
    "split": lambda r: r.split,
    "country": lambda r: r.country,
    "folder": lambda r: r.folder,
    "province": lambda r: r.province,
    "plate width": lambda r: _bin(r.width_px, WIDTHS_PX, "px"),
    "plate height": lambda r: _bin(r.height_px, HEIGHTS_PX, "px"),
    "brightness": lambda r: _bin(r.brightness, GREYS, "grey"),
    "tilt": lambda r: _bin(r.tilt_deg, TILTS_DEG, "deg"),
    "text length": lambda r: f"{len(r.text)} characters" if r.text else None,
}


def _group(name: str) -> Callable[[PlateRecord], str | None]:
    return lambda record: record.groups.get(name) or None


def slices_of(
    records: Sequence[PlateRecord],
    by_image: Mapping[tuple[str, str], DetectionMetrics] | None = None,
    chosen: Sequence[str] | None = None,
) -> tuple[Slice, ...]:
    """The figures by slice; a property of more than 40 values is left out, and one of one value that nobody chose.

    Args:
        by_image: the detection of the images for which a property has a value, by (property, value).
        chosen: the properties, in this order; None for all.
    """
    whole = by_image or {}
    slices = []
    keys = dict(SLICES)
    for name in sorted({name for record in records for name in record.groups} | {by for by, _ in whole} - set(keys)):
        keys[name] = _group(name)
    if chosen is not None:
        keys = {name: keys.get(name, _group(name)) for name in chosen}
    for by, key in keys.items():
        groups: dict[str, list[PlateRecord]] = {value: [] for name, value in whole if name == by}
        for record in records:
            value = key(record)
            groups.setdefault(UNKNOWN if value is None else value, []).append(record)
        if (1 if chosen is None else 0) < len(groups) <= MAX_GROUPS:
            for value, members in sorted(groups.items(), key=_natural):
                figures = _shares(members) | _image_figures(whole.get((by, value)))
                slices.append(Slice(by, value, len(members), figures))
    return tuple(slices)


def _image_figures(metrics: DetectionMetrics | None) -> dict[str, float]:
    if metrics is None:
        return {}
    return {name: value for name, value in asdict(metrics.compute()).items() if isinstance(value, float)}


def _natural(item: tuple[str, list[PlateRecord]]) -> tuple[bool, int, str]:
    digits = item[0].lstrip("> =").split("-")[0].split(" ")[0]
    return (item[0] == UNKNOWN, int(digits) if digits.isdecimal() else 0, item[0])


def _shares(records: Iterable[PlateRecord]) -> dict[str, float]:
    listed = list(records)
    shares = {}
    for name, measure in MEASURES.items():
        values = [v for r in listed if (v := measure(r)) is not None]
        if values:
            shares[name] = sum(values) / len(values)
    errors = [r.corner_error for r in listed if r.corner_error is not None]
    overlaps = [r.polygon_iou for r in listed if r.polygon_iou is not None]
    if errors:
        shares["corner_error_median"] = float(np.median(errors))
        shares["corner_error_p95"] = float(np.percentile(errors, 95))
        shares["polygon_iou"] = float(np.mean(overlaps))
    return shares

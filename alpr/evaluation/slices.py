"""The figures by a property of the plate or of its image: its width, its country, its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from alpr.data.manifest import Manifest
from alpr.detection.metrics import DetectionMetrics
from alpr.evaluation.figures import MEASURES
from alpr.evaluation.outcomes import PlateRecord, Slice

WIDTHS_PX = (0, 20, 40, 80, 120, 160, 240)
HEIGHTS_PX = (0, 10, 15, 20, 30, 40, 60, 80)
TILTS_DEG = (0, 5, 10, 20, 30)
GREYS = (0, 40, 80, 120, 160, 200)
MAX_GROUPS = 40
UNKNOWN = "unknown"
IMAGE_GROUPS = ("subset", "manifest")
"""Columns that say something of the whole image; `manifest` is the table that it stands in."""
TEXT_COLUMNS = ("note", "text", "image")
"""Columns of every table whose cells may be a slice; further ones are the table's own."""


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


def groups_of(manifest: Manifest, paths: Sequence[Path]) -> dict[Path, dict[str, str]]:
    """The subset, the note and, of several, the manifest of every image, by which the report is sliced."""
    columns = {"note": manifest.note, **{k: v for k, v in manifest.extra.items() if k == "subset"}}
    if len(paths) > 1:
        names = manifest_names(paths)
        columns["manifest"] = [names[int(i)] for i in manifest.folder_index]
    groups: dict[Path, dict[str, str]] = {}
    for row in range(manifest.rows):
        values = {name: column[row] for name, column in columns.items() if column[row]}
        if values:
            groups.setdefault(manifest.path(row), {}).update(values)
    return groups


def columns_of(manifest: Manifest, names: Sequence[str]) -> dict[Path, list[dict[str, str]]]:
    """The cells of each plate of an image in columns of the table."""
    of_plates = [name for name in names if name not in SLICES and name not in IMAGE_GROUPS]
    cells = {name: manifest.extra[name] if name in manifest.extra else getattr(manifest, name) for name in of_plates}
    columns: dict[Path, list[dict[str, str]]] = {}
    for row in range(manifest.rows) if cells else ():
        if manifest.plate(row) is not None:
            columns.setdefault(manifest.path(row), []).append({name: column[row] for name, column in cells.items()})
    return columns


def slices_named(asked: Sequence[str], manifest: Manifest) -> list[str]:
    """The properties of some names, in which `_` may stand for a space.

    Raises:
        ValueError: one that is neither a property of plates nor a column of the table.
    """
    known = [*SLICES, *IMAGE_GROUPS, *TEXT_COLUMNS, *manifest.extra]
    names = [name if name in known else name.replace("_", " ") for name in asked]
    for name in names:
        if name not in known:
            raise ValueError(f"slices has {name!r}; expected some of {', '.join(dict.fromkeys(known))}.")
    return list(dict.fromkeys(names))


def manifest_names(paths: Sequence[Path]) -> list[str]:
    """What tells manifests apart: the name of the folder, or as many of the last parts of the path as it takes."""
    parts = [path.absolute().parts for path in paths]
    folders = [path[-2] for path in parts]
    if len(set(folders)) == len(parts):
        return folders
    depth = next(n for n in range(2, max(map(len, parts)) + 1) if len({p[-n:] for p in parts}) == len(parts))
    return ["/".join(path[-depth:]) for path in parts]

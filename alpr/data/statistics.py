"""What a table of labelled plates holds, per split, and what a sample of its plates looks like."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.data.columns import Booleans, Floats
from alpr.data.fingerprints import Indices
from alpr.data.manifest import Manifest
from alpr.data.splitting import image_keys
from alpr.images.prepare import UnreadableImage, read_image, rectify, resize_crop
from alpr.plates.geometry import FlatQuad, box_corners, plate_height, plate_width
from alpr.plates.records import ImageArray

BINS = 40
CROP_PX = 48
"""The height at which brightness and sharpness are measured, and of the crops on sample sheets."""
WIDEST = 8.0
"""The most that a crop is wider than it is high, and one over it the least."""


class Spread(NamedTuple):
    """How a quantity is spread over n plates; NaN where there are none."""

    n: int
    mean: float
    least: float
    p05: float
    median: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: Floats) -> Spread:
        """The spread of values (N,); NaN values count for nothing."""
        known = values[np.isfinite(values)]
        if not len(known):
            return cls(0, *[math.nan] * 6)
        low, p05, median, p95, high = np.percentile(known, [0, 5, 50, 95, 100]).tolist()
        return cls(len(known), float(known.mean()), low, p05, median, p95, high)


class Bins(NamedTuple):
    """A histogram: len(counts) + 1 edges. Values beyond the outer edges lie in the outer bins."""

    edges: list[float]
    counts: list[int]

    @classmethod
    def of(cls, values: Floats, edges: Floats) -> Bins:
        """Of values (N,); NaN values count for nothing."""
        known = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
        return cls(edges.tolist(), np.histogram(known, edges)[0].tolist())

    @property
    def percentages(self) -> list[float]:
        total = sum(self.counts) or 1
        return [100 * count / total for count in self.counts]


@dataclass(frozen=True)
class Labels:
    """How completely the rows are labelled; every row is counted once, in the first line that fits."""

    whole: int  # corners and text
    box_and_text: int
    corners_only: int
    box_only: int
    text_only: int  # a ready-made crop
    ignored: int  # regions that are neither plate nor background
    no_plate: int  # images known to be empty


@dataclass(frozen=True)
class SplitStatistics:
    """What one split holds. Sizes are px, tilt is degrees, clockwise on the screen; shares are 0..1."""

    name: str
    rows: int
    images: int
    texts: int  # distinct
    repeated: int  # rows whose text stood in an earlier row of the split
    labels: Labels
    countries: Mapping[str, int]
    lengths: Mapping[int, int]
    characters: Mapping[str, int]
    regions: Mapping[str, int]
    spreads: Mapping[str, Spread]  # by quantity; those of `Look` only for the sample
    bins: Mapping[str, Bins]


class Look(NamedTuple):
    """What a plate looks like in its image.

    Attributes:
        crop: (48, w, 3) uint8 BGR, upright.
        share: the plate's area over the image's; NaN for a ready-made crop.
        brightness: the mean grey value of the crop, 0..255.
        sharpness: the variance of the Laplacian of the grey crop; below about 100 a plate looks blurred.
    """

    row: int
    crop: ImageArray
    share: float
    brightness: float
    sharpness: float


class Job(NamedTuple):
    """An image to look at: its path, and the rows of its plates with their corners (4, 2), or None for the image."""

    path: str
    plates: tuple[tuple[int, Floats | None], ...]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Every row's plate (N,): px and degrees, NaN where the table does not say."""

    width: Floats
    height: Floats
    tilt: Floats

    @classmethod
    def of(cls, manifest: Manifest) -> Geometry:
        """From the corners; without corners the size is the box's, and the tilt is unknown."""
        corners, box = manifest.corners, manifest.box
        along = corners[:, 1] + corners[:, 2] - corners[:, 0] - corners[:, 3]
        width, height = plate_width(corners), plate_height(corners)
        return cls(
            np.where(np.isnan(width), box[:, 2] - box[:, 0], width),
            np.where(np.isnan(height), box[:, 3] - box[:, 1], height),
            np.degrees(np.arctan2(along[:, 1], along[:, 0])),
        )


def ignored_rows(manifest: Manifest) -> Booleans:
    """Which rows (N,) are regions that are neither plate nor background."""
    return np.array([kind == "ignore" for kind in manifest.extra.get("kind", [""] * manifest.rows)], bool)


def regions_of(manifest: Manifest, characters: int = 1) -> list[str]:
    """The first characters of every text, with the country where the table has several; empty without a text."""
    several = len(set(manifest.country) - {""}) > 1
    prefix = [f"{c} " if several and c else "" for c in manifest.country]
    return [p + t[:characters] if t else "" for p, t in zip(prefix, manifest.text, strict=True)]


def statistics(
    manifest: Manifest, geometry: Geometry, looks: Sequence[Look] = (), region_characters: int = 1
) -> list[SplitStatistics]:
    """The statistics of every split, in the order train, val, test and then by name; "" is a split without a name.

    Args:
        looks: of a random sample of the rows.
    """
    n = manifest.rows
    seen = {name: np.full(n, math.nan) for name in ("share", "brightness", "sharpness")}
    for look in looks:
        for name, values in seen.items():
            values[look.row] = getattr(look, name)
    quantities = {"width": geometry.width, "height": geometry.height, "tilt": geometry.tilt, **seen}
    edges = {name: _edges(name, values) for name, values in quantities.items()}
    regions, ignored, keys = regions_of(manifest, region_characters), ignored_rows(manifest), image_keys(manifest)
    known = ("train", "val", "test")
    names = sorted(set(manifest.split), key=lambda s: (known.index(s) if s in known else len(known), s))
    splits = np.array(manifest.split, object)
    found = []
    for name in names:
        rows = np.flatnonzero(splits == name)
        plates = rows[~ignored[rows]]
        listed: list[int] = rows.tolist()
        texts = Counter(manifest.text[i] for i in listed if manifest.text[i])
        written = sum(texts.values())
        found.append(
            SplitStatistics(
                name,
                len(rows),
                len({keys[i] for i in listed}),
                len(texts),
                written - len(texts),
                _labels(manifest, rows, ignored[rows]),
                _ranked(Counter(manifest.country[i] for i in listed if manifest.country[i])),
                dict(sorted(_weighted((len(text), n) for text, n in texts.items()).items())),
                _ranked(_weighted((c, n) for text, n in texts.items() for c in text)),
                _ranked(Counter(regions[i] for i in listed if regions[i])),
                {q: Spread.of(values[plates]) for q, values in quantities.items()},
                {q: Bins.of(values[plates], edges[q]) for q, values in quantities.items()},
            )
        )
    return found


def _weighted(pairs: Any) -> Counter[Any]:
    counts: Counter[Any] = Counter()
    for key, n in pairs:
        counts[key] += n
    return counts


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _edges(name: str, values: Floats) -> Floats:
    """The same bins for every split: from 0 (tilt: the 1st percentile) to the 99th percentile."""
    known = values[np.isfinite(values)]
    if name == "brightness":
        return np.linspace(0, 256, 33)
    if not len(known):
        return np.linspace(0, 1, 2)
    first, last = np.percentile(known, [1, 99]) if name == "tilt" else (0.0, np.percentile(known, 99))
    return np.linspace(first, last if last > first else first + 1, BINS + 1)


def _labels(manifest: Manifest, rows: Indices, ignored: Booleans) -> Labels:
    corners = np.isfinite(manifest.corners[rows, 0, 0])
    box = np.isfinite(manifest.box[rows, 0])
    text = np.array([bool(manifest.text[i]) for i in rows.tolist()], bool)
    kinds = [corners & text, box & ~corners & text, corners & ~text, box & ~corners & ~text, text & ~corners & ~box]
    counted = [int((kind & ~ignored).sum()) for kind in kinds]
    skipped = int(ignored.sum())
    whole, box_text, corners_only, box_only, text_only = counted
    rest = len(rows) - sum(counted) - skipped
    return Labels(whole, box_text, corners_only, box_only, text_only, skipped, rest)


def random_rows(manifest: Manifest, per_split: int, seed: int = 0) -> list[int]:
    """Up to so many rows of every split that hold a plate to look at, drawn at random; the same for the same table."""
    rng = np.random.default_rng(seed)
    placed = np.isfinite(manifest.corners[:, 0, 0]) | np.isfinite(manifest.box[:, 0])
    plate = placed | np.array(list(map(bool, manifest.text)), bool)
    usable = np.flatnonzero(plate & ~ignored_rows(manifest))
    splits = np.array(manifest.split, object)[usable]
    chosen: list[int] = []
    for name in sorted(set(manifest.split)):
        rows = usable[splits == name]
        chosen += sorted(rng.permutation(rows)[:per_split].tolist())
    return chosen


def extreme_rows(values: Floats, among: Booleans, limit: int) -> list[int]:
    """The rows of the smallest values (N,) among some rows, in order; NaN values are none."""
    usable = np.flatnonzero(among & np.isfinite(values))
    ranked: list[int] = usable[np.argsort(values[usable], kind="stable")][:limit].tolist()
    return ranked


def jobs_for(manifest: Manifest, rows: Sequence[int]) -> list[Job]:
    """The images to open for some rows, each once."""
    jobs: dict[str, list[tuple[int, Floats | None]]] = {}
    for row in dict.fromkeys(rows):
        corners: Floats | None = manifest.corners[row]
        if np.isnan(manifest.corners[row]).any():
            box = manifest.box[row]
            corners = None if np.isnan(box).any() else np.asarray(box_corners(box), np.float64)
        jobs.setdefault(str(manifest.path(row)), []).append((row, corners))
    return [Job(path, tuple(plates)) for path, plates in jobs.items()]


def look_at(job: Job) -> list[Look] | str:
    """What an image's plates look like, or the sentence that says why it cannot be read."""
    try:
        image = read_image(job.path)
    except UnreadableImage as error:
        return str(error)
    found = []
    for row, corners in job.plates:
        if corners is None:
            crop = resize_crop(image, crop_size(image.shape[0], image.shape[1]))
            share = math.nan
        else:
            quad = corners.astype(np.float32)
            try:
                crop = rectify(image, quad, crop_size(float(plate_height(quad)), float(plate_width(quad))))
            except FlatQuad:
                continue
            share = float(cv2.contourArea(quad)) / (image.shape[0] * image.shape[1])
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        found.append(Look(row, crop, share, float(grey.mean()), float(cv2.Laplacian(grey, cv2.CV_64F).var())))
    return found


def crop_size(height: float, width: float) -> tuple[int, int]:
    """(height, width) px of a crop of the plate's own shape."""
    return CROP_PX, round(CROP_PX * min(max(width / max(height, 1e-6), 1 / WIDEST), WIDEST))

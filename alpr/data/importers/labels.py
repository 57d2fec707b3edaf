"""Labels gathered from a foreign format and made into a manifest: which are plates, and which cannot be used."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alpr.data.columns import Floats, ManifestError, Rejection, geometry_faults
from alpr.data.importers.corner_order import mend_order
from alpr.data.importers.places import ImageFiles
from alpr.data.manifest import Manifest

Numbers = Sequence[float]
IGNORED = "ignore"
_PLATE_WORDS = ("plate", "placa", "matricula", "kennzeichen", "nummernschild", "plaque", "targa", "车牌")
_PLATE_NAMES = {"lp", "anpr", "alpr", "license", "licence"}
_TEXT_NAMES = {
    *("text", "plate", "platetext", "platenumber", "number", "licenseplate", "licenceplate", "transcription", "ocr"),
    *("value", "registration", "lp", "lptext", "lpnumber", "string", "characters"),
}
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Wanted:
    """What to take from a data set, and where its photographs are."""

    classes: tuple[str, ...] = ()  # names of the classes that are plates; none: those whose name says so
    images: Path | None = None  # the photographs' folder, where it is not beside the labels
    label_is_text: bool = False  # a label is no class but what the plate prints
    keep_order: bool = False  # believe the corner order of the source
    country: str = ""  # of rows whose country is not given
    strict: bool = False  # raise at the first record that cannot be used


class Imported(NamedTuple):
    """A manifest and a sentence for everything that was left out, mended or decided on the way to it."""

    manifest: Manifest
    notes: tuple[str, ...] = ()


class _Record(NamedTuple):
    """One label, or one image without any."""

    file: str
    line: int
    image: str
    label: str | None
    text: str
    country: str
    split: str
    box: tuple[float, ...] | None
    corners: tuple[float, ...] | None  # 8 numbers
    extra: Mapping[str, str]
    empty: bool


@dataclass
class Labels:
    """Gathers labels; `finish` makes the manifest."""

    root: Path  # what the images of the manifest are relative to
    wanted: Wanted
    others_mean_empty: bool = True  # whether an image with only other classes is known to hold no plate
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # sentences said once, with how often they were true
    files: ImageFiles = field(init=False)
    _records: list[_Record] = field(default_factory=list)
    _rejected: list[Rejection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = ImageFiles(folder for folder in (self.wanted.images, self.root) if folder is not None)

    def add(
        self,
        file: Path,
        line: int,
        image: str | Path,
        *,
        label: str | None = None,
        text: str = "",
        country: str = "",
        split: str = "",
        box: Numbers | None = None,
        corners: Numbers | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Adds a plate, or an object of another class.

        Args:
            line: of the file, 0 where lines mean nothing.
            image: its path, or what the labels call it if it was not found.
            label: its class; None in formats that hold only plates.
            box: x1, y1, x2, y2 in px.
            corners: eight numbers in px, in any order of the corners.
        """
        self._records.append(
            _Record(
                str(file),
                line,
                self._name(image),
                label,
                text,
                country,
                split,
                None if box is None else tuple(box),
                None if corners is None else tuple(corners),
                extra or {},
                False,
            )
        )

    def add_empty(self, file: Path, image: str | Path, split: str = "") -> None:
        """Adds an image that is known to hold no plate."""
        self._records.append(_Record(str(file), 0, self._name(image), None, "", "", split, None, None, {}, True))

    def reject(self, file: Path, line: int, image: str | Path, reason: str) -> None:
        """Notes a record that cannot be used.

        Raises:
            ManifestError: under `strict`.
        """
        self._rejected.append(Rejection(str(file), line, self._name(image) if image else "", reason))
        if self.wanted.strict:
            raise ManifestError(f"{self._rejected[-1]}.")

    def located(self, name: str, *near: Path) -> str | Path:
        """The file of an image by its name, or the name itself where it is not found; that is counted."""
        found = self.files.find(name, *near)
        if found is None:
            self.counts["{n} images were not found; their names stand in the table as the labels give them."] += 1
            return name.replace("\\", "/")
        return found

    def _name(self, image: str | Path) -> str:
        if isinstance(image, str):
            return image
        relative = os.path.relpath(image, self.root)
        return image.resolve().as_posix() if relative.startswith("..") else relative.replace(os.sep, "/")

    def finish(self) -> Imported:
        """The manifest of what was gathered.

        Raises:
            ManifestError: not one usable label, or classes of which none is known to be plates.
        """
        records = self._of_plates()
        box, corners, faults = _numbers(records)
        if not self.wanted.keep_order:
            given = np.flatnonzero(np.isfinite(corners).all(axis=(1, 2)))
            mended = mend_order(corners[given])
            corners[given] = mended.corners
            self.notes += mended.notes()
        faults = geometry_faults(box, corners) | faults
        kept = self._without_faults(records, faults)
        self.notes += [text.replace("{n}", f"{n:,}") for text, n in self.counts.items()]
        if not kept:
            why = f" The first of {len(self._rejected):,} rejected: {self._rejected[0]}." if self._rejected else ""
            raise ManifestError(f"{self.root} holds no label that can be used.{why}")
        return Imported(self._manifest([records[i] for i in kept], box[kept], corners[kept]), tuple(self.notes))

    def _of_plates(self) -> list[_Record]:
        """The records of plates, and one for each image that holds only other things."""
        if self.wanted.label_is_text:
            return [r if r.label is None else r._replace(text=r.text or r.label) for r in self._records]
        found = Counter(r.label for r in self._records if r.label is not None)
        if not found:
            return self._records
        plates = self._plate_classes(found)
        left_out = {label: n for label, n in found.items() if label not in plates}
        if left_out:
            listed = ", ".join(f"{label} ({n:,})" for label, n in Counter(left_out).most_common(12))
            more = f" and {len(left_out) - 12} more classes" if len(left_out) > 12 else ""
            self.notes.append(f"Left out as no plates: {listed}{more}.")
        with_plates = {r.image for r in self._records if r.label is None or r.label in plates}
        kept: list[_Record] = []
        for r in self._records:
            if r.label is None or r.label in plates:
                kept.append(r)
            elif r.image not in with_plates and self.others_mean_empty:
                with_plates.add(r.image)
                kept.append(r._replace(box=None, corners=None, text="", extra={}, empty=True))
        return kept

    def _plate_classes(self, found: Counter[str]) -> set[str]:
        if self.wanted.classes:
            asked = {_plain(name) for name in self.wanted.classes}
            plates = {label for label in found if _plain(label) in asked}
        else:
            plates = {label for label in found if means_plate(label)}
            if not plates and len(found) == 1 and self.others_mean_empty:
                plates = set(found)
                self.notes.append(f"The only class, {next(iter(found))!r}, was taken for the plates.")
        if not plates:
            listed = ", ".join(f"{label} ({n:,})" for label, n in found.most_common(20))
            asked_for = f"; asked for {', '.join(self.wanted.classes)}" if self.wanted.classes else ""
            raise ManifestError(
                f"No class of {self.root} is known to be plates; found {listed}{asked_for}. Name them with --classes."
            )
        return plates

    def _without_faults(self, records: list[_Record], faults: Mapping[int, str]) -> list[int]:
        """The usable records; the others are listed, with the companions that share their image."""
        for i in sorted(faults):
            self._rejected.append(Rejection(records[i].file, records[i].line, records[i].image, faults[i]))
        if self._rejected and self.wanted.strict:
            raise ManifestError(f"{self._rejected[0]}.")
        spoilt = {r.image for r in self._rejected}
        seen: set[tuple[object, ...]] = set()
        kept: list[int] = []
        for i, r in enumerate(records):
            if i in faults:
                continue
            if r.image in spoilt:
                # A plate without a label would be learnt as background.
                reason = "another label of this image was left out"
                self._rejected.append(Rejection(r.file, r.line, r.image, reason))
                continue
            key = (r.image, r.box, r.corners, r.text)
            if key in seen:
                self.counts["{n} labels stood there twice and count once."] += 1
                continue
            seen.add(key)
            kept.append(i)
        return kept

    def _manifest(self, records: list[_Record], box: Floats, corners: Floats) -> Manifest:
        texts = [_SPACE.sub("", r.text) for r in records]
        spaced = sum(a != r.text for a, r in zip(texts, records, strict=True))
        if spaced:
            self.notes.append(f"{spaced:,} texts held spaces, which were taken out.")
        names = list(dict.fromkeys(name for r in records for name in r.extra))
        manifest = Manifest.of(
            self.root,
            [r.image for r in records],
            text=texts,
            country=["" if r.empty else r.country or self.wanted.country for r in records],
            box=box,
            corners=corners,
            split=[r.split for r in records],
            extra={name: [r.extra.get(name, "") for r in records] for name in names},
        )
        return replace(manifest, rejected=tuple(self._rejected))


def means_plate(label: str) -> bool:
    """Whether a class's name says that it is plates: it holds the word, in one of a few languages."""
    plain = _plain(label)
    return plain in _PLATE_NAMES or any(word in plain for word in _PLATE_WORDS)


def text_among(attributes: Mapping[str, object]) -> str:
    """The plate's text among the attributes of a label, by their names; "" where none is called so."""
    for name, value in attributes.items():
        if _plain(name) in _TEXT_NAMES and isinstance(value, str | int):
            return str(value)
    return ""


def country_among(attributes: Mapping[str, object]) -> str:
    """The value of an attribute `country`; "" where there is none."""
    return str(attributes.get("country") or "")


def hull(points: Numbers) -> list[float]:
    """The upright box around points x, y, x, y, ..."""
    return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]


def quad_or_hull(points: list[float]) -> tuple[list[float] | None, list[float] | None]:
    """The (box, corners) that a polygon x, y, x, y, ... says: corners if it has four, else the box around it."""
    if len(points) == 10 and points[:2] == points[8:]:
        points = points[:8]  # closed by its first point
    return (None, points) if len(points) == 8 else (hull(points), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _numbers(records: list[_Record]) -> tuple[Floats, Floats, dict[int, str]]:
    """The boxes (N, 4) and corners (N, 4, 2), NaN where there are none, and why some cannot be used."""
    n = len(records)
    box = np.array([r.box or (np.nan,) * 4 for r in records], dtype=np.float64).reshape(n, 4)
    flat = np.array([r.corners or (np.nan,) * 8 for r in records], dtype=np.float64).reshape(n, 8)
    faults: dict[int, str] = {}
    for what, values in (("box", box), ("corners", flat)):
        for i in np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
            given = getattr(records[i], what)
            if given is not None:
                shown = ", ".join(f"{v:g}" for v in given)
                faults.setdefault(i, f"the {what} hold {shown}; expected numbers")
                values[i] = np.nan
    for i, r in enumerate(records):
        if not (r.empty or r.box or r.corners or r.text):
            faults.setdefault(i, "the label holds neither box, corners nor text")
        if r.extra.get("kind") == IGNORED and not (r.box or r.corners):
            faults.setdefault(i, "the region to ignore has no place")
    return box, flat.reshape(n, 4, 2), faults

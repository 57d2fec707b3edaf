"""Labels gathered from a foreign format and made into a manifest: which are plates, and which cannot be used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alpr.data.columns import Floats, ManifestError, Rejection, geometry_faults
from alpr.data.importers.class_names import choose, plain
from alpr.data.importers.corner_order import mend_order
from alpr.data.importers.declared_sizes import Frame, place
from alpr.data.importers.places import ImageFiles, Picture, picture_of
from alpr.data.importers.texts import cleaned
from alpr.data.manifest import Manifest
from alpr.images.prepare import UnreadableImage

Numbers = Sequence[float]
IGNORED = "ignore"
_LONGEST_SIDE_PX = 1_000_000
_TEXT_NAMES = {
    *("text", "plate", "platetext", "platenumber", "number", "licenseplate", "licenceplate", "transcription", "ocr"),
    *("value", "registration", "lp", "lptext", "lpnumber", "string", "characters"),
}


@dataclass(frozen=True)
class Wanted:
    """What to take from a data set, and where its photographs are."""

    classes: tuple[str, ...] = ()  # names of the classes that are plates; none: those whose name says so
    images: Path | None = None  # the photographs' folder, where it is not beside the labels
    label_is_text: bool = False  # a label is no class but what the plate prints
    keep_order: bool = False  # believe the corner order of the source
    country: str = ""  # of rows whose country is not given
    strict: bool = False  # raise at the first record that cannot be used
    orientation: str = ""  # the answer for sizes that are declared swapped: stored or upright


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
    fault: str = ""  # why it cannot be used, if it is a plate


@dataclass
class Labels:
    """Gathers labels; `finish` makes the manifest."""

    root: Path  # what the images of the manifest are relative to
    wanted: Wanted
    others_mean_empty: bool = True  # whether an image with only other classes is known to hold no plate
    known_plates: tuple[str, ...] = ()  # classes that the format defines to be plates
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # sentences said once, with how often they were true
    files: ImageFiles = field(init=False)
    _records: list[_Record] = field(default_factory=list)
    _rejected: list[Rejection] = field(default_factory=list)
    _frames: dict[str, Frame] = field(default_factory=dict)
    _pictures: dict[str, Picture | None] = field(default_factory=dict)

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

    def add_fault(
        self, file: Path, line: int, image: str | Path, reason: str, *, label: str | None = None, split: str = ""
    ) -> None:
        """Adds a label that has no place or whose values are wrong: if its class is plates, its image is left out.

        Args:
            label: its class; None where it is not known to be something else than a plate.
        """
        record = _Record(str(file), line, self._name(image), label, "", "", split, None, None, {}, False, reason)
        self._records.append(record)

    def declare(self, image: str | Path, width: Any, height: Any, *, shares: bool = False) -> None:
        """Notes the size in px of the picture that an image's labels were drawn on; what is no size is passed over.

        Args:
            shares: labels were given as shares of that size.
        """
        try:
            frame = Frame(round(float(height)), round(float(width)), shares)
        except (TypeError, ValueError, OverflowError):
            return
        if min(frame[:2]) > 0 and max(frame[:2]) <= _LONGEST_SIDE_PX:
            self._frames.setdefault(self._name(image), frame)

    def size(self, image: str | Path) -> tuple[int, int] | None:
        """The (height, width) of an image as it is read; None where it is missing or no image."""
        picture = self._picture(self._name(image))
        return None if picture is None else picture[:2]

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
        labelled = {r.image for r in records if not r.empty}
        records = [r for r in records if not r.empty or r.image not in labelled]
        box, corners, faults = _numbers(records)
        images = [r.image for r in records]
        box, corners, misplaced, notes = place(
            box, corners, images, self._frames, self._picture, self.wanted.orientation
        )
        self.notes += notes
        faults |= misplaced
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

    def _picture(self, image: str) -> Picture | None:
        if image not in self._pictures:
            try:
                self._pictures[image] = picture_of(self.root / image)
            except UnreadableImage:
                self._pictures[image] = None
        return self._pictures[image]

    def _of_plates(self) -> list[_Record]:
        """The records of plates, and one for each image that holds only other things."""
        if self.wanted.label_is_text:
            return [r if r.label is None else r._replace(text=r.text or r.label) for r in self._records]
        found = Counter(r.label for r in self._records if r.label is not None)
        if not found:
            return self._records
        chosen = choose(found, self.wanted.classes, self.known_plates, self.root)
        self.notes += chosen.notes
        faulty = sum(bool(r.fault) and r.label is not None and r.label not in chosen.plates for r in self._records)
        if faulty:
            self.notes.append(f"{faulty:,} labels of other classes have no place or faults; that changes nothing.")
        with_plates = {r.image for r in self._records if r.label is None or r.label in chosen.plates}
        kept: list[_Record] = []
        for r in self._records:
            if r.label is None or r.label in chosen.plates:
                kept.append(r)
            elif r.image not in with_plates and r.label in chosen.showing:
                kept.append(r._replace(fault=f"it has a label {r.label!r}, but none of the plate that this shows"))
            elif r.image not in with_plates and self.others_mean_empty:
                kept.append(r._replace(box=None, corners=None, text="", extra={}, empty=True, fault=""))
        return kept

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
                if not r.empty:
                    self.counts["{n} labels stood there twice and count once."] += 1
                continue
            seen.add(key)
            kept.append(i)
        return kept

    def _manifest(self, records: list[_Record], box: Floats, corners: Floats) -> Manifest:
        texts, notes = cleaned([r.text for r in records])
        self.notes += notes
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


def text_among(attributes: Mapping[str, object]) -> str:
    """The plate's text among the attributes of a label, by their names; "" where none is called so."""
    for name, value in attributes.items():
        if is_text_name(name) and isinstance(value, str | int):
            return str(value)
    return ""


def is_text_name(name: str) -> bool:
    """Whether an attribute or a column is called as texts are."""
    return plain(name) in _TEXT_NAMES


def country_among(attributes: Mapping[str, object]) -> str:
    """The value of an attribute `country`; "" where there is none."""
    return str(attributes.get("country") or "")


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
        if r.fault:
            faults[i] = r.fault
        if not (r.empty or r.box or r.corners or r.text):
            faults.setdefault(i, "the label holds neither box, corners nor text")
        if r.extra.get("kind") == IGNORED and not (r.box or r.corners):
            faults.setdefault(i, "the region to ignore has no place")
    return box, flat.reshape(n, 4, 2), faults

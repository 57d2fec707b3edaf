"""Predictions as they are released: one JSON line per image, in the form of `alpr predict`.

{"image": "val/a.jpg", "plates": [{"corners": [[x, y] x 4], "box": [x1, y1, x2, y2], "score": 0.9, "text": "...",
"text_score": 0.8}]}

Any system's predictions can be written so, and are scored by the same command as ours. Of `corners` and `box` one is
enough; without `text` nothing was read. `error` says why an image has no plates. An evaluation adds `labelled`: what
was read inside the labelled corners and the labelled box, which a system that only detects and reads leaves out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from alpr.data.ccpd import decode_names
from alpr.files import LIST_BYTES, open_regular_text, write_atomically
from alpr.plates.charset import replaced
from alpr.plates.geometry import box_corners, corner_box
from alpr.plates.records import Detection, FloatArray, PlateReading, Reading
from alpr.plates.values import Fault, expect, read_as

if TYPE_CHECKING:
    from alpr.images.photograph import Photograph
    from alpr.reader.reader import Reader, TimedReading

NOT_READ = Reading("", 0.0, ())


class PredictionsError(ValueError):
    """A file of predictions that cannot be used; the sentence names the line and what was expected."""


class Labelled(NamedTuple):
    """What was read inside the label of a plate: by "corners" or "box" of the image's n-th labelled plate, or of
    an "image" that is a ready-made crop."""

    plate: int
    by: str
    reading: Reading


@dataclass(frozen=True)
class Predicted:
    """What a system found and read in one image.

    Attributes:
        image: its path, as the file has it.
        plates: in the file's order.
        ms: milliseconds by stage.
        line: in the file, from 1; 0 where there was none.
    """

    image: str
    plates: tuple[PlateReading, ...] = ()
    labelled: tuple[Labelled, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    line: int = 0


def reading_record(reading: Reading, more: tuple[str, ...] = (), top: int = 0) -> dict[str, Any]:
    """A reading as it stands in a JSON line.

    Args:
        more: further keys: rule, raw_text, certain, alternatives, country, country_score, kind, kind_score, rows,
            state.
        top: how many alternatives.
    """
    further = {
        "rule": reading.rule,
        "raw_text": reading.raw_text,
        "certain": reading.certain,
        "alternatives": [{"text": text, "text_score": round(math.exp(p), 4)} for text, p in reading.alternatives(top)],
        "country": reading.country,
        "country_score": None if reading.country_score is None else round(reading.country_score, 4),
        "kind": reading.kind,
        "kind_score": None if reading.kind_score is None else round(reading.kind_score, 4),
        "state": reading.state,
        "rows": None if reading.cut is None else 2 if reading.cut else 1,
    }
    return {
        "text": reading.text,
        "text_score": round(reading.score, 4),
        "characters": [round(p, 4) for p in reading.characters],
        **({"character_boxes": [list(box) for box in reading.boxes]} if reading.boxes else {}),
        **{key: further[key] for key in more},
    }


def plate_record(plate: PlateReading, more: tuple[str, ...] = (), top: int = 0) -> dict[str, Any]:
    """A plate as it stands in a JSON line; hundredths of a pixel are finer than any label."""
    detection = plate.detection
    return {
        "corners": _rounded(detection.corners),
        "box": _rounded(detection.box),
        "score": round(detection.score, 4),
        **reading_record(plate.reading, more, top),
    }


def _rounded(points: FloatArray) -> Any:
    # through float64: a float32 prints as 199.50999450683594
    return np.round(points.astype(np.float64), 2).tolist()


def image_record(image: str, read: TimedReading, more: tuple[str, ...] = (), top: int = 0) -> dict[str, Any]:
    """An image that was read, as it stands in a JSON line of `alpr predict`.

    Args:
        image: what it is called.
        more, top: see `reading_record`.
    """
    height, width = read.photograph.size
    return {
        "image": image,
        "width": width,
        "height": height,
        **damage(read.photograph),
        "plates": [plate_record(plate, more, top) for plate in read.plates],
        "ms": {stage: round(spent, 2) for stage, spent in read.ms._asdict().items()},
    }


def crop_record(
    image: str, photograph: Photograph, reading: Reading, more: tuple[str, ...] = (), top: int = 0
) -> dict[str, Any]:
    """A ready-made crop that was read, as it stands in a JSON line of `alpr read`."""
    return {"image": image, **damage(photograph), **reading_record(reading, more, top)}


def damage(photograph: Photograph) -> dict[str, bool]:
    """The record's further key where a part of the picture is missing from its file."""
    return {"damaged": True} if photograph.damaged else {}


def head_keys(reader: Reader) -> tuple[str, ...]:
    """The record's further keys where the recogniser names country, kind or rows, or says what it cannot read."""
    keys = {"countries": ("country", "country_score"), "kinds": ("kind", "kind_score"), "rows": ("rows",)}
    settings = reader.recogniser.settings
    says = ("state",) if settings.unread or settings.unreadable_below else ()
    return (*(key for output in settings.outputs for key in keys[output]), *says)


def predicted_record(predicted: Predicted) -> dict[str, Any]:
    """An image as it stands in a JSON line."""
    if predicted.error:
        return {"image": predicted.image, "error": predicted.error}
    record: dict[str, Any] = {
        "image": predicted.image,
        "plates": [plate_record(p, _changed(p.reading)) for p in predicted.plates],
        "ms": {stage: round(ms, 2) for stage, ms in predicted.ms.items()},
    }
    if predicted.labelled:
        record["labelled"] = [
            {"plate": one.plate, "by": one.by, **reading_record(one.reading, _changed(one.reading))}
            for one in predicted.labelled
        ]
    return record


def _changed(reading: Reading) -> tuple[str, ...]:
    return () if reading.raw_text is None else ("raw_text",)


def write_predictions(predictions: Sequence[Predicted], path: Path) -> None:
    """Writes predictions, a line per image, whole or not at all.

    Raises:
        NotWritten: a full disk, or a folder that may not be written to.
    """
    records = (json.dumps(predicted_record(p), ensure_ascii=False, allow_nan=False) + "\n" for p in predictions)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (record.encode() for record in records))


def read_predictions(path: Path) -> list[Predicted]:
    """The predictions of a file, in its order.

    Raises:
        PredictionsError: a line that is not of the form, or an image given twice; the sentence names the line.
        OSError: a file that cannot be read.
    """
    predictions: list[Predicted] = []
    first: dict[str, int] = {}
    with open_regular_text(path, LIST_BYTES, encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    try:
                        predicted = _predicted(line, number)
                    except PredictionsError as error:
                        raise PredictionsError(f"{path}, line {number}: {error}") from error
                    if first.setdefault(predicted.image, number) != number:
                        already = f"{predicted.image} is given already on line {first[predicted.image]}"
                        raise PredictionsError(f"{path}, line {number}: {already}.")
                    predictions.append(predicted)
        except UnicodeDecodeError as error:
            raise PredictionsError(f"{path}, line {len(predictions) + 1} or later is no text in UTF-8.") from error
    if not predictions:
        raise PredictionsError(f"{path} is empty; expected a JSON object per line, an image each.")
    return predictions


def with_replaced(predictions: Sequence[Predicted], replace_by: Mapping[str, str]) -> list[Predicted]:
    """Predictions whose texts have characters put in place of others, see `charset.replaced`."""

    def of(reading: Reading) -> Reading:
        return replace(reading, text=replaced(reading.text, replace_by))

    return [
        replace(
            one,
            plates=tuple(replace(plate, reading=of(plate.reading)) for plate in one.plates),
            labelled=tuple(label._replace(reading=of(label.reading)) for label in one.labelled),
        )
        for one in predictions
    ]


Point = tuple[float, float]


@dataclass(frozen=True)
class _Read:
    """A reading in a JSON line; `text` null where nothing was read."""

    text: str | None = None
    text_score: float | None = None
    characters: tuple[float, ...] = ()
    raw_text: str | None = None

    def __post_init__(self) -> None:
        score = self.text_score
        expect(score is None or 0 <= score <= 1, "text_score", score, "a number from 0 to 1")

    @property
    def reading(self) -> Reading:
        score = float(bool(self.text)) if self.text_score is None else self.text_score
        return Reading(self.text or "", score, self.characters, raw_text=self.raw_text)


@dataclass(frozen=True, kw_only=True)
class _Plate(_Read):
    """A plate in a JSON line; of corners and box one is enough."""

    score: float
    corners: tuple[Point, Point, Point, Point] | None = None
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corners is None and self.box is None:
            raise ValueError("corners and box are missing; expected one of them.")

    @property
    def plate(self) -> PlateReading:
        corners = box_corners(np.array(self.box)) if self.corners is None else np.array(self.corners)
        box = corner_box(corners) if self.box is None else np.array(self.box)
        found = Detection(corners.astype(np.float32), box.astype(np.float32), self.score)
        return PlateReading(found, self.reading)


@dataclass(frozen=True, kw_only=True)
class _Labelled(_Read):
    """What was read inside a label: of the image's plate number `plate`, from 0."""

    plate: int
    by: str

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(self.plate >= 0, "plate", self.plate, "the place of the plate in its image, from 0")
        expect(self.by in ("corners", "box", "image"), "by", self.by, "corners, box or image")


@dataclass(frozen=True)
class _Line:
    """An image in a JSON line."""

    image: str
    plates: tuple[_Plate, ...] | None = None
    labelled: tuple[_Labelled, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    def __post_init__(self) -> None:
        expect(bool(self.image), "image", self.image, "the path of an image")
        if not self.error and self.plates is None:
            raise ValueError("plates is missing; expected a list, empty where nothing was found.")
        expect(all(ms >= 0 for ms in self.ms.values()), "ms", self.ms, "milliseconds by stage")


def _predicted(line: str, number: int) -> Predicted:
    try:
        found = read_as(_Line, json.loads(line), whole="the line", loose=(_Line, _Plate, _Labelled))
    except json.JSONDecodeError as error:
        raise PredictionsError(f"this is no JSON ({error.msg} at character {error.pos + 1}).") from error
    except (Fault, RecursionError) as error:
        raise PredictionsError(str(error)) from error
    labelled = tuple(Labelled(one.plate, one.by, one.reading) for one in found.labelled)
    return Predicted(found.image, tuple(p.plate for p in found.plates or ()), labelled, found.ms, found.error, number)


class Assigned(NamedTuple):
    """The predictions of a set of images: by image, the images without one, and the lines that no image has."""

    by_image: dict[Path, Predicted]
    missing: list[Path]
    unused: list[Predicted]


def assigned(predictions: Sequence[Predicted], images: Mapping[Path, str]) -> Assigned:
    """Which prediction is whose.

    A line is an image's when one path ends with the other: the line's path with the manifest's entry, or the image's
    whole path with the line's. Of several lines the one with the most folders in common is taken. A line serves several
    images only where they are copies of one photograph, as in CCPD, whose names hold the whole label.

    Args:
        images: the manifest's entry by absolute path.

    Raises:
        PredictionsError: two lines that fit an image equally well, or a line that fits two photographs.
    """
    by_name: dict[str, list[tuple[tuple[str, ...], Predicted]]] = {}
    for predicted in predictions:
        parts = PurePosixPath(predicted.image.replace("\\", "/")).parts
        by_name.setdefault(parts[-1] if parts else "", []).append((parts, predicted))
    claims: dict[str, list[tuple[int, Path, Predicted]]] = {}
    for image, entry in images.items():
        whole, inner = image.parts, PurePosixPath(entry).parts
        fitting = [
            (shared, predicted)
            for parts, predicted in by_name.get(image.name, ())
            if (shared := _shared(parts, whole)) == len(parts) or _shared(parts, inner) == len(inner)
        ]
        if fitting:
            most = max(shared for shared, _ in fitting)
            best = [predicted for shared, predicted in fitting if shared == most]
            if len(best) > 1:
                raise PredictionsError(f"Lines {best[0].line} and {best[1].line} both fit {image}; expected one.")
            claims.setdefault(best[0].image, []).append((most, image, best[0]))
    found = {image: predicted for claim in claims.values() for image, predicted in _served(claim)}
    missing = [image for image in images if image not in found]
    return Assigned(found, missing, [p for p in predictions if p.image not in claims])


def _served(claim: Sequence[tuple[int, Path, Predicted]]) -> list[tuple[Path, Predicted]]:
    """The images of those that one line fits to which it belongs."""
    if len(claim) > 1 and decode_names([claim[0][1].name]).rejected:  # the name does not say which photograph it is
        most = max(shared for shared, _, _ in claim)
        claim = [one for one in claim if one[0] == most]
        if len(claim) > 1:
            (_, one, predicted), (_, other, _) = claim[:2]
            raise PredictionsError(f"Line {predicted.line} ({predicted.image}) fits both {one} and {other}.")
    return [(image, predicted) for _, image, predicted in claim]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many last parts two paths share."""
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        n += 1
    return n

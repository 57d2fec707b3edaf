"""What a model says against the labels: other texts, other corners, and plates that nobody labelled."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alpr.doctor.findings import Finding, finding
from alpr.doctor.images import FactsCache, file_key
from alpr.doctor.table import DoctorTable
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.geometry import box_iou, corner_box, plate_height
from alpr.plates.records import FloatArray, Reading
from alpr.reader.reader import Reader
from alpr.reports.progress import progress_bar


@dataclass(frozen=True)
class ModelLimits:
    """From where on a model contradicts.

    Attributes:
        text_score: of the reading.
        score: of the detection.
        corner_error: the mean distance of the corners / plate height.
        same_plate: the hull IoU from which on a detection is the labelled plate; for a plate that nobody labelled
            the share of the detection's hull that labels may cover.
    """

    text_score: float = 0.9
    score: float = 0.3
    corner_error: float = 0.25
    same_plate: float = 0.3


@dataclass(frozen=True)
class ModelAnswer:
    """What a model says about one image.

    Attributes:
        found: (P, 8 + 1) corners and score of every detection.
        texts: of the detections, with their scores.
        read: the reading at every labelled place, in the order of the rows.
    """

    found: FloatArray
    texts: list[tuple[str, float]]
    read: list[tuple[str, float]]


def consult(
    reader: Reader, table: DoctorTable, cache: FactsCache, limits: ModelLimits | None = None, country: str | None = None
) -> tuple[list[Finding], dict[int, tuple[str, float]]]:
    """Where a model contradicts the labels, and its reading of every row that has one.

    A text is compared where the row's country is the model's, or unknown and written in the model's alphabet.
    An image that cannot be read is passed over. Answers are kept in the cache by image, labels and model.
    """
    limits = limits or ModelLimits()
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(table.paths):
        if path:
            rows[path].append(i)
    found: list[Finding] = []
    readings: dict[int, tuple[str, float]] = {}
    with progress_bar("images") as progress:
        for path, group in progress.track(rows.items(), description="reading with the model"):
            answer = _answer(reader, table, path, group, cache)
            if answer is not None:
                readings.update({i: r for i, r in zip(group, answer.read, strict=True) if r[0]})
                found += _contradictions(table, group, answer, limits)
    found += _texts(reader, table, readings, limits, country)
    return found, readings


def _answer(reader: Reader, table: DoctorTable, path: str, rows: list[int], cache: FactsCache) -> ModelAnswer | None:
    quads = [table.quad(i) for i in rows]
    labels = hashlib.sha256(b"".join(b"-" if q is None else q.tobytes() for q in quads)).hexdigest()[:16]
    model = reader.card.detector_file.sha256[:12] + reader.card.recogniser_file.sha256[:12] if reader.card else "parts"
    key = f"model {model} {labels} {file_key(path)}"
    if key not in cache.known or model == "parts":
        try:
            image = read_image(path)
        except UnreadableImage:
            return None
        if len(rows) == 1 and quads[0] is None and table.text[rows[0]].strip():  # a ready-made crop
            plates = []
            read: list[Reading | None] = [*reader.recogniser.read([image])]
        else:
            plates = reader(image)
            placed = iter(reader.recogniser.read_plates(image, [q.astype(np.float32) for q in quads if q is not None]))
            read = [None if q is None else next(placed) for q in quads]
        places = [[*p.detection.corners.ravel().tolist(), p.detection.score] for p in plates]
        texts = [(p.reading.text, p.reading.score) for p in plates]
        cache.add([(key, [places, texts, [("", 0.0) if r is None else (r.text, r.score) for r in read]])])
    known_places, known_texts, known_read = cache.known[key]
    return ModelAnswer(
        np.array(known_places, np.float64).reshape(-1, 9),
        [(text, score) for text, score in known_texts],
        [(text, score) for text, score in known_read],
    )


def _contradictions(table: DoctorTable, rows: Sequence[int], answer: ModelAnswer, limits: ModelLimits) -> list[Finding]:
    placed = [(i, quad) for i in rows if (quad := table.quad(i)) is not None]
    hulls = corner_box(np.stack([quad for _, quad in placed])) if placed else np.empty((0, 4))
    found = []
    for place, (text, _) in zip(answer.found, answer.texts, strict=True):
        corners, score = place[:8].reshape(4, 2), float(place[8])
        if score < limits.score:
            continue
        box = corner_box(corners)
        overlaps = box_iou(box[None], hulls)[0]
        best = int(overlaps.argmax()) if len(overlaps) else -1
        if best >= 0 and overlaps[best] > limits.same_plate:
            i, quad = placed[best]
            if np.isfinite(table.corners[i]).all() and table.is_plate(i):
                error = float(np.linalg.norm(corners - quad, axis=1).mean() / max(1e-6, float(plate_height(quad))))
                if error > limits.corner_error:
                    message = f"The model's corners (score {score:.2f}) are {error:.2f} plate heights away."
                    found.append(finding(table, i, "model-corners", message, score=error * score, place=place[:8]))
        elif _covered(box, hulls) <= limits.same_plate:
            x, y = corners.mean(axis=0)
            size = f"{box[2] - box[0]:.0f}x{box[3] - box[1]:.0f} px"
            message = f"A plate of {size} at ({x:.0f}, {y:.0f}), score {score:.2f}, read {text!r}: nobody labelled it."
            found.append(finding(table, rows[0], "model-unlabelled", message, score=score, place=place[:8]))
    return found


def _covered(box: FloatArray, hulls: FloatArray) -> float:
    """The largest share of a box that one of the hulls covers."""
    if not len(hulls):
        return 0.0
    shared = np.clip(np.minimum(box[2:], hulls[:, 2:]) - np.maximum(box[:2], hulls[:, :2]), 0, None).prod(axis=1)
    return float(shared.max() / max(1e-6, float((box[2:] - box[:2]).prod())))


def _texts(
    reader: Reader,
    table: DoctorTable,
    readings: dict[int, tuple[str, float]],
    limits: ModelLimits,
    override: str | None,
) -> list[Finding]:
    symbols = reader.recogniser.symbols
    home = reader.card.country.code if reader.card else ""
    found = []
    foreign: defaultdict[str, int] = defaultdict(int)
    for i, (text, score) in readings.items():
        label = table.text[i].strip()
        country = override or table.country[i]
        if not label or not table.is_plate(i) or text == label or score < limits.text_score:
            continue
        if (country and country != home) or not set(label) <= symbols:
            foreign[country] += 1
            continue
        message = f"The label is {label!r}; the model reads {text!r} with {score:.3f}."
        found.append(finding(table, i, "model-text", message, score=score, reading=text))
    for country, count in sorted(foreign.items()):
        message = (
            f"{count:,} texts of {country or 'no country'} were not compared: the model knows {home or 'other'} plates."
        )
        found.append(Finding("country-unknown", message))
    return found

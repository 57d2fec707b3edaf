"""Predictions under a protocol: which rows count, and what became of every plate of a scene.

Only names, labels and predictions are needed, no image. An evaluation over images matches here too, by the protocol
`plain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from alpr.data.corrections import Correction, correction_of
from alpr.data.manifest import Manifest
from alpr.detection.metrics import FOUND_IOU, Match, corner_error, match_boxes, quad_iou, true_box, true_hull
from alpr.evaluation.outcomes import PlateRecord
from alpr.evaluation.plate_properties import labelled_height, labelled_width, tilt_deg
from alpr.evaluation.protocols.rules import DetectionRule, Protocol
from alpr.plates.geometry import box_iou, corner_box
from alpr.plates.records import FloatArray, Plate, PlateReading, Reading, Scene
from alpr.reader.predictions import NOT_READ, Predicted
from alpr.recognition.metrics import equal_beyond


class Selected(NamedTuple):
    """The rows of a manifest that count under a protocol, and the number of those left out for their plate."""

    rows: list[int]
    in_training: int


def selected_rows(protocol: Protocol, manifest: Manifest, trained: frozenset[str] | None) -> Selected:
    """The rows that count.

    Args:
        trained: the texts of the plates that training has seen; None where that is not known.

    Raises:
        ValueError: the protocol leaves out plates of training and those are not known, or no row counts.
    """
    if protocol.plates == "not_in_training" and trained is None:
        raise ValueError(
            f"The protocol {protocol.name} leaves out the plates of training, and no training row is known; "
            f"give data.train=LIST or TABLE."
        )
    apart = trained if protocol.plates == "not_in_training" and trained is not None else frozenset()
    subsets = manifest.extra.get("subset", [""] * manifest.rows)
    counted = [row for row in range(manifest.rows) if protocol.column_of(subsets[row], manifest.split[row]) is not None]
    rows = [row for row in counted if manifest.text[row] not in apart]
    if not rows:
        columns = ", ".join(f"{c.subset or 'any subset'} {'/'.join(c.splits)}".strip() for c in protocol.columns)
        raise ValueError(f"No row counts under the protocol {protocol.name}; it counts {columns}.")
    return Selected(rows, len(counted) - len(rows))


def records_of(
    protocol: Protocol,
    scene: Scene,
    predicted: Predicted,
    *,
    image: str = "",
    column: str = "",
    corrections: Sequence[Correction] = (),
) -> list[PlateRecord]:
    """What became of the plates of a scene that have a place and are not ignored; of a ready-made crop's one plate.

    Args:
        image: the name in the records.
        column: of the protocol.
        corrections: of wrong labels.
    """
    of_image = protocol.recognition.crop == "image"
    counted = [(i, p) for i, p in enumerate(scene.plates) if not p.ignored]
    plates = counted if of_image else [(i, p) for i, p in counted if true_hull(p) is not None]
    pairs = {} if of_image else {m.plate: m for m in _pairs(protocol, predicted.plates, [p for _, p in plates])}
    by_label = {(one.plate, one.by): one.reading for one in predicted.labelled}
    measured = protocol.detection is not None or protocol.recognition.crop == "detection"
    missing = NOT_READ if protocol.missing == "wrong" else None
    records = []
    for place, (index, plate) in enumerate(plates):
        match = pairs.get(place)
        record = replace(labelled_record(scene, index, image, corrections), column=column)
        if measured:
            record = replace(record, iou=0.0 if match is None else match.iou)
        if plate.text:
            record = replace(
                record,
                on_crop=by_label.get((index, "image"), missing) if of_image else None,
                on_true_corners=by_label.get((index, "corners")),
                on_predicted_corners=missing if match is None else predicted.plates[match.detection].reading,
                on_box=by_label.get((index, "box")),
            )
        records.append(record if match is None else _measured(record, plate, predicted.plates[match.detection], match))
    return records


def labelled_record(scene: Scene, index: int, image: str, corrections: Sequence[Correction] = ()) -> PlateRecord:
    """What the label of a plate says.

    Args:
        image: the name in the record.
        corrections: of wrong labels.
    """
    plate = scene.plates[index]
    correction = correction_of(corrections, scene.image, plate)
    return PlateRecord(
        image=image,
        index=index,
        folder=PurePosixPath(image).parent.as_posix(),
        text=plate.text,
        audited=None if correction is None else correction.correction,
        split=scene.split,
        country=plate.country,
        kind=plate.kind,
        width_px=labelled_width(plate),
        height_px=labelled_height(plate),
        tilt_deg=None if plate.corners is None else tilt_deg(plate.corners),
    )


def _measured(record: PlateRecord, plate: Plate, found: PlateReading, match: Match) -> PlateRecord:
    """The record with the score and the corners' error of a detection that finds the plate."""
    if not match.iou > FOUND_IOU:
        return record
    detection = found.detection
    record = replace(record, detection_score=float(detection.score))
    if plate.corners is None:
        return record
    error, overlap = corner_error(detection.corners, plate.corners), quad_iou(detection.corners, plate.corners)
    return replace(record, corner_error=error, polygon_iou=overlap)


def reading_of(protocol: Protocol, record: PlateRecord) -> Reading | None:
    """The reading that counts under a protocol; an empty text where nothing was found."""
    by_crop = {
        "detection": record.on_predicted_corners, "corners": record.on_true_corners, "box": record.on_box,
        "image": record.on_crop,
    }  # fmt: skip
    return by_crop[protocol.recognition.crop]


def without_reading(protocol: Protocol, record: PlateRecord) -> PlateRecord:
    """The record without the reading that counts under a protocol."""
    crop = protocol.recognition.crop
    return replace(
        record,
        on_predicted_corners=None if crop == "detection" else record.on_predicted_corners,
        on_true_corners=None if crop == "corners" else record.on_true_corners,
        on_box=None if crop == "box" else record.on_box,
        on_crop=None if crop == "image" else record.on_crop,
    )


def is_detected(protocol: Protocol, record: PlateRecord) -> bool | None:
    """Whether a plate counts as found in a figure of detection; None where the protocol measures none."""
    rule = protocol.detection
    return None if rule is None or record.iou is None else record.iou > rule.iou


def is_found(protocol: Protocol, record: PlateRecord) -> bool:
    """Whether a plate counts as found where a miss is explained; a crop by the label asks for no detection."""
    return protocol.recognition.crop != "detection" or (record.iou or 0.0) > protocol.found_iou


def is_right(protocol: Protocol, record: PlateRecord) -> bool | None:
    """Whether a plate counts as read; None where it does not count."""
    rule, reading = protocol.recognition, reading_of(protocol, record)
    if reading is None:
        return None
    if rule.iou is not None and not (record.iou or 0.0) > rule.iou:
        return False
    return equal_beyond(record.text or "", reading.text, 1 if rule.characters == "without_province" else 0)


def label_place(rule: DetectionRule | None, plate: Plate) -> FloatArray | None:
    """The upright box of a plate that a rule compares, (4,) px."""
    return true_hull(plate) if rule is not None and rule.label == "hull" else true_box(plate)


def _pairs(protocol: Protocol, found: Sequence[PlateReading], plates: Sequence[Plate]) -> list[Match]:
    """Which detection counts for which plate: indices into both."""
    rule = protocol.detection
    true = np.array([label_place(rule, plate) for plate in plates], np.float64).reshape(-1, 4)
    hull = rule is not None and rule.detection == "hull"
    boxes = np.array([corner_box(p.detection.corners) if hull else p.detection.box for p in found], np.float64)
    boxes = boxes.reshape(-1, 4)
    chosen = list(range(len(found)))
    if protocol.ties == "worst":
        overlap = np.nan_to_num(box_iou(boxes, true), nan=0.0).max(axis=1, initial=0.0)
        chosen.sort(key=lambda i: float(overlap[i]))
    if protocol.candidates == "best":
        chosen.sort(key=lambda i: -found[i].detection.score)  # stable: equal scores keep the order of the ties
        chosen = chosen[: len(plates)]
    pairs = [m._replace(detection=chosen[m.detection]) for m in match_boxes(boxes[chosen], true)]
    if protocol.recognition.iou is None and len(plates) == len(chosen) == 1 and not pairs:
        return [Match(0, chosen[0], 0.0)]  # without an IoU the best box is read wherever it lies
    return pairs

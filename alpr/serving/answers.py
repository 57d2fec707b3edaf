"""Readings in the shapes that clients of other servers parse.

Sources: the API of CodeProject.AI's ALPR module (`/v1/image/alpr`), Plate Recognizer's Snapshot API
(`/v1/plate-reader/`), OpenALPR's cloud API 2 and 3 (`/v2/recognize`).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from alpr.plates.records import PlateReading, Reading
from alpr.serving.frames import Ended

MOST_CANDIDATES = 10


class Shape(str, Enum):
    """The forms of an answer."""

    ALPR = "alpr"
    CODEPROJECT = "codeproject"
    PLATERECOGNIZER = "platerecognizer"
    OPENALPR = "openalpr"


def shaped(shape: Shape, ended: Ended, fields: Mapping[str, str], name: str) -> dict[str, Any]:
    """A frame that was read, in the shape that was asked for.

    Args:
        fields: of the request's form and address; they may hold min_confidence, camera_id, timestamp and topn.
        name: of the file.
    """
    forms = {Shape.CODEPROJECT: codeproject, Shape.PLATERECOGNIZER: platerecognizer, Shape.OPENALPR: openalpr}
    return ended.record if shape is Shape.ALPR else forms[shape](ended, fields, name)


def codeproject(ended: Ended, fields: Mapping[str, str], name: str) -> dict[str, Any]:
    """As CodeProject.AI answers; confidences 0..1, boxes in whole px."""
    least = _number(fields.get("min_confidence"), 0.0)
    predictions = []
    for plate in _plates(ended):
        x1, y1, x2, y2 = _box(plate)
        if plate.reading.text and plate.reading.score >= least:
            predictions.append(
                {
                    "confidence": round(plate.reading.score, 4),
                    "label": f"Plate: {plate.reading.text}",
                    "plate": plate.reading.text,
                    "x_min": x1, "y_min": y1, "x_max": x2, "y_max": y2,
                }
            )  # fmt: skip
    spent = round(_milliseconds(ended))
    return {
        "success": True,
        "message": f"Found {predictions[0]['label']}" if predictions else "No plates found",
        "predictions": predictions,
        "count": len(predictions),
        "processMs": spent,
        "inferenceMs": spent,
        "code": 200,
        "command": "alpr",
        "moduleId": "alpr",
        "executionProvider": "CPU",
        "canUseGPU": False,
        "timestampUTC": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }


def platerecognizer(ended: Ended, fields: Mapping[str, str], name: str) -> dict[str, Any]:
    """As Plate Recognizer answers: plates in small letters, scores 0..1, boxes in whole px."""
    results = []
    for plate in _plates(ended):
        x1, y1, x2, y2 = _box(plate)
        reading = plate.reading
        results.append(
            {
                "box": {"xmin": x1, "ymin": y1, "xmax": x2, "ymax": y2},
                "plate": reading.text.lower(),
                "region": {"code": (reading.country or "").lower(), "score": round(reading.country_score or 0.0, 4)},
                "score": round(reading.score, 3),
                "candidates": [{"score": round(p, 3), "plate": text.lower()} for text, p in _candidates(reading, 5)],
                "dscore": round(plate.detection.score, 3),
                "vehicle": None,
            }
        )
    return {
        "processing_time": round(_milliseconds(ended), 3),
        "results": results,
        "filename": name,
        "version": 1,
        "camera_id": fields.get("camera_id"),
        "timestamp": fields.get("timestamp") or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def openalpr(ended: Ended, fields: Mapping[str, str], name: str) -> dict[str, Any]:
    """As OpenALPR answers: confidences in per cent, corners in whole px."""
    height, width = ended.read.photograph.size if ended.read is not None else (0, 0)
    most = int(min(MOST_CANDIDATES, max(1.0, _number(fields.get("topn"), MOST_CANDIDATES))))
    spent = round(_milliseconds(ended), 3)
    results = []
    for index, plate in enumerate(_plates(ended)):
        reading = plate.reading
        results.append(
            {
                "plate": reading.text,
                "confidence": round(100 * reading.score, 4),
                "matches_template": int(reading.rule is not None),
                "plate_index": index,
                "region": (reading.country or "").lower(),
                "region_confidence": round(100 * (reading.country_score or 0.0)),
                "processing_time_ms": spent,
                "requested_topn": most,
                "coordinates": [{"x": round(float(x)), "y": round(float(y))} for x, y in plate.detection.corners],
                "candidates": [
                    {"plate": text, "confidence": round(100 * p, 4), "matches_template": 0}
                    for text, p in _candidates(reading, most)
                ],
            }
        )
    return {
        "uuid": str(uuid.uuid4()),
        "version": 2,
        "data_type": "alpr_results",
        "epoch_time": round(1000 * datetime.now(UTC).timestamp()),
        "img_width": width,
        "img_height": height,
        "processing_time_ms": spent,
        "processing_time": {"plates": spent, "total": spent},
        "regions_of_interest": [{"x": 0, "y": 0, "width": width, "height": height}],
        "error": False,
        "results": results,
    }


def _plates(ended: Ended) -> list[PlateReading]:
    return [] if ended.read is None else ended.read.plates


def _box(plate: PlateReading) -> tuple[int, ...]:
    return tuple(max(0, round(float(value))) for value in plate.detection.box)


def _candidates(reading: Reading, most: int) -> list[tuple[str, float]]:
    found = [(text, math.exp(p)) for text, p in reading.alternatives(most) if text]
    return found or [(reading.text, reading.score)]


def _milliseconds(ended: Ended) -> float:
    return 0.0 if ended.read is None else sum(ended.read.ms)


def _number(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text else otherwise
    except ValueError:
        return otherwise
    return value if math.isfinite(value) else otherwise

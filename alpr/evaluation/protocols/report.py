"""What an evaluation found under a protocol: the figures, the error budget and what has to be said beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from alpr.data.corrections import Correction
from alpr.data.manifest import Manifest
from alpr.data.overlap import Overlap
from alpr.detection.metrics import true_hull
from alpr.evaluation.figures import FigureRow, figure_rows, overall_of
from alpr.evaluation.outcomes import Figure, PlateRecord
from alpr.evaluation.protocols.matching import (
    is_detected,
    is_right,
    reading_of,
    records_of,
    selected_rows,
    without_reading,
)
from alpr.evaluation.protocols.misses import Cause, budget_of, cause_of
from alpr.evaluation.protocols.published import OVERALL
from alpr.evaluation.protocols.rules import Protocol
from alpr.files import write_json
from alpr.images.read_ahead import common_folder
from alpr.plates.records import Scene
from alpr.reader.predictions import Predicted, assigned

NOTHING = Predicted("")
_FOREIGN_CLOCK = "what the file's `ms` measures; its author has to say."


class ColumnCount(NamedTuple):
    """The images and plates of a column that count, and how many images it has when whole, where that is known."""

    name: str
    images: int
    plates: int
    whole: int | None


class Speed(NamedTuple):
    """Mean milliseconds per image by stage, over the images that say so, and what is inside the clock."""

    images: int
    ms: Mapping[str, float]
    clock: str

    @property
    def fps(self) -> float:
        """Images per second, one stage after the other."""
        total = sum(self.ms.values())
        return 1000 / total if total else float("nan")


@dataclass(frozen=True, eq=False)
class ProtocolReport:
    """The result of one protocol.

    Attributes:
        model: what was evaluated, by name and checksum.
        manifests: SHA-256 by name.
        overall: images and plates that count overall; a repeated photograph once where the protocol says so.
        in_training: plates that were left out because a training image shows them.
        missing: images without a line in the predictions; nothing was found there.
        failed: images whose line is an error; nothing was found there.
        unused: lines of images that are not in the manifest.
        speed: None where no line says how long it took.
        overlap: of the parts of the data; None where there is one part only.
        budget: the misses overall, by cause.
        plates: that count, in each column that holds them.
        root: the folder that their images are relative to.
        remarks: what else has to be said.
    """

    protocol: Protocol
    model: Mapping[str, str]
    manifests: Mapping[str, str]
    columns: tuple[ColumnCount, ...]
    overall: ColumnCount
    in_training: int
    missing: tuple[str, ...]
    failed: tuple[str, ...]
    unused: int
    figures: tuple[FigureRow, ...]
    speed: Speed | None
    overlap: Overlap | None
    budget: Mapping[Cause, int]
    plates: tuple[PlateRecord, ...]
    root: Path
    remarks: tuple[str, ...] = ()
    made_with: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every column has all its images, so that published figures may stand beside these."""
        return all(c.whole is None or c.images == c.whole for c in self.columns) and not self.in_training

    def figure(self, name: str) -> FigureRow | None:
        """A figure by name; None where it was not measured."""
        return next((row for row in self.figures if row.name == name), None)

    def cell(self, name: str, column: str) -> Figure | None:
        """A figure of a column, or of "overall"."""
        row = self.figure(name)
        return None if row is None else row.cells.get(column)


def protocol_report(
    protocol: Protocol,
    manifest: Manifest,
    predictions: Sequence[Predicted],
    *,
    trained: frozenset[str] | None = None,
    overlap: Overlap | None = None,
    corrections: Sequence[Correction] = (),
    model: Mapping[str, str] | None = None,
    manifests: Mapping[str, str] | None = None,
    clock: str = "",
) -> ProtocolReport:
    """Predictions scored under a protocol.

    Args:
        manifest: the labels; the protocol picks its rows.
        trained: the texts of the plates that training has seen; None where that is not known.
        clock: what the lines' times measure.

    Raises:
        ValueError: no row counts, a plate without a place, as a protocol scores scenes, a protocol without plates of
            training that are not known, or two lines for an image.
    """
    selected = selected_rows(protocol, manifest, trained)
    chosen = manifest.take(selected.rows)
    images = {chosen.path(row).absolute(): chosen.image[row] for row in range(chosen.rows)}
    found = assigned(predictions, images)
    placed = _scenes_by_column(protocol, chosen)
    root = common_folder([scene.image for _, scene in placed])
    records = [
        record
        for column, scene in placed
        for record in records_of(
            protocol,
            scene,
            found.by_image.get(scene.image.absolute(), NOTHING),
            image=scene.image.absolute().relative_to(root).as_posix(),
            column=column,
            corrections=corrections,
        )
    ]
    records = _of_what_was_done(protocol, records, predictions)
    in_column = {c.name: [r for r in records if r.column == c.name] for c in protocol.columns}
    whole = overall_of(protocol, records)
    once = {PurePosixPath(r.image).name if protocol.repeated == "once" else r.image for r in whole}
    return ProtocolReport(
        protocol=protocol,
        model=model or {},
        manifests=manifests or {},
        columns=tuple(
            ColumnCount(c.name, len({r.image for r in in_column[c.name]}), len(in_column[c.name]), c.images)
            for c in protocol.columns
        ),
        overall=ColumnCount(OVERALL, len(once), len(whole), None),
        in_training=selected.in_training,
        missing=tuple(map(str, found.missing)),
        failed=tuple(p.image for p in found.by_image.values() if p.error),
        unused=len(found.unused),
        figures=figure_rows(protocol, records),
        speed=_speed(list(found.by_image.values()), clock),
        overlap=overlap,
        budget=budget_of(protocol, records),
        plates=tuple(records),
        root=root,
        remarks=(protocol.remark,) if protocol.remark else (),
    )


def _scenes_by_column(protocol: Protocol, manifest: Manifest) -> list[tuple[str, Scene]]:
    """The scenes with a plate that counts, each with its column.

    Raises:
        ValueError: a plate without a place where the protocol scores scenes, or a crop of several plates where it
            scores those.
    """
    subsets = {manifest.path(row): cell for row, cell in enumerate(manifest.extra.get("subset", ()))}
    scenes = []
    for scene in manifest.scenes():
        plates = [plate for plate in scene.plates if not plate.ignored]
        of_image = protocol.recognition.crop == "image"
        if of_image and len(plates) > 1:
            raise ValueError(f"{scene.image} holds {len(plates)} plates; a protocol of ready-made crops expects one.")
        lost = next((plate for plate in plates if true_hull(plate) is None), None)
        if lost is not None and not of_image:
            raise ValueError(f"{scene.image} holds {lost.text!r} without corners or box; a protocol scores scenes.")
        column = protocol.column_of(subsets.get(scene.image, ""), scene.split or "")
        if column is not None and plates:
            scenes.append((column, scene))
    return scenes


def _of_what_was_done(
    protocol: Protocol, records: Sequence[PlateRecord], predictions: Sequence[Predicted]
) -> list[PlateRecord]:
    """A system that never reads has no figures of reading, one that never detects none of detection."""
    done, detects = list(records), any(p.plates for p in predictions)
    if not detects and not any(p.labelled for p in predictions):
        return done  # nothing was found anywhere; that counts
    if not detects:
        done = [replace(r, iou=None) for r in done]
    if not any(reading is not None and reading.text for reading in (reading_of(protocol, r) for r in done)):
        done = [without_reading(protocol, r) for r in done]
    return done


def _speed(predictions: Sequence[Predicted], clock: str) -> Speed | None:
    timed = [p.ms for p in predictions if p.ms]
    if not timed:
        return None
    stages = list(dict.fromkeys(stage for ms in timed for stage in ms))
    means = {stage: sum(ms.get(stage, 0.0) for ms in timed) / len(timed) for stage in stages}
    return Speed(len(timed), means, clock or _FOREIGN_CLOCK)


def report_values(report: ProtocolReport) -> dict[str, Any]:
    """A report as plain values for JSON."""
    values = {
        "protocol": asdict(report.protocol),
        "model": dict(report.model),
        "manifests": dict(report.manifests),
        "made_with": dict(report.made_with),
        "columns": [column._asdict() for column in report.columns],
        "overall": report.overall._asdict(),
        "whole": report.whole,
        "in_training": report.in_training,
        "missing": list(report.missing),
        "failed": list(report.failed),
        "unused_lines": report.unused,
        "remarks": list(report.remarks),
        "speed": None if report.speed is None else {**report.speed._asdict(), "fps": report.speed.fps},
        "figures": [
            {"name": r.name, "label": r.label, "cells": {c: _cell_values(cell) for c, cell in r.cells.items()}}
            for r in report.figures
        ],
        "budget": {cause.value: n for cause, n in report.budget.items()},
    }
    if report.overlap is not None:
        values["overlap"] = {
            "parts": [part.name for part in report.overlap.parts],
            "images": report.overlap.images.tolist(),
            "plates": report.overlap.plates.tolist(),
            "distinct_images": report.overlap.distinct_images,
            "distinct_plates": report.overlap.distinct_plates,
        }
    values["plates"] = [_plate_values(record, report.protocol) for record in report.plates]
    return values


def _cell_values(cell: Figure) -> dict[str, Any]:
    return {key: value for key, value in asdict(cell).items() if key != "name"}


def _plate_values(record: PlateRecord, protocol: Protocol) -> dict[str, Any]:
    cause, reading, given = cause_of(record, protocol), reading_of(protocol, record), record.on_true_corners
    return {
        "image": record.image,
        "index": record.index,
        "column": record.column,
        "text": record.text or "",
        "iou": None if record.iou is None else round(record.iou, 4),
        "detected": is_detected(protocol, record),
        "read": None if reading is None else reading.text,
        "score": None if reading is None else reading.score,
        "right": is_right(protocol, record),
        "given": None if given is None else given.text,
        "given_right": None if given is None else given.text == record.text,
        "cause": None if cause is None else cause.value,
    }


def write_values(report: ProtocolReport, path: Path) -> None:
    """Writes a report as JSON, whole or not at all.

    Raises:
        NotWritten: a full disk, or a folder that may not be written to.
    """
    write_json(path, report_values(report))

"""A predictor over labelled scenes: detection, reading on true and on predicted corners, end to end, by slice.

The predictor is the deployed one (`alpr.reader.reader`), or anything of its form, so that a number printed here is what
a deployer gets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from time import perf_counter
from typing import NamedTuple

import cv2
from rich.console import Console

from alpr.data.corrections import Correction, correction_of
from alpr.data.crop_corners import CROPS, crop_corners
from alpr.detection.detect import Detector
from alpr.detection.metrics import (
    AP_SCORE,
    COCO_MAX_DETECTIONS,
    FOUND_IOU,
    DetectionMetrics,
    false_positives,
    match_plates,
    true_hull,
)
from alpr.evaluation.figures import READ, audit_of, figures_of, scores_of
from alpr.evaluation.gallery import DetectionGallery, Gallery
from alpr.evaluation.outcomes import EvaluationReport, ImageError, PlateRecord, without_slots
from alpr.evaluation.plate_properties import brightness
from alpr.evaluation.printable import Printable
from alpr.evaluation.protocols.matching import labelled_record, records_of
from alpr.evaluation.protocols.rules import Protocol
from alpr.evaluation.slices import UNKNOWN, slices_of
from alpr.images.read_ahead import Opened, common_folder, ms_since, opened_in_batches
from alpr.plates.records import Detection, ImageArray, PlateReading, Reading, Scene
from alpr.reader.loose_crops import read_crops
from alpr.reader.parts import PlateDetector, PlateRecogniser, Predictor, Thresholded
from alpr.reader.predictions import NOT_READ, Labelled, Predicted
from alpr.recognition.read import Recogniser
from alpr.reports.progress import progress_bar

LABELLED = ("corners", "box")
"""By what a label's crops are cut."""


def evaluate(
    predictor: Predictor,
    scenes: Sequence[Scene],
    *,
    model: Mapping[str, str] | None = None,
    manifests: Mapping[str, str] | None = None,
    groups: Mapping[Path, Mapping[str, str]] | None = None,
    columns: Mapping[Path, Sequence[Mapping[str, str]]] | None = None,
    slices: Sequence[str] | None = None,
    gallery: Gallery | None = None,
    drawings: DetectionGallery | None = None,
    crops: Sequence[str] = CROPS,
    corrections: Sequence[Correction] = (),
    replaced: Mapping[str, str] | None = None,
    confusable: Sequence[str] = (),
    predictions: list[Predicted] | None = None,
    batch: int = 8,
    workers: int = 2,
    console: Console | None = None,
) -> EvaluationReport:
    """What a predictor finds and reads in labelled scenes.

    A scene of one plate with a text and no place is a ready-made crop. Scenes without texts count for detection only,
    scenes without plates for false positives, ignored regions for nothing. This project's own `Detector` also looks
    below its threshold, for AP alone. Labels that the recogniser cannot print and images that cannot be read are
    listed in the report and not scored. After Ctrl-C the report holds what was done, with `complete` False.

    Args:
        model: its name and checksum, for the report.
        manifests: SHA-256 by manifest name, for the report.
        groups: more properties to slice by, by image, e.g. {image: {"subset": "blur"}}.
        columns: the same of each plate of an image, e.g. {image: [{"rows": "2"}, {"rows": "1"}]}.
        slices: the properties to slice by; None for all.
        gallery: collects the missed plates.
        drawings: collects scenes with labels and detections drawn.
        crops: by which corners the plates of scenes are cut out to be read; ready-made crops are read as `Reader` does.
        corrections: of wrong labels; the report has the figures with the raw labels and with the corrected ones.
        replaced: characters that count as others, e.g. {"O": "0"}, in labels, corrections and readings alike.
        confusable: groups of symbols that look alike, for the report: how many mistakes are among them.
        predictions: what was found and read in each scene is appended here, before characters are replaced.
        batch: images that are held and detected together.
        workers: threads that read images.
        console: where the progress bar is drawn; None for no bar.

    Raises:
        ValueError: no scene, a predictor without a detector and without a recogniser, or not one image that could be
            evaluated.
    """
    if not scenes:
        raise ValueError("There is no scene to evaluate; expected at least one row in the manifest's split.")
    if predictor.detector is None and predictor.recogniser is None:
        raise ValueError("There is neither a detector nor a recogniser to evaluate; expected at least one.")
    root = common_folder([s.image for s in scenes])
    asked = _Asked(tuple(crops), tuple(corrections), dict(replaced or {}))
    sink = [] if predictions is None else predictions
    printable = Printable(scenes, predictor.recogniser, replaced)
    split_by = _SplitBy(groups or {}, columns or {}, slices)
    run = _Run(predictor.detector, predictor.recogniser, root, gallery, drawings, split_by, asked, sink)
    for scene, reason in printable.unprintable:
        run._error(scene, reason)
    scenes = printable
    started, complete = perf_counter(), True
    with progress_bar("images", console, shown=console is not None) as progress:
        task = progress.add_task("Evaluating", total=len(scenes))
        try:
            for opened in opened_in_batches(scenes, batch, workers):
                run.add(opened)
                progress.advance(task, len(opened))
        except KeyboardInterrupt:
            complete = False
    if complete and not run.images:
        raise ValueError(f"None of {len(scenes)} images could be evaluated; the first: {run.errors[0].error}")
    report = run.report(model or {}, manifests or {}, complete, perf_counter() - started)
    return replace(report, confusable=tuple(confusable))


def _is_crop(scene: Scene) -> bool:
    return len(scene.plates) == 1 and bool(scene.plates[0].text) and true_hull(scene.plates[0]) is None


class _Asked(NamedTuple):
    """What is read, and what it is compared with."""

    crops: tuple[str, ...]
    corrections: tuple[Correction, ...]
    replaced: dict[str, str]

    def text(self, text: str) -> str:
        """A text as it is compared."""
        return "".join(self.replaced.get(c, c) for c in text)

    def reading(self, reading: Reading | None) -> Reading | None:
        """A reading as it is compared."""
        return None if reading is None else replace(reading, text=self.text(reading.text))


class _SplitBy(NamedTuple):
    """By what the figures are split: properties of images and of their plates, and which of them; None for all."""

    groups: Mapping[Path, Mapping[str, str]]
    columns: Mapping[Path, Sequence[Mapping[str, str]]]
    slices: Sequence[str] | None

    def of(self, image: Path, plate: int) -> dict[str, str]:
        """The properties of a plate."""
        columns = self.columns.get(image)
        return {**self.groups.get(image, {}), **(columns[plate] if columns else {})}


@dataclass
class _Run:
    """The sums of one evaluation."""

    detector: PlateDetector | None
    recogniser: PlateRecogniser | None
    root: Path
    gallery: Gallery | None
    drawings: DetectionGallery | None
    split_by: _SplitBy
    asked: _Asked
    predictions: list[Predicted]
    plain: Protocol = field(default_factory=lambda: Protocol.read("plain"))
    detection: DetectionMetrics = field(default_factory=DetectionMetrics)
    by_image: dict[tuple[str, str], DetectionMetrics] = field(default_factory=dict)
    applied: list[Correction] = field(default_factory=list)
    records: list[PlateRecord] = field(default_factory=list)
    errors: list[ImageError] = field(default_factory=list)
    false_positives: Counter[str] = field(default_factory=Counter)
    images: int = 0
    ms: dict[Path, dict[str, float]] = field(default_factory=dict)  # of the images of the batch, by stage
    sure: Callable[[list[Detection]], list[Detection]] = list  # those that may count
    kept: Callable[[list[PlateReading]], list[PlateReading]] = list  # of the plates that were read
    input_px: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.detector, Detector):
            reads = self.recogniser is not None and "detector" in self.asked.crops
            self.sure = (self.detector.to_be_read() if reads else self.detector).sure
            self.kept = self.detector.kept if reads else self.kept
            self.input_px = self.detector.settings.input_px
            lowest = min(AP_SCORE, self.detector.lowest)
            self.detector = self.detector.down_to(lowest, COCO_MAX_DETECTIONS)
        elif isinstance(self.detector, Thresholded):
            self.sure = self.detector.sure
        self.properties = sorted({name for properties in self.split_by.groups.values() for name in properties})

    def add(self, opened: Sequence[Opened]) -> None:
        """Evaluates a batch of images."""
        crops: list[tuple[Scene, ImageArray]] = []
        scenes: list[tuple[Scene, ImageArray]] = []
        self.ms = {one.scene.image: {"decode": one.ms} for one in opened}
        for scene, image, error, _ in opened:
            if image is None:
                self._error(scene, error)
                self.predictions.append(Predicted(self._name(scene), error=error))
            else:
                (crops if _is_crop(scene) else scenes).append((scene, image))
        self._add_crops(crops)
        if self.detector is None:
            for scene, image in scenes:
                self._add_scene(scene, image, None)
        else:
            for scene, image, found in self._detect(self.detector, scenes):
                self._add_scene(scene, image, found)

    def _error(self, scene: Scene, error: str) -> None:
        self.errors.append(ImageError(self._name(scene), error))

    def _name(self, scene: Scene) -> str:
        return scene.image.absolute().relative_to(self.root).as_posix()

    def _folder(self, scene: Scene) -> str:
        return PurePath(self._name(scene)).parent.as_posix()

    def _detect(
        self, detector: PlateDetector, scenes: Sequence[tuple[Scene, ImageArray]]
    ) -> list[tuple[Scene, ImageArray, list[Detection]]]:
        if not scenes:
            return []
        started = perf_counter()
        try:
            found = detector.detect([image for _, image in scenes])
            for scene, _ in scenes:
                self.ms[scene.image]["detect"] = ms_since(started) / len(scenes)
            return [(*pair, detections) for pair, detections in zip(scenes, found, strict=True)]
        except (ValueError, cv2.error) as error:
            if len(scenes) == 1:
                self._error(scenes[0][0], f"{scenes[0][0].image}: {error}")
                self.predictions.append(Predicted(self._name(scenes[0][0]), error=str(error)))
                return []
        return [result for pair in scenes for result in self._detect(detector, [pair])]  # to find the one at fault

    def _add_crops(self, crops: Sequence[tuple[Scene, ImageArray]]) -> None:
        self.images += len(crops)
        readings: Sequence[Reading | None] = [None] * len(crops)
        if self.recogniser is not None and crops:
            images = [image for _, image in crops]
            if isinstance(self.detector, Detector) and isinstance(self.recogniser, Recogniser):
                readings = without_slots(read_crops(self.detector, self.recogniser, images))
            else:
                readings = without_slots(self.recogniser.read(images))
        for (scene, image), reading in zip(crops, readings, strict=True):
            height, width = image.shape[:2]
            record = labelled_record(scene, 0, self._name(scene), self.asked.corrections)
            record = replace(record, on_crop=reading, width_px=float(width), height_px=float(height))
            self._keep(record, scene, image)

    def _add_scene(self, scene: Scene, image: ImageArray, candidates: list[Detection] | None) -> None:
        self.images += 1
        unplaced = [plate.text for plate in scene.plates if true_hull(plate) is None]
        if unplaced:
            texts = ", ".join(map(repr, unplaced))
            self._error(scene, f"{scene.image} holds {texts} without corners or box; in a scene these are left out.")
        found = None if candidates is None else self.sure(candidates)
        predicted = self._predicted(scene, image, found)
        if found is not None:
            found = [plate.detection for plate in predicted.plates]
            self._add_detections(scene, found, candidates)
            if self.drawings is not None:
                self.drawings.add(image, scene, found, self._name(scene))
        self.predictions.append(predicted)
        name, corrections = self._name(scene), self.asked.corrections
        for record in records_of(self.plain, scene, predicted, image=name, corrections=corrections):
            self._keep(self._of_parts(record, image, found), scene, image)

    def _add_detections(self, scene: Scene, found: list[Detection], candidates: list[Detection] | None) -> None:
        one = DetectionMetrics()
        one.update(found, scene, candidates)
        self.detection.add(one)
        if not one.images:
            return
        groups = self.split_by.groups.get(scene.image, {})
        properties = {"split": scene.split, "folder": self._folder(scene)}
        for by, value in (properties | {name: groups.get(name) for name in self.properties}).items():
            self.by_image.setdefault((by, value or UNKNOWN), DetectionMetrics()).add(one)
        wrong = len(false_positives(found, scene, match_plates(found, scene.plates))) if scene.complete else 0
        if wrong:
            self.false_positives[self._name(scene)] += wrong

    def _predicted(self, scene: Scene, image: ImageArray, found: list[Detection] | None) -> Predicted:
        """What was found in a scene and read there, inside the labels too; before characters are replaced."""
        placed = {i: p for i, p in enumerate(scene.plates) if p.text and not p.ignored and true_hull(p) is not None}
        of_found = [NOT_READ] * len(found or ())
        if self.recogniser is not None and found is not None and "detector" in self.asked.crops:
            started = perf_counter()
            of_found = without_slots(self.recogniser.read_plates(image, [d.corners for d in found]))
            self.ms[scene.image]["read"] = ms_since(started)
        cuts = [
            (by, i, corners)
            for by in LABELLED
            if by in self.asked.crops
            for i, plate in placed.items()
            if (corners := crop_corners(plate, by)) is not None
        ]
        labelled: list[Labelled] = []
        if self.recogniser is not None and cuts:
            read = without_slots(self.recogniser.read_plates(image, [corners for _, _, corners in cuts]))
            labelled = [Labelled(i, by, reading) for (by, i, _), reading in zip(cuts, read, strict=True)]
        plates = self.kept([PlateReading(d, r) for d, r in zip(found or (), of_found, strict=True)])
        return Predicted(self._name(scene), tuple(plates), tuple(labelled), self.ms.get(scene.image, {}))

    def _of_parts(self, record: PlateRecord, image: ImageArray, found: list[Detection] | None) -> PlateRecord:
        """A record without what no part measured, and with what the image says; found loosely is not read."""
        scale = None if self.input_px is None else self.input_px / max(image.shape[:2])
        width = None if record.width_px is None or scale is None else record.width_px * scale
        read = None
        if self.recogniser is not None and found is not None and "detector" in self.asked.crops and record.text:
            read = record.on_predicted_corners if (record.iou or 0.0) > FOUND_IOU else NOT_READ
        iou = None if found is None else record.iou
        return replace(record, iou=iou, input_width_px=width, on_predicted_corners=read)

    def _keep(self, record: PlateRecord, scene: Scene, image: ImageArray) -> None:
        """Keeps a record with its text and readings as they are compared."""
        plate, text = scene.plates[record.index], self.asked.text
        correction = correction_of(self.asked.corrections, scene.image, plate)
        if correction is not None:
            self.applied.append(correction)
        record = replace(
            record,
            text=None if record.text is None else text(record.text),
            audited=None if record.audited is None else text(record.audited),
            groups=self.split_by.of(scene.image, record.index),
            brightness=brightness(image, plate),
            on_crop=self.asked.reading(record.on_crop),
            on_true_corners=self.asked.reading(record.on_true_corners),
            on_predicted_corners=self.asked.reading(record.on_predicted_corners),
            on_box=self.asked.reading(record.on_box),
        )
        self.records.append(record)
        if self.gallery is not None:
            self.gallery.add(image, plate, record)

    def report(
        self, model: Mapping[str, str], manifests: Mapping[str, str], complete: bool, seconds: float
    ) -> EvaluationReport:
        """The report of what was added so far."""

        scores = {name: scores_of(self.records, name) for name in READ}
        corrections = self.asked.corrections
        return EvaluationReport(
            model=model,
            manifests=manifests,
            complete=complete,
            images=self.images,
            seconds=seconds,
            errors=tuple(self.errors),
            figures=figures_of(self.records),
            detection=self.detection.compute() if self.detection.images else None,
            on_crops=scores["on_crops"],
            on_true_corners=scores["on_true_corners"],
            on_predicted_corners=scores["on_predicted_corners"],
            on_box=scores["on_box"],
            end_to_end=scores["end_to_end"],
            slices=slices_of(self.records, self.by_image, self.split_by.slices),
            plates=tuple(self.records),
            false_positives=dict(self.false_positives),
            unavailable=self._unavailable([name for name, value in scores.items() if value is None]),
            audit=audit_of(self.records, self.applied, corrections) if corrections else None,
            replaced=self.asked.replaced,
        )

    def _unavailable(self, missing: Sequence[str]) -> dict[str, str]:
        """Why sources of crops were not read, by the report's field."""
        placed = [r for r in self.records if r.on_crop is None and r.text]
        detector = (
            "no detector" if self.detector is None else "not asked for" if "detector" not in self.asked.crops else ""
        )
        why = {
            "on_true_corners": "no labelled corners" if "corners" in self.asked.crops else "not asked for",
            "end_to_end": detector or "no labelled place",
            "on_predicted_corners": detector or ("no plate found" if placed else "no labelled place"),
            "on_box": "no labelled place" if "box" in self.asked.crops else "not asked for",
        }
        return {} if self.recogniser is None else {name: why[name] for name in missing if name in why}

"""Whether reader.onnx reads as the predictor does: corners and texts compared, for two batches and two frame sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from alpr.detection.detect import Detector
from alpr.export.one_graph.compose import READER_FILE, write_reader
from alpr.export.parity import BATCHES, ParityError, ReaderParity, telling_threshold
from alpr.plates.records import Detection, ImageArray, ImageBatch, PlateReading, Reading
from alpr.reader.card import ModelCard
from alpr.reader.reader import Reader
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser, open_session
from alpr.recognition.read import Recogniser, decode_outputs

CORNER_TOLERANCE_PX = 0.5
"""In pixels of the frame. Where OpenCV rounds as it does on x86 they are a thousandth apart, elsewhere more."""
SURE = 0.5
"""Texts with a higher score must be equal."""
EQUAL_TEXTS = 0.995
"""The least share of equal texts, of any score."""
ON_THE_EDGE = 0.01
"""A plate whose score is so near to the threshold may be found by one and missed by the other."""
FRAME_SCALES = (1.0, 0.75)


def check_reader(card: ModelCard, folder: Path, images: Sequence[ImageArray]) -> ReaderParity:
    """Compares the bundle's reader.onnx with the predictor over its two networks.

    Where the detector finds nothing, both are compared at a threshold at which it does.

    Raises:
        ParityError: a plate that only one finds, a corner more than 0.5 px away, another text, country or kind of a
            score above 0.5, less than 99.5 % equal texts, or no plate to compare.
    """
    once = card.detector.once, replace(card.recogniser, read_again_below=0.0)
    card = replace(card, detector=once[0], recogniser=once[1])  # the graph looks once and reads once
    network = OnnxDetector(folder / card.detector_file.file)
    threshold = telling_threshold(Detector(network, card.detector), images)
    path = folder / READER_FILE
    if threshold == card.detector.score_threshold:
        return _compared(card, folder, network, path, images)
    card = replace(card, detector=replace(card.detector, score_threshold=threshold))
    path = path.with_name(f".{READER_FILE}.lower")
    try:
        write_reader(card, folder, path)
        return _compared(card, folder, network, path, images)
    finally:
        path.unlink(missing_ok=True)


def read_frames(session: onnxruntime.InferenceSession, frames: ImageBatch, card: ModelCard) -> list[list[PlateReading]]:
    """The plates of frames (B, H, W, 3), read by reader.onnx alone; one list each, best score first."""
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"frame": frames}), strict=True))
    # Logits whose softmax they are, for the predictor's own decoding; the temperature is in them.
    outputs = [np.log(np.maximum(found[name], np.finfo(np.float32).tiny)) for name in names[4:]]
    readings = decode_outputs(outputs, replace(card.recogniser, temperature=1.0), card.charset)
    result: list[list[PlateReading]] = [[] for _ in frames]
    for i, frame in enumerate(found["frame_index"]):
        detection = Detection(found["corners"][i], found["boxes"][i], float(found["scores"][i]))
        result[frame].append(PlateReading(detection, readings[i]))
    return result


@dataclass
class _Tally:
    """What is compared so far."""

    plates: int = 0
    equal: int = 0
    sure: int = 0
    furthest: float = 0.0

    def add(self, expected: Sequence[PlateReading], got: Sequence[PlateReading], threshold: float, where: str) -> None:
        rest = list(got)
        for plate in expected:
            distances = [_distance(plate.detection, other.detection) for other in rest]
            nearest = int(np.argmin(distances)) if rest else -1
            if not rest or not distances[nearest] <= CORNER_TOLERANCE_PX:
                _refuse_lost(plate.detection, threshold, f"only the predictor finds, or elsewhere ({where})")
                continue
            other = rest.pop(nearest)
            self.furthest = max(self.furthest, distances[nearest])
            self._add_texts(plate.reading, other.reading, where)
        for other in rest:
            _refuse_lost(other.detection, threshold, f"only {READER_FILE} finds, or elsewhere ({where})")

    def _add_texts(self, expected: Reading, got: Reading, where: str) -> None:
        self.plates += 1
        self.equal += expected.text == got.text
        self.sure += expected.score > SURE
        for one, score, other, its in (
            (expected.text, expected.score, got.text, got.score),
            (expected.country, expected.country_score, got.country, got.country_score),
            (expected.kind, expected.kind_score, got.kind, got.kind_score),
        ):
            # What the predictor cannot rectify has no labels; the graph gives those of an empty crop.
            if one is not None and one != other and max(score or 0.0, its or 0.0) > SURE:
                raise ParityError(
                    f"{READER_FILE} reads {other!r} ({its:.3f}) where the predictor reads {one!r} ({score:.3f}) "
                    f"({where}); what has a score above {SURE} must be equal."
                )


def _distance(a: Detection, b: Detection) -> float:
    """Of the furthest corner, in px."""
    return float(np.linalg.norm(a.corners - b.corners, axis=1).max())


def _refuse_lost(found: Detection, threshold: float, what: str) -> None:
    if not abs(found.score - threshold) < ON_THE_EDGE:
        raise ParityError(
            f"a plate of score {found.score:.3f} at {found.corners.round(1).tolist()} {what}; "
            f"corners may be {CORNER_TOLERANCE_PX} px apart."
        )


def _compared(
    card: ModelCard, folder: Path, network: OnnxDetector, path: Path, images: Sequence[ImageArray]
) -> ReaderParity:
    recogniser = OnnxRecogniser(folder / card.recogniser_file.file, card.recogniser, len(card.charset))
    reader = Recogniser(recogniser, card.recogniser, card.charset, once=True)
    predictor, session = Reader.from_parts(Detector(network, card.detector), reader), open_session(path)
    tally = _Tally()
    for scale in FRAME_SCALES:
        for batch in BATCHES:
            for start in range(0, len(images), batch):
                frames = _stack(images[start : start + batch], scale)
                both = zip(predictor(list(frames)), read_frames(session, frames, card), strict=True)
                for index, (expected, got) in enumerate(both, start):
                    where = f"image {index} at {scale} of its size, batch {batch}"
                    tally.add(expected, got, card.detector.score_threshold, where)
    if not tally.plates:
        raise ParityError(f"No plate is found in the {len(images)} scenes, so {READER_FILE} cannot be compared.")
    equal = tally.equal / tally.plates
    if equal < EQUAL_TEXTS:
        raise ParityError(
            f"{READER_FILE} reads {equal:.2%} of {tally.plates} plates as the predictor does; "
            f"at least {EQUAL_TEXTS:.1%} is expected."
        )
    return ReaderParity(tally.plates, tally.furthest, equal, tally.sure, card.detector.score_threshold)


def _stack(images: Sequence[ImageArray], scale: float) -> ImageBatch:
    """Frames (B, H, W, 3) of one size, that of the first image times the scale."""
    height, width = (max(1, round(side * scale)) for side in images[0].shape[:2])
    fits = ((height, width) == image.shape[:2] for image in images)
    resized = [i if same else cv2.resize(i, (width, height)) for i, same in zip(images, fits, strict=True)]
    return np.stack([np.asarray(image, dtype=np.uint8) for image in resized])

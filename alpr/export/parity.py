"""Whether an exported network is the network: raw outputs and decoded results compared, for two batches and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from alpr.detection.detect import Detector
from alpr.images.prepare import letterbox
from alpr.plates.records import Detection, FloatArray, ImageArray, Reading
from alpr.recognition.read import Recogniser

RAW_TOLERANCE = 1e-4
"""For scores absolute; for boxes and corners a share of the network input's long side; for logits a share of the
largest logit, but at least absolute."""
CORNER_TOLERANCE_PX = 0.1
"""For decoded corners, in pixels of the image."""
BATCHES = (1, 3)
_FEW_CANDIDATES = 50


class ParityError(RuntimeError):
    """The exported network gives other results than the network; the sentence holds the figures."""


@dataclass(frozen=True)
class DetectorParity:
    """The largest differences found.

    Attributes:
        scores: absolute.
        boxes, corners: as a share of the network input's long side.
        plates: the decoded plates compared, over all sizes and batches.
        plate_corners_px: of decoded corners, in pixels of the image.
        threshold: the score threshold they were decoded at; below the settings' where these find nothing.
    """

    scores: float
    boxes: float
    corners: float
    plates: int
    plate_corners_px: float
    threshold: float


@dataclass(frozen=True)
class RecogniserParity:
    """The largest difference of any head's logits, as a share of its largest one or of 1, and the texts compared."""

    logits: float
    texts: int


@dataclass(frozen=True)
class ReaderParity:
    """How far reader.onnx is from the predictor.

    Attributes:
        plates: compared, over all sizes and batches.
        corners_px: the furthest corner, in pixels of the frame.
        equal: the share of plates with the same text.
        sure: how many of them read with a score above 0.5; all of these have the same text.
        threshold: as for the detector.
    """

    plates: int
    corners_px: float
    equal: float
    sure: int
    threshold: float


@dataclass(frozen=True)
class ParityReport:
    """What parity measured for a bundle; `reader` where it has a reader.onnx."""

    detector: DetectorParity
    recogniser: RecogniserParity
    reader: ReaderParity | None = None


def check_detector(reference: Detector, exported: Detector, images: Sequence[ImageArray]) -> DetectorParity:
    """Compares two detectors on scenes at two sizes, in batches of 1 and 3.

    Raises:
        ParityError: raw outputs beyond 1e-4, another number of plates, or corners more than 0.1 px away.
    """
    settings = reference.settings
    smaller = max(settings.multiple, settings.input_px * 3 // 4 // settings.multiple * settings.multiple)
    sizes = (settings.input_px, smaller if smaller != settings.input_px else settings.input_px + settings.multiple)
    threshold = telling_threshold(reference, images)
    raw = np.zeros(3)
    plates, furthest = 0, 0.0
    for size in sizes:
        for batch in BATCHES:
            raw = np.maximum(raw, _raw_difference(reference, exported, _stack(images, size, settings.multiple, batch)))
        at_size = replace(settings.once, input_px=size, score_threshold=threshold)
        expected = Detector(reference.network, at_size)
        found = Detector(exported.network, at_size)
        one_by_one = [expected.detect([image])[0] for image in images]
        for batch in BATCHES:
            groups = [images[i : i + batch] for i in range(0, len(images), batch)]
            got = [detections for group in groups for detections in found.detect(group)]
            for index, (a, b) in enumerate(zip(one_by_one, got, strict=True)):
                furthest = max(furthest, _plate_difference(a, b, f"image {index}, {size} px, batch {batch}"))
                plates += len(a)
    scores, boxes, corners = (float(v) for v in raw)
    return DetectorParity(scores, boxes, corners, plates, furthest, threshold)


def check_recogniser(reference: Recogniser, exported: Recogniser, crops: Sequence[ImageArray]) -> RecogniserParity:
    """Compares two recognisers on crops of any size, in batches of 1 and 3.

    Raises:
        ParityError: logits beyond 1e-4, or another text, country or kind.
    """
    height, width = reference.settings.size
    resized = [np.asarray(cv2.resize(crop, (width, height)), dtype=np.uint8) for crop in crops]
    largest = 0.0
    for batch in BATCHES:
        stack = np.stack([resized[i % len(resized)] for i in range(batch)])
        names = ("logits", *reference.settings.outputs)
        for name, a, b in zip(names, reference.network(stack), exported.network(stack), strict=True):
            _same_shape(name, a, b)
            difference = float(np.abs(a - b).max()) / max(1.0, float(np.abs(a).max()))
            if not difference <= RAW_TOLERANCE:
                raise ParityError(
                    f"{name} differ by {difference:.3g} of their largest value (batch {batch}); "
                    f"at most {RAW_TOLERANCE} is allowed."
                )
            largest = max(largest, difference)
    expected = [_read(reading) for reading in reference.read(resized)]
    texts = 0
    for batch in BATCHES:
        groups = [resized[i : i + batch] for i in range(0, len(resized), batch)]
        got = [_read(reading) for group in groups for reading in exported.read(group)]
        for index, (text, other) in enumerate(zip(expected, got, strict=True)):
            if text != other:
                raise ParityError(f"crop {index} reads {other!r} after the export and {text!r} before (batch {batch}).")
            texts += 1
    return RecogniserParity(largest, texts)


def _read(reading: Reading) -> str:
    return " ".join(filter(None, (reading.text, reading.country, reading.kind)))


def generated_scenes(count: int = 3, seed: int = 0) -> list[ImageArray]:
    """Seeded images for parity where no real ones are given: soft noise with bright upright rectangles."""
    generator = np.random.default_rng(seed)
    scenes: list[ImageArray] = []
    for i in range(count):
        height, width = ((720, 1160), (1160, 720), (480, 640))[i % 3]
        scene = np.asarray(cv2.resize(generator.integers(0, 256, (12, 12, 3), np.uint8), (width, height)), np.uint8)
        for _ in range(3):
            x, y = int(generator.integers(0, width - 200)), int(generator.integers(0, height - 80))
            colour = tuple(int(v) for v in generator.integers(0, 256, 3))
            cv2.rectangle(scene, (x, y), (x + 180, y + 56), colour, -1)
            cv2.putText(scene, "A12345", (x + 8, y + 42), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 3)
        scenes.append(scene)
    return scenes


def telling_threshold(detector: Detector, images: Sequence[ImageArray]) -> float:
    """The settings' threshold, or where nothing reaches it one within the widest gap of the best scores.

    A network that finds nothing must not pass by having nothing to compare; in a gap no rounding decides.
    """
    settings = detector.settings
    if any(detector.detect(images)):
        return settings.score_threshold
    scores = detector.network(_stack(images, settings.input_px, settings.multiple, 1))[0][0]
    best = np.sort(scores)[::-1][:_FEW_CANDIDATES].astype(np.float64)
    if len(best) < 2:
        return 0.0
    widest = int(np.argmax(best[:-1] - best[1:]))
    return float(np.clip((best[widest] + best[widest + 1]) / 2, 0, settings.score_threshold))


def _stack(images: Sequence[ImageArray], size: int, multiple: int, batch: int) -> npt.NDArray[np.uint8]:
    """A batch (B, H, W, 3) of the letterboxed images, all stretched to the first one's size."""
    canvases = [letterbox(images[i % len(images)], size, multiple)[0] for i in range(batch)]
    height, width = canvases[0].shape[:2]
    return np.stack([np.asarray(cv2.resize(canvas, (width, height)), dtype=np.uint8) for canvas in canvases])


def _raw_difference(reference: Detector, exported: Detector, batch: npt.NDArray[np.uint8]) -> FloatArray:
    units = (1.0, float(max(batch.shape[1:3])), float(max(batch.shape[1:3])))
    differences = []
    outputs = zip(("scores", "boxes", "corners"), reference.network(batch), exported.network(batch), units, strict=True)
    for name, a, b, unit in outputs:
        _same_shape(name, a, b)
        difference = float(np.abs(a - b).max(initial=0.0)) / unit
        if not difference <= RAW_TOLERANCE:  # NaN fails too
            raise ParityError(
                f"{name} differ by {difference:.3g} {'' if unit == 1 else 'of the long side '}on an input of shape "
                f"{batch.shape}; at most {RAW_TOLERANCE} is allowed."
            )
        differences.append(difference)
    return np.array(differences)


def _same_shape(name: str, a: FloatArray, b: FloatArray) -> None:
    if a.shape != b.shape:
        raise ParityError(f"{name} have the shape {b.shape} after the export and {a.shape} before.")


def _plate_difference(expected: Sequence[Detection], got: Sequence[Detection], where: str) -> float:
    """The furthest corner between two lists of plates, in any order."""
    if len(expected) != len(got):
        raise ParityError(f"{len(got)} plates are found after the export and {len(expected)} before ({where}).")
    rest = list(got)
    furthest = 0.0
    for detection in expected:
        distances = [float(np.linalg.norm(other.corners - detection.corners, axis=1).max()) for other in rest]
        nearest = int(np.argmin(distances))
        if not distances[nearest] <= CORNER_TOLERANCE_PX:
            raise ParityError(
                f"a plate's corners are {distances[nearest]:.3g} px away after the export ({where}); "
                f"at most {CORNER_TOLERANCE_PX} px is allowed."
            )
        furthest = max(furthest, distances[nearest])
        rest.pop(nearest)
    return furthest

"""How the HoG detector is trained: windows with plates, windows without, and again those that it takes for plates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console

from alpr.baselines.array_files import read_arrays, write_arrays
from alpr.baselines.hog import FILE, KIND, Classifier, HogDetector, HogSettings
from alpr.baselines.scikit_learn import linear_svc, logistic
from alpr.detection.datamodule import DetectionData
from alpr.detection.metrics import DetectionMetrics, ignored_regions, match_plates, true_hull
from alpr.images.prepare import UnreadableImage, read_image
from alpr.images.read_ahead import ahead
from alpr.plates.geometry import box_corners, box_iou
from alpr.plates.records import Detection, FloatArray, ImageArray, Plate, Scene
from alpr.plates.values import read_as
from alpr.reports.progress import progress_bar

MINED = "mined.safetensors"
"""The windows of the rounds that are done, for a run that was stopped."""
APART = 0.3
"""A window that overlaps a plate by less is one without a plate."""
RIDGE = 30.0
"""The weight of the regression's penalty: histograms of neighbouring blocks are nearly equal."""
FEWEST = 20
"""Plates that one window is learnt from at least."""


class Example(NamedTuple):
    """A window with a plate: its histograms (F,) and the plate's corners (8,) px of the window."""

    features: FloatArray
    corners: FloatArray


class HogTraining:
    """Trains a `HogDetector`; see `alpr.training.one_pass`.

    Args:
        settings: see `HogSettings`.
        scenes: photographs that train at most, drawn evenly; the others are not looked at.
        jittered: windows drawn of every plate, moved and scaled as far as the pyramid and the stride leave it.
        negatives: windows without a plate of every photograph to begin with.
        rounds: of hard negatives: the detector looks for plates, and what it finds beside them is learnt.
        mined: the most windows of a photograph that a round adds.
        c: the weight of errors, scikit-learn's C.
    """

    kind = KIND
    monitor = "f1"

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        scenes: int = 1000,
        jittered: int = 4,
        negatives: int = 6,
        rounds: int = 2,
        mined: int = 20,
        c: float = 0.01,
        seed: int = 1,
    ) -> None:
        self.settings = read_as(HogSettings, dict(settings or {}), ("settings",))
        self.scenes, self.jittered, self.negatives, self.rounds = scenes, jittered, negatives, rounds
        self.mined, self.c, self.seed = mined, c, seed

    def fit_whole(self, data: DetectionData, folder: Path) -> Mapping[str, float]:
        """Trains and writes `hog.safetensors`; the figures are those of the held-back photographs.

        Raises:
            ValueError: fewer plates for a window than can be learnt from.
        """
        train, held = self._drawn(data, "train"), self._drawn(data, "held")
        examples, negatives = self._begin(train)
        done, more = self._earlier(folder)
        for hard in more:
            negatives = _joined(negatives, hard)
        detector = self._learnt(examples, negatives)
        for turn in range(done, self.rounds):
            hard = self._hard(detector, train, f"hard negatives, {turn + 1} of {self.rounds}")
            more.append(hard)
            self._keep(folder, more)
            negatives = _joined(negatives, hard)
            detector = self._learnt(examples, negatives)
        detector, threshold, figures = self._calibrated(detector, held)
        counts = {"plates": sum(len(each) for each in examples) // max(1, self.jittered)}
        detector.write(folder / FILE, threshold, {**figures, **counts})
        (folder / MINED).unlink(missing_ok=True)
        return figures

    def _drawn(self, data: DetectionData, which: str) -> list[Scene]:
        """Some photographs of every source, evenly over its table."""
        result: list[Scene] = []
        for source in data.sources:
            found: Sequence[Scene] = source.train if which == "train" else source.held
            most = max(1, self.scenes // len(data.sources))
            chosen = np.linspace(0, len(found) - 1, min(most, len(found))).astype(int) if len(found) else []
            result += [found[int(i)] for i in chosen]
        return result

    def _opened(self, scenes: Sequence[Scene], what: str) -> Iterator[tuple[int, Scene, ImageArray]]:
        """The photographs that can be read, with a bar; the others are counted and named."""
        unreadable = 0
        with progress_bar("images", Console(stderr=True)) as bar:
            task = bar.add_task(what, total=len(scenes))
            for i, (scene, image) in enumerate(ahead(scenes, lambda scene: read_image(scene.image), 1)):
                bar.advance(task)
                try:
                    yield i, scene, image()
                except UnreadableImage as error:
                    unreadable += 1
                    print(f"Skipped, {unreadable} so far: {error}", flush=True)

    def _begin(self, scenes: Sequence[Scene]) -> tuple[list[list[Example]], list[FloatArray]]:
        """Windows with plates, and some without, for each of the settings' windows."""
        kinds = range(len(self.settings.windows))
        examples: list[list[Example]] = [[] for _ in kinds]
        empty: list[list[FloatArray]] = [[] for _ in kinds]
        for i, scene, image in self._opened(scenes, "windows"):
            random = np.random.default_rng((self.seed, i))
            for plate in (plate for plate in scene.plates if not plate.ignored and true_hull(plate) is not None):
                window = self._window_of(plate)
                examples[window] += [self._example(image, plate, window, random) for _ in range(self.jittered)]
            if scene.complete:
                for window in kinds:
                    empty[window] += self._without_plate(image, scene, window, random)
        for size, found in zip(self.settings.windows, examples, strict=True):
            if len(found) < FEWEST * self.jittered:
                raise ValueError(
                    f"The window {size[0]}x{size[1]} px has {len(found) // max(1, self.jittered)} plates of its shape; "
                    f"expected {FEWEST} or more. Give other model.settings.windows, or more scenes."
                )
        lengths = [self.settings.descriptor(size).getDescriptorSize() for size in self.settings.windows]
        return examples, [np.array(e, np.float32).reshape(-1, n) for e, n in zip(empty, lengths, strict=True)]

    def _window_of(self, plate: Plate) -> int:
        """The window whose shape is the nearest to a plate's."""
        x1, y1, x2, y2 = _hull(plate)
        aspect = (x2 - x1) / max(1.0, y2 - y1)
        away = [abs(math.log(aspect * height / width)) for width, height in self.settings.windows]
        return int(np.argmin(away))

    def _example(self, image: ImageArray, plate: Plate, window: int, random: np.random.Generator) -> Example:
        settings, size = self.settings, self.settings.windows[window]
        hull = _hull(plate)
        wide, high = hull[2] - hull[0], hull[3] - hull[1]
        scale = max(wide / (settings.inner * size[0]), high / (0.95 * size[1]))
        scale *= settings.step ** random.uniform(-0.5, 0.5)
        moved = random.uniform(-0.5, 0.5, 2) * settings.cell * scale
        origin = (hull[:2] + hull[2:]) / 2 + moved - np.array(size) * scale / 2
        corners = box_corners(hull) if plate.corners is None else plate.corners
        return Example(self._features(_cut(image, origin, scale, size), window), ((corners - origin) / scale).ravel())

    def _without_plate(
        self, image: ImageArray, scene: Scene, window: int, random: np.random.Generator
    ) -> list[FloatArray]:
        size, found = self.settings.windows[window], []
        levels = [scale for _, scale in self.settings.pyramid(image)]
        plates = _hulls(scene)
        for _ in range(self.negatives if levels else 0):
            scale = levels[int(random.integers(len(levels)))]
            room = np.array(image.shape[1::-1]) - np.array(size) * scale
            if room.min() < 0:
                continue
            origin = random.uniform(0, 1, 2) * room
            box = np.concatenate([origin, origin + np.array(size) * scale])
            if not (box_iou(box[None], plates) > APART / 2).any():
                found.append(self._features(_cut(image, origin, scale, size), window))
        return found

    def _features(self, crop: ImageArray, window: int) -> FloatArray:
        return np.ravel(self.settings.descriptor(self.settings.windows[window]).compute(crop))

    def _learnt(self, examples: Sequence[Sequence[Example]], negatives: Sequence[FloatArray]) -> HogDetector:
        """A classifier and a regression for every window."""
        learnt = []
        for found, empty in zip(examples, negatives, strict=True):
            positive = np.array([one.features for one in found], np.float32)
            weights, bias = linear_svc(positive, empty, self.c, self.seed)
            learnt.append(Classifier(weights, bias, _ridge(positive, np.array([one.corners for one in found]))))
        return HogDetector(self.settings, learnt)

    def _hard(self, detector: HogDetector, scenes: Sequence[Scene], what: str) -> list[FloatArray]:
        """The windows beside plates that look most like one, of wholly labelled photographs, for every window."""
        found: list[list[FloatArray]] = [[] for _ in self.settings.windows]
        for _, scene, image in self._opened([scene for scene in scenes if scene.complete], what):
            levels, plates = list(self.settings.pyramid(image)), _hulls(scene)
            hits = detector.hits(levels)
            boxes = np.array([detector.inner_box(hit) for hit in hits]).reshape(-1, 4)
            beside = ~(box_iou(boxes, plates) > APART).any(axis=1)
            for hit in [hit for hit, apart in zip(hits, beside, strict=True) if apart][: self.mined]:
                found[hit.window].append(detector.features(levels, hit))
        lengths = [self.settings.descriptor(size).getDescriptorSize() for size in self.settings.windows]
        return [np.array(each, np.float32).reshape(-1, n) for each, n in zip(found, lengths, strict=True)]

    def _calibrated(self, detector: HogDetector, held: Sequence[Scene]) -> tuple[HogDetector, float, dict[str, float]]:
        """The detector with probabilities of held-back photographs as scores, and the threshold of the best F1."""
        plain = replace(detector, slope=1.0, offset=0.0)
        found: list[tuple[Scene, list[Detection]]] = []
        for _, scene, image in self._opened(held, "held back"):
            found.append((scene, plain.locate(image)))
        margins, right = [], []
        for scene, plates in found:
            if scene.complete:
                hits = {m.detection for m in match_plates(plates, scene.plates) if m.iou > 0.5}
                margins += [math.log(p.score / max(1e-12, 1 - p.score)) for p in plates]
                right += [i in hits for i in range(len(plates))]
        slope, offset = logistic(np.array(margins), np.array(right))
        fitted = replace(detector, slope=slope, offset=offset)
        threshold = fitted.score(_best_margin(np.array(margins), np.array(right), sum(len(s.plates) for s, _ in found)))
        metrics = DetectionMetrics()
        for scene, plates in found:
            scored = [replace(p, score=fitted.score(math.log(p.score / max(1e-12, 1 - p.score)))) for p in plates]
            metrics.update([p for p in scored if p.score >= threshold], scene, scored)
        scores = metrics.compute()
        hit, false = scores.recall_hull_50 or 0.0, scores.false_positives_per_image or 0.0
        per_image = scores.plates / max(1, scores.images)
        precision = hit * per_image / max(1e-9, hit * per_image + false)
        figures = {
            "f1": 2 * hit * precision / max(1e-9, hit + precision),
            "found_50": hit,
            "found_70": scores.recall_hull_70 or 0.0,
            "false_positives_per_image": false,
            "ap_hull_50": scores.ap_hull_50 or 0.0,
            "threshold": threshold,
        }
        return fitted, threshold, figures

    def _keep(self, folder: Path, rounds: Sequence[Sequence[FloatArray]]) -> None:
        arrays = {f"{turn}.{w}": each for turn, windows in enumerate(rounds) for w, each in enumerate(windows)}
        write_arrays(folder / MINED, MINED, arrays, {"rounds": len(rounds)})

    def _earlier(self, folder: Path) -> tuple[int, list[list[FloatArray]]]:
        """The rounds that a stopped run has done."""
        if not (folder / MINED).is_file():
            return 0, []
        arrays, settings = read_arrays(folder / MINED, MINED)
        done = int(settings["rounds"])
        print(f"{folder} was stopped after {done} of {self.rounds} rounds; it goes on.", flush=True)
        return done, [[arrays[f"{turn}.{w}"] for w in range(len(self.settings.windows))] for turn in range(done)]


def _joined(some: Sequence[FloatArray], more: Sequence[FloatArray]) -> list[FloatArray]:
    """Histograms of every window, more added."""
    return [np.concatenate(pair) for pair in zip(some, more, strict=True)]


def _hull(plate: Plate) -> FloatArray:
    hull = true_hull(plate)
    assert hull is not None
    return np.asarray(hull, np.float64)


def _hulls(scene: Scene) -> FloatArray:
    """Of plates and ignored regions, (N, 4): no window near either is one without a plate."""
    plates = [hull for plate in scene.plates if (hull := true_hull(plate)) is not None]
    return np.concatenate([np.array(plates, np.float64).reshape(-1, 4), ignored_regions(scene).reshape(-1, 4)])


def _cut(image: ImageArray, origin: FloatArray, scale: float, size: tuple[int, int]) -> ImageArray:
    """A window (height, width, 3) of an image, its edge repeated where the window leaves it.

    Args:
        origin: (x, y) px of the image.
        scale: px of the image per px of the window.
    """
    low = np.floor(origin).astype(int)
    high = np.maximum(low + 1, np.ceil(origin + np.array(size) * scale).astype(int))
    x1, y1, x2, y2 = (*np.maximum(low, 0), *np.minimum(high, image.shape[1::-1]))
    if x1 >= x2 or y1 >= y2:
        return np.zeros((size[1], size[0], 3), np.uint8)
    edges = (y1 - low[1], high[1] - y2, x1 - low[0], high[0] - x2)
    cut = cv2.copyMakeBorder(image[y1:y2, x1:x2], *map(int, edges), cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR), np.uint8)


def _ridge(features: FloatArray, corners: FloatArray) -> FloatArray:
    """The linear regression of corners (N, 8) on histograms (N, F) with a penalty: (F + 1, 8)."""
    centre, mean = features.mean(axis=0, dtype=np.float64), corners.mean(axis=0)
    x, y = features - centre, corners - mean
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return np.vstack([weights, mean - centre @ weights])


def _best_margin(margins: FloatArray, right: npt.NDArray[np.bool_], plates: int) -> float:
    """The margin of the highest F1."""
    if not right.any():
        return 0.0
    order = np.argsort(-margins)
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + max(1, plates))
    best = int(np.argmax(f1))
    following = margins[order][best + 1] if best + 1 < len(order) else margins[order][best]
    return float((margins[order][best] + following) / 2)

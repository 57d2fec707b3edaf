"""A world whose answers are known: a plate is a patch of one colour, its text that colour's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from alpr.evaluation.outcomes import EvaluationReport
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, FloatArray, ImageArray, Plate, Reading, Scene

TEXTS = {50: "皖A12345", 100: "皖AD12345", 150: "苏B0", 200: "ABC123", 250: "皖A99999"}
BOXES = [[20, 20, 80, 40], [100, 30, 180, 60], [30, 90, 110, 120]]


class PatchDetector:
    """Finds every patch; `change` alters what it found in an image."""

    def __init__(self, change: Callable[[list[Detection]], list[Detection]] = lambda found: found) -> None:
        self.change = change
        self.batches: list[int] = []

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        self.batches.append(len(images))
        return [self.change(self._patches(image)) for image in images]

    def _patches(self, image: ImageArray) -> list[Detection]:
        found = []
        for colour in (*TEXTS, 30):  # 30 looks like a plate and is none
            ys, xs = np.nonzero(image[..., 0] == colour)
            if len(ys):
                box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)
                found.append(Detection(box_corners(box), box, 0.8))
        return found


class ColourRecogniser:
    """Reads the colour in the middle; `texts` says what each colour reads as."""

    def __init__(self, texts: dict[int, str] | None = None) -> None:
        self.texts = TEXTS if texts is None else texts

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        colours = [int(crop[crop.shape[0] // 2, crop.shape[1] // 2, 0]) for crop in crops]
        return [Reading(t, 0.9, (0.99,) * len(t)) for t in (self.texts.get(c, "") for c in colours)]

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
        middles = [quad.mean(axis=0).astype(int) for quad in corners]
        return self.read([image[y : y + 1, x : x + 1] for x, y in middles])


def draw(path: Path, patches: Sequence[tuple[int, list[int]]]) -> Path:
    image = np.zeros((140, 200, 3), np.uint8)
    for colour, (x1, y1, x2, y2) in patches:
        image[y1:y2, x1:x2] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def plate(colour: int, box: list[int], text: bool = True, corners: bool = True) -> Plate:
    array = np.array(box, np.float32)
    return Plate(TEXTS[colour] if text else None, box_corners(array) if corners else None, array, "CN")


def scene(folder: Path, name: str, *patches: tuple[int, list[int]], split: str = "val") -> Scene:
    return Scene(draw(folder / name, patches), tuple(plate(c, b) for c, b in patches), split)


def three_scenes(folder: Path) -> list[Scene]:
    """Two plates in one scene, one in another of another split, and an empty one."""
    return [
        scene(folder, "blur/two.png", (50, BOXES[0]), (100, BOXES[1])),
        scene(folder, "tilt/one.png", (200, BOXES[2]), split="test"),
        scene(folder, "tilt/none.png"),
    ]


def value(report: EvaluationReport, name: str) -> float | None:
    figure = report.figure(name)
    return None if figure is None else figure.value

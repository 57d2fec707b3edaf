"""The bundle of `tiny_bundle` with weights: two convolutions find its blue, a linear layer passes its logits on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx.parser
from onnx import numpy_helper
from tiny_bundle import ALPHABET, DETECTOR, RECOGNISER, scene, write_bundle

from alpr.data.manifest import Manifest
from alpr.reader.card import ModelCard, WeightFile

CHANNELS = 100
BLUE = """
  blue = Slice (pixels, c0, c1, c3)
  blue2 = Squeeze (blue, c3)
"""
CONVOLVED = """
  planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
  wide = Conv (planes, spread)
  bright = Relu (wide)
  plane = Conv (bright, gather)
  blue2 = Squeeze (plane, c1)
"""
LINEAR = """
  near = Mul (squared, sharp)
  logits = MatMul (near, same)
"""


def write_weighed_bundle(folder: Path) -> Path:
    """Writes the bundle and gives the folder."""
    write_bundle(folder)
    spread, gather = np.zeros((CHANNELS, 3, 1, 1), np.float32), np.zeros((1, CHANNELS, 1, 1), np.float32)
    spread[:, 0], gather[:] = 1, 1 / CHANNELS
    same = np.eye(len(ALPHABET) + 1, dtype=np.float32)
    detector = DETECTOR.replace(BLUE, CONVOLVED)
    recogniser = RECOGNISER.replace("\n  logits = Mul (squared, sharp)\n", LINEAR)
    assert detector != DETECTOR and recogniser != RECOGNISER
    _save(detector, {"spread": spread, "gather": gather}, folder / "detector.onnx")
    _save(recogniser, {"same": same}, folder / "recogniser.onnx")
    card = ModelCard.read(folder)
    files = {f"{name}_file": WeightFile.of(folder / f"{name}.onnx") for name in ("detector", "recogniser")}
    ModelCard(**{**vars(card), **files}).write(folder)
    return folder


def _save(text: str, weights: dict[str, np.ndarray], path: Path) -> None:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in weights.items())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_scenes(folder: Path, texts: Sequence[str], dark: bool = False) -> Manifest:
    """Scenes of one plate each, by day or in the dark, with their labels."""
    folder.mkdir(parents=True)
    corners = []
    for i, text in enumerate(texts):
        x, y = 40 + 10 * i, 30 + 5 * i
        image = scene(text, (x, y))
        cv2.imwrite(str(folder / f"{i}.png"), image // 12 if dark else image)
        corners.append([[x, y], [x + 120, y], [x + 120, y + 30], [x, y + 30]])
    names = [f"{i}.png" for i in range(len(texts))]
    return Manifest.of(folder, names, text=list(texts), corners=np.array(corners, float), split="val")

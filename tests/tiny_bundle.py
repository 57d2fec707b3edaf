"""A bundle of two hand-made ONNX networks without weights: it finds one blue rectangle and reads its brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser

from alpr.detection.settings import DetectorSettings
from alpr.plates.country import CountryPack, Layout
from alpr.plates.records import ImageArray
from alpr.reader.card import ModelCard, WeightFile
from alpr.recognition.settings import RecogniserSettings

ALPHABET = "皖AB12345"
SLOTS = 4

# The plate is where blue exceeds 200; the box is the extent of those pixels, the score 0.9 where there are any.
DETECTOR = """
<ir_version: 8, opset_import: ["" : 18]>
detector (uint8[B, H, W, 3] image) => (float[B, A] scores, float[B, A, 4] boxes, float[B, A, 4, 2] corners)
<float zero = {0.0}, float one = {1.0}, float far = {100000.0}, float limit = {200.0}, float sure = {0.9},
 int64 i0 = {0}, int64 i1 = {1}, int64[1] c0 = {0}, int64[1] c1 = {1}, int64[1] c3 = {3},
 int64[2] area = {1, 2}, int64[3] quad = {-1, 1, 8}, int64[4] points = {-1, 1, 4, 2}>
{
  pixels = Cast <to = 1> (image)
  blue = Slice (pixels, c0, c1, c3)
  blue2 = Squeeze (blue, c3)
  mask = Greater (blue2, limit)
  maskf = Cast <to = 1> (mask)
  shape = Shape (mask)
  height = Gather (shape, i1)
  i2 = Add (i1, i1)
  width = Gather (shape, i2)
  rowsi = Range (i0, height, i1)
  columnsi = Range (i0, width, i1)
  rows1 = Cast <to = 1> (rowsi)
  xs = Cast <to = 1> (columnsi)
  ys = Unsqueeze (rows1, c1)
  nfar = Neg (far)
  left_of = Where (mask, xs, far)
  right_of = Where (mask, xs, nfar)
  above = Where (mask, ys, far)
  below = Where (mask, ys, nfar)
  left = ReduceMin <keepdims = 0> (left_of, area)
  right0 = ReduceMax <keepdims = 0> (right_of, area)
  top = ReduceMin <keepdims = 0> (above, area)
  bottom0 = ReduceMax <keepdims = 0> (below, area)
  right = Add (right0, one)
  bottom = Add (bottom0, one)
  x1 = Unsqueeze (left, c1)
  y1 = Unsqueeze (top, c1)
  x2 = Unsqueeze (right, c1)
  y2 = Unsqueeze (bottom, c1)
  box = Concat <axis = 1> (x1, y1, x2, y2)
  boxes = Unsqueeze (box, c1)
  eight = Concat <axis = 1> (x1, y1, x2, y1, x2, y2, x1, y2)
  corners = Reshape (eight, points)
  found = ReduceMax <keepdims = 0> (maskf, area)
  score = Mul (found, sure)
  scores = Unsqueeze (score, c1)
}
"""

# The red channel of a slot's middle, 25 levels to a class: class k is at 25 k.
RECOGNISER = f"""
<ir_version: 8, opset_import: ["" : 18]>
recogniser (uint8[B, 48, 192, 3] crop) => (float[B, {SLOTS}, {len(ALPHABET) + 1}] logits)
<int64[1] c0 = {{0}}, int64[1] c1 = {{1}}, int64[1] c2 = {{2}}, int64[1] c3 = {{3}}, int64[1] top = {{20}},
 int64[1] bottom = {{28}}, int64[3] parts = {{0, {SLOTS}, -1}}, int64 zero = {{0}}, int64 one = {{1}},
 int64 classes = {{{len(ALPHABET) + 1}}}, float step = {{25.0}}, float sharp = {{-0.05}}>
{{
  pixels = Cast <to = 1> (crop)
  red = Slice (pixels, c2, c3, c3)
  band = Slice (red, top, bottom, c1)
  row = ReduceMean <keepdims = 0> (band, c1)
  row2 = Squeeze (row, c2)
  slots = Reshape (row2, parts)
  middle = Slice (slots, from, to, c2)
  level = ReduceMean <keepdims = 1> (middle, c2)
  idsi = Range (zero, classes, one)
  ids = Cast <to = 1> (idsi)
  levels = Mul (ids, step)
  away = Sub (level, levels)
  squared = Mul (away, away)
  logits = Mul (squared, sharp)
}}
""".replace("float sharp", "int64[1] from = {12}, int64[1] to = {36}, float sharp")


def pack() -> CountryPack:
    """A country of four-character plates."""
    layout = Layout("plain", "XXXX", (140, 440), ("#0000ff",), "#ffffff", (90, 45), 12)
    return CountryPack("CN", "Testland", ALPHABET, {"X": ALPHABET}, (layout,))


def write_bundle(folder: Path, settings: DetectorSettings | None = None) -> Path:
    """Writes the bundle's three files and gives the folder."""
    folder.mkdir(parents=True)
    for name, text in (("detector", DETECTOR), ("recogniser", RECOGNISER)):
        model = onnx.parser.parse_model(text)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, folder / f"{name}.onnx")
    ModelCard(
        name=folder.name,
        created="2026-01-01T00:00:00Z",
        alpr="0.1.0",
        commit=None,
        country=pack(),
        detector=settings or DetectorSettings(input_px=320),
        detector_file=WeightFile.of(folder / "detector.onnx"),
        recogniser=RecogniserSettings(margin=0.0, slots=SLOTS),
        recogniser_file=WeightFile.of(folder / "recogniser.onnx"),
        alphabet=ALPHABET,
    ).write(folder)
    return folder


def scene(
    text: str = "皖A12", at: tuple[int, int] = (200, 120), size: tuple[int, int] = (240, 480), plate: int = 120
) -> ImageArray:
    """A grey image (height, width) with one blue plate whose slots' red levels spell the text; `at` is its top left."""
    image = np.full((*size, 3), 150, np.uint8)
    height, slot = plate // 4, plate // SLOTS
    x, y = at
    image[y : y + height, x : x + plate] = (255, 0, 0)
    for i, character in enumerate(text):
        image[y : y + height, x + i * slot : x + (i + 1) * slot, 2] = 25 * (ALPHABET.index(character) + 1)
    return image

"""Fabricated tables for the recogniser's experiments, and what a training on them would see, as one hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from alpr.data.manifest import Manifest
from alpr.data.sampling import StepSampler
from alpr.plates.country import CountryPack
from alpr.recognition.data import ValidationPlates
from alpr.recognition.datamodule import RecognitionData
from alpr.synthetic.glyph_bank import GlyphBank, face_of
from alpr.synthetic.glyphs import stroke_mask
from alpr.synthetic.renderer import PlateRenderer

CORNERS = np.array([[30, 24], [222, 24], [222, 72], [30, 72]], np.float32)
READY_MADE = {
    "crops/br/labels.csv": "br", "crops/us/labels.csv": "us", "crops/cn_blue/labels.csv": "cn",
    "crops/cn_traffic/labels.csv": "cn", "rendered/cn/labels.csv": "cn", "rendered/br/labels.csv": "br",
}  # fmt: skip
PHOTOGRAPHS = (
    "CCPD2020/ccpd_green/alpr_dataset.csv", "CCPD2018/ccpd_base/alpr_dataset.csv", "ccpd_base/alpr_dataset.csv",
    "CCPD2019/ccpd_base/alpr_dataset.csv", "ccpd_green/alpr_dataset.csv",
)  # fmt: skip


def make_tables(root: Path, plates: int = 60) -> Path:
    """The tables and glyph banks that the experiments name, of a few rendered plates each."""
    for number, name in enumerate((*READY_MADE, *PHOTOGRAPHS)):
        pack = CountryPack.find(READY_MADE.get(name, "cn")).reading(None)
        renderer, rng = PlateRenderer(pack), np.random.default_rng((7, number))
        folder, texts, photographed = (root / name).parent, [], name in PHOTOGRAPHS
        folder.mkdir(parents=True)
        for i in range(plates):
            crop, text = renderer.crop(rng, (48, 192), 0.0)
            image = np.full((110, 260, 3), 90 + i, np.uint8)
            image[24:72, 30:222] = crop
            cv2.imwrite(str(folder / f"{i}.png"), image if photographed else crop)
            texts.append(text)
        corners = np.repeat(CORNERS[None], plates, 0) if photographed else None
        names, splits = [f"{i}.png" for i in range(plates)], ["train"] * (plates - 6) + ["val"] * 6
        table = Manifest.of(folder, names, text=texts, corners=corners, country=pack.code, split=splits)
        table.write(root / name)
    for code in ("br", "us", "cn"):
        pack = CountryPack.find(code)
        masks = {(face_of(pack.layouts[0]), c): stroke_mask(c, (90, 45), 5)[None] for c in "ABDX0127"}
        GlyphBank(pack.code, masks).write(root / "glyphs" / f"{code}.npz")
    return root


def stream(data: RecognitionData, steps: int = 2) -> str:
    """A hash of the first batches (seeds, pixels and targets), the figures about them, and the held-back plates."""
    digest, crops = hashlib.sha256(), data.training_crops()
    sampler = StepSampler([s.size for s in crops.sources], data.counts, steps, data.seed, weights=data.weights())
    for key in (key for step in range(steps) for key in sampler.batch(step)):
        sample = crops[key]
        assert sample.crop is not None, sample.unreadable
        places = b"" if sample.places is None else np.nan_to_num(sample.places).tobytes()
        digest.update(sample.crop.tobytes() + places)
        digest.update(repr((tuple(key), sample.text, sample.country, sample.kind, sample.rows)).encode())
    for plate in ValidationPlates(data.val_plates):
        assert plate.image is not None
        digest.update(plate.image.tobytes() + (b"" if plate.corners is None else plate.corners.tobytes()))
        digest.update(repr((plate.text, plate.country, plate.kind)).encode())
    settings = (data.countries, data.kinds, data.size, data.margin, data.manifests, data.epoch_samples)
    digest.update(repr((*settings, data.label_entropy())).encode())
    return digest.hexdigest()

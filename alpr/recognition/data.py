"""Plates to training batches of the recogniser: rendered, cut from scenes, or ready-made crops, in one mixture."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

from alpr.charset import Charset
from alpr.data.augment import PixelAugment, warp
from alpr.data.sampling import SampleKey
from alpr.data.synthetic.plates import PlateRenderer
from alpr.geometry import FlatQuad, box_corners, corner_box, homography, plate_height
from alpr.imaging import UnreadableImage, read_image, rectify
from alpr.recognition.targets import RecognitionBatch, recognition_batch
from alpr.records import FloatArray, ImageArray, Scene


@dataclass(frozen=True)
class CropGeometry:
    """How far a crop's corners err, as a detector's would. Units are plate heights unless said otherwise.

    Attributes:
        shift: deviation of all four corners together.
        corner: deviation of each corner on its own.
        grow: deviation of the quad's size, as a fraction of it.
        wild: probability that all deviations are doubled.
    """

    shift: float = 0.04
    corner: float = 0.05
    grow: float = 0.04
    wild: float = 0.15


def jittered(corners: FloatArray, geometry: CropGeometry, rng: np.random.Generator) -> FloatArray:
    """Corners (4, 2) as a detector might have found them."""
    strength = 2.0 if rng.random() < geometry.wild else 1.0
    height = float(plate_height(corners)) * strength
    centre = corners.mean(axis=0)
    grown = centre + (corners - centre) * (1 + rng.normal(0, geometry.grow * strength, 2))
    shift = rng.normal(0, geometry.shift * height, 2)
    return np.asarray(grown + shift + rng.normal(0, geometry.corner * height, (4, 2)), np.float32)


@dataclass(frozen=True, slots=True)
class LabelledCrop:
    """Where a crop comes from: an image, the plate's corners in it (None: the image is the crop), and its text."""

    image: Path
    corners: FloatArray | None
    text: str


def labelled_crops(scenes: Sequence[Scene]) -> list[LabelledCrop]:
    """Every plate with a text and a place, and every ready-made crop (an image with one text and no place in it).

    A plate of which only the box is known is cut by its box.
    """
    crops = []
    for scene in scenes:
        for plate in scene.plates:
            corners = plate.corners
            if corners is None and plate.box is not None:
                corners = box_corners(plate.box)
            if plate.text and (corners is not None or len(scene.plates) == 1):
                crops.append(LabelledCrop(scene.image, corners, plate.text))
    return crops


class CropSource(Protocol):
    """Something that gives augmented crops with their texts."""

    @property
    def size(self) -> int | None:
        """The number of its items, or None where each draw makes a new one."""

    def draw(self, item: int, rng: np.random.Generator) -> tuple[ImageArray, str]:
        """One augmented crop (h, w, 3) and its text."""


class RenderedCrops:
    """Synthetic plates of a country pack, made on the fly."""

    size = None

    def __init__(self, renderer: PlateRenderer, crop_size: tuple[int, int], margin: float) -> None:
        self.renderer, self.crop_size, self.margin = renderer, crop_size, margin

    def draw(self, item: int, rng: np.random.Generator) -> tuple[ImageArray, str]:
        return self.renderer.crop(rng, self.crop_size, self.margin)


class PhotographedCrops:
    """Plates cut from photographs by erring corners, or ready-made crops with an erring frame.

    The surroundings of up to `cached` plates (0.2 MB each in CCPD) stay in memory in every loader process, so that a
    photograph is not decoded for every draw.
    """

    def __init__(
        self,
        crops: Sequence[LabelledCrop],
        crop_size: tuple[int, int],
        margin: float,
        geometry: CropGeometry,
        pixels: PixelAugment,
        cached: int = 2000,
    ) -> None:
        self.crops, self.crop_size, self.margin = crops, crop_size, margin
        self.geometry, self.pixels, self.cached = geometry, pixels, cached
        self._cache: OrderedDict[int, tuple[ImageArray, FloatArray | None]] = OrderedDict()

    @property
    def size(self) -> int:
        return len(self.crops)

    def draw(self, item: int, rng: np.random.Generator) -> tuple[ImageArray, str]:
        image, corners = self._surroundings(item)
        if corners is None:
            crop = self._reframed(image, rng)
        else:
            crop = rectify(image, jittered(corners, self.geometry, rng), self.crop_size, self.margin)
        return self.pixels(crop, rng), self.crops[item].text

    def _reframed(self, image: ImageArray, rng: np.random.Generator) -> ImageArray:
        """A ready-made crop seen through an erring frame; what lies outside it repeats its edge."""
        height, width = image.shape[:2]
        whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        crop_h, crop_w = self.crop_size
        target = np.array([[0, 0], [crop_w, 0], [crop_w, crop_h], [0, crop_h]], np.float32)
        frame = jittered(whole, self.geometry, rng)
        return warp(image, homography(frame, target), self.crop_size, border="replicate")

    def _surroundings(self, item: int) -> tuple[ImageArray, FloatArray | None]:
        """The part of the photograph around the plate, and the corners in it."""
        if item in self._cache:
            self._cache.move_to_end(item)
            return self._cache[item]
        source = self.crops[item]
        image = read_image(source.image)
        corners = source.corners
        if corners is not None:
            room = float(plate_height(corners))
            x1, y1, x2, y2 = corner_box(corners)
            left, top = max(0, int(x1 - room)), max(0, int(y1 - room))
            bottom, right = max(0, int(y2 + room) + 1), max(0, int(x2 + room) + 1)  # below 0 a slice would wrap
            image = image[top:bottom, left:right].copy()
            if image.size == 0:
                raise UnreadableImage(f"{source.image}: the plate {source.text!r} lies outside the image.")
            corners = (corners - np.array([left, top], np.float32)).astype(np.float32)
        self._cache[item] = (image, corners)
        if len(self._cache) > self.cached:
            self._cache.popitem(last=False)
        return self._cache[item]


@dataclass(frozen=True, slots=True)
class RecognitionSample:
    """One crop with its text; or the reason why it could not be read."""

    crop: ImageArray | None
    text: str
    unreadable: str | None = None


class TrainingCrops(Dataset[RecognitionSample]):
    """Augmented crops of several sources, one per key."""

    def __init__(self, sources: Sequence[CropSource], seed: int, strict: bool = False) -> None:
        self.sources, self.seed, self.strict = sources, seed, strict

    def __getitem__(self, key: SampleKey) -> RecognitionSample:
        try:
            crop, text = self.sources[key.source].draw(key.item, key.generator(self.seed))
        except (UnreadableImage, FlatQuad) as error:
            if self.strict:
                raise
            return RecognitionSample(None, "", str(error))
        return RecognitionSample(crop, text)


@dataclass(frozen=True)
class CropCollate:
    """Samples to a batch; those that could not be read are left out and their reasons given.

    Raises:
        ValueError: no sample of the batch could be read.
    """

    charset: Charset
    slots: int

    def __call__(self, samples: Sequence[RecognitionSample]) -> tuple[RecognitionBatch, list[str]]:
        reasons = [s.unreadable for s in samples if s.unreadable]
        read = [(s.crop, s.text) for s in samples if s.crop is not None]
        if not read:
            raise ValueError(f"No crop of a whole batch of {len(samples)} could be read. The first: {reasons[0]}")
        crops, texts = zip(*read, strict=True)
        return recognition_batch(crops, texts, self.charset, self.slots), reasons


@dataclass(frozen=True, slots=True)
class ValidationPlate:
    """One plate as it is: the photograph with the plate's corners, or a ready-made crop without; or why not."""

    image: ImageArray | None
    corners: FloatArray | None
    text: str
    unreadable: str | None = None


class ValidationPlates(Dataset[ValidationPlate]):
    """Labelled plates without augmentation."""

    def __init__(self, crops: Sequence[LabelledCrop]) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> ValidationPlate:
        crop = self.crops[index]
        try:
            return ValidationPlate(read_image(crop.image), crop.corners, crop.text)
        except UnreadableImage as error:
            return ValidationPlate(None, None, crop.text, str(error))

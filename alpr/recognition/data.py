"""Plates to training batches of the recogniser: which crops there are, one sample of them, and many in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from torch.utils.data import Dataset

from alpr.data.crop_corners import BOX, CORNERS, DETECTOR, FoundCorners, crop_corners
from alpr.data.sampling import SampleKey
from alpr.data.scenes import Scenes, where_from
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.charset import Charset
from alpr.plates.geometry import FlatQuad
from alpr.plates.records import FloatArray, ImageArray, Scene
from alpr.recognition.targets import UNKNOWN, RecognitionBatch, recognition_batch

LAYOUT_COLUMN = "layout"
"""The column of a manifest that names a plate's layout, where a set has one."""
ROWS_COLUMN = "rows"
"""The column of a manifest that says how many rows of characters a plate has, where a set has one."""


@dataclass(frozen=True, slots=True)
class LabelledCrop:
    """Where a crop comes from: an image, the plate's corners in it (None: the image is the crop), and its text."""

    image: Path
    corners: FloatArray | None
    text: str
    place: str = ""  # of its label: table, row and image
    country: str | None = None
    layout: str | None = None
    kind: str | None = None
    rows: int = 1  # of characters; 0: not known yet
    cut: float | None = None  # where two rows part, as a fraction of the plate's height


class Labelled(NamedTuple):
    """The crops of some scenes, and how many plates make none."""

    crops: list[LabelledCrop]
    textless: int  # plates with a place and no text
    unfound: int  # plates that the detector did not find


def labelled_crops(
    scenes: Sequence[Scene], crops: str = CORNERS, found: FoundCorners | None = None, texts: bool = True
) -> Labelled:
    """Every plate with a text and a place, and every ready-made crop (an image with one text and no place in it).

    A plate of which only the box is known is cut by its box, unless a detector's corners are asked for.

    Args:
        crops: see `crop_corners`.
        found: what a detector found in the scenes.
        texts: False takes plates without a text too.
    """
    kept: list[LabelledCrop] = []
    textless = unfound = 0
    for i, scene in enumerate(scenes):
        for number, plate in enumerate(scene.plates):
            box = crop_corners(plate, BOX)
            if plate.ignored or (texts and not plate.text):
                textless += box is not None and not plate.ignored
                continue
            detected = None if found is None else found.get(scene.image, {}).get(number)
            corners = crop_corners(plate, crops, detected)
            if corners is None and crops == DETECTOR and box is not None:
                unfound += 1
            elif corners is not None or box is not None or len(scene.plates) == 1:
                where, layout = where_from(scenes, i, number), said_of(scenes, i, number, LAYOUT_COLUMN)
                said = said_of(scenes, i, number, ROWS_COLUMN)
                at, rows = box if corners is None else corners, int(said) if said in ("1", "2") else 0
                text = plate.text or ""
                kept.append(LabelledCrop(scene.image, at, text, where, plate.country, layout, plate.kind, rows))
    return Labelled(kept, textless, unfound)


def said_of(scenes: Sequence[Scene], index: int, plate: int, column: str) -> str | None:
    """What a column of the table says of a scene's plate, if there is such a column."""
    if not isinstance(scenes, Scenes) or column not in scenes.manifest.extra:
        return None
    table = scenes.manifest
    rows = [row for row in scenes.rows(index) if table.plate(row) is not None]
    return table.extra[column][rows[plate]] or None


class DrawnCrop(NamedTuple):
    """One augmented crop (h, w, 3) and its labels."""

    crop: ImageArray
    text: str | None  # "" where there is no plate; None where no text is taught
    country: str | None = None
    kind: str | None = None
    rows: int = 1  # of characters
    places: FloatArray | None = None  # (N, 4) of the characters' cells, as fractions of the crop; None: not known
    cut: float | None = None  # 0 for a plate of one row, else where two part in the crop; None: not known


class CropSource(Protocol):
    """Something that gives augmented crops with their texts."""

    @property
    def size(self) -> int | None:
        """The number of its items, or None where each draw makes a new one."""

    def draw(self, item: int, rng: np.random.Generator) -> DrawnCrop:
        """One augmented crop."""


@dataclass(frozen=True, slots=True)
class RecognitionSample:
    """One crop with its text; or the reason why it could not be read."""

    crop: ImageArray | None
    text: str | None
    unreadable: str | None = None
    country: str | None = None
    kind: str | None = None
    rows: int = 1
    places: FloatArray | None = None
    cut: float | None = None


class TrainingCrops(Dataset[RecognitionSample]):
    """Augmented crops of several sources, one per key."""

    def __init__(self, sources: Sequence[CropSource], seed: int, strict: bool = False) -> None:
        self.sources, self.seed, self.strict = sources, seed, strict

    def __getitem__(self, key: SampleKey) -> RecognitionSample:
        try:
            drawn = self.sources[key.source].draw(key.item, key.generator(self.seed))
        except (UnreadableImage, FlatQuad) as error:
            if self.strict:
                raise
            return RecognitionSample(None, "", str(error))
        return RecognitionSample(drawn.crop, drawn.text, None, *drawn[2:])


@dataclass(frozen=True)
class CropCollate:
    """Samples to a batch; those that could not be read are left out and their reasons given.

    Attributes:
        countries, kinds: the lists that the batch's indices point into; a label that is not in its list is unknown.
        row_cuts: the list of cuts that those of the batch point into, the nearest one; empty for no label of rows.

    Raises:
        ValueError: no sample of the batch could be read.
    """

    charset: Charset
    slots: int
    countries: Sequence[str] = ()
    kinds: Sequence[str] = ()
    row_cuts: Sequence[float] = ()

    def __call__(self, samples: Sequence[RecognitionSample]) -> tuple[RecognitionBatch, list[str]]:
        reasons = [s.unreadable for s in samples if s.unreadable]
        read = [(s.crop, s.text, s.country, s.kind, s.rows, s.places, s.cut) for s in samples if s.crop is not None]
        if not read:
            raise ValueError(f"No crop of a whole batch of {len(samples)} could be read. The first: {reasons[0]}")
        crops, texts, countries, kinds, rows, places, cuts = zip(*read, strict=True)
        batch = recognition_batch(
            crops,
            texts,
            self.charset,
            self.slots,
            empty=True,  # labels without a text never come so far; only negatives are empty
            countries=_indices(countries, self.countries),
            kinds=_indices(kinds, self.kinds),
            rows=rows,
            cuts=[_nearest(cut, self.row_cuts) for cut in cuts],
            places=places,
        )
        return batch, reasons


def _nearest(cut: float | None, cuts: Sequence[float]) -> int:
    """The class of the head for rows: 0 for one row, k for the k-th cut, UNKNOWN without a label."""
    if cut is None or not cuts:
        return UNKNOWN
    return 0 if cut == 0 else 1 + min(range(len(cuts)), key=lambda k: abs(cuts[k] - cut))


def _indices(labels: Sequence[str | None], known: Sequence[str]) -> list[int]:
    places: Mapping[str | None, int] = {name: i for i, name in enumerate(known)}
    return [places.get(label, UNKNOWN) for label in labels]


@dataclass(frozen=True, slots=True)
class ValidationPlate:
    """One plate as it is: the photograph with the plate's corners, or a ready-made crop without; or why not."""

    image: ImageArray | None
    corners: FloatArray | None
    text: str
    unreadable: str | None = None
    country: str | None = None
    kind: str | None = None
    cut: float | None = None  # where two rows part, as a fraction of the plate's height; None: one row


class ValidationPlates(Dataset[ValidationPlate]):
    """Labelled plates without augmentation."""

    def __init__(self, crops: Sequence[LabelledCrop]) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> ValidationPlate:
        crop = self.crops[index]
        try:
            image = read_image(crop.image)
            return ValidationPlate(image, crop.corners, crop.text, None, crop.country, crop.kind, crop.cut)
        except UnreadableImage as error:
            return ValidationPlate(None, None, crop.text, f"{crop.place}: {error}" if crop.place else str(error))

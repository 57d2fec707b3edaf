"""Where augmented crops come from: rendered plates, and plates cut from photographs or ready-made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alpr.data.augment import PixelAugment, warp
from alpr.images.prepare import UnreadableImage, read_image, rectify
from alpr.images.unfold import folded_size, in_crop, unfolded, unfolded_places
from alpr.plates.charset import replaced
from alpr.plates.geometry import FlatQuad, corner_box, homography, plate_height
from alpr.plates.records import FloatArray, ImageArray
from alpr.recognition.data import DrawnCrop, LabelledCrop
from alpr.recognition.mixture.character_exchange import CharacterExchange, Surroundings
from alpr.synthetic.renderer import PlateRenderer


@dataclass(frozen=True)
class CropGeometry:
    """How far a crop's corners err, as a detector's would. Units are plate heights unless said otherwise.

    Attributes:
        shift: deviation of all four corners together.
        corner: deviation of each corner on its own.
        grow: deviation of the quad's size, as a fraction of it.
        wild: probability that all deviations are doubled.
        rotation_deg: deviation of a turn about the centre; for ready-made crops, which nobody has set upright.
        shear: deviation of a slant, in widths per height.
    """

    shift: float = 0.04
    corner: float = 0.05
    grow: float = 0.04
    wild: float = 0.15
    rotation_deg: float = 0.0
    shear: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < 90 or (name == "wild" and value > 1):
                raise ValueError(f"augment.geometry.{name} is {value}; expected 0 or more (wild: 0 to 1).")


def jittered(corners: FloatArray, geometry: CropGeometry, rng: np.random.Generator) -> FloatArray:
    """Corners (4, 2) as a detector might have found them."""
    strength = 2.0 if rng.random() < geometry.wild else 1.0
    height = float(plate_height(corners)) * strength
    centre = corners.mean(axis=0)
    grown = centre + (corners - centre) * (1 + rng.normal(0, geometry.grow * strength, 2))
    if geometry.rotation_deg or geometry.shear:
        grown = centre + (grown - centre) @ _slanted(geometry, strength, rng).T
    shift = rng.normal(0, geometry.shift * height, 2)
    return np.asarray(grown + shift + rng.normal(0, geometry.corner * height, (4, 2)), np.float32)


def _slanted(geometry: CropGeometry, strength: float, rng: np.random.Generator) -> FloatArray:
    """A turn and a slant: (2, 2)."""
    angle = np.deg2rad(rng.normal(0, geometry.rotation_deg * strength))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.array([[1, rng.normal(0, geometry.shear * strength)], [0, 1]]))


@dataclass(frozen=True)
class Unfolding:
    """How plates of two rows are drawn for a recogniser that reads them unfolded.

    Attributes:
        folded: the share that is drawn as it is: it teaches that there are two rows and where they part, no text.
        error: deviation of the cut of the others, as a fraction of the crop's height.
    """

    folded: float = 0.3
    error: float = 0.015

    def drawn(self, cut: float, rng: np.random.Generator) -> float | None:
        """Where to cut this time; None leaves the plate folded."""
        return None if rng.random() < self.folded else float(np.clip(cut + rng.normal(0, self.error), 0.2, 0.8))


class RenderedCrops:
    """Synthetic plates of a country pack, made on the fly.

    Args:
        replace: characters that others count as, as in the labels of the photographs.
        read: whether their texts are taught.
        unfolding: None draws plates of two rows as they are.
        country: their label; the pack's code where it is empty.
    """

    size = None

    def __init__(
        self,
        renderer: PlateRenderer,
        crop_size: tuple[int, int],
        margin: float,
        replace: Mapping[str, Any] | None = None,
        read: bool = True,
        unfolding: Unfolding | None = None,
        country: str = "",
    ) -> None:
        self.renderer, self.crop_size, self.margin, self.replace = renderer, crop_size, margin, dict(replace or {})
        self.read, self.unfolding, self.country = read, unfolding, country or renderer.pack.code

    def draw(self, item: int, rng: np.random.Generator) -> DrawnCrop:
        text, layout = self.renderer.draw_text(rng)
        code, kind, cut, at = self.country, layout.kind or None, 0.0, None
        if self.unfolding is not None and layout.row_cut is not None:
            cut = in_crop(layout.row_cut, self.margin)
            at = self.unfolding.drawn(cut, rng) if self.read else None
        size = self.crop_size if at is None else folded_size(self.crop_size)
        made = self.renderer.crop_of(text, layout, rng, size, self.margin)
        if not self.read or (cut and at is None):
            return DrawnCrop(made.crop, None, code, kind, cut=cut)
        read = replaced(made.text, self.replace)
        places = made.places if len(read) == len(made.text) else None
        if at is None:
            return DrawnCrop(made.crop, read, code, kind, layout.rows, places, cut)
        places = None if places is None else unfolded_places(places, at)
        return DrawnCrop(unfolded(made.crop, at), read, code, kind, 1, places)


class PhotographedCrops:
    """Plates cut from photographs by erring corners, or ready-made crops with an erring frame.

    The surroundings of plates (0.1 to 0.2 MB each in CCPD) stay in memory in every loader process, so that a
    photograph is not decoded for every draw.

    Args:
        read: whether their texts are taught.
        unfolding: None draws plates of two rows as they are.
        exchange: puts other plates' characters into a plate, in the share `permute` of the draws, and a rendered first
            character in the share `rendered_first`.
        cache_mb: of surroundings kept in each process; the least recently used go first.
    """

    def __init__(
        self,
        crops: Sequence[LabelledCrop],
        crop_size: tuple[int, int],
        margin: float,
        geometry: CropGeometry,
        pixels: PixelAugment,
        exchange: CharacterExchange | None = None,
        permute: float = 0.0,
        cache_mb: float = 400.0,
        rendered_first: float = 0.0,
        read: bool = True,
        unfolding: Unfolding | None = None,
    ) -> None:
        self.read, self.unfolding = read, unfolding
        self.crops, self.crop_size, self.margin = crops, crop_size, margin
        self.geometry, self.pixels = geometry, pixels
        self.exchange, self.permute, self.capacity = exchange, permute, int(cache_mb * 1e6)
        self.rendered_first = rendered_first
        self._cache: OrderedDict[int, Surroundings] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        return len(self.crops)

    def draw(self, item: int, rng: np.random.Generator) -> DrawnCrop:
        label = self.crops[item]
        image, corners = self._surroundings(item)
        text = label.text
        if self.exchange is not None and rng.random() < self.permute:
            image, text = self.exchange(item, image, corners, self._surroundings, rng)
        if self.exchange is not None and self.rendered_first and rng.random() < self.rendered_first:
            image, text = self.exchange.rendered_first(item, image, corners, text, rng)
        cut = 0.0
        if self.unfolding is not None and label.cut is not None:
            cut = label.cut if corners is None else in_crop(label.cut, self.margin)
        at = self.unfolding.drawn(cut, rng) if self.unfolding is not None and cut and self.read else None
        try:
            crop = self._cut(image, corners, self.crop_size if at is None else folded_size(self.crop_size), rng)
        except FlatQuad as error:
            raise UnreadableImage(f"{label.place or label.image}: {error}") from error
        if not self.read:
            known = cut if label.text else None  # its text tells how many rows a plate has
            return DrawnCrop(self.pixels(crop, rng), None, label.country, label.kind, cut=known)
        if at is not None:
            return DrawnCrop(self.pixels(unfolded(crop, at), rng), text, label.country, label.kind)
        if cut:
            return DrawnCrop(self.pixels(crop, rng), None, label.country, label.kind, cut=cut)
        return DrawnCrop(self.pixels(crop, rng), text, label.country, label.kind, label.rows, cut=0.0)

    def _cut(
        self, image: ImageArray, corners: FloatArray | None, size: tuple[int, int], rng: np.random.Generator
    ) -> ImageArray:
        """The crop of this size as erring corners cut it; what lies outside a ready-made crop repeats its edge."""
        if corners is not None:
            return rectify(image, jittered(corners, self.geometry, rng), size, self.margin)
        height, width = image.shape[:2]
        whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        crop_h, crop_w = size
        target = np.array([[0, 0], [crop_w, 0], [crop_w, crop_h], [0, crop_h]], np.float32)
        frame = jittered(whole, self.geometry, rng)
        return warp(image, homography(frame, target), size, border="replicate")

    def _surroundings(self, item: int) -> Surroundings:
        if item in self._cache:
            self._cache.move_to_end(item)
            return self._cache[item]
        kept = surroundings(self.crops[item])
        self._cache[item] = kept
        self._bytes += kept.image.nbytes
        while self._bytes > self.capacity and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._bytes -= oldest.image.nbytes
        return kept


def surroundings(label: LabelledCrop) -> Surroundings:
    """The part of the photograph around a plate, one plate height on every side, and the corners in it.

    Raises:
        UnreadableImage: an image that cannot be read, or a plate that lies outside it; the sentence names the row.
    """
    try:
        image = read_image(label.image)
    except UnreadableImage as error:
        raise UnreadableImage(f"{label.place}: {error}" if label.place else str(error)) from error
    corners = label.corners
    if corners is None:
        return Surroundings(image, None)
    room = float(plate_height(corners))
    x1, y1, x2, y2 = corner_box(corners)
    left, top = max(0, int(x1 - room)), max(0, int(y1 - room))
    bottom, right = max(0, int(y2 + room) + 1), max(0, int(x2 + room) + 1)  # below 0 a slice would wrap
    image = image[top:bottom, left:right].copy()
    if image.size == 0:
        raise UnreadableImage(f"{label.place or label.image}: the plate {label.text!r} lies outside the image.")
    return Surroundings(image, (corners - np.array([left, top], np.float32)).astype(np.float32))

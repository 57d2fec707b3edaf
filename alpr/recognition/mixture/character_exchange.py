"""Character permutation on real plates: characters of other plates of the same layout take the place of a plate's own.

A cell of another photograph is warped once, from plate to plate, its tone and sharpness are brought to those of the
cell it covers, and it is blended in with a soft edge. Where that cannot be done without being seen, nothing is done.

A first character may be rendered: photographs hold few provinces, and a reader that meets the others on rendered plates
alone learns that a crop which looks like a photograph shows one of the few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from alpr.images.prepare import UnreadableImage
from alpr.plates.country import CountryPack
from alpr.plates.geometry import FlatQuad, homography, pixel_centre_matrix, plate_height, transform_points
from alpr.plates.layout import Layout
from alpr.plates.records import FloatArray, ImageArray
from alpr.recognition.data import LabelledCrop
from alpr.synthetic.placement import place
from alpr.synthetic.renderer import PlateRenderer

MOST_EXCHANGED = 3
_CANDIDATES = 6
_MOST_TONE = 60.0
"""Grey levels that two plates' paint may differ by; more is another colour or a shadow's edge."""
_CONTRAST = (0.5, 2.0)
_RENDERED_SCALE = 1.3
"""A rendered plate's height, as a share of that of the plate that gets its character."""
_SEAM = 0.25
"""The most that a cell's edge may differ from what it is blended into, as a share of the contrast."""
_BLURRIER = 0.65
"""The least sharpness of a donor's cell, as a share of that of the cell it covers."""
_CUT = 0.4
"""The most ink on a cell's left and right edge, as a share of its contrast: more is a stroke cut in two."""


class Surroundings(NamedTuple):
    """A part of a photograph, and the plate's corners (4, 2) px in it; None where it is a ready-made crop."""

    image: ImageArray
    corners: FloatArray | None


class _Donor(NamedTuple):
    item: int
    position: int


Read: TypeAlias = Callable[[int], Surroundings]


class CharacterExchange:
    """Exchanges characters between the plates of one source.

    Of the characters that a place may hold every one that some plate has is drawn equally often, so that rare
    provinces and letters are met on many plates.

    Args:
        rectified: whether ready-made crops show the plate upright and filled to the edge; others are left alone.
        renderer: renders first characters.
    """

    def __init__(
        self,
        crops: Sequence[LabelledCrop],
        pack: CountryPack,
        rectified: bool = False,
        renderer: PlateRenderer | None = None,
    ) -> None:
        self.crops, self.rectified, self.renderer = crops, rectified, renderer
        named = {layout.name: layout for layout in pack.layouts}
        self._layouts: list[Layout | None] = []
        self._heights = [0.0 if c.corners is None else float(plate_height(c.corners)) for c in crops]
        self._donors: dict[tuple[str, str], dict[str, list[_Donor]]] = defaultdict(lambda: defaultdict(list))
        for item, crop in enumerate(crops):
            layout = named.get(crop.layout or "") or pack.layout_of(crop.text)
            usable = layout is not None and _fixed(layout)
            self._layouts.append(layout if usable and (crop.corners is not None or rectified) else None)
            if layout is not None and self._layouts[-1] is not None:
                for position, (key, character) in enumerate(zip(layout.forms[0], crop.text, strict=True)):
                    self._donors[layout.name, key][character].append(_Donor(item, position))
        self._donors = {key: dict(sorted(found.items())) for key, found in self._donors.items()}

    @property
    def usable(self) -> int:
        """The plates whose characters can be exchanged."""
        return sum(layout is not None for layout in self._layouts)

    def __call__(
        self, item: int, image: ImageArray, corners: FloatArray | None, read: Read, rng: np.random.Generator
    ) -> tuple[ImageArray, str]:
        """A copy of a plate's surroundings with up to three other characters, and its text then.

        Args:
            read: gives the surroundings of another plate.
        """
        text, layout = self.crops[item].text, self._layouts[item]
        count = int(rng.integers(1, MOST_EXCHANGED + 1))
        if layout is None:
            return image, text
        places = rng.permutation(len(text))[:count].tolist()
        image, characters = image.copy(), list(text)
        for position in places:
            character, donor = self._donor(item, layout, position, rng)
            if donor is None:
                continue
            try:
                other = read(donor.item)
                if _cover(image, corners, position, other, donor.position, layout):
                    characters[position] = character
            except (UnreadableImage, FlatQuad):  # it is counted when it is drawn itself
                continue
        return image, "".join(characters)

    def rendered_first(
        self, item: int, image: ImageArray, corners: FloatArray | None, text: str, rng: np.random.Generator
    ) -> tuple[ImageArray, str]:
        """A copy of a plate's surroundings with a rendered first character, and its text then.

        Of the characters that may stand there every one is drawn equally often.

        Args:
            text: what the surroundings show now.
        """
        layout = self._layouts[item]
        if layout is None or self.renderer is None or len(text) < 2:  # the next character shows the ink
            return image, text
        symbols = self.renderer.pack.classes[layout.forms[0][0]]
        changed = symbols[int(rng.integers(len(symbols)))] + text[1:]
        height = image.shape[0] if corners is None else float(plate_height(corners))
        plate = self.renderer.render(changed, layout, rng, scale=_RENDERED_SCALE * height / layout.size_mm[0])
        image = image.copy()
        try:
            done = _cover(image, corners, 0, Surroundings(plate, None), 0, layout, rendered=True)
        except FlatQuad:
            done = False
        return image, changed if done else text

    def _donor(self, item: int, layout: Layout, place: int, rng: np.random.Generator) -> tuple[str, _Donor | None]:
        """A character for a place, and where to take it: of a few plates the one nearest in size."""
        holders = self._donors[layout.name, layout.forms[0][place]]
        character = list(holders)[int(rng.integers(len(holders)))]
        found = holders[character]
        drawn = [found[int(i)] for i in rng.integers(len(found), size=_CANDIDATES)]
        others = [donor for donor in drawn if donor.item != item]
        wanted = self._heights[item]
        return character, min(others, key=lambda d: abs(self._heights[d.item] - 1.1 * wanted), default=None)


def _fixed(layout: Layout) -> bool:
    """Whether every place of a layout is always taken, left to right, so that a character's cell is known."""
    return len(layout.choices) == 1 and not layout.right_to_left


@lru_cache(maxsize=64)
def _cells(layout: Layout) -> FloatArray:
    """The corners of every character's cell in mm: (L, 4, 2)."""
    cells = sorted(place(layout, layout.choices[0], "").cells, key=lambda cell: cell.number)
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    half = [
        ((cell.size[1] + 0.8 * layout.gap_mm) / 2, min(cell.size[0] / 2 + 6, layout.size_mm[0] / 2 - 6))
        for cell in cells
    ]
    return np.array([[cell.x, cell.y] + unit * size for cell, size in zip(cells, half, strict=True)])


def _from_mm(layout: Layout, plate: Surroundings, corners: FloatArray | None) -> FloatArray:
    """The matrix from mm on the plate to px of its surroundings."""
    (h, w), (rows, columns) = layout.size_mm, plate.image.shape[:2]
    if corners is None:
        corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    return homography(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), corners)


def _cover(
    image: ImageArray,
    corners: FloatArray | None,
    place: int,
    donor: Surroundings,
    position: int,
    layout: Layout,
    rendered: bool = False,
) -> bool:
    """Covers one character with another plate's, in place; False, and nothing done, where it would be seen."""
    window = _window(image, corners, place, layout)
    if window is None:
        return False
    (x1, y1), under, mask = window
    size = (under.shape[1], under.shape[0])
    step = np.eye(3)
    step[:2, 2] = _cells(layout)[place, 0] - _cells(layout)[position, 0]
    here = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1.0]])
    to_plate = _from_mm(layout, Surroundings(image, corners), corners)
    moved = here @ to_plate @ step @ np.linalg.inv(_from_mm(layout, donor, donor.corners))
    patch = np.asarray(
        cv2.warpPerspective(
            donor.image, pixel_centre_matrix(moved), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )
    if rendered:
        beside = _window(image, corners, place + 1, layout)
        tones = None if beside is None else _shared_tones(under, mask, *beside[1:])
        if tones is None:
            return False
        patch = _recoloured(patch, mask, *tones)
    matched = _like(patch, under, mask)
    if matched is None:
        return False
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    soft = cv2.GaussianBlur(inner, (0, 0), max(0.7, 0.03 * size[1])).astype(np.float32) * np.float32(1 / 255)
    under[:] = cv2.blendLinear(matched, np.ascontiguousarray(under), soft, 1 - soft)
    return True


def _window(
    image: ImageArray, corners: FloatArray | None, place: int, layout: Layout
) -> tuple[tuple[int, int], ImageArray, npt.NDArray[np.uint8]] | None:
    """The part of an image around a character's cell: its left top, its pixels (a view) and a mask of the cell."""
    cell = transform_points(_cells(layout)[place], _from_mm(layout, Surroundings(image, corners), corners))
    (x1, y1), (x2, y2) = np.floor(cell.min(0)).astype(int) - 1, np.ceil(cell.max(0)).astype(int) + 1
    if x1 < 0 or y1 < 0 or x2 > image.shape[1] or y2 > image.shape[0] or min(x2 - x1, y2 - y1) < 6:
        return None
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    cv2.fillConvexPoly(mask, np.round((cell - [x1, y1] - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    return (int(x1), int(y1)), image[y1:y2, x1:x2], mask


def _tones(pixels: ImageArray, mask: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """A cell's paint, which is what lies along its edges, and its ink, what differs most from that: (3,) BGR each."""
    inside = mask > 127
    edge = inside & ~(cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=max(1, mask.shape[0] // 16)) > 127)
    paint = np.median(pixels[edge if edge.any() else inside], axis=0)
    within = pixels[inside].astype(np.float64)
    away = np.abs(within - paint).sum(axis=1)
    return paint, np.median(within[away >= np.percentile(away, 85)], axis=0)


def _shared_tones(
    under: ImageArray, mask: npt.NDArray[np.uint8], beside: ImageArray, mask_beside: npt.NDArray[np.uint8]
) -> tuple[FloatArray, FloatArray] | None:
    """The paint of a cell and the ink of the next one; None where they differ, and so no character may stand here."""
    paint, ink = _tones(under, mask)
    paint_beside, ink_beside = _tones(beside, mask_beside)
    contrast = np.abs(ink_beside - paint_beside).max()
    if np.abs(paint - paint_beside).max() > 0.35 * contrast or np.abs(ink - ink_beside).max() > 0.5 * contrast:
        return None
    return paint, ink_beside


def _recoloured(patch: ImageArray, mask: npt.NDArray[np.uint8], paint: FloatArray, ink: FloatArray) -> ImageArray:
    """A rendered cell in another paint and ink."""
    old_paint, old_ink = _tones(patch, mask)
    way = old_ink - old_paint
    share = np.clip((patch - old_paint) @ way / max(1.0, float(way @ way)), 0, 1)[..., None]
    return np.asarray(np.round(paint + share * (ink - paint)), np.uint8)


def _like(patch: ImageArray, under: ImageArray, mask: npt.NDArray[np.uint8]) -> ImageArray | None:
    """The patch with the paint, contrast and sharpness of what it is to cover; None where they are too far apart."""
    inside = mask > 127
    core = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=max(1, mask.shape[0] // 16)) > 127
    ring = inside & ~core
    if ring.sum() < 8 or core.sum() < 16:
        return None
    paint, wanted = (np.median(pixels[ring], axis=0) for pixels in (patch, under))
    spreads = [
        np.ptp(np.percentile(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[inside], (4, 96))) for pixels in (patch, under)
    ]
    gain = float(spreads[1] / max(1.0, spreads[0]))
    cut = max(_edge_ink(pixels, inside, float(s)) for pixels, s in zip((patch, under), spreads, strict=True))
    if cut > _CUT or np.abs(paint - wanted).max() > _MOST_TONE or not _CONTRAST[0] <= gain <= _CONTRAST[1]:
        return None
    mixing = np.column_stack([np.eye(3) * gain, wanted - gain * paint])
    toned = np.asarray(cv2.transform(patch, mixing), np.uint8)
    seam = np.percentile(np.abs(toned[ring].astype(float) - under[ring]), 60)
    if seam > _SEAM * float(spreads[1]) + 6:
        return None
    target = _sharpness(under, inside)
    if _sharpness(toned, inside) < _BLURRIER * target:
        return None
    for sigma in (0.5, 0.7, 0.9, 1.2, 1.6):
        if _sharpness(toned, inside) <= 1.15 * target:
            break
        toned = np.asarray(cv2.GaussianBlur(toned, (0, 0), sigma), np.uint8)
    return toned


def _edge_ink(image: ImageArray, inside: npt.NDArray[np.bool_], spread: float) -> float:
    """How much ink lies on the left and right edge of a cell: 0 none, 1 a stroke along it.

    Against the lighter or darker of the two edges row by row, since the paint may change from top to bottom.
    """
    grey = cv2.blur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (1, 3)).astype(np.float32)
    rows = np.flatnonzero(inside.any(axis=1))
    rows = rows[len(rows) // 10 : len(rows) - len(rows) // 10]
    left, right = inside[rows].argmax(axis=1), inside.shape[1] - 1 - inside[rows, ::-1].argmax(axis=1)
    both = np.stack([grey[rows, left], grey[rows, left + 1], grey[rows, right], grey[rows, right - 1]])
    middle = np.median(both)
    return float(np.percentile(np.abs(both - middle), 90) / max(1.0, spread))


def _sharpness(image: ImageArray, inside: npt.NDArray[np.bool_]) -> float:
    """The mean slope where it is steepest, in grey levels per px."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    slope = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return float(np.percentile(slope[inside], 90))

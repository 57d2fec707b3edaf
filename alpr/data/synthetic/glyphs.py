"""Characters as masks: a stroke alphabet of our own for Latin letters and digits, a font file for every other script.

Plate typefaces are narrow, of even stroke and with square shoulders. A general text face teaches a reader the wrong
shapes (8 reads as B, 3 as 5), so letters and digits are drawn from centre lines measured on rectified plates.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Mask = npt.NDArray[np.uint8]
"""(H, W) uint8: 0 outside the ink, 255 inside."""

CELL = (90.0, 45.0)
"""(height, width) of the cell that the strokes below are written in."""
_OVERSAMPLE = 6
_L, _R, _T, _B = 5.5, 39.5, 5.5, 84.5  # the centre lines of strokes at the cell's edges

# A stroke is a list of (x, y, corner radius); one that ends where it began is closed.
_Stroke = list[tuple[float, float, float]]


def _line(*points: float) -> _Stroke:
    return [(points[i], points[i + 1], 0.0) for i in range(0, len(points), 2)]


def _ring(left: float, top: float, right: float, bottom: float, radius: float) -> _Stroke:
    middle = (top + bottom) / 2
    corners = [(x, y, radius) for x, y in ((right, top), (right, bottom), (left, bottom), (left, top))]
    return [(left, middle, 0.0), *corners[3:], *corners[:3], (left, middle, 0.0)]


_STROKES: dict[str, list[_Stroke]] = {
    "A": [_line(4.5, _B, 22.5, _T, 40.5, _B), _line(11, 63, 34, 63)],
    "B": [
        [(_L, 41, 0), (_L, _T, 0), (37, _T, 14), (37, 41, 14), (_L, 41, 0)],
        [(_L, 41, 0), (_R, 41, 14), (_R, _B, 14), (_L, _B, 0), (_L, 41, 0)],
    ],
    "C": [[(_R, 27, 0), (_R, _T, 16), (_L, _T, 16), (_L, _B, 16), (_R, _B, 16), (_R, 63, 0)]],
    "D": [[(_L, 45, 0), (_L, _T, 0), (_R, _T, 16), (_R, _B, 16), (_L, _B, 0), (_L, 45, 0)]],
    "E": [_line(_R, _T, _L, _T, _L, _B, _R, _B), _line(_L, 43, 35, 43)],
    "F": [_line(_R, _T, _L, _T, _L, _B), _line(_L, 43, 36, 43)],
    "G": [[(_R, 25, 0), (_R, _T, 16), (_L, _T, 16), (_L, _B, 16), (_R, _B, 16), (_R, 46, 0), (25, 46, 0)]],
    "H": [_line(_L, _T, _L, _B), _line(_R, _T, _R, _B), _line(_L, 44, _R, 44)],
    "I": [_line(22.5, _T, 22.5, _B)],
    "J": [[(37, _T, 0), (37, _B, 15), (7, _B, 14), (7, 64, 0)]],
    "K": [_line(_L, _T, _L, _B), _line(38, _T, _L, 58), _line(17, 43, 40, _B)],
    "L": [_line(8, _T, 8, _B, 39, _B)],
    "M": [_line(_L, _B, _L, _T, 22.5, 44, _R, _T, _R, _B)],
    "N": [_line(_L, _B, _L, _T, _R, _B, _R, _T)],
    "O": [_ring(_L, _T, _R, _B, 16)],
    "P": [[(_L, _B, 0), (_L, _T, 0), (_R, _T, 16), (_R, 47, 16), (_L, 47, 0)]],
    "Q": [_ring(_L, _T, _R, _B, 16), _line(24, 58, 40, _B)],
    "R": [[(_L, _B, 0), (_L, _T, 0), (38, _T, 15), (38, 45, 15), (_L, 45, 0)], _line(23, 46, _R, _B)],
    "S": [
        [(38, 26, 0), (38, _T, 15), (7, _T, 15), (7, 36, 14), (_R, 50, 13), (_R, _B, 15), (_L, _B, 15), (_L, 64, 0)],
    ],
    "T": [_line(4.5, _T, 40.5, _T), _line(22.5, _T, 22.5, _B)],
    "U": [[(_L, _T, 0), (_L, _B, 16), (_R, _B, 16), (_R, _T, 0)]],
    "V": [_line(4.5, _T, 22.5, _B, 40.5, _T)],
    "W": [_line(4, _T, 13, _B, 22.5, 22, 32, _B, 41, _T)],
    "X": [_line(5, _T, 40, _B), _line(40, _T, 5, _B)],
    "Y": [_line(4.5, _T, 22.5, 46, 40.5, _T), _line(22.5, 46, 22.5, _B)],
    "Z": [_line(6, _T, 39, _T, 6, _B, 40, _B)],
    "0": [_ring(_L, _T, _R, _B, 16)],
    "1": [_line(22.5, _T, 22.5, _B)],
    "2": [[(7, 27, 0), (7, _T, 15), (38, _T, 15), (38, 38, 14), (7, _B, 0), (_R, _B, 0)]],
    "3": [_line(8, _T, 38, _T, 19, 36), [(17, 37, 0), (_R, 37, 15), (_R, _B, 15), (_L, _B, 15), (_L, 68, 0)]],
    "4": [_line(30, _B, 30, _T, 5, 64, 41, 64)],
    "5": [_line(37, _T, 8, _T, 8, 42), [(8, 42, 2), (8, 36, 6), (_R, 36, 16), (_R, _B, 16), (6, _B, 15), (6, 67, 0)]],
    "6": [_ring(_L, 40, _R, _B, 15), [(30, _T, 0), (_L, 52, 4), (_L, 60, 0)]],
    "7": [[(6, _T, 0), (_R, _T, 2), (20, 56, 18), (20, _B, 0)]],
    "8": [_ring(7.5, _T, 37.5, 41, 14), _ring(_L, 41, _R, _B, 15)],
    "9": [_ring(_L, _T, _R, 50, 15), [(_R, 30, 0), (_R, 38, 4), (17, _B, 0)]],
}
# The newer face of Chinese new-energy plates: a 1 with flag and foot, a 6 with a hook, a plainer 2.
_VARIANT: dict[str, list[_Stroke]] = {
    "1": [_line(12, 15, 24, _T, 24, _B), _line(12, _B, 36, _B)],
    "2": [[(7, 26, 0), (7, _T, 15), (_R, _T, 15), (_R, 40, 12), (8, 66, 8), (7, _B, 0), (_R, _B, 0)]],
    "6": [[(38, 22, 0), (38, _T, 15), (_L, _T, 16), (_L, 60, 0)], _ring(_L, 37, _R, _B, 15)],
    "7": [[(6, _T, 0), (_R, _T, 2), (20, 54, 8), (20, _B, 0)]],
}
STROKE_CHARACTERS = frozenset(_STROKES)


def _rounded(stroke: _Stroke) -> npt.NDArray[np.float64]:
    """A stroke's points (N, 2) with every corner of a radius replaced by a quadratic arc."""
    points: list[npt.NDArray[np.float64]] = []
    for i, (x, y, radius) in enumerate(stroke):
        corner = np.array([x, y], np.float64)
        if radius == 0 or i in (0, len(stroke) - 1):
            points.append(corner)
            continue
        ends = []
        for j in (i - 1, i + 1):
            towards = np.array(stroke[j][:2]) - corner
            length = float(np.hypot(*towards))
            # Half the edge belongs to the next corner if that one is round too.
            room = length / 2 if stroke[j][2] and 0 < j < len(stroke) - 1 else length
            ends.append(corner + towards * (min(radius, room) / max(length, 1e-6)))
        t = np.linspace(0, 1, 9)[:, None]
        # Pulled in a little: a quadratic curve through the corner itself is more pointed than a circle's arc.
        handle = corner + 0.12 * ((ends[0] + ends[1]) / 2 - corner)
        points.extend((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * handle + t**2 * ends[1])
    return np.stack(points)


def stroke_mask(character: str, size: tuple[int, int], stroke: float, variant: int = 0) -> Mask:
    """A letter or digit of the stroke alphabet as a mask (h, w).

    Args:
        size: (height, width) in px.
        stroke: the width of the stroke in units of a cell 90 high.
        variant: 1 takes the face of Chinese new-energy plates where it differs.

    Raises:
        ValueError: a character that the stroke alphabet does not have.
    """
    if character not in _STROKES:
        raise ValueError(f"The stroke alphabet has no {character!r}; it has A to Z and 0 to 9.")
    strokes = _VARIANT.get(character, _STROKES[character]) if variant else _STROKES[character]
    height, width = size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE
    scale = np.array([width / CELL[1], height / CELL[0]])
    canvas = np.zeros((height, width), np.uint8)
    thickness = max(1, round(stroke * float(scale[1])))
    for line in strokes:
        points = np.round(_rounded(line) * scale).astype(np.int32)
        cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, 255, thickness)
    return np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def package_font() -> Path:
    """The path of the Noto CJK font that the extra `synthetic` installs.

    Raises:
        ModuleNotFoundError: the package is absent; the sentence says how to install it.
    """
    try:
        package = import_module("noto_cjk_sans_otc")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Rendering characters other than A to Z and 0 to 9 needs a font: pip install 'alpr[synthetic]', "
            "or give a font file of your own."
        ) from error
    return Path(package.FONT_PATH)


@lru_cache(maxsize=8)
def _load_font(path: Path, px: int) -> FreeTypeFont:
    try:
        from PIL import ImageFont
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Reading a font file needs Pillow: pip install 'alpr[synthetic]'.") from error
    try:
        # In a collection of the CJK regions face 2 holds the simplified Chinese forms; a plain font has face 0 only.
        return ImageFont.truetype(str(path), px, index=2 if path.suffix.lower() in {".ttc", ".otc"} else 0)
    except OSError as error:
        raise ValueError(f"The font {path} cannot be read: {error}") from error


@lru_cache(maxsize=512)  # one character is asked for at many sizes
def _font_ink(character: str, path: Path, embolden: float, px: int) -> Mask:
    """The ink of a character at `px` per em, cut out without a margin."""
    font = _load_font(path, px)
    from PIL import Image, ImageDraw

    image = Image.new("L", (px * 2, px * 2), 0)
    draw: Any = ImageDraw.Draw(image)
    draw.text((px // 2, px // 4), character, fill=255, font=font, stroke_width=round(embolden * px / 90))
    ink: Mask = np.asarray(image, dtype=np.uint8)
    rows, columns = (np.flatnonzero((ink > 64).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        raise ValueError(f"The font {path} has no ink for {character!r}.")
    return np.ascontiguousarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def font_mask(character: str, size: tuple[int, int], path: Path, embolden: float = 0.0) -> Mask:
    """A character of a font file as a mask (h, w), its ink stretched to fill the cell.

    Args:
        size: (height, width) in px.
        embolden: the width added around the strokes in units of a cell 90 high.

    Raises:
        ValueError: a font that cannot be read or has no ink for the character.
    """
    ink = _font_ink(character, path, embolden, 192 if size[0] <= 80 else 384)
    width = size[1]
    if ink.shape[1] < 0.45 * ink.shape[0]:  # I and 1 are not stretched to the full cell
        width = max(1, min(size[1], round(size[0] * ink.shape[1] / ink.shape[0] * 0.9)))
    scaled = cv2.resize(ink, (width, size[0]), interpolation=cv2.INTER_AREA)
    mask = np.zeros(size, np.uint8)
    left = (size[1] - width) // 2
    mask[:, left : left + width] = scaled
    return mask

"""Characters as masks: a stroke alphabet of our own for Latin letters and digits, a font file for every other script.

Plate typefaces are narrow, of even stroke and with square shoulders. A general text face teaches a reader the wrong
shapes (8 reads as B, 3 as 5), so letters and digits are drawn from centre lines. Those of the face "plate" were drawn
from averaged characters of real Chinese plates; the other faces change it by what is known of their countries' letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.files import IMAGE_BYTES, regular
from alpr.plates.fonts import STROKE_FACES, font_file

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
STROKE_CHARACTERS = frozenset(_STROKES)

_FLAGGED_1 = [_line(11, 18, 24, _T, 24, _B)]
_FOOTED_1 = [_line(12, 15, 24, _T, 24, _B), _line(12, _B, 36, _B)]
_SERIF_I = [_line(22.5, _T, 22.5, _B), _line(11, _T, 34, _T), _line(11, _B, 34, _B)]
_ROUND_3: list[_Stroke] = [
    [(7, 26, 0), (7, _T, 15), (38, _T, 15), (38, 42, 13), (20, 42, 0)],
    [(20, 42, 0), (_R, 42, 14), (_R, _B, 15), (_L, _B, 15), (_L, 63, 0)],
]
_HOOKED_6: list[_Stroke] = [[(38, 22, 0), (38, _T, 15), (_L, _T, 16), (_L, 60, 0)], _ring(_L, 37, _R, _B, 15)]
_HOOKED_9: list[_Stroke] = [[(7, 68, 0), (7, _B, 15), (_R, _B, 16), (_R, 30, 0)], _ring(_L, _T, _R, 53, 15)]
_STRAIGHT_7 = [_line(6, _T, _R, _T, 18, _B)]


class _Style(NamedTuple):
    """What tells a face from the first one: other strokes, and a factor on the radius of every corner."""

    strokes: dict[str, list[_Stroke]]
    radius: float = 1.0


_HOOKED: dict[str, list[_Stroke]] = {"3": _ROUND_3, "6": _HOOKED_6, "9": _HOOKED_9, "7": _STRAIGHT_7}
_FACES: dict[str, _Style] = {
    "plate": _Style({}),
    "plate-new": _Style(  # a 1 with flag and foot, a 6 with a hook, a plainer 2
        {
            "1": _FOOTED_1,
            "2": [[(7, 26, 0), (7, _T, 15), (_R, _T, 15), (_R, 40, 12), (8, 66, 8), (7, _B, 0), (_R, _B, 0)]],
            "6": _HOOKED_6,
            "7": [[(6, _T, 0), (_R, _T, 2), (20, 54, 8), (20, _B, 0)]],
        }
    ),
    "fe": _Style(
        {
            **_HOOKED,
            "1": _FLAGGED_1,
            "I": _SERIF_I,
            "O": [_ring(_L, _T, _R, _B, 12)],
            "0": [[(30, _T, 0), (_L, _T, 16), (_L, _B, 16), (_R, _B, 16), (_R, 14, 10), (30, _T, 0)]],
            "M": [_line(_L, _B, _L, _T, 22.5, 52, _R, _T, _R, _B)],
            "4": [_line(28, _B, 28, 40), _line(22, _T, 5, 62, 41, 62)],
        },
        1.1,
    ),
    "wright": _Style({**_HOOKED, "M": [_line(_L, _B, _L, _T, 22.5, 56, _R, _T, _R, _B)]}, 0.85),
    "latin": _Style({**_HOOKED, "1": _FOOTED_1, "I": _SERIF_I}, 1.1),
    "round": _Style({**_HOOKED, "1": _FLAGGED_1}, 1.3),
}


def _rounded(stroke: _Stroke, wider: float) -> npt.NDArray[np.float64]:
    """A stroke's points (N, 2) with every corner of a radius, times `wider`, replaced by a quadratic arc."""
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
            ends.append(corner + towards * (min(radius * wider, room) / max(length, 1e-6)))
        t = np.linspace(0, 1, 9)[:, None]
        # Pulled in a little: a quadratic curve through the corner itself is more pointed than a circle's arc.
        handle = corner + 0.12 * ((ends[0] + ends[1]) / 2 - corner)
        points.extend((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * handle + t**2 * ends[1])
    return np.stack(points)


def stroke_mask(character: str, size: tuple[int, int], stroke: float, face: str = "plate") -> Mask:
    """A letter or digit of a stroke alphabet as a mask (h, w).

    Args:
        size: (height, width) in px.
        stroke: the width of the stroke in units of a cell 90 high.
        face: one of `alpr.plates.fonts.STROKE_FACES`.

    Raises:
        ValueError: a character that the stroke alphabet does not have.
    """
    if character not in _STROKES:
        raise ValueError(f"The stroke alphabet has no {character!r}; it has A to Z and 0 to 9.")
    style = _FACES[face]
    height, width = size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE
    # The centre lines are written for strokes 10 wide: wider ones stay inside the cell.
    inset = np.array([stroke - 10.0] * 2) / 2
    cell = np.array([CELL[1], CELL[0]])
    scale = np.array([width, height]) / cell
    canvas = np.zeros((height, width), np.uint8)
    thickness = max(1, round(stroke * float(scale[1])))
    for line in style.strokes.get(character, _STROKES[character]):
        points = _rounded(line, style.radius)
        points = np.round((inset + points * (cell - 2 * inset) / cell) * scale).astype(np.int32)
        cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, 255, thickness)
    return np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def can_draw(text: str, face: str) -> bool:
    """Whether a face has a character, or all those of a word.

    Raises:
        ModuleNotFoundError: the face's package, or Pillow, is absent.
        ValueError: a font that cannot be read.
    """
    if face in STROKE_FACES:
        return text in _STROKES
    return all(_has(character, *font_file(face)) for character in text)


@lru_cache(maxsize=4096)
def _has(character: str, path: Path, number: int) -> bool:
    font = _load_font(path, number, 48)
    mask = font.getmask(character)
    lacking = font.getmask("\U0010fffd")  # no font has a character for this code point: its box for what is missing
    return bool(mask.getbbox()) and (mask.size != lacking.size or bytes(mask) != bytes(lacking))


@lru_cache(maxsize=16)
def _load_font(path: Path, number: int, px: int) -> FreeTypeFont:
    try:
        from PIL import ImageFont
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Reading a font file needs Pillow: pip install 'alpr-train[synthetic]'.") from error
    try:
        font = ImageFont.truetype(str(regular(path, IMAGE_BYTES)), px, index=number)
    except OSError as error:
        raise ValueError(f"The font {path} cannot be read: {error}") from error
    if "wght]" in path.name:  # a variable font comes in its lightest weight
        axes = font.get_variation_axes()
        font.set_variation_by_axes([700 if axis["name"] == b"Weight" else axis["default"] or 0 for axis in axes])
    return font


# What tells the line that a script's characters stand in: the first word of their Unicode names, and a sample that
# reaches from its top to its foot. Every character keeps its place in it: a zero that is a dot stays one.
_SAMPLES = {
    "ARABIC": "أبجدرسصطعقكلمنهوي",
    "ARABIC-INDIC": "١٢٣٤٥٦٧٨٩",  # digits are as high as a letter with its foot
    "EXTENDED": "۱۲۳۴۵۶۷۸۹",  # Arabic digits of Persian and Urdu
    "CJK": "国",
    "HANGUL": "국",
}
_CAPITALS = "H0"


def _script(text: str) -> str:
    """The first word of the Unicode name of a text's first character."""
    return unicodedata.name(text[0], "").partition(" ")[0]


@lru_cache(maxsize=512)  # one character is asked for at many sizes
def _font_ink(text: str, path: Path, number: int, embolden: float, px: int) -> Mask:
    """The ink of a character or word at `px` per em: without a margin at the sides, as high as its script's line."""
    font = _load_font(path, number, px)
    from PIL import Image, ImageDraw

    image = Image.new("L", (px * (2 + len(text)), px * 3), 0)
    draw: Any = ImageDraw.Draw(image)
    line, stroke = px * 2, round(embolden * px / 90)
    draw.text((px, line), text, fill=255, font=font, stroke_width=stroke, anchor="ls")
    ink: Mask = np.asarray(image, dtype=np.uint8)
    rows, columns = (np.flatnonzero((ink > 64).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        raise ValueError(f"The font {path} has no ink for {text!r}.")
    _, above, _, below = font.getbbox(_SAMPLES.get(_script(text), _CAPITALS), anchor="ls")
    top = min(int(rows[0]), round(line + above - stroke))
    bottom = max(int(rows[-1]) + 1, round(line + below + stroke))
    return np.ascontiguousarray(ink[top:bottom, columns[0] : columns[-1] + 1])


def font_mask(text: str, size: tuple[int, int], face: str, embolden: float = 0.0) -> Mask:
    """A character, or a word, of a font as a mask (h, w).

    The cell is as high as the script's line, in which the ink keeps its place and its proportions; it is never
    stretched, and pressed together only where it is wider than the cell.

    Args:
        size: (height, width) in px.
        face: a packaged face's name or a font file's path.
        embolden: the width added around the strokes in units of a cell 90 high.

    Raises:
        ValueError: a font that cannot be read or has no ink for the character.
        ModuleNotFoundError: the face's package, or Pillow, is absent.
    """
    ink = _font_ink(text, *font_file(face), embolden, 192 if size[0] <= 80 else 384)
    natural = round(size[0] * ink.shape[1] / ink.shape[0])
    width = max(1, min(size[1], natural))
    scaled = cv2.resize(ink, (width, size[0]), interpolation=cv2.INTER_AREA)
    mask = np.zeros(size, np.uint8)
    left = (size[1] - width) // 2
    mask[:, left : left + width] = scaled
    return mask


def softened(mask: Mask, rows: int) -> Mask:
    """A font's glyph as one seen at `rows` px of height and sharpened again: fine strokes flow together.

    Beside the averaged glyphs of a bank a font's own ones would give themselves away by their sharp edges.
    """
    height, width = mask.shape
    small = cv2.resize(mask, (max(2, round(width * rows / height)), rows), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip((soft.astype(np.float32) - 40) * (255 / 175), 0, 255), dtype=np.uint8)


_PIECES = re.compile("[\u0600-\u06ff]+|.")
"""What is drawn at once: a word whose letters are joined, or one character."""


@lru_cache(maxsize=1024)
def text_mask(text: str, size: tuple[int, int]) -> Mask:
    """A line of small print as a mask (h, w), centred: strokes where they do, else the CJK font.

    Raises:
        ModuleNotFoundError: a character that needs the font, and its package is absent.
    """
    height, width = size
    cell = max(2, round(0.62 * height))
    letters = [_print(piece, (height, cell * len(piece))) for piece in _PIECES.findall(text)]
    whole = np.concatenate([np.pad(m, ((0, 0), (0, max(1, height // 6)))) for m in letters], axis=1)
    if whole.shape[1] > width:
        whole = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    mask = np.zeros(size, np.uint8)
    left = (width - whole.shape[1]) // 2
    mask[:, left : left + whole.shape[1]] = whole
    return mask


def _print(character: str, size: tuple[int, int]) -> Mask:
    if character in _STROKES:
        return stroke_mask(character, size, 13, "round")
    if character == " " or character == "-":
        blank = np.zeros((size[0], max(1, size[1] // 2)), np.uint8)
        if character == "-":
            blank[round(0.45 * size[0]) : max(round(0.6 * size[0]), 1)] = 255
        return blank
    if character.islower() and character.upper() in _STROKES:
        small = stroke_mask(character.upper(), (max(2, round(0.75 * size[0])), size[1]), 15, "round")
        return np.pad(small, ((size[0] - small.shape[0], 0), (0, 0)))
    arabic = "ARABIC" in unicodedata.name(character[0], "")
    return font_mask(character, size, "noto-arabic" if arabic else "noto-cjk", 2.0)

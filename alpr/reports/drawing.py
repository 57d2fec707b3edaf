"""Readings drawn on a copy of an image. With Pillow and a CJK font every symbol is drawn, else ASCII by OpenCV."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.geometry import corner_box
from alpr.plates.records import FloatArray, ImageArray, PlateReading, Reading

LINE = (220, 60, 255)
"""BGR of the quads: no plate has this colour."""
START = (40, 40, 240)
"""BGR of the dot on the top left corner."""
PAPER = (30, 30, 30)
"""BGR behind the text."""
_SYSTEM_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)


def annotate(image: ImageArray, plates: Sequence[PlateReading]) -> ImageArray:
    """A copy of the image with every plate's quad, a dot on its top left corner, its text and the text's score."""
    canvas = image.copy()
    side = min(image.shape[:2])
    thickness = max(1, round(side / 400))
    height = int(np.clip(side / 26, 13, 96))
    for plate in plates:
        corners = plate.detection.corners
        draw_quad(canvas, corners, thickness)
        _draw_label(canvas, label(plate.reading), corner_box(corners), height)
    return canvas


def annotate_crop(crop: ImageArray, reading: Reading) -> ImageArray:
    """A copy of a crop, enlarged where it is small, with its text and score on a strip beneath it."""
    return captioned(crop, label(reading))


def captioned(crop: ImageArray, words: str) -> ImageArray:
    """A copy of a crop, enlarged where it is small, with words on a strip beneath it."""
    scale = max(1.0, 192 / crop.shape[1])
    size = (round(crop.shape[1] * scale), max(1, round(crop.shape[0] * scale)))
    enlarged = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    text = _rendered(words, 18)
    canvas = np.full((size[1] + text.shape[0] + 8, max(size[0], text.shape[1] + 8), 3), PAPER, np.uint8)
    canvas[: size[1], : size[0]] = enlarged
    _paste(canvas, text, 4, size[1] + 4)
    return canvas


def label(reading: Reading) -> str:
    """The text and its score as they are drawn, such as "皖A12345 0.98"."""
    return f"{reading.text or '(no text)'} {reading.score:.2f}"


def ascii_label(text: str) -> str:
    """A text for a font without CJK: other symbols are given by their code point, such as "[U+7696]A12345"."""
    return "".join(c if 32 <= ord(c) < 127 else f"[U+{ord(c):04X}]" for c in text)


def draw_quad(
    canvas: ImageArray, corners: FloatArray, thickness: int, colour: tuple[int, int, int] = LINE, dot: bool = True
) -> None:
    """Draws a quad (4, 2) px into an image, to an eighth of a pixel, with a dot on its top left corner."""
    # OpenCV overflows on far points; its own whole numbers stand for pixel centres, hence the half pixel.
    reach = 4 * max(canvas.shape)
    points = np.clip(np.round((corners - 0.5) * 8), -8 * reach, 8 * reach).astype(np.int32)
    cv2.polylines(canvas, [points], True, colour, thickness, cv2.LINE_AA, shift=3)
    if dot:
        start = (int(points[0][0]), int(points[0][1]))
        cv2.circle(canvas, start, 8 * (2 * thickness), START, -1, cv2.LINE_AA, shift=3)


def _draw_label(canvas: ImageArray, text: str, box: FloatArray, height: int) -> None:
    mask = _rendered(text, height)
    pad = max(2, height // 6)
    h, w = mask.shape[0] + 2 * pad, mask.shape[1] + 2 * pad
    limits = (canvas.shape[1] - w, canvas.shape[0] - h)
    above = float(box[1]) - h - pad
    y = above if above >= 0 else float(box[3]) + pad  # beneath where there is no room above
    x1, y1 = (int(np.clip(v, 0, max(0, limit))) for v, limit in zip((float(box[0]), y), limits, strict=True))
    canvas[y1 : y1 + h, x1 : x1 + w] = PAPER
    _paste(canvas, mask, x1 + pad, y1 + pad)


def _paste(canvas: ImageArray, mask: npt.NDArray[np.uint8], x: int, y: int) -> None:
    """White text through its mask (h, w), cut at the canvas's edges."""
    area = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    share = mask[: area.shape[0], : area.shape[1], None] / 255
    area[:] = (area * (1 - share) + 255 * share).astype(np.uint8)


def _rendered(text: str, height: int) -> npt.NDArray[np.uint8]:
    """The text as a mask (h, w) of 0..255, about `height` px high."""
    font = _cjk_font(height)
    if font is not None:
        from PIL import Image, ImageDraw

        left, top, right, bottom = (int(v) for v in font.getbbox(text))
        picture = Image.new("L", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
        return np.asarray(picture, dtype=np.uint8)
    text = ascii_label(text)
    scale = height / 28
    thickness = max(1, round(height / 14))
    (w, h), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    mask = np.zeros((h + below, w), np.uint8)
    cv2.putText(mask, text, (0, h), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    return mask


@lru_cache(maxsize=8)
def _cjk_font(height: int) -> Any | None:
    """A font with CJK symbols, or None. Neither Pillow nor such a font is in the base install (20 MB for a label)."""
    if importlib.util.find_spec("PIL") is None:
        return None
    package = importlib.util.find_spec("noto_cjk_sans_otc")
    folders = [] if package is None else list(package.submodule_search_locations or [])
    paths = [Path(folder) / "NotoSansCJK-Regular.ttc" for folder in folders] + [Path(p) for p in _SYSTEM_FONTS]
    from PIL import ImageFont

    for path in paths:
        if path.is_file():
            return ImageFont.truetype(str(path), height)
    return None

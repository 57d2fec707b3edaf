"""Plates, readings and detections drawn into images, and sheets of small pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from alpr.files import write_atomically
from alpr.plates.geometry import box_corners, corner_box
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
    """A copy of the image with every plate's quad, a dot on its top left corner, its text and the text's score.

    A line crosses a plate that was read in two rows where these part.
    """
    canvas = image.copy()
    side = min(image.shape[:2])
    thickness = max(1, round(side / 400))
    height = int(np.clip(side / 26, 13, 96))
    for plate in plates:
        corners = plate.detection.corners
        draw_quad(canvas, corners, thickness)
        if plate.reading.cut:
            left, right = corners[[0, 1]] + plate.reading.cut * (corners[[3, 2]] - corners[[0, 1]])
            draw_quad(canvas, np.stack([left, right, right, left]), thickness, dot=False)
        draw_label(canvas, label(plate.reading), corner_box(corners), height)
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
    """The text and its score as they are drawn, such as "皖A12345 0.98"; of none why, where the reading says it."""
    nothing = "no text" if reading.state == "read" else reading.state
    return f"{reading.text or f'({nothing})'} {reading.score:.2f}"


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


def draw_label(canvas: ImageArray, text: str, box: FloatArray, height: int) -> None:
    """Draws a text, about `height` px high, on a dark strip above a box (4,) px; beneath it where there is no room."""
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


CORNERS = (80, 255, 80)
"""BGR of a plate with four labelled corners: green, a dot on the first."""
BOX = (255, 200, 0)
"""BGR of a plate with a labelled box only: light blue."""
IGNORED = (150, 150, 150)
"""BGR of a region to ignore: hatched grey."""
FOUND = (220, 60, 255)
"""BGR of a detection: magenta, a dot on the first corner."""
_GAP = 4


def draw_plate(image: ImageArray, corners: FloatArray) -> None:
    """A plate with labelled corners (4, 2) px."""
    draw_quad(image, corners, _thickness(image), CORNERS)


def draw_box(image: ImageArray, box: FloatArray) -> None:
    """A plate with a labelled box (4,) px only."""
    draw_quad(image, box_corners(box), _thickness(image), BOX, dot=False)


def draw_detection(image: ImageArray, corners: FloatArray, score: float) -> None:
    """A detection with its score as a percentage."""
    draw_quad(image, corners, _thickness(image), FOUND)
    x, y = (int(v) for v in np.clip(corners.max(axis=0), 0, [image.shape[1] - 30, image.shape[0] - 4]))
    cv2.putText(image, f"{100 * score:.0f}", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, FOUND, 1, cv2.LINE_AA)


def draw_ignored(image: ImageArray, box: FloatArray) -> None:
    """A region to ignore (4,) px."""
    limits = np.array([image.shape[1], image.shape[0]] * 2)
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.round(box), 0, limits))
    region = image[y1:y2, x1:x2]
    y, x = np.mgrid[: region.shape[0], : region.shape[1]]
    region[(x + y) % 6 < 2] = IGNORED
    draw_quad(image, box_corners(np.array([x1, y1, x2, y2], np.float32)), 1, IGNORED, dot=False)


def _thickness(image: ImageArray) -> int:
    return max(1, int(min(image.shape[:2])) // 400)


def sheet(pictures: Sequence[ImageArray], columns: int = 6) -> ImageArray:
    """Pictures in rows (H, W, 3); each is put into a cell of the largest height and width.

    Raises:
        ValueError: no picture is given.
    """
    if not pictures:
        raise ValueError("A sheet needs at least one picture; none is given.")
    columns = min(columns, len(pictures))
    height, width = (max(p.shape[axis] for p in pictures) + _GAP for axis in (0, 1))
    page = np.full((-(-len(pictures) // columns) * height, columns * width, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * height, i % columns * width
        page[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return page


def write_jpeg(image: ImageArray, path: Path, largest_bytes: int | None = None) -> None:
    """Writes an image, with less quality where it would be larger than `largest_bytes`; makes its folder.

    Raises:
        NotWritten: a full disk or a folder that cannot be written to.
    """
    for quality in (90, 80, 70, 55, 40, 25):
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if largest_bytes is None or len(data) <= largest_bytes:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [data.tobytes()], sync=False)

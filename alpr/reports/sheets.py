"""Sheets of small pictures with their plates drawn in: what a detector is taught, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from alpr.files import write_atomically
from alpr.plates.geometry import box_corners
from alpr.plates.records import FloatArray, ImageArray
from alpr.reports.drawing import draw_quad

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

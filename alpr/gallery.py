"""A contact sheet of the plates that were missed: the rectified crop, the true text and the text read."""

from __future__ import annotations

import heapq
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from alpr.geometry import box_corners
from alpr.imaging import rectify, resize_crop
from alpr.records import FloatArray, ImageArray, Plate

CROP = (48, 192)
_CAPTION_PX = 22
_MARGIN = 0.08
_CELL = (CROP[0] + 2 * _CAPTION_PX + 8, CROP[1] + 8)
_WHITE = 255


@dataclass(frozen=True)
class Miss:
    """One missed plate: its crop (48, 192, 3), its true text if known, the text read (None: not found), where."""

    crop: ImageArray
    true: str | None
    read: str | None
    image: str


@dataclass
class Gallery:
    """The worst misses of each kind; memory stays flat however many there are.

    Attributes:
        limit: how many plates of each kind are kept: not found, and read wrong.
    """

    limit: int = 40
    _not_found: list[Miss] = field(default_factory=list)
    _read_wrong: list[tuple[float, int, Miss]] = field(default_factory=list)
    _seen: int = 0

    def add(self, image: ImageArray, plate: Plate, read: str | None, score: float, name: str) -> None:
        """Offers a miss: the first plates not found and the surest wrong readings are kept.

        Args:
            image: the scene, or the ready-made crop of a plate without a place.
            read: the wrong text, or None for a plate that was not found.
            score: the reading's.
            name: of the image.
        """
        self._seen += 1
        if read is None:
            if len(self._not_found) < self.limit:
                self._not_found.append(Miss(_crop(image, plate), plate.text, None, name))
        elif len(self._read_wrong) < self.limit or score > self._read_wrong[0][0]:
            entry = (score, -self._seen, Miss(_crop(image, plate), plate.text, read, name))
            heapq.heappush(self._read_wrong, entry)
            if len(self._read_wrong) > self.limit:
                heapq.heappop(self._read_wrong)

    @property
    def misses(self) -> tuple[Miss, ...]:
        """Plates not found, then wrong readings, the surest first."""
        return (*self._not_found, *(miss for _, _, miss in sorted(self._read_wrong, reverse=True, key=lambda e: e[:2])))


def _crop(image: ImageArray, plate: Plate) -> ImageArray:
    corners: FloatArray | None = plate.corners
    if corners is None and plate.box is not None:
        corners = box_corners(plate.box)
    if corners is None:
        return resize_crop(image, CROP)
    try:
        return rectify(image, np.asarray(corners, np.float32), CROP, _MARGIN)
    except ValueError:  # flat corners; their own error is reported where they are read
        return np.full((*CROP, 3), 128, np.uint8)


def contact_sheet(misses: Sequence[Miss], columns: int = 5) -> ImageArray:
    """A page of misses (H, W, 3): crop, "true" and "read" below each.

    Chinese characters need Pillow and the package noto-cjk-sans-otc; without them they are drawn as '?'.

    Raises:
        ValueError: no miss is given.
    """
    if not misses:
        raise ValueError("A contact sheet needs at least one miss; none is given.")
    rows = -(-len(misses) // columns)
    sheet = np.full((rows * _CELL[0], columns * _CELL[1], 3), _WHITE, np.uint8)
    captions: list[tuple[int, int, str]] = []
    for i, miss in enumerate(misses):
        y, x = (i // columns) * _CELL[0] + 4, (i % columns) * _CELL[1] + 4
        sheet[y : y + CROP[0], x : x + CROP[1]] = miss.crop
        captions.append((x, y + CROP[0], f"true  {miss.true or '(unknown)'}"))
        captions.append((x, y + CROP[0] + _CAPTION_PX, _read_caption(miss)))
    return _write(sheet, captions)


def _read_caption(miss: Miss) -> str:
    if miss.read is None:
        return "not found"
    return f"read  {miss.read or '(nothing)'}"


def _font_file() -> Path | None:
    spec = importlib.util.find_spec("noto_cjk_sans_otc")
    if spec is None or spec.origin is None or importlib.util.find_spec("PIL") is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.tt[cf]"))), None)


def _write(sheet: ImageArray, captions: Sequence[tuple[int, int, str]]) -> ImageArray:
    font_file = _font_file()
    if font_file is None:
        for x, y, text in captions:
            ascii_text = text.encode("ascii", "replace").decode()
            cv2.putText(sheet, ascii_text, (x, y + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        return sheet
    from PIL import Image, ImageDraw, ImageFont

    page: Any = Image.fromarray(np.ascontiguousarray(sheet[..., ::-1]))
    draw, font = ImageDraw.Draw(page), ImageFont.truetype(str(font_file), 16)
    for x, y, text in captions:
        draw.text((x, y - 2), text, font=font, fill=(0, 0, 0))
    return np.ascontiguousarray(np.asarray(page, dtype=np.uint8)[..., ::-1])


def write_gallery(misses: Sequence[Miss], path: Path) -> None:
    """Writes the contact sheet as a JPEG, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    _, data = cv2.imencode(".jpg", contact_sheet(misses), [cv2.IMWRITE_JPEG_QUALITY, 92])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data.tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

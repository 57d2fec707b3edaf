"""Photographs read for training: reduced as they are decoded, and kept in memory up to a limit."""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.images.header import MAX_PIXELS, declared_size
from alpr.images.prepare import WARP_LIMIT_PX, UnreadableImage, read_image
from alpr.images.tar_members import read_bytes
from alpr.plates.records import FloatArray, ImageArray

SMALLEST_SIDE_PX = 16
"""A photograph with a shorter side holds no plate that could be learnt."""
_BELOW_PX = 16
"""Rows that are decoded beyond those asked for: the colours of a row depend on the next block's."""


class Photograph(NamedTuple):
    """An image (H, W, 3) uint8 BGR, and its px per px of the file, in x and y: (2,)."""

    image: ImageArray
    scale: FloatArray


class Photographs:
    """Reads photographs. What is kept changes the time that it takes, never the result.

    Args:
        max_side: larger images are halved until their longer side is at most this many px; JPEGs are decoded at a
            half, a quarter or an eighth, which is faster. None keeps every pixel. Nothing is lost where it is at
            least twice the canvas's longer side times the highest scale.
        cache_mb: decoded images are kept in up to so many MB, per process; the least recently used go first.

    Raises:
        ValueError: a limit out of its range.
    """

    def __init__(self, max_side: int | None = None, cache_mb: float = 0.0) -> None:
        if cache_mb < 0 or (max_side is not None and max_side < 64):
            raise ValueError(
                f"data.cache_mb is {cache_mb} and data.max_side {max_side}; expected 0 or more, and 64 px or more."
            )
        self.max_side, self.capacity = max_side, int(cache_mb * 1e6)
        self._kept: OrderedDict[Path, Photograph] = OrderedDict()
        self._bytes = 0

    def read(self, path: Path) -> Photograph:
        """A photograph.

        Raises:
            UnreadableImage: a file that cannot be read, or one too small or too large to train on.
        """
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        photograph = self._decoded(path)
        size = photograph.image.nbytes
        if size <= self.capacity:
            self._kept[path] = photograph
            self._bytes += size
            while self._bytes > self.capacity:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.image.nbytes
        return photograph

    def _decoded(self, path: Path) -> Photograph:
        try:
            data = read_bytes(path)
        except OSError as error:
            raise UnreadableImage(f"{path} cannot be read: {error.strerror or error}.") from error
        height, width = declared_size(data) or read_image(data, str(path)).shape[:2]
        if height * width > MAX_PIXELS:  # before its pixels fill the memory
            raise UnreadableImage(f"{path} has {width}x{height} px; at most {MAX_PIXELS} px are read.")
        factor = 1  # a power of two
        while self.max_side is not None and max(height, width) > factor * self.max_side:
            factor *= 2
        reduce = min(factor, 8) if data[:2] == b"\xff\xd8" else 1  # OpenCV reduces only JPEGs well
        if min(height, width) < SMALLEST_SIDE_PX or max(height, width) > WARP_LIMIT_PX * factor:
            raise UnreadableImage(
                f"{path} has {width}x{height} px; expected sides of {SMALLEST_SIDE_PX} to {WARP_LIMIT_PX} px."
            )
        image = read_image(data, str(path), reduce=reduce)
        if factor == reduce:
            return Photograph(image, np.array([1.0, 1.0]) / reduce)
        rest = factor // reduce
        height, width = image.shape[:2]
        reduced = (-(-width // rest), -(-height // rest))
        image = np.asarray(cv2.resize(image, reduced, interpolation=cv2.INTER_AREA), np.uint8)
        return Photograph(image, np.array(reduced) / [width, height] / reduce)


class UpperPart(NamedTuple):
    """The first rows of an image."""

    image: ImageArray  # (h, w, 3) uint8 BGR, perhaps reduced
    size: tuple[int, int]  # (height, width) px of the whole, not reduced


def read_upper_part(data: bytes, name: str, rows: int, *, reduce: int = 1) -> UpperPart:
    """The first rows of an image, or more: exactly those that the whole image has, decoded in a part of the time.

    A baseline JPEG is decoded from top to bottom, as far as its header says. Other files are decoded whole.

    Args:
        rows: px of the file, before it is reduced.
        reduce: see `read_image`.

    Raises:
        UnreadableImage: a damaged file, or one that ends before these rows.
    """
    frame = _frame_of_one_scan(data)
    size = declared_size(data)
    rows += _BELOW_PX * reduce
    if frame is None or size is None or rows >= size[0]:
        image = read_image(data, name, reduce=reduce)
        return UpperPart(image, (image.shape[0] * reduce, image.shape[1] * reduce))
    shorter = data[: frame + 5] + struct.pack(">H", max(rows, SMALLEST_SIDE_PX)) + data[frame + 7 :]
    with _without_warnings():  # of libjpeg, that data follow the last row
        return UpperPart(read_image(shorter, name, reduce=reduce), size)


def _frame_of_one_scan(data: bytes) -> int | None:
    """Where the frame's segment begins, in a baseline JPEG with all colours in one scan and nothing that turns it."""
    frame, components = None, 0
    for marker, start in _segments(data):
        if marker in (0xC0, 0xC1):
            frame, components = start, data[start + 9]
        elif (0xC2 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xE1:  # progressive; EXIF
            return None
        elif marker == 0xDA:
            return frame if data[start + 4] == components else None
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The marker and the place of each segment of a JPEG's header, up to the first scan."""
    if data[:2] != b"\xff\xd8":
        return
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        yield marker, position
        if marker == 0xDA:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences what C libraries write to the process's standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

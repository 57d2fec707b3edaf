"""A photograph that is decoded as far as whoever looks at it needs."""

from __future__ import annotations

import numpy as np

from alpr.images.header import declared_size
from alpr.images.prepare import REDUCTIONS, Source, decoded, pixels_or_file
from alpr.plates.records import FloatArray, ImageArray


class Photograph:
    """An image that may be decoded at a fraction of its size. All coordinates are px of the whole image.

    Attributes:
        pixels: (H, W, 3) uint8 BGR, as far as they are decoded.
        size: (height, width) of the whole image in px.
        damaged: whether a part of the picture is missing from its file; it is grey.
    """

    __slots__ = ("_file", "damaged", "pixels", "size")

    def __init__(
        self,
        pixels: ImageArray,
        size: tuple[int, int] | None = None,
        file: tuple[bytes, str] | None = None,
        damaged: bool = False,
    ) -> None:
        """Pixels that are there already.

        Args:
            size: of the whole image; else that of the pixels.
            file: the bytes that were decoded and their name, where more pixels can be had from them.
        """
        self.pixels = pixels
        self.size = (pixels.shape[0], pixels.shape[1]) if size is None else size
        self._file = file
        self.damaged = damaged

    @property
    def scale(self) -> FloatArray:
        """(2,): px of the whole image per px of `pixels`, in x and y."""
        height, width = self.pixels.shape[:2]
        return np.array([self.size[1] / width, self.size[0] / height], np.float32)

    def at_least(self, px: float) -> ImageArray:
        """Pixels whose long side is `px` or more, or all there are; decoded once more only where they are fewer.

        Raises:
            UnreadableImage: no memory for so many pixels.
        """
        if self._file is not None and max(self.pixels.shape[:2]) < px:
            more = _decoded(*self._file, px)
            self.pixels, self._file, self.damaged = more.pixels, more._file, more.damaged or self.damaged
        return self.pixels


def read_photograph(source: Source, least_px: float) -> Photograph:
    """As `read_image`, but a JPEG is decoded at a half, quarter or eighth that leaves its long side `least_px` or more.

    One whose data are missing is read all the same, and `damaged`.

    Raises:
        UnreadableImage: see `read_image`.
    """
    found = pixels_or_file(source)
    return _decoded(*found, least_px) if isinstance(found, tuple) else Photograph(found)


def _decoded(data: bytes, name: str, least_px: float) -> Photograph:
    declared = declared_size(data) if data[:2] == b"\xff\xd8" else None
    reduce = max((r for r in REDUCTIONS if declared is not None and max(declared) >= r * least_px), default=1)
    pixels, damaged = decoded(data, name, reduce)
    if declared is None or reduce == 1:
        return Photograph(pixels, damaged=damaged)
    height, width = declared
    upright = pixels.shape[:2] == (-(-height // reduce), -(-width // reduce))  # else its orientation was applied
    return Photograph(pixels, (height, width) if upright else (width, height), (data, name), damaged)

"""All preparation of images: reading, letterboxing and rectifying. Networks take what this file gives, as uint8."""

from __future__ import annotations

import os
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias, cast

import cv2
import numpy as np

from alpr.images.header import MAX_PIXELS, refusal
from alpr.images.jpeg_end import START, lacks_data, with_end
from alpr.images.tar_members import read_bytes
from alpr.plates.geometry import Letterbox, homography, pixel_centre_matrix, plate_height, plate_width
from alpr.plates.records import FloatArray, ImageArray

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".webp", ".tif", ".tiff"})
HEIF_SUFFIXES = frozenset({".heic", ".heif", ".avif"})
"""Of images that are read where the extra `heif` is installed."""
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
GREY = 128
"""The value of padding, as in SCRFD's crops."""
WARP_LIMIT_PX = 32766
"""OpenCV warps no image with a longer side."""


REDUCTIONS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""OpenCV's flag by the part of its width and height at which an image is decoded."""


class UnreadableImage(ValueError):
    """An image that cannot be read; the sentence names it and says why."""


Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | ImageArray | PillowImage"
"""An image: a path, the bytes of a file, a file that is open, an array in BGR, or an image of Pillow."""


def suffixes_read() -> frozenset[str]:
    """The suffixes of the files that can be read here."""
    return IMAGE_SUFFIXES | HEIF_SUFFIXES if find_spec("pillow_heif") else IMAGE_SUFFIXES


def read_image(source: Source, name: str | None = None, *, reduce: int = 1) -> ImageArray:
    """An image as (H, W, 3) uint8 BGR from a path (see `tar_members`), the bytes of a file, a file that is open for
    reading bytes, an array (grey, BGR, BGRA; 8 or 16 bit), or an image of Pillow, whose orientation is applied.

    Args:
        reduce: 2, 4 or 8 decodes a file at that fraction of its size, rounded up; a JPEG much faster.

    Raises:
        UnreadableImage: a missing, empty, truncated or damaged file (a JPEG may lack its end marker alone), one of
            another format than JPEG, PNG, BMP, WebP and TIFF (with the extra `heif` also HEIC and AVIF), one that
            claims too many pixels, an array of another shape or type, or what is no image at all.
    """
    found = pixels_or_file(source, name)
    if not isinstance(found, tuple):
        return found
    data, name = found
    pixels, damaged = decoded(data, name, reduce)
    if damaged and with_end(data) is not data:
        raise UnreadableImage(f"{name} is a truncated JPEG: its end marker and a part of its picture are missing.")
    return pixels


def pixels_or_file(source: Source, name: str | None = None) -> ImageArray | tuple[bytes, str]:
    """The pixels of a source that has them, (H, W, 3) uint8 BGR; else the bytes of its file, and what to call it.

    Raises:
        UnreadableImage: see `read_image`; nothing is decoded yet.
    """
    if isinstance(source, np.ndarray):
        return _as_bgr(source, name or "the array")
    if isinstance(source, str | os.PathLike):
        return _read(source, name or str(source))
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data, name or f"the image of {len(data)} bytes"
    if type(source).__module__.partition(".")[0] == "PIL":
        return _as_bgr(_of_pillow(cast("PillowImage", source)), name or "the Pillow image")
    if hasattr(source, "read"):
        return _read_open(cast(BinaryIO, source), name)
    raise UnreadableImage(
        f"{name or 'What was given'} is {'None' if source is None else f'of type {type(source).__name__}'}; "
        f"expected an image: a path, bytes, an open file, a NumPy array or a Pillow image."
    )


def _read(path: str | os.PathLike[str], name: str) -> tuple[bytes, str]:
    try:
        return read_bytes(path), name
    except OSError as error:
        raise UnreadableImage(f"{name} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # a path with a null character
        raise UnreadableImage(f"{name!r} cannot be read: {error}.") from error


def _read_open(file: BinaryIO, name: str | None) -> tuple[bytes, str]:
    given = getattr(file, "name", None)
    name = name or (given if isinstance(given, str) else "the open file")
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # a closed file, or a text that is no UTF-8
        raise UnreadableImage(f"{name} cannot be read: {error}.") from error
    if not isinstance(data, bytes):
        raise UnreadableImage(f"{name} gives {type(data).__name__}; expected a file that is open for reading bytes.")
    return data, name


def _of_pillow(image: PillowImage) -> np.ndarray:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return np.asarray(upright, dtype=np.uint16)
    return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[..., ::-1])


class Decoded(NamedTuple):
    """An image, and whether a part of its picture is missing, which is grey then."""

    pixels: ImageArray
    damaged: bool


def decoded(data: bytes, name: str, reduce: int) -> Decoded:
    """The image in the bytes of a file, see `read_image`; a JPEG whose data are missing is decoded as far as it goes.

    Raises:
        UnreadableImage: see `read_image`.
    """
    if not data:
        raise UnreadableImage(f"{name} is empty.")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return Decoded(_of_heif(data, name), False)
    ended = with_end(data)
    reason = refusal(ended)  # before any pixel is allocated
    if reason is not None:
        raise UnreadableImage(f"{name} {reason}")
    flag = REDUCTIONS[reduce]
    try:
        image = cv2.imdecode(np.frombuffer(ended, np.uint8), flag)
    except cv2.error as error:  # more pixels than OpenCV's own limit
        raise UnreadableImage(f"{name} cannot be decoded: {error.err}.") from error
    if image is None:
        raise UnreadableImage(
            f"{name} is no image that OpenCV can decode: its picture is damaged (it starts with {data[:8]!r})."
        )
    pixels = _as_bgr(image, name)
    damaged = data[:2] == START and lacks_data(ended, pixels, flag, doubtful=ended is not data)
    return Decoded(pixels, damaged)


def _of_heif(data: bytes, name: str) -> ImageArray:
    try:
        from PIL import Image
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError as error:
        raise UnreadableImage(f"{name} is HEIC or AVIF; `pip install 'alpr-train[heif]'` lets it be read.") from error
    register_heif_opener()
    try:
        with Image.open(BytesIO(data)) as image:
            height, width = image.height, image.width
            if height * width > MAX_PIXELS:
                raise UnreadableImage(f"{name} claims {width}x{height} px; at most {MAX_PIXELS} px are read.")
            return _as_bgr(_of_pillow(image), name)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, UnreadableImage):
            raise
        raise UnreadableImage(f"{name} cannot be decoded: {error}.") from error


def _as_bgr(image: np.ndarray, name: str) -> ImageArray:
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise UnreadableImage(f"{name} has shape {image.shape}; expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise UnreadableImage(f"{name} has {image.shape[1]}x{image.shape[0]} px; at most {MAX_PIXELS} px are read.")
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise UnreadableImage(f"{name} holds {image.dtype} values; expected uint8 or uint16.")
    if image.ndim == 2 or image.shape[2] == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if image.shape[2] == 4:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), dtype=np.uint8)
    return image


def letterbox(image: ImageArray, long_side: int, multiple: int = 32) -> tuple[ImageArray, Letterbox]:
    """An image fitted into a network input, (h, w, 3) uint8, and the mapping back; no square.

    It is halved, which OpenCV does many times faster than anything else that averages, and then interpolated.
    `alpr.export.one_graph.parts` repeats every rounding of both.
    """
    box = Letterbox.fit((image.shape[0], image.shape[1]), long_side, multiple)
    canvas = np.full((*box.size, 3), GREY, np.uint8)
    block = 2**box.halvings
    image = image[: image.shape[0] // block * block, : image.shape[1] // block * block]
    for _ in range(box.halvings):
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    inner = canvas[: box.inner[0], : box.inner[1]]
    cv2.resize(image, box.inner[::-1], dst=inner, interpolation=cv2.INTER_LINEAR)
    return canvas, box


def rectify(image: ImageArray, corners: FloatArray, size: tuple[int, int], margin: float = 0.0) -> ImageArray:
    """The plate inside four corners as an upright crop (h, w, 3) uint8.

    Args:
        corners: (4, 2) px, top left first, clockwise as the text is read.
        size: (height, width) of the crop in px.
        margin: the fraction of the crop's height and width left around the plate on every side.

    Raises:
        ValueError: corners from which no homography can be made.
    """
    height, width = size
    if max(image.shape[:2]) > WARP_LIMIT_PX:
        image, corners = _cut_around(image, corners)
    # A warp samples four pixels: a plate much larger than its crop is warped larger and then averaged down.
    step = min(8, max(1, int(max(plate_height(corners) / height, plate_width(corners) / width))))
    h, w = height * step, width * step
    x, y = margin * w, margin * h
    target = np.array([[x, y], [w - x, y], [w - x, h - y], [x, h - y]], np.float32)
    matrix = pixel_centre_matrix(homography(corners, target))
    crop = cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if step > 1:
        crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)


def _cut_around(image: ImageArray, corners: FloatArray) -> tuple[ImageArray, FloatArray]:
    """The part of a very large image that holds the plate and as much again on every side, and the corners in it."""
    limits = np.array([image.shape[1], image.shape[0]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    reach = high - low + 1
    x1, y1 = np.clip(np.floor(low - reach), 0, limits - 1).astype(int)
    x2, y2 = np.clip(np.ceil(high + reach), 1, limits).astype(int)
    x2, y2 = min(max(x2, x1 + 1), x1 + WARP_LIMIT_PX), min(max(y2, y1 + 1), y1 + WARP_LIMIT_PX)
    return image[y1:y2, x1:x2], corners - np.array([x1, y1], dtype=np.float32)


def resize_crop(crop: ImageArray, size: tuple[int, int]) -> ImageArray:
    """A ready-made crop stretched to the recogniser's (height, width)."""
    shrinks = crop.shape[0] >= size[0] and crop.shape[1] >= size[1]
    return np.asarray(
        cv2.resize(crop, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR),
        dtype=np.uint8,
    )

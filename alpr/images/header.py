"""What an image file says of itself before it is decoded: its size, and whether to decode it at all.

A decoder allocates what the header claims. A few kilobytes may claim gigabytes, so the claim is read first, without any
allocation. Only the five formats below are known; a file of another one is refused.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAX_PIXELS = 200_000_000
BIG_PIXELS = 20_000_000
PIXELS_PER_BYTE = 1000
"""No photograph is packed tighter; images larger than `BIG_PIXELS` that claim to be are refused. A JPEG of one colour
has 64 to 170 pixels per byte, a PNG of one colour up to 8,000."""
MAX_SCANS = 100
"""Of a JPEG. Each costs a pass over the whole picture and takes a dozen bytes; ordinary encoders write up to 12."""
MAX_CHUNKS = 200_000
"""Of a PNG; the usual 8,192 bytes each make 1.6 GB."""
FORMATS = "JPEG, PNG, BMP, WebP or TIFF"
_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The JPEG markers whose segment gives the size: SOF0 to SOF15, without the tables among them."""
_TIFF_INTEGERS = {1: 1, 3: 2, 4: 4, 16: 8}
"""Bytes of the TIFF types that hold whole numbers: BYTE, SHORT, LONG, LONG8."""


class Size(NamedTuple):
    """Pixels, as the file has them; an orientation in its metadata is not applied."""

    height: int
    width: int


class _Damaged(Exception):
    """A header that ends too early or contradicts itself; the rest of a sentence that begins with the image's name."""


def declared_size(data: bytes) -> Size | None:
    """The size that a file's header claims; None where the file is of no known format or its header is damaged."""
    try:
        return _size(data)
    except (_Damaged, struct.error, OverflowError):
        return None


def refusal(data: bytes) -> str | None:
    """Why a file must not be decoded, to be put behind its name; None where nothing speaks against it.

    Nothing here is allocated for pixels. A file that is not refused may still be damaged further in.
    """
    try:
        size = _size(data)
        if size is None:
            return f"is no image that OpenCV can decode here: expected {FORMATS}, it starts with {data[:8]!r}."
        if data[:2] == b"\xff\xd8":
            _check_scans(data)
        elif data[:8] == _PNG:
            _check_chunks(data)
    except _Damaged as fault:
        return str(fault)
    except (struct.error, OverflowError):  # a place behind the end, or behind any end
        return "is damaged: it ends in the middle of its header."
    height, width = size
    if height < 1 or width < 1:
        return f"is damaged: its header claims {width}x{height} px."
    if height * width > MAX_PIXELS:
        return f"claims {width}x{height} px; at most {MAX_PIXELS} px are read."
    if height * width > max(BIG_PIXELS, PIXELS_PER_BYTE * len(data)):
        return f"claims {width}x{height} px in {len(data)} bytes; no photograph is packed so tightly."
    return None


def _size(data: bytes) -> Size | None:
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == _PNG:
        return _png(data)
    if data[:2] == b"BM":
        return _bmp(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(data)
    return None


def _jpeg(data: bytes) -> Size:
    position, size = 2, None
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xDA:  # start of scan
            if size is None:
                raise _Damaged("is a damaged JPEG: its picture begins before its size is given.")
            return size
        if marker in _FRAMES:
            found = Size(*struct.unpack_from(">HH", data, position + 5))
            if size is not None and found != size:
                raise _Damaged("is a damaged JPEG: it gives two sizes.")
            size = found
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise _Damaged("is a truncated JPEG: it ends before its picture begins.")


def _check_scans(data: bytes) -> None:
    """OpenCV decodes no JPEG without an end marker; `jpeg_end` gives it one, and looks whether data are missing."""
    first = _scan_place(data)
    # From the first scan on FF D9 can only be the end of the image, and FF DA only another scan.
    if data.rfind(b"\xff\xd9", first) < 0:
        raise _Damaged("is a truncated JPEG: its end marker is missing.")
    if data.count(b"\xff\xda", first) > MAX_SCANS:
        raise _Damaged(f"is a JPEG of more than {MAX_SCANS} scans; no ordinary encoder writes so many.")


def first_scan(data: bytes) -> int | None:
    """Where the first scan of a JPEG begins, at its marker; None where its header is damaged or no scan follows."""
    try:
        _jpeg(data)
    except (_Damaged, struct.error):
        return None
    return _scan_place(data)


def _scan_place(data: bytes) -> int:
    position = 2
    while data[position + 1] != 0xDA:  # `_jpeg` has found it
        position += 1 if data[position + 1] == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise _Damaged("is a damaged PNG: it does not begin with its size.")
    return Size(height, width)


def _check_chunks(data: bytes) -> None:
    """OpenCV allocates what a chunk claims to hold, up to 2 GB, before it finds that the file has ended."""
    position = len(_PNG)
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        position += 12 + length
        if position > len(data) or len(kind) < 4:
            raise _Damaged("is a truncated PNG: its end chunk is missing.")
        if kind == b"IEND":
            return
    raise _Damaged(f"is a PNG of more than {MAX_CHUNKS} chunks; no ordinary encoder writes so many.")


def _bmp(data: bytes) -> Size:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<hh" if header == 12 else "<ii", data, 18)
    return Size(abs(height), width)  # a negative height means that the first row is the top one


def _webp(data: bytes) -> Size:
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        raise _Damaged(f"is a damaged WebP: its first chunk is {kind!r}.")
    if len(data) < 30:
        raise _Damaged("is a truncated WebP: it ends in the middle of its header.")
    return Size(height, width)


def _tiff(data: bytes) -> Size:
    """Of the first page, which alone is decoded; a tile counts as well, for whole tiles are allocated."""
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    first, step = start + (8 if big else 2), 20 if big else 12
    if first + entries * step > len(data):
        raise _Damaged("is a damaged TIFF: its directory lies behind its end.")
    tags: dict[int, int] = {}
    for place in range(first, first + entries * step, step):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in (256, 257, 322, 323) and kind in _TIFF_INTEGERS:
            at = place + step - (8 if big else 4)
            raw = data[at : at + _TIFF_INTEGERS[kind]]
            if tag in tags:
                raise _Damaged(f"is a damaged TIFF: tag {tag} is given twice.")
            tags[tag] = int.from_bytes(raw, "little" if order == "<" else "big")
    if not {256, 257} <= set(tags):
        raise _Damaged("is a damaged TIFF: its size is missing.")
    image, tile = Size(tags[257], tags[256]), Size(tags.get(323, 1), tags.get(322, 1))
    return max(image, tile, key=lambda size: size.height * size.width)

"""A frame that has arrived whole, and whether bytes that came without checksums are in order."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from alpr.images.header import first_scan
from alpr.images.jpeg_end import END, START, with_end
from alpr.serving.frames import Held

PNG = b"\x89PNG\r\n\x1a\n"
_SLACK = 12
"""Bytes at the end of a JPEG's data of which a whole picture still needs some."""
_MORE = b"\x5a\xa7\x3c\x95\xd2" * 20


@dataclass(frozen=True)
class Whole:
    """A frame that has arrived whole.

    Attributes:
        name: of the frame within its sender's, such as its number.
        reply: what an answer must repeat, and how large it may be in bytes; None where none is wanted.
        check: says why the bytes may be out of order, to be put behind the frame's name; None where a checksum says
            that they are not.
    """

    name: str
    data: bytes
    held: Held
    reply: tuple[dict[str, int], int] | None = None
    check: Callable[[bytes], str | None] | None = None


def disorder(data: bytes) -> str | None:
    """What shows that parts of a file were lost, doubled or mixed up, to be put behind its name; None where nothing.

    A PNG has checksums. The picture of a baseline JPEG needs all its data and no more, else its parts are not those
    that were sent. Of 149 photographs with two neighbouring parts exchanged 118 were noticed so; one whole one was not
    believed.
    """
    if data.startswith(PNG):
        return None if _png_in_order(data) else "is no whole PNG: its checksums are wrong."
    if data.startswith(START) and not _jpeg_in_order(with_end(data)):
        return "is no whole JPEG: parts of it were lost or mixed up on their way."
    return None


def _png_in_order(data: bytes) -> bool:
    at = len(PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def _jpeg_in_order(data: bytes) -> bool:
    first = first_scan(data)
    if first is None:
        return False
    if b"\xff\xc2" in data[:first]:  # progressive: scans follow one another, and small decodings need few of them
        return True
    end = data.find(END, first)
    if end != data.rfind(END):
        return False
    body, picture = data[:end], _small(data)
    # Without an end marker behind them libjpeg has nothing to complain of on stderr.
    longer, other = (_small(part.rstrip(b"\xff") + _MORE) for part in (body, body[:-_SLACK]))
    if picture is None or longer is None or not np.array_equal(picture, longer):
        return False  # data are missing
    return other is None or not np.array_equal(picture, other)  # else data are left over


def _small(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)

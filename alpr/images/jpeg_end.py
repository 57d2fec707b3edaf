"""Whether a JPEG holds its whole picture: cameras leave the end marker out, and broken transfers lose data before it.

libjpeg fills what is missing with grey and says so on stderr alone, and OpenCV decodes no file without an end marker.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np

from alpr.images.header import first_scan
from alpr.plates.records import ImageArray

START = b"\xff\xd8"
END = b"\xff\xd9"
_SCAN = b"\xff\xda"
_MORE = b"\x5a\xa7\x3c\x95\xd2" * 20
"""Data of some picture."""
_LOST = 128
"""Of all three colours of pixels whose data are missing."""
_COEFFICIENTS = 64


def with_end(data: bytes) -> bytes:
    """The bytes of a JPEG, with an end marker where there is none; others, or without a picture, as they are."""
    if data[:2] != START or data.endswith(END):
        return data
    first = first_scan(data)
    # From the first scan on FF D9 can only be the end of the image.
    return data if first is None or data.rfind(END, first) >= 0 else data + END


def lacks_data(data: bytes, pixels: ImageArray, decoded_by: int, *, doubtful: bool = False) -> bool:
    """Whether a part of a JPEG's picture is missing.

    Missing data leave the last pixels grey. Only where they are, more bytes are put behind the data and it is decoded
    once more: a whole picture stays as it is. A progressive JPEG is whole when its scans give every coefficient to the
    last bit; one whose last scan alone is cut is told by a missing end marker only.

    Args:
        data: the bytes with their end marker.
        pixels: what they were decoded to.
        decoded_by: OpenCV's flag.
        doubtful: look closely in any case.
    """
    first = first_scan(data)
    if first is None:
        return False
    end = data.find(END, first)
    scans = _progressive_scans(data, first, end)
    if scans is not None and not _complete(scans):
        return True
    if not doubtful and not _ends_in_grey(pixels, decoded_by):
        return False
    more = data[:end].rstrip(b"\xff") + _MORE
    if scans is not None:  # small decodings do not use the last scans, and none begins before the end marker
        decoded_by, more = cv2.IMREAD_COLOR, more + END
    # A sequential one is over before the end marker is looked for: without it libjpeg has nothing to complain of.
    longer, same = (np.asarray(cv2.imdecode(np.frombuffer(each, np.uint8), decoded_by)) for each in (more, data))
    return not np.array_equal(longer, same)


def _ends_in_grey(pixels: ImageArray, decoded_by: int) -> bool:
    """Whether a corner, whichever was the last before an orientation was applied, is as grey as missing data."""
    reduce = {cv2.IMREAD_REDUCED_COLOR_2: 2, cv2.IMREAD_REDUCED_COLOR_4: 4, cv2.IMREAD_REDUCED_COLOR_8: 8}
    n = 8 // reduce.get(decoded_by, 1)  # the smallest block that is coded together
    corners = (pixels[-n:, -n:], pixels[:n, :n], pixels[-n:, :n], pixels[:n, -n:])
    return any((corner == _LOST).all() for corner in corners)


def _progressive_scans(data: bytes, first: int, end: int) -> list[bytes] | None:
    """The headers of a progressive JPEG's scans, from the number of components on; None of another JPEG."""
    if b"\xff\xc2" not in data[:first]:
        return None
    scans, at = [], first
    while 0 <= at < end:
        scans.append(data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")])
        at = data.find(_SCAN, at + 2)
    return scans


def _complete(scans: list[bytes]) -> bool:
    """Whether scans give every coefficient of every component that they name to its last bit."""
    missing: dict[int, set[int]] = {}
    for scan in scans:
        start, stop, precision = struct.unpack("BBB", scan[-3:])
        for component in scan[1:-3:2]:
            lacking = missing.setdefault(component, set(range(_COEFFICIENTS)))
            if precision & 15 == 0:
                lacking.difference_update(range(start, stop + 1))
    return not any(missing.values())

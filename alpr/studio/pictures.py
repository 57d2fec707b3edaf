"""Pictures for the page: thumbnails, which are kept on disk, and whole photographs as a browser shows them."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from alpr.files import NotWritten, read_regular, write_atomically
from alpr.images.photograph import read_photograph
from alpr.images.prepare import UnreadableImage, pixels_or_file, read_image
from alpr.images.tar_members import member_of
from alpr.plates.records import ImageArray
from alpr.studio.readings import whole_image

THUMBNAIL_PX = 160
"""The longer side of a thumbnail."""
CACHE = ".studio-thumbnails"
_SHOWN = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
"""What a browser shows itself, by its first bytes."""
MOST_THUMBNAIL_BYTES = 1 << 20


class Pictures:
    """Pictures of photographs by their paths.

    Args:
        beside: the folder of the project's table, in which the thumbnails are kept; where it cannot be written to, in
            a folder that goes when the studio ends.
    """

    def __init__(self, beside: Path) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.folder = beside / CACHE
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            usable = os.access(self.folder, os.W_OK)
        except OSError:
            usable = False
        if not usable:
            self._temporary = tempfile.TemporaryDirectory(prefix="alpr-studio-")
            self.folder = Path(self._temporary.name)
        self._decoded: OrderedDict[Path, ImageArray] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Removes what is temporary."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def thumbnail(self, path: Path) -> bytes:
        """A JPEG of at most `THUMBNAIL_PX`, made when first asked for.

        Raises:
            UnreadableImage: an image that cannot be read.
        """
        member = member_of(path)
        try:
            found = Path(path if member is None else member.tar).stat()
        except (OSError, ValueError) as error:
            raise UnreadableImage(f"{path} cannot be read: {error}.") from error
        named = f"{os.path.abspath(path)} {found.st_size} {found.st_mtime_ns}"  # noqa: PTH100
        kept = self.folder / f"{hashlib.sha256(named.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.jpg"
        with suppress(OSError):
            return read_regular(kept, MOST_THUMBNAIL_BYTES)
        image = read_photograph(path, THUMBNAIL_PX).pixels
        scale = min(1.0, THUMBNAIL_PX / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        data = jpeg(small, 80)
        with suppress(NotWritten):  # it is only made again
            write_atomically(kept, [data], sync=False)
        return data

    def whole(self, path: Path) -> tuple[bytes, str]:
        """A whole photograph as a file that a browser shows, and its type: its own bytes where they are JPEG or PNG.

        Raises:
            UnreadableImage: an image that cannot be read.
        """
        found = pixels_or_file(path)
        if isinstance(found, tuple):
            for start, kind in _SHOWN.items():
                if found[0].startswith(start):
                    return found[0], kind
        return jpeg(read_image(path), 95), "image/jpeg"

    def decoded(self, path: Path) -> ImageArray:
        """Every pixel of a photograph; those of the last few are kept.

        Raises:
            UnreadableImage: an image that cannot be read.
        """
        with self._lock:
            if path not in self._decoded:
                self._decoded[path] = whole_image(path)
                if len(self._decoded) > 2:
                    self._decoded.popitem(last=False)
            self._decoded.move_to_end(path)
            return self._decoded[path]


def jpeg(image: ImageArray, quality: int) -> bytes:
    """An image as the bytes of a JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()

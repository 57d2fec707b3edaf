"""A video, a webcam or a stream for the page: frame by frame, read as they are asked for; nothing is labelled."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from alpr.studio.pictures import jpeg
from alpr.studio.readings import Read, Readings
from alpr.video.frames import Frame, Source
from alpr.video.sources import open_source

KEPT = 24
"""Frames that can be gone back to without opening the file again."""
WAIT_S = 5.0
"""For a camera's next frame, before the page is told that there is none."""


class Film:
    """Frames of a source by number, with their readings.

    Raises:
        SourceError: what cannot be opened; a camera is opened later, again and again.
    """

    def __init__(self, address: str, readings: Readings) -> None:
        self.address, self.readings = address, readings
        self.sentence = ""
        self._lock = threading.Lock()
        self._kept: deque[tuple[Frame, Read]] = deque(maxlen=KEPT)
        self._source = self._opened()

    def _opened(self) -> Source:
        source = open_source(self.address)
        source.told = self._told
        return source

    def _told(self, sentence: str) -> None:
        self.sentence = sentence

    def close(self) -> None:
        """Lets go of the file or the camera."""
        self._source.stop()

    def after(self, number: int) -> dict[str, Any]:
        """The first frame behind a number, -1 for the first of all; of a camera the newest."""
        with self._lock:
            kept = next((pair for pair in self._kept if pair[0].number > number), None)
            if kept is None or self._source.live:
                kept = self._next(number) or (kept if not self._source.live else None)
            return self._record(kept)

    def before(self, number: int) -> dict[str, Any]:
        """The frame in front of a number."""
        with self._lock:
            kept = next((pair for pair in reversed(self._kept) if pair[0].number < number), None)
            if kept is None and number > 0 and not self._source.live:
                self._source.stop()
                self._kept.clear()
                self._source = self._opened()
                self._source.skip_to(number - 1)
                kept = self._next(number - 2)
            return self._record(kept)

    def picture(self, number: int) -> bytes | None:
        """A frame that was given, as JPEG; None where it is no longer kept."""
        kept = self._of(number)
        return None if kept is None else jpeg(kept[0].image, 90)

    def crop(self, number: int, plate: int) -> bytes | None:
        """The crop of a frame's plate as PNG."""
        kept = self._of(number)
        return kept[1].crops[plate] if kept is not None and 0 <= plate < len(kept[1].crops) else None

    def _of(self, number: int) -> tuple[Frame, Read] | None:
        return next((pair for pair in list(self._kept) if pair[0].number == number), None)

    def _next(self, number: int) -> tuple[Frame, Read] | None:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until and not self._source.ended:
            frame = self._source.take(wait=False)
            if frame is not None and frame.number > number:
                self._kept.append((frame, self.readings.once(frame.image)))
                return self._kept[-1]
            if frame is None:
                time.sleep(0.02)
        return None

    def _record(self, kept: tuple[Frame, Read] | None) -> dict[str, Any]:
        source = self._source
        told = source.error or self.sentence
        state = {"ended": source.ended, "live": source.live, "sentence": told, "name": source.name}
        if kept is None:
            return {**state, "frame": None}
        frame, read = kept
        return {**state, "frame": {"number": frame.number, "time_s": round(frame.time_s, 3)}, "reading": read.record}

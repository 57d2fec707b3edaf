"""Which frames of a source the detector looks at twice.

The second, closer look finds plates that are too small for the first one. On an empty road it finds nothing and costs
more than all else, so it is taken at every n-th frame. Once one look loses a plate that was there a frame ago, all
frames but the n-th are looked at twice, until one look finds every plate again.
"""

from __future__ import annotations

from collections.abc import Sequence

from alpr.reader.reader import Reader
from alpr.video.tracks import Track

EVERY = 8
"""Frames of which one is looked at twice on an empty road, and one once where small plates are followed."""


def one_look(reader: Reader) -> Reader:
    """The same reader without its second look."""
    detector = reader.detector
    if detector.settings.fine_px is None:
        return reader
    return Reader.from_parts(detector.at(detector.settings.input_px), reader.recogniser)


class Looks:
    """The frames of one source.

    Args:
        every: see `EVERY`; 1 looks at every frame twice.
    """

    def __init__(self, every: int = EVERY) -> None:
        self.every = every
        self._count = 0
        self._close = False
        self._twice = True
        self._seen: set[int] = set()

    def twice(self, place: int | None = None) -> bool:
        """Whether the next frame is to be looked at twice.

        Args:
            place: of the frame among those of a file that are read, so that one that is read again from its middle is
                looked at in the same way; None of a camera, of which any frame may be missing.
        """
        due = (self._count if place is None else place) % self.every == 0
        self._count += 1
        self._twice = self.every == 1 or due != self._close
        return self._twice

    def followed(self, frame: int, tracks: Sequence[Track]) -> None:
        """Takes note of a frame that was read, and of the tracks in view."""
        if not self._twice:
            self._close = any(track.number in self._seen and track.last_frame != frame for track in tracks)
        self._seen = {track.number for track in tracks if track.last_frame == frame}
        self._close &= bool(tracks)

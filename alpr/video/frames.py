"""What every source of frames is: pictures with a number and a time, taken one by one, and counts of what was not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2

from alpr.plates.records import ImageArray

TIMEOUT_MS = 8000
"""To reach a stream, and to wait for its next frame."""
WAIT_S = 0.5
RTSP_OPTIONS = "rtsp_transport;tcp"
STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|srt|tcp)://", re.I)


class SourceError(ValueError):
    """A source that cannot be opened; the sentence names it."""


class Frame(NamedTuple):
    """One picture of a source.

    Attributes:
        number: from 0; dropped frames are counted too.
        time_s: seconds since the source's first frame.
        image: (H, W, 3) uint8 BGR.
        taken: seconds since the epoch when a camera gave it; None of a file.
    """

    number: int
    time_s: float
    image: ImageArray
    taken: float | None = None


@dataclass
class Counts:
    """What became of a source's frames.

    Attributes:
        frames: that were given out.
        dropped: that a camera gave and nobody asked for in time.
        skipped: that were left out because only every n-th is read.
        broken: that could not be decoded.
        reconnects: how often a camera was reached again.
    """

    frames: int = 0
    dropped: int = 0
    skipped: int = 0
    broken: int = 0
    reconnects: int = 0


@dataclass
class Source:
    """Frames with a name. Iterating waits for the next one; `take` does not.

    Attributes:
        live: whether frames are dropped that are not asked for in time.
        fps: frames per second as the source says; 0 where it does not.
        error: why it ended early; "" where it came to its end.
        told: is called with a sentence about what happens, such as a lost connection.
    """

    name: str
    live: bool = False
    fps: float = 0.0
    error: str = ""
    counts: Counts = field(default_factory=Counts)
    told: Callable[[str], object] = lambda sentence: None
    ended: bool = False

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.take(wait=True)) is not None or not self.ended:
            if frame is not None:
                yield frame

    def take(self, *, wait: bool = True) -> Frame | None:
        """The next frame; None at the end (`ended`), or where none has come yet: a camera is waited for `WAIT_S`."""
        raise NotImplementedError

    def skip_to(self, number: int) -> None:
        """Goes on with a frame, of a file that is read again from there."""
        raise NotImplementedError

    def stop(self) -> None:
        """Lets go of the file or the camera; may be called from another thread."""
        self.ended = True

    def _end(self, error: str = "") -> None:
        self.error = self.error or error
        self.ended = True


def opened_capture(address: int | str) -> cv2.VideoCapture | None:
    """A webcam, a stream or a file as OpenCV opens it; None where it cannot."""
    stream = isinstance(address, str) and STREAM.match(address) is not None
    if stream:
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", RTSP_OPTIONS)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # a sentence of ours says what is wrong
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        if stream:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
            capture = cv2.VideoCapture(str(address), cv2.CAP_FFMPEG, limits)
        else:
            capture = cv2.VideoCapture(address)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(before)
    return capture if capture.isOpened() else None


def shown(address: str) -> str:
    """A URL without user and password."""
    return re.sub(r"//[^/@]*@", "//", address)

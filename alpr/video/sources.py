"""Where frames come from: a video file, a folder of images, JPEGs on standard input, a webcam, a stream of a network.

Files give every frame at the speed at which they are read. Cameras (`camera.py`) give the newest frame alone; what was
not asked for in time is dropped and counted.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import cv2
import numpy as np

from alpr.images.header import first_scan
from alpr.images.prepare import UnreadableImage, read_image, suffixes_read
from alpr.video.camera import Camera
from alpr.video.frames import STREAM, Frame, Source, SourceError, opened_capture, shown

MOST_JPEG_BYTES = 1 << 26
_NAMED = re.compile(r"([\w.\-]+)=(.+)", re.S)


class Pulled(Source):
    """A source that gives every n-th frame of an iterator of frames, and drops nothing."""

    def __init__(self, name: str, every: int = 1, fps: float = 0.0) -> None:
        super().__init__(name, fps=fps)
        self.every = every
        self._from = 0
        self._frames: Iterator[Frame] | None = None

    def take(self, *, wait: bool = True) -> Frame | None:
        if self._frames is None:
            self._frames = self._numbered()
        frame = None if self.ended else next(self._frames, None)
        if frame is None:
            self.stop()
            return None
        self.counts.frames += 1
        return frame

    def skip_to(self, number: int) -> None:
        self._from = number

    def _wanted(self, number: int) -> bool:
        """Whether a frame is given out; one that is not need not be decoded."""
        if number < self._from:
            return False
        self.counts.skipped += number % self.every != 0
        return number % self.every == 0

    def _numbered(self) -> Iterator[Frame]:
        raise NotImplementedError


class VideoFile(Pulled):
    """Every frame of a video file with its own time stamp.

    Raises:
        SourceError: no file, or none that OpenCV can decode.
    """

    def __init__(self, path: Path | str, name: str, every: int = 1) -> None:
        if not STREAM.match(str(path)) and not Path(path).is_file():
            raise SourceError(f"{path} is no file; expected a video, a folder of images, a camera's number or a URL.")
        self._capture = opened_capture(str(path))
        if self._capture is None:
            raise SourceError(f"{shown(str(path))} cannot be decoded as a video; {_kind_of(path)}.")
        super().__init__(name, every, self._capture.get(cv2.CAP_PROP_FPS))
        self.length = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def _numbered(self) -> Iterator[Frame]:
        number, last_s, first_s = 0, -1.0, None
        fps = self.fps if 0 < self.fps < 1000 else 25.0
        assert self._capture is not None
        while self._capture.grab():
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first_s = stamp if first_s is None else first_s
            time_s = stamp - first_s
            if time_s <= last_s:  # a file without time stamps, or with wrong ones
                time_s = last_s + 1 / fps
            last_s = time_s
            if self._wanted(number):
                whole, image = self._capture.retrieve()
                if whole and image is not None:
                    yield Frame(number, time_s, np.asarray(image, np.uint8))
                else:
                    self.counts.broken += 1
            number += 1
        self._capture.release()
        if not number:
            self._end(f"{self.name} holds no frame that can be decoded.")
        elif number < 0.95 * self.length - 2:
            self._end(f"{self.name} breaks off: {number} of about {self.length} frames could be decoded.")


class ImageFolder(Pulled):
    """The images of a folder in the order of their names (2 before 10), as frames at a rate.

    Raises:
        SourceError: a folder without images.
    """

    def __init__(self, folder: Path, name: str, every: int = 1, fps: float = 25.0) -> None:
        super().__init__(name, every, fps)
        read = suffixes_read()
        files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
        self.paths = sorted((p for p in files if p.suffix.lower() in read), key=_natural)
        self.others = len(files) - len(self.paths)
        if not self.paths:
            raise SourceError(
                f"The folder {folder} holds no image among its {len(files)} files; expected files ending in "
                f"{', '.join(sorted(read))}."
            )

    def _numbered(self) -> Iterator[Frame]:
        if self.others:
            self.told(f"{self.name}: {self.others} files of other types are not looked at.")
        for number, path in enumerate(self.paths):
            if self._wanted(number):
                try:
                    image = read_image(path)
                except UnreadableImage as error:
                    self.counts.broken += 1
                    self.told(str(error))
                    continue
                yield Frame(number, number / self.fps, image)


class JpegStream(Pulled):
    """JPEGs one after the other in a stream of bytes, as `ffmpeg -f mjpeg -` writes them.

    Args:
        file: standard input by default.
        fps: frames per second; 0 takes the time at which they come.
    """

    def __init__(self, name: str = "stdin", every: int = 1, fps: float = 0.0, file: BinaryIO | None = None) -> None:
        super().__init__(name, every, fps)
        self._file = file or sys.stdin.buffer

    def _numbered(self) -> Iterator[Frame]:
        first = None
        for number, data in enumerate(split_jpegs(self._file)):
            now = time.monotonic()
            first = now if first is None else first
            if self._wanted(number):
                try:
                    image = read_image(data, f"frame {number} of {self.name}")
                except UnreadableImage:
                    self.counts.broken += 1
                    continue
                yield Frame(number, number / self.fps if self.fps else now - first, image)
        if first is None:
            self._end(f"{self.name} gave no JPEG; expected pictures one after the other, as ffmpeg -f mjpeg - writes.")


def open_source(
    text: str,
    *,
    every: int = 1,
    fps: float | None = None,
    give_up_s: float | None = None,
    taken: frozenset[str] | set[str] = frozenset(),
) -> Source:
    """A source from its words: [NAME=]FILE, FOLDER, URL, number of a webcam, or - for JPEGs on standard input.

    Args:
        every: only every n-th frame is read.
        fps: of a folder (25 by default) and of standard input.
        give_up_s: see `Camera`.
        taken: names that other sources have.

    Raises:
        SourceError: what cannot be opened. A camera is opened later, by its thread, again and again.
    """
    if every < 1:
        raise SourceError(f"Every {every}th frame cannot be read; expected at least 1.")
    named = None if Path(text).exists() else _NAMED.fullmatch(text)
    given, address = (named[1], named[2]) if named else ("", text)
    name = _free(given or _name_of(address), taken)
    if address == "-":
        return JpegStream(name, every, fps or 0.0)
    if address.isdecimal() and not Path(address).exists():
        return Camera(int(address), name, every, give_up_s)
    if STREAM.match(address):
        if address.lower().startswith("http") and Path(urlsplit(address).path).suffix.lower() in VIDEO_SUFFIXES:
            return VideoFile(address, name, every)
        return Camera(address, name, every, give_up_s)
    path = Path(address)
    if path.is_dir():
        return ImageFolder(path, name, every, fps or 25.0)
    return VideoFile(path, name, every)


VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".3gp", ".ts"})


def split_jpegs(file: BinaryIO) -> Iterator[bytes]:
    """The JPEGs that stand one after the other in a stream, which may be endless; what lies between is passed over.

    A thumbnail inside a JPEG's header is no picture of the stream: an end counts from the first scan on.
    """
    held = bytearray()
    read = getattr(file, "read1", file.read)
    while chunk := read(1 << 16):
        held += chunk
        while (one := _first_jpeg(held)) is not None:
            yield one
        if len(held) > MOST_JPEG_BYTES:
            held.clear()


def _first_jpeg(held: bytearray) -> bytes | None:
    """Takes the first whole JPEG out of the bytes; None where none is whole yet."""
    start = held.find(b"\xff\xd8\xff")
    if start < 0:
        del held[: max(0, len(held) - 2)]
        return None
    del held[:start]
    looked = 0
    while (end := held.find(b"\xff\xd9", looked)) >= 0:
        data = bytes(held[: end + 2])
        scan = first_scan(data)
        if scan is not None and scan < end:
            del held[: end + 2]
            return data
        looked = end + 2
    return None


def _name_of(address: str) -> str:
    """A short name of a source without one of its own, without a password that its URL may hold."""
    if address == "-":
        return "stdin"
    if address.isdecimal():
        return f"camera{address}"
    if STREAM.match(address):
        parts = urlsplit(address)
        return re.sub(r"[^\w.\-]+", "_", f"{parts.hostname or ''}{parts.path}").strip("_") or "stream"
    return Path(address).resolve().stem


def _free(name: str, taken: frozenset[str] | set[str]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _kind_of(path: Path | str) -> str:
    suffix = Path(str(path)).suffix.lower()
    if suffix in {".heic", ".heif", ".avif"} or suffix in suffixes_read():
        return "it is a picture: give a folder of pictures, or `alpr predict` for single ones"
    return "it may be damaged, or no video"


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]

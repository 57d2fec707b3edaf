"""Frames to a server over UDP, paced: the client of both forms."""

from __future__ import annotations

import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from alpr.files import read_regular
from alpr.reader.many_images import VIDEOS, InputError, collect_images
from alpr.serving.new_form import DATAGRAM_BYTES, cut

QUALITY = 90
"""Of the JPEGs that a video's frames become."""
BURST = 8
"""Datagrams that are sent without a pause."""
SHARE = 0.5
"""Of the time between two frames in which the datagrams of one are sent."""


@dataclass
class Sent:
    """What was sent, and what came back.

    Attributes:
        outcomes: how often the server said which outcome.
    """

    frames: int = 0
    datagrams: int = 0
    answers: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)


def old_datagrams(file: bytes) -> Iterator[bytes]:
    """The datagrams of a file in the form of the C++ server."""
    yield struct.pack("<I", len(file))
    for start in range(0, len(file), DATAGRAM_BYTES):
        yield file[start : start + DATAGRAM_BYTES]


def frames_of(path: Path) -> tuple[Iterator[tuple[str, bytes]], float | None, int | None]:
    """The named files of a folder, an image or a video, the frames a second of a video, and how many there are.

    Raises:
        InputError: no such path, a folder without images, or a video that cannot be opened.
    """
    if path.is_file() and path.suffix.lower() in VIDEOS:
        video = cv2.VideoCapture(str(path))
        if not video.isOpened():
            raise InputError(f"{path} cannot be opened as a video.")
        rate, count = float(video.get(cv2.CAP_PROP_FPS)), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        return _of_video(video), rate if rate > 0 else None, count if count > 0 else None
    if not path.exists():
        raise InputError(f"There is no {path}; expected a folder, an image or a video.")
    items = collect_images([str(path)])
    return ((str(item.name), read_regular(item.path, 1 << 30)) for item in items), None, len(items)


def _of_video(video: cv2.VideoCapture) -> Iterator[tuple[str, bytes]]:
    number = 0
    try:
        while True:
            there, frame = video.read()
            if not there:
                return
            number += 1
            yield str(number), cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    finally:
        video.release()


class Sender:
    """Sends frames at a steady rate and takes answers meanwhile.

    Args:
        told: gets every answer with the name of its frame.
    """

    def __init__(
        self, place: tuple[str, int], rate: float, *, old: bool, told: Callable[[dict[str, Any]], None]
    ) -> None:
        family, _, _, _, where = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.connect(where)
        self.socket.setblocking(False)
        self.rate, self.old, self.told = rate, old, told
        self.sent = Sent()
        self.stream = random.SystemRandom().randrange(1 << 16)
        self._names: dict[int, str] = {}

    def send(self, name: str, file: bytes) -> None:
        """Sends one frame, spread over a part of the time until the next one."""
        number = self.sent.frames
        datagrams = list(old_datagrams(file) if self.old else cut(file, self.stream, number))
        self._names[number] = name
        started, bursts = time.monotonic(), [datagrams[i : i + BURST] for i in range(0, len(datagrams), BURST)]
        for place, burst in enumerate(bursts):
            for datagram in burst:
                self._put(datagram)
            self.receive(started + SHARE / self.rate * (place + 1) / len(bursts))
        self.sent.frames += 1
        self.sent.datagrams += len(datagrams)
        self.receive(started + 1 / self.rate)

    def _put(self, datagram: bytes) -> None:
        while True:
            try:
                self.socket.send(datagram)
                return
            except BlockingIOError:  # the system's buffer is full
                time.sleep(0.001)
            except ConnectionRefusedError:  # an earlier datagram found nobody; UDP goes on
                return

    def receive(self, until: float) -> None:
        """Takes answers until a moment of the monotonic clock."""
        while True:
            left = until - time.monotonic()
            try:
                self._answered(self.socket.recv(65535))
            except (BlockingIOError, ConnectionRefusedError):
                if left <= 0:
                    return
                time.sleep(min(left, 0.002))

    def _answered(self, data: bytes) -> None:
        try:
            answer = json.loads(data)
            name = self._names.pop(answer["frame"])
            outcome = str(answer["outcome"])
        except (ValueError, KeyError, TypeError):  # of somebody else, or a second copy
            return
        self.sent.answers += 1
        self.sent.outcomes[outcome] = self.sent.outcomes.get(outcome, 0) + 1
        self.told({"image": name, **answer})

    def wait(self, seconds: float) -> None:
        """Takes answers until all are there, for at most so many seconds."""
        end = time.monotonic() + seconds
        while self._names and not self.old and time.monotonic() < end:
            self.receive(min(end, time.monotonic() + 0.05))

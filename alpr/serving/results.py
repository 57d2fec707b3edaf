"""Where the readings of frames go whose senders get no answer: lines, folders, a webhook."""

from __future__ import annotations

import datetime
import itertools
import json
import logging
import math
import os
import queue
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from alpr.images.prepare import rectify
from alpr.plates.records import ImageArray, PlateReading
from alpr.serving.frames import Ended, Frame
from alpr.serving.tally import Tally

log = logging.getLogger("alpr.serving")

Sink = Callable[[Frame, Ended, dict[str, Any]], None]
PLATE_SIZE = (112, 512)
"""Height and width of `lp.png` in px, as the C++ server wrote it."""


class Results:
    """Hands every frame that ended to all places; what fails there is counted and logged, and nothing waits for it."""

    def __init__(self, sinks: Sequence[Sink], tally: Tally) -> None:
        self.sinks = sinks
        self.tally = tally

    def __call__(self, frame: Frame, ended: Ended) -> None:
        """Takes how a frame ended."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        record = {"time": now, "client": frame.client, "outcome": ended.outcome.value, **ended.record}
        for sink in self.sinks:
            try:
                sink(frame, ended, record)
            except (OSError, ValueError, cv2.error) as error:
                self.tally.note("results not written")
                log.error("a result could not be written: %s", error, extra={"client": frame.client})


class Lines:
    """One flushed JSON line for every frame."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = sys.stdout if file is None else file
        self._lock = threading.Lock()

    def __call__(self, frame: Frame, ended: Ended, record: dict[str, Any]) -> None:
        """Writes a line."""
        line = json.dumps(record, ensure_ascii=False)
        with self._lock:
            self.file.write(line + "\n")
            self.file.flush()


class Folders:
    """A folder for every plate, named and filled as the C++ server did, below `unconfirmed`.

    result.txt is the text alone, orig.png the grey photograph, lp_feedback.png the photograph with the plate's outline,
    lp.png the upright plate, 512x112 px, its histogram equalised. There is no seg.png and no char_0.png: this reader
    cuts no plate into characters. A folder is whole or not there, and no two have one name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "unconfirmed"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)
        self._run = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{os.getpid()}"

    def __call__(self, frame: Frame, ended: Ended, record: dict[str, Any]) -> None:
        """Writes a folder for every plate of a frame."""
        if ended.read is None or not ended.read.plates:
            return
        image = ended.read.photograph.at_least(math.inf)
        for plate in ended.read.plates:
            self._write(image, plate)

    def _write(self, image: ImageArray, plate: PlateReading) -> None:
        name = f"{self._run}-{next(self._numbers):08d}"
        unfinished = self.folder / f".{name}"
        unfinished.mkdir()
        try:
            (unfinished / "result.txt").write_text(plate.reading.text, encoding="utf-8")
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            outline = cv2.polylines(
                image.copy(), [plate.detection.corners.round().astype(np.int32)], True, (0, 255, 0), 2
            )
            crop = cv2.cvtColor(rectify(image, plate.detection.corners, PLATE_SIZE), cv2.COLOR_BGR2GRAY)
            pictures = {"orig": grey, "lp_feedback": outline, "lp": cv2.equalizeHist(crop)}
            for stem, picture in pictures.items():
                (unfinished / f"{stem}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            unfinished.rename(self.folder / name)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


class Webhook:
    """Posts every record as JSON to a URL that the operator named, from a thread of its own.

    A post that fails is tried again after 1, 2 and 4 s; at most `MOST` wait, and more are counted and dropped.
    """

    MOST = 1000
    PAUSES_S = (1.0, 2.0, 4.0)

    def __init__(self, url: str, tally: Tally, timeout_s: float = 5.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no webhook; expected a URL that begins with http:// or https://.")
        self.url, self.tally, self.timeout_s = url, tally, timeout_s
        self._waiting: queue.Queue[bytes | None] = queue.Queue(self.MOST)
        self._until = math.inf
        self._thread = threading.Thread(target=self._post_all, name="webhook", daemon=True)
        self._thread.start()

    def __call__(self, frame: Frame, ended: Ended, record: dict[str, Any]) -> None:
        """Puts a record into the line."""
        try:
            self._waiting.put_nowait(json.dumps(record, ensure_ascii=False).encode())
        except queue.Full:
            self.tally.note("webhook records dropped")

    def close(self, seconds: float = 10.0) -> None:
        """Posts what waits for at most so many seconds."""
        self._until = time.monotonic() + seconds
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(max(0.0, self._until - time.monotonic()))

    def _post_all(self) -> None:
        while (body := self._waiting.get()) is not None:
            for pause in (*self.PAUSES_S, None):
                if self._posted(body):
                    break
                if pause is None or time.monotonic() + pause > self._until:
                    self.tally.note("webhook records dropped")
                    break
                time.sleep(pause)

    def _posted(self, body: bytes) -> bool:
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s):
                return True
        except (OSError, ValueError, urllib.error.URLError) as error:
            log.warning("the webhook did not take a record: %s", error)
            return False

"""Where the readings of frames go whose senders get no answer: lines, folders, a webhook."""

from __future__ import annotations

import datetime
import itertools
import json
import logging
import math
import os
import shutil
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from alpr.images.prepare import rectify
from alpr.plates.records import ImageArray, PlateReading
from alpr.serving.frames import Ended, Frame, Outcome
from alpr.serving.tally import Tally
from alpr.video.webhook import Webhook

log = logging.getLogger("alpr.serving")

Sink = Callable[[Frame, Ended, dict[str, Any]], None]
PLATE_SIZE = (112, 512)
"""Height and width of `lp.png` in px, as the C++ server wrote it."""


class Results:
    """Hands every frame that ended to all places; what fails there is counted and logged.

    Args:
        sinks: get a frame as soon as it has ended.
        ordered: get the frames of one client, afterwards, in the order in which they were `expected`.
    """

    def __init__(self, sinks: Sequence[Sink], tally: Tally, ordered: Sequence[Sink] = ()) -> None:
        self.sinks, self.ordered = sinks, ordered
        self.tally = tally
        self._lock = threading.Lock()
        self._under_way: dict[str, OrderedDict[Frame, tuple[Ended, dict[str, Any]] | None]] = {}

    def expect(self, frame: Frame) -> None:
        """A frame is about to be offered: what comes after it of its client waits until it has ended."""
        with self._lock:
            self._under_way.setdefault(frame.client, OrderedDict())[frame] = None

    def __call__(self, frame: Frame, ended: Ended) -> None:
        """Takes how a frame ended."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        record = {"time": now, "client": frame.client, "outcome": ended.outcome.value, **ended.record}
        self._hand(self.sinks, frame, ended, record)
        with self._lock:
            line = self._under_way.get(frame.client)
            if line is None or frame not in line or ended.outcome is Outcome.REFUSED:
                # What was refused says nothing and waits for nobody: a flood of it would fill the memory.
                self._drop(frame)
                self._hand(self.ordered, frame, ended, record)
            else:
                line[frame] = (replace(ended, read=None), record)  # without its pixels
            self._flush(frame.client)

    def _flush(self, client: str) -> None:
        line = self._under_way.get(client)
        while line and (first := next(iter(line.items())))[1] is not None:
            line.popitem(last=False)
            self._hand(self.ordered, first[0], *first[1])
        if not line:
            self._under_way.pop(client, None)

    def _drop(self, frame: Frame) -> None:
        self._under_way.get(frame.client, OrderedDict()).pop(frame, None)

    def _hand(self, sinks: Sequence[Sink], frame: Frame, ended: Ended, record: dict[str, Any]) -> None:
        for sink in sinks:
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


class Posted:
    """Puts every record into the spool of a webhook."""

    def __init__(self, hook: Webhook, tally: Tally) -> None:
        self.hook, self.tally = hook, tally
        self._numbers = itertools.count(1)
        self._run = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{os.getpid()}"

    def __call__(self, frame: Frame, ended: Ended, record: dict[str, Any]) -> None:
        """Spools a record."""
        if not self.hook.put(f"{self._run}-{next(self._numbers)}", record):
            self.tally.note("webhook records dropped")


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

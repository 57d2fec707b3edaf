"""The threads that decode and read what waits in the queue.

One process with a thread per core and one reader: 160 scenes of CCPD cost 14.6 ms of a core each that way and 13.2 ms
in two processes, of which each holds networks and a queue of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alpr.images.header import refusal
from alpr.images.jpeg_end import with_end
from alpr.images.photograph import Photograph
from alpr.images.prepare import UnreadableImage
from alpr.reader.predictions import crop_record, head_keys, image_record
from alpr.reader.reader import Reader
from alpr.serving.frames import Ended, Frame, Kind, Outcome
from alpr.serving.queue import FrameQueue
from alpr.video.looks import one_look

log = logging.getLogger("alpr.serving")


@dataclass
class Opened:
    """A frame and its image; the milliseconds that decoding took."""

    frame: Frame
    photograph: Photograph
    ms: float


class Workers:
    """Threads that read batches until the queue is closed and empty.

    Args:
        count: threads; one per core is enough, and the reader's networks then want one thread each.
        keys, top: what records hold beyond text and scores, see `reading_record`.
    """

    def __init__(self, queue: FrameQueue, reader: Reader, count: int, keys: Sequence[str] = (), top: int = 0) -> None:
        self.queue = queue
        self.reader, self._one_look = reader, one_look(reader)
        self.keys = (*keys, *head_keys(reader))
        self.top = top
        self._threads = [threading.Thread(target=self._work, name=f"reader-{i}", daemon=True) for i in range(count)]

    def start(self) -> None:
        """Starts all threads."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all threads are at work."""
        return all(thread.is_alive() for thread in self._threads)

    def join(self, seconds: float | None = None) -> bool:
        """Waits until all have ended; whether they have."""
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while batch := self.queue.take():
            try:
                self._read(batch)
            except Exception as error:  # no frame may wait for ever, and no thread end, whatever happened
                for frame in batch:
                    self._failed(frame, error)
            finally:
                self.queue.done()

    def _read(self, batch: Sequence[Frame]) -> None:
        started = time.monotonic()
        opened = [one for frame in batch if (one := self._opened(frame)) is not None]
        scenes = [one for one in opened if one.frame.kind is Kind.SCENE]
        self._read_scenes([one for one in scenes if not one.frame.one_look], self.reader)
        self._read_scenes([one for one in scenes if one.frame.one_look], self._one_look)
        for one in opened:
            if one.frame.kind is Kind.CROP:
                self._read_crop(one)
        took = (time.monotonic() - started) / len(batch)
        for frame in batch:
            self.queue.tally.time(started - frame.arrived, took)

    def _opened(self, frame: Frame) -> Opened | None:
        started = time.perf_counter()
        try:
            why = self._refusal(frame)
            if why is None:
                photograph = self.reader.open(frame.data, whole=frame.kind is Kind.CROP)
                return Opened(frame, photograph, 1000 * (time.perf_counter() - started))
            self.queue.fail(frame, Outcome.UNREADABLE, why)
        except UnreadableImage as error:
            told = str(error).removeprefix(f"the image of {len(frame.data)} bytes").strip()
            self.queue.fail(frame, Outcome.UNREADABLE, told)
        except Exception as error:  # whatever a decoder raises of one frame must not end the others
            self._failed(frame, error)
        return None

    def _refusal(self, frame: Frame) -> str | None:
        """Why a frame must not be decoded, to be put behind its name."""
        if isinstance(frame.data, bytes):
            why = refusal(with_end(frame.data)) if frame.data else "is empty."
            if why is None and frame.check is not None:
                why = frame.check(frame.data)
            if why is not None:
                return why
        if frame.pixels > self.queue.limits.pixels:
            return f"has {frame.pixels} px; at most {self.queue.limits.pixels} px are read here."
        return None

    def _read_scenes(self, opened: Sequence[Opened], reader: Reader) -> None:
        if not opened:
            return
        try:
            results = reader.read_opened([one.photograph for one in opened])
        except Exception as error:
            if len(opened) == 1:
                self._failed(opened[0].frame, error)
                return
            for one in opened:  # the others of its batch are read all the same
                self._read_scenes([one], reader)
            return
        for one, read in zip(opened, results, strict=True):
            read = read._replace(ms=read.ms._replace(decode=one.ms))
            record = image_record(one.frame.name, read, self.keys, self.top)
            self.queue.end(one.frame, Ended(Outcome.READ, record, read=read))

    def _read_crop(self, one: Opened) -> None:
        try:
            (reading,) = self.reader.read_crops([one.photograph.pixels])
        except Exception as error:
            self._failed(one.frame, error)
            return
        record = crop_record(one.frame.name, one.photograph, reading, self.keys, self.top)
        self.queue.end(one.frame, Ended(Outcome.READ, record, reading=reading))

    def _failed(self, frame: Frame, error: Exception) -> None:
        if frame.over:
            return
        log.error("reading failed: %s", error, extra={"client": frame.client, "image": frame.name})
        self.queue.fail(frame, Outcome.UNREADABLE, f"could not be read: {type(error).__name__}.")

    def warm_up(self) -> None:
        """Reads a grey image, so that the first frame does not wait for what networks do once."""
        self.reader.read_opened([Photograph(np.full((480, 640, 3), 128, np.uint8))])

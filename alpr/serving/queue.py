"""The one queue of a server: bounded, fair between clients, and honest about what it refused."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from alpr.serving.frames import Ended, Frame, Kind, Memory, Outcome
from alpr.serving.tally import Tally

log = logging.getLogger("alpr.serving")


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        frames: that wait at once; one client may have half of them.
        image_bytes: of one image's file.
        memory_bytes: of all files together that are received, wait or are read; one client may hold half.
        pixels: of one image; files that are decoded together have no more unless they are one.
        batch: images that are read together.
        delay_s: for which a frame may wait for others to be read with, while other threads are reading.
        wait_s: after which a frame that nobody has taken is too late.
    """

    frames: int = 256
    image_bytes: int = 64_000_000
    memory_bytes: int = 256_000_000
    pixels: int = 50_000_000
    batch: int = 4
    delay_s: float = 0.02
    wait_s: float = 10.0


class FrameQueue:
    """Frames of all clients, taken in turn by client, a batch at a time.

    Every frame that is offered ends once, in one `Outcome`: its `ended` is called, it is counted, and its memory is
    given back. Of an accepted frame that is the work of whoever took it, by `end`.
    """

    def __init__(self, limits: Limits, tally: Tally | None = None) -> None:
        self.limits = limits
        self.tally = Tally() if tally is None else tally
        self.memory = Memory(limits.memory_bytes)
        self.reading = 0
        """Threads that have a batch in hand."""
        self._waiting: OrderedDict[str, deque[Frame]] = OrderedDict()
        self._count = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._count

    @property
    def closed(self) -> bool:
        """Whether no more frames are accepted."""
        return self._closed

    def offer(self, frame: Frame) -> bool:
        """Accepts a frame, or ends it as refused."""
        self.tally.offer()
        with self._changed:
            own = len(self._waiting.get(frame.client, ()))
            share = own >= max(1, self.limits.frames // 2)
            full = self._count >= self.limits.frames and not frame.own
            if not (self._closed or full or share):
                self._waiting.setdefault(frame.client, deque()).append(frame)
                self._count += 1
                self._changed.notify()
                return True
        if self._closed:
            why = "the server is stopping."
        elif full:
            why = f"{self.limits.frames} frames wait already."
        else:
            why = f"{own} frames of {frame.client} wait already."
        self.fail(frame, Outcome.REFUSED, f"was refused: {why}", share=share and not full)
        return False

    def take(self) -> list[Frame]:
        """The next batch, as soon as there is one; [] where the queue is closed and nothing is left.

        `done` tells the end of the work on it.
        """
        while True:
            with self._changed:
                if not self._wait_for_frames():
                    return []
                batch, late = self._gather()
                self.reading += bool(batch)
            for frame in late:
                self.fail(frame, Outcome.LATE, f"was too late: nobody read it for {self.limits.wait_s:g} s.")
            if batch:
                return batch

    def _wait_for_frames(self) -> bool:
        while True:
            if self._count:
                left = self._oldest() + self.limits.delay_s - time.monotonic()
                # Whoever would be alone at work begins at once: nothing is gained while a core is idle.
                if self._closed or not self.reading or self._count >= self.limits.batch or left <= 0:
                    return True
                self._changed.wait(left)
            elif self._closed:
                return False
            else:
                self._changed.wait()

    def _oldest(self) -> float:
        return min(frames[0].arrived for frames in self._waiting.values())

    def _gather(self) -> tuple[list[Frame], list[Frame]]:
        batch: list[Frame] = []
        late: list[Frame] = []
        now, pixels = time.monotonic(), 0
        while self._count and len(batch) < self.limits.batch:
            client, frames = next(iter(self._waiting.items()))
            size = frames[0].pixels
            if batch and pixels + size > self.limits.pixels:
                break
            frame = frames.popleft()
            self._count -= 1
            self._waiting.pop(client)
            if frames:
                self._waiting[client] = frames  # its turn comes again after all others
            if now - frame.arrived > self.limits.wait_s:
                late.append(frame)
            else:
                batch.append(frame)
                pixels += size
        return batch, late

    def done(self) -> None:
        """A thread has ended every frame of its batch."""
        with self._changed:
            self.reading -= 1
            self._changed.notify()

    def close(self) -> None:
        """Accepts no more; what was accepted is still given to whoever takes it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, frame: Frame, outcome: Outcome, why: str, *, share: bool = False) -> None:
        """Ends a frame that was not read.

        Args:
            why: the rest of a sentence that begins with the frame's name.
        """
        error = f"{frame.name} {why}"
        self.end(frame, Ended(outcome, {"image": frame.name, "error": error}, error, share=share))

    def end(self, frame: Frame, ended: Ended) -> None:
        """Ends a frame: counts it, gives its memory back, and tells whoever offered it."""
        assert not frame.over, f"{frame.name} has ended already"
        frame.over = True
        plates = len(ended.read.plates) if ended.read is not None else int(frame.kind is Kind.CROP and not ended.error)
        self.tally.end(frame.client, ended.outcome, plates)
        try:
            frame.ended(frame, ended)
        except Exception:  # of a client that has gone, or a disk that is full: the others go on
            log.exception("telling the end of a frame failed", extra={"client": frame.client, "image": frame.name})
        finally:
            frame.data = b""
            if frame.held is not None:
                frame.held.release()

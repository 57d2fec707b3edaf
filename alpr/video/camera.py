"""A webcam or a stream: a thread takes its frames as they come and keeps the newest; a lost one is reached again."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np

from alpr.video.frames import TIMEOUT_MS, WAIT_S, Frame, Source, opened_capture, shown

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Between attempts to reach a camera; the last one is kept."""


class Camera(Source):
    """A webcam or a stream: the newest frame, taken by a thread that reaches it again when it is lost.

    Args:
        address: a webcam's number, or a URL.
        give_up_s: how long a lost camera is tried; None for ever.
    """

    def __init__(self, address: int | str, name: str, every: int = 1, give_up_s: float | None = None) -> None:
        super().__init__(name, live=True)
        self.address, self.every, self.give_up_s = address, every, give_up_s
        self._newest: Frame | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._number = 0
        self._began: float | None = None
        self._last: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)

    def take(self, *, wait: bool = True) -> Frame | None:
        if self._thread.ident is None:
            self._thread.start()
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._newest is not None or self.ended, WAIT_S)
            frame, self._newest = self._newest, None
        if frame is not None:
            self.counts.frames += 1
        return frame

    def silent_s(self) -> float:
        """Seconds since the last frame came; 0 before the first."""
        return 0.0 if self._last is None else time.monotonic() - self._last

    def stop(self) -> None:
        self._stopping.set()
        with self._changed:
            self.ended = True
            self._changed.notify_all()
        # A thread inside FFmpeg when the interpreter ends would abort it.
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(2 * TIMEOUT_MS / 1000)

    def _run(self) -> None:
        tries, lost_since = 0, time.monotonic()
        while not self._stopping.is_set():
            capture = opened_capture(self.address)
            came = False
            if capture is not None:
                came = self._film(capture, tries, lost_since)
                capture.release()
                if came:
                    tries, lost_since = 0, time.monotonic()
            if self._stopping.is_set():
                break
            lost_s = time.monotonic() - lost_since
            if self.give_up_s is not None and lost_s >= self.give_up_s:
                self._end(f"{self.name} ({shown(str(self.address))}) gave no frame for {lost_s:.0f} s; it is given up.")
                break
            pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
            tries += 1
            what = "broke off" if came else "cannot be reached" if capture is None else "gives no frame"
            self.told(f"{self.name} ({shown(str(self.address))}) {what}; it is tried again in {pause:g} s.")
            self._stopping.wait(pause)
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _film(self, capture: cv2.VideoCapture, tries: int, lost_since: float) -> bool:
        """Takes frames until there are no more; whether any came."""
        came = False
        self.fps = capture.get(cv2.CAP_PROP_FPS)
        while not self._stopping.is_set() and capture.grab():
            number, now = self._number, time.monotonic()
            self._number += 1
            if number % self.every:
                self.counts.skipped += 1
                continue
            whole, image = capture.retrieve()
            if not whole or image is None:
                self.counts.broken += 1
                continue
            if self._began is None:
                self._began = now
            elif not came:
                self.counts.reconnects += 1
                dropped = f"; {self.counts.dropped:,} frames were dropped so far, as newer ones came"
                self.told(
                    f"{self.name} is back after {now - lost_since:.0f} s{dropped if self.counts.dropped else ''}."
                )
            came, self._last = True, now
            with self._changed:
                self.counts.dropped += self._newest is not None
                self._newest = Frame(number, now - self._began, np.asarray(image, np.uint8), time.time())
                self._changed.notify_all()
        return came

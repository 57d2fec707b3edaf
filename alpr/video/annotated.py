"""A copy of a video with its tracks drawn: quads, texts and trails; or with every plate covered."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import cv2
import numpy as np

from alpr.plates.geometry import corner_box
from alpr.plates.records import FloatArray, ImageArray
from alpr.reader.blur import blur_plates
from alpr.reports.drawing import draw_label, draw_quad
from alpr.video.watch import Seen

TRAIL_FRAMES = 40
COLOURS = ((80, 220, 255), (255, 160, 60), (120, 255, 120), (220, 60, 255), (255, 255, 80), (80, 120, 255))
"""BGR of the tracks, in turn."""
_REPEATS = 250


class AnnotatedVideo:
    """Writes one source's frames with what was read.

    Args:
        path: the video, which ends in .mp4.
        blur: cover every plate and write no text; the tracks' numbers stay.
    """

    def __init__(self, path: Path, *, blur: bool = False) -> None:
        self.path, self.blur = path, blur
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._fps = 25.0
        self._written = 0
        self._trails: dict[int, deque[FloatArray]] = {}

    def seen(self, seen: Seen) -> None:
        """Writes one frame; frames of a camera are repeated where some were dropped, so that time stays right.

        Raises:
            OSError: a video that cannot be written.
        """
        image = seen.frame.image
        height, width = (side - side % 2 for side in image.shape[:2])
        if self._writer is None:
            fps = seen.source.fps if 0 < seen.source.fps <= 120 else 25.0
            every = getattr(seen.source, "every", 1)
            self._fps, self._size = fps / every, (width, height)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
            if not self._writer.isOpened():
                raise OSError(f"{self.path} cannot be written as a video; expected a name that ends in .mp4.")
        drawn = self._drawn(seen)[:height, :width]
        if (width, height) != self._size:
            drawn = np.asarray(cv2.resize(drawn, self._size), np.uint8)
        due = round(seen.frame.time_s * self._fps) + 1 - self._written if seen.source.live else 1
        for _ in range(min(max(due, 0), _REPEATS)):
            self._writer.write(drawn)
        self._written += max(due, 0)

    def close(self) -> None:
        """Ends the video."""
        if self._writer is not None:
            self._writer.release()

    def _drawn(self, seen: Seen) -> ImageArray:
        image = seen.frame.image
        quads = [plate.detection.corners for plate in seen.plates]
        canvas = blur_plates(image, quads) if self.blur else image.copy()
        side = min(image.shape[:2])
        thickness, letters = max(1, round(side / 360)), int(np.clip(side / 26, 13, 96))
        for track in seen.tracks:
            colour = COLOURS[track.number % len(COLOURS)]
            trail = self._trails.setdefault(track.number, deque(maxlen=TRAIL_FRAMES))
            if track.last_frame == seen.frame.number:
                trail.append(track.centre)
            points = np.round(8 * np.array(trail)).astype(np.int32)
            cv2.polylines(canvas, [points], False, colour, thickness, cv2.LINE_AA, shift=3)
            if track.last_frame != seen.frame.number:
                continue
            draw_quad(canvas, track.corners, thickness, colour)
            fused = track.result()
            words = f"{track.number}" if self.blur else f"{track.number} {fused.text or '...'} {fused.score:.2f}"
            draw_label(canvas, words, corner_box(track.corners), letters)
        numbers = {track.number for track in seen.tracks}
        self._trails = {number: trail for number, trail in self._trails.items() if number in numbers}
        return canvas


def annotated_path(path: Path, source: str, several: bool) -> Path:
    """Where one source's copy goes: the path itself, or with the source's name in it where there are several."""
    return path.with_name(f"{path.stem}_{source}{path.suffix}") if several else path

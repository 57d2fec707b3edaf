"""Small videos, readings with slots, and plates at places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tiny_bundle import scene

from alpr.plates.charset import Charset
from alpr.plates.records import Detection, ImageArray, PlateReading, Reading
from alpr.recognition.decode import decode_logits

CHARSET = Charset("ABCDEFGHKLMNPRSTUVWXYZ0123456789")
SLOTS = 8


def reading_of(text: str, sharp: float = 6.0, seed: int | None = None) -> Reading:
    """A reading as a network would give it for a text: the larger `sharp`, the more certain."""
    logits = np.zeros((1, SLOTS, len(CHARSET)), np.float32)
    if seed is not None:
        logits += np.random.default_rng(seed).normal(0, 0.5, logits.shape).astype(np.float32)
    ids = [*CHARSET.encode(text), *([0] * (SLOTS - len(text)))]
    logits[0, np.arange(SLOTS), ids] += sharp
    return decode_logits(logits, CHARSET)[0]


def plate_at(
    text: str, x: float, y: float = 200.0, width: float = 80.0, sharp: float = 8.0, seed: int | None = None
) -> PlateReading:
    """A plate whose centre is at a place."""
    half = np.array([[-0.5, -0.12], [0.5, -0.12], [0.5, 0.12], [-0.5, 0.12]], np.float32) * width
    corners = (half + np.array([x, y])).astype(np.float32)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
    return PlateReading(Detection(corners, box, 0.9), reading_of(text, sharp, seed))


def write_video(path: Path, frames: Sequence[ImageArray], fps: float = 10.0) -> Path:
    """Frames as a video that loses almost nothing."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 100)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def passing(texts: Sequence[str], frames: int = 10, gap: int = 30) -> list[ImageArray]:
    """Cars of the tiny bundle's country one after the other, each for some frames, with an empty road between."""
    empty = np.full((240, 480, 3), 150, np.uint8)
    shown: list[ImageArray] = []
    for text in texts:
        shown += [scene(text, at=(40 + 20 * i, 100)) for i in range(frames)]
        shown += [empty] * gap
    return shown

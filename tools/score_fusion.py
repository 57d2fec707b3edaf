"""Scores ways to join the frames of a track, on tracks fabricated from labelled plates, and fits the fused temperature.

python tools/score_fusion.py TABLE --bundle cn --tracks 300 [--store]

A track is one labelled plate of the split `train`, photographed a few times over: small, blurred, noisy, compressed,
cut out with the error a detector makes. Nothing is tracked here; what is scored is the fusion alone.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from alpr.data.manifest import read_manifest
from alpr.evaluation.intervals import wilson
from alpr.images.prepare import read_image
from alpr.plates.geometry import homography, pixel_centre_matrix, plate_width
from alpr.plates.records import FloatArray, ImageArray, Reading
from alpr.reader.card import ModelCard
from alpr.reader.reader import Reader, find_bundle
from alpr.recognition.metrics import expected_calibration_error
from alpr.synthetic import effects
from alpr.video.fusion import fuse

TEMPERATURES = np.geomspace(0.2, 3, 28)


def fabricated(image: ImageArray, corners: FloatArray, rng: np.random.Generator, frames: int) -> list[ImageArray]:
    """Crops of one plate as a moving camera sees it, each (h, w, 3) with a fifth of the plate's size around it."""
    smallest = rng.uniform(18, 50)
    jpeg, noise = int(rng.integers(20, 60)), rng.uniform(2, 9)
    crops = []
    for number in range(frames):
        width = min(smallest * (1 + 0.5 * number / frames), float(plate_width(corners)))
        ratio = 0.3 * rng.uniform(0.85, 1.1)
        pad = 0.25 * width
        target = np.array([[0, 0], [width, 0], [width, ratio * width], [0, ratio * width]]) + pad
        target += rng.normal(0, 0.012 * width, (4, 2)) + rng.random(2)
        size = (math.ceil(width + 2 * pad), math.ceil(ratio * width + 2 * pad))
        scale = float(plate_width(corners)) / width
        source = image if scale < 1.5 else cv2.GaussianBlur(image, (0, 0), 0.35 * scale)
        matrix = pixel_centre_matrix(homography(corners, target))
        crop = np.asarray(cv2.warpPerspective(source, matrix, size, borderMode=cv2.BORDER_REFLECT_101), np.uint8)
        crop = effects.blur(crop, abs(rng.normal(0, 0.7)))
        length = int(rng.integers(1, max(2, round(0.14 * width))))
        if length > 1:
            crop = np.asarray(cv2.filter2D(crop, -1, effects.motion_kernel(length, int(rng.integers(16)))), np.uint8)
        crop = np.clip(crop + rng.normal(0, noise, crop.shape), 0, 255).astype(np.uint8)
        crops.append(effects.jpeg(crop, jpeg))
    return crops


def read_tracks(reader: Reader, table: Path, tracks: int, frames: int, seed: int) -> list[tuple[str, list[Reading]]]:
    """The texts and the readings of the frames of each track."""
    manifest = read_manifest(table)
    rng = np.random.default_rng(seed)
    plates = [
        (scene.image, plate)
        for scene in manifest.scenes()
        if scene.split == "train"
        for plate in scene.plates
        if plate.text and plate.corners is not None
    ]
    chosen = rng.permutation(len(plates))[:tracks]
    made = []
    for done, i in enumerate(chosen.tolist(), start=1):
        path, plate = plates[i]
        around = plate.corners.mean(axis=0)
        reach = 0.8 * float(plate_width(plate.corners))
        image = read_image(path)
        x1, y1 = np.maximum(np.floor(around - reach), 0).astype(int)
        x2, y2 = np.minimum(np.ceil(around + reach), image.shape[1::-1]).astype(int)
        corners = plate.corners - np.array([x1, y1], np.float32)
        crops = fabricated(np.ascontiguousarray(image[y1:y2, x1:x2]), corners, rng, frames)
        made.append((plate.text, [read_crop(reader, crop, rng) for crop in crops]))
        if done % 50 == 0:
            print(f"{done} of {len(chosen)} tracks", file=sys.stderr)
    return made


def read_crop(reader: Reader, crop: ImageArray, rng: np.random.Generator) -> Reading:
    """A fabricated frame's reading: its plate is cut out with an error of a few per cent of its width."""
    height, width = crop.shape[:2]
    plate = width / 1.5
    corners = np.array([[0.25, 0.25], [1.25, 0.25]], np.float32) * plate
    below = np.array([[1.25, 0], [0.25, 0]], np.float32) * plate + np.array([0, height - 0.25 * plate], np.float32)
    quad = np.concatenate([corners, below]) + rng.normal(0, 0.012 * plate, (4, 2))
    return reader.recogniser.read_plates(crop, [quad.astype(np.float32)])[0]


def by_position(readings: Sequence[Reading], weighted: bool) -> str:
    """A vote per position of the texts, left-aligned, the padding behind them included."""
    longest = max(len(r.text) for r in readings)
    text = ""
    for place in range(longest):
        votes: Counter[str] = Counter()
        for r in readings:
            votes[r.text[place : place + 1]] += r.score if weighted else 1  # type: ignore[assignment]
        text += votes.most_common(1)[0][0]
    return text


def by_string(readings: Sequence[Reading], weighted: bool) -> str:
    """A vote of whole texts."""
    votes: Counter[str] = Counter()
    for r in readings:
        votes[r.text] += r.score if weighted else 1  # type: ignore[assignment]
    return votes.most_common(1)[0][0]


def unweighted(readings: Sequence[Reading]) -> str:
    """The mean of the log-probabilities, every frame alike."""
    return fuse([replace(r, score=1.0) for r in readings]).text


METHODS: dict[str, Callable[[Sequence[Reading]], str]] = {
    "fusion: log-probabilities, cube root of the score": lambda rs: fuse(rs).text,
    "log-probabilities, weighted by text score": lambda rs: fuse([replace(r, score=r.score**3) for r in rs]).text,
    "vote of strings, weighted by text score": lambda rs: by_string(rs, True),
    "best frame by text score": lambda rs: max(rs, key=lambda r: r.score).text,
    "log-probabilities, unweighted": unweighted,
    "vote of strings": lambda rs: by_string(rs, False),
    "vote per position, weighted": lambda rs: by_position(rs, True),
    "vote per position": lambda rs: by_position(rs, False),
}


def fitted(tracks: Sequence[tuple[str, list[Reading]]]) -> tuple[float, float, float]:
    """The temperature whose scores are the likeliest, and the calibration error at 1 and at it."""

    def scores(temperature: float) -> tuple[np.ndarray, np.ndarray]:
        found = [(fuse(rs, temperature=temperature), text) for text, rs in tracks]
        read = [(f.score, f.text == text) for f, text in found if f.text]
        return np.array([s for s, _ in read]), np.array([r for _, r in read])

    def loss(temperature: float) -> float:
        score, right = scores(temperature)
        return float(-np.log(np.maximum(np.where(right, score, 1 - score), 1e-9)).sum())

    best = float(min(TEMPERATURES, key=loss))
    before, after = (expected_calibration_error(*(v.tolist() for v in scores(t))) or 0.0 for t in (1.0, best))
    return best, before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--tracks", type=int, default=300)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", action="store_true", help="write the temperature into the bundle's card")
    options = parser.parse_args()
    reader = Reader(options.bundle, threads=1)
    tracks = read_tracks(reader, options.table, options.tracks, options.frames, options.seed)
    single = [r.text == text for text, rs in tracks for r in rs]
    print(f"{len(tracks)} tracks of {options.frames} frames; single frames right: {100 * np.mean(single):.1f} %")
    print(f"{'method':52}{'tracks right':>14}{'95 % interval':>18}")
    for name, method in METHODS.items():
        right = sum(method(rs) == text for text, rs in tracks)
        low, high = wilson(right, len(tracks))
        print(f"{name:52}{100 * right / len(tracks):13.1f}%{f'{100 * low:.1f} to {100 * high:.1f}':>18}")
    half = len(tracks) // 2
    temperature, before, after = fitted(tracks[:half])
    held = fitted_error(tracks[half:], temperature)
    print(f"temperature {temperature:.3f} (first half): calibration error {before:.3f} -> {after:.3f}; ", end="")
    print(f"second half {fitted_error(tracks[half:], 1.0):.3f} -> {held:.3f}")
    if options.store:
        folder = find_bundle(options.bundle)
        replace(ModelCard.read(folder), fusion_temperature=round(temperature, 4)).write(folder)


def fitted_error(tracks: Sequence[tuple[str, list[Reading]]], temperature: float) -> float:
    """The calibration error of tracks that the temperature was not fitted on."""
    found = [(fuse(rs, temperature=temperature), text) for text, rs in tracks]
    read = [(f.score, f.text == text) for f, text in found if f.text]
    return expected_calibration_error([s for s, _ in read], [r for _, r in read]) or 0.0


if __name__ == "__main__":
    main()

"""What a benchmark measures beside a bundle's own images: a picture of noise, and the shape of the reference system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from alpr.benchmark.reader_speed import BenchmarkReport
from alpr.benchmark.recogniser_speed import time_recognisers
from alpr.benchmark.reference_system import REFERENCE_DETECTOR, compare_detectors, compare_whole
from alpr.reader.many_images import progress


def noise_picture(folder: Path) -> Path:
    """A picture without plates in the size of CCPD's photographs, written into a folder."""
    coarse = np.random.default_rng(0).integers(0, 256, (58, 36, 3), np.uint8)
    path = folder / "noise.jpg"
    cv2.imwrite(str(path), cv2.resize(coarse, (720, 1160), interpolation=cv2.INTER_CUBIC))
    return path


def beside_the_reference(
    report: BenchmarkReport, bundle: Path, images: Sequence[Path], size: tuple[int, int], threads: int, rounds: int
) -> BenchmarkReport:
    """The report with the reference's shape, timed in turns with the bundle: file to text, and each network alone."""
    readable = [path for path in images if str(path) not in report.unreadable][:rounds]
    with progress(len(readable) + 1) as advance:
        whole = compare_whole(bundle, readable, threads=threads, advance=advance)
    detector = compare_detectors(bundle, size, REFERENCE_DETECTOR, repeats=rounds, threads=threads)
    recognisers = time_recognisers([], bundle=bundle, threads=threads, rounds=rounds)
    return replace(report, reference=detector, reference_whole=whole, recognisers=recognisers)

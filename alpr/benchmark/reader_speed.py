"""How long a bundle takes from file to text, stage by stage, with the machine, the versions and the commit recorded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from alpr.benchmark.recogniser_speed import BATCHES, RecogniserLatency, time_recognisers
from alpr.benchmark.reference_system import Comparison, StageFigures, WholeComparison, figures_of
from alpr.files import write_json
from alpr.images.prepare import UnreadableImage
from alpr.plates.records import FloatArray, ImageBatch
from alpr.provenance import Provenance, provenance
from alpr.reader.card import ModelCard
from alpr.reader.reader import Reader, find_bundle

if TYPE_CHECKING:
    from alpr.benchmark.least_time import Floor

STAGES = ("decode", "detect", "detector network", "read", "recogniser network", "whole")
"""File to pixels; letterbox, network, NMS; this network; rectification, network, text; this network; all of it."""

EARLY_IMAGES = 1000
"""After so many images what is allocated once has been allocated; memory that grows from there on is a leak."""


class BenchmarkError(RuntimeError):
    """A measurement that cannot be made or would not say what it was made on."""


@dataclass(frozen=True)
class MemoryUse:
    """Resident memory in MB of 10^6 bytes after the first image, after `early_images`, and after the last."""

    first_mb: float
    early_images: int
    early_mb: float
    last_mb: float


@dataclass(frozen=True)
class BenchmarkReport:
    """One measurement."""

    created: str
    bundle: str
    bundle_sha256: dict[str, str]
    providers: tuple[str, ...]
    threads: int
    input_px: int
    images: int
    unreadable: tuple[str, ...]
    repeats: int
    plates_per_image: float
    start_ms: float
    first_ms: float
    stages: dict[str, StageFigures]
    fine_px: int | None
    looked_again: float  # share of the readings that took a second look
    looks: tuple[float, ...]  # share of the readings that took one look, two, and so on
    whole_once: StageFigures | None  # of images with one look; None where there was none
    whole_twice: StageFigures | None
    floor: Floor | None  # None where onnx is not installed
    images_per_s: float
    peak_memory_mb: float | None  # None where the system does not say it
    environment: Provenance
    reference: Comparison | None = None
    reference_whole: WholeComparison | None = None
    recognisers: tuple[RecogniserLatency, ...] = ()
    memory: MemoryUse | None = None  # where the system says it


@dataclass(frozen=True)
class LatencyReport:
    """Recognisers of several shapes, timed in turns in one run."""

    created: str
    threads: int
    rounds: int
    batches: tuple[int, ...]
    recognisers: tuple[RecogniserLatency, ...]
    environment: Provenance


def write_report(report: BenchmarkReport | LatencyReport, path: Path) -> None:
    """Writes a report as JSON, whole or not at all.

    Raises:
        NotWritten: a full disk, a folder that may not be written to.
    """
    write_json(path, asdict(report), indent=2)


def latency_report(
    names: Sequence[str], *, threads: int = 1, rounds: int = 100, advance: Callable[[], object] = lambda: None
) -> LatencyReport:
    """Times recognisers of `configs/model` with untrained weights, see `time_recognisers`.

    Raises:
        ValueError: a name that is no recogniser of `configs/model`.
        UnknownProvenance: an environment that is not known.
    """
    described = provenance(whole=True)
    timed = time_recognisers(names, threads=threads, rounds=rounds, advance=advance)
    return LatencyReport(_now(), threads, rounds, BATCHES, timed, described)


def peak_memory_mb() -> float | None:
    """The most memory this process has held, in MB of 10^6 bytes; None where the system does not say it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def resident_memory_mb() -> float | None:
    """The memory this process holds now, in MB of 10^6 bytes; None where the system does not say it."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.is_file() else None


def run_benchmark(
    bundle: Path | None,
    images: Sequence[Path],
    *,
    repeats: int = 3,
    threads: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> BenchmarkReport:
    """Reads every image `repeats` times from its file and gives the times.

    An image that cannot be read is left out and named. The first image is read once before, and timed on its own.

    Raises:
        BenchmarkError: no readable image, or an environment that is not known.
    """
    described = provenance(whole=True)
    folder = find_bundle(bundle)
    cv2.setNumThreads(threads)
    started = perf_counter()
    reader = Reader(folder, threads=threads)
    start_ms = 1000 * (perf_counter() - started)
    detecting, reading = (Timed(half.network) for half in (reader.detector, reader.recogniser))
    reader.detector.network, reader.recogniser.network = detecting, reading
    times: list[tuple[float, ...]] = []
    looks: list[int] = []
    unreadable: dict[str, None] = {}
    first_ms, plates = 0.0, 0
    memory: dict[int, float | None] = {}
    for repeat in range(repeats + 1):
        for path in images if repeat else images[:1]:
            detecting.ms = reading.ms = 0.0
            whole = perf_counter()
            try:
                result = reader.read_timed(str(path))
            except UnreadableImage:
                unreadable[str(path)] = None
                continue
            elapsed = 1000 * (perf_counter() - whole)
            if repeat:
                ms = result.ms
                times.append((ms.decode, ms.detect, detecting.ms, ms.read, reading.ms, elapsed))
                looks.append(result.looks)
                plates += len(result.plates)
                advance()
            else:
                first_ms = elapsed
            if len(times) in (0, EARLY_IMAGES):
                memory[len(times)] = resident_memory_mb()
    if not times:
        raise BenchmarkError(f"None of {len(images)} images can be read.")
    figures = np.array(times)
    card = reader.card
    assert card is not None  # a reader from a bundle has one
    stages = {name: figures_of(figures[:, i]) for i, name in enumerate(STAGES)}
    once, twice = (figures[(np.array(looks) > 1) == again, -1] for again in (False, True))
    return BenchmarkReport(
        created=_now(),
        bundle=card.name,
        bundle_sha256={f.file: f.sha256 for f in (card.detector_file, card.recogniser_file)},
        providers=reader.providers,
        threads=threads,
        input_px=card.detector.input_px,
        images=len(images) - len(unreadable),
        unreadable=tuple(unreadable),
        repeats=repeats,
        plates_per_image=plates / len(times),
        start_ms=start_ms,
        first_ms=first_ms,
        stages=stages,
        fine_px=card.detector.fine_px,
        looked_again=float(np.mean(np.array(looks) > 1)),
        looks=tuple(looks.count(n) / len(looks) for n in range(1, 1 + len(card.detector.sizes))),
        whole_once=figures_of(once) if len(once) else None,
        whole_twice=figures_of(twice) if len(twice) else None,
        floor=_floor(folder, card, detecting.shape, stages),
        images_per_s=1000 * len(times) / float(figures[:, -1].sum()),
        peak_memory_mb=peak_memory_mb(),
        environment=described,
        memory=_memory_use(memory, len(times)),
    )


def _memory_use(measured: dict[int, float | None], images: int) -> MemoryUse | None:
    last, first = resident_memory_mb(), measured.get(0)
    if first is None or last is None:
        return None
    early = measured.get(EARLY_IMAGES)
    return MemoryUse(first, images if early is None else EARLY_IMAGES, last if early is None else early, last)


class Timed:
    """A network that sums up the milliseconds of its calls in `ms` and keeps the last batch's shape."""

    def __init__(self, network: Callable[[ImageBatch], tuple[FloatArray, ...]]) -> None:
        self.network, self.ms, self.shape = network, 0.0, (0, 0, 0, 0)

    def __call__(self, batch: ImageBatch) -> Any:
        started = perf_counter()
        outputs = self.network(batch)
        self.ms += 1000 * (perf_counter() - started)
        self.shape = batch.shape
        return outputs


def _floor(folder: Path, card: ModelCard, shape: tuple[int, ...], stages: Mapping[str, StageFigures]) -> Floor | None:
    if find_spec("onnx") is None:  # a deployer need not have it
        return None
    from alpr.benchmark.least_time import floor_of

    files = folder / card.detector_file.file, folder / card.recogniser_file.file
    size = (shape[1], shape[2])
    return floor_of(files, size, card.recogniser.size, stages["decode"].p50_ms, stages["whole"].p50_ms)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""How long a bundle takes from file to text, stage by stage, with the machine, the versions and the commit recorded."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from alpr import __version__
from alpr.card import ModelCard
from alpr.data.atomic import write_atomically
from alpr.imaging import UnreadableImage
from alpr.predictor import Reader, default_bundle
from alpr.provenance import UnknownProvenance, cpu_model, installed_source, source_commit
from alpr.recogniser_latency import BATCHES, RecogniserLatency, time_recognisers

STAGES = ("decode", "detect", "read", "whole")
"""File to pixels; letterbox, network, NMS; rectification, network, text; all three."""

EARLY_IMAGES = 1000
"""After so many images what is allocated once has been allocated; memory that grows from there on is a leak."""


class BenchmarkError(RuntimeError):
    """A measurement that cannot be made or would not say what it was made on."""


@dataclass(frozen=True)
class StageFigures:
    """Milliseconds per image."""

    p50_ms: float
    p95_ms: float
    mean_ms: float


@dataclass(frozen=True)
class Environment:
    """What the figures were measured on; a part that is not known is an error, never left out."""

    cpu: str
    cores: int
    system: str
    memory_gb: float
    python: str
    numpy: str
    opencv: str
    onnxruntime: str
    alpr: str
    commit: str
    uncommitted_changes: bool


@dataclass(frozen=True)
class Comparison:
    """The bundle's detector beside another, in turns in one run. The minima are what a busy machine disturbs least."""

    name: str
    size: tuple[int, int]  # of the other's input
    bundle_size: tuple[int, int]  # of the bundle's
    bundle: StageFigures
    onnxruntime: StageFigures
    pytorch: StageFigures
    bundle_min_ms: float
    onnxruntime_min_ms: float
    pytorch_min_ms: float
    times_faster: float  # than the other in ONNX Runtime, by the minima


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
    images_per_s: float
    peak_memory_mb: float
    environment: Environment
    reference: Comparison | None = None
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
    environment: Environment


def write_report(report: BenchmarkReport | LatencyReport, path: Path) -> None:
    """Writes a report as JSON, whole or not at all.

    Raises:
        NotWritten: a full disk, a folder that may not be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(report), ensure_ascii=False, indent=2) + "\n"
    write_atomically(path, [text.encode()])


def latency_report(
    names: Sequence[str], *, threads: int = 1, rounds: int = 100, advance: Callable[[], object] = lambda: None
) -> LatencyReport:
    """Times recognisers of `configs/model` with untrained weights, see `time_recognisers`.

    Raises:
        ValueError: a name that is no recogniser of `configs/model`.
        UnknownProvenance: an environment that is not known.
    """
    described = environment()
    timed = time_recognisers(names, threads=threads, rounds=rounds, advance=advance)
    return LatencyReport(_now(), threads, rounds, BATCHES, timed, described)


def environment(repository: Path | None = None) -> Environment:
    """The machine, the versions and the commit.

    Args:
        repository: the working copy whose commit counts; by default the one this package lies in, or where it was
            installed from a wheel the version and a hash of its files.

    Raises:
        UnknownProvenance: a part that cannot be found out; the sentence names it.
    """
    commit, changed = (repository is None and installed_source()) or source_commit(repository)
    try:
        runtime = version("onnxruntime")
    except PackageNotFoundError as error:
        raise UnknownProvenance("The version of onnxruntime is not known: its package data are missing.") from error
    return Environment(
        cpu=cpu_model(),
        cores=os.cpu_count() or 0,
        system=platform.platform(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        python=platform.python_version(),
        numpy=np.__version__,
        opencv=cv2.__version__,
        onnxruntime=runtime,
        alpr=__version__,
        commit=commit,
        uncommitted_changes=changed,
    )


def peak_memory_mb() -> float:
    """The most memory this process has held, in MB of 10^6 bytes."""
    import resource  # not on Windows, where only this figure would be lacking

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
    described = environment()
    folder = default_bundle() if bundle is None else bundle
    cv2.setNumThreads(threads)
    started = perf_counter()
    reader = Reader(folder, threads=threads)
    start_ms = 1000 * (perf_counter() - started)
    times: list[tuple[float, float, float, float]] = []
    unreadable: dict[str, None] = {}
    first_ms, plates = 0.0, 0
    memory: dict[int, float | None] = {}
    for repeat in range(repeats + 1):
        for path in images if repeat else images[:1]:
            whole = perf_counter()
            try:
                result = reader.read_timed(str(path))
            except UnreadableImage:
                unreadable[str(path)] = None
                continue
            elapsed = 1000 * (perf_counter() - whole)
            if repeat:
                times.append((*result.ms, elapsed))
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
        stages={name: _figures(figures[:, i]) for i, name in enumerate(STAGES)},
        images_per_s=1000 * len(times) / float(figures[:, 3].sum()),
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


def compare_detectors(
    bundle: Path | None, size: tuple[int, int], config: Sequence[str], *, repeats: int = 50, threads: int = 1
) -> Comparison:
    """Times the bundle's detector at a size beside an untrained network, both on one image, call by call in turn.

    Args:
        size: (height, width) px for the bundle's detector, multiples of 32.
        config: overrides of a training's configuration that name the other network; it gets its own square input.

    Raises:
        SessionError: a network that ONNX Runtime cannot run.
    """
    import torch  # only here: a deployer who measures a bundle has none

    from alpr.configuration import composed
    from alpr.detection.detect import DetectorNetwork
    from alpr.detection.module import DetectorModule, torch_detector
    from alpr.export import export_detector
    from alpr.sessions import OnnxDetector

    model = composed("train", list(config)).model
    module = DetectorModule(network=model.network, predictor=model.predictor).eval()
    side = module.predictor.input_px
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        export_detector(module.network, Path(folder) / "other.onnx", module.predictor)
        other = OnnxDetector(Path(folder) / "other.onnx", threads=threads)
    card_folder = default_bundle() if bundle is None else bundle
    ours = OnnxDetector(card_folder / ModelCard.read(card_folder).detector_file.file, threads=threads)
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 256, (1, *shape, 3), dtype=np.uint8) for shape in (size, (side, side), (side, side))]
    calls: tuple[DetectorNetwork, ...] = (ours, other, torch_detector(module.network))
    times = np.empty((repeats + 1, 3))
    for row in times:
        for i, (call, image) in enumerate(zip(calls, images, strict=True)):
            started = perf_counter()
            call(image)
            row[i] = 1000 * (perf_counter() - started)
    times = times[1:]  # the first call of each also prepares
    ours_ms, other_ms, torch_ms = (round(float(ms), 3) for ms in times.min(axis=0))
    return Comparison(
        name=config[0],
        size=(side, side),
        bundle_size=size,
        bundle=_figures(times[:, 0]),
        onnxruntime=_figures(times[:, 1]),
        pytorch=_figures(times[:, 2]),
        bundle_min_ms=ours_ms,
        onnxruntime_min_ms=other_ms,
        pytorch_min_ms=torch_ms,
        times_faster=round(other_ms / ours_ms, 2),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _figures(ms: np.ndarray) -> StageFigures:
    p50, p95 = np.percentile(ms, [50, 95])
    return StageFigures(round(float(p50), 3), round(float(p95), 3), round(float(ms.mean()), 3))

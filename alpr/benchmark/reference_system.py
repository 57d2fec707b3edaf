"""The bundle beside the shape of another system's networks, untrained, in turns in one run.

The other is github.com/gfickel/alpr: a MobileNetV4 hybrid with a BiFPN at 224 px, and a recogniser of 27.7 M parameters
at 48x192, which run in PyTorch there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from alpr.benchmark.recogniser_speed import REFERENCE, untrained
from alpr.images.prepare import read_image
from alpr.reader.card import ModelCard
from alpr.reader.reader import Reader, find_bundle

REFERENCE_DETECTOR = ("experiment=reference_detector",)


@dataclass(frozen=True)
class StageFigures:
    """Milliseconds per image."""

    p50_ms: float
    p95_ms: float
    mean_ms: float


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
class WholeComparison:
    """File to text: the bundle's reader, and the other's two networks in PyTorch on the same file and plates."""

    images: int
    bundle: StageFigures
    pytorch: StageFigures
    times_faster: float  # by the medians


def compare_whole(
    bundle: Path | None, images: Sequence[Path], *, threads: int = 1, advance: Callable[[], object] = lambda: None
) -> WholeComparison:
    """Reads every image with the bundle and then with the other's networks, in turns.

    The other is untrained, so it is given the plates that the bundle found, or one in the middle where there was none;
    it decodes the same file, resizes it to its square input and stretches the crops to its own. Finding plates in what
    its detector gives is not counted.

    Raises:
        UnreadableImage: an image that cannot be read.
    """
    import torch  # only here: a deployer who measures a bundle has none

    from alpr.detection.module import DetectorModule, torch_detector
    from alpr.recognition.module import torch_recogniser
    from alpr.training.configuration import composed

    torch.set_num_threads(threads)
    model = composed("train", list(REFERENCE_DETECTOR)).model
    detector = DetectorModule(network=model.network, predictor=model.predictor).eval()
    recogniser = untrained(REFERENCE)
    side, (height, width) = detector.predictor.input_px, recogniser.predictor.size
    find, read = torch_detector(detector.network), torch_recogniser(recogniser.network)
    reader = Reader(bundle, threads=threads)
    times = np.empty((len(images) + 1, 2))
    for row, path in zip(times, [images[0], *images], strict=True):
        started = perf_counter()
        plates = reader.read_timed(str(path)).plates
        between = perf_counter()
        pixels = read_image(path)
        find(np.asarray(cv2.resize(pixels, (side, side)), np.uint8)[None])
        boxes = [plate.detection.box for plate in plates] or [np.array([0, 0, width, height])]
        crops = [pixels[slice(*_span(b[1], b[3])), slice(*_span(b[0], b[2]))] for b in boxes]
        read(np.stack([np.asarray(cv2.resize(crop, (width, height)), np.uint8) for crop in crops]))
        row[:] = 1000 * (between - started), 1000 * (perf_counter() - between)
        advance()
    ours, other = (figures_of(times[1:, i]) for i in range(2))  # the first also prepares
    return WholeComparison(len(images), ours, other, round(other.p50_ms / ours.p50_ms, 2))


def _span(low: float, high: float) -> tuple[int, int]:
    """From a plate's edge to the opposite one in whole px, at least one px, from inside the image."""
    first = max(0, int(low))
    return first, max(first + 1, int(high))


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

    from alpr.detection.detect import DetectorNetwork
    from alpr.detection.module import DetectorModule, torch_detector
    from alpr.export.onnx_bundle import export_detector
    from alpr.reader.sessions import OnnxDetector
    from alpr.training.configuration import composed

    model = composed("train", list(config)).model
    module = DetectorModule(network=model.network, predictor=model.predictor).eval()
    side = module.predictor.input_px
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        export_detector(module.network, Path(folder) / "other.onnx", module.predictor)
        other = OnnxDetector(Path(folder) / "other.onnx", threads=threads)
    card_folder = find_bundle(bundle)
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
        bundle=figures_of(times[:, 0]),
        onnxruntime=figures_of(times[:, 1]),
        pytorch=figures_of(times[:, 2]),
        bundle_min_ms=ours_ms,
        onnxruntime_min_ms=other_ms,
        pytorch_min_ms=torch_ms,
        times_faster=round(other_ms / ours_ms, 2),
    )


def figures_of(ms: np.ndarray) -> StageFigures:
    """Median, 95th percentile and mean."""
    p50, p95 = np.percentile(ms, [50, 95])
    return StageFigures(round(float(p50), 3), round(float(p95), 3), round(float(ms.mean()), 3))

"""From images to readings, over any two callables: ONNX Runtime sessions here, torch modules in evaluation.

from alpr import Reader
reader = Reader()                  # the default bundle
for plate in reader("car.jpg"):
    print(plate.reading.text, plate.reading.score, plate.detection.corners)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeAlias, overload

import cv2
import numpy as np
import numpy.typing as npt

from alpr.card import DetectorSettings, ModelCard, RecogniserSettings
from alpr.charset import Charset
from alpr.detection.decode import decode_detections
from alpr.geometry import Letterbox
from alpr.imaging import letterbox, read_image, rectify, resize_crop
from alpr.recognition.decode import decode_logits
from alpr.records import Detection, FloatArray, ImageArray, PlateReading, Reading
from alpr.sessions import OnnxDetector, OnnxRecogniser

ImageBatch = npt.NDArray[np.uint8]
"""A batch of network inputs: (B, H, W, 3) uint8, BGR."""
Source: TypeAlias = "str | os.PathLike[str] | bytes | ImageArray"
"""An image: a path, the bytes of a file, or a BGR array."""
DetectorNetwork: TypeAlias = Callable[[ImageBatch], "tuple[FloatArray, FloatArray, FloatArray]"]
RecogniserNetwork: TypeAlias = Callable[[ImageBatch], FloatArray]

IMAGES_AT_ONCE = 8
"""Images that stand in memory together, and the largest batch of the detector."""
CROPS_AT_ONCE = 32
"""The largest batch of the recogniser."""
NOTHING_READ = Reading("", 0.0, ())
"""The reading of corners from which no crop can be made."""


class Detector:
    """Finds plates: letterbox, network, threshold and NMS, and the mapping back.

    Args:
        network: (B, H, W, 3) uint8 BGR -> scores (B, A), boxes (B, A, 4), corners (B, A, 4, 2) in px of its input.
    """

    def __init__(self, network: DetectorNetwork, settings: DetectorSettings) -> None:
        self.network = network
        self.settings = settings

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """The plates of every image in pixels of that image, best score first.

        Images whose letterboxed sizes are equal go through the network together.
        """
        result: list[list[Detection]] = [[] for _ in images]
        for start in range(0, len(images), IMAGES_AT_ONCE):
            by_size: dict[tuple[int, int], list[tuple[int, ImageArray, Letterbox]]] = {}
            for index in range(start, min(start + IMAGES_AT_ONCE, len(images))):
                canvas, box = letterbox(images[index], self.settings.input_px, self.settings.multiple)
                by_size.setdefault(box.size, []).append((index, canvas, box))
            for group in by_size.values():
                batch = group[0][1][None] if len(group) == 1 else np.stack([canvas for _, canvas, _ in group])
                scores, boxes, corners = self.network(batch)
                for i, (index, _, box) in enumerate(group):
                    found = decode_detections(scores[i], boxes[i], corners[i], self.settings)
                    result[index] = [_mapped_back(detection, box) for detection in found]
        return result


def _mapped_back(detection: Detection, box: Letterbox) -> Detection:
    corners = box.inverse(detection.corners)
    return Detection(corners, box.inverse(detection.box.reshape(2, 2)).reshape(4), detection.score)


class Recogniser:
    """Reads crops: rectification or resizing, network, text.

    Args:
        network: (B, h, w, 3) uint8 BGR -> logits (B, L, K+1), class 0 = PAD.
    """

    def __init__(self, network: RecogniserNetwork, settings: RecogniserSettings, charset: Charset) -> None:
        self.network = network
        self.settings = settings
        self.charset = charset

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        """The readings of ready-made crops of any size, which are stretched to the network's."""
        result: list[Reading] = []
        for start in range(0, len(crops), CROPS_AT_ONCE):
            batch = np.stack([self._resized(crop) for crop in crops[start : start + CROPS_AT_ONCE]])
            result += decode_logits(self.network(batch), self.charset, self.settings.temperature)
        return result

    def rectify(self, image: ImageArray, corners: FloatArray) -> ImageArray | None:
        """The upright crop inside four corners with the settings' margin; None where no homography exists."""
        try:
            return rectify(image, np.asarray(corners, np.float32), self.settings.size, self.settings.margin)
        except (ValueError, cv2.error):  # flat or boundless corners: a detection without a plate behind it
            return None

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
        """The readings of the plates inside corners, each (4, 2) px of the image; flat corners read as nothing."""
        return self.read_scenes([image], [corners])[0]

    def read_scenes(self, images: Sequence[ImageArray], corners: Sequence[Sequence[FloatArray]]) -> list[list[Reading]]:
        """The readings of the plates of several images, all crops batched together."""
        crops = [self.rectify(image, quad) for image, quads in zip(images, corners, strict=True) for quad in quads]
        readings = iter(self.read([crop for crop in crops if crop is not None]))
        each = iter([NOTHING_READ if crop is None else next(readings) for crop in crops])
        return [[next(each) for _ in quads] for quads in corners]

    def _resized(self, crop: ImageArray) -> ImageArray:
        return crop if crop.shape[:2] == self.settings.size else resize_crop(crop, self.settings.size)


class StageTimes(NamedTuple):
    """Milliseconds spent on one image: file to pixels, pixels to corners, corners to text."""

    decode: float
    detect: float
    read: float


class TimedReading(NamedTuple):
    """The plates of one image, the image itself and where the time went."""

    image: ImageArray
    plates: list[PlateReading]
    ms: StageTimes


class Reader:
    """Reads the plates in images with an exported bundle.

    Args:
        bundle: a bundle's folder; by default the one that the text file `default` in `model_bin` names.
        threads: threads per network; by default one per core this process may use.
        providers: ONNX Runtime execution providers, best first; by default the CPU's alone.

    Attributes:
        detector, recogniser: the two halves.
        card: the bundle's card; None for a reader made from parts.
        providers: the execution providers in use.

    Raises:
        ValueError: no bundle there, a card or file that cannot be trusted, or a provider that is not available.
    """

    detector: Detector
    recogniser: Recogniser
    card: ModelCard | None
    providers: tuple[str, ...]

    def __init__(
        self,
        bundle: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        folder = default_bundle() if bundle is None else Path(bundle)
        card = ModelCard.read(folder)
        card.verify(folder)
        detector = OnnxDetector(folder / card.detector_file.file, threads, providers)
        recogniser = OnnxRecogniser(
            folder / card.recogniser_file.file, card.recogniser, len(card.charset), threads, providers
        )
        self.detector = Detector(detector, card.detector)
        self.recogniser = Recogniser(recogniser, card.recogniser, card.charset)
        self.card = card
        self.providers = detector.providers

    @classmethod
    def from_parts(cls, detector: Detector, recogniser: Recogniser) -> Reader:
        """A reader over two halves that need not be ONNX, such as torch modules in evaluation."""
        reader = cls.__new__(cls)
        reader.detector, reader.recogniser = detector, recogniser
        reader.card, reader.providers = None, ()
        return reader

    # A str is a sequence of str to the type checker; it never reaches the second form.
    @overload
    def __call__(self, image: Source) -> list[PlateReading]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, image: Sequence[Source]) -> list[list[PlateReading]]: ...
    def __call__(self, image: Source | Sequence[Source]) -> list[PlateReading] | list[list[PlateReading]]:
        """The plates of one image, best score first; of a list of images, one such list each.

        A list is read in batches; paths in it are opened a few at a time.

        Raises:
            UnreadableImage: an image that cannot be read; the sentence names it.
        """
        if isinstance(image, str | os.PathLike | bytes | np.ndarray):
            return self._read_images([read_image(image)])[0]
        result: list[list[PlateReading]] = []
        for start in range(0, len(image), IMAGES_AT_ONCE):
            result += self._read_images([read_image(source) for source in image[start : start + IMAGES_AT_ONCE]])
        return result

    def read_timed(self, image: Source) -> TimedReading:
        """The plates of one image with the time of every stage.

        Raises:
            UnreadableImage: an image that cannot be read; the sentence names it.
        """
        times = [perf_counter()]
        pixels = read_image(image)
        times.append(perf_counter())
        detections = self.detector.detect([pixels])[0]
        times.append(perf_counter())
        readings = self.recogniser.read_plates(pixels, [d.corners for d in detections])
        times.append(perf_counter())
        ms = StageTimes(*(1000 * (end - start) for start, end in pairwise(times)))
        return TimedReading(pixels, _joined(detections, readings), ms)

    def _read_images(self, images: Sequence[ImageArray]) -> list[list[PlateReading]]:
        detections = self.detector.detect(images)
        readings = self.recogniser.read_scenes(images, [[d.corners for d in found] for found in detections])
        return [_joined(found, texts) for found, texts in zip(detections, readings, strict=True)]


def _joined(detections: Sequence[Detection], readings: Sequence[Reading]) -> list[PlateReading]:
    return [PlateReading(detection, reading) for detection, reading in zip(detections, readings, strict=True)]


def default_bundle() -> Path:
    """The folder of the default bundle: in a source checkout beside the package, else inside the installed package.

    Raises:
        ValueError: no file `default`, or one that names no bundle.
    """
    package = Path(__file__).resolve().parent
    places = (package.parent / "model_bin", package / "model_bin")
    for place in places:
        if not (place / "default").is_file():
            continue
        name = (place / "default").read_text(encoding="utf-8").strip()
        if not name or name in {".", ".."} or Path(name).name != name:
            raise ValueError(f"{place / 'default'} holds {name!r}; expected the name of a folder beside it.")
        if not (place / name / "card.json").is_file():
            raise ValueError(
                f"The default bundle {name!r}, named by {place / 'default'}, is not there; "
                f"train and export one, or name a bundle's folder yourself."
            )
        return place / name
    raise ValueError(
        f"No default bundle: there is no file 'default' in {' or '.join(map(str, places))}; name a bundle's folder."
    )

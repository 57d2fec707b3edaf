"""Crops to readings, over any network callable: ONNX Runtime when deployed, torch in validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import cv2
import numpy as np

from alpr.images.photograph import Photograph
from alpr.images.prepare import rectify, resize_crop
from alpr.plates.charset import Charset
from alpr.plates.geometry import plate_width
from alpr.plates.records import FloatArray, ImageArray, ImageBatch, Reading
from alpr.recognition.decode import PLAIN, Decoding, decode_labels, decode_logits, mean_logits
from alpr.recognition.settings import RecogniserSettings

RecogniserNetwork: TypeAlias = Callable[[ImageBatch], tuple[FloatArray, ...]]
"""Crops to the slots' logits (B, L, K+1), and behind them those of `RecogniserSettings.outputs`, (B, C) each."""

CROPS_AT_ONCE = 32
"""The largest batch of the recogniser."""
NOTHING_READ = Reading("", 0.0, ())
"""The reading of corners from which no crop can be made."""
READ_FROM = 0.5
"""Plates at least this share of the crop wide are read from the pixels at hand."""
SHIFT = 1 / 96
"""Of a crop's width: how far a doubtful crop is moved to be read again, 2 px of 192, a quarter of a token."""


class Recogniser:
    """Reads crops: rectification or resizing, network, text.

    Args:
        network: (B, h, w, 3) uint8 BGR -> logits (B, L, K+1), class 0 = PAD, and those of the settings' outputs.
        decoding: what a reading holds beyond the best text.
    """

    def __init__(
        self,
        network: RecogniserNetwork,
        settings: RecogniserSettings,
        charset: Charset,
        decoding: Decoding = PLAIN,
    ) -> None:
        self.network = network
        self.settings = settings
        self.charset = charset
        self.decoding = decoding

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        """The readings of ready-made crops of any size, which are stretched to the network's.

        Those with a score below the settings' `read_again_below` are read twice more, moved to both sides: the three
        answers' probabilities are averaged, and where they differ the score falls.
        """
        return [reading for batch in self._batches(crops) for reading in self._read_batch(batch)]

    def _read_batch(self, batch: ImageBatch) -> list[Reading]:
        outputs = self.network(batch)
        readings = self._decoded(outputs)
        doubtful = [i for i, reading in enumerate(readings) if reading.score < self.settings.read_again_below]
        if doubtful:
            shift = max(1, round(SHIFT * batch.shape[2]))
            moved = [self.network(shifted(batch[doubtful], px)) for px in (-shift, shift)]
            looks = zip([output[doubtful] for output in outputs], *moved, strict=True)
            temperatures = (self.settings.temperature, *(1.0 for _ in self.settings.outputs))
            joined = tuple(mean_logits(each, t) for each, t in zip(looks, temperatures, strict=True))
            for i, reading in zip(doubtful, self._decoded(joined), strict=True):
                readings[i] = reading
        return readings

    def logits(self, crops: Sequence[ImageArray]) -> Iterator[FloatArray]:
        """The slots' logits of ready-made crops, each read once, batch by batch: (up to 32, L, K+1) each."""
        return (self.network(batch)[0] for batch in self._batches(crops))

    def _batches(self, crops: Sequence[ImageArray]) -> Iterator[ImageBatch]:
        for start in range(0, len(crops), CROPS_AT_ONCE):
            yield np.stack([self._resized(crop) for crop in crops[start : start + CROPS_AT_ONCE]])

    def _decoded(self, outputs: tuple[FloatArray, ...]) -> list[Reading]:
        return decode_outputs(outputs, self.settings, self.charset, self.decoding)

    def rectify(self, image: ImageArray, corners: FloatArray) -> ImageArray | None:
        """The upright crop inside four corners with the settings' margin; None where no homography exists."""
        try:
            return rectify(image, np.asarray(corners, np.float32), self.settings.size, self.settings.margin)
        except (ValueError, cv2.error):  # flat or boundless corners: a detection without a plate behind it
            return None

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
        """The readings of the plates inside corners, each (4, 2) px of the image; flat corners read as nothing."""
        return self.read_scenes([Photograph(image)], [corners])[0]

    def read_scenes(
        self, photographs: Sequence[Photograph], corners: Sequence[Sequence[FloatArray]], closest_px: float = 0
    ) -> list[list[Reading]]:
        """The readings of the plates of several photographs, all crops batched together.

        Args:
            corners: (4, 2) px of the whole image, of every plate of every photograph.
            closest_px: the long side to which a photograph is decoded where a plate is narrower than `READ_FROM` says.
        """
        crops = [
            c for one, quads in zip(photographs, corners, strict=True) for c in self._crops(one, quads, closest_px)
        ]
        readings = iter(self.read([crop for crop in crops if crop is not None]))
        each = iter([NOTHING_READ if crop is None else next(readings) for crop in crops])
        return [[next(each) for _ in quads] for quads in corners]

    def _crops(
        self, photograph: Photograph, corners: Sequence[FloatArray], closest_px: float
    ) -> list[ImageArray | None]:
        narrowest = READ_FROM * self.settings.size[1]
        if closest_px and any(plate_width(quad / photograph.scale) < narrowest for quad in corners):
            photograph.at_least(closest_px)
        return [self.rectify(photograph.pixels, quad / photograph.scale) for quad in corners]

    def _resized(self, crop: ImageArray) -> ImageArray:
        return crop if crop.shape[:2] == self.settings.size else resize_crop(crop, self.settings.size)


def shifted(batch: ImageBatch, px: int) -> ImageBatch:
    """Crops (B, h, w, 3) moved to the right, to the left where px is below 0; their outermost column fills the gap."""
    columns = np.clip(np.arange(batch.shape[2]) - px, 0, batch.shape[2] - 1)
    return batch[:, :, columns]


def decode_outputs(
    outputs: Sequence[FloatArray], settings: RecogniserSettings, charset: Charset, decoding: Decoding = PLAIN
) -> list[Reading]:
    """The readings of a network's outputs: the slots' logits (B, L, K+1), and (B, C) each of the settings' heads."""
    logits, *heads = outputs
    readings = decode_logits(logits, charset, settings.temperature, decoding)
    for name, found in zip(settings.outputs, heads, strict=True):
        if name == "countries":
            labels = decode_labels(found, settings.countries)
            readings = [replace(r, country=c, country_score=p) for r, (c, p) in zip(readings, labels, strict=True)]
        else:
            labels = decode_labels(found, settings.kinds)
            readings = [replace(r, kind=k, kind_score=p) for r, (k, p) in zip(readings, labels, strict=True)]
    return readings

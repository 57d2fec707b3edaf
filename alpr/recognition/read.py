"""Crops to readings, over any network callable: ONNX Runtime when deployed, torch in validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np

from alpr.images.photograph import Photograph
from alpr.images.prepare import rectify, resize_crop
from alpr.images.unfold import folded_size, in_crop, unfolded
from alpr.plates.charset import Charset
from alpr.plates.geometry import plate_width
from alpr.plates.records import FloatArray, ImageArray, ImageBatch, Reading
from alpr.recognition.candidates import Candidate, most_probable
from alpr.recognition.decode import PLAIN, Decoding, decode_labels, decode_logits, mean_logits, softmax
from alpr.recognition.settings import RecogniserSettings

RecogniserNetwork: TypeAlias = Callable[[ImageBatch], tuple[FloatArray, ...]]
"""Crops to the slots' logits (B, L, K+1), and behind them those of `RecogniserSettings.outputs`, (B, C) each."""

View: TypeAlias = Callable[[tuple[int, int]], ImageArray]
"""A plate as a crop of any (height, width) px."""

CROPS_AT_ONCE = 32
"""The largest batch of the recogniser."""
NOTHING_READ = Reading("", 0.0, (), state="no plate")
"""The reading of corners from which no crop can be made."""
READ_FROM = 0.5
"""Plates at least this share of the crop wide are read from the pixels at hand."""
SHIFT = 1 / 96
"""Of a crop's width: how far a doubtful crop is moved to be read again, 2 px of 192, a quarter of a token."""
NO_PLATE, UNREADABLE, UNKNOWN_SCRIPT = "no plate", "unreadable", "unknown script"
"""The states of a plate that is not read; see `Reading.state`."""
POSSIBLE = 0.05
"""The probability of its countries, and of one row, from which another recogniser reads a plate too."""
STRANGE_TEXT = 0.1
"""What the score of a text counts as that nobody here can read, beside the score of the text that was read."""


class Recogniser:
    """Reads crops: rectification or resizing, network, text.

    A plate that more likely has two rows, as the settings' head for rows says, is unfolded and read once more. One that
    may be of a country that another recogniser reads is read by that one too. See `candidates` for which text counts.

    Args:
        network: (B, h, w, 3) uint8 BGR -> logits (B, L, K+1), class 0 = PAD, and those of the settings' outputs.
        decoding: what a reading holds beyond the best text.
        others: who reads the plates of other countries, by the countries' codes.
        once: every plate is read as it is, by this recogniser.
    """

    def __init__(
        self,
        network: RecogniserNetwork,
        settings: RecogniserSettings,
        charset: Charset,
        decoding: Decoding = PLAIN,
        others: Mapping[str, Recogniser] = MappingProxyType({}),
        once: bool = False,
    ) -> None:
        self.network = network
        self.others, self.once = others, once
        self.settings = settings
        self.charset = charset
        self.decoding = decoding

    @property
    def symbols(self) -> frozenset[str]:
        """What it and the others can print."""
        return frozenset(self.charset.symbols).union(*(other.charset.symbols for other in self.others.values()))

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        """The readings of ready-made crops of any size, which are stretched to the network's.

        Those with a score below the settings' `read_again_below` are read twice more, moved to both sides: the three
        answers' probabilities are averaged, and where they differ the score falls.
        """
        return self._read([partial(_resized, crop) for crop in crops])

    def _read(self, views: Sequence[View]) -> list[Reading]:
        readings: list[Reading] = []
        for start in range(0, len(views), CROPS_AT_ONCE):
            some = views[start : start + CROPS_AT_ONCE]
            spared = None if self.once else self._improbable
            first = self._read_batch(np.stack([view(self.settings.size) for view in some]), spared)
            readings += first if self.once else self._read_others(some, first)
        return [self._with_state(reading) for reading in readings]

    def _with_state(self, reading: Reading) -> Reading:
        unread = {code: reading.countries.get(code, 0.0) for code in self.settings.unread if code not in self.others}
        share, settings = sum(unread.values()), self.settings
        if reading.text and share * STRANGE_TEXT > (1 - share) * reading.score:
            country = max(unread, key=lambda code: unread[code])
            named = replace(reading, country=country, country_score=unread[country], certain=None)
            return replace(named, text="", score=0.0, characters=(), state=UNKNOWN_SCRIPT)
        if not reading.text:
            return replace(reading, state=NO_PLATE)
        return replace(reading, state=UNREADABLE) if reading.score < settings.unreadable_below else reading

    def _read_others(self, views: Sequence[View], first: list[Reading]) -> list[Reading]:
        """The most probable readings, of unfolded plates and of other recognisers too where these are possible."""
        own = [code for code in self.settings.countries if code not in self.others]
        flat = 0.0 if self.settings.row_cuts else None
        left = [1.0 - sum(reading.countries.get(code, 0.0) for code in self.others) for reading in first]
        found = [
            [Candidate(share * _one_row(reading), reading, own, flat)]
            for share, reading in zip(left, first, strict=True)
        ]
        folded = [i for i, reading in enumerate(first) if reading.cut]
        for i, again in zip(folded, self._laid_out(views, first, folded), strict=True):
            found[i].append(Candidate(left[i] * (1 - _one_row(first[i])), again, own, first[i].cut))
        for reader in {id(one): one for one in self.others.values()}.values():
            codes = [code for code, one in self.others.items() if one is reader]
            shares = [sum(reading.countries.get(code, 0.0) for code in codes) for reading in first]
            asked = [i for i, share in enumerate(shares) if share >= POSSIBLE]
            as_it_is = [i for i in asked if _one_row(first[i]) >= POSSIBLE]
            for i, other in zip(as_it_is, reader._as_they_are(views, as_it_is), strict=True):
                found[i].append(Candidate(shares[i] * _one_row(first[i]), other, codes, flat))
            folded = [i for i in asked if first[i].cut]
            for i, other in zip(folded, reader._laid_out(views, first, folded), strict=True):
                found[i].append(Candidate(shares[i] * (1 - _one_row(first[i])), other, codes, first[i].cut))
        each = zip(found, first, strict=True)
        return [one if len(some) == 1 else most_probable(some, one) for some, one in each]

    def _as_they_are(self, views: Sequence[View], chosen: Sequence[int]) -> list[Reading]:
        return self._read_batch(np.stack([views[i](self.settings.size) for i in chosen])) if chosen else []

    def _laid_out(self, views: Sequence[View], first: Sequence[Reading], chosen: Sequence[int]) -> list[Reading]:
        crops = [_laid_out(views[i], self.settings.size, first[i].cut) for i in chosen]
        return self._read_batch(np.stack(crops)) if crops else []

    def _improbable(self, reading: Reading) -> bool:
        """Whether a first look hardly counts: another recogniser, or the unfolded plate, will be read."""
        others = sum(reading.countries.get(code, 0.0) for code in self.others)
        return (1.0 - others) * _one_row(reading) < POSSIBLE

    def _read_batch(self, batch: ImageBatch, spared: Callable[[Reading], bool] | None = None) -> list[Reading]:
        """The readings of one batch; doubtful ones are read again, but for those that are spared it."""
        outputs = self.network(batch)
        readings = self._decoded(outputs)
        low = [i for i, reading in enumerate(readings) if reading.score < self.settings.read_again_below]
        doubtful = low if spared is None else [i for i in low if not spared(readings[i])]
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
            yield np.stack([_resized(crop, self.settings.size) for crop in crops[start : start + CROPS_AT_ONCE]])

    def _decoded(self, outputs: tuple[FloatArray, ...]) -> list[Reading]:
        return decode_outputs(outputs, self.settings, self.charset, self.decoding)

    def rectify(self, image: ImageArray, corners: FloatArray) -> ImageArray | None:
        """The upright crop inside four corners with the settings' margin; None where no homography exists."""
        try:
            return self._view(image, corners)(self.settings.size)
        except (ValueError, cv2.error):  # flat or boundless corners: a detection without a plate behind it
            return None

    def crop_of(self, image: ImageArray, corners: FloatArray | None, cut: float | None) -> ImageArray | None:
        """What the network is given of a plate whose rows are known; None where no homography exists.

        Args:
            corners: (4, 2) px; None where the image is the crop.
            cut: where its two rows part, as a fraction of the plate's height; None of a plate that is read as it is.
        """
        margin = 0.0 if corners is None else self.settings.margin  # a ready-made crop has none
        view = partial(_resized, image) if corners is None else self._view(image, corners)
        try:
            return _laid_out(view, self.settings.size, None if cut is None else in_crop(cut, margin))
        except (ValueError, cv2.error):
            return None

    def _view(self, image: ImageArray, corners: FloatArray) -> View:
        quad, margin = np.asarray(corners, np.float32), self.settings.margin
        return lambda size: rectify(image, quad, size, margin)

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
        views = [
            view
            for one, quads in zip(photographs, corners, strict=True)
            for view in self._views(one, quads, closest_px)
        ]
        readings = iter(self._read([view for view in views if view is not None]))
        each = iter([NOTHING_READ if view is None else next(readings) for view in views])
        return [[next(each) for _ in quads] for quads in corners]

    def _views(self, photograph: Photograph, corners: Sequence[FloatArray], closest_px: float) -> list[View | None]:
        """The plates of a photograph; None where no crop can be made of the corners."""
        narrowest = READ_FROM * self.settings.size[1]
        if closest_px and any(plate_width(quad / photograph.scale) < narrowest for quad in corners):
            photograph.at_least(closest_px)
        return [self._kept_view(photograph.pixels, quad / photograph.scale) for quad in corners]

    def _kept_view(self, image: ImageArray, corners: FloatArray) -> View | None:
        """A view whose crop of this recogniser's size is made at once; None where none can be made."""
        crop, size, view = self.rectify(image, corners), self.settings.size, self._view(image, corners)
        return None if crop is None else lambda asked: crop if asked == size else view(asked)


def _resized(crop: ImageArray, size: tuple[int, int]) -> ImageArray:
    return crop if crop.shape[:2] == size else resize_crop(crop, size)


def _laid_out(view: View, size: tuple[int, int], cut: float | None) -> ImageArray:
    """The crop of a plate as it is read: as it is, or unfolded where its rows part."""
    return unfolded(view(folded_size(size)), cut) if cut else view(size)


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
        if name == "rows":
            cuts = decode_cuts(found, settings)
            readings = [replace(r, cut=cut, two_rows=two) for r, (cut, two) in zip(readings, cuts, strict=True)]
        elif name == "countries":
            labels = decode_labels(found, settings.countries)
            each = [dict(zip(settings.countries, row, strict=True)) for row in softmax(found).tolist()]
            readings = [
                replace(r, country=c, country_score=p, countries=shares)
                for r, (c, p), shares in zip(readings, labels, each, strict=True)
            ]
        else:
            labels = decode_labels(found, settings.kinds)
            readings = [replace(r, kind=k, kind_score=p) for r, (k, p) in zip(readings, labels, strict=True)]
    return readings


def _one_row(reading: Reading) -> float:
    """The probability that a plate has one row; 1 where nothing tells."""
    return 1.0 - (reading.two_rows or 0.0)


def decode_cuts(logits: FloatArray, settings: RecogniserSettings) -> list[tuple[float, float]]:
    """Where each crop's rows part and how likely there are two, of the logits (B, 1 + cuts) of the head for rows.

    The cut is 0 where one row is more likely.

    Raises:
        ValueError: another number of dimensions or classes, or logits that are not finite.
    """
    decode_labels(logits, ["one row", *map(str, settings.row_cuts)])  # refuses what is no answer
    probabilities = softmax(logits)
    best, two = probabilities[:, 1:].argmax(axis=1).tolist(), (1 - probabilities[:, 0]).tolist()
    return [(settings.row_cuts[k] if p > 0.5 else 0.0, p) for k, p in zip(best, two, strict=True)]

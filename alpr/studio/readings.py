"""What the bundle reads in the project's photographs, one at a time."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.images.photograph import Photograph, read_photograph
from alpr.images.prepare import Source, UnreadableImage
from alpr.plates.charset import PAD
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box, polygon_iou
from alpr.plates.records import FloatArray, ImageArray, PlateReading, Reading
from alpr.reader.label_drafts import DRAFTED_FROM, doubt_about
from alpr.reader.predictions import head_keys, plate_record
from alpr.reader.reader import Reader

RUNNERS_UP = 3
"""Symbols that are shown beside the one that was read."""
KEPT = 300
"""Readings that are kept whole; of all others a summary is."""
SURE_COUNTRY = 0.5
"""The probability of a country from which a draft takes it."""
SNAP_FROM = 0.05
"""The detector's score from which a quad is snapped to."""


class Summary(NamedTuple):
    """What was read in a photograph, for lists: texts and countries, the lowest score of a text, and the doubt."""

    texts: tuple[str, ...]
    countries: tuple[str, ...]
    score: float
    doubt: float
    error: str = ""


@dataclass(frozen=True)
class Read:
    """A photograph that was read.

    Attributes:
        record: for the page.
        crops: of its plates as PNG, as the reader saw them; None where no crop can be made.
        plates: also fainter ones than the reader itself gives out, which drafts take in.
    """

    record: dict[str, Any]
    crops: tuple[bytes | None, ...]
    plates: tuple[PlateReading, ...]
    summary: Summary


class Readings:
    """The bundle's readings by photograph. The bundle is opened when first asked; one image is read at a time.

    Args:
        open_reader: opens the bundle.
        pack: the country of all plates, whose layouts texts are checked against; None for the bundle's.
    """

    def __init__(self, open_reader: Callable[[], Reader], pack: CountryPack | None = None) -> None:
        self._open, self.given = open_reader, pack
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._threshold = 0.0
        self._kept: OrderedDict[int, Read] = OrderedDict()
        self.summaries: dict[int, Summary] = {}

    def _ready(self) -> Reader:
        if self._reader is None:
            reader = self._open()
            settings = reader.detector.settings
            self._threshold = settings.score_threshold
            self._usual = reader.detector
            score = min(DRAFTED_FROM * self._threshold, self._usual.lowest)
            reader.detector = self._usual.down_to(score, settings.max_plates)
            self._reader = reader
        return self._reader

    @property
    def pack(self) -> CountryPack | None:
        """The country that texts are checked against; None before the bundle is opened."""
        card = None if self._reader is None else self._reader.card
        return self.given or (None if card is None else card.country)

    def of(self, number: int, source: Source) -> Read:
        """What is read in a photograph; read once.

        Raises:
            UnreadableImage: an image that cannot be read.
            ValueError: a bundle that cannot be opened.
        """
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            try:
                read = self._read(source)
            except UnreadableImage as error:
                self.summaries[number] = Summary((), (), 0.0, 1.0, str(error))
                raise
            self.summaries[number] = read.summary
            self._kept[number] = read
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return read

    def once(self, source: Source) -> Read:
        """What is read in a frame that is not kept."""
        with self._lock:
            return self._read(source)

    def _read(self, source: Source) -> Read:
        reader = self._ready()
        found = reader.read_timed(source)
        pack = self.pack
        doubt, reasons = doubt_about(found.plates, self._threshold, pack) if pack else (math.nan, ())
        kept = {id(plate) for plate in self._usual.kept(found.plates)}
        keys = head_keys(reader)
        plates = [
            {
                **plate_record(plate, ("alternatives", *keys), RUNNERS_UP),
                "faint": id(plate) not in kept,
                "slots": _slots(plate.reading),
                "layout": _layout(plate.reading.text, pack),
            }
            for plate in found.plates
        ]
        height, width = found.photograph.size
        record = {
            "width": width,
            "height": height,
            "ms": {stage: round(spent, 1) for stage, spent in found.ms._asdict().items()},
            "looks": found.looks,
            "damaged": found.photograph.damaged,
            "threshold": self._threshold,
            "doubt": None if math.isnan(doubt) else round(doubt, 3),
            "reasons": list(reasons),
            "plates": plates,
        }
        given = [plate.reading for plate in found.plates if id(plate) in kept]
        summary = Summary(
            tuple(reading.text for reading in given),
            tuple(sorted({c for reading in given if (c := country_of(reading))})),
            min((reading.score for reading in given), default=math.nan),
            doubt,
        )
        return Read(record, tuple(self._crop(found.photograph, p) for p in found.plates), tuple(found.plates), summary)

    def _crop(self, photograph: Photograph, plate: PlateReading) -> bytes | None:
        """The crop that the recogniser was given, from the pixels that it was cut from."""
        recogniser = self._ready().recogniser
        cut, margin = plate.reading.cut, recogniser.settings.margin
        inner = (cut - margin) / (1 - 2 * margin) if cut else None  # of the plate's height, not of the crop's
        return png(recogniser.crop_of(photograph.pixels, plate.detection.corners / photograph.scale, inner))

    def crop(self, image: ImageArray, corners: FloatArray) -> bytes | None:
        """The upright crop inside corners (4, 2) px as PNG; None where there is none."""
        with self._lock:
            return png(self._ready().recogniser.crop_of(image, corners, None))

    def inside(self, image: ImageArray, corners: FloatArray) -> dict[str, Any]:
        """What is read inside corners (4, 2) px."""
        with self._lock:
            (reading,) = self._ready().recogniser.read_plates(image, [corners])
        return {"text": reading.text, "text_score": round(reading.score, 4), "country": country_of(reading)}

    def snap(self, image: ImageArray, quad: FloatArray) -> FloatArray | None:
        """The detector's quad that overlaps a rough one (4, 2) px most, else the one nearest to it; None: no plate.

        The detector looks at the neighbourhood alone, and takes what is faint.
        """
        x1, y1, x2, y2 = corner_box(np.asarray(quad, np.float32)).tolist()
        half = max(1.5 * max(x2 - x1, y2 - y1), 80.0)
        at = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        left, top = np.maximum(at - half, 0).astype(int).tolist()
        right, bottom = np.ceil(at + half).astype(int).tolist()
        part = np.ascontiguousarray(image[top:bottom, left:right])
        if not part.size:
            return None
        with self._lock:
            (found,) = self._ready().detector.down_to(SNAP_FROM, 50).detect([part])
        quads = [one.corners + np.array([left, top], np.float32) for one in found]
        if not quads:
            return None
        overlaps = [polygon_iou(one, quad) for one in quads]
        away = [float(np.linalg.norm(one.mean(axis=0) - at)) for one in quads]
        best = max(range(len(quads)), key=lambda i: (overlaps[i], -away[i]))
        return quads[best] if overlaps[best] > 0 or away[best] < half else None


def country_of(reading: Reading) -> str:
    """The country that a reading is sure of, else ""."""
    return reading.country if reading.country and (reading.country_score or 0) >= SURE_COUNTRY else ""


def png(image: ImageArray | None) -> bytes | None:
    """An image as the bytes of a PNG."""
    return None if image is None else cv2.imencode(".png", image)[1].tobytes()


def whole_image(source: Source) -> ImageArray:
    """Every pixel of an image.

    Raises:
        UnreadableImage: an image that cannot be read.
    """
    return read_photograph(source, math.inf).pixels


def _layout(text: str, pack: CountryPack | None) -> str | None:
    found = None if pack is None else pack.layout_of(text)
    return None if found is None else found.name


def _slots(reading: Reading) -> list[dict[str, Any]]:
    """For each character its probability and the runners-up; "" stands for the end of the text."""
    if reading.slots is None:
        return []
    charset, shares = reading.slots.charset, np.exp(reading.slots.log_probabilities)
    shown = []
    for place, symbol in enumerate(reading.text[: len(shares)]):
        best = np.argsort(-shares[place], kind="stable")[: RUNNERS_UP + 1].tolist()
        named = [("" if i == PAD else charset.decode((i,)), round(float(shares[place, i]), 4)) for i in best]
        mine = reading.characters[place] if place < len(reading.characters) else 0.0
        shown.append(
            {"symbol": symbol, "p": round(mine, 4), "others": [n for n in named if n[0] != symbol][:RUNNERS_UP]}
        )
    return shown

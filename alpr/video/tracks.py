"""Which plates of successive frames are one vehicle's: constant velocity, distances in plate widths, then their texts.

A plate is small, moves by more than its own size between frames, and carries a name: overlaps of boxes, which trackers
of people go by, say little about it; its text says much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from alpr.plates.geometry import plate_width
from alpr.plates.records import FloatArray, ImageArray, PlateReading
from alpr.recognition.metrics import edit_distance
from alpr.video.fusion import Fused, Fusion

NOT_POSSIBLE = math.inf
CANDIDATES = 4
"""Texts of a track of which the best frame is kept."""
ANOTHER, SAME_AGAIN = 0.5, 0.7
"""Texts that agree less are two vehicles'; texts that agree so much are one's."""
STRANGE = 10.0
"""The cost of a pair whose texts are two vehicles'."""
GROWN, ASIDE = 0.2, 0.5
"""What counts as moving: the logarithm of a width's growth, and plate widths sideways."""
_MEMORY = 5
"""Places at the beginning and the end of a track that tell its direction."""


@dataclass(frozen=True)
class TrackSettings:
    """What makes two plates one vehicle's.

    Attributes:
        reach: how far from its expected place a plate may be, in plate widths.
        spread: by how many plate widths that grows with every second without the plate.
        first_reach: the same of a track that was seen once, whose speed is not known.
        growth: by which factor a plate's width may change between two sightings.
        lost_s: a track ends when its plate was not seen for so long.
        text_sure: the lowest text score whose text is believed when tracks are told apart.
    """

    reach: float = 1.2
    spread: float = 2.0
    first_reach: float = 3.0
    growth: float = 1.7
    lost_s: float = 1.5
    text_sure: float = 0.5


class Given(NamedTuple):
    """A plate of a frame; see `Tracker.feed`."""

    plate: PlateReading
    frame: int
    time_s: float
    image: ImageArray | None
    counts: bool


class Pair(NamedTuple):
    """The track of a plate, and whether the plate reads like another vehicle's."""

    track: Track
    strange: bool


@dataclass(eq=False)
class Sighting:
    """The frame in which a text of a track was read best.

    Attributes:
        score: of the text in this frame.
        image: the frame itself, where it is kept.
    """

    score: float
    frame: int
    time_s: float
    corners: FloatArray
    image: ImageArray | None = None


@dataclass(eq=False)
class Track:
    """One vehicle's plate over the frames.

    Attributes:
        number: from 1, in the order of coming.
        centre, velocity: (2,) px and px per second, as last seen.
        width: of the plate, px, as last seen.
        best: the best frame of its most certain texts.
        seen: frames in which its plate was found.
        zones: names of the zones that it was in.
        strange: plates in its place that read like another vehicle's.
    """

    number: int
    fusion: Fusion
    centre: FloatArray
    width: float
    first_s: float
    first_frame: int
    last_s: float
    last_frame: int
    corners: FloatArray
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    seen: int = 0
    widest: float = 0.0
    best: dict[str, Sighting] = field(default_factory=dict)
    zones: dict[str, None] = field(default_factory=dict)
    strange: list[Given] = field(default_factory=list)
    _starts: list[tuple[FloatArray, float]] = field(default_factory=list)
    _ends: list[tuple[FloatArray, float]] = field(default_factory=list)

    def result(self, alternatives: int = 0) -> Fused:
        """The text that its frames agree on."""
        return self.fusion.result(alternatives)

    def text(self) -> tuple[str, float]:
        """The best single text so far and its score; ("", 0.0) where none was read."""
        if not self.best:
            return "", 0.0
        text = max(self.best, key=lambda one: self.best[one].score)
        return text, self.best[text].score

    def expected(self, time_s: float) -> FloatArray:
        """Where its plate should be at a moment (2,) px; a second without it stops the guess."""
        return np.asarray(self.centre + self.velocity * min(time_s - self.last_s, 1.0))

    def sighting(self, text: str) -> Sighting | None:
        """The frame that weighs most for a text; of another text where none read this one."""
        return self.best.get(text) or max(self.best.values(), key=lambda one: one.score, default=None)

    @property
    def direction(self) -> str | None:
        """towards, away, left or right; None where it hardly moved.

        A plate that becomes larger comes nearer. One that moves sideways by more than it grows is passing.
        """
        (place, width), (last, last_width) = (_middle(ends) for ends in (self._starts, self._ends))
        grown = math.log(max(last_width, 1e-6) / max(width, 1e-6))
        aside = float(last[0] - place[0]) / max(width, last_width, 1e-6)
        if abs(grown) < GROWN and abs(aside) < ASIDE:
            return None
        if abs(grown) / GROWN >= abs(aside) / (8 * ASIDE):
            return "towards" if grown > 0 else "away"
        return "right" if aside > 0 else "left"

    def add(
        self, plate: PlateReading, frame: int, time_s: float, image: ImageArray | None, counts: bool = True
    ) -> None:
        """One more frame with its plate.

        Args:
            counts: whether its reading says something; else the plate was only there.
        """
        corners, reading = plate.detection.corners, plate.reading
        centre, width = _place(plate)
        passed = time_s - self.last_s
        if self.seen and passed > 0:
            now = (centre - self.centre) / passed
            share = 1.0 if self.seen == 1 else 0.5
            self.velocity = self.velocity + share * (now - self.velocity)
        self.centre, self.width, self.corners = centre, width, corners
        self.last_s, self.last_frame = time_s, frame
        self.seen += 1
        self.widest = max(self.widest, width)
        if len(self._starts) < _MEMORY:
            self._starts.append((centre, width))
        self._ends = [*self._ends, (centre, width)][-_MEMORY:]
        if not counts:
            return
        self.fusion.add(reading)
        text = _text(plate)
        if text and (text not in self.best or reading.score > self.best[text].score):
            self.best[text] = Sighting(reading.score, frame, time_s, corners, image)
            if len(self.best) > CANDIDATES:
                del self.best[min(self.best, key=lambda one: self.best[one].score)]


class Tracker:
    """Plates of one camera's frames to tracks.

    Args:
        fusion: makes the empty fusion of a new track.
        keep_frames: whether the best frames of each track are kept with their pixels.
        first: the number of the first track.
    """

    def __init__(
        self,
        settings: TrackSettings | None = None,
        fusion: type[Fusion] | Any = Fusion,
        *,
        keep_frames: bool = False,
        first: int = 1,
    ) -> None:
        self.settings = settings or TrackSettings()
        self.tracks: list[Track] = []
        self.next = first
        self._fusion, self._keep = fusion, keep_frames
        self._size: tuple[int, int] | None = None

    def feed(
        self,
        plates: Sequence[PlateReading],
        frame: int,
        time_s: float,
        image: ImageArray | None = None,
        counted: Sequence[bool] | None = None,
        size: tuple[int, int] | None = None,
    ) -> list[Track]:
        """One frame's plates, also where there are none. Gives the track of each plate, in their order.

        Args:
            frame, time_s: later than those before.
            counted: whether each plate's reading counts; by default all do.
            size: (height, width) px of the frame: a plate that should have left it does not come back by its place.
        """
        self._size = size
        kept = image if self._keep else None
        given = [
            Given(plate, frame, time_s, kept, counts)
            for plate, counts in zip(plates, counted or [True] * len(plates), strict=True)
        ]
        pairs = self._matched(plates, time_s)
        return [
            self._new([one]) if pair is None else self._join(pair, one) for one, pair in zip(given, pairs, strict=True)
        ]

    def _new(self, given: Sequence[Given]) -> Track:
        first = given[0]
        centre, width = _place(first.plate)
        corners, at = first.plate.detection.corners, (first.time_s, first.frame)
        track = Track(self.next, self._fusion(), centre, width, *at, *at, corners)
        self.next += 1
        self.tracks.append(track)
        for one in given:
            track.add(*one)
        return track

    def _join(self, pair: Pair, given: Given) -> Track:
        """The plate to its track; one that reads like another vehicle waits until that is read once more."""
        track = pair.track
        if not pair.strange:
            track.strange.clear()
            track.add(*given)
            return track
        alike = [one for one in track.strange if _likeness(_text(one.plate), _text(given.plate)) >= SAME_AGAIN]
        track.strange.append(given)
        if not alike:
            return track
        mine, track.strange = [*alike, given], []
        return self._new(mine)

    def ended(self, time_s: float) -> list[Track]:
        """The tracks whose plate has not been seen for the settings' time; they are let go."""
        return self._let_go([t for t in self.tracks if time_s - t.last_s > self.settings.lost_s], time_s)

    def end(self) -> list[Track]:
        """All tracks that are left, at the end of the frames."""
        gone = []
        while self.tracks:
            gone += self._let_go(list(self.tracks), math.inf)
        return gone

    def _let_go(self, gone: Sequence[Track], time_s: float) -> list[Track]:
        """Of a track that ends, the plates that read like another vehicle were one, as its own never came back."""
        self.tracks = [track for track in self.tracks if track not in gone]
        late = []
        for track in gone:
            if track.strange:
                other = self._new([max(track.strange, key=lambda one: one.plate.reading.score)])
                late += [other] if time_s - other.last_s > self.settings.lost_s else []
        return [*gone, *(self._let_go(late, time_s) if late else ())]

    def _matched(self, plates: Sequence[PlateReading], time_s: float) -> list[Pair | None]:
        """The track of every plate, the cheapest pairs first."""
        costs = [(self._cost(t, p, time_s), i, j) for i, t in enumerate(self.tracks) for j, p in enumerate(plates)]
        found: list[Pair | None] = [None] * len(plates)
        taken: set[int] = set()
        for cost, i, j in sorted(costs):
            if cost < NOT_POSSIBLE and i not in taken and found[j] is None:
                taken.add(i)
                found[j] = Pair(self.tracks[i], cost >= STRANGE)
        return found

    def _cost(self, track: Track, plate: PlateReading, time_s: float) -> float:
        s = self.settings
        centre, width = _place(plate)
        unit = max(track.width, width, 1e-6)
        missing_s = time_s - track.last_s
        away = float(np.linalg.norm(centre - track.expected(time_s))) / unit
        reach = (s.first_reach if track.seen == 1 else s.reach) + s.spread * missing_s
        ratio = max(track.width, width) / max(min(track.width, width), 1e-6)
        alike = _alike(track, plate, s.text_sure)
        if alike == 1.0:  # the same text, well read: the same vehicle wherever it is by now
            return away / reach - STRANGE
        if ratio > s.growth * (1 + missing_s) or away > reach or self._left(track, time_s):
            return NOT_POSSIBLE
        if alike is None:
            return away / reach
        return away / reach + (STRANGE if alike <= ANOTHER else -alike)

    def _left(self, track: Track, time_s: float) -> bool:
        """Whether a track's plate should be outside the picture by now."""
        if self._size is None:
            return False
        x, y = track.expected(time_s)
        return not (0 <= x < self._size[1] and 0 <= y < self._size[0])


def _alike(track: Track, plate: PlateReading, sure: float) -> float | None:
    """How much of the texts agrees, 0..1; None where one is not to be believed, or a part of the other."""
    own, score = track.text()
    text = _text(plate)
    if min(score, plate.reading.score) < sure or not own or not text:
        return None
    if own != text and (own in text or text in own):  # a part of the plate was covered
        return None
    return _likeness(own, text)


def _likeness(one: str, other: str) -> float:
    return 1 - edit_distance(one, other) / max(len(one), len(other), 1)


def _text(plate: PlateReading) -> str:
    reading = plate.reading
    return reading.text if reading.raw_text is None else reading.raw_text


def _place(plate: PlateReading) -> tuple[FloatArray, float]:
    corners = np.asarray(plate.detection.corners, np.float64)
    return corners.mean(axis=0), float(plate_width(corners))


def _middle(ends: Sequence[tuple[FloatArray, float]]) -> tuple[FloatArray, float]:
    return np.median([place for place, _ in ends], axis=0), float(np.median([width for _, width in ends]))

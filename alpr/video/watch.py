"""Sources, a reader and trackers, put together: frames in, events out.

import alpr.video
for event in alpr.video.watch("gate.mp4", alpr.Reader()):
    print(event.text, event.score, event.first_s, event.last_s)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np

from alpr.images.prepare import rectify
from alpr.plates.geometry import plate_width
from alpr.plates.records import FloatArray, ImageArray, PlateReading
from alpr.reader.reader import Reader
from alpr.recognition.grammar import Grammar
from alpr.video.camera import Camera
from alpr.video.events import Event, Watcher, WatchSettings
from alpr.video.frames import Frame, Source
from alpr.video.fusion import TEMPERATURE
from alpr.video.looks import EVERY, Looks, one_look
from alpr.video.plate_lists import PlateList
from alpr.video.sources import open_source
from alpr.video.tracks import Track

IDLE_S = 0.005
STILL_PX, STILL_LEVELS, STILL_S = 320, 14.0, 2.0
"""A camera's picture, this wide, of which no pixel has changed by more grey levels, is not read again for so long."""
CROP = (64, 256)
"""The least (height, width) px of an event's upright crop."""


class Seen(NamedTuple):
    """A frame that was read: its plates and the tracks that are in view now."""

    source: Source
    watcher: Watcher
    frame: Frame
    plates: Sequence[PlateReading]
    tracks: Sequence[Track]


@dataclass
class Watch:
    """Several sources read in turn by one reader; iterating gives their events.

    Attributes:
        watchers: by the source's name; their counts say what was not read and why.
        seen: is called after every frame that was read, when its events have been taken.
        keep_frames: whether events bring the picture and the crop that they were read from.
        looks: see `Looks`.
    """

    sources: Sequence[Source]
    reader: Reader
    settings: WatchSettings = field(default_factory=WatchSettings)
    grammar: Grammar | None = None
    lists: PlateList | None = None
    keep_frames: bool = False
    seen: Callable[[Seen], object] = lambda seen: None
    looks: int = EVERY
    watchers: dict[str, Watcher] = field(default_factory=dict)
    _looks: dict[str, Looks] = field(default_factory=dict)
    _still: dict[str, Still] = field(default_factory=dict)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self._one_look = one_look(self.reader)
        for source in self.sources:
            self._looks[source.name] = Looks(self.looks)
            self.watchers.setdefault(source.name, self.watcher(source))
            if isinstance(source, Camera):
                self._still[source.name] = Still()

    def watcher(self, source: Source, first_track: int = 1) -> Watcher:
        """A watcher with these settings."""
        return Watcher(
            source.name,
            self.settings,
            began=time.time() if source.live else None,
            grammar=self.grammar,
            lists=self.lists,
            keep_frames=self.keep_frames,
            first_track=first_track,
        )

    def __iter__(self) -> Iterator[Event]:
        left = list(self.sources)
        try:
            while left and not self._stopped:
                idle = True
                for source in list(left):
                    frame = source.take(wait=len(left) == 1)
                    if frame is not None:
                        idle = False
                        yield from self._read(source, frame)
                    elif source.ended:
                        left.remove(source)
                        yield from finished(self.watchers[source.name].end())
                    elif source.live:
                        yield from self._passed(source)
                if idle:
                    time.sleep(IDLE_S)
            if left:  # a file is read again from where it was left; its cars are not cut short
                yield from self.close()
        finally:
            for source in self.sources:
                source.stop()

    def close(self) -> Iterator[Event]:
        """The events of the vehicles that cameras had in view when the watch was broken off."""
        for source in self.sources:
            if source.live:
                yield from finished(self.watchers[source.name].end())

    def stop(self) -> None:
        """Ends the watch after the frame at hand; may be called from another thread or a signal."""
        self._stopped = True

    def _read(self, source: Source, frame: Frame) -> Iterator[Event]:
        watcher, still = self.watchers[source.name], self._still.get(source.name)
        looks = self._looks[source.name]
        if self.lists is not None:
            self.lists.refresh()
        plates = None if still is None else still.plates_of(frame)
        again = plates is not None
        if plates is None:
            try:
                place = None if source.live else frame.number // getattr(source, "every", 1)
                plates = (self.reader if looks.twice(place) else self._one_look)(frame.image)
            except (ValueError, MemoryError, cv2.error) as error:
                source.counts.broken += 1
                source.told(f"{source.name}, frame {frame.number}: {str(error).strip()}")
                return
            if still is not None:
                still.read(frame, plates)
        events = watcher.feed(frame, plates, again=again)
        looks.followed(frame.number, watcher.tracker.tracks)
        yield from finished(events)
        self.seen(Seen(source, watcher, frame, plates, watcher.tracker.tracks))

    def _passed(self, source: Source) -> Iterator[Event]:
        """The events of a camera that gives no frame for longer than its tracks live."""
        watcher = self.watchers[source.name]
        if silent(source, watcher):
            yield from finished(watcher.end())


def finished(events: Sequence[Event]) -> Iterator[Event]:
    """Events with their crop, where their picture is kept."""
    for event in events:
        if event.picture is not None and event.corners is not None:
            event = replace(event, crop=upright(event.picture, event.corners))
        yield event


def silent(source: Source, watcher: Watcher) -> bool:
    """Whether a camera has vehicles in view and gives no frame for longer than its tracks live."""
    if watcher.empty or not isinstance(source, Camera):
        return False
    return source.silent_s() > watcher.settings.tracks.lost_s + 1


def watch(
    source: str | Source | Sequence[str | Source],
    reader: Reader,
    settings: WatchSettings | None = None,
    *,
    every: int = 1,
    keep_frames: bool = False,
    looks: int = EVERY,
) -> Iterator[Event]:
    """The events of one source or of several: a file gives one per vehicle, a camera goes on until it is stopped.

    Args:
        source: see `sources.open_source`.
        every: only every n-th frame is read.
        keep_frames: whether events bring their picture and their crop.
        looks: of how many frames one gets the detector's second look on an empty road; 1 for every frame.

    Raises:
        SourceError: what cannot be opened, at once.
    """
    given = [source] if isinstance(source, str | Source) else list(source)
    opened: list[Source] = []
    for one in given:
        names = {other.name for other in opened}
        opened.append(open_source(one, every=every, taken=names) if isinstance(one, str) else one)
    settings = settings or WatchSettings(temperature=temperature_of(reader))
    return iter(Watch(opened, reader, settings, keep_frames=keep_frames, looks=looks))


def temperature_of(reader: Reader) -> float:
    """The temperature of fused texts that the bundle's card holds, or the default."""
    found = None if reader.card is None else reader.card.fusion_temperature
    return TEMPERATURE if found is None else found


def upright(image: ImageArray, corners: FloatArray) -> ImageArray | None:
    """The plate inside corners (4, 2) px, upright, with a margin; None where no crop can be made."""
    scale = max(1.0, float(plate_width(corners)) / CROP[1])
    try:
        return rectify(image, np.asarray(corners, np.float32), (round(scale * CROP[0]), round(scale * CROP[1])), 0.08)
    except (ValueError, cv2.error):
        return None


class Still:
    """Whether a camera's picture is the one that was read last: an empty road is not read 25 times a second."""

    def __init__(self) -> None:
        self._small: FloatArray | None = None
        self._plates: list[PlateReading] = []
        self._time_s = 0.0

    def plates_of(self, frame: Frame) -> list[PlateReading] | None:
        """The plates that stand in an unchanged picture; None where it must be read."""
        if self._small is None or frame.time_s - self._time_s > STILL_S:
            return None
        small = _small(frame.image)
        if small.shape != self._small.shape or float(np.abs(small - self._small).max()) > STILL_LEVELS:
            return None
        return self._plates

    def read(self, frame: Frame, plates: Sequence[PlateReading]) -> None:
        """Keeps what was read."""
        self._small, self._plates, self._time_s = _small(frame.image), list(plates), frame.time_s


def _small(image: ImageArray) -> FloatArray:
    height = max(1, round(STILL_PX * image.shape[0] / image.shape[1]))
    small = cv2.resize(image, (STILL_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)

"""Which frames are looked at twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tiny_video import plate_at

from alpr import Reader
from alpr.plates.records import ImageArray, PlateReading
from alpr.video.frames import Frame, Source
from alpr.video.looks import Looks, one_look
from alpr.video.tracks import Tracker
from alpr.video.watch import Watch

BLANK = np.zeros((240, 480, 3), np.uint8)


def looked(plates: list[tuple[bool, bool]], every: int) -> str:
    """By frame `2` or `1` look; of each frame is given whether one look finds its plate, and whether two do."""
    looks, tracker, given = Looks(every), Tracker(), ""
    for frame, found in enumerate(plates):
        twice = looks.twice()
        given += "12"[twice]
        tracker.ended(frame / 25)
        tracker.feed([plate_at("AB12", 300 + 2 * frame)] if found[twice] else [], frame, frame / 25)
        looks.followed(frame, tracker.tracks)
    return given


def test_an_empty_road_gets_every_nth_second_look() -> None:
    assert looked([(False, False)] * 8, 4) == "21112111"
    assert looked([(False, False)] * 4, 1) == "2222"


def test_a_plate_that_one_look_finds_gets_no_more() -> None:
    assert looked([(True, True)] * 8, 4) == "21112111"


def test_a_plate_that_only_two_looks_find_gets_them_until_one_is_enough() -> None:
    small, near = (False, True), (True, True)
    assert looked([small] * 12, 4) == "212212221222"
    assert looked([small] * 12 + [near] * 10, 4) == "2122122212221111211121"
    assert looked([small] * 3 + [(False, False)] * 60, 4).endswith("2111" * 5 + "211")


def test_a_watch_looks_twice_where_it_should(bundle: Path) -> None:
    class Blank(Source):
        every = 2

        def take(self, *, wait: bool = True) -> Frame | None:
            self.counts.frames += 1
            self.ended = self.counts.frames > 6
            return None if self.ended else Frame(2 * self.counts.frames, self.counts.frames / 25, BLANK)

    looks = {"two": 0, "one": 0}

    def counting(name: str) -> object:
        def read(image: ImageArray) -> list[PlateReading]:
            looks[name] += 1
            return []

        return read

    watch = Watch([Blank("a")], Reader(bundle), looks=3)
    watch.reader, watch._one_look = counting("two"), counting("one")  # type: ignore[assignment]
    assert list(watch) == [] and looks == {"two": 2, "one": 4}


def test_one_look_is_that_of_the_same_detector(bundle: Path) -> None:
    reader = Reader(bundle)
    assert one_look(reader) is reader  # a bundle without a second look
    reader.detector.settings = replace(reader.detector.settings, fine_px=640)
    single = one_look(reader)
    assert single.detector.settings.fine_px is None and single.recogniser is reader.recogniser
    assert single.detector.settings.input_px == reader.detector.settings.input_px

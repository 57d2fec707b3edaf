"""Scores events and ways to join frames on real clips whose texts are known: a table with the columns clip and frame.

python tools/score_clips.py TABLE --bundle world [--shrink 0.33] [--motion 9] [--noise 4] [--jpeg 25]

Every clip goes through the tracker of `alpr watch`. An event belongs to the car of its clip whose text is nearest.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.images.prepare import read_image
from alpr.plates.records import ImageArray, Reading
from alpr.reader.reader import Reader
from alpr.recognition.metrics import edit_distance
from alpr.synthetic import effects
from alpr.video.events import Watcher, WatchSettings
from alpr.video.frames import Frame
from alpr.video.fusion import Fusion
from alpr.video.watch import temperature_of


class Recorded(Fusion):
    """A fusion that keeps its readings."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.readings: list[Reading] = []

    def add(self, reading: Reading) -> None:
        super().add(reading)
        if reading.text:
            self.readings.append(reading)


class Clip(NamedTuple):
    """A clip's name, its frames' paths in order, and its cars' texts."""

    name: str
    frames: list[Path]
    texts: list[str]


def read_clips(table: Path) -> list[Clip]:
    """The clips of a table."""
    frames: dict[str, dict[int, Path]] = defaultdict(dict)
    texts: dict[str, set[str]] = defaultdict(set)
    with table.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            frames[row["clip"]][int(row["frame"])] = table.parent / row["image"]
            texts[row["clip"]].add(row["text"])
    return [Clip(name, [path for _, path in sorted(frames[name].items())], sorted(texts[name])) for name in frames]


def harder(image: ImageArray, options: argparse.Namespace, rng: np.random.Generator) -> ImageArray:
    """The picture as a worse camera would have taken it."""
    if options.shrink < 1:
        image = np.asarray(cv2.resize(image, None, fx=options.shrink, fy=options.shrink, interpolation=cv2.INTER_AREA))
    if options.motion > 1:
        image = np.asarray(cv2.filter2D(image, -1, effects.motion_kernel(options.motion, int(rng.integers(16)))))
    if options.noise:
        image = np.clip(image + rng.normal(0, options.noise, image.shape), 0, 255).astype(np.uint8)
    return effects.jpeg(image, options.jpeg) if options.jpeg < 100 else np.asarray(image, np.uint8)


def voted(readings: Sequence[Reading]) -> str:
    """The vote of whole texts, weighted by their scores."""
    votes: dict[str, float] = defaultdict(float)
    for reading in readings:
        votes[reading.text] += reading.score
    return max(votes, key=lambda text: votes[text])


def nearest_of(texts: Sequence[str], track: Recorded) -> str:
    """Which car's track it is: the text that the frames' own texts are nearest to, taken together."""
    return min(texts, key=lambda text: sum(edit_distance(text, r.text) * r.score for r in track.readings))


def score(clip: Clip, reader: Reader, options: argparse.Namespace, rng: np.random.Generator) -> Counter[str]:
    """The clip's counts; says on stdout what went wrong."""
    settings = WatchSettings(temperature=temperature_of(reader))
    watcher = Watcher(clip.name, settings)
    fusions: list[Recorded] = []

    def fusion() -> Fusion:
        fusions.append(Recorded(settings.temperature))
        return fusions[-1]

    watcher.tracker._fusion = fusion
    events, found, widths, owners = [], Counter[str](), [], defaultdict(list)
    for number, path in enumerate(clip.frames):
        image = harder(read_image(path), options, rng)
        plates = reader(image)
        events += watcher.feed(Frame(number, number / options.fps, image), plates)
        read = {plate.reading.text for plate in plates}
        found["frames"] += len(clip.texts)
        found["frames read"] += len(read & set(clip.texts))
        for track in watcher.tracker.tracks:
            if track.last_frame == number:
                widths.append(track.width)
                mine = [p for p in plates if np.allclose(p.detection.corners, track.corners)]
                if mine and mine[0].reading.text in clip.texts:
                    owners[track.number].append(mine[0].reading.text)
    events += watcher.end()
    found["switches"] = sum(a != b for texts in owners.values() for a, b in pairwise(texts))
    found["cars"] = len(clip.texts)
    found["tracks"] = len(fusions)
    by_car: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(events):
        nearest = min(clip.texts, key=lambda text: edit_distance(text, one.text))
        if edit_distance(nearest, one.text) <= len(nearest) // 2:
            by_car[nearest].append(i)
        else:
            found["false"] += 1
    found["missed"] = sum(not by_car[text] for text in clip.texts)
    found["doubled"] = sum(max(0, len(mine) - 1) for mine in by_car.values())
    found["events right"] = sum(any(events[i].text == text for i in by_car[text]) for text in clip.texts)
    for text in clip.texts:  # by every method over the longest track of this car, whatever its score
        read = [one for one in fusions if one.readings]
        mine = [one for one in read if nearest_of(clip.texts, one) == text]
        track = max(mine, key=lambda one: one.frames, default=None)
        if track is not None:
            found["by fusion"] += track.result().text == text
            found["by vote"] += voted(track.readings) == text
            found["by best frame"] += max(track.readings, key=lambda r: r.score).text == text
    told = ", ".join(f"{e.text} {e.score:.2f} ({e.agreed}/{e.frames})" for e in events)
    print(f"  {clip.name}: {' '.join(clip.texts)}; plates {np.median(widths or [0]):.0f} px; events {told or 'none'}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--fps", type=float, default=12.0)
    parser.add_argument("--shrink", type=float, default=1.0)
    parser.add_argument("--motion", type=int, default=0, help="px of motion blur, another direction in every frame")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--jpeg", type=int, default=100)
    options = parser.parse_args()
    reader, rng = Reader(options.bundle, threads=1), np.random.default_rng(1)
    total: Counter[str] = Counter()
    for clip in read_clips(options.table):
        total.update(score(clip, reader, options, rng))
    print(
        f"{options.bundle}, shrink {options.shrink}, motion {options.motion}, noise {options.noise}, "
        f"jpeg {options.jpeg}: {total['cars']} cars; "
        f"events right {total['events right']}; right by best frame {total['by best frame']}, "
        f"by vote {total['by vote']}, by fusion {total['by fusion']}; frames read "
        f"{100 * total['frames read'] / total['frames']:.0f} %; missed {total['missed']}, doubled {total['doubled']}, "
        f"false {total['false']}, switches {total['switches']}, tracks {total['tracks']}"
    )


if __name__ == "__main__":
    main()

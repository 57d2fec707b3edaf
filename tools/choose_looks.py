"""Scores settings of a bundle's detector beside each other, on scenes held back from training: to choose them by.

python tools/choose_looks.py --bundle world --candidates looks.yaml --scenes datasets/scenes/tn/labels.csv
python tools/choose_looks.py --bundle cn --candidates looks.yaml --folded datasets/CCPD2020/ccpd_green/alpr_dataset.csv

looks.yaml holds the settings that each candidate changes: {now: {}, ladder: {middle_px: 640, finer_corners: true}}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from time import process_time
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.detection.detect import Detector
from alpr.detection.metrics import FOUND_IOU, false_positives, match_plates, true_hull
from alpr.detection.settings import DetectorSettings
from alpr.files import SMALL_BYTES, read_regular, write_json
from alpr.plates.records import FloatArray, ImageBatch, PlateReading, Scene
from alpr.plates.values import read_as, read_with_lines
from alpr.reader.many_images import progress
from alpr.reader.reader import Reader

FOLD = 0
"""The fold that trainings hold back by default."""
LEAST_SCORE = 0.04
"""Candidates of the detector with a lower score are forgotten: no setting that is worth a try sees them."""


@dataclass
class Remembered:
    """A network that answers the same pixels from memory; `owed` are the CPU seconds that it would have taken."""

    network: Callable[[ImageBatch], tuple[FloatArray, ...]]
    finds: bool
    answers: dict[bytes, tuple[tuple[FloatArray, ...], float]] = field(default_factory=dict)
    owed: float = 0.0

    def __call__(self, batch: ImageBatch) -> tuple[FloatArray, ...]:
        """The network's answer to one image, or to crops."""
        started = process_time()
        key = blake2b(np.ascontiguousarray(batch).data, digest_size=16).digest() + bytes(str(batch.shape), "ascii")
        self.owed -= process_time() - started
        if key not in self.answers:
            started = process_time()
            outputs = self.network(batch)
            spent = process_time() - started
            if self.finds:
                enough = outputs[0][0] >= LEAST_SCORE
                outputs = tuple(np.ascontiguousarray(output[:, enough]) for output in outputs)
            self.answers[key] = outputs, spent
            return outputs
        outputs, spent = self.answers[key]
        self.owed += spent
        return outputs


@dataclass
class Score:
    """What a candidate does on some scenes; shares of plates, texts and pictures, and CPU milliseconds."""

    plates: int = 0
    found: int = 0
    found_tightly: int = 0
    texts: int = 0
    right: int = 0
    pictures: int = 0
    false: int = 0
    looks: list[int] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, scene: Scene, plates: Sequence[PlateReading], looks: int, ms: float) -> None:
        """Counts one picture."""
        found = [plate.detection for plate in plates]
        pairs = match_plates(found, scene.plates)
        self.pictures += 1
        self.plates += sum(true_hull(p) is not None and not p.ignored for p in scene.plates)
        self.texts += sum(bool(p.text) for p in scene.plates)
        self.found += sum(pair.iou > FOUND_IOU for pair in pairs)
        self.found_tightly += sum(pair.iou > 0.7 for pair in pairs)
        self.right += sum(
            pair.iou > FOUND_IOU and _same(plates[pair.detection].reading.text, scene.plates[pair.plate].text)
            for pair in pairs
        )
        self.false += len(false_positives(found, scene, pairs)) if scene.complete else 0
        self.looks.append(looks)
        self.ms.append(ms)

    def figures(self) -> dict[str, Any]:
        """The figures by their names."""
        return {
            "plates": self.plates,
            "found": self.found / max(1, self.plates),
            "found_0.7": self.found_tightly / max(1, self.plates),
            "texts": self.texts,
            "read": self.right / max(1, self.texts),
            "pictures": self.pictures,
            "false_per_picture": self.false / max(1, self.pictures),
            "looks": [self.looks.count(n) / max(1, self.pictures) for n in (1, 2, 3)],
            "cpu_ms_mean": float(np.mean(self.ms)),
            "cpu_ms_median": float(np.median(self.ms)),
            "cpu_ms_p95": float(np.quantile(self.ms, 0.95)),
        }


def _same(one: str, other: str | None) -> bool:
    return bool(other) and one.replace("O", "0") == str(other).replace("O", "0")


def main(
    candidates: Annotated[Path, typer.Option(help="A YAML file: settings of the detector by a candidate's name.")],
    bundle: Annotated[str | None, typer.Option(help="A bundle's folder or name.")] = None,
    scenes: Annotated[list[Path] | None, typer.Option(help="Tables of scenes that trained nothing.")] = None,
    folded: Annotated[list[Path] | None, typer.Option(help="Tables of which only the held-back fold counts.")] = None,
    blank: Annotated[list[Path] | None, typer.Option(help="Tables of pictures without plates.")] = None,
    split: Annotated[str, typer.Option(help="The rows that count.")] = "train",
    most: Annotated[int, typer.Option(help="The most pictures of a table; they are drawn evenly.")] = 400,
    output: Annotated[Path | None, typer.Option(help="A JSON file of all figures, by candidate and table.")] = None,
) -> None:
    """Reads every scene with every candidate, in turns, and prints the figures of all tables together."""
    cv2.setNumThreads(1)
    written, _ = read_with_lines(read_regular(candidates, SMALL_BYTES).decode())
    reader = Reader(bundle, threads=1)
    usual = asdict(reader.detector.settings)
    looked = {name: read_as(DetectorSettings, {**usual, **(changes or {})}) for name, changes in written.items()}
    sets = [
        (path, _rows(path, split, most, fold))
        for paths, fold in ((scenes, None), (folded, FOLD))
        for path in paths or ()
    ]
    blanks = [(path, _rows(path, split, most, None)) for path in blank or ()]
    network = Remembered(reader.detector.network, finds=True)
    reader.recogniser.network = Remembered(reader.recogniser.network, finds=False)
    scores: dict[str, dict[str, Score]] = {}
    with progress(sum(len(rows) for _, rows in (*sets, *blanks)), "pictures") as advance:
        for path, rows in (*sets, *blanks):
            for n, scene in enumerate(rows):
                names = list(looked)
                for name in names[n % len(names) :] + names[: n % len(names)]:  # none is always the first
                    reader.detector = Detector(network, looked[name])
                    with _cpu_ms(network, reader.recogniser.network) as ms:
                        result = reader.read_timed(str(scene.image))
                    one = scores.setdefault(name, {}).setdefault(str(path), Score())
                    one.add(scene, result.plates, result.looks, ms[0])
                network.answers.clear()
                reader.recogniser.network.answers.clear()
                advance()
    _print(scores, [str(path) for path, _ in sets], [str(path) for path, _ in blanks])
    if output is not None:
        figures = {
            name: {
                "settings": asdict(looked[name]),
                "tables": {path: score.figures() for path, score in by_table.items()},
            }
            for name, by_table in scores.items()
        }
        write_json(output, figures, indent=2)


def _rows(path: Path, split: str, most: int, fold: int | None) -> list[Scene]:
    manifest: Manifest = read_manifest(path, splits=[split])
    chosen = manifest if fold is None else manifest.select(fold=fold, inside=True)
    scenes = list(chosen.scenes())
    return [scenes[i] for i in np.unique(np.linspace(0, len(scenes) - 1, min(most, len(scenes))).astype(int))]


@contextmanager
def _cpu_ms(*networks: Remembered) -> Iterator[list[float]]:
    """The CPU milliseconds of what is done inside, with those of answers from memory."""
    for network in networks:
        network.owed = 0.0
    result = [0.0]
    started = process_time()
    yield result
    result[0] = 1000 * (process_time() - started + sum(network.owed for network in networks))


def _joined(scores: Sequence[Score]) -> Score:
    whole = Score()
    for one in scores:
        for key, value in vars(one).items():
            setattr(whole, key, getattr(whole, key) + value)
    return whole


def _print(scores: dict[str, dict[str, Score]], sets: Sequence[str], blanks: Sequence[str]) -> None:
    table = Table(
        "candidate", "found 0.5", "0.7", "read", "false", "CPU ms", "p95", "looks 1 2 3", "blank: false", "ms"
    )
    for name, by_table in scores.items():
        scene = _joined([by_table[path] for path in sets]).figures()
        empty = _joined([by_table[path] for path in blanks]).figures() if blanks else None
        table.add_row(
            name,
            *(f"{100 * scene[key]:.1f}" for key in ("found", "found_0.7", "read")),
            f"{scene['false_per_picture']:.3f}",
            f"{scene['cpu_ms_mean']:.1f}",
            f"{scene['cpu_ms_p95']:.1f}",
            " ".join(f"{100 * share:.0f}" for share in scene["looks"]),
            *(("-", "-") if empty is None else (f"{empty['false_per_picture']:.4f}", f"{empty['cpu_ms_mean']:.1f}")),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)

"""A bundle in fewer bits and in other runtimes: made, scored on labelled plates, timed beside the original, written.

What loses plates is not written unless asked for: a converted network is judged by what it reads, not by its numbers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from alpr import __version__
from alpr.data.manifest import Manifest
from alpr.detection.detect import Detector
from alpr.evaluation.evaluate import evaluate
from alpr.export.convert_report import ConversionReport, Latency, TargetReport, score_of, time_networks
from alpr.export.graph_rewriting import operators
from alpr.export.onnx_bundle import put_in_place
from alpr.export.target import ORIGINAL, ConversionError, Networks, Shape, Source, Target, module_of_extra, target_of
from alpr.files import WEIGHT_BYTES, read_regular, write_json
from alpr.images.prepare import letterbox, read_image
from alpr.provenance import provenance
from alpr.reader.card import CARD_FILE, Companion, ModelCard, WeightFile
from alpr.reader.parts import Parts
from alpr.recognition.read import Recogniser
from alpr.runs.weights import SUFFIX

ACCEPTED_LOSS = 0.5
"""Points of plate accuracy that a target may lose on a manifest."""
KEPT_FIRST = 6
"""A detector's first convolutions that stay in float32: int8 is no faster there (3 to 16 channels, most pixels)."""


@dataclass(frozen=True)
class Asked:
    """What is converted and how.

    Attributes:
        targets: of `target_names`; the bundle itself, `ORIGINAL`, is always measured.
        calibration: training scenes, where a target needs them.
        scored: labelled scenes or crops by name.
        fixed: batch, height and width of the detector's input where a target takes one shape only.
        place: the folder of the one bundle that is made, whose name it gets; None for `output/BUNDLE_TARGET`.
        keep_first: see `KEPT_FIRST`; the last convolutions always stay.
        accept_loss: writes also what loses more than `ACCEPTED_LOSS`.
    """

    bundle: Path
    output: Path
    targets: tuple[str, ...]
    scored: Mapping[str, Manifest]
    calibration: Manifest | None = None
    fixed: Shape | None = None
    place: Path | None = None
    keep_first: int = KEPT_FIRST
    accept_loss: bool = False
    rounds: int = 50


def convert(asked: Asked, advance: Callable[[str], object] = lambda said: None) -> ConversionReport:
    """Makes, scores and times every target, and writes those that read well enough.

    A target's folder is `output/BUNDLE_TARGET`; its figures are always written, to
    `output/measured/TARGET/conversion.json`.

    Raises:
        ConversionError: targets or manifests that do not go together.
        PrecisionError, RuntimeMissing, RuntimeFailed: a target that cannot be made.
        OSError: a file that cannot be read or written.
    """
    described = provenance(whole=True)
    card = ModelCard.read(asked.bundle)
    card.verify(asked.bundle)
    check(asked, card)
    asked.output.mkdir(parents=True, exist_ok=True)
    scratch = asked.output / f".{os.getpid()}.part"
    try:
        makers = {name: _Attempt(name, asked, card, scratch) for name in dict.fromkeys((ORIGINAL, *asked.targets))}
        for name, maker in makers.items():
            advance(f"making {name}")
            maker.make()
        scores = {name: maker.score(lambda said: advance(said)) for name, maker in makers.items()}
        scene = next(iter(_scenes(asked)))
        canvas = letterbox(read_image(scene), card.detector.input_px, card.detector.multiple)[0][None]
        crop = np.full((1, *card.recogniser.size, 3), 128, np.uint8)
        latency: dict[str, dict[str, Latency]] = {name: {} for name in makers}
        for threads in (1, 2):
            advance(f"timing on {threads} thread(s)")
            opened = {name: maker.open(threads) for name, maker in makers.items()}
            for name, times in time_networks(opened, canvas, crop, asked.rounds).items():
                latency[name] |= {f"{network}_{threads}": found for network, found in times.items()}
        made_with = {**asdict(described), "bundle": card.name}
        rows = tuple(maker.report(scores, latency[name], made_with) for name, maker in makers.items())
        report = ConversionReport(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            bundle=card.name,
            sha256={f.file: f.sha256 for f in (card.detector_file, card.recogniser_file)},
            manifests={name: manifest.sha256 for name, manifest in asked.scored.items()},
            calibration=None if asked.calibration is None else asked.calibration.sha256,
            detector_input=canvas.shape,
            rounds=asked.rounds,
            targets=rows,
            environment=described,
        )
        for row in rows:
            makers[row.target].write(row)
            write_json(asked.output / "measured" / row.target / "conversion.json", asdict(row), indent=2)
        write_json(asked.output / "conversion.json", asdict(report), indent=2)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return report


def check(asked: Asked, card: ModelCard) -> None:
    """Refuses what does not go together, before anything is made.

    Raises:
        ConversionError: the sentence names it.
        RuntimeMissing: the runtime of a target is not installed.
        FileExistsError: a target's folder is something else than a bundle.
    """
    targets = {name: target_of(name) for name in asked.targets}
    if card.precision != "fp32":
        raise ConversionError(
            f"{asked.bundle} is in {card.precision} already; expected a bundle in fp32, which alpr export "
            "makes of its safetensors."
        )
    if asked.place is not None and sum(target.make is not None for target in targets.values()) != 1:
        raise ConversionError(f"{asked.place} holds one bundle; expected one target, found {', '.join(asked.targets)}.")
    if not _scenes(asked):
        raise ConversionError("No labelled plate was given to score the targets on.")
    for name, target in targets.items():
        if target.calibrated and asked.calibration is None:
            raise ConversionError(f"{name} needs training scenes: give --calibration MANIFEST.")
        if target.one_shape and asked.fixed is None:
            raise ConversionError(f"{name} takes one shape only: give --static-size HEIGHT WIDTH.")
    if asked.calibration is not None and any(target.calibrated for target in targets.values()):
        scored = {path.resolve() for path in _scenes(asked)}
        both = [s.image for s in asked.calibration.scenes() if s.image.resolve() in scored]
        if both:
            raise ConversionError(
                f"{both[0]} and {len(both) - 1} more images would be calibrated on and scored on; "
                "give training rows to --calibration."
            )
    for name, target in targets.items():
        for module in target.modules:
            module_of_extra(module, target.extra)
        place = place_of(asked, card, name)
        if target.make is not None and place.exists() and not (place / CARD_FILE).is_file():
            raise FileExistsError(f"{place} exists and is no bundle (it has no {CARD_FILE}); name another folder.")


def place_of(asked: Asked, card: ModelCard, target: str) -> Path:
    """The folder of what a target makes."""
    return asked.place or asked.output / f"{card.name}_{target}"


def _scenes(asked: Asked) -> list[Path]:
    return [scene.image for manifest in asked.scored.values() for scene in manifest.scenes()]


@dataclass
class _Attempt:
    """One target on its way: made in a folder of its own, opened from there, moved from there."""

    name: str
    asked: Asked
    card: ModelCard
    scratch: Path

    @property
    def target(self) -> Target:
        return target_of(self.name)

    @property
    def source(self) -> Source:
        asked = self.asked
        return Source(asked.bundle, self.card, asked.fixed, asked.calibration, asked.keep_first)

    @property
    def folder(self) -> Path:
        """Where its files are; a target without files of its own reads the bundle's."""
        return self.asked.bundle if self.target.make is None else self.scratch / self.name

    @property
    def files(self) -> list[Path]:
        if self.target.make is None:
            return [self.source.file(network) for network in Networks._fields]
        return [path for path in sorted(self.folder.iterdir()) if path.name != CARD_FILE]

    def make(self) -> None:
        """Writes the target's files into its folder."""
        if self.target.make is not None:
            self.folder.mkdir(parents=True)
            self.target.make(self.source, self.folder)

    def open(self, threads: int) -> Networks:
        """Its two networks."""
        return self.target.open(self.source, self.folder, threads)

    def score(self, advance: Callable[[str], object]) -> dict[str, list[tuple[str, str]]]:
        """The label and the reading of every plate with a text, by manifest."""
        networks = self.open(1)
        found = {}
        for name, manifest in self.asked.scored.items():
            advance(f"scoring {self.name} on {name}")
            detector = Detector(networks.detector, self.card.detector)  # type: ignore[arg-type]  # three outputs
            parts = Parts(
                detector.at(self.card.detector.input_px),  # one look, which targets of fixed shapes can take too
                Recogniser(networks.recogniser, self.card.recogniser, self.card.charset),
            )
            report = evaluate(parts, manifest.scenes(), crops=("detector",), batch=1, workers=1)
            read = [(p.text, p.on_crop or p.on_predicted_corners) for p in report.plates if p.text]
            found[name] = [(text, reading.text) for text, reading in read if reading is not None]
        return found

    def report(
        self,
        scores: Mapping[str, Mapping[str, list[tuple[str, str]]]],
        latency: Mapping[str, Latency],
        made_with: Mapping[str, Any],
    ) -> TargetReport:
        """What was measured, and whether it may be written."""
        found = {name: score_of(scores[self.name][name], scores[ORIGINAL][name]) for name in self.asked.scored}
        before = {name: score_of(scores[ORIGINAL][name], scores[ORIGINAL][name]) for name in self.asked.scored}
        losses = {name: 100 * (before[name].accuracy - found[name].accuracy) for name in found}
        worst = max(losses, key=lambda name: losses[name])
        refused = ""
        if losses[worst] > ACCEPTED_LOSS and self.target.make is not None and not self.asked.accept_loss:
            refused = (
                f"{self.name} is not written: it reads {found[worst].accuracy:.1%} of the {found[worst].plates} plates "
                f"of {worst}, {ORIGINAL} {before[worst].accuracy:.1%}, which is more than {ACCEPTED_LOSS} points less; "
                "--accept-loss writes it nevertheless."
            )
        files = {path.name: path.stat().st_size for path in self.files}
        graphs = {
            p.name: operators(onnx.load_from_string(read_regular(p, WEIGHT_BYTES)))
            for p in self.files
            if p.suffix == ".onnx"
        }
        return TargetReport(
            target=self.name,
            files=files,
            megabytes=sum(files.values()) / 1e6,
            scores=found,
            accuracy={name: score.accuracy for name, score in found.items()},
            changed=sum(score.changed for score in found.values()),
            lost=losses[worst],
            latency=latency,
            operators=graphs,
            refused=refused,
            made_with=made_with,
        )

    def write(self, row: TargetReport) -> None:
        """Moves the target's folder, with its card, to its place."""
        if self.target.make is None or row.refused:
            return
        output = place_of(self.asked, self.card, self.name)
        weights = {path.name.partition(".")[0]: path for path in self.files if path.suffix != ".param"}
        measured = {"of": self.card.name, "accuracy": dict(row.accuracy), "changed": row.changed, "lost": row.lost}
        card = ModelCard(
            name=output.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            alpr=__version__,
            commit=row.made_with["commit"],  # as it was when the run began
            country=self.card.country,
            detector=self.card.detector,
            detector_file=WeightFile.of(weights["detector"]),
            recogniser=self.card.recogniser,
            recogniser_file=WeightFile.of(weights["recogniser"]),
            alphabet=self.card.alphabet,
            data=self.card.data,
            metrics={**self.card.metrics, "conversion": measured},
            training=self.card.training,
            precision=self.target.precision,
            other_files=self._trainable(),
            companions=self._companions(),
        )
        card.write(self.folder)
        card.verify(self.folder)
        output.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(self.folder, output)

    def _companions(self) -> tuple[Companion, ...]:
        """Copies the bundle's further recognisers, which stay as they are."""
        if not self.target.for_reader:
            return ()
        for entry in self.card.companions:
            shutil.copyfile(self.asked.bundle / entry.file.file, self.folder / entry.file.file)
        return self.card.companions

    def _trainable(self) -> tuple[WeightFile, ...]:
        """Copies the weights from which a training begins into what a `Reader` reads."""
        entries = [entry for entry in self.card.other_files if entry.file.endswith(SUFFIX)]
        if not self.target.for_reader:
            return ()
        found = tuple(entry for entry in entries if (self.asked.bundle / entry.file).is_file())
        for entry in found:
            shutil.copyfile(self.asked.bundle / entry.file, self.folder / entry.file)
        return found

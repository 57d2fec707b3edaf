"""From networks to an ONNX bundle. Parity of raw and of decoded results is a gate: it holds, or no file is left."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from alpr import __version__
from alpr.detection.detect import Detector
from alpr.detection.module import torch_detector
from alpr.detection.settings import DetectorSettings
from alpr.export.graph_folding import fold_constants, fold_normalisation
from alpr.export.one_graph.compose import OPSET, READER_FILE, write_reader
from alpr.export.one_graph.parity import check_reader
from alpr.export.parity import (
    ParityError,
    ParityReport,
    ReaderParity,
    check_detector,
    check_recogniser,
    generated_scenes,
)
from alpr.files import whole_file
from alpr.plates.country import CountryPack
from alpr.plates.records import ImageArray
from alpr.reader.card import CARD_FILE, Companion, DataSource, ModelCard, TrainingRun, WeightFile
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser
from alpr.recognition.module import torch_recogniser
from alpr.recognition.read import Recogniser
from alpr.recognition.settings import RecogniserSettings

DETECTOR_FILE = "detector.onnx"
RECOGNISER_FILE = "recogniser.onnx"

__all__ = [
    "ParityError",
    "ParityReport",
    "add_companion",
    "add_reader",
    "add_report",
    "export_bundle",
    "export_detector",
    "export_recogniser",
    "torch_detector",
    "torch_recogniser",
]


class _DetectorOutputs(nn.Module):
    """The three arrays as a plain tuple: the network may give a NamedTuple, which a graph has no word for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, boxes, corners = self.network(image)
        return scores, boxes, corners


class _RecogniserOutputs(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crop: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs: Tensor | tuple[Tensor, ...] = self.network(crop)
        return outputs


def _at_rest(network: nn.Module) -> nn.Module:
    """A float32 copy on the CPU in evaluation mode: exporting must not touch a network that trains."""
    return copy.deepcopy(network).cpu().float().eval()


def export_detector(network: nn.Module, path: Path, settings: DetectorSettings) -> None:
    """Writes a detector as one ONNX file with dynamic batch, height and width.

    Args:
        network: (B, H, W, 3) uint8 BGR -> scores (B, A), boxes (B, A, 4), corners (B, A, 4, 2).
        path: the file; it appears whole or not at all.
        settings: the input's size, for the example that is traced.
    """
    # Every size of the example differs and none is 1, so that none is taken for a constant.
    height = max(settings.multiple, settings.input_px - 2 * settings.multiple)
    example = torch.zeros((2, height, settings.input_px, 3), dtype=torch.uint8)
    dynamic = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    _export(_DetectorOutputs(_at_rest(network)), example, path, "image", list(OnnxDetector.outputs), dynamic)


def export_recogniser(network: nn.Module, path: Path, settings: RecogniserSettings) -> None:
    """Writes a recogniser as one ONNX file with a dynamic batch.

    Args:
        network: (B, h, w, 3) uint8 BGR -> logits (B, L, K+1), or a tuple of these and those of the settings' outputs.
        path: the file; it appears whole or not at all.
        settings: the crop's size, and the outputs behind the logits.
    """
    example = torch.zeros((2, *settings.size, 3), dtype=torch.uint8)
    dynamic = {0: torch.export.Dim.DYNAMIC}
    outputs = ["logits", *settings.outputs]
    _export(_RecogniserOutputs(_at_rest(network)), example, path, "crop", outputs, dynamic)


def _export(
    network: nn.Module, example: Tensor, path: Path, name: str, outputs: list[str], dynamic: Mapping[int, Any]
) -> None:
    with whole_file(path) as part:
        with torch.no_grad():
            torch.onnx.export(
                network.eval(),
                (example,),
                str(part),
                dynamo=True,
                input_names=[name],
                output_names=outputs,
                dynamic_shapes=(dict(dynamic),),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        graph = onnx.load(part)
        fold_normalisation(graph)
        part.write_bytes(fold_constants(graph).SerializeToString())


def export_bundle(
    detector: nn.Module,
    detector_settings: DetectorSettings,
    recogniser: nn.Module,
    recogniser_settings: RecogniserSettings,
    pack: CountryPack,
    output: Path,
    *,
    images: Sequence[ImageArray] = (),
    commit: str | None = None,
    data: Sequence[DataSource] = (),
    metrics: Mapping[str, Any] | None = None,
    training: Sequence[TrainingRun] = (),
    beside: Callable[[Path], object] | None = None,
    reader: bool = False,
) -> ParityReport:
    """Writes a bundle, `detector.onnx`, `recogniser.onnx` and `card.json`, and gives what parity measured.

    Everything is made in a folder beside `output` that takes its name only when parity holds; a bundle that stood
    there is replaced, and stays where parity fails.

    Args:
        output: the bundle's folder; its name is the bundle's name.
        images: scenes for parity, best real ones; generated ones are used where none is given.
        reader: whether `reader.onnx`, one graph of all, is written too.
        beside: writes more files into the folder that it is given, before the bundle takes its place.
        commit, data, metrics, training: for the card. The figures of parity join the metrics as "parity".

    Raises:
        ParityError: a result of the ONNX files differs from the networks'; the sentence holds the figures.
        FileExistsError: `output` exists and is no bundle.
        ValueError: networks and settings that do not belong together.
    """
    if output.exists() and not (output / CARD_FILE).is_file():
        raise FileExistsError(f"{output} exists and is no bundle (it has no {CARD_FILE}); name another folder.")
    output.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(output)
    try:
        part.mkdir()
        export_detector(detector, part / DETECTOR_FILE, detector_settings)
        export_recogniser(recogniser, part / RECOGNISER_FILE, recogniser_settings)
        report = _check_bundle((detector, detector_settings), (recogniser, recogniser_settings), pack, part, images)
        card = ModelCard(
            name=output.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            alpr=__version__,
            commit=commit,
            country=pack,
            detector=detector_settings,
            detector_file=WeightFile.of(part / DETECTOR_FILE),
            recogniser=recogniser_settings,
            recogniser_file=WeightFile.of(part / RECOGNISER_FILE),
            alphabet=pack.alphabet,
            data=tuple(data),
            metrics={**(metrics or {}), "parity": asdict(report)},
            training=tuple(training),
        )
        if reader:
            card, parity = _with_reader(card, part, images)
            report = replace(report, reader=parity)
        if beside is not None:
            written = set(part.iterdir())
            beside(part)
            others = sorted(set(part.iterdir()) - written)
            card = replace(card, other_files=tuple(WeightFile.of(path) for path in others))
        card.write(part)
        card.verify(part)
        put_in_place(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


def add_reader(bundle: Path, images: Sequence[ImageArray] = ()) -> ReaderParity:
    """Gives a bundle that exists its `reader.onnx`, or a new one, and gives what parity measured.

    Raises:
        ParityError: it reads otherwise than the predictor with the bundle's two networks; the bundle stays as it was.
        CardError: no bundle there, or files that are not the card's.
    """
    with _remade(bundle) as (part, card):
        card, parity = _with_reader(card, part, images)
        card.write(part)
        card.verify(part)
    return parity


def add_report(bundle: Path, metrics: Mapping[str, Any], page: Path | None = None) -> None:
    """Gives a bundle that exists the figures of its own evaluation, and a copy of the page that shows them.

    Raises:
        CardError: no bundle there, or files that are not the card's.
    """
    with _remade(bundle) as (part, card):
        others = {entry.file: entry for entry in card.other_files}
        if page is not None:
            shutil.copyfile(page, part / page.name)
            others[page.name] = WeightFile.of(part / page.name)
        card = replace(card, metrics={**card.metrics, **metrics}, other_files=tuple(others.values()))
        card.write(part)
        card.verify(part)


def add_companion(bundle: Path, other: Path, countries: Sequence[str]) -> None:
    """Gives a bundle the recogniser of another one, for the plates of some countries.

    The card says of it what the other's says: its data, what trained it, its settings.

    Args:
        countries: codes of countries that the bundle's own recogniser tells apart.

    Raises:
        CardError: no bundle at either place, files that are not the card's, or recognisers that do not fit together.
    """
    theirs = ModelCard.read(other)
    theirs.verify(other)
    with _remade(bundle) as (part, card):
        path = part / f"recogniser_{theirs.name}.onnx"
        shutil.copyfile(other / theirs.recogniser_file.file, path)
        companion = Companion(
            theirs.name, tuple(countries), WeightFile.of(path), theirs.recogniser, theirs.country, theirs.alphabet
        )
        known = {source.sha256 for source in card.data}
        runs = {run.name for run in card.training}
        card = replace(
            card,
            companions=(*(one for one in card.companions if one.name != theirs.name), companion),
            data=(*card.data, *(source for source in theirs.data if source.sha256 not in known)),
            training=(*card.training, *(run for run in theirs.training if run.name not in runs)),
        )
        card.write(part)
        card.verify(part)


@contextmanager
def _remade(bundle: Path) -> Iterator[tuple[Path, ModelCard]]:
    """A copy of a bundle to change, and its card; the copy takes the bundle's place unless something is raised."""
    card = ModelCard.read(bundle)
    card.verify(bundle)
    part = _part_of(bundle)
    try:
        shutil.copytree(bundle, part)
        yield part, card
        put_in_place(part, bundle)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _with_reader(card: ModelCard, folder: Path, images: Sequence[ImageArray]) -> tuple[ModelCard, ReaderParity]:
    """Writes reader.onnx beside the networks and compares it; gives the card with it."""
    write_reader(card, folder, folder / READER_FILE)
    parity = check_reader(card, folder, list(images) or generated_scenes())
    measured = {**card.metrics.get("parity", {}), "reader": asdict(parity)}
    entry = WeightFile.of(folder / READER_FILE)
    return replace(card, reader_file=entry, metrics={**card.metrics, "parity": measured}), parity


def _part_of(output: Path) -> Path:
    """The folder in which a bundle is made; one that an interrupted run left is removed."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    return part


def _check_bundle(
    detector: tuple[nn.Module, DetectorSettings],
    recogniser: tuple[nn.Module, RecogniserSettings],
    pack: CountryPack,
    folder: Path,
    images: Sequence[ImageArray],
) -> ParityReport:
    scenes = list(images) or generated_scenes()
    found = Detector(torch_detector(_at_rest(detector[0])), detector[1])
    exported = Detector(OnnxDetector(folder / DETECTOR_FILE), detector[1])
    detector_parity = check_detector(found, exported, scenes)
    charset = pack.charset
    read = Recogniser(torch_recogniser(_at_rest(recogniser[0])), recogniser[1], charset)
    reads = Recogniser(OnnxRecogniser(folder / RECOGNISER_FILE, recogniser[1], len(charset)), recogniser[1], charset)
    # The same crops for both: a corner that moves by 1e-5 px may flip a pixel's last bit, which is no fault.
    plates = zip(scenes, found.detect(scenes), strict=True)
    crops = [read.rectify(scene, plate.corners) for scene, detections in plates for plate in detections]
    telling = [crop for crop in crops if crop is not None] + generated_scenes(6, seed=1)
    return ParityReport(detector_parity, check_recogniser(read, reads, telling))


def put_in_place(part: Path, output: Path) -> None:
    """Gives the finished folder its name; a bundle that stood there stays until the new one has it."""
    if not output.exists():
        part.rename(output)
        return
    old = output.with_name(f".{output.name}.{os.getpid()}.old")
    output.rename(old)
    try:
        part.rename(output)
    except OSError:
        old.rename(output)
        raise
    shutil.rmtree(old)

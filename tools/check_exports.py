"""Exports every network of configs/model with random weights and compares it with what it was before.

python tools/check_exports.py
python tools/check_exports.py scrfd_2500m maskocr_fast
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from alpr.benchmark.recogniser_speed import untrained
from alpr.detection.detect import Detector
from alpr.detection.module import DetectorModule, torch_detector
from alpr.export.onnx_bundle import export_detector, export_recogniser
from alpr.export.parity import ParityError, check_detector, check_recogniser, generated_scenes
from alpr.reader.many_images import progress
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser
from alpr.recognition.module import torch_recogniser
from alpr.recognition.read import Recogniser
from alpr.training.configuration import CONFIGS, composed

SPREAD = 30.0


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Files of configs/model; else all of them.")] = None,
) -> None:
    """Checks raw and decoded results, in batches of 1 and 3, detectors at two sizes. Leaves with 1 on a difference."""
    families = names or sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
    table, differing = Table("network", "raw outputs apart", "plates or texts equal"), []
    with tempfile.TemporaryDirectory() as folder, progress(len(families), "networks") as advance:
        for name in families:
            torch.manual_seed(0)
            try:
                check = check_reader_of if name.startswith("maskocr") else check_finder_of
                apart, equal = check(name, Path(folder) / f"{name}.onnx")
                table.add_row(name, f"{apart:.1e}", str(equal))
            except ParityError as error:
                differing.append(name)
                table.add_row(name, str(error), "")
            advance()
    Console().print(table)
    raise typer.Exit(1 if differing else 0)


def check_finder_of(name: str, path: Path) -> tuple[float, int]:
    """A detector's largest difference, and how many plates were compared."""
    overrides = [f"model={name}", "data=scenes", "augment=scenes", "name=check", "data.manifest=none"]
    model = composed("train", overrides).model
    module = DetectorModule(network=model.network, predictor=model.predictor).eval()
    for layer in module.network.head.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:  # predictions begin almost equal, which
            layer.weight.data.mul_(SPREAD)  # leaves the choice of the best to the last bit
    export_detector(module.network, path, module.predictor)
    before = Detector(torch_detector(module.network), module.predictor)
    parity = check_detector(before, Detector(OnnxDetector(path), module.predictor), generated_scenes())
    return max(parity.scores, parity.boxes, parity.corners), parity.plates


def check_reader_of(name: str, path: Path) -> tuple[float, int]:
    """A recogniser's largest difference, and how many texts were compared."""
    module = untrained(name)
    export_recogniser(module.network, path, module.predictor)
    exported = OnnxRecogniser(path, module.predictor, len(module.charset))
    read, reads = (
        Recogniser(network, module.predictor, module.charset)
        for network in (torch_recogniser(module.network), exported)
    )
    parity = check_recogniser(read, reads, generated_scenes(6))
    return parity.logits, parity.texts


if __name__ == "__main__":
    typer.run(main)

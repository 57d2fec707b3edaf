"""The networks of stored runs: detectors, recognisers, and both behind the reader's own code."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import torch

from alpr.detection.module import DetectorModule
from alpr.files import file_sha256
from alpr.reader.parts import Parts
from alpr.recognition.calibration import Calibration
from alpr.recognition.held_back import calibration_of
from alpr.recognition.module import RecogniserModule
from alpr.recognition.pretraining.module import DecoderPretraining, EncoderPretraining
from alpr.runs.checkpoints import RunError, best_checkpoint, kind_of, load, read_checkpoint, rebuilt
from alpr.task import TaskModule

OWN: tuple[type[TaskModule], ...] = (DetectorModule, RecogniserModule, EncoderPretraining, DecoderPretraining)
"""The networks of this package; any other is opened by its class."""


def load_detector(path: str | os.PathLike[str]) -> DetectorModule:
    """The detector of a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Raises:
        RunError: nothing there, another kind of model, or weights that do not fit.
    """
    return load(path, DetectorModule)


def load_recogniser(path: str | os.PathLike[str], *, calibrated: bool = True) -> RecogniserModule:
    """The recogniser of a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Args:
        calibrated: with the temperature and the thresholds of the calibration beside the weights, where there is one
            for just these weights. One for others is left out, and a warning says so.

    Raises:
        RunError: nothing there, another kind of model, weights that do not fit, or a damaged calibration.
    """
    module = load(path, RecogniserModule)
    if calibrated:
        _apply_calibration(module, best_checkpoint(path))
    return module


def load_module(path: str | os.PathLike[str], task: type[TaskModule] | None = None) -> TaskModule:
    """A network of any kind from a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Args:
        task: the class of a network of one's own; None for one of this package.

    Raises:
        RunError: nothing there, a kind that this package does not have, or weights that do not fit.
    """
    if task is not None:
        return load(path, task)
    checkpoint = read_checkpoint(best_checkpoint(path))
    kind = kind_of(checkpoint)
    task = next((own for own in OWN if own.kind == kind), None)
    if task is None:
        raise RunError(f"{path} holds the weights of a {kind}, which alpr does not have; name its class as task.")
    return rebuilt(path, checkpoint, task)


def _apply_calibration(module: RecogniserModule, checkpoint: Path) -> None:
    path = calibration_of(checkpoint)
    if not path.is_file():
        return
    try:
        found = Calibration.read(path)
        if found.checkpoint != file_sha256(checkpoint):
            warnings.warn(f"{path} is not of {checkpoint}; its scores stay uncalibrated.", stacklevel=3)
            return
        module.predictor = replace(
            module.predictor,
            temperature=found.temperature,
            threshold_99=None if found.threshold_99 is None else found.threshold_99.score,
            threshold_999=None if found.threshold_999 is None else found.threshold_999.score,
        )
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: {error}") from error
    module.hparams["predictor"] = asdict(module.predictor)


def load_reader(
    *,
    detector: str | os.PathLike[str] | None = None,
    recogniser: str | os.PathLike[str] | None = None,
    grammar: bool = False,
) -> Parts:
    """The predictor's own code over the networks of runs or checkpoints, on a GPU where there is one.

    Args:
        grammar: whether readings that fit no layout of the country give way to those that do.

    Raises:
        RunError: nothing there, another kind of model, or weights that do not fit.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = None if detector is None else load_detector(detector).to(device).detector()
    if recogniser is None:
        return Parts(found)
    module = load_recogniser(recogniser).to(device)
    return Parts(found, module.recogniser(grammar), module.pack.confusable)

"""Calibrates the recogniser of a run, or a lone one on data that are named; see `alpr.recognition.held_back`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from alpr.recognition.calibration import Calibration
from alpr.recognition.datamodule import RecognitionData, recognition_data
from alpr.recognition.held_back import Settings, calibrate_on, calibration_of
from alpr.recognition.mixture.short_words import PLATES
from alpr.recognition.module import RecogniserModule
from alpr.runs.checkpoints import RunError, best_checkpoint, load
from alpr.training.detected_corners import open_detector
from alpr.training.record import RUN_FILE, RunRecord

DATA = {PLATES: recognition_data}
"""The data of a stored run that hold plates back for a recogniser, by the name in its configuration."""


def calibrate_run(run: Path, settings: Settings, console: Console | None = None) -> Calibration:
    """Calibrates the best checkpoint of a run folder, or one file of weights, and writes what it found beside it.

    Args:
        console: where the progress bar is drawn; None for no bar.

    Raises:
        RunError: nothing there, no recogniser, or data that are not the run's.
        ValueError: data that cannot be used, or not one reading.
        OSError: a file that cannot be written.
    """
    checkpoint = best_checkpoint(run)
    module = load(checkpoint, RecogniserModule)
    data = held_back_data(calibration_of(checkpoint).parent, module, settings.data)
    return calibrate_on(data, checkpoint, module, settings, console)


def held_back_data(folder: Path, module: RecogniserModule, changed: Mapping[str, Any]) -> RecognitionData:
    """The data module of a run, or, of a lone file of weights, one of the data that are named.

    Raises:
        RunError: a lone file without data, or a run whose data have changed.
    """
    record = RunRecord.read(folder)
    if record is None:
        if "manifest" not in changed:
            raise RunError(f"{folder} holds no run.json that names the training data; give data.manifest=FILE.")
        size, margin = module.predictor.size, module.predictor.margin
        crop = {"size": size, "margin": margin}
        return recognition_data(country=module.pack.to_dict(), **{"crop": crop, "workers": 0, **changed})
    data = _stored_data({**record.config["data"], **changed}, folder / RUN_FILE)
    if "manifest" not in changed and data.manifests != record.manifests:
        raise RunError(
            f"{folder} was trained on {record.manifests}; now the data are {data.manifests}. Its held-back plates "
            f"may have been trained on. Give data.manifest=FILE to calibrate on other data."
        )
    data.prepare(folder, open_detector)  # what the training found there is read again
    return data


def _stored_data(settings: Mapping[str, Any], file: Path) -> RecognitionData:
    """Data from the settings that a run stored; they never choose what is called."""
    values = dict(settings)
    kind = values.pop("_target_", None)
    if kind not in DATA:
        raise RunError(f"{file}: data._target_ is {kind!r}; expected {' or '.join(DATA)}.")
    try:
        return DATA[kind](**values)
    except TypeError as error:  # an unknown key
        raise RunError(f"{file}: data: {error}.") from error

"""One training as `configs/train.yaml` describes it, alone or as a job of a sweep; one calibration."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from alpr.data.corrections import read_corrections
from alpr.recognition.held_back import PAGE_FILE, Settings, calibration_of, sentence
from alpr.runs.checkpoints import best_checkpoint
from alpr.task import TrainingFailed
from alpr.training.calibrate import calibrate_run
from alpr.training.configuration import plain_sentence
from alpr.training.fit import fit
from alpr.training.one_pass import fit_one_pass, is_one_pass


def run(config: DictConfig) -> float:
    """Trains and gives the figure that the run chose by, for sweeps. Leaves with 1 after a complaint."""
    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        config.output_dir = str(Path(job.sweep.dir) / job.sweep.subdir)
    try:
        return fit_one_pass(config) if is_one_pass(config) else fit(config)
    except (ValueError, OSError, TrainingFailed, HydraException, ModuleNotFoundError) as error:
        print(f"alpr train: {plain_sentence(error)}", file=sys.stderr)
        sys.exit(1)


def calibrate(config: DictConfig) -> None:
    """Calibrates one recogniser as `configs/calibrate.yaml` describes it. Leaves with 1 after a complaint."""
    data = {str(k): OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for k, v in config.data.items() if v}
    try:
        wrong = () if config.corrections is None else read_corrections(Path(config.corrections))
        settings = Settings(config.draws, config.plates, data, wrong)
        found = calibrate_run(Path(config.recogniser), settings, Console(stderr=True))
        written = calibration_of(best_checkpoint(config.recogniser))
    except (ValueError, OSError) as error:
        print(f"alpr calibrate: {plain_sentence(error)}", file=sys.stderr)
        sys.exit(1)
    print(f"{sentence(found)}\nWritten to {written} and {PAGE_FILE} beside it.")

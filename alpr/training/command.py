"""One training as `configs/train.yaml` describes it, alone or as a job of a sweep."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from alpr.task import TrainingFailed
from alpr.training.configuration import plain_sentence
from alpr.training.fit import fit


def run(config: DictConfig) -> float:
    """Trains and gives the figure that the run chose by, for sweeps. Leaves with 1 after a complaint."""
    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        config.output_dir = str(Path(job.sweep.dir) / job.sweep.subdir)
    try:
        return fit(config)
    except (ValueError, OSError, TrainingFailed, HydraException, ModuleNotFoundError) as error:
        print(f"train.py: {plain_sentence(error)}", file=sys.stderr)
        sys.exit(1)

"""Trains a detector or a recogniser and leaves a run folder: checkpoints, metrics.csv, run.json.

python train.py experiment=ccpd_green_detector data.root=datasets trainer.max_epochs=60
python train.py experiment=ccpd_green_recogniser resume=auto
python train.py -m experiment=ccpd_green_detector optim.lr=0.001,0.002,0.004
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> float:
    """One training; gives the figure that the run chose by, for sweeps. Leaves with 1 after a complaint."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode

    from alpr.task import TrainingFailed
    from alpr.training.configuration import plain_sentence
    from alpr.training.fit import fit

    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        config.output_dir = str(Path(job.sweep.dir) / job.sweep.subdir)
    try:
        return fit(config)
    except (ValueError, OSError, TrainingFailed, HydraException, ModuleNotFoundError) as error:
        print(f"train.py: {plain_sentence(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    from alpr.training.configuration import complaint_about

    complaint = complaint_about(sys.argv[1:], "train")
    if complaint is not None:
        sys.exit(f"train.py: {complaint}")
    main()

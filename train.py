"""Trains a detector or a recogniser and leaves a run folder: checkpoints, metrics.csv, run.json.

python train.py experiment=ccpd_green_detector data.root=datasets trainer.max_epochs=60
python train.py experiment=ccpd_green_recogniser resume=auto
python train.py -m experiment=ccpd_green_detector optim.lr=0.001,0.002,0.004
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import hydra

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported
from alpr.training.configuration import complaint_about, quoted_paths

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> float:
    """One training; gives the figure that the run chose by, for sweeps."""
    from alpr.training.command import run

    return run(config)


if __name__ == "__main__":
    sys.argv[1:] = quoted_paths(sys.argv[1:])
    complaint = complaint_about(sys.argv[1:], "train")
    if complaint is not None:
        sys.exit(f"train.py: {complaint}")
    main()

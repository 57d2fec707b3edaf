"""Trains a detector or a recogniser and leaves a run folder: checkpoints, metrics.csv, run.json.

python train.py experiment=ccpd_green_detector data.root=datasets trainer.max_epochs=60
python train.py experiment=ccpd_green_recogniser resume=auto
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import hydra

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> float:
    """One training; gives the figure that the run chose by, for sweeps. Leaves with 1 after a complaint."""
    from alpr.fitting import fit

    try:
        return fit(config)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    from alpr.configuration import complaint_about

    complaint = complaint_about(sys.argv[1:], "train")
    if complaint is not None:
        sys.exit(f"train.py: {complaint}")
    main()

"""Evaluates a bundle, runs or checkpoints over a manifest: a printed table, report.json and pages of pictures.

python evaluate.py model=model_bin/cn data.manifest=labels.csv data.split=val output=runs/evaluate/cn
python evaluate.py detector=runs/detector recogniser=runs/recogniser data.manifest=labels.csv
python evaluate.py model=model_bin/cn only=detector threads=1 data.manifest=labels.csv input_px=[320,448,640,960]
python evaluate.py model=model_bin/cn data.manifest=labels.csv crops=[corners,box] corrections=datasets/corrections.csv
python evaluate.py model=model_bin/cn protocol=ccpd2019 data.manifest=[splits/ccpd_db.txt,...] data.images=CCPD2019
python evaluate.py predictions=predictions.jsonl protocol=ccpd2019 data.manifest=labels.csv
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import hydra

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported
from alpr.training.configuration import complaint_about

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="configs/evaluate", config_name="config")
def main(config: DictConfig) -> None:
    """One evaluation; leaves with 1 after a complaint, with 130 after Ctrl-C, whose report is partial."""
    from alpr.evaluation.command import run

    try:
        sys.exit(0 if run(config) else 130)
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    complaint = complaint_about(sys.argv[1:], "evaluate")
    if complaint is not None:
        sys.exit(f"evaluate.py: {complaint}")
    main()

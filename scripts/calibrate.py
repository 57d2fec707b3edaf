"""Fits a recogniser's temperature and thresholds on held-back training plates; writes calibration.json and a page.

train.py does it at the end of every training; evaluate.py and export_onnx.py use what they find beside the weights.

python scripts/calibrate.py recogniser=runs/RECOGNISER
python scripts/calibrate.py recogniser=model_bin/cn/recogniser.safetensors data.root=datasets data.manifest=TABLE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported
from alpr.training.configuration import complaint_about

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="../configs", config_name="calibrate")
def main(config: DictConfig) -> None:
    """Calibrates one recogniser. Leaves with 1 after a complaint."""
    from omegaconf import OmegaConf
    from rich.console import Console

    from alpr.data.corrections import read_corrections
    from alpr.training.calibrate import PAGE_FILE, Settings, calibrate_run, sentence
    from alpr.training.configuration import plain_sentence
    from alpr.training.runs import best_checkpoint, calibration_of

    data = {str(k): OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for k, v in config.data.items() if v}
    try:
        wrong = () if config.corrections is None else read_corrections(Path(config.corrections))
        settings = Settings(config.draws, config.plates, data, wrong)
        found = calibrate_run(Path(config.recogniser), settings, Console(stderr=True))
        written = calibration_of(best_checkpoint(config.recogniser))
    except (ValueError, OSError) as error:
        print(f"calibrate.py: {plain_sentence(error)}", file=sys.stderr)
        sys.exit(1)
    print(f"{sentence(found)}\nWritten to {written} and {PAGE_FILE} beside it.")


if __name__ == "__main__":
    complaint = complaint_about(sys.argv[1:], "calibrate")
    if complaint is not None:
        sys.exit(f"calibrate.py: {complaint}")
    main()

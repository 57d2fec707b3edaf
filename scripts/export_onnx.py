"""Exports a detector and a recogniser as an ONNX bundle; parity holds or no file is written.

python scripts/export_onnx.py detector=runs/DETECTOR recogniser=runs/RECOGNISER output=model_bin/NAME
python scripts/export_onnx.py output=model_bin/NAME reader=true      # a bundle that exists gets its reader.onnx
python scripts/export_onnx.py output=model_bin/NAME report=REPORT    # or the figures of its own evaluation
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import hydra

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported
from alpr.training.configuration import complaint_about

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="../configs", config_name="export")
def main(config: DictConfig) -> None:
    """Exports one bundle. Leaves with 1 after a complaint."""
    from alpr.export.from_runs import bundle_runs
    from alpr.export.parity import ParityError

    try:
        bundle_runs(config)
    except (ValueError, OSError, ParityError) as error:
        print(f"export_onnx.py: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    complaint = complaint_about(sys.argv[1:], "export")
    if complaint is not None:
        sys.exit(f"export_onnx.py: {complaint}")
    main()

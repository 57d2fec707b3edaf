"""Small synthetic data and small networks, so that a whole training takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from alpr.country import CountryPack
from alpr.data.ccpd_folders import create_table
from alpr.data.synthetic.ccpd import SyntheticPlan, synthesize

REPOSITORY = Path(__file__).resolve().parent.parent

EVERY = (
    "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=2", "trainer.log_every_n_steps=2",
    "watch.checkpoint_steps=3", "data.workers=0", "model.predictor.size=[16,64]",
)  # fmt: skip
DETECTOR = (
    "experiment=ccpd_green_detector", *EVERY[:-1], "data.manifest=ccpd_green/alpr_dataset.csv", "data.canvas=[128,96]",
    "data.batch_size=2", "data.epoch_samples=24", "model.network.stem=[8,8]", "model.network.stage_blocks=[1,1,1,1]",
    "model.network.stage_widths=[8,8,16,16]", "model.network.neck_width=8", "model.network.head_convs=1",
    "model.network.head_width=8", "model.predictor.input_px=128", "model.predictor.score_threshold=0.01",
)  # fmt: skip
RECOGNISER = (
    "experiment=ccpd_green_recogniser", *EVERY, "data.manifest=ccpd_green/alpr_dataset.csv", "data.synthetic=2",
    "data.real=2", "data.epoch_samples=48", "model.network.stem_widths=[4,8,16]", "model.network.width=16",
    "model.network.heads=2", "model.network.encoder_layers=1", "model.network.dropout=0.2",
)  # fmt: skip
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "NO_ALBUMENTATIONS_UPDATE": "1",
    "WANDB_MODE": "offline",
}  # fmt: skip


def make_data(folder: Path) -> Path:
    """Twenty-four scenes of green plates with their table, all of them `train`."""
    pack = CountryPack.read(REPOSITORY / "configs" / "country" / "cn.yaml")
    synthesize(folder, SyntheticPlan(24, seed=3, green_share=1.0, val_share=0, test_share=0), pack, workers=1)
    create_table(folder / "ccpd_green")
    return folder


def command(settings: tuple[str, ...], data: Path, output: Path, *more: str) -> list[str]:
    """A command line that trains; later settings win."""
    latest = {s.split("=", 1)[0]: s for s in (*settings, f"data.root={data}", f"output_dir={output}", *more)}
    return [sys.executable, "train.py", *latest.values()]


def train(settings: tuple[str, ...], data: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Trains in a process of its own."""
    return subprocess.run(
        command(settings, data, output, *more), cwd=REPOSITORY, env=ENVIRONMENT, text=True, capture_output=True
    )

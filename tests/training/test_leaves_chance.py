"""A reader from nothing begins to read within the crops that its settings promise; a change that spoils this is told.

Trains with the real network and the settings of `experiment=synthetic_recogniser` on a country of digits and four
slots, which needs a tenth of the crops of a real country.
"""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import OmegaConf

from alpr.plates.country import CountryPack
from alpr.synthetic.crop_set import CropPlan, synthesize_crops
from alpr.training.configuration import composed
from alpr.training.fit import fit

CROPS = 5_120  # three quarters of a minute on one core
DIGITS = {
    "code": "ZZ",
    "name": "Digits",
    "alphabet": "0123456789",
    "classes": {"D": "0123456789"},
    "layouts": [
        {
            "name": name,
            "pattern": pattern,
            "background": "#f2f2ee",
            "foreground": "#101010",
            "size_mm": size,
            "character_mm": [80, 50],
            "gap_mm": 14,
            "fonts": [["plate", 1.0]],
            "share": share,
        }
        for name, pattern, size, share in (
            ("one row", "DDDD", [120, 320], 1.0),
            ("two rows", "DD/DD", [220, 200], 0.3),  # a run of one-row plates must not pay for these
        )
    ],
}


def test_four_digits_leave_chance(tmp_path: Path) -> None:
    pack = CountryPack.from_dict(DIGITS)
    synthesize_crops(tmp_path, CropPlan(200, seed=99), pack, workers=1)
    config = composed(
        "train",
        [
            "experiment=synthetic_recogniser", f"data.root={tmp_path}", "data.manifest=labels.csv",
            f"data.epoch_samples={CROPS}", f"output_dir={tmp_path / 'run'}", "trainer.max_epochs=1",
            "trainer.accelerator=cpu", "data.workers=0", "calibration_draws=null", "optim.warmup=0.1",
        ],
    )  # fmt: skip
    OmegaConf.set_struct(config, False)
    config.country = pack.to_dict()
    fit(config)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    left = record["result"]["left_chance_after"]
    assert left is not None and left <= CROPS, record["result"]

"""`alpr train`, `evaluate`, `export` and `calibrate`: overrides go through to Hydra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import scene, write_bundle
from tiny_runs import ENVIRONMENT, REPOSITORY, Scripts

from alpr.data.manifest import Manifest
from alpr.evaluation.command import rename
from alpr.training.configuration import composed

ALPR = "alpr/__main__.py"


@pytest.mark.parametrize("verb", ["train", "evaluate", "export", "calibrate"])
def test_hydra_prints_the_configuration(verb: str, scripts: Scripts) -> None:
    given = {"train": ["experiment=ccpd_green_detector"], "evaluate": ["bundle=cn"]}
    done = scripts.run(ALPR, [verb, *given.get(verb, []), "--cfg", "job"])
    assert (done.code == 0 and "recogniser: " in done.text) or "experiment" not in done.text, done.text
    assert "Traceback" not in done.text


def test_a_bundle_is_evaluated_under_both_names(tmp_path: Path, scripts: Scripts) -> None:
    import cv2
    import numpy as np

    write_bundle(tmp_path / "tiny")
    cv2.imwrite(str(tmp_path / "a.png"), scene("B3", (30, 40)))
    quad = np.array([[30, 40], [150, 40], [150, 70], [30, 70]], float)
    Manifest.of(tmp_path, ["a.png"], corners=[quad], text=["B3"]).write(tmp_path / "a.csv")
    shared = [f"data.manifest={tmp_path / 'a.csv'}", "threads=1", "drawn=0", "worst=0"]
    for key in ("bundle", "model"):
        output = tmp_path / key
        done = scripts.run(ALPR, ["evaluate", f"{key}={tmp_path / 'tiny'}", f"output={output}", *shared])
        assert done.code == 0, done.text
        assert ("Note: model= is called bundle= now." in done.text) == (key == "model")
        report = (output / "report.json").read_text(encoding="utf-8")
        settings = json.loads(report)["made_with"]["settings"]
        assert '"text": "B3"' in report and '"slots"' not in report
        assert settings["bundle"] == str(tmp_path / "tiny") and settings["model"] is None


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="bundle=a and model=b are both given"):
        rename(composed("evaluate", ["bundle=a", "model=b", "data.manifest=c.csv"]))


def test_a_preview_is_drawn(tmp_path: Path, tiny_data: Path) -> None:
    words = ["data", "preview", "experiment=ccpd_green_detector", "n=2", f"output={tmp_path / 'p.jpg'}"]
    words += [f"data.root={tiny_data}", "data.manifest=ccpd_green/alpr_dataset.csv", "data.canvas=[128,96]"]
    command = [sys.executable, "-m", "alpr", *words]
    done = subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and "2 canvases of 96x128 px" in done.stdout, done.stderr
    assert (tmp_path / "p.jpg").is_file()

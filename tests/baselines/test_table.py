"""The table of older methods is what its kept figures say, and a new report gets in by the one command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr.reports.charts import points_picture


def written(docs: Path, root: Path) -> str:
    command = [
        sys.executable,
        str(REPOSITORY / "tools" / "baselines_table.py"),
        "--docs",
        str(docs),
        "--root",
        str(root),
    ]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (docs / "baselines.md").read_text(encoding="utf-8")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    shutil.copytree(REPOSITORY / "docs" / "baselines", folder / "baselines")
    shutil.copy(REPOSITORY / "docs" / "baselines.md", folder)
    return folder


def test_the_document_and_its_pictures_are_what_was_kept(docs: Path, tmp_path: Path) -> None:
    assert written(docs, tmp_path) == (REPOSITORY / "docs" / "baselines.md").read_text(encoding="utf-8")
    for name in yaml.safe_load((docs / "baselines" / "rows.yaml").read_text(encoding="utf-8"))["sets"]:
        drawn, committed = (folder / "baselines" / f"{name}.svg" for folder in (docs, REPOSITORY / "docs"))
        assert drawn.read_bytes() == committed.read_bytes(), name


def test_a_new_report_takes_the_place_of_what_was_kept(docs: Path, tmp_path: Path) -> None:
    report = {
        "figures": [{"name": "found_50", "value": 0.123}],
        "images": 3,
        "plates": [{}, {}],
        "detection": {"false_positives_per_image": 7.5},
        "ms": {"decode": 1.0, "detect": 40.0, "read": 2.0},
        "made_with": {"device": "a processor", "commit": "abc"},
        "model": {"name": "Sobel"},
    }
    folder = tmp_path / "runs" / "baselines" / "green" / "sobel"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert "| Sobel and closing | 12.3 |  | 7.50 |  | 42 |  |  |" in written(docs, tmp_path)


def test_points_stand_by_their_logarithm() -> None:
    drawn = points_picture({"slow <&": (100.0, 50.0), "fast": (10.0, 90.0)}, title="t", unit=" %")
    assert "slow &lt;&amp;" in drawn and drawn.count("<circle") == 2
    with pytest.raises(ValueError, match="expected points with an x above 0"):
        points_picture({"a": (0.0, 1.0)}, title="t")

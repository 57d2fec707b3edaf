"""`slices=[...]`: any column of the table, the properties of plates, and a complaint about what is neither."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import scene as draw_scene
from tiny_bundle import write_bundle
from tiny_runs import Scripts

from alpr.data.manifest import Manifest
from alpr.evaluation.comparison import read_evaluated
from alpr.evaluation.outcomes import records_in
from alpr.evaluation.slices import columns_of, slices_named


def table(folder: Path) -> Manifest:
    """Two plates in an image, an empty image, and one more plate."""
    box = np.array([[0, 0, 50, 20], [60, 0, 110, 20], [np.nan] * 4, [0, 0, 50, 20]], np.float64)
    return Manifest.of(
        folder,
        ["a.png", "a.png", "empty.png", "b.png"],
        text=["A1", "B2", "", "C3"],
        box=box,
        note=["dirty", "", "", "clean"],
        extra={"rows": ["2", "1", "", "1"], "subset": "x"},
    )


def test_the_cells_of_each_plate_in_the_order_of_its_scene(tmp_path: Path) -> None:
    columns = columns_of(table(tmp_path), ["rows", "note", "country", "plate width", "subset"])
    assert columns == {
        tmp_path / "a.png": [{"rows": "2", "note": "dirty"}, {"rows": "1", "note": ""}],
        tmp_path / "b.png": [{"rows": "1", "note": "clean"}],
    }
    assert columns_of(table(tmp_path), ["country"]) == {}


def test_a_name_may_have_underscores_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    assert slices_named(["rows", "plate_width", "rows"], table(tmp_path)) == ["rows", "plate width"]
    with pytest.raises(ValueError, match=r"slices has 'colour'; expected some of split, country, .*rows"):
        slices_named(["colour"], table(tmp_path))


def test_the_command_slices_by_a_column_and_old_reports_are_still_read(tmp_path: Path, scripts: Scripts) -> None:
    for name, text in {"a.png": "皖A12", "b.png": "皖B34"}.items():
        cv2.imwrite(str(tmp_path / name), draw_scene(text))
    labels = Manifest.of(
        tmp_path, ["a.png", "b.png"], text=["皖A12", "皖B35"], box=np.array([[200, 120, 320, 150.0]] * 2),
        extra={"rows": ["1", "2"]},
    )  # fmt: skip
    labels.write(tmp_path / "labels.csv")
    bundle, out = write_bundle(tmp_path / "tiny"), tmp_path / "out"
    done = scripts.run(
        "evaluate.py",
        [f"bundle={bundle}", f"data.manifest={tmp_path / 'labels.csv'}", "slices=[rows,text]", f"output={out}"],
    )
    assert done.code == 0, done.text
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    read = [(s["by"], s["value"], s["figures"]["end_to_end_50"]) for s in report["slices"]]
    assert read == [("rows", "1", 1), ("rows", "2", 0), ("text", "皖A12", 1), ("text", "皖B35", 0)]
    assert "By rows" in done.text and "By rows" in (out / "report.html").read_text(encoding="utf-8")
    assert max(map(len, (line for line in done.text.splitlines() if str(tmp_path) not in line))) <= 80
    plate = report["plates"][0]
    assert "hull_iou" in plate and records_in([plate])[0].iou == plate["hull_iou"] > 0.5
    old = {key: value for key, value in plate.items() if key != "column"}  # as reports were before
    report["plates"] = [old]
    (out / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert read_evaluated(out).outcomes["found_50"] == {("", plate["image"], 0): True}

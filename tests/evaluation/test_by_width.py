"""Recall by plate width: intervals by a book's numbers, bins by hand, and evaluate.py over several input sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from tiny_bundle import scene, write_bundle

from alpr.data.manifest import Manifest
from alpr.detection.settings import DetectorSettings
from alpr.evaluation.by_width import curve_svg, curve_table, curves_of, recall_curve, write_curves
from alpr.evaluation.outcomes import PlateRecord

_NUMBER = count()


def record(width: float | None, iou: float | None) -> PlateRecord:
    return PlateRecord(f"{next(_NUMBER)}.png", 0, ".", input_width_px=width, iou=iou)


def test_bins_hold_their_lower_edge_and_count_what_was_looked_for() -> None:
    records = [record(12, 0.6), record(15.9, 0.5), record(16, 0.9), record(7, 0.0), record(999, 1.0)]
    curve = recall_curve([*records, record(None, 0.9), record(20, None)], 320)
    counted = {b.label: (b.share.found, b.share.plates) for b in curve.bins if b.share.plates}
    assert counted == {"0-8": (0, 1), "12-16": (1, 2), "16-24": (1, 1), ">= 256": (1, 1)}
    assert (curve.whole.found, curve.whole.plates) == (3, 5)


def test_table_picture_and_file_say_the_same(tmp_path: Path) -> None:
    curves = [recall_curve([record(12, 0.6), record(13, 0.2)], 320, 4.25), recall_curve([record(24, 0.6)], 640)]
    table = curve_table(curves)
    assert "| 12-16 | 50.0 % of 2, 9 to 91 | - |" in table and "| 24-32 | - | 100.0 % of 1, 21 to 100 |" in table
    assert "| ms per image, measured beside | 4.2 | - |" in table and "48-64" not in table
    write_curves(curves, tmp_path, {"commit": "abc"})
    kept = json.loads((tmp_path / "recall_by_width.json").read_text(encoding="utf-8"))
    assert curves_of(kept) == curves and kept["made_with"] == {"commit": "abc"}
    picture = ElementTree.fromstring(curve_svg(curves))
    texts = [e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"320 px", "640 px", "12-16", "16-24", "24-32", "100 %"} <= set(texts)
    points = [c for c in picture.iter("{http://www.w3.org/2000/svg}circle") if c.findtext("{*}title")]
    assert [p.findtext("{*}title") for p in points] == [
        "320 px: 50 % at 12-16, 9.45 to 90.5",
        "640 px: 100 % at 24-32, 20.7 to 100",
    ]
    assert float(points[0].attrib["cy"]) > float(points[1].attrib["cy"])  # 50 % stands below 100 %
    assert "var(" not in curve_svg(curves)  # a program for pictures knows no variables
    ElementTree.fromstring(curve_svg([recall_curve([], 320)]))


def test_evaluate_at_several_sizes_writes_a_report_each_and_the_curve(repository: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny", DetectorSettings(input_px=320))
    manifests = []
    for name, plate in (("near", 120), ("far", 40)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), scene("皖A12", plate=plate))
        box = np.array([[200, 120, 200 + plate, 120 + plate // 4]], float)
        manifests.append(tmp_path / name / "labels.csv")
        Manifest.of(tmp_path / name, ["a.png"], text="皖A12", box=box).write(manifests[-1])
    command = [sys.executable, "-m", "alpr", "evaluate", f"bundle={bundle}", "input_px=[320,640]", "threads=1",
               f"data.manifest=[{manifests[0]},{manifests[1]}]", f"output={tmp_path / 'out'}"]  # fmt: skip
    ran = subprocess.run(list(map(str, command)), cwd=repository, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    curves = curves_of(json.loads((tmp_path / "out" / "recall_by_width.json").read_text(encoding="utf-8")))
    assert [c.input_px for c in curves] == [320, 640]
    widths = [[b.label for b in c.bins if b.share.plates] for c in curves]
    assert widths == [["24-32", "64-96"], ["48-64", "128-192"]]  # 40 and 120 px of 480
    assert all(c.detector_ms for c in curves)
    report = json.loads((tmp_path / "out" / "640px" / "report.json").read_text(encoding="utf-8"))
    assert report["model"]["input_px"] == "640" and report["made_with"]["versions"]["onnxruntime"]
    sliced = {s["value"]: s for s in report["slices"] if s["by"] == "manifest"}
    assert sliced.keys() == {"near", "far"} and sliced["near"]["figures"]["found_50"] == 1
    assert (tmp_path / "out" / "320px" / "detections.jpg").is_file()

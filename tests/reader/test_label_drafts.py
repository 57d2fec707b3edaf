"""Drafts for labelling tools: their order, their reasons, and the way back through an edited draft."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.data.importers.formats import FORMATS, guess
from alpr.data.importers.labels import Wanted
from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.plates.country import CountryPack
from alpr.plates.records import Detection, PlateReading, Reading
from alpr.reader.label_drafts import MISFIT, NOTHING_FOUND, Draft, Drafting, doubt_about

CORNERS = np.array([[10, 10], [50, 12], [50, 24], [10, 22]], np.float32)


def plate(text: str, score: float, found: float = 0.9) -> PlateReading:
    box = np.array([10, 10, 50, 24], np.float32)
    return PlateReading(Detection(CORNERS, box, found), Reading(text, score, (score,) * len(text)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and photographs with a plate, without one, and one that is no image."""
    root = tmp_path_factory.mktemp("drafts")
    write_bundle(root / "tiny")
    (root / "photos" / "sub").mkdir(parents=True)
    cv2.imwrite(str(root / "photos" / "a.png"), scene("皖A12", size=(480, 640)))
    (root / "photos" / "b.jpg").write_text("no image")
    cv2.imwrite(str(root / "photos" / "c.png"), np.full((60, 80, 3), 90, np.uint8))
    cv2.imwrite(str(root / "photos" / "sub" / "a.png"), scene("B3", (30, 40)))
    return root


def draft(folder: Path, form: str, target: Path, *more: str) -> Result:
    paths = ["predict", str(folder / "photos"), "--bundle", str(folder / "tiny"), "--threads", "1"]
    return CliRunner().invoke(app, [*paths, "--drafts", form, "--drafts-folder", str(target), *more])


def test_what_is_doubtful(china: CountryPack) -> None:
    sure = doubt_about([plate("皖A12345", 0.99)], 0.4, china)
    assert sure.value == pytest.approx(0.01) and sure.reasons == ()
    unsure = doubt_about([plate("皖A12345", 0.99), plate("皖A12346", 0.35)], 0.4, china)
    assert unsure.value == pytest.approx(0.65) and unsure.reasons == ("plate 2: 皖A12346 with a score of 0.35",)
    faint = doubt_about([plate("皖A12345", 0.99, found=0.3)], 0.4, china)
    assert faint.value == pytest.approx(1 - 0.3 / 0.8) and "found with 0.30, the threshold is 0.40" in faint.reasons[0]
    misfit = doubt_about([plate("A1", 0.99)], 0.4, china)
    assert misfit.value == MISFIT and misfit.reasons == ("plate 1: A1 fits no layout of China",)
    assert doubt_about([], 0.4, china) == (NOTHING_FOUND, ("no plate was found",))


@pytest.mark.parametrize("form", ["labelme", "cvat", "coco"])
def test_drafts_come_back_as_they_were_written(folder: Path, tmp_path: Path, form: str) -> None:
    result = draft(folder, form, tmp_path / "out")
    assert result.exit_code == 1 and "3 drafts" in result.stderr  # 1: one photograph could not be read
    with (tmp_path / "out" / "review.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    doubts = [float(row["doubt"]) for row in rows if row["doubt"]]
    assert len(doubts) == 3 and doubts == sorted(doubts, reverse=True)
    assert rows[-1]["order"] == "" and "b.jpg" in rows[-1]["reasons"]
    assert guess(tmp_path / "out") == form
    back = FORMATS[form].read(tmp_path / "out", Wanted()).manifest
    assert sorted(Path(image).name[:6] for image in back.image) == ["00000_", "00001_", "00002_"]
    by_text = {text: back.corners[i] for i, text in enumerate(back.text)}
    assert by_text["皖A12"] == pytest.approx(np.array([[200, 120], [320, 120], [320, 150], [200, 150]]))
    assert sum(np.isfinite(back.corners).all(axis=(1, 2))) == 2
    for row in range(back.rows):
        source = Path(rows[int(Path(back.image[row]).name[:5])]["image"])
        assert back.path(row).resolve() == source.resolve(), "drafts do not stand in the order of review.csv"


def test_what_was_edited_is_what_comes_back(folder: Path, tmp_path: Path) -> None:
    """A text corrected, a corner moved and a plate added in labelme; a text in CVAT."""
    draft(folder, "labelme", tmp_path / "labelme")
    (path,) = (p for p in (tmp_path / "labelme").glob("*.json") if "皖A12" in p.read_text(encoding="utf-8"))
    content = json.loads(path.read_text(encoding="utf-8"))
    content["shapes"][0]["description"] = "皖B12"
    content["shapes"][0]["points"][0] = [198.5, 121.25]
    content["shapes"].append({**content["shapes"][0], "points": CORNERS.tolist(), "description": "A5"})
    path.write_text(json.dumps(content), encoding="utf-8")
    back = FORMATS["labelme"].read(tmp_path / "labelme", Wanted(country="CN")).manifest
    rows = {text: i for i, text in enumerate(back.text)}
    assert back.corners[rows["皖B12"]][0].tolist() == [198.5, 121.25] and "皖A12" not in rows
    assert back.corners[rows["A5"]] == pytest.approx(CORNERS) and back.country[rows["A5"]] == "CN"
    draft(folder, "cvat", tmp_path / "cvat")
    tree = ElementTree.parse(tmp_path / "cvat" / "annotations.xml")
    for attribute in tree.iter("attribute"):
        if attribute.text == "皖A12":
            attribute.text = "皖B12"
    tree.write(tmp_path / "cvat" / "annotations.xml", encoding="utf-8")
    assert "皖B12" in FORMATS["cvat"].read(tmp_path / "cvat", Wanted()).manifest.text


def test_corrected_labels_are_never_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    result = draft(folder, "labelme", tmp_path)
    assert result.exit_code == 2 and "holds something; drafts go into a new or empty folder" in result.stderr


def test_faint_plates_are_drafted_but_not_printed(tmp_path: Path, china: CountryPack) -> None:
    drafting = Drafting("labelme", tmp_path / "out", china)
    drafting._detector = Detector(lambda batch: (batch, batch, batch), DetectorSettings(score_threshold=0.4))
    found = [plate("皖A12345", 0.9, found=0.5), plate("皖A12346", 0.9, found=0.3)]
    assert drafting.add(tmp_path / "a.png", found) == found[:1]
    assert [len(each.plates) for each in drafting.drafts] == [2] and isinstance(drafting.drafts[0], Draft)


def test_symbols_that_the_country_does_not_print_are_left_out(folder: Path, tmp_path: Path) -> None:
    brazil = Path(__file__).resolve().parents[2] / "configs" / "country" / "br.yaml"
    draft(folder, "labelme", tmp_path / "out", "--country", str(brazil))
    back = FORMATS["labelme"].read(tmp_path / "out", Wanted()).manifest
    assert "A12" in back.text and not any("皖" in text for text in back.text)

"""Drafts that nobody reviewed are no labels, unless they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import REPOSITORY

from alpr.data.columns import ManifestError
from alpr.data.several_tables import read_manifest, read_sources
from alpr.detection.datamodule import DetectionData

HEAD = "image,text,country,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y,split,note,reviewed\n"


def table(path: Path, *rows: tuple[str, str]) -> Path:
    cells = [f"{image},AB12,CN,1,1,9,5,,,,,,,,,train,,{reviewed}\n" for image, reviewed in rows]
    path.write_text(HEAD + "".join(cells), encoding="utf-8")
    return path


def test_photographs_with_a_draft_are_left_out_whole(tmp_path: Path) -> None:
    done = "2026-01-01T10:00:00Z"
    path = table(tmp_path / "studio.csv", ("a.jpg", done), ("b.jpg", ""), ("b.jpg", done), ("c.jpg", done))
    manifest = read_manifest(path)
    assert manifest.image == ["a.jpg", "c.jpg"]
    assert [(r.row, r.image) for r in manifest.rejected] == [(3, "b.jpg"), (4, "b.jpg")]
    assert "not yet reviewed" in manifest.rejected[0].reason
    assert read_manifest(path, unreviewed=True).rows == 4
    assert read_manifest(path, strict=True).rows == 2  # a draft is no fault
    (source,) = read_sources([([path], ["train"])])
    assert source.image == ["a.jpg", "c.jpg"]
    assert read_sources([([path], ["train"])], unreviewed=True)[0].rows == 4


def test_a_table_of_drafts_alone_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "studio.csv", ("a.jpg", ""), ("b.jpg", ""))
    with pytest.raises(ManifestError, match=r"not one photograph is reviewed, all 2 rows.*data\.unreviewed=true"):
        read_manifest(path)


def test_the_detector_trains_on_drafts_only_where_asked(tmp_path: Path) -> None:
    rows = [(f"{i}.jpg", "2026-01-01T10:00:00Z" if i % 2 else "") for i in range(60)]
    given = {"manifest": "studio.csv", "root": str(tmp_path), "holdout_fold": 0}
    path = table(tmp_path / "studio.csv", *rows)
    text = path.read_text(encoding="utf-8").replace(",AB12,", ",,")  # folds go by the images then
    path.write_text(text, encoding="utf-8")

    def scenes(data: DetectionData) -> int:
        return sum(len(source.train) + len(source.held) for source in data.sources)

    assert scenes(DetectionData(**given)) == 30
    assert scenes(DetectionData(**given, unreviewed=True)) == 60


@pytest.mark.parametrize("name", ["plates", "scenes"])
def test_the_configurations_have_the_key(name: str) -> None:
    assert "unreviewed: false" in (REPOSITORY / "configs" / "data" / f"{name}.yaml").read_text(encoding="utf-8")

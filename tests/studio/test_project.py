"""The studio's table: what it holds after every change, what it never touches, and whose work is not lost."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_video import plate_at

from alpr import files
from alpr.data.columns import COLUMNS
from alpr.data.several_tables import read_manifest
from alpr.files import NotWritten
from alpr.plates.country import CountryPack
from alpr.reader.reader import Reader
from alpr.studio.drafts import draft_labels
from alpr.studio.labels import Label
from alpr.studio.listing import Query, listed
from alpr.studio.project import Conflict, Draft, Photo, Project, project_table, wants_draft
from alpr.studio.readings import Readings, Summary

QUAD = ((10.0, 20.0), (60.0, 22.5), (60.0, 40.0), (10.0, 38.0))
PLATE = Label("AB12", "CN", QUAD)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(path: Path, *cells: dict[str, str]) -> Path:
    names = list(dict.fromkeys((*COLUMNS, *(name for row in cells for name in row))))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(cells)
    return path


def of_folder(folder: Path) -> Project:
    return Project(folder / "studio.csv", images=[folder / "a.jpg", folder / "b.jpg"])


def test_a_change_is_in_the_table_at_once(tmp_path: Path) -> None:
    project = of_folder(tmp_path)
    assert not project.table.exists()  # who only looks leaves nothing behind
    photo = project.change(1, 0, [PLATE, Label("X", kind="ignore", corners=QUAD, rows="2")], known=True, reviewed=False)
    first, second = rows(project.table)
    assert (first["image"], first["text"], first["tr_y"], first["reviewed"]) == ("b.jpg", "AB12", "22.5", "")
    assert (second["kind"], second["rows"], photo.revision) == ("ignore", "2", 1)
    photo = project.change(1, 1, photo.labels, known=True, reviewed=True)
    assert {row["reviewed"] for row in rows(project.table)} == {photo.reviewed} and photo.reviewed.endswith("Z")
    assert project.change(1, 2, photo.labels, known=True, reviewed=True).reviewed == photo.reviewed
    project.change(0, 0, [], known=True, reviewed=False)
    manifest = read_manifest(project.table, unreviewed=True)
    assert manifest.image == ["a.jpg", "b.jpg", "b.jpg"] and manifest.plate(0) is None
    project.change(0, 1, [], known=False, reviewed=False)
    assert [row["image"] for row in rows(project.table)] == ["b.jpg", "b.jpg"]
    again = of_folder(tmp_path)
    assert [photo.known for photo in again.photos] == [True, False]  # those of the table come first
    assert again.photos[0].labels == project.photos[1].labels and again.photos[0].reviewed == photo.reviewed


def test_the_original_stays_and_its_other_columns_are_kept(tmp_path: Path) -> None:
    original = table(
        tmp_path / "labels.csv",
        {
            "image": "a.jpg",
            "text": "AB12",
            "x1": "1",
            "y1": "2",
            "x2": "30",
            "y2": "9",
            "split": "val",
            "camera": "east",
        },
        {"image": "b.jpg", "split": "train", "camera": "west"},
        {"image": "c.jpg", "text": "x", "x1": "oops"},
    )
    before = original.read_bytes()
    assert project_table(original) == tmp_path / "labels.studio.csv"
    assert project_table(project_table(original)) == project_table(original)
    project = Project(project_table(original), original)
    assert len(project.photos) == 2 and "oops" in project.rejected[0]
    moved = replace(project.photos[0].labels[0], corners=QUAD)
    project.change(0, 0, [moved], known=True, reviewed=True)
    first, second = rows(project.table)
    assert original.read_bytes() == before
    assert (first["camera"], first["split"], first["x2"], first["y2"]) == ("east", "val", "60", "40")  # the new hull
    assert (second["camera"], second["split"], second["text"], second["reviewed"]) == ("west", "train", "", "")


def test_two_pages_do_not_lose_each_others_work(tmp_path: Path) -> None:
    project = of_folder(tmp_path)
    project.change(0, 0, [PLATE], known=True, reviewed=False)
    with pytest.raises(Conflict):
        project.change(0, 0, [], known=True, reviewed=True)
    assert project.photos[0].labels == (PLATE,) and rows(project.table)[0]["text"] == "AB12"


def test_two_studios_do_not_lose_each_others_work(tmp_path: Path) -> None:
    one, other = of_folder(tmp_path), of_folder(tmp_path)
    one.change(0, 0, [PLATE], known=True, reviewed=False)
    other.change(1, 0, [replace(PLATE, text="B")], known=True, reviewed=False)
    assert [(row["image"], row["text"]) for row in rows(one.table)] == [("a.jpg", "AB12"), ("b.jpg", "B")]
    with pytest.raises(Conflict):
        one.change(1, 0, [], known=True, reviewed=False)
    assert one.photos[1].labels[0].text == "B"


def test_what_cannot_be_written_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = of_folder(tmp_path)
    project.change(0, 0, [PLATE], known=True, reviewed=False)
    before = project.table.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(NotWritten):
        project.change(0, 1, [], known=True, reviewed=False)
    assert project.photos[0].labels == (PLATE,) and project.photos[0].revision == 1
    assert project.table.read_bytes() == before


@pytest.mark.parametrize(
    "label",
    [
        Label("AB", corners=(QUAD[1], QUAD[0], QUAD[3], QUAD[2])),
        Label("A\nB"),
        Label(),
        Label("A", kind="ignore"),
        Label("A", rows="3"),
        Label("A", corners=((0.0, 0.0), (1e9, 0.0), (1e9, 1e9), (0.0, 1e9))),
        Label("A" * 100),
    ],
)
def test_labels_that_no_table_can_hold_are_refused(tmp_path: Path, label: Label) -> None:
    project = of_folder(tmp_path)
    with pytest.raises(ValueError, match=r"Plate 1"):
        project.change(0, 0, [label], known=True, reviewed=False)
    assert not project.table.exists()


def test_hostile_texts_come_back_as_they_were(tmp_path: Path) -> None:
    texts = ["=1+1", '"><img src=x onerror=1>', "a,b;c", "'", "|"]
    project = of_folder(tmp_path)
    project.change(0, 0, [replace(PLATE, text=text) for text in texts], known=True, reviewed=True)
    assert [label.text for label in of_folder(tmp_path).photos[0].labels] == texts


def test_drafts_fill_what_is_empty_alone(tmp_path: Path) -> None:
    project = of_folder(tmp_path)
    project.change(1, 0, [PLATE], known=True, reviewed=False)
    assert [wants_draft(photo) for photo in project.photos] == [True, False]
    found = (replace(PLATE, text="DRAFT"),)
    assert project.draft([Draft(0, found, 0.75, "why"), Draft(1, found, 0.5, "")]) == 1
    first, second = rows(project.table)
    assert (first["text"], first["doubt"], first["reasons"], first["reviewed"]) == ("DRAFT", "0.750", "why", "")
    assert second["text"] == "AB12"
    assert of_folder(tmp_path).photos[0].doubt == 0.75


def test_texts_without_a_place_keep_their_texts(tmp_path: Path) -> None:
    def no_bundle() -> Reader:
        raise AssertionError("nothing is read here")

    plates = [plate_at("ZZ98", 300), plate_at("KA12", 100), plate_at("NEW1", 500)]
    known = Photo(0, "a.jpg", tmp_path / "a.jpg", (Label("KA12B"), Label("ZZ99")), True)
    labels = draft_labels(known, plates, Readings(no_bundle))
    assert [label.text for label in labels] == ["KA12B", "ZZ99", "NEW1"]
    assert [label.corners and label.corners[0][0] for label in labels] == [60.0, 260.0, 460.0]


def test_lists_are_narrowed_and_ordered(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a10.jpg", "a2.jpg", "sub/c.jpg")]
    project = Project(tmp_path / "studio.csv", images=images)
    project.change(1, 0, [PLATE, replace(PLATE, text="Q9")], known=True, reviewed=True)
    project.draft([Draft(2, (replace(PLATE, country="VN"),), 0.25, "")])
    read = {0: Summary((), (), float("nan"), 0.9), 2: Summary(("XY",), ("DE",), 0.4, 0.6)}

    def numbers(**asked: object) -> list[int]:
        return listed(project, read, Query(**asked))  # type: ignore[arg-type]

    assert numbers() == [1, 0, 2] and numbers(order="doubt") == [0, 2, 1] and numbers(order="score")[0] == 2
    assert numbers(text="q9") == [1] and numbers(text="xy") == [2] and numbers(text="A10") == [0]
    assert numbers(country="DE") == [2] and numbers(country="CN") == [1] and numbers(source="folder sub") == [2]
    assert numbers(low=0.3, high=0.5) == [2] and numbers(low=0.5) == []
    states = {"reviewed": [1], "draft": [2], "unlabelled": [0], "nothing found": [0], "several": [1], "not read": [1]}
    assert {state: numbers(state=state) for state in states} == states
    with pytest.raises(ValueError, match="none of"):
        numbers(state="odd")


def test_a_given_country_is_every_drafts_country(tmp_path: Path) -> None:
    def no_bundle() -> Reader:
        raise AssertionError("nothing is read here")

    readings = Readings(no_bundle, CountryPack.find("vn"))
    plate = plate_at("59T1", 300)
    plate = replace(plate, reading=replace(plate.reading, country="BR", country_score=0.9))
    (label,) = draft_labels(Photo(0, "a.jpg", tmp_path / "a.jpg"), [plate], readings)
    assert (label.country, label.text) == ("VN", "59T1")

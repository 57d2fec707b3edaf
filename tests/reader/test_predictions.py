"""Predictions as JSON lines: a round trip, malformed lines by their number, and which line is which image's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hand_scored import LABEL, given, labels, name_of, plate, predictions

from alpr.evaluation.protocols.report import protocol_report, report_values
from alpr.evaluation.protocols.rules import Protocol
from alpr.reader.predictions import Predicted, PredictionsError, assigned, read_predictions, write_predictions

GOOD = {"image": "a.jpg", "plates": [{"box": [0, 0, 10, 5], "score": 0.9, "text": "皖A12345", "text_score": 0.8}]}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_what_is_written_is_read_and_scores_the_same(tmp_path: Path) -> None:
    write_predictions(predictions(), tmp_path / "p.jsonl")
    again = read_predictions(tmp_path / "p.jsonl")
    assert [p.image for p in again] == [p.image for p in predictions()]
    protocol, manifest = Protocol.read("ccpd2019"), labels(Path("/p"))
    one, other = (report_values(protocol_report(protocol, manifest, p)) for p in (predictions(), again))
    assert one == other and one["figures"]


def test_a_system_without_corners_or_without_texts_is_read(tmp_path: Path) -> None:
    only_box = GOOD | {"plates": [{"box": [0, 0, 10, 5], "score": 1}]}
    corners = GOOD | {"image": "b.jpg", "plates": [{"corners": [[0, 0], [10, 1], [10, 6], [0, 5]], "score": 1}]}
    found = read_predictions(write(tmp_path / "p.jsonl", json.dumps(only_box), "", json.dumps(corners)))
    assert found[0].plates[0].detection.corners.tolist() == [[0, 0], [10, 0], [10, 5], [0, 5]]
    assert found[1].plates[0].detection.box.tolist() == [0, 0, 10, 6]
    assert found[0].plates[0].reading.text == "" and found[1].line == 3


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "this is no JSON"),
        ("[1]", r"the line is \[1\]; expected a mapping"),
        ('{"plates": []}', "missing image; expected the keys image, plates"),
        ('{"image": "b.jpg"}', "plates is missing; expected a list"),
        ('{"image": "b.jpg", "plates": [{"score": 1}]}', r"plates\[0\]\.corners and box are missing; expected one"),
        (
            '{"image": "b.jpg", "plates": [{"box": [1, 2, 3], "score": 1}]}',
            r"plates\[0\]\.box is \[1, 2, 3\]; expected a list of 4",
        ),
        ('{"image": "b.jpg", "plates": [{"box": [1, 2, 3, NaN], "score": 1}]}', r"plates\[0\]\.box"),
        ('{"image": "b.jpg", "plates": [{"box": [1, 2, 3, 4]}]}', r"missing plates\[0\]\.score"),
        ('{"image": "b.jpg", "plates": [{"box": [1, 2, 3, 4], "score": 1, "text": 5}]}', r"plates\[0\]\.text"),
        (
            '{"image": "b.jpg", "plates": [{"box": [1, 2, 3, 4], "score": 1, "text": "A", "text_score": 2}]}',
            "text_score",
        ),
        (
            '{"image": "b.jpg", "plates": [], "labelled": [{"plate": 0, "by": "eye", "text": "A"}]}',
            r"labelled\[0\]\.by",
        ),
        ('{"image": "b.jpg", "plates": [], "ms": {"read": -1}}', "ms is .*; expected milliseconds"),
        (json.dumps(GOOD), "a.jpg is given already on line 1"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number_and_reason(line: str, sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", json.dumps(GOOD), line)
    with pytest.raises(PredictionsError, match=f"p.jsonl, line 2: .*{sentence}"):
        read_predictions(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="is empty"):
        read_predictions(write(tmp_path / "p.jsonl", "", ""))


def test_an_unreadable_image_is_a_line_without_plates(tmp_path: Path) -> None:
    write_predictions([Predicted("a.jpg", error="broken")], tmp_path / "p.jsonl")
    assert read_predictions(tmp_path / "p.jsonl")[0].error == "broken"


def lines(*names: str) -> list[Predicted]:
    return [Predicted(name, line=i) for i, name in enumerate(names, 1)]


def test_a_line_is_found_by_as_much_of_its_path_as_both_have() -> None:
    images = {Path("/data/a/0001.jpg"): "a/0001.jpg", Path("/data/b/0001.jpg"): "b/0001.jpg"}
    found = assigned(lines("/elsewhere/b/0001.jpg", "a/0001.jpg", "c.jpg"), images)
    assert {image.parent.name: p.line for image, p in found.by_image.items()} == {"b": 1, "a": 2}
    assert ([p.line for p in found.unused], found.missing) == ([3], [])


def test_a_line_of_another_folder_is_not_taken_for_a_missing_one() -> None:
    flat = {Path("/data/a/0001.jpg"): "0001.jpg", Path("/data/b/0001.jpg"): "0001.jpg"}
    found = assigned(lines("/data/a/0001.jpg"), flat)
    assert list(found.by_image) == [Path("/data/a/0001.jpg")] and found.missing == [Path("/data/b/0001.jpg")]
    with pytest.raises(PredictionsError, match="fits both"):
        assigned(lines("0001.jpg"), flat)


def test_a_name_that_is_a_label_serves_every_copy_of_its_photograph() -> None:
    name = name_of("a")
    images = {Path(f"/ccpd/{s}/{name}"): f"{s}/{name}" for s in ("ccpd_db", "ccpd_fn")}
    assert assigned(lines(name), images).missing == []
    with pytest.raises(PredictionsError, match="Lines 1 and 2 both fit"):
        assigned(lines(f"/x/{name}", f"/y/{name}"), {Path(f"/ccpd/{name}"): name})


def test_hundredths_and_four_digits_are_kept(tmp_path: Path) -> None:
    exact = plate(np.array([0.123, 1.005, 10.5, 7.25]), "皖A12345", 0.12345, 0.98765)
    write_predictions([Predicted("a.jpg", (exact,), given("皖A12345"), {"read": 1.234})], tmp_path / "p.jsonl")
    record = json.loads((tmp_path / "p.jsonl").read_text(encoding="utf-8"))
    assert record["plates"][0]["box"][0] == 0.12 and record["plates"][0]["text_score"] == 0.9877
    assert record["labelled"][0]["by"] == "corners" and record["ms"] == {"read": 1.23} and LABEL[0] == 100

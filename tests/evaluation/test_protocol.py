"""Protocols as data: every file is whole, a wrong one is refused by its key; published rows keep to their protocol."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hand_scored import labels, predictions

from alpr.data.ccpd import SUBSETS
from alpr.evaluation.protocols.grids import grids_of
from alpr.evaluation.protocols.published import of_protocol, read_published
from alpr.evaluation.protocols.report import ColumnCount, protocol_report
from alpr.evaluation.protocols.rules import FOLDER, RULES, Protocol, ProtocolError
from alpr.evaluation.tables import as_latex, as_markdown, as_text

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
README = yaml.safe_load((FOLDER / "ccpd2019.yaml").read_text(encoding="utf-8"))


def test_the_named_protocols_are_there() -> None:
    assert {"ccpd2018", "ccpd2019", "ccpd2020_green", "gfickel", "plain"} <= set(NAMES)
    assert {f"{name}_strict" for name in ("ccpd2018", "ccpd2019", "ccpd2020_green")} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_is_whole_and_says_where_its_rules_come_from(name: str) -> None:
    protocol = Protocol.read(name)
    assert set(protocol.sources) == set(RULES)
    assert all(column.subset in ("", *SUBSETS) for column in protocol.columns)
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert (text.startswith("# alpr evaluate ") and name in text.splitlines()[0]) or name == "plain"


def test_the_rules_of_the_paper_and_of_the_readme() -> None:
    paper, readme = Protocol.read("ccpd2018"), Protocol.read("ccpd2019")
    assert paper.detection == readme.detection and paper.detection is not None and paper.detection.iou == 0.7
    assert (paper.recognition.iou, readme.recognition.iou) == (0.6, None)
    assert [c.name for c in paper.columns] == ["Base", "DB", "FN", "Rotate", "Tilt", "Weather", "Challenge"]
    assert sum(c.images or 0 for c in readme.columns) == 141_982
    strict = Protocol.read("ccpd2019_strict")
    assert (strict.repeated, strict.plates, strict.mean) == ("once", "not_in_training", "provinces")
    assert strict.detection is not None and strict.detection.label == strict.detection.detection == "hull"


WRONG: list[tuple[list[Any], Any, str]] = [
    (["detection", "iou"], 1.5, "detection.iou is 1.5; expected a number from 0 to below 1"),
    (["detection", "label"], "quad", "detection.label is 'quad'; expected box or hull"),
    (["recognition", "characters"], "some", "recognition.characters is 'some'"),
    (["mean"], "median", "mean is 'median'; expected images, columns or provinces"),
    (["columns"], [], "columns is empty"),
    (["columns", 1, "name"], "DB", r"columns\[0\].name is 'DB'; expected another name"),
    (["columns", 1, "subset"], "ccpd_db", "columns DB and Blur hold the same rows"),
    (
        ["columns", 0, "split"],
        "test",
        r"line 5: unknown columns\[0\].split; expected the keys name, subset",
    ),
    (["columns", 0, "splits"], ["dev"], r"columns\[0\].splits is \['dev'\]; expected a list of train, val, test"),
    (["columns", 0, "images"], 0, r"columns\[0\].images is 0; expected a whole number above 0"),
    (["sources", "mean"], "", "sources.mean is ''; expected where the rule is from"),
    (["sources", "tie"], "x", "tie is missing or is no rule"),
    (["tie"], "first", "unknown tie; expected the keys name, title, columns"),
    (["tables"], "labels.csv", "tables is 'labels.csv'; expected a list"),
    (["title"], None, "missing title; expected the keys"),
    (["name"], "other", "name is 'other'; expected 'mine'"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), WRONG)
def test_a_wrong_protocol_is_refused_by_its_key(key: list[Any], value: Any, sentence: str, tmp_path: Path) -> None:
    values = copy.deepcopy(README)
    node = values
    for part in key[:-1]:
        node = node[part]
    if value is None:
        del node[key[-1]]
    else:
        node[key[-1]] = value
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ProtocolError, match=sentence) as caught:
        Protocol.read(path)
    assert str(path) in str(caught.value)


def test_an_iou_for_a_crop_that_is_the_labels_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(README | {"recognition": {"crop": "box", "iou": 0.6}}), encoding="utf-8")
    with pytest.raises(ProtocolError, match=r"recognition\.iou is 0\.6; expected null"):
        Protocol.read(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ProtocolError, match="no protocol 'ccpd2017'; expected a file or one of ccpd2018, "):
        Protocol.read("ccpd2017")


def test_the_overall_detection_of_2019_is_the_mean_over_images() -> None:
    """The README's overall column follows from its subset columns and the sizes of the lists, to 0.01."""
    sizes = {column.name: column.images for column in Protocol.read("ccpd2019").columns}
    rows = [row for row in read_published() if row.protocol == "ccpd2019"]
    assert len(rows) == 5  # four of detection, one of recognition
    for row in rows:
        mean = sum(sizes[name] * row.values[name] for name in sizes) / sum(sizes.values())  # type: ignore[misc, operator]
        assert mean == pytest.approx(row.values["overall"], abs=0.01), row.method
        plain = sum(row.values[name] for name in sizes) / len(sizes)
        assert abs(plain - row.values["overall"]) > 0.01, row.method


def test_the_row_whose_overall_is_a_plain_mean_is_not_under_ccpd2018() -> None:
    row = next(row for row in read_published() if "FPN" in row.method)
    columns = [value for name, value in row.values.items() if name != "overall"]
    assert sum(columns) / len(columns) == pytest.approx(row.values["overall"], abs=0.05)
    assert row.protocol != "ccpd2018" and row not in of_protocol(read_published(), "ccpd2018", "detection")


@pytest.mark.parametrize("name", NAMES)
def test_published_rows_of_another_protocol_are_never_printed(name: str) -> None:
    """Neither in the table of a whole set nor in that of a part; every value of a printed row has its column."""
    manifest, protocol = labels(Path("/p")), Protocol.read("ccpd2019")
    report = protocol_report(protocol, manifest, predictions())
    mine = Protocol.read(name)
    whole = tuple(ColumnCount(c.name, c.images or 1, 1, c.images) for c in mine.columns)
    for columns in (report.columns, whole):
        grids = grids_of(replace(report, protocol=mine, columns=columns))
        for grid in (g for g in grids if "source" in g.header and "method" in g.header):
            task = "detection" if "detection" in grid.title else "recognition"
            allowed = {r.method: r for r in of_protocol(read_published(), name, task)}
            for row in grid.rows:
                assert row[-1] == "this evaluation" or allowed[row[0]].source == row[-1]


def test_our_row_stands_beside_published_ones_only_over_all_images() -> None:
    report = protocol_report(Protocol.read("ccpd2019"), labels(Path("/p")), predictions(), model={"name": "ours"})
    part = as_text(grids_of(report))
    assert "Published under ccpd2019, detection" in part and "not all of the protocol's" in part
    whole = replace(report, columns=tuple(c._replace(whole=c.images) for c in report.columns))
    table = next(g for g in grids_of(whole) if g.title == "ccpd2019, detection")
    assert table.rows[0][:3] == ("ours", "-", "53.85")
    assert [row[0] for row in table.rows[1:]] == ["Faster R-CNN", "SSD300", "SSD512", "YOLOv3-320"]


def test_what_the_parts_share_stands_first_and_every_form_holds_the_same_figures() -> None:
    report = protocol_report(Protocol.read("ccpd2019"), labels(Path("/p")), predictions())
    grids = grids_of(report)
    assert grids[0].title == "What the parts share"
    for form in (as_text(grids), as_markdown(grids), as_latex(grids)):
        assert "53.85" in form and "44.44" in form and "75.00" in form
        assert form.index("parts share") < form.index("53.85")
    latex = as_latex(grids)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") > 2
    assert not re.search(r"(?<!\\)[%_#]", latex)

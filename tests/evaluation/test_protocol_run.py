"""Protocols by command: a model's and a stranger's predictions come to the same table, with the overlap first."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hand_scored import labels, predictions
from patch_world import ColourRecogniser, PatchDetector
from patch_world import scene as patch_scene
from tiny_bundle import scene as draw_scene
from tiny_bundle import write_bundle
from tiny_runs import Scripts

from alpr.data.ccpd_folders import TABLE, subset_manifest
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.protocols.report import protocol_report
from alpr.evaluation.protocols.rules import Protocol
from alpr.evaluation.protocols.scoring import labels_of, scoring_of, write_protocol
from alpr.plates.geometry import box_corners
from alpr.reader.parts import Parts
from alpr.reader.predictions import Predicted, write_predictions
from alpr.reader.reader import Reader


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three scenes for the tiny bundle: two that it reads, of which one is labelled wrong, and one of training."""
    texts = {"val/a.png": "皖A12", "val/b.png": "皖B34", "train/c.png": "皖A12"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), draw_scene(text))
    box = np.array([[200, 120, 320, 150.0]] * 3)
    Manifest.of(
        tmp_path,
        list(texts),
        text=["皖A12", "皖B35", "皖A12"],
        box=box,
        corners=np.stack([box_corners(b) for b in box]),
        split=["val", "val", "train"],
        extra={"subset": "ccpd_green"},
    ).write(tmp_path / TABLE)
    return tmp_path / TABLE


def test_a_bundle_and_its_released_predictions_come_to_the_same_table(
    table: Path, tmp_path: Path, scripts: Scripts
) -> None:
    shared = [f"data.manifest={table}", "protocol=[ccpd2020_green,ccpd2020_green_strict]"]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    bundle = write_bundle(tmp_path / "tiny")
    done = scripts.run("evaluate.py", [f"bundle={bundle}", f"output={ours}", *shared])
    assert done.code == 0, done.text
    assert done.text.index("Plates in both") < done.text.index("ccpd2020_green: CCPD2020 green")
    done = scripts.run("evaluate.py", [f"predictions={ours / 'predictions.jsonl'}", f"output={theirs}", *shared])
    assert done.code == 0, done.text
    for name in ("ccpd2020_green", "ccpd2020_green_strict"):
        one, other = (json.loads((o / f"{name}.json").read_text(encoding="utf-8")) for o in (ours, theirs))
        for key in ("figures", "budget", "plates", "columns", "overlap", "in_training"):
            assert one[key] == other[key]
        assert {(ours / f"{name}.{form}").is_file() for form in ("txt", "md", "tex", "html")} == {True}
    loose = json.loads((ours / "ccpd2020_green.json").read_text(encoding="utf-8"))
    assert [p["right"] for p in loose["plates"]] == [True, False]
    assert loose["overlap"]["plates"][0][1] == 1  # train and val share a plate, which the strict table leaves out
    strict = json.loads((ours / "ccpd2020_green_strict.json").read_text(encoding="utf-8"))
    assert strict["in_training"] == 1 and [p["text"] for p in strict["plates"]] == ["皖B35"]
    page = (ours / "ccpd2020_green.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1 and "label suspect: 1" in page


def test_an_image_that_the_file_lacks_is_said_and_counts_as_nothing_found(
    table: Path, tmp_path: Path, scripts: Scripts
) -> None:
    write_predictions([Predicted("val/a.png")], tmp_path / "p.jsonl")
    done = scripts.run(
        "evaluate.py",
        [f"predictions={tmp_path / 'p.jsonl'}", f"data.manifest={table}", "data.split=val", f"output={tmp_path / 'o'}"],
    )
    assert done.code == 0 and "1 images have no prediction and count as nothing found" in done.text
    assert json.loads((tmp_path / "o" / "plain.json").read_text(encoding="utf-8"))["budget"]["not found"] == 2


def test_a_protocol_knows_its_own_tables(table: Path, tmp_path: Path, scripts: Scripts) -> None:
    home = tmp_path / "data" / "CCPD2020" / "ccpd_green"
    home.mkdir(parents=True)
    read_manifest(table).write(home / TABLE)
    (tmp_path / "p.jsonl").write_text('{"image": "val/a.png", "plates": []}\n', encoding="utf-8")
    protocols = "protocol=[ccpd2020_green,ccpd2018]"
    shared = [f"predictions={tmp_path / 'p.jsonl'}", protocols, f"output={tmp_path / 'o'}"]
    done = scripts.run("evaluate.py", [*shared, f"data.root={tmp_path / 'data'}"])
    assert done.code == 1 and "it counts ccpd_base val/test" in done.text  # the one table that is there was taken
    assert "Not there, so not measured" in done.text and "ccpd_challenge" in done.text
    done = scripts.run("evaluate.py", [shared[0], "protocol=ccpd2018", shared[2], f"data.root={tmp_path / 'data'}"])
    assert done.code == 1 and "Nothing gives data.manifest, and of " in done.text and "none is there" in done.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predictions={p}", "bundle=m"], "predictions and bundle are both given"),
        (["predictions={p}"], "p.jsonl, line 2: this is no JSON"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(
    arguments: list[str], sentence: str, table: Path, tmp_path: Path, scripts: Scripts
) -> None:
    good = '{"image": "val/a.png", "plates": []}\n'
    (tmp_path / "p.jsonl").write_text(good + ("{\n" if len(arguments) == 1 else ""), encoding="utf-8")
    filled = [a.format(p=tmp_path / "p.jsonl") for a in arguments]
    done = scripts.run("evaluate.py", [*filled, f"data.manifest={table}", f"output={tmp_path / 'o'}"])
    assert done.code == 1 and f"alpr evaluate: {sentence}" in done.text.replace(f"{tmp_path}/", "")


def test_the_plain_protocol_agrees_with_the_evaluation(tmp_path: Path) -> None:
    """Two plates in a scene, one of them read wrong, and a scene in which nothing is found."""
    scenes = [
        patch_scene(tmp_path, "x/two.png", (50, [20, 20, 80, 40]), (100, [100, 30, 180, 60])),
        patch_scene(tmp_path, "x/one.png", (250, [30, 90, 110, 120])),
    ]
    found: list[Predicted] = []
    texts = {50: "皖A12345", 100: "皖AD1234", 250: "皖A99999"}
    finder = PatchDetector(lambda patches: [d for d in patches if d.box[1] < 90])
    report = evaluate(Parts(finder, ColourRecogniser(texts)), scenes, predictions=found)
    plates = [(s, p) for s in scenes for p in s.plates]
    manifest = Manifest.of(
        tmp_path / "x",
        [s.image.name for s, _ in plates],
        text=[p.text for _, p in plates],
        box=np.stack([p.box for _, p in plates]),  # type: ignore[arg-type, misc]
        corners=np.stack([p.corners for _, p in plates]),  # type: ignore[arg-type, misc]
    )
    scored = protocol_report(Protocol.read("plain"), manifest, found)
    pairs = {"found_50": "detected", "end_to_end_50": "read", "read_on_true_corners": "given_all"}
    for theirs, ours in pairs.items():
        figure, cell = report.figure(theirs), scored.cell(ours, "all")
        assert figure is not None and cell is not None
        assert (figure.value, figure.plates) == (cell.value, cell.plates)
    assert scored.cell("read", "all").value == pytest.approx(1 / 3)  # type: ignore[union-attr]
    assert found[0].ms.keys() == {"decode", "detect", "read"}


def test_characters_that_count_as_others_are_released_as_they_were_read(tmp_path: Path) -> None:
    found: list[Predicted] = []
    scenes = [patch_scene(tmp_path, "a.png", (50, [20, 20, 80, 40]))]
    evaluate(Parts(PatchDetector(), ColourRecogniser()), scenes, replaced={"1": "7"}, predictions=found)
    assert found[0].plates[0].reading.text == "皖A12345"


def test_pages_of_photographs_that_are_not_there_say_so(tmp_path: Path) -> None:
    manifest = labels(tmp_path)
    report = protocol_report(Protocol.read("ccpd2019"), manifest, predictions())
    write_protocol(report, manifest, tmp_path / "out", shown=5)
    page = (tmp_path / "out" / "ccpd2019.html").read_text(encoding="utf-8")
    assert "not found: 3" in page and "3 of these images cannot be opened here" in page


def test_the_official_lists_alone_are_labels(real_data: Path) -> None:
    """74,743 distinct names in 91,979, the overlaps of the subsets, and a protocol over names without an image."""
    lists = sorted((real_data / "CCPD2019" / "splits").glob("ccpd_*.txt"))
    scoring = scoring_of(["ccpd2019"], lists)
    assert scoring.manifest.rows == 91_979 and scoring.overlap is not None
    overlap = scoring.overlap
    assert (overlap.distinct_images, overlap.distinct_plates) == (74_743, 66_873)
    assert overlap.in_several == 15_667 and overlap.images_in[2:] == (1_264, 124, 19)
    place = {part.name.removeprefix("ccpd_"): i for i, part in enumerate(overlap.parts)}
    pairs = {("db", "blur"): 3_838, ("fn", "tilt"): 4_808, ("rotate", "tilt"): 3_578, ("blur", "fn"): 2_522}
    for (one, other), shared in pairs.items():
        assert overlap.images[place[one], place[other]] == shared
    wanted = {column.subset: column.images for column in scoring.protocols[0].columns}
    for subset, rows in ((part.name, part.entries) for part in overlap.parts):
        assert wanted[subset] == rows


def test_lists_and_their_folder(tmp_path: Path) -> None:
    names = [p.image for p in predictions()][:3]
    (tmp_path / "splits").mkdir()
    for split, subset, name in zip(
        ("train", "val", "ccpd_db"), ("ccpd_base", "ccpd_base", "ccpd_db"), names, strict=True
    ):
        (tmp_path / "splits" / f"{split}.txt").write_text(f"{subset}/{name}\n", encoding="utf-8")
    files = sorted((tmp_path / "splits").glob("*.txt"))
    manifest = labels_of(files)
    assert sorted(manifest.split) == ["test", "train", "val"]
    assert manifest.path(0) == tmp_path / "ccpd_db" / names[2]
    assert labels_of(files, Path("/elsewhere")).path(0) == Path("/elsewhere/ccpd_db") / names[2]
    scoring = scoring_of(["ccpd2018"], files[:1], train=files[1:2])
    assert scoring.trained == frozenset({labels_of(files[1:2]).text[0]})


def test_real_photographs_under_a_protocol(real_data: Path, repository: Path) -> None:
    """The released bundle on twelve scenes: the plain protocol agrees with the evaluation."""
    folder = real_data / "CCPD2020" / "ccpd_green"
    manifest = subset_manifest(folder).select(splits=["val"])
    manifest = manifest.take(range(0, manifest.rows, manifest.rows // 11))
    found: list[Predicted] = []
    reader = Reader(repository / "model_bin" / "cn", threads=1)
    report = evaluate(Parts(reader.detector, reader.recogniser), manifest.scenes(), predictions=found)
    plain = protocol_report(Protocol.read("plain"), manifest, found)
    strict = protocol_report(Protocol.read("ccpd2020_green_strict"), manifest, found, trained=frozenset())
    for theirs, ours in {"found_50": "detected", "end_to_end_50": "read", "read_on_true_corners": "given_all"}.items():
        figure, cell = report.figure(theirs), plain.cell(ours, "all")
        assert figure is not None and cell is not None and figure.value == cell.value > 0.8
    assert strict.cell("detected", "val").plates == manifest.rows  # type: ignore[union-attr]
    assert sum(plain.budget.values()) == round(manifest.rows * (1 - plain.cell("read", "all").value))  # type: ignore[union-attr]


def test_ready_made_crops_are_scored_from_a_file(scripts: Scripts, tmp_path: Path) -> None:
    """Of a crop the reading of the whole image counts; a crop that nothing says anything of is read wrong."""
    texts = {"a.png": "ABC1", "b.png": "ABO0", "c.png": "XY12", "d.png": "XY13"}
    Manifest.of(tmp_path, list(texts), text=list(texts.values()), split="val").write(tmp_path / "labels.csv")
    read = {"a.png": "ABC1", "b.png": "AB0O", "c.png": "XY1"}
    lines = [
        {"image": image, "plates": [], "labelled": [{"plate": 0, "by": "image", "text": text, "text_score": 0.9}]}
        for image, text in read.items()
    ]
    lines.append({"image": "d.png", "error": "gone"})
    file = tmp_path / "peer.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    words = [
        "evaluate",
        f"predictions={file}",
        f"data.manifest={tmp_path / 'labels.csv'}",
        f"output={tmp_path / 'out'}",
    ]
    for more, share in (([], 0.25), (["data.replace={O: '0'}"], 0.5)):
        done = scripts.run("alpr/__main__.py", [*words, "protocol=crops", *more])
        assert done.code == 0, done.text
        report = json.loads((tmp_path / "out" / "crops.json").read_text(encoding="utf-8"))
        figures = {figure["name"]: figure["cells"]["overall"] for figure in report["figures"]}
        assert figures["read"]["value"] == share and figures["read"]["plates"] == 4
        assert "detected" not in figures
    refused = scripts.run("alpr/__main__.py", words)
    assert refused.code == 1 and "without corners or box; a protocol scores scenes" in refused.text
    published = scripts.run("alpr/__main__.py", [*words, "protocol=gfickel", "data.replace={O: '0'}"])
    assert published.code == 1 and "published as it is" in published.text

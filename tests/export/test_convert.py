"""A converted bundle reads what the original reads, or is not written."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_weights import write_scenes, write_weighed_bundle
from typer.testing import CliRunner

from alpr import Reader
from alpr.benchmark.least_time import multiply_adds
from alpr.cli.main import app
from alpr.export import targets
from alpr.export.convert import Asked, ConversionError, _Attempt, check, convert
from alpr.export.convert_report import TargetReport, score_of, time_networks
from alpr.export.one_graph.compose import one_by_one
from alpr.export.target import ORIGINAL, Networks, RuntimeFailed, RuntimeMissing, target_names, target_of
from alpr.export.targets.static import open_fixed_onnx
from alpr.images.prepare import read_image
from alpr.reader.card import PRECISIONS, ModelCard, WeightFile
from alpr.reader.sessions import open_session

TEXTS = ("皖A12", "皖B35", "皖A54", "皖B11")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("conversion")
    return Asked(
        bundle=write_weighed_bundle(folder / "tiny"),
        output=folder / "converted",
        targets=("fp16", "int8", "static"),
        scored={"scenes": write_scenes(folder / "scenes", TEXTS)},
        calibration=write_scenes(folder / "train", TEXTS[:2]),
        fixed=(1, 160, 320),
        keep_first=0,
        rounds=1,
    )


@pytest.fixture(scope="module")
def rows(asked: Asked) -> dict[str, TargetReport]:
    return {row.target: row for row in convert(asked).targets}


def texts_of(reader: Reader, asked: Asked) -> list[str]:
    scenes = [str(scene.image) for scene in asked.scored["scenes"].scenes()]
    return [plate.reading.text for plates in reader(scenes) for plate in plates]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fewer_bits_are_an_ordinary_bundle_that_reads_the_same(
    asked: Asked, rows: dict[str, TargetReport], precision: str
) -> None:
    reader = Reader(asked.output / f"tiny_{precision}", threads=1)
    assert reader.card is not None and reader.card.precision == precision
    assert texts_of(reader, asked) == list(TEXTS)
    assert rows[precision].accuracy == {"scenes": 1.0} and rows[precision].changed == 0 and not rows[precision].refused
    assert reader.card.metrics["conversion"]["of"] == "tiny"
    assert reader.card.detector_file.sha256 != Reader(asked.bundle).card.detector_file.sha256  # type: ignore[union-attr]


def test_int8_computes_in_int8_and_keeps_the_last_convolution(asked: Asked, rows: dict[str, TargetReport]) -> None:
    detector = onnx.load(asked.output / "tiny_int8" / "detector.onnx")
    dequantised = {n.output[0] for n in detector.graph.node if n.op_type == "DequantizeLinear"}
    first, last = (node for node in detector.graph.node if node.op_type == "Conv")
    assert set(first.input[:2]) <= dequantised and last.input[1] not in dequantised
    assert "MatMulInteger x 1" in rows["int8"].operators["recogniser.onnx"]


def test_weights_of_int8_take_seven_bits(asked: Asked, rows: dict[str, TargetReport]) -> None:
    """Two products of 8-bit weights overflow the 16 bits in which processors without VNNI add them."""
    for network in Networks._fields:
        graph = onnx.load(asked.output / "tiny_int8" / f"{network}.onnx").graph
        arrays = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
        largest = max(int(np.abs(weights.astype(int)).max()) for weights in arrays if weights.size > 1)
        assert 32 < largest <= 64, network


def test_a_crop_in_int8_reads_the_same_in_any_company(asked: Asked, rows: dict[str, TargetReport]) -> None:
    network = Reader(asked.output / "tiny_int8", threads=1).recogniser.network
    crops = np.stack([np.full((48, 192, 3), value, np.uint8) for value in (26, 240, 51)])
    (together,) = network(crops)
    alone = np.concatenate([network(crop[None])[0] for crop in crops])
    np.testing.assert_array_equal(together, alone)
    session = network.session  # type: ignore[attr-defined]
    assert np.abs(session.run(["logits"], {"crop": crops})[0] - alone).max() > 0.01  # one scale for the whole batch


def test_a_converted_bundle_stands_where_it_is_asked_with_the_weights_to_train_from(
    asked: Asked, tmp_path: Path
) -> None:
    source = shutil.copytree(asked.bundle, tmp_path / "source")
    for name in ("detector.safetensors", "report.html"):
        (source / name).write_text(name)
    card = ModelCard.read(source)
    others = tuple(WeightFile.of(source / name) for name in ("detector.safetensors", "report.html"))
    replace(card, other_files=others).write(source)
    place = tmp_path / "model_bin" / "tiny"
    convert(replace(asked, bundle=source, output=tmp_path / "out", targets=("int8",), place=place))
    made = ModelCard.read(place)
    made.verify(place)
    assert made.name == "tiny" and made.precision == "int8"
    assert [entry.file for entry in made.other_files] == ["detector.safetensors"]  # the page shows fp32's figures
    assert not (tmp_path / "out" / "tiny_int8").exists()


def test_half_precision_is_stored_and_the_contract_stays(asked: Asked, rows: dict[str, TargetReport]) -> None:
    detector = onnx.load(asked.output / "tiny_fp16" / "detector.onnx")
    types = {tensor.name: tensor.data_type for tensor in detector.graph.initializer}
    assert types["spread_float16"] == onnx.TensorProto.FLOAT16
    assert detector.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert {o.type.tensor_type.elem_type for o in detector.graph.output} == {onnx.TensorProto.FLOAT}


def test_fixed_shapes_load_and_read_the_same_also_smaller_images(asked: Asked, rows: dict[str, TargetReport]) -> None:
    folder = asked.output / "tiny_static"
    graph = onnx.load(folder / "detector.onnx").graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 160, 320, 3]
    assert not {"Shape", "Range"} & {node.op_type for node in graph.node}
    assert rows["static"].accuracy == {"scenes": 1.0} and rows["static"].changed == 0
    network, original = open_fixed_onnx(folder / "detector.onnx", 1), Reader(asked.bundle).detector.network
    image = read_image(asked.scored["scenes"].path(0))[None, 20:100, 20:220]
    two = np.concatenate([image, image[:, :, ::-1]])
    for found, expected in zip(network(two), original(two), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(RuntimeFailed, match="160 x 320"):
        network(np.zeros((1, 161, 320, 3), np.uint8))


def test_calibrating_in_the_dark_loses_plates_and_is_refused_with_both_figures(asked: Asked, tmp_path: Path) -> None:
    dark = replace(
        asked,
        targets=("int8",),
        output=tmp_path / "dark",
        calibration=write_scenes(tmp_path / "dark_scenes", TEXTS[:1], dark=True),
    )
    row = convert(dark).targets[1]
    assert row.lost == 100 and row.changed == len(TEXTS)
    assert "0.0%" in row.refused and "100.0%" in row.refused and "--accept-loss" in row.refused
    assert not (dark.output / "tiny_int8").exists()
    measured = json.loads((dark.output / "measured" / "int8" / "conversion.json").read_text(encoding="utf-8"))
    assert measured["accuracy"] == {"scenes": 0.0}
    assert not convert(replace(dark, accept_loss=True)).targets[1].refused
    assert Reader(dark.output / "tiny_int8").card.precision == "int8"  # type: ignore[union-attr]


@pytest.mark.parametrize(("lost", "written"), [(4, True), (6, False)])
def test_four_plates_of_a_thousand_may_be_lost_and_six_may_not(
    lost: int, written: bool, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a point, on the set that lost most; what another set gained makes up for nothing."""

    def score(self: _Attempt, advance: object) -> dict[str, list[tuple[str, str]]]:
        wrong = {"scenes": 0 if self.name == ORIGINAL else lost, "others": 100 if self.name == ORIGINAL else 0}
        return {name: [("A1", "B1" if i < n else "A1") for i in range(1000)] for name, n in wrong.items()}

    monkeypatch.setattr(_Attempt, "score", score)
    scenes = asked.scored["scenes"]
    two = replace(asked, targets=("fp16",), output=tmp_path / "out", scored={"scenes": scenes, "others": scenes})
    row = convert(two).targets[1]
    assert row.lost == pytest.approx(lost / 10) and bool(row.refused) != written
    assert (tmp_path / "out" / "tiny_fp16" / "card.json").exists() == written


def test_what_does_not_go_together_is_refused_before_anything_is_made(asked: Asked, tmp_path: Path) -> None:
    card = ModelCard.read(asked.bundle)
    wrong = {
        "converted holds one bundle; expected one target, found fp16, int8, static": replace(asked, place=asked.output),
        "no target 'int4'": replace(asked, targets=("int4",)),
        "--calibration": replace(asked, calibration=None),
        "calibrated on and scored on": replace(asked, calibration=asked.scored["scenes"]),
        "--static-size": replace(asked, fixed=None),
        "No labelled plate": replace(asked, scored={}),
    }
    for sentence, one in wrong.items():
        with pytest.raises(ConversionError, match=sentence):
            check(one, card)
    with pytest.raises(ConversionError, match="tiny is in int8 already; expected a bundle in fp32"):
        check(asked, replace(card, precision="int8"))
    (tmp_path / "tiny_fp16").mkdir()
    with pytest.raises(FileExistsError, match=r"no card\.json"):
        check(replace(asked, output=tmp_path), card)


@pytest.mark.parametrize(("module", "target"), [("openvino", "openvino"), ("litert_torch", "tflite"), ("ncnn", "ncnn")])
def test_a_runtime_that_is_not_installed_is_named_with_its_command(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, module: str, target: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeMissing, match=rf"pip install 'alpr-train\[{target}\]'"):
        check(replace(asked, targets=(target,)), ModelCard.read(asked.bundle))


def test_a_score_counts_right_plates_and_changed_readings() -> None:
    before = [("A1", "A1"), ("A2", "A7"), ("A3", "A3")]
    now = [("A1", "A1"), ("A2", "A2"), ("A3", "")]
    score = score_of(now, before)
    assert (score.plates, score.right, score.changed) == (3, 2, 2)


def test_networks_are_timed_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("alpr.export.convert_report.perf_counter", lambda: clock[0])
    monkeypatch.setattr("alpr.export.convert_report.sleep", lambda seconds: None)

    def network(seconds: float) -> object:
        def run(batch: np.ndarray) -> tuple[()]:
            clock[0] += seconds
            return ()

        return run

    slow, fast = Networks(network(0.004), network(0.002)), Networks(network(0.001), network(0.004))  # type: ignore[arg-type]
    times = time_networks({"slow": slow, "fast": fast}, np.zeros(1), np.zeros(1), 3)  # type: ignore[arg-type]
    assert times["fast"]["detector"].best_ms == pytest.approx(1)
    assert times["fast"]["detector"].times_faster == pytest.approx(4)
    assert times["fast"]["recogniser"].times_faster == pytest.approx(0.5)
    assert times["slow"]["detector"].times_faster == pytest.approx(1)


def test_the_command_prints_one_table_and_ends_with_the_refusals(asked: Asked, tmp_path: Path) -> None:
    labels, dark = tmp_path / "labels.csv", tmp_path / "dark.csv"
    asked.scored["scenes"].write(labels)
    write_scenes(tmp_path / "dark_scenes", TEXTS[:1], dark=True).write(dark)
    given = [
        "convert",
        "--bundle",
        asked.bundle,
        "--score",
        labels,
        "--calibration",
        dark,
        "--calibration-split",
        "all",
    ]
    given += ["--to", "int8", "--keep-first", 0, "--rounds", 1, "--output", tmp_path / "out"]
    found = CliRunner().invoke(app, [str(value) for value in given])
    assert found.exit_code == 1, found.output
    assert "int8 is not written" in found.output and "Conv x 2" in found.output
    assert not (tmp_path / "out" / "tiny_int8").exists()
    written = json.loads((tmp_path / "out" / "conversion.json").read_text(encoding="utf-8"))
    assert [row["target"] for row in written["targets"]] == ["fp32", "int8"]


def test_crops_in_turn_are_read_as_crops_alone(asked: Asked, rows: dict[str, TargetReport], tmp_path: Path) -> None:
    """So that reader.onnx of an int8 bundle reads a plate in any company as the predictor does."""
    network = onnx.load(asked.output / "tiny_int8" / "recogniser.onnx")
    onnx.save(one_by_one(network), tmp_path / "in_turn.onnx")
    onnx.checker.check_model(tmp_path / "in_turn.onnx", full_check=True)
    alone, in_turn = (
        open_session(path, 1) for path in (asked.output / "tiny_int8" / "recogniser.onnx", tmp_path / "in_turn.onnx")
    )
    crops = np.stack([np.full((48, 192, 3), value, np.uint8) for value in (26, 240, 51)])
    expected = np.concatenate([alone.run(["logits"], {"crop": crop[None]})[0] for crop in crops])
    np.testing.assert_array_equal(in_turn.run(["logits"], {"crop": crops})[0], expected)
    assert in_turn.run(["logits"], {"crop": crops[:0]})[0].shape == (0, *expected.shape[1:])


def test_work_in_int8_is_counted_too(asked: Asked, rows: dict[str, TargetReport]) -> None:
    files = (folder / "recogniser.onnx" for folder in (asked.bundle, asked.output / "tiny_int8"))
    plain, int8 = (multiply_adds(file, (1, 48, 192, 3)) for file in files)
    assert plain == int8 > 0


FURTHER = '''
"""A target that stores what float16 holds, in files of its own."""

import shutil

from alpr.export.target import Networks, Target, open_onnx


def make(source, folder):
    for network in Networks._fields:
        shutil.copyfile(source.file(network), folder / f"{network}.onnx")


TARGET = Target(open_onnx, make, for_reader=True)
'''


def test_a_further_target_is_one_file(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "copied_over.py").write_text(FURTHER)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(tmp_path)])
    assert "copied-over" in target_names()
    row = convert(replace(asked, targets=("copied-over",), output=tmp_path / "out")).targets[1]
    assert (row.target, row.accuracy, row.changed, row.refused) == ("copied-over", {"scenes": 1.0}, 0, "")
    assert texts_of(Reader(tmp_path / "out" / "tiny_copied-over", threads=1), asked) == list(TEXTS)


def test_every_file_of_the_folder_is_a_target_and_no_other_file_names_one(repository: Path) -> None:
    folder = repository / "alpr" / "export" / "targets"
    names = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    assert names == set(target_names()) >= {"fp16", "int8", "static", "openvino", "openvino-fp32", "tflite", "ncnn"}
    assert all(target_of(name).precision in PRECISIONS for name in names)
    others = [path for path in (repository / "alpr").rglob("*.py") if folder not in path.parents]
    named = {
        f"{path.name}: {node.value!r}"
        for path in others
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names - set(PRECISIONS)
    }
    assert not named

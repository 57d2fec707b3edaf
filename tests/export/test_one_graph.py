"""reader.onnx reads as the predictor does, or is not left behind; the card vouches for it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tiny_bundle import ALPHABET, SLOTS, scene, write_bundle

from alpr import Reader
from alpr.detection.settings import DetectorSettings
from alpr.export import onnx_bundle
from alpr.export.from_runs import bundle_runs
from alpr.export.one_graph.compose import METADATA_KEY, READER_FILE, write_reader
from alpr.export.one_graph.parity import _Tally, check_reader, read_frames
from alpr.export.parity import ParityError
from alpr.plates.records import Detection, PlateReading, Reading
from alpr.reader.card import CardError, ModelCard
from alpr.reader.sessions import open_session
from alpr.recognition.settings import RecogniserSettings
from alpr.runs.checkpoints import RunError
from alpr.training.configuration import composed

SCENES = [scene(), scene("AB12", (40, 60)), scene("543", (260, 20), plate=200), scene("", plate=40)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_bundle(tmp_path_factory.mktemp("models") / "tiny")
    assert onnx_bundle.add_reader(folder, SCENES).plates == 16
    return folder


def test_a_bundle_that_exists_gets_one(bundle: Path) -> None:
    assert sorted(p.name for p in bundle.parent.iterdir()) == ["tiny"]
    assert sorted(p.name for p in bundle.iterdir()) == ["card.json", "detector.onnx", "reader.onnx", "recogniser.onnx"]
    card = ModelCard.read(bundle)
    card.verify(bundle)
    assert card.reader_file is not None and card.reader_file.file == READER_FILE
    measured = card.metrics["parity"]["reader"]
    assert measured["equal"] == 1.0 and measured["sure"] >= 12 and measured["corners_px"] < 0.5
    assert Reader(bundle, threads=1)(SCENES[0])[0].reading.text == "皖A12"


@pytest.mark.parametrize("size", [(240, 480), (700, 333)])
def test_frames_of_a_batch_keep_their_plates(bundle: Path, size: tuple[int, int]) -> None:
    frames = np.stack([scene("AB12", size=size), np.full((*size, 3), 90, np.uint8), scene("543", (20, 150), size)])
    card, session = ModelCard.read(bundle), open_session(bundle / READER_FILE, 1)
    together = read_frames(session, frames, card)
    assert [[p.reading.text for p in plates] for plates in together] == [["AB12"], [], ["543"]]
    alone = [read_frames(session, frame[None], card)[0] for frame in frames]
    expected = Reader(bundle, threads=1)(list(frames))
    for a, b, c in zip(together, alone, expected, strict=True):
        for plate, single, other in zip(a, b, c, strict=True):
            np.testing.assert_allclose(plate.detection.corners, single.detection.corners, atol=1e-3)
            np.testing.assert_allclose(plate.detection.corners, other.detection.corners, atol=0.5)
            np.testing.assert_allclose(plate.detection.box, other.detection.box, atol=0.5)
            assert plate.reading.score == pytest.approx(other.reading.score, abs=0.02)


def test_no_plate_in_any_frame(bundle: Path) -> None:
    session = open_session(bundle / READER_FILE, 1)
    outputs = session.run(None, {"frame": np.zeros((2, 100, 77, 3), np.uint8)})
    assert [o.shape for o in outputs] == [(0,), (0, 4, 2), (0,), (0, 4), (0, SLOTS, len(ALPHABET) + 1)]


def test_the_file_says_how_it_is_read_and_has_standard_operators(bundle: Path) -> None:
    about = json.loads(open_session(bundle / READER_FILE).get_modelmeta().custom_metadata_map[METADATA_KEY])
    assert about["alphabet"] == ALPHABET and about["recogniser"]["slots"] == SLOTS and about["country"] == "CN"
    model = onnx.load(bundle / READER_FILE)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 20)] and not model.functions
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


def test_a_head_for_countries_goes_through(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "two")
    model = onnx.load(folder / "recogniser.onnx")
    model.graph.node.add(op_type="ReduceMean", input=["logits", "two"], output=["wide"]).attribute.add(
        name="keepdims", i=0, type=onnx.AttributeProto.INT
    )
    model.graph.node.add(op_type="Slice", input=["wide", "start", "end", "two_axes"], output=["countries"])
    for name, value in (("two", 1), ("start", 0), ("end", 2), ("two_axes", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
    model.graph.output.append(onnx.helper.make_tensor_value_info("countries", onnx.TensorProto.FLOAT, ["B", 2]))
    onnx.save(model, folder / "recogniser.onnx")
    card = ModelCard.read(folder)
    card = replace(card, recogniser=replace(card.recogniser, countries=("CN", "BR"), temperature=3.0))
    write_reader(card, folder, folder / READER_FILE)
    session = open_session(folder / READER_FILE, 1)
    *_, probabilities, countries = session.run(None, {"frame": np.stack(SCENES[:2])})
    networks = onnxruntime.InferenceSession(str(folder / "recogniser.onnx"))
    reader = Reader(write_bundle(tmp_path / "one"), threads=1)
    crops = [reader.recogniser.rectify(s, reader(s)[0].detection.corners) for s in SCENES[:2]]
    logits, head = networks.run(None, {"crop": np.stack([c for c in crops if c is not None])})
    expected = np.exp(head - head.max(1, keepdims=True))
    np.testing.assert_allclose(countries, expected / expected.sum(1, keepdims=True), atol=0.02)
    assert (probabilities.argmax(-1) == logits.argmax(-1)).all()


@pytest.mark.parametrize(
    ("detector", "recogniser", "sentence"),
    [
        (DetectorSettings(input_px=320, score_threshold=0.95), None, "score 0.900 .* only the predictor finds"),
        (None, RecogniserSettings(margin=0.4, slots=SLOTS), "reads .* where the predictor reads"),
    ],
)
def test_a_graph_that_reads_otherwise_is_not_left(
    detector: DetectorSettings | None,
    recogniser: RecogniserSettings | None,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(card: ModelCard, folder: Path, path: Path) -> None:
        write_reader(
            replace(card, detector=detector or card.detector, recogniser=recogniser or card.recogniser), folder, path
        )

    folder = write_bundle(tmp_path / "models" / "tiny")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(onnx_bundle, "write_reader", wrong)
    with pytest.raises(ParityError, match=sentence):
        onnx_bundle.add_reader(folder, SCENES)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]


def test_a_detector_that_finds_nothing_is_compared_at_a_lower_threshold(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "shy", DetectorSettings(input_px=320, score_threshold=0.95))
    report = check_reader(ModelCard.read(folder), folder, SCENES[:1])
    assert report.plates == 4 and report.threshold < 0.9
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "detector.onnx", "recogniser.onnx"]


def _plate(text: str, score: float, x: float = 0.0, found: float = 0.9) -> PlateReading:
    corners = np.array([[x, 0], [x + 9, 0], [x + 9, 3], [x, 3]], np.float32)
    return PlateReading(Detection(corners, np.zeros(4, np.float32), found), Reading(text, score, ()))


def test_the_tolerances_are_what_they_say() -> None:
    tally = _Tally()
    tally.add([_plate("A", 0.9), _plate("B", 0.4, 30)], [_plate("C", 0.5, 30.4), _plate("A", 0.9)], 0.3, "here")
    assert (tally.plates, tally.equal, tally.sure) == (2, 1, 1) and tally.furthest == pytest.approx(0.4, abs=1e-4)
    with pytest.raises(ParityError, match=r"'B' .0.600. where the predictor reads 'A'"):
        tally.add([_plate("A", 0.4)], [_plate("B", 0.6)], 0.3, "here")
    with pytest.raises(ParityError, match="only the predictor finds, or elsewhere"):
        tally.add([_plate("A", 0.4)], [_plate("A", 0.4, 0.6)], 0.3, "here")
    with pytest.raises(ParityError, match=r"only reader.onnx finds"):
        tally.add([], [_plate("A", 0.4)], 0.3, "here")
    tally.add([_plate("A", 0.4, found=0.305)], [], 0.3, "here")  # the last bit of its score decided


def test_too_many_other_texts_are_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alpr.export.one_graph.parity.EQUAL_TEXTS", 1.01)
    with pytest.raises(ParityError, match=r"100.00% of 4 plates"):
        check_reader(ModelCard.read(bundle), bundle, SCENES[:1])


def test_a_network_of_another_opset_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "old")
    model = onnx.load(folder / "detector.onnx")
    model.opset_import[0].version = 21
    onnx.save(model, folder / "detector.onnx")
    with pytest.raises(ValueError, match=r"detector is written in .*21.*; reader.onnx is in opset 20"):
        write_reader(ModelCard.read(folder), folder, folder / READER_FILE)


def test_the_command_adds_one_and_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bundle(tmp_path / "tiny")
    with pytest.raises(RunError, match="detector is not given"):
        bundle_runs(composed("export", [f"output={folder}"]))
    (tmp_path / "scenes").mkdir()
    for i, image in enumerate(SCENES[:2]):
        export_image(tmp_path / "scenes" / f"{i}.png", image)
    bundle_runs(composed("export", [f"output={folder}", "reader=true", f"images={tmp_path / 'scenes'}"]))
    said = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"Parity held for reader\.onnx: largest corner difference \d\.\d{4} px, (\d+) of \1 texts equal\.", said
    )
    assert (folder / READER_FILE).is_file()


def export_image(path: Path, image: np.ndarray) -> None:
    import cv2

    assert cv2.imwrite(str(path), image)


def test_the_card_refuses_another_reader(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(bundle, folder)
    data = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for entry, sentence in (
        ({"file": "../reader.onnx"}, r"reader\.file is '\.\./reader\.onnx'; expected the plain name"),
        ({"file": "detector.onnx"}, r"detector\.file and reader\.file are both 'detector\.onnx'"),
        ({"sha256": "x"}, r"reader\.sha256 is 'x'; expected 64"),
        ({"size": 1}, r"unknown reader\.size"),
    ):
        with pytest.raises(CardError, match=sentence):
            ModelCard.from_dict({**data, "reader": {**data["reader"], **entry}})
    assert ModelCard.from_dict({**data, "reader": None}).reader_file is None
    (folder / READER_FILE).write_bytes(b"other")
    with pytest.raises(CardError, match=r"reader\.sha256"):
        ModelCard.read(folder).verify(folder)
    del data["reader"]
    without = ModelCard.from_dict(data)
    assert without.reader_file is None and "reader" not in without.to_dict()
    without.verify(folder)

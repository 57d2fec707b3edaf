"""The card: a round trip, and every wrong entry refused with a sentence that names it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import write_bundle

from alpr.detection.settings import DetectorSettings
from alpr.files import file_sha256
from alpr.plates.country import CountryPack
from alpr.reader.card import CardError, DataSource, ModelCard, TrainingRun, WeightFile
from alpr.recognition.settings import RecogniserSettings


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny")


def _changed(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    change(data)
    (bundle / "card.json").write_text(json.dumps(data), encoding="utf-8")


def test_round_trip(bundle: Path, china: CountryPack) -> None:
    card = dataclasses.replace(
        ModelCard.read(bundle),
        country=china,
        alphabet=china.alphabet,
        data=(DataSource("a.csv", "0" * 64, "CC BY 4.0"),),
        metrics={"val": {"read": 0.93, "interval": [0.92, 0.94]}},
        training=(TrainingRun("ccpd", 1, {"lr": 0.001, "layers": [1, 2]}), TrainingRun("other")),
        detector=DetectorSettings(input_px=640, score_threshold=0),
        recogniser=RecogniserSettings(size=(32, 128), temperature=1.5, threshold_99=0.9),
        fusion_temperature=0.7,
    )
    card.write(bundle)
    assert ModelCard.read(bundle) == card
    card.verify(bundle)
    assert sorted(p.name for p in bundle.iterdir()) == ["card.json", "detector.onnx", "recogniser.onnx"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(format=2), r"format is 2; this version of alpr reads format 1"),
        (lambda d: d.pop("format"), r"missing format"),
        (lambda d: d.update(fusion_temperature=0), r"fusion_temperature is 0.*; expected a number above 0"),
        (lambda d: d.pop("country"), r"missing country; expected the keys"),
        (lambda d: d.update(colour=1), r"unknown colour; expected the keys"),
        (lambda d: d["detector"].pop("sha256"), r"missing detector\.sha256"),
        (lambda d: d["detector"]["settings"].update(iou=1), r"unknown detector\.settings\.iou"),
        (lambda d: d["detector"]["settings"].pop("nms_iou"), r"missing detector\.settings\.nms_iou"),
        (lambda d: d["detector"]["settings"].update(input_px="448"), r"input_px is '448'; expected a whole number"),
        (lambda d: d["detector"]["settings"].update(input_px=True), r"input_px is True; expected a whole number"),
        (lambda d: d["detector"]["settings"].update(input_px=450), r"settings\.input_px is 450; expected a multiple"),
        (lambda d: d["detector"]["settings"].update(score_threshold=2), r"score_threshold is 2\.0; expected 0 to 1"),
        (lambda d: d["detector"]["settings"].update(corner_vote=2), r"corner_vote is 2\.0; expected 0 to 1, or null"),
        (lambda d: d["detector"]["settings"].update(corner_vote="no"), r"corner_vote is 'no'; expected a number"),
        (lambda d: d["detector"]["settings"].update(nms_iou=float("nan")), r"NaN is no finite number"),
        (lambda d: d["recogniser"]["settings"].update(size=[48]), r"size is \[48\]; expected a list of 2"),
        (lambda d: d["recogniser"]["settings"].update(temperature=0), r"temperature is 0\.0; expected a number above"),
        (
            lambda d: d["recogniser"]["settings"].update(threshold_99=2),
            r"threshold_99 is 2\.0; expected 0 to 1, or null",
        ),
        (lambda d: d["recogniser"]["settings"].update(slots=8.5), r"slots is 8\.5; expected a whole number"),
        (lambda d: d["recogniser"].update(alphabet="AA"), r"recogniser\.alphabet: .*'A' more than once"),
        (lambda d: d["recogniser"].update(alphabet="AB12"), r"recogniser\.alphabet lacks 3, 4, 5, 皖"),
        (lambda d: d["recogniser"].update(sha256="abc"), r"recogniser\.sha256 is 'abc'; expected 64 hexadecimal"),
        (lambda d: d["recogniser"].update(file="../x.onnx"), r"recogniser\.file is '\.\./x\.onnx'; expected the plain"),
        (lambda d: d["detector"].update(file="/etc/passwd"), r"detector\.file is '/etc/passwd'; expected the plain"),
        (lambda d: d["detector"].update(file="a\\b"), r"detector\.file is .* expected the plain name"),
        (lambda d: d["detector"].update(file=".."), r"detector\.file is '\.\.'; expected the plain name"),
        (lambda d: d["detector"].update(file="recogniser.onnx"), r"are both 'recogniser\.onnx'"),
        (lambda d: d["country"].update(layouts=[]), r"country: no layout"),
        (lambda d: d["country"].update(layouts=3), r"country: "),
        (lambda d: d["country"].update(classes=[]), r"country: "),
        (lambda d: d["country"].pop("code"), r"country: missing code; expected the keys"),
        (lambda d: d.update(data=[{"name": "x"}]), r"missing data\[0\]\.licence, data\[0\]\.sha256"),
        (lambda d: d.update(data={}), r"data is \{\}; expected a list"),
        (lambda d: d.update(training=["run"]), r"training\[0\] is 'run'; expected a mapping"),
        (lambda d: d.update(commit=5), r"commit is 5; expected a text"),
        (lambda d: d.update(metrics=None), r"metrics is None; expected a mapping"),
    ],
)
def test_a_wrong_entry_is_named(bundle: Path, change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    _changed(bundle, change)
    with pytest.raises(CardError, match=sentence) as error:
        ModelCard.read(bundle)
    assert str(bundle / "card.json") in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "no valid JSON"), ("[]", "expected a mapping"), ("\udc80", "no valid JSON")]
)
def test_a_file_that_is_no_card(bundle: Path, text: str, sentence: str) -> None:
    (bundle / "card.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CardError, match=sentence):
        ModelCard.read(bundle)
    with pytest.raises(CardError, match="is no bundle"):
        ModelCard.read(bundle / "nowhere")


def test_another_file_is_refused_with_both_hashes(bundle: Path) -> None:
    card = ModelCard.read(bundle)
    path = bundle / "recogniser.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CardError) as error:
        card.verify(bundle)
    assert card.recogniser_file.sha256 in str(error.value) and file_sha256(path) in str(error.value)
    path.unlink()
    with pytest.raises(CardError, match="cannot be read"):
        card.verify(bundle)


def test_a_card_made_in_code_cannot_name_a_path_outside(bundle: Path) -> None:
    card = ModelCard.read(bundle)
    evil = dataclasses.replace(
        card, detector_file=dataclasses.replace(card.detector_file, file="../tiny/detector.onnx")
    )
    with pytest.raises(CardError, match="plain name"):
        evil.verify(bundle)
    with pytest.raises(CardError, match="plain name"):
        evil.write(bundle)
    assert ModelCard.read(bundle) == card  # the one that stood there stays


@pytest.mark.parametrize("value", [float("nan"), object(), Path("x")])
def test_values_that_json_does_not_know_are_not_written(bundle: Path, value: object) -> None:
    card = ModelCard.read(bundle)
    with pytest.raises(CardError, match="no plain JSON value"):
        dataclasses.replace(card, metrics={"x": value}).write(bundle)
    assert ModelCard.read(bundle) == card


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_in_any_place_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    if not _FUZZED:
        folder = write_bundle(tmp_path_factory.mktemp("fuzz") / "tiny")
        _FUZZED.append((folder / "card.json").read_text(encoding="utf-8"))
    card = json.loads(_FUZZED[0])
    place: Any = card
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(_JSON)
    try:
        ModelCard.from_dict(card)
    except CardError as error:
        assert str(error).startswith("card.json")


_FUZZED: list[str] = []


def test_a_card_from_before_the_corner_vote_is_read_without_it(bundle: Path) -> None:
    card = ModelCard.read(bundle)
    data = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    assert data["detector"]["settings"].pop("corner_vote") == 0.7
    old = ModelCard.from_dict(data)
    assert old == dataclasses.replace(card, detector=dataclasses.replace(card.detector, corner_vote=None))
    old.write(bundle)
    assert ModelCard.read(bundle) == old


def test_a_card_from_before_the_calibration_is_read_without_thresholds(bundle: Path) -> None:
    card = ModelCard.read(bundle)
    data = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    assert [data["recogniser"]["settings"].pop(key) for key in ("threshold_99", "threshold_999")] == [None, None]
    assert ModelCard.from_dict(data) == card


def test_a_threshold_by_its_precision() -> None:
    calibrated = RecogniserSettings(threshold_99=0.9)
    assert calibrated.min_score("99") == 0.9
    with pytest.raises(ValueError, match=r"99\.9 % of the readings are right; calibrate"):
        calibrated.min_score("99.9")
    with pytest.raises(ValueError, match=r"'95' has no threshold; expected 99 or 99\.9"):
        calibrated.min_score("95")


def test_the_precision_is_kept_and_an_old_card_without_one_is_fp32(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    card = ModelCard.read(folder)
    assert card.precision == "fp32" and "precision" not in card.to_dict()
    dataclasses.replace(card, precision="int8").write(folder)
    assert ModelCard.read(folder).precision == "int8"
    data = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    with pytest.raises(CardError, match="precision is 'int4'; expected fp32, fp16, int8"):
        ModelCard.from_dict({**data, "precision": "int4"})


def test_other_files_may_be_left_behind_but_not_changed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "detector.safetensors").write_bytes(b"weights")
    other = WeightFile.of(folder / "detector.safetensors")
    card = dataclasses.replace(ModelCard.read(folder), other_files=(other,))
    card.write(folder)
    assert ModelCard.read(folder).other_files == (other,)
    card.verify(folder)
    (folder / other.file).write_bytes(b"others")
    with pytest.raises(CardError, match=r"has SHA-256 .*other_files\[0\]\.sha256 is"):
        card.verify(folder)
    card.verify(folder, others=False)
    (folder / other.file).unlink()
    card.verify(folder)
    outside = {"other_files": [{"file": "../x", "sha256": "0" * 64}]}
    with pytest.raises(CardError, match=r"other_files\[0\]\.file is '\.\./x'; expected the plain name"):
        ModelCard.from_dict({**json.loads((folder / "card.json").read_text(encoding="utf-8")), **outside})

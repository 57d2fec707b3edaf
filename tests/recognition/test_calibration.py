"""Calibration: a known temperature is found again, thresholds by a slow oracle, and what is written is read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny_runs import RECOGNISER, overrides

from alpr.data.several_tables import read_manifest
from alpr.plates.charset import Charset
from alpr.recognition.calibration import (
    Calibration,
    Fit,
    LabelledLogits,
    Threshold,
    calibrate,
    fit_temperature,
    reliability,
    string_losses,
    string_scores,
    threshold_for,
)
from alpr.recognition.decode import decode_logits, softmax
from alpr.recognition.held_back import Settings, sentence
from alpr.recognition.mixture.short_words import PLATES
from alpr.runs.checkpoints import RunError
from alpr.runs.weights import write_weights
from alpr.training.calibrate import calibrate_run
from alpr.training.configuration import composed
from alpr.training.record import RunRecord
from alpr.training.runs import load_reader, load_recogniser

CHARSET = Charset("AB1")


def synthetic(temperature: float, count: int = 6000, seed: int = 0) -> LabelledLogits:
    """Labels drawn from the logits' own distribution, which is then made sharper by a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (count, 4, 4))
    logits[np.arange(count)[:, None], np.arange(4), rng.integers(1, 4, (count, 4))] += rng.uniform(2, 7, (count, 1))
    logits[..., 0] = -50.0
    classes = (softmax(logits).cumsum(axis=-1) > rng.random((count, 4, 1))).argmax(axis=-1)
    return LabelledLogits(logits * temperature, [CHARSET.decode(row) for row in classes], list(range(count)), CHARSET)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    found = calibrate(synthetic(temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    assert found.temperature_range is not None
    assert found.temperature_range[0] <= temperature * 1.06 and found.temperature_range[1] >= temperature / 1.06
    assert found.after.nll <= found.before.nll + 1e-9
    if temperature != 1:
        assert found.after.ece < found.before.ece / 2


def test_a_wrong_label_among_few_plates_does_not_move_the_temperature() -> None:
    data = synthetic(1.0, 150)
    before, _ = fit_temperature(data.logits, data.right(), np.arange(150))
    surest = int(np.argmax(string_scores(data.logits, 1.0)))
    data = replace(data, texts=[t + "A" if i == surest else t for i, t in enumerate(data.texts)])
    moved, _ = fit_temperature(data.logits, data.right(), np.arange(150))
    found = calibrate(data)
    assert moved > before + 0.02 and found.temperature == 1.0 and f"{moved:.3f}, is not surely better" in found.note


def test_the_temperature_is_the_best_of_a_fine_grid() -> None:
    data = synthetic(1.7, 400)
    right = data.right()
    best, _ = fit_temperature(data.logits, right, np.arange(400))
    losses = {t: string_losses(string_scores(data.logits, t), right).sum() for t in np.geomspace(0.3, 8, 800)}
    assert best == pytest.approx(min(losses, key=lambda t: losses[t]), rel=0.01)


def test_scores_are_those_of_decoding() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (200, 5, 4))
    for temperature in (0.5, 1.0, 3.0):
        readings = decode_logits(logits, CHARSET, temperature)
        expected = [r.score for r in readings if r.text]
        read = LabelledLogits(logits, [""] * 200, [0] * 200, CHARSET).read()
        assert read.sum() == len(expected) < 200
        assert string_scores(logits[read], temperature).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
def test_thresholds_equal_trying_every_score(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 40, 150) / 40
    right = rng.random(150) < scores**0.3
    for precision in (0.5, 0.9, 0.99, 0.999):
        found = threshold_for(scores, right, np.arange(150) // 3, precision)
        expected = oracles.threshold(scores.tolist(), right.tolist(), precision)
        assert (None if found is None else found.score) == expected
        if found is not None:
            kept = scores >= found.score
            plates = np.arange(150) // 3
            assert (found.readings, found.wrong) == (kept.sum(), (kept & ~right).sum())
            assert found.plates == len(set(plates[kept])) and found.wrong_plates == len(set(plates[kept & ~right]))


def test_no_threshold_where_the_surest_reading_is_wrong() -> None:
    assert threshold_for(np.array([0.9, 0.8]), np.array([False, True]), np.arange(2), 0.99) is None
    assert threshold_for(np.array([0.9, 0.9]), np.array([False, True]), np.arange(2), 0.99) is None


def test_readings_of_one_plate_count_once_for_the_range() -> None:
    data = synthetic(1.5, 300)
    copies = LabelledLogits(
        np.repeat(data.logits, 8, axis=0),
        [t for t in data.texts for _ in range(8)],
        [p for p in data.plates for _ in range(8)],
        CHARSET,
    )
    one, many = calibrate(data), calibrate(copies)
    assert many.temperature == pytest.approx(one.temperature) and many.temperature_range == one.temperature_range
    assert (one.readings, many.readings, many.plates) == (300, 2400, 300)


def test_empty_readings_and_negatives() -> None:
    data = synthetic(1.0, 100)
    blank = np.zeros((20, 4, 4))
    blank[..., 0] = 9
    logits = np.concatenate([data.logits, blank])
    whole = calibrate(LabelledLogits(logits, [*data.texts, *["A"] * 10, *[""] * 10], list(range(120)), CHARSET))
    alone = calibrate(data)
    assert whole.empty == 20 and replace(whole, empty=0) == alone
    assert not LabelledLogits(blank, [""] * 20, [0] * 20, CHARSET).right().any()  # reading nothing is no reading
    imagined = LabelledLogits(data.logits, [""] * 100, data.plates, CHARSET)
    assert not imagined.right().any()


@pytest.mark.parametrize("right", [True, False])
def test_nothing_to_fit_leaves_the_temperature_and_says_so(right: bool) -> None:
    data = synthetic(1.0, 30)
    texts = [r.text if right else "A" * 9 for r in decode_logits(data.logits, CHARSET)]
    found = calibrate(replace(data, texts=texts))
    assert (found.temperature, found.temperature_range) == (1.0, None)
    assert f"All of 30 readings are {'right' if right else 'wrong'}" in found.note
    assert (found.threshold_99 is not None) is right


def test_wrong_inputs_are_named() -> None:
    logits = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match="no reading to calibrate by"):
        LabelledLogits(np.zeros((0, 4, 4)), [], [], CHARSET)
    with pytest.raises(ValueError, match="texts and plates are 2, 1 and 2; expected as many"):
        LabelledLogits(logits, ["A"], [0, 1], CHARSET)
    with pytest.raises(ValueError, match="not finite"):
        LabelledLogits(logits * np.nan, ["A", "B"], [0, 1], CHARSET)
    with pytest.raises(ValueError, match=r"expected \(B, L, 4\)"):
        LabelledLogits(np.zeros((2, 4, 9)), ["A", "B"], [0, 1], CHARSET)
    with pytest.raises(ValueError, match="Nothing was read on any of 2 crops"):
        calibrate(LabelledLogits(logits, ["A", "B"], [0, 1], CHARSET))


def test_the_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    found = Calibration(
        1.3, (1.0, 1.6), Threshold(0.9, 50, 1, 40, 1), None, 60, 45, 5, 2, Fit(0.1, 0.3), Fit(0.02, 0.2), "", "0" * 64
    )
    for calibration in (found, replace(found, temperature_range=None, manifests={"a.csv": "1"}, fold=0)):
        path.write_bytes(calibration.to_json())
        assert Calibration.read(path) == calibration
    for text in ("{", "{}", '{"temperature": 1}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"calibration\.json is no calibration"):
            Calibration.read(path)


def test_a_reliability_diagram_has_bins_of_one_size() -> None:
    scores, right = np.array([0.9, 0.1, 0.8, 0.2]), np.array([True, False, True, True])
    low, high = reliability(scores, right, bins=2)
    assert (low.score, low.right, low.readings) == (pytest.approx(0.15), 0.5, 2)
    assert (high.score, high.right, high.readings) == (pytest.approx(0.85), 1.0, 2)
    assert len(reliability(scores, right)) == 4


def make_run(run: Path, data: Path) -> None:
    """The folder of a run whose untrained recogniser never reads PAD, so that it prints something."""
    config = composed("train", overrides(RECOGNISER, data, run))
    module = instantiate(config.model, _convert_="all")
    with torch.no_grad():
        module.network.classifier.bias[0] = -30
    (run / "checkpoints").mkdir(parents=True)
    held = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(held, run / "checkpoints" / "best.ckpt")
    plain = OmegaConf.to_container(config, resolve=True)
    manifest = data / "ccpd_green" / "alpr_dataset.csv"
    sums = {"ccpd_green/alpr_dataset.csv": read_manifest([manifest], splits=["train"]).sha256}
    RunRecord("run", plain, 1, sums, "train", 0).write(run)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["os.mkdir", "alpr.detection.datamodule.DetectionData", None])
def test_a_stored_run_never_chooses_what_is_called(target: str | None, tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, tiny_data)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    good = record["config"]["data"]
    record["config"]["data"] = {"_target_": target, "path": str(tmp_path / "made")}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(RunError, match=rf"run\.json: data\._target_ is {target!r}; expected alpr\.recognition"):
        calibrate_run(run, Settings(draws=1))
    assert not (tmp_path / "made").exists()
    record["config"]["data"] = {**good, "nested": {"_target_": "os.mkdir", "path": str(tmp_path / "made")}}
    assert good["_target_"] == PLATES
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises((RunError, ValueError), match="nested"):
        calibrate_run(run, Settings(draws=1))
    assert not (tmp_path / "made").exists()


def test_a_run_is_calibrated_and_what_reads_it_is_too(tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, tiny_data)
    found = calibrate_run(run, Settings(draws=1))
    path = run / "calibration.json"
    assert Calibration.read(path) == found and found.fold == 0
    assert found.wrong == found.readings == 2 * found.plates > 0 and "are wrong: any temperature" in sentence(found)
    assert "<svg" in (run / "calibration.html").read_text(encoding="utf-8")
    assert calibrate_run(run, Settings(draws=0, plates=1)).readings == 1

    threshold = Threshold(0.7, 9, 0, 9, 0)
    path.write_bytes(replace(found, temperature=1.7, threshold_99=threshold).to_json())
    used = load_reader(recogniser=run).recogniser.settings  # type: ignore[union-attr]
    assert (used.temperature, used.threshold_99, used.threshold_999) == (1.7, 0.7, None)
    module = load_recogniser(run)
    write_weights(module, tmp_path / "recogniser.safetensors")
    assert load_recogniser(tmp_path / "recogniser.safetensors").predictor == module.predictor
    assert load_recogniser(run, calibrated=False).predictor.temperature == 1.0
    path.write_bytes(replace(found, temperature=-1.0).to_json())
    with pytest.raises(RunError, match=r"temperature is -1\.0; expected"):
        load_recogniser(run)
    path.write_bytes(replace(found, checkpoint="0" * 64).to_json())
    with pytest.warns(UserWarning, match="its scores stay uncalibrated"):
        assert load_recogniser(run).predictor.temperature == 1.0
    path.write_text("{}")
    with pytest.raises(RunError, match="is no calibration"):
        load_recogniser(run)


def test_a_run_is_calibrated_on_its_own_plates_or_on_those_named(tiny_data: Path, tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    make_run(run, tiny_data)
    shutil.copytree(tiny_data, moved)
    table = moved / "ccpd_green" / "alpr_dataset.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("train", "val", 1), encoding="utf-8")
    with pytest.raises(RunError, match=r"now the data are .* Give data\.manifest=FILE"):
        calibrate_run(run, Settings(draws=0, data={"root": str(moved)}))
    assert calibrate_run(run, Settings(draws=0, data={"manifest": str(table)})).plates > 0
    lone = shutil.copy(run / "checkpoints" / "best.ckpt", moved / "weights.ckpt")
    with pytest.raises(RunError, match=r"holds no run\.json"):
        calibrate_run(Path(lone), Settings())
    assert calibrate_run(Path(lone), Settings(draws=0, data={"manifest": str(table)})).plates > 0
    assert (moved / "calibration.json").is_file()
    with pytest.raises(ValueError, match="draws is -1"):
        Settings(draws=-1)

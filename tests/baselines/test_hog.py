"""The HoG detector through the doors of training and evaluation, with a plain linear fit in scikit-learn's place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from omegaconf import DictConfig

from alpr.baselines import hog_training
from alpr.baselines.array_files import read_arrays, write_arrays
from alpr.baselines.hog import FILE, KIND, HogDetector, HogSettings
from alpr.baselines.hog_training import MINED, HogTraining
from alpr.baselines.scikit_learn import Plane, linear_svc
from alpr.data.manifest import Manifest
from alpr.evaluation.command import run
from alpr.plates.records import FloatArray
from alpr.runs.checkpoints import RunError
from alpr.training.configuration import composed
from alpr.training.one_pass import fit_one_pass, is_one_pass

SMALL = ["model.settings.windows=[[64,24]]", "model.settings.long_px=240", "model.settings.step=1.1"]


def least_squares(positive: FloatArray, negative: FloatArray, c: float, seed: int) -> Plane:
    x = np.concatenate([positive, negative]).astype(np.float64)
    y = np.repeat([1.0, -1.0], [len(positive), len(negative)])
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    each = np.repeat([1 / len(positive), 1 / len(negative)], [len(positive), len(negative)])
    weights = np.linalg.solve((x.T * each) @ x + 0.003 * np.eye(x.shape[1]), x.T @ (each * y))
    return Plane(weights[:-1].astype(np.float32), float(weights[-1]))


def curve(margins: FloatArray, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    return 4.0, 0.0


@pytest.fixture(autouse=True)
def plain_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hog_training, "linear_svc", least_squares)
    monkeypatch.setattr(hog_training, "logistic", curve)


def scenes(folder: Path, count: int) -> Path:
    """Grey photographs with squares, and in each a white plate of strokes, a little turned."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    names, quads = [], []
    for i in range(count):
        image = np.full((180, 240, 3), 110, np.uint8)
        for x, y in random.integers(0, 150, (5, 2)):
            cv2.rectangle(image, (int(x), int(y)), (int(x) + 40, int(y) + 25), (60, 60, 60), 2)
        width, turn = random.uniform(70, 100), random.uniform(-0.06, 0.06)
        centre = random.uniform((70, 40), (170, 140))
        flat = np.zeros((25, 100, 3), np.uint8) + 250
        for x in range(8, 92, 12):
            flat[5:20, x : x + 5] = 0
        along = np.array([np.cos(turn), np.sin(turn)]) * width / 2
        down = np.array([-np.sin(turn), np.cos(turn)]) * width / 8
        quad = np.array([centre - along - down, centre + along - down, centre + along + down, centre - along + down])
        corners = np.array([[0, 0], [100, 0], [100, 25], [0, 25]], np.float32)
        matrix = cv2.getPerspectiveTransform(corners, quad.astype(np.float32))
        warped = cv2.warpPerspective(flat, matrix, (240, 180), borderMode=cv2.BORDER_TRANSPARENT, dst=image)
        assert cv2.imwrite(str(folder / f"{i}.png"), warped)
        names.append(f"{i}.png")
        quads.append(quad)
    texts = [f"AB{i:03d}" for i in range(count)]
    split = ["train" if i < count - 8 else "val" for i in range(count)]
    Manifest.of(folder, names, corners=np.array(quads, np.float32), text=texts, split=split).write(
        folder / "labels.csv"
    )
    return folder / "labels.csv"


def configured(table: Path, output: Path, *words: str) -> DictConfig:
    given = [f"data.root={table.parent}", f"data.manifest={table.name}", f"output_dir={output}"]
    return composed("train", ["experiment=hog_detector", *given, *SMALL, *words])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes(tmp_path_factory.mktemp("scenes"), 60)


def test_it_is_trained_and_finds_plates_it_has_not_seen(table: Path, tmp_path: Path) -> None:
    config = configured(table, tmp_path / "run")
    assert is_one_pass(config) and fit_one_pass(config) > 0.8
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["kind"], record["result"]["best"] > 0.8) == ("finished", KIND, True)
    assert not (tmp_path / "run" / MINED).exists()
    words = [f"baseline.run={tmp_path / 'run'}", f"data.manifest={table}", "data.split=val"]
    assert run(composed("evaluate", ["baseline=hog", *words, f"output={tmp_path / 'out'}"]))
    report: dict[str, Any] = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert found["found_50"] >= 0.85 and len(report["model"][FILE]) == 64
    assert report["detection"]["corner_error_median"] < 0.25  # of the height: the regression's corners turn with it


def test_a_finished_run_is_left_and_other_settings_are_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["model.rounds=0", "model.scenes=30"]
    best = fit_one_pass(configured(table, tmp_path, *few))
    assert fit_one_pass(configured(table, tmp_path, *few)) == pytest.approx(best, abs=1e-4)
    assert "is finished" in capsys.readouterr().out
    with pytest.raises(RunError, match="another configuration"):
        fit_one_pass(configured(table, tmp_path, "model.rounds=1", "model.scenes=30"))


def test_a_stopped_run_goes_on_to_the_same_detector(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    fit_one_pass(configured(table, whole, "model.scenes=30"))
    turns: list[str] = []
    hard = HogTraining._hard

    def interrupted(self: HogTraining, detector: HogDetector, some: Sequence[Any], what: str) -> list[FloatArray]:
        turns.append(what)
        if len(turns) == 2:
            raise KeyboardInterrupt
        return hard(self, detector, some, what)

    monkeypatch.setattr(HogTraining, "_hard", interrupted)
    with pytest.raises(SystemExit):
        fit_one_pass(configured(table, stopped, "model.scenes=30"))
    assert json.loads((stopped / "run.json").read_text(encoding="utf-8"))["status"] == "stopped"
    fit_one_pass(configured(table, stopped, "model.scenes=30"))
    assert turns == ["hard negatives, 1 of 2", "hard negatives, 2 of 2", "hard negatives, 2 of 2"]
    one, other = (read_arrays(folder / FILE, KIND).arrays for folder in (whole, stopped))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_too_few_plates_for_a_window_are_said(table: Path, tmp_path: Path) -> None:
    words = ["model.settings.windows=[[64,24],[32,32]]", "model.scenes=30"]
    with pytest.raises(ValueError, match=r"The window 32x32 px has 0 plates of its shape; expected 20"):
        fit_one_pass(configured(table, tmp_path, *words))
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["status"] == "failed"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Nothing gives baseline.run; expected a run folder of `alpr train experiment=hog_detector`"),
        (["baseline.run=nowhere"], "holds no hog.safetensors"),
    ],
)
def test_a_run_is_asked_for(words: list[str], sentence: str, table: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(composed("evaluate", ["baseline=hog", *words, f"data.manifest={table}", f"output={tmp_path}"]))


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    settings = {"settings": {"windows": [[48, 16]]}, "slope": 1.0, "offset": 0.0, "threshold": 0.5}
    length = HogSettings(((48, 16),)).descriptor((48, 16)).getDescriptorSize()
    right = {"0.weights": np.zeros(length), "0.bias": np.zeros(1), "0.corners": np.zeros((length + 1, 8))}
    write_arrays(path, KIND, right, settings)
    assert HogDetector.read(path)[1] == 0.5
    write_arrays(path, KIND, right | {"0.weights": np.zeros(3)}, settings)
    with pytest.raises(ValueError, match=r"window 0 has weights of \(3,\)"):
        HogDetector.read(path)
    write_arrays(path, "cake", right, settings)
    with pytest.raises(ValueError, match="holds 'cake'; expected a HoG detector"):
        HogDetector.read(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        HogDetector.read(path)


@pytest.mark.parametrize("wrong", [{"windows": ((50, 16),)}, {"windows": ()}, {"step": 1.0}, {"block": 12}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        HogSettings(**wrong)


def test_scikit_learn_agrees_or_says_that_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    positive, negative = random.normal(1, 0.3, (40, 6)), random.normal(-1, 0.3, (60, 6))
    try:
        import sklearn  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match=r"pip install 'alpr-train\[baselines\]'"):
            linear_svc(positive, negative, 1.0, 1)
        return
    weights, bias = linear_svc(positive, negative, 1.0, 1)
    assert (positive @ weights + bias > 0).all() and (negative @ weights + bias < 0).all()

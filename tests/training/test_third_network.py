"""A network that is neither detector nor recogniser goes through the ordinary verbs, and no file of alpr/ knows it."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from third_network.module import NETWORK_FILE, RowsModule
from tiny_runs import REPOSITORY, Scripts

from alpr.data.manifest import Manifest
from alpr.detection.module import DetectorModule
from alpr.files import file_sha256
from alpr.runs.checkpoints import RunError, load, named_task, warm_start
from alpr.runs.weights import write_weights

ALPR = "alpr/__main__.py"
TASK = "task=third_network.module.RowsModule"
CONFIGS = ("--config-dir", str(REPOSITORY / "tests" / "third_network" / "configs"), "experiment=plate_rows")
STEPS = 24


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty drawn crops: a bar of one row in the middle, or of two rows."""
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    rows = [str(1 + i % 2) for i in range(80)]
    for i, count in enumerate(rows):
        crop = rng.integers(180, 256, (32, 64, 3)).astype(np.uint8)
        for top in {"1": (12,), "2": (4, 20)}[count]:
            crop[top : top + 8, 4:60] = rng.integers(0, 60)
        cv2.imwrite(str(folder / f"{i}.png"), crop)
    names = [f"{i}.png" for i in range(len(rows))]
    Manifest.of(folder, names, text=[f"A{i}" for i in range(len(rows))], extra={"rows": rows}).write(
        folder / "rows.csv"
    )
    return folder / "rows.csv"


def training(table: Path, run: Path, *more: str) -> list[str]:
    given = ("trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.log_every_n_steps=2")
    data = (f"data.root={table.parent}", "data.manifest=rows.csv", "watch.checkpoint_steps=3")
    return ["train", *CONFIGS, *given, *data, f"output_dir={run}", *more]


@pytest.fixture(scope="module")
def run(scripts: Scripts, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = scripts.run(ALPR, training(table, folder, "watch.ema_decay=0.5"))
    assert done.code == 0, done.text
    (folder / "log.txt").write_text(done.text, encoding="utf-8")
    return folder


def test_no_file_of_the_package_names_it() -> None:
    """Neither its class, nor its folder, nor its kind."""
    files = [*(REPOSITORY / "alpr").rglob("*.py"), *(REPOSITORY / "configs").rglob("*.yaml")]
    assert len(files) > 200
    for word in (RowsModule.__name__, RowsModule.__module__.partition(".")[0], RowsModule.kind, "plate_rows"):
        assert not [str(path) for path in files if word in path.read_text(encoding="utf-8")], word


def test_it_trains(run: Path) -> None:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (record["kind"], record["status"], record["steps"]) == (RowsModule.kind, "finished", STEPS)
    assert record["result"]["best"] == 1.0 and record["result"]["share_of_two"] == pytest.approx(0.5, abs=0.1)
    assert (run / "validations.txt").read_text(encoding="utf-8").split() == ["step", "8", "step", "16", "step", "24"]
    lines = (run / "log.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "plate_rows: a counter of rows of 0.0 M parameters." and "of two rows)" in lines[3]
    ending = [line.split() for line in lines[-5:]]
    assert [line[0] for line in ending] == ["what", "best", "accuracy", "share_of_two", "threshold"]
    assert ending[1][-2:] == ["1", str(run / "checkpoints" / "best.ckpt")]
    assert ending[2][1:] == ["1", str(run / "metrics.csv")]
    assert ending[4][1:] == ["0.5", str(run / "rows.json")]


def state_of(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_killed_run_ends_as_an_undisturbed_one(scripts: Scripts, table: Path, tmp_path: Path) -> None:
    ends = []
    for name, places in (("whole", ()), ("killed", ("step:5", "validation:8", "step:20"))):
        arguments = training(table, tmp_path / name, "model._target_=third_network.module.WeighedRows")
        for place in places:
            assert scripts.run(ALPR, arguments, ALPR_TEST_DIE=place).code == -signal.SIGKILL
        done = scripts.run(ALPR, arguments)
        assert done.code == 0, done.text
        rows = list(csv.DictReader((tmp_path / name / "metrics.csv").open()))
        ends.append((state_of(tmp_path / name), rows))
    (one, ours), (other, theirs) = ends
    assert ours == theirs and one["global_step"] == other["global_step"] == STEPS
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(one[key][name], other[key][name]) for name in one[key])
    moments, others = (checkpoint["optimizer_states"][0]["state"] for checkpoint in (one, other))
    assert moments and list(moments) == list(others)
    for number, state in moments.items():
        assert all(torch.equal(value, others[number][name]) for name, value in state.items())


def test_it_is_exported(scripts: Scripts, run: Path, tmp_path: Path) -> None:
    output = tmp_path / "exported"
    done = scripts.run(ALPR, ["export", TASK, f"run={run}", f"output={output}"])
    assert done.code == 0 and done.text.splitlines()[-1].startswith("Parity held: logits "), done.text
    record = json.loads((output / "export.json").read_text(encoding="utf-8"))
    assert record["kind"] == RowsModule.kind and record["training"]["name"] == "plate_rows"
    assert record["files"] == {NETWORK_FILE: file_sha256(output / NETWORK_FILE)}
    assert record["checkpoint"] == file_sha256(run / "checkpoints" / "best.ckpt") and record["parity"]["logits"] < 1e-4
    logits = onnxruntime.InferenceSession(output / NETWORK_FILE).run(None, {"crop": np.zeros((5, 16, 32, 3), np.uint8)})
    assert logits[0].shape == (5,)
    again = scripts.run(ALPR, ["export", TASK, f"run={run}", f"output={output}"])  # takes the place of the first
    assert again.code == 0 and sorted(p.name for p in output.parent.iterdir()) == ["exported"], again.text
    (tmp_path / "mine").mkdir()
    refused = scripts.run(ALPR, ["export", TASK, f"run={run}", f"output={tmp_path / 'mine'}"])
    assert refused.code == 1 and "exists and is no export" in refused.text


def test_it_is_evaluated(scripts: Scripts, run: Path, table: Path, tmp_path: Path) -> None:
    done = scripts.run(ALPR, ["evaluate", TASK, f"run={run}", f"data.manifest={table}", f"output={tmp_path}"])
    assert done.code == 0 and "accuracy  1" in done.text, done.text
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["figures"] == {"plates": 80, "accuracy": 1.0} and report["model"]["kind"] == RowsModule.kind
    assert list(report["manifests"]) == [f"{table.parent.name}/rows.csv"]


def test_its_weights_have_a_mean_and_begin_another_run(scripts: Scripts, run: Path, tmp_path: Path) -> None:
    mean = tmp_path / "mean.safetensors"
    done = scripts.run(ALPR, ["average", str(run), str(run), "--task", TASK[5:], "--output", str(mean)])
    assert done.code == 0, done.text
    module = load(mean, RowsModule)
    for name, value in load(run, RowsModule).state_dict().items():
        assert torch.allclose(module.state_dict()[name], value, atol=1e-3)
    assert warm_start(RowsModule((16, 32), 4), mean).startswith("It begins with the network of ")
    unknown = scripts.run(ALPR, ["average", str(run), str(run), "--output", str(mean)])
    assert unknown.code == 2 and "which alpr does not have; name its class as task" in unknown.text


def test_another_kind_is_refused(run: Path, tmp_path: Path) -> None:
    detector = DetectorModule({"stem": (8, 8), "stage_widths": (8, 8, 8, 8), "neck_width": 8, "head_width": 8})
    write_weights(detector, tmp_path / "detector.safetensors")
    with pytest.raises(RunError, match="holds the weights of a detector; expected those of a counter of rows"):
        load(tmp_path / "detector.safetensors", RowsModule)
    with pytest.raises(RunError, match="are those of a counter of rows; this run trains a detector"):
        warm_start(detector, run)
    with pytest.raises(ValueError, match="A detector has no export of its own"):
        detector.export(tmp_path)
    for name, sentence in (
        ("third_network.nowhere.Rows", "cannot be imported"),
        ("third_network.data.RowsData", r"is no alpr\.task\.TaskModule"),
    ):
        with pytest.raises(RunError, match=sentence):
            named_task(name)

"""Runs: what they leave, what they refuse, how they stop, and the sentences about wrong input."""

from __future__ import annotations

import csv
import json
import math
import multiprocessing
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import DETECTOR, ENVIRONMENT, RECOGNISER, REPOSITORY, Scripts, overrides

import alpr
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.detection.datamodule import DetectionData
from alpr.detection.module import DetectorModule
from alpr.files import file_sha256
from alpr.images.prepare import read_image
from alpr.plates.geometry import corner_box
from alpr.plates.records import Detection
from alpr.runs.checkpoints import RunError, warm_start
from alpr.task import TaskModule
from alpr.training.calibrate import held_back_data
from alpr.training.configuration import complaint_about, plain_sentence
from alpr.training.fit import hold, precision_of, threads_beside
from alpr.training.metrics_csv import MetricsCsv, forget_from, read_rows
from alpr.training.runs import load_detector, load_reader, load_recogniser


@pytest.fixture(scope="module")
def runs(scripts: Scripts, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished detector and recogniser."""
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in (("detector", DETECTOR), ("recogniser", RECOGNISER)):
        done = scripts.run("train.py", overrides(settings, tiny_data, folder / name))
        assert done.code == 0, done.text
        (folder / f"{name}.log").write_text(done.text, encoding="utf-8")
    return folder


def record_of(run: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads((run / "run.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_run_json_says_what_made_the_run_and_what_came_of_it(runs: Path, tiny_data: Path) -> None:
    for name in ("detector", "recogniser"):
        record = record_of(runs / name)
        table = tiny_data / "ccpd_green" / "alpr_dataset.csv"
        assert record["manifests"] == {"ccpd_green/alpr_dataset.csv": read_manifest(table).sha256}
        assert (record["split"], record["fold"], record["seed"]) == ("train", 0, 1)
        assert (record["status"], record["steps"], record["resumed"]) == ("finished", 24, 0)
        assert record["config"]["optim"]["weight_decay"] == 0.05 and "${" not in json.dumps(record["config"])
        assert record["versions"]["alpr"] == alpr.__version__ and record["versions"]["torch"] == torch.__version__
        assert record["precision"] == "32-true" and record["seconds"] > 0 and "threads" in record["device"]
        assert record["commit"] is None or len(record["commit"].removesuffix("+changes")) == 40
        assert math.isfinite(record["result"]["best"]) and len(record["result"]) > 4
        left = ["checkpoints", *(["filmstrip"] if name == "detector" else []), "metrics.csv", "run.json"]
        uncalibrated = "The scores stay uncalibrated: Nothing was read" in (runs / f"{name}.log").read_text("utf-8")
        left = sorted(left + ([] if name == "detector" or uncalibrated else ["calibration.html", "calibration.json"]))
        assert sorted(p.name for p in (runs / name).iterdir() if p.name != ".lock") == left


def test_a_filmstrip_shows_every_validation(runs: Path) -> None:
    strip = sorted((runs / "detector" / "filmstrip").iterdir())
    assert [p.name for p in strip] == ["epoch_000.jpg", "epoch_001.jpg", "epoch_002.jpg"]
    assert all(p.stat().st_size < 200_000 and cv2.imread(str(p)) is not None for p in strip)


def test_a_mixture_is_scored_as_a_whole_and_by_source(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    table = "ccpd_green/alpr_dataset.csv"
    sources = f"data.sources=[{{manifest: {table}, name: a}}, {{manifest: {table}, complete: false, name: b}}]"
    arguments = overrides(DETECTOR, tiny_data, tmp_path, "data.manifest=null", sources, "data.epoch_samples=2")
    done = scripts.run("train.py", [*arguments, "augment=scenes_strong", "data.cache_mb=20"])
    assert done.code == 0 and "a mixture of 2 sources" in done.text, done.text
    result = record_of(tmp_path)["result"]
    both = result["val/recall_hull_50_a"], result["val/recall_hull_50_b"]
    assert result["val/recall_hull_50"] == pytest.approx(sum(both) / 2)


def test_the_log_has_a_line_per_validation_and_a_table(runs: Path) -> None:
    shown = (DetectorModule.monitor, *DetectorModule.shown)
    lines = (runs / "detector.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 13, lines
    assert lines[0].startswith("ccpd_green_detector: a detector of ") and "scenes train" in lines[1]
    assert lines[2].startswith("It trains in 32-true; everything in ")
    assert all(line.startswith("step ") for line in lines[3:6])
    assert lines[6].startswith("finished after ") and lines[6].endswith(", 24 steps.")
    table = [re.split(r"  +", line) for line in lines[7:]]
    assert table[0] == ["what", "value", "where"] and table[1][0] == "best of all validations"
    assert [row[0] for row in table[2:]] == [name.removeprefix("val/") for name in shown]
    assert {row[2] for row in table[2:]} == {str(runs / "detector" / "metrics.csv")}
    result = record_of(runs / "detector")["result"]
    assert float(table[1][1]) == pytest.approx(result["best"], rel=1e-4)


def test_what_is_not_trained_again(runs: Path, scripts: Scripts, tiny_data: Path) -> None:
    run = runs / "recogniser"
    last = run / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns
    for more, code, sentence in (
        ((), 0, "is finished"),
        (("resume=never",), 1, "give resume=auto"),
        (("optim.lr=0.5",), 1, "optim.lr: 0.001 -> 0.5"),
        (("data.sources.ccpd_green.share=3",), 1, "data.sources.ccpd_green.share: 2 -> 3"),
        (("resume=maybe",), 1, "expected 'auto' or 'never'"),
    ):
        done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, run, *more))
        assert done.code == code and sentence in done.text and "Traceback" not in done.text, done.text
    assert last.stat().st_mtime_ns == before and record_of(run)["status"] == "finished"


def test_other_data_in_the_same_folder_are_refused(
    runs: Path, scripts: Scripts, tiny_data: Path, tmp_path: Path
) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    (run).mkdir()
    record = record_of(runs / "recogniser") | {
        "status": "running",
        "manifests": {"ccpd_green/alpr_dataset.csv": "0" * 64},
    }
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, run))
    assert done.code == 1 and "was trained on" in done.text, done.text
    (run / "run.json").unlink()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").write_bytes(b"")
    done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, run))
    assert done.code == 1 and "no run.json" in done.text, done.text
    assert not data.exists()


def test_early_stop(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    """No detection, so the figure stays at 0: the second validation is not better, and one is the patience."""
    arguments = overrides(DETECTOR, tiny_data, tmp_path, "watch.patience=1", "trainer.max_epochs=9", "optim.lr=0.0")
    done = scripts.run("train.py", [*arguments, "model.predictor.score_threshold=0.999"])
    assert done.code == 0 and record_of(tmp_path)["steps"] == 16, done.text


def test_a_loss_that_is_not_finite_stops_with_the_reason(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    arguments = overrides(RECOGNISER, tiny_data, tmp_path, "model._target_=weighed.Diverging")
    done = scripts.run("train.py", arguments)
    assert done.code == 1 and "The loss is nan at step 4. Likely causes: a learning rate" in done.text, done.text
    assert "Traceback" not in done.text and record_of(tmp_path)["status"] == "failed"
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3 and all(v.isfinite().all() for v in last["state_dict"].values())


def test_warm_start_takes_weights_but_not_of_another_alphabet(
    runs: Path, scripts: Scripts, tiny_data: Path, tmp_path: Path
) -> None:
    warm = f"warm_start={runs / 'recogniser'}"
    done = scripts.run(
        "train.py", overrides(RECOGNISER, tiny_data, tmp_path / "a", warm, "optim.lr=0.0", "trainer.max_epochs=1")
    )
    assert done.code == 0, done.text
    ours, theirs = (load_recogniser(run).network for run in (tmp_path / "a", runs / "recogniser"))
    (earlier,) = record_of(tmp_path / "a")["started_from"]
    assert earlier["sha256"] == file_sha256(runs / "recogniser" / "checkpoints" / "best.ckpt")
    assert earlier["data"] == record_of(runs / "recogniser")["manifests"]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    module = load_recogniser(runs / "recogniser")
    module.charset = type(module.charset)(module.charset.symbols[:-1])
    with pytest.raises(RunError) as refused:
        warm_start(module, runs / "recogniser")
    full = theirs_symbols(runs)
    assert full in str(refused.value) and full[:-1] + "." in str(refused.value)


def theirs_symbols(runs: Path) -> str:
    return load_recogniser(runs / "recogniser").charset.symbols


def test_checkpoints_of_the_wrong_kind_or_damaged(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds the weights of a recogniser; expected those of a detector"):
        load_detector(runs / "recogniser")
    with pytest.raises(RunError, match=r"holds the weights of a detector; expected those of a recogniser"):
        load_recogniser(runs / "detector")
    whole = (runs / "detector" / "checkpoints" / "best.ckpt").read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 10):
        cut = tmp_path / f"{size}.ckpt"
        cut.write_bytes(whole[:size])
        with pytest.raises(RunError, match=f"{size}.ckpt cannot be loaded"):
            load_detector(cut)
    with pytest.raises(RunError, match="no checkpoint and no run folder"):
        load_detector(tmp_path)
    (tmp_path / "list.ckpt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(RunError, match="is no checkpoint of this project"):
        load_detector(tmp_path / "list.ckpt")


def test_load_reader_gives_what_is_asked_for(runs: Path) -> None:
    parts = load_reader(recogniser=runs / "recogniser" / "checkpoints" / "last.ckpt")
    assert parts.detector is None and parts.recogniser is not None
    assert load_reader(detector=runs / "detector").recogniser is None


def test_evaluate_reads_runs_and_agrees_with_validation(
    runs: Path, scripts: Scripts, tiny_data: Path, tmp_path: Path
) -> None:
    table = tiny_data / "ccpd_green" / "alpr_dataset.csv"
    arguments = [f"recogniser={runs / 'recogniser'}", f"data.manifest={table}", f"output={tmp_path / 'report'}"]
    done = scripts.run("evaluate.py", [f"detector={runs / 'detector'}", *arguments])
    assert done.code == 0, done.text
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert report["images"] == 24 and report["model"]["recogniser"].startswith("recogniser ")
    done = scripts.run("evaluate.py", [f"detector={runs / 'recogniser'}", *arguments[1:]])
    assert done.code == 1 and "expected those of a detector" in done.text, done.text


def test_a_sweep_makes_a_folder_for_each_run(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    arguments = overrides(RECOGNISER, tiny_data, tmp_path, "trainer.max_epochs=1", "optim.lr=0.001,0.01")
    done = scripts.run("train.py", ["-m", *arguments])
    assert done.code == 0, done.text
    rates = [record_of(tmp_path / str(i))["config"]["optim"]["lr"] for i in range(2)]
    assert rates == [0.001, 0.01] and not (tmp_path / "run.json").exists()


def test_two_processes_leave_one_folder_and_the_figures_of_one(tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = overrides(
        RECOGNISER, tiny_data, run, "trainer.devices=2", "trainer.strategy=ddp", "resume=never", "trainer.max_epochs=2"
    )
    done = subprocess.run(
        [sys.executable, "train.py", *arguments], cwd=REPOSITORY, env=ENVIRONMENT, text=True, capture_output=True,
        timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]
    left = {p.name for p in run.iterdir()} - {".lock", "calibration.html", "calibration.json"}
    assert left == {"checkpoints", "metrics.csv", "run.json"}
    assert record_of(run)["steps"] == 8  # 32 crops an epoch, 4 in each of two processes
    rows = [r for r in csv.DictReader((run / "metrics.csv").open()) if r["val/cer"]]
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert [r["step"] for r in rows] == ["3", "7"] and checkpoint["global_step"] == 8
    assert float(rows[-1]["val/cer"]) == pytest.approx(cer_in_one_process(run, tiny_data), abs=1e-6)


def cer_in_one_process(run: Path, data: Path) -> float | None:
    """The same held-back plates through the last averaged weights, without a trainer."""
    from alpr.data.several_tables import read_manifest
    from alpr.recognition.data import ValidationPlates, labelled_crops
    from alpr.recognition.metrics import RecognitionMetrics

    recogniser = load_recogniser(run / "checkpoints" / "last.ckpt").recogniser()
    table = read_manifest(data / "ccpd_green" / "alpr_dataset.csv", splits=["train"])
    plates = ValidationPlates(labelled_crops(table.select(fold=0, inside=True).scenes()).crops)
    metrics = RecognitionMetrics()
    for i in range(len(plates)):
        plate = plates[i]
        assert plate.image is not None and plate.corners is not None
        metrics.update(recogniser.read_plates(plate.image, [plate.corners])[0], plate.text)
    return metrics.compute().cer


def detector_figures(folder: Path, data: DetectionData, rank: int, world: int) -> None:
    """Validates a share of the held-back scenes as one of several processes; leaves the figures in a file.

    The detector is a table: some plates it finds, more or less well, and some it does not.
    """
    torch.set_num_threads(1)  # a fork must not wait for the threads of its parent's pool
    if world > 1:
        torch.distributed.init_process_group("gloo", f"file://{folder / 'store'}", rank=rank, world_size=world)
    table = {}
    for i, scene in enumerate(data.held["ccpd_green"]):
        corners = [p.corners + i for p in scene.plates if p.corners is not None]
        found = [Detection(c, corner_box(c), 0.95 - 0.07 * i) for c in corners if i % 4 != 1]
        table[read_image(scene.image).tobytes()] = found
    module = DetectorModule({"stem": (8, 8), "stage_widths": (8, 8, 8, 8), "head_width": 8})
    detector = SimpleNamespace(detect=lambda images: [table[i.tobytes()] for i in images], sure=lambda found: found)
    detector.down_to = lambda score, most: detector
    module.detector = lambda: detector  # type: ignore
    figures: dict[str, float] = {}
    module.log = lambda name, value, **_: figures.update({name: float(value)})  # type: ignore
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore
    module.on_validation_epoch_start()
    seen = 0
    for batch in data.val_dataloader():
        module.validation_step(batch, 0)
        seen += len(batch)
    module.on_validation_epoch_end()
    (folder / f"{rank}_of_{world}.json").write_text(json.dumps([seen, figures]))


def test_two_processes_measure_a_detector_as_one_does(tiny_data: Path, tmp_path: Path) -> None:
    data = DetectionData("ccpd_green/alpr_dataset.csv", str(tiny_data), canvas=(128, 96), workers=0)
    data.held = {"ccpd_green": data.sources[0].train[:7]}  # an odd number: one process has more
    detector_figures(tmp_path, data, 0, 1)
    processes = [
        multiprocessing.get_context("fork").Process(target=detector_figures, args=(tmp_path, data, rank, 2))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0]
    (seen, alone), *shares = (
        json.loads((tmp_path / name).read_text()) for name in ("0_of_1.json", "0_of_2.json", "1_of_2.json")
    )
    assert seen == 7 and sorted(count for count, _ in shares) == [3, 4]  # each scene once
    assert 0 < alone["val/recall_hull_50"] < 1 and len(alone) > 6
    for _, figures in shares:
        assert figures == pytest.approx(alone)


GREEN = "experiment=ccpd_green_detector"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Nothing gives data.manifest, name. Give experiment=NAME (one of br_recogniser"),
        (["experiment=nope"], "There is no experiment/nope; expected one of br_recogniser, "),
        ([GREEN, "model.bakbone=1"], "Unknown key 'bakbone' in 'model.bakbone=1': model has _target_, compile, loss"),
        ([GREEN, "trainer.max_epoch=3"], "Did you mean trainer.max_epochs?"),
        ([GREEN, "trainer=defualt"], "There is no trainer/defualt; expected one of default."),
        ([GREEN, "data.batch_size=abc"], "data.batch_size is 'abc'; expected a whole number, such as 16."),
        ([GREEN, "data.batch_size=1.5"], "data.batch_size is '1.5'; expected a whole number, such as 16."),
        ([GREEN, "optim.lr=fast"], "optim.lr is 'fast'; expected a number, such as 0.002."),
        ([GREEN, "data.canvas=448"], "data.canvas is '448'; expected a list, such as [448, 320]."),
        ([GREEN, "data.strict=1"], "data.strict is '1'; expected true or false, such as False."),
        ([GREEN, "whatever"], "'whatever' is no setting; expected key=value."),
        (["-m", GREEN, "optim.rl=1,2"], "Unknown key 'rl'"),
    ],
)  # fmt: skip
def test_complaints(arguments: list[str], sentence: str) -> None:
    complaint = complaint_about(arguments, "train")
    assert complaint is not None and sentence in complaint and "\n" not in complaint


@pytest.mark.parametrize(
    "arguments",
    [
        [GREEN, "optim.lr=1"], [GREEN, "trainer.devices=2"], [GREEN, "data.epoch_samples=null"],
        [GREEN, "data.manifest=[a.csv,b.csv]"], ["-m", GREEN, "optim.lr=1,2"], [GREEN, "+trainer.fast_dev_run=true"],
        [GREEN, "logger=wandb", "optim=sgd"], ["--help"], ["name=a", "data.manifest=b.csv"],
        [GREEN, "trainer.limit_train_batches=3"], [GREEN, "hydra.verbose=true"],
    ],
)  # fmt: skip
def test_no_complaint_about_what_is_right(arguments: list[str]) -> None:
    assert complaint_about(arguments, "train") is None


def test_bad_input_leaves_with_one_and_a_sentence(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    for more, sentence in (
        (["data.manifest=none.csv"], "none.csv cannot be read"),
        (["optim.warmup=2"], "optim.warmup is 2; expected a fraction"),
        (["+model.network.depth=3"], "unexpected keyword argument 'depth'"),
        (["+trainer.bogus=3"], "unexpected keyword argument 'bogus'"),
        (["watch.checkpoint_steps=0"], "expected at least 1"),
        (["data.canvas=[100,100]"], "100"),
        (["warm_start=nowhere"], "nowhere is no checkpoint and no run folder"),
        (["model.bakbone=1"], "Unknown key 'bakbone'"),
    ):
        done = scripts.run("train.py", overrides(DETECTOR, tiny_data, tmp_path / "run", *more))
        assert done.code == 1 and sentence in done.text and "Traceback" not in done.text, (more, done.text)
        assert not (tmp_path / "run" / "run.json").exists()


def test_wandb_without_a_key_says_what_to_do(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    arguments = overrides(RECOGNISER, tiny_data, tmp_path, "logger=wandb")
    nobody = {"WANDB_MODE": "online", "WANDB_API_KEY": "", "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    done = scripts.run("train.py", arguments, **nobody)
    assert done.code == 1 and "Connecting to W&B" in done.text and "logger=csv" in done.text, done.text
    assert "Traceback" not in done.text and not (tmp_path / "run.json").exists()


def test_the_table_of_figures_goes_on(tmp_path: Path) -> None:
    first = MetricsCsv(str(tmp_path))
    first.log_metrics({"a": 1.0}, 0)
    first.log_metrics({"a": 2.0}, 1)
    first.log_metrics({"b": 3.0}, 1)  # a new column
    first.log_metrics({"a": 4.0, "b": 5.0}, 2)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("3,9")  # killed while it wrote
    forget_from(tmp_path, 2)
    second = MetricsCsv(str(tmp_path))
    second.log_metrics({"b": 6.0}, 2)
    assert [tuple(row.values()) for row in read_rows(tmp_path / "metrics.csv")] == [
        ("0", "1", ""), ("1", "2", ""), ("1", "", "3"), ("2", "", "6"),
    ]  # fmt: skip


def test_dropout_differs_between_steps_batches_and_processes() -> None:
    class Drawing(TaskModule):
        global_step = global_rank = 0
        trainer = SimpleNamespace(accumulate_grad_batches=2)

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.seed = 3

    drawn = []
    for step, batch, rank in ((0, 0, 0), (0, 1, 0), (1, 2, 0), (1, 3, 0), (0, 0, 1)):
        Drawing.global_step, Drawing.global_rank = step, rank
        Drawing().on_train_batch_start(None, batch)
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == len(drawn)


def test_precision_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert precision_of("auto", "auto") == "bf16-mixed" and precision_of("32-true", "auto") == "32-true"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert precision_of("auto", "cpu") in ("32-true", "bf16-mixed")
    for capability, precision in (((7, 5), "16-mixed"), ((6, 1), "32-true")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda capability=capability: capability)
        assert precision_of("auto", "gpu") == precision


def test_a_run_folder_is_held_by_one_process(tmp_path: Path) -> None:
    code = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True)"
    command = [sys.executable, "-c", f"{code}; input()", str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is training here"):
            hold(tmp_path)
        other.communicate("\n")
    hold(tmp_path)  # free again


def test_an_error_of_a_loader_process_is_one_sentence() -> None:
    text = (
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback:\n  File x\nValueError: No image: why."
    )
    assert plain_sentence(ValueError(text)) == "No image: why."


def test_a_folder_of_texts_named_jpg_stops_a_training_with_one_sentence(scripts: Scripts, tmp_path: Path) -> None:
    names = [f"n{i}.jpg" for i in range(30)]
    for name in names:
        (tmp_path / name).write_text("no picture")
    Manifest.of(
        tmp_path,
        names,
        text=[f"皖A123{i:02}" for i in range(30)],
        box=np.tile([10.0, 10, 90, 40], (30, 1)),
        split="train",
    ).write(tmp_path / "labels.csv")
    done = scripts.run(
        "train.py",
        ["experiment=ccpd_green_detector", f"data.root={tmp_path}", "data.manifest=labels.csv", "data.workers=1",
         "trainer.accelerator=cpu", "data.batch_size=4", "data.canvas=[64,96]", f"output_dir={tmp_path / 'run'}"],
    )  # fmt: skip
    assert done.code == 1
    last = done.text.strip().splitlines()[-1]
    assert last.startswith("alpr train: No image of a whole batch of 4 could be read. The first: ")
    assert "Traceback" not in done.text


def test_loaders_have_the_cores_that_a_network_leaves() -> None:
    cases = {(0, 2): 2, (1, 2): 1, (8, 2): 1, (8, 16): 8}
    assert {given: threads_beside(*given) for given in cases} == cases


def test_plates_cut_by_found_corners_are_calibrated_on(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    source = "data.sources=[{manifest: ccpd_green/alpr_dataset.csv, samples: 2, crops: detector}]"
    more = ["data.manifest=null", source, f"data.detector={REPOSITORY / 'model_bin' / 'cn'}", "trainer.max_epochs=1"]
    run = tmp_path / "run"
    done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, run, *more))
    assert done.code == 0, done.text
    assert "real plates train" in done.text and "Traceback" not in done.text
    module = load_recogniser(run / "checkpoints" / "best.ckpt", calibrated=False)
    assert len(held_back_data(run, module, {}).val_plates) > 0

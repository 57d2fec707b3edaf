"""A run explains itself: its page, and what W&B and TensorBoard get, also over a resumption."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from balanced_html import Balanced
from tiny_runs import DETECTOR, RECOGNISER, Scripts, overrides
from wandb_file import records as wandb_records

from alpr.training.loggers import flat, read_table, shown_at
from alpr.training.report_page import curves_of, thinned, unit_of

SHOWN = ["calibration", "confusion", "filmstrip", "worst"]


def offline_records(run: Path) -> list[Any]:
    """Every record of the offline files that W&B left, the earliest start of the run first."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted(run.glob("wandb/offline-run-*/run-*.wandb"), key=lambda p: p.stat().st_mtime):
        for data in wandb_records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            found.append(record)
    return found


def named(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture(scope="module")
def resumed(scripts: Scripts, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser that was trained for two epochs with W&B offline, and then for a third."""
    run = tmp_path_factory.mktemp("explained") / "run"
    for epochs in (2, 3):
        more = ("logger=wandb", f"trainer.max_epochs={epochs}")
        done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, run, *more))
        assert done.code == 0, done.text
    return run


def test_every_run_ends_with_a_page(resumed: Path, scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    done = scripts.run("train.py", overrides(DETECTOR, tiny_data, tmp_path, "trainer.max_epochs=1"))
    assert done.code == 0 and f"{tmp_path / 'report.html'}" in done.text, done.text
    for run, epochs, resumptions in ((tmp_path, 1, ""), (resumed, 3, "resumed once")):
        record, page = json.loads((run / "run.json").read_text()), (run / "report.html").read_text()
        parser = Balanced()
        parser.feed(page)
        assert not parser.open
        assert "<script" not in page and resumptions in page
        for part in ("Curves", "Samples", "Settings", "Environment", "Hashes"):
            assert f">{part}</h2>" in page
        assert "ccpd_green/alpr_dataset.csv" in page and next(iter(record["manifests"].values())) in page
        assert "alpr train experiment=" in page and (record["commit"] or "not known") in page
        assert "optim.weight_decay" in page and page.count("data:image/jpeg") >= 2
        assert [path.parent.name for path in shown_at(run, epochs - 1)] == SHOWN


def test_wandb_gets_the_whole_run_and_stays_one(resumed: Path) -> None:
    records = offline_records(resumed)
    run_id = json.loads((resumed / "run.json").read_text())["run_id"]
    assert {r.run.run_id for r in records if r.HasField("run")} == {run_id}
    config: dict[str, Any] = {}
    for record in records:
        config |= named(record.config.update) | named(record.run.config.update)
    assert config["optim"]["weight_decay"] == 0.05 and config["data"]["sources"] and "command" in config
    assert list(config["manifests"]) == ["ccpd_green/alpr_dataset.csv"] and "commit" in config and "device" in config
    history = [named(r.history.item) for r in records if r.HasField("history")]
    assert [h["trainer/global_step"] for h in history if "val/accuracy" in h] == [7, 15, 23]
    assert any("train/total" in h for h in history) and any("lr-AdamW/pg1" in h for h in history)
    for epoch, step in enumerate((7, 15, 23)):
        these = {"/".join(key.split("/")[:2]) for h in history if h["trainer/global_step"] == step for key in h}
        assert {f"val/{path.parent.name}" for path in shown_at(resumed, epoch)} <= these
    kinds = {(key.split("/")[1], h[key]) for h in history for key in h if key.endswith("/_type")}
    assert {("confusion", "table-file"), ("worst", "images/separated")} <= kinds


def test_tensorboard_gets_the_same_pictures(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (1, 2):
        more = ("logger=tensorboard", f"trainer.max_epochs={epochs}")
        done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, tmp_path, *more))
        assert done.code == 0, done.text
    board = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0, "tensors": 0})
    board.Reload()
    tags = board.Tags()
    assert [e.step for e in board.Images("val/worst")] == [7, 15] == [e.step for e in board.Scalars("val/accuracy")]
    assert {"val/confusion/text_summary", "val/calibration/text_summary", "run/text_summary"} <= set(tags["tensors"])


def test_without_a_logger_a_run_ends_well(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    more = ("logger=none", "trainer.max_epochs=1")
    done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, tmp_path, *more))
    assert done.code == 0 and "Traceback" not in done.text, done.text
    assert "There is no metrics.csv (logger=none)." in (tmp_path / "report.html").read_text()


def test_tables_and_curves(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("true,read,times\nA,8,3\n1,I,2\n")
    header, rows = read_table(tmp_path / "a.csv")
    assert header == ["true", "read", "times"] and rows == [["A", 8.0, 3.0], [1.0, "I", 2.0]]
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == [("a.b", 1), ("a.c", {}), ("d", [2])]
    assert unit_of("val/accuracy", {"train/*": "nats", "val/*accuracy*": "share"}) == "share"
    line = thinned(list(range(1000)), [float(i) for i in range(1000)])
    assert len(line.x) == 143 and math.isclose(line.y[0], 3.0) and math.isclose(line.y[-1], 996.5)
    assert curves_of(tmp_path) == {}

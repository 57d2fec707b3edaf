"""Every evaluation of a split is counted beside its output."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from alpr.evaluation.command import times_scored_here
from alpr.evaluation.scored import KNOWN, note_scoring, times_scored
from alpr.training.configuration import composed


def test_the_same_rows_are_counted_and_others_are_not(tmp_path: Path) -> None:
    model = {"name": "cn", "detector": "37e1"}
    assert [note_scoring(tmp_path, {"a/l.csv": "1"}, "val", model) for _ in range(2)] == [1, 2]
    assert note_scoring(tmp_path, {"a/l.csv": "1"}, "test", model) == 1
    assert note_scoring(tmp_path, {"a/l.csv": "2"}, "val", model) == 1
    assert note_scoring(tmp_path, {"moved/l.csv": "1"}, "val", model) == 3
    lines = (tmp_path / "scored.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 6 and lines[1].endswith(",a/l.csv,1,val,name=cn detector=37e1")


def test_what_the_project_has_scored_is_known_by_the_tables_hash(tmp_path: Path) -> None:
    record = tmp_path / "scored.csv"
    assert times_scored({"a.csv": "1"}, record) is None
    record.write_text("table,sha256,at_least\na.csv,1,7\nb.csv,2,3\n")
    assert [times_scored(tables, record) for tables in ({"x": "1"}, {"a": "2", "b": "1"}, {"a.csv": "3"})] == [
        7,
        7,
        None,
    ]
    assert KNOWN.is_file()


def test_an_evaluation_of_training_rows_is_no_scoring(tmp_path: Path) -> None:
    report: Any = SimpleNamespace(manifests={"a/l.csv": "1"}, model={"name": "cn"})
    said: dict[str, str] = {}
    for split in ("val", "val", "train", "null"):
        config = composed("evaluate", [f"data.split={split}", f"output={tmp_path / 'runs' / 'now'}"])
        (tmp_path / "runs").mkdir(exist_ok=True)
        console = Console(record=True, width=300, file=io.StringIO())
        found = times_scored_here(config, report, console)
        said[split] = f"{found} {console.export_text()}"
    assert said["val"].startswith("{'scored': 2} Split val of a/l.csv: scored 2 times by evaluations below ")
    assert said["train"].strip() == said["null"].strip() == "{}"

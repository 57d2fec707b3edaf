"""Every evaluation of a split is counted beside its output."""

from __future__ import annotations

from pathlib import Path

from alpr.evaluation.scored import KNOWN, note_scoring, times_scored


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

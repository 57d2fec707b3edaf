"""The demo's table: Wilson's intervals, what to look at, and a failure in a sentence where it hardly reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("found_50", "found_70", "read_on_true_corners", "end_to_end_50", "end_to_end_50_without_province")


def run(repository: Path, folder: Path, share: float) -> subprocess.CompletedProcess[str]:
    figures = [{"name": name, "value": share, "plates": 92} for name in NAMES]
    (folder / "report.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    (folder / "readings.jsonl").write_text('{"ms": {"decode": 1.0, "detect": 2.0}}\n{"error": "no image"}\n', "utf-8")
    (folder / "annotated").mkdir(exist_ok=True)
    (folder / "annotated" / "b.jpg").touch()
    arguments = [
        "--report",
        "report.json",
        "--readings",
        "readings.jsonl",
        "--annotated",
        "annotated",
        "--output",
        "t.txt",
    ]
    script = repository / "tools" / "demo_table.py"
    return subprocess.run([sys.executable, script, *arguments], cwd=folder, capture_output=True, text=True)


def test_the_table_says_what_was_read_and_where_to_look(repository: Path, tmp_path: Path) -> None:
    done = run(repository, tmp_path, 1.0)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "t.txt").read_text(encoding="utf-8")
    assert "found and read                      100.0%     96.0 to 100.0      92" in text  # not 100 to 100
    assert "file to text                           3.0" in text
    assert "annotated/b.jpg" in text and "report.html" in text and "What to try next" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("share", [0.0, 0.59])
def test_a_demo_that_hardly_reads_fails_with_a_sentence(repository: Path, tmp_path: Path, share: float) -> None:
    done = run(repository, tmp_path, share)
    assert (
        done.returncode == 1
        and f"The demo read {share:.1%} of the held-out plates; expected at least 60%" in done.stderr
    )
    assert not (tmp_path / "t.txt").exists()

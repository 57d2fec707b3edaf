"""Values of a command line that Hydra's grammar cannot read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr.training.configuration import complaint_about, composed
from alpr.training.quoting import quoted_paths

PATHS = [
    *("车牌/ok.csv", "my data/ok.csv", "a=b/ok.csv", "é è/ö=1.csv", "set(1)/ok.csv", "it's/ok.csv", "a{1}[2].csv"),
    *("#1/ok.csv", "a&b;c.csv", "нет/№1.csv", "back\\slash\\é\\", 'say "ü".csv', "日本,東京.csv"),
]


def parsed(word: str, *flags: str) -> Override:
    (quoted,) = quoted_paths([*flags, word])[len(flags) :]
    assert quoted_paths([*flags, quoted])[-1] == quoted
    return OverridesParser.create().parse_override(quoted)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_arrives_as_it_was_written(path: str) -> None:
    assert parsed(f"data.manifest={path}").value() == path
    assert composed("train", [f"data.manifest={path}", "experiment=ccpd_green_detector"]).data.manifest == path
    assert complaint_about([f"data.manifest={path}", "experiment=ccpd_green_detector"], "train") is None


def test_entries_of_lists_mappings_and_sweeps_are_quoted() -> None:
    assert parsed("data.manifest=[车/a.csv,b.csv, 牌 照/c.csv]").value() == ["车/a.csv", "b.csv", "牌 照/c.csv"]
    sources = parsed("data.sources=[{manifest:车/a.csv,samples:2},{manifest:'é, b.csv'}]").value()
    assert sources == [{"manifest": "车/a.csv", "samples": 2}, {"manifest": "é, b.csv"}]
    sweep = parsed("data.manifest=车/a.csv,b.csv", "-m")
    assert sweep.is_sweep_override() and len(list(sweep.sweep_iterator())) == 2


@pytest.mark.parametrize(
    "word", ["seed=3", "a=null", "a=[1,2]", "a='x y'", "~a", "-m", "a=1,2", "a=choice(1,2)", "a=[b", "--cfg", "é", "a="]
)
def test_what_hydra_reads_or_nobody_can_stays_as_it_is(word: str) -> None:
    assert quoted_paths([word]) == [word]


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert parsed("data.manifest=~/ok.csv").value() == "/somewhere/ok.csv"


@pytest.mark.parametrize("verb", ["train", "evaluate", "export"])
def test_verbs_read_such_values(verb: str, tmp_path: Path) -> None:
    key = {"train": "data.manifest", "evaluate": "data.manifest", "export": "output"}[verb]
    words = ["experiment=ccpd_green_detector"] if verb == "train" else []
    command = [sys.executable, "-m", "alpr", verb, *words, f"{key}=车牌/a=b c.csv", "--cfg", "job"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "车牌/a=b c.csv" in done.stdout

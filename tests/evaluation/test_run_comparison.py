"""Runs compared: means and spreads by hand, the paired test, grouping, sentences, and the three forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from balanced_html import Balanced
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.evaluation.run_comparison import differing, grouped, paired_tests, read_runs
from alpr.evaluation.sweep_table import SweepTable, swept


def write_run(folder: Path, lr: float, seed: int, best: float, right: str) -> Path:
    """A run folder; `right` has a 1 for each held-back plate that is read."""
    folder.mkdir(parents=True)
    settings = {"name": folder.name, "seed": seed, "optim": {"lr": lr}, "model": {"seed": seed, "optim": {"lr": lr}}}
    record = {
        "name": folder.name, "config": settings, "status": "finished", "seconds": 120.0, "seed": seed,
        "result": {"best": best, "val/accuracy": best - 0.1, "val/cer": None}, "manifests": {},
        "monitor": "val/confident", "cost": {"samples": 6400, "parameters": 2_000_000, "macs": 3_000_000_000}
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    curve = "".join(f"{step},{step / 40 * best}\n" for step in (10, 20, 30, 40))
    (folder / "metrics.csv").write_text(f"step,val/confident\n5,\n{curve}")
    rows = "".join(f"{i}.jpg,0,A{i},A{i},{value}\n" for i, value in enumerate(right))
    (folder / "held_back.csv").write_text(f"image,plate,label,read,right\n{rows}")
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two rates, two seeds each."""
    write_run(tmp_path / "0", 0.001, 1, 0.5, "11110000")
    write_run(tmp_path / "1", 0.001, 2, 0.7, "11100000")
    write_run(tmp_path / "2", 0.01, 1, 0.8, "11111100")
    write_run(tmp_path / "10", 0.01, 2, 0.8, "11111111")
    return tmp_path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)], env={"COLUMNS": "100"})


def test_means_spreads_and_what_differs(sweep: Path) -> None:
    runs = read_runs([sweep])
    assert [r.label for r in runs] == ["0", "1", "2", "10"]
    slow, fast = grouped(runs, "optim.lr")
    assert (slow.label, fast.label) == ("optim.lr=0.001", "optim.lr=0.01")
    assert slow.values("best") == [0.5, 0.7] and not slow.values("val/cer")
    told = run(sweep, "--group", "optim.lr").stdout
    assert "0.6 ± 0.14" in told and "0.8 ± 0" in told and "6,400" in told
    assert dict(differing([slow, fast])) == {
        "optim.lr": ["0.001", "0.01"], "seed": ["1, 2", "1, 2"],
    }  # fmt: skip


def test_the_paired_test_is_that_of_the_plates(sweep: Path) -> None:
    by_rate = paired_tests(grouped(read_runs([sweep]), "optim.lr"))
    (test,) = by_rate  # differences by plate: 0 0 0 .5 1 1 .5 .5
    assert (test.plates, test.better, test.worse) == (8, 5, 0)
    assert math.isclose(test.difference, 3.5 / 8)
    assert math.isclose(test.p_value, math.erfc(3.5 / math.sqrt(2 * 2.75)))
    one, _, three, _ = grouped(read_runs([sweep]), None)
    (alone,) = paired_tests([one, three])  # McNemar without correction: 2 against 0 plates
    assert math.isclose(alone.p_value, math.erfc(math.sqrt(2 / 2))) and (alone.better, alone.worse) == (2, 0)
    (same,) = paired_tests([one, one])
    assert same.p_value == 1 and same.difference == 0


def test_runs_without_common_plates_have_no_test(sweep: Path) -> None:
    (sweep / "2" / "held_back.csv").unlink()
    assert not paired_tests(grouped(read_runs([sweep / "0", sweep / "2"]), None))
    told = run(sweep / "0", sweep / "2")
    assert told.exit_code == 0 and "Paired" not in told.stdout and "Settings that differ" in told.stdout


def test_an_earlier_record_lacks_what_is_new(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "old", 0.1, 1, 0.5, "1")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({k: v for k, v in record.items() if k not in ("monitor", "cost")}))
    (found,) = read_runs([folder])
    assert found.monitor == "val/confident" and found.cost == {"minutes": 2.0}
    assert found.curve == ((10, 0.125), (20, 0.25), (30, 0.375), (40, 0.5))


def test_the_three_forms(sweep: Path, tmp_path: Path) -> None:
    for suffix in ("md", "html", "txt"):
        assert run(sweep, "--group", "optim.lr", "--output", tmp_path / f"out.{suffix}").exit_code == 0
    assert "| optim.lr=0.001 |" in (tmp_path / "out.md").read_text()
    page = (tmp_path / "out.html").read_text()
    parser = Balanced()
    parser.feed(page)
    assert not parser.open and page.count("<polyline") == 2 and "optim.lr=0.01" in page
    assert (tmp_path / "out.txt").read_text() == run(sweep, "--group", "optim.lr").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere", "--group", "seed"), "nowhere holds no run; expected a folder with run.json"),
        (("{sweep}", "--group", "lr"), "No run has a setting 'lr'. Did you mean optim.lr?"),
        (("a.json",), "1 evaluations are given; expected two"),
    ],
)
def test_wrong_words_get_a_sentence(sweep: Path, words: tuple[str, ...], sentence: str) -> None:
    told = run(*(word.format(sweep=sweep) for word in words))
    assert told.exit_code == 2 and sentence in told.stderr


def test_a_damaged_record_is_named(sweep: Path) -> None:
    (sweep / "0" / "run.json").write_text('{"name": 1}')
    told = run(sweep)
    assert told.exit_code == 2 and f"{sweep / '0' / 'run.json'} is no record of a run" in told.stderr


def test_a_sweep_is_grouped_over_its_seeds(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from types import SimpleNamespace

    runs = read_runs([sweep])
    assert swept(runs) == "optim.lr"
    assert swept(runs[::2]) is None and swept(runs[:2]) is None
    SweepTable().on_multirun_end(SimpleNamespace(hydra=SimpleNamespace(sweep=SimpleNamespace(dir=str(sweep)))))
    assert "optim.lr=0.001" in capsys.readouterr().out
    assert (sweep / "sweep.md").is_file() and (sweep / "sweep.html").is_file()

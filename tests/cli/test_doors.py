"""Scripts that other tools call: each has the options that it always had, and calls a verb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr.cli import doors

OPTIONS = {
    "scripts/create_dataset.py": "--dataset_path --categories --num_workers --verify --names --output",
    "scripts/extract_plates_mp.py": (
        "--ccpd_dir --categories --num_workers --rectify --size --margin --sharp --output"
    ),
    "scripts/benchmark.py": (
        "--images --model --repeat --threads --reference --reference-size --recognisers --rounds --output"
    ),
    "scripts/export_onnx.py": "detector= recogniser= output=",
    "train.py": "experiment=",
    "evaluate.py": "bundle= data.manifest=",
}


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, script, *words]
    return subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True)


def test_doors_are_few_and_small() -> None:
    there = {str(p.relative_to(REPOSITORY)) for p in (*REPOSITORY.glob("*.py"), *REPOSITORY.glob("scripts/*.py"))}
    assert there == set(OPTIONS)
    assert all(len((REPOSITORY / name).read_text().splitlines()) < 16 for name in OPTIONS)


@pytest.mark.parametrize("script", OPTIONS)
def test_a_door_has_its_options(script: str) -> None:
    told = run(script, "--help")
    assert told.returncode == 0, told.stderr
    assert [option for option in OPTIONS[script].split() if option not in told.stdout] == []


def test_values_after_one_option_are_each_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr(doors, "main", taken.append)
    words = ["--dataset_path", "d", "--categories", "a", "b", "c", "--num_workers", "2"]
    monkeypatch.setattr(sys, "argv", ["create_dataset.py", *words])
    doors.door("data ccpd", "about", several=("--categories",))
    assert taken == [["data", "ccpd", *words[:4], "--categories", "b", "--categories", "c", "--num_workers", "2"]]


def test_old_options_reach_the_verbs(tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    for script, words in (
        ("scripts/create_dataset.py", ["--dataset_path", none, "--categories", "ccpd_base", "ccpd_db", "--verify"]),
        ("scripts/extract_plates_mp.py", ["--ccpd_dir", none, "--categories", "ccpd_base", "--size", "48", "144"]),
        ("scripts/benchmark.py", ["--images", none, "--model", "cn", "--no-reference", "--reference-size", "8", "8"]),
        ("evaluate.py", ["model=nowhere", f"data.manifest={none}", f"output={tmp_path / 'out'}"]),
    ):
        done = run(script, *words)
        assert done.returncode in (1, 2) and "no option" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and "lacks" not in done.stderr

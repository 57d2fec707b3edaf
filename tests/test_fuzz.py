"""A few hostile inputs for every reader of foreign bytes, and what fuzzing has found before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, Phase, given, settings
from tiny_runs import ENVIRONMENT

from alpr.plates.country import CountryPack


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_inputs_are_read_or_refused(target: Target) -> None:
    results = []

    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs())
    def read(data: bytes) -> None:
        results.append(target.read(data))

    read()
    assert len(results) >= 30 and (target.name == "image_noise" or any(results))  # an input of no fault is among them


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(3)), "unknown"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
        ), "more than 20000 values"),
        ("code: &a [*a]\n", "nested too deep"),
        ("[" * 3000, "nested too deep"),
        ("[" * 51 + "]" * 51, "nested too deep"),  # the scanner looks at every level for each
        ("# " + "]" * 99 + "\n" + "{" * 51 + "}" * 51, "nested too deep"),
        ("code: !!timestamp x\n", "not what its tag says"),
        ("code: !!bool x\n", "not what its tag says"),
        ("code: !!int ''\n", "not what its tag says"),
        ("code: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)  # fmt: skip
def test_a_hostile_pack_is_refused_at_once(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        CountryPack.read(path)


def test_the_script_counts_inputs(repository: Path, tmp_path: Path) -> None:
    script = [sys.executable, repository / "tools" / "fuzz.py"]
    arguments = ["--minutes", "0.001", "--target", "ccpd_name", "--found", tmp_path / "found"]
    done = subprocess.run([*script, *arguments], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "ccpd_name: 100 inputs" in done.stdout, done.stdout + done.stderr
    assert "No input failed." in done.stdout and not (tmp_path / "found").exists()

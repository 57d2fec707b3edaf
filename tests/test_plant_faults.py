"""The faults of tools/code_faults.py can be planted: each old text stands once, and its tests are there."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest


@pytest.fixture
def tools(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "tools"))


def test_every_fault_can_be_planted_and_its_tests_are_there(tools: None, repository: Path) -> None:
    from code_faults import FAULTS
    from plant_faults import planted

    assert len({fault.what for fault in FAULTS}) == len(FAULTS) >= 50
    for fault in FAULTS:
        text = planted(fault)
        ast.parse(text)
        assert text != (repository / fault.file).read_text(encoding="utf-8"), fault.what
        for test in fault.tests.split():
            path, _, name = test.partition("::")
            assert (repository / path).exists(), f"{fault.what}: {test}"
            assert f"def {name}" in (repository / path).read_text(encoding="utf-8") if name else True, test


def test_a_fault_is_killed_by_a_test_that_sees_it_and_survives_one_that_does_not(tools: None, tmp_path: Path) -> None:
    from plant_faults import Fault, Outcome, chosen, outcome_of

    (tmp_path / "sums.py").write_text("def total(a, b):\n    return a + b\n")
    for name, a in (("blind", 0), ("seeing", 5)):
        test = f"import sums\n\n\ndef test_it():\n    assert sums.total({a}, 0) == {a}\n"
        (tmp_path / f"test_{name}.py").write_text(test)
    fault = Fault("a product", "sums.py", "a + b", "a * b", "test_seeing.py")
    assert outcome_of(tmp_path, fault) == Outcome("killed", "test_it")
    assert outcome_of(tmp_path, fault._replace(tests="test_blind.py")).ending == "survived"
    assert outcome_of(tmp_path, fault._replace(new="a +")).ending == "broken"
    (tmp_path / "test_wrong.py").write_text("def test_it():\n    assert False\n")
    assert outcome_of(tmp_path, fault._replace(tests="test_wrong.py")).by == "test_it fails without the fault too"
    assert (tmp_path / "sums.py").read_text().endswith("a + b\n") and "sums" not in sys.modules
    with pytest.raises(ValueError, match="0 times; expected once"):
        outcome_of(tmp_path, fault._replace(old="a - b"))
    assert [number for number, _ in chosen([fault] * 9, ["2", "4-5", "none"])] == [2, 4, 5]

"""McNemar's test against figures computed by hand and two evaluations of the same plates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hand_scored import TEXTS, labels, predictions
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr.evaluation.comparison import as_text, compared, read_evaluated
from alpr.evaluation.intervals import mcnemar
from alpr.evaluation.protocols.report import protocol_report, write_values
from alpr.evaluation.protocols.rules import Protocol


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value", "exact"),
    [
        (0, 0, 1.0, True),
        (0, 5, 2 / 32, True),
        (1, 5, 2 * 7 / 64, True),
        (3, 3, 1.0, True),
        (10, 30, 0.0026637, False),  # (|10 - 30| - 1) ** 2 / 40 = 9.025
    ],
)
def test_mcnemar(only_first: int, only_second: int, p_value: float, exact: bool) -> None:
    found = mcnemar(only_first, only_second)
    assert found == (pytest.approx(p_value, abs=1e-5), exact)
    assert found == mcnemar(only_second, only_first)


def written(folder: Path, name: str, iou: float | None) -> Path:
    """A report of the hand-counted photographs; with an IoU three plates of the README's are lost."""
    from dataclasses import replace

    from alpr.evaluation.protocols.rules import RecognitionRule

    protocol = replace(Protocol.read("ccpd2019"), recognition=RecognitionRule("detection", iou))
    report = protocol_report(protocol, labels(Path("/p")), predictions(), model={"name": name})
    write_values(report, folder / f"{name}.json")
    return folder / f"{name}.json"


def test_which_plates_flipped_and_which_settings_differ(tmp_path: Path) -> None:
    first, second = (read_evaluated(written(tmp_path, *args)) for args in (("one", None), ("two", 0.6)))
    comparison = compared(first, second)
    read = next(f for f in comparison.figures if f.figure == "read")
    assert (read.plates, len(read.only_first), len(read.only_second)) == (13, 2, 0)
    assert {first.shown[p].text for p in read.only_first} == {TEXTS["c"], TEXTS["h"]}
    assert read.p_value == 0.5 and read.exact
    assert {key for key, _, _ in comparison.settings} == {"model.name", "protocol.recognition.iou"}
    assert next(f for f in comparison.figures if f.figure == "found").p_value == 1
    assert f"only A right: {TEXTS['c']}" in as_text(comparison)


def test_the_script_compares_files_and_refuses_what_is_no_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "alpr", "compare"]
    one = written(tmp_path, "one", None)
    (tmp_path / "no.json").write_text("{}", encoding="utf-8")
    for second, code, said in ((one, 0, "Settings that differ:\n  none"), (tmp_path / "no.json", 2, "missing plates")):
        done = subprocess.run([*command, one, second], env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == code and said in done.stdout + done.stderr

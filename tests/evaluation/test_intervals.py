"""Intervals of shares: Wilson's against its definition, by plate against simulated coverage, the same everywhere."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from patch_world import BOXES, TEXTS, ColourRecogniser, PatchDetector, plate, scene
from rich.console import Console
from tiny_bundle import write_bundle
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.intervals import Z, share_interval, stored_interval, wilson
from alpr.evaluation.outcomes import EvaluationReport, write_report
from alpr.evaluation.page import evaluation_page
from alpr.evaluation.report_grids import print_report
from alpr.export.from_runs import reported_figures
from alpr.reader.card import ModelCard
from alpr.reader.parts import Parts


def distinct(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def shares_that_fit(p: float, n: float) -> tuple[float, float]:
    """Where |p - share| is z standard errors of the share itself: Wilson's definition, by bisection."""

    def beyond(share: float) -> float:
        return abs(p - share) - Z * math.sqrt(share * (1 - share) / n)

    ends = []
    for inside, outside in ((p, 0.0), (p, 1.0)):
        inside = min(max(inside, 1e-12), 1 - 1e-12)
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if beyond(middle) > 0 else (middle, outside)
        ends.append(outside)
    return ends[0], ends[1]


@pytest.mark.parametrize(
    ("found", "plates"), [(0, 8), (8, 8), (216, 216), (214, 216), (1, 3), (0, 10), (81, 263), (2.5, 3.5)]
)
def test_wilson_is_its_own_definition(found: float, plates: float) -> None:
    low, high = wilson(found, plates)
    expected = shares_that_fit(found / plates, plates)
    assert low == pytest.approx(expected[0], abs=1e-6) and high == pytest.approx(expected[1], abs=1e-6)


def test_nothing_but_successes_leaves_doubt() -> None:
    """216 of 216 and 8 of 8; the bootstrap said 100 to 100 of both."""
    for n, low in ((216, 0.9825), (8, 0.6756)):
        interval = share_interval([True] * n, distinct(n))
        assert (interval.high, interval.effective) == (1.0, n) and interval.low == pytest.approx(low, abs=1e-4)
        none = share_interval([False] * n, distinct(n))
        assert none.low == 0 and none.high == pytest.approx(1 - low, abs=1e-4)


def test_photographs_of_one_plate_that_always_agree_count_once() -> None:
    values = [i % 2 == 0 for i in range(200) for _ in range(4)]
    clusters = [str(i) for i in range(200) for _ in range(4)]
    assert share_interval(values, clusters).effective == pytest.approx(200, rel=0.03)
    assert share_interval([True] * 800, clusters).effective == pytest.approx(200)
    assert share_interval([True] * 8, ["one"] * 8)[:2] == pytest.approx(wilson(1, 1))
    independent = [i < 2 for _ in range(200) for i in range(4)]  # two of four of every plate
    assert share_interval(independent, clusters).effective == pytest.approx(800)  # never above the photographs


def test_the_interval_of_a_mean_of_shares_knows_the_small_share() -> None:
    """A hundred plates of one province and one of another, which weighs as much as they together."""
    values, weights = [True] * 50 + [False] * 50 + [True], np.array([0.01] * 100 + [1.0])
    interval = share_interval(values, distinct(101), weights)
    assert interval.effective < 4 and interval.low < 0.75 < interval.high


@pytest.mark.parametrize(("share", "agreement"), [(0.5, 0.8), (0.9, 0.3), (0.97, 0.0), (0.9, 0.0), (0.5, 0.3)])
def test_the_coverage_is_what_it_says_where_photographs_repeat_plates(share: float, agreement: float) -> None:
    """60 plates of one to seven photographs; of 600 such data sets about 95 % hold the true share."""
    generator = np.random.default_rng(7)
    held = naive = 0
    for _ in range(600):
        ids = np.repeat(np.arange(60), generator.integers(1, 8, 60))
        chance = np.full(60, share)
        if agreement:
            spread = (1 - agreement) / agreement
            chance = generator.beta(share * spread, (1 - share) * spread, 60)
        values = (generator.random(len(ids)) < chance[ids]).tolist()
        low, high, _ = share_interval(values, [str(i) for i in ids])
        held += low <= share <= high
        low, high = wilson(sum(values), len(values))
        naive += low <= share <= high
    assert 0.92 <= held / 600 <= 0.985
    assert naive / 600 < 0.9 or not agreement  # photographs taken as independent are too sure


def test_a_stored_share_says_its_interval() -> None:
    old = {"value": 1.0, "plates": 216, "low": 1.0, "high": 1.0}
    assert stored_interval(old) == wilson(216, 216)
    assert stored_interval(old | {"effective": 20.0}) == wilson(20, 20)
    for wrong in ({"value": 2, "plates": 5}, {"value": float("nan"), "plates": 5}, {"value": 0.5, "plates": 0}):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            stored_interval(wrong)


@pytest.fixture
def report(tmp_path: Path) -> EvaluationReport:
    """Nine photographs of two plates, of which one is read wrong once."""
    scenes = [scene(tmp_path, f"{i}.png", (c, BOXES[0])) for i, c in enumerate([50] * 6 + [200] * 3)]
    odd = replace(scenes[0], plates=(replace(plate(50, BOXES[0]), text=TEXTS[200]),))
    return evaluate(Parts(PatchDetector(), ColourRecogniser()), [odd, *scenes[1:]], manifests={"a.csv": "0" * 64})


def test_report_table_page_and_info_say_the_same_interval(report: EvaluationReport, tmp_path: Path) -> None:
    figure = report.figure("end_to_end_50")
    assert figure is not None and figure.value == pytest.approx(8 / 9)
    assert figure.effective is not None and figure.effective < 9
    said = figure.interval
    out = StringIO()
    print_report(report, Console(file=out))
    assert re.search(rf"end to end at IoU 0.5 +88.89 % +{said} +9", out.getvalue())
    assert f">{said}<" in evaluation_page(report, None).render()
    write_report(report, tmp_path / "report.json")
    stored = next(f for f in json.loads((tmp_path / "report.json").read_text())["figures"] if f["name"] == figure.name)
    assert f"{100 * stored['low']:.1f} to {100 * stored['high']:.1f}" == said
    bundle = write_bundle(tmp_path / "tiny")
    replace(ModelCard.read(bundle), metrics=reported_figures(tmp_path / "report.json")).write(bundle)
    told = CliRunner().invoke(app, ["info", str(bundle)]).stdout
    assert f"found and every character right ({said}, 9 plates)" in told

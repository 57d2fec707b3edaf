"""A wrongly read character that is markup, a control character or an escape of the terminal: on pages and screens."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from balanced_html import Balanced
from hand_scored import TEXTS as TRUE
from hand_scored import labels, predictions
from patch_world import BOXES, TEXTS, ColourRecogniser, PatchDetector, scene
from rich.console import Console

from alpr.evaluation.comparison import as_text, compared, read_evaluated
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.gallery import Gallery
from alpr.evaluation.outcomes import EvaluationReport, write_report
from alpr.evaluation.page import evaluation_page, protocol_page
from alpr.evaluation.protocols.report import protocol_report
from alpr.evaluation.protocols.rules import Protocol
from alpr.evaluation.protocols.scoring import print_protocols
from alpr.evaluation.report_grids import print_report
from alpr.plates.records import Reading
from alpr.reader.parts import Parts

HOSTILE = ["<", "&", '"', "'", "\x1b", "\x07", "\x08", "\r", "\x9b", "\u202e", "\udcff"]
ESCAPES = "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>"
NAMES = [repr(c).strip("'") for c in HOSTILE]


def safe(shown: str) -> bool:
    """Whether a terminal, or a browser, prints the characters and obeys none."""
    return all(c.isprintable() or c == "\n" for c in shown)


def misread(folder: Path, read: str) -> tuple[EvaluationReport, Gallery]:
    """An evaluation of two plates, of which one ends with something else than it should."""
    gallery = Gallery()
    scenes = [scene(folder, f"{c}.png", (c, BOXES[0])) for c in (50, 100)]
    reader = Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: TEXTS[50][:-1] + read}))
    return evaluate(reader, scenes, gallery=gallery), gallery


def printed(report: EvaluationReport) -> str:
    out = StringIO()
    print_report(report, Console(file=out, width=200, force_terminal=True, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("read", [*HOSTILE, ESCAPES], ids=[*NAMES, "escapes"])
def test_an_evaluations_page_and_table_show_it_and_obey_nothing(read: str, tmp_path: Path) -> None:
    report, gallery = misread(tmp_path, read)
    assert report.on_predicted_corners is not None and report.on_predicted_corners.confusions
    usual = printed(misread(tmp_path, "#")[0])
    assert "5 as # 1" in usual and safe(usual)
    shown = printed(report)
    assert safe(shown) and ("5 as" in shown or "nothing as" in shown)
    for page in (evaluation_page(report, gallery), evaluation_page(report, None)):
        written = page.render()
        parser = Balanced()
        parser.feed(written)
        assert not parser.open and safe(written) and "<script>" not in written and "<mark><" not in written
        assert f">{TEXTS[50][:-1]}" in written.replace("<mark>", "")


@pytest.mark.parametrize("read", [*HOSTILE, ESCAPES], ids=[*NAMES, "escapes"])
def test_a_protocols_page_and_table_show_it_and_obey_nothing(read: str, tmp_path: Path) -> None:
    text = TRUE["a"][:-1] + read
    hostile = [
        replace(p, plates=tuple(replace(one, reading=Reading(text, 0.9, (0.9,) * len(text))) for one in p.plates))
        for p in predictions()
    ]
    report = protocol_report(Protocol.read("ccpd2019"), labels(tmp_path), hostile, trained=None, model={"name": text})
    out = StringIO()
    print_protocols([report], Console(file=out, width=200, force_terminal=True, color_system=None))
    written = protocol_page(report, labels(tmp_path)).render()
    assert safe(out.getvalue()) and safe(written) and "<script>" not in written


def test_a_comparison_prints_it_and_obeys_nothing(tmp_path: Path) -> None:
    for name, read in (("good", "5"), ("bad", ESCAPES)):
        (tmp_path / name).mkdir()
        write_report(misread(tmp_path / "scenes", read)[0], tmp_path / name / "report.json")
    shown = as_text(compared(read_evaluated(tmp_path / "good"), read_evaluated(tmp_path / "bad")))
    assert "only A right" in shown and "alert(1)" in shown and safe(shown)

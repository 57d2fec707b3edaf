"""Printed tables fit 80 columns, whatever the number of columns, and lose no cell."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hand_scored import labels, predictions
from patch_world import ColourRecogniser, PatchDetector, three_scenes
from rich.cells import cell_len
from rich.console import Console

from alpr.evaluation.by_width import curve_grid, curve_table, recall_curve
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.outcomes import PlateRecord, Slice
from alpr.evaluation.protocols.grids import grids_of
from alpr.evaluation.protocols.report import ColumnCount, protocol_report
from alpr.evaluation.protocols.rules import Protocol
from alpr.evaluation.report_grids import SLICED, print_report
from alpr.evaluation.tables import Grid, as_text
from alpr.reader.parts import Parts

LONG = "a_set_of_photographs_whose_name_has_no_end_and_no_space_where_it_could_be_broken"


def fits(text: str) -> bool:
    """A path of a note may be longer: broken, nobody could copy it."""
    return max(cell_len(line) for line in text.splitlines() if " " in line) <= 80


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("columns", [1, 3, 8])
@pytest.mark.parametrize("name", ["DB", "皖A" * 20, LONG, "CCPD2019 photographs of rotated plates, the whole set"])
def test_a_protocols_tables_fit(columns: int, name: str) -> None:
    protocol = Protocol.read("ccpd2019")
    report = protocol_report(protocol, labels(Path("/p")), predictions())
    names = [f"{i} {name}" for i in range(columns)]
    figures = tuple(
        replace(row, cells={"overall": row.cells["overall"]} | dict.fromkeys(names, row.cells["overall"]))
        for row in report.figures
    )
    counted = tuple(ColumnCount(n, 123_456, 123_456, None) for n in names)
    grids = grids_of(replace(report, figures=figures, columns=counted))
    text = as_text(grids)
    assert fits(text) and text.count("53.85 (") == 2 * (columns + 1)  # found, and without the province


def test_the_figures_of_every_block_have_their_label() -> None:
    names = [f"set {i}" for i in range(8)]
    for rows in (1, 40):
        cells = [(f"figure {r}", *(f"{i}{i}.{r:02} (10.0-90.0)" for i in range(8))) for r in range(rows)]
        text = as_text([Grid("t", ("what", *names), tuple(cells))])
        assert fits(text) and all(name in text for name in names)
        assert sorted(re.findall(r"\d\d\.\d\d ", text)) == sorted(cell[:6] for row in cells for cell in row[1:])
        blocks = text.split("\n\n")
        assert (len(blocks) > 1) == (rows > 1)  # one figure is turned: a set on each line
        assert all("what" in block and "figure 0" in block for block in blocks)


@pytest.mark.parametrize("slices", [1, 3, 8])
def test_an_evaluations_tables_fit(slices: int, tmp_path: Path) -> None:
    report = evaluate(Parts(PatchDetector(), ColourRecogniser()), three_scenes(tmp_path))
    figures = dict.fromkeys(SLICED, 0.12345)
    made = tuple(Slice(f"{by} {LONG}", f"{LONG} {v}", 99_999, figures) for by in range(slices) for v in range(3))
    out = StringIO()
    print_report(replace(report, slices=made), Console(file=out))
    assert fits(out.getvalue()) and out.getvalue().count("12.3") == slices * 3 * len(SLICED)
    assert squeezed(LONG) in squeezed(out.getvalue())


def test_recall_by_width_at_many_sizes_fits_and_its_markdown_stays_whole() -> None:
    records = [PlateRecord(f"{i}.png", 0, ".", input_width_px=30.0, iou=0.9) for i in range(20)]
    curves = [recall_curve(records, px) for px in (320, 384, 640, 960, 1280)]
    text = as_text([curve_grid(curves)])
    assert fits(text) and text.count("100.0 %") == 10
    assert curve_table(curves).splitlines()[2].count("100.0 % of 20, 84 to 100") == 5

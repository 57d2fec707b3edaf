"""A comparison of runs as text, Markdown or a page with its learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from alpr.evaluation.run_comparison import Group, differing, paired_tests, spread
from alpr.evaluation.tables import Grid, as_markdown, as_text, figure_columns
from alpr.files import write_atomically
from alpr.reports.charts import Line, line_chart
from alpr.reports.html import Html, Page, paragraph, table

QUARTERS = (0.25, 0.5, 0.75, 1.0)
COSTS = {"samples": "samples trained on", "minutes": "minutes", "parameters": "parameters, M", "macs": "MACs, G"}
_MILLIONS = {"parameters": 1e6, "macs": 1e9}
_NOTE = (
    "Mean and standard deviation over the runs of a row. The test flips the signs of the plates' differences: it says "
    "how likely a difference as large is by the choice of plates, not of seeds. Held-back plates chose the checkpoints."
)


def run_grids(groups: Sequence[Group]) -> list[Grid]:
    """The tables of a comparison, those without a row left out."""
    grids = [_figures(groups), _tests(groups), _curves(groups), _cost(groups), _settings(groups)]
    return [grid for grid in grids if grid.rows]


def _figures(groups: Sequence[Group]) -> Grid:
    """A row per group; the figures that every run has."""
    everywhere = set.intersection(*(set(run.figures) for group in groups for run in group.runs))
    names = sorted(everywhere, key=lambda name: (name != "best", name))
    rows = [(g.label, str(len(g.runs)), *(_mean(g.values(name)) for name in names)) for g in groups]
    titles = [name.removeprefix("val/").replace("_", " ") for name in names]
    return Grid("Figures", ("runs", "n", *titles), tuple(rows), (_NOTE,))


def _mean(values: Sequence[float]) -> str:
    mean, deviation = spread(values)
    return f"{mean:.4g}" if deviation is None else f"{mean:.4g} ± {deviation:.2g}"


def _tests(groups: Sequence[Group]) -> Grid:
    rows = [
        (t.second, t.first, t.figure, f"{t.plates:,}", f"{100 * t.difference:+.2f} %", str(t.better), str(t.worse),
         f"{t.p_value:.2g}")
        for t in paired_tests(groups)
    ]  # fmt: skip
    header = ("runs", "against", "right by", "plates", "difference", "better", "worse", "p")
    return Grid("Paired by held-back plate", header, tuple(rows))


def _curves(groups: Sequence[Group]) -> Grid:
    """The best value so far of the figure that the runs chose by, at quarters of each run."""
    rows = []
    for group in groups:
        curves = [run.curve for run in group.runs if run.curve]
        if curves:
            cells = [_mean([_by(curve, share) for curve in curves]) for share in QUARTERS]
            rows.append((group.label, *cells))
    monitors = sorted({run.monitor for group in groups for run in group.runs if run.monitor})
    header = ("runs", *(f"{100 * share:.0f} %" for share in QUARTERS))
    return Grid(f"Learning curve: the best {' or '.join(monitors)} by that share of the steps", header, tuple(rows))


def _by(curve: Sequence[tuple[float, float]], share: float) -> float:
    upto = share * curve[-1][0]
    return max([value for step, value in curve if step <= upto] or [curve[0][1]])


def _cost(groups: Sequence[Group]) -> Grid:
    rows = []
    for group in groups:
        means = {what: group.cost(what) for what in COSTS}
        cells = ["-" if m is None else f"{m / _MILLIONS.get(what, 1):,.4g}" for what, m in means.items()]
        rows.append((group.label, *cells))
    return Grid("Cost of a run", ("runs", *COSTS.values()), tuple(rows))


def _settings(groups: Sequence[Group]) -> Grid:
    rows = tuple((key, *values) for key, values in differing(groups))
    return Grid("Settings that differ", ("setting", *(group.label for group in groups)), rows)


def run_page(groups: Sequence[Group]) -> Page:
    """The comparison as a page with the learning curves as a chart."""
    runs = sum(len(group.runs) for group in groups)
    page = Page("Runs compared", f"{runs} runs in {len(groups)} groups.")
    for grid in run_grids(groups):
        right = [c for c, figures in enumerate(figure_columns(grid)) if figures]
        parts: list[Html] = [table(grid.header, grid.rows, right=right), *map(paragraph, grid.notes)]
        if grid.title.startswith("Learning curve"):
            parts.insert(0, line_chart(_lines(groups), title="The figure that the runs chose by", x_label="step"))
        page.add(grid.title, *parts)
    return page


def _lines(groups: Sequence[Group]) -> dict[str, Line]:
    """The mean curve of each group, with the lowest and the highest run as bars."""
    lines = {}
    for group in groups:
        by_step: dict[float, list[float]] = {}
        for run in group.runs:
            for step, value in run.curve:
                by_step.setdefault(step, []).append(value)
        steps = sorted(by_step)
        means = [fmean(by_step[step]) for step in steps]
        lines[group.label] = Line(steps, means, [(min(by_step[step]), max(by_step[step])) for step in steps])
    return lines


def write_comparison(groups: Sequence[Group], path: Path) -> None:
    """Writes a comparison in the form of its suffix: .md, .html, else text.

    Raises:
        NotWritten: a full disk, or a folder that may not be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        run_page(groups).write(path)
    else:
        made = as_markdown if path.suffix == ".md" else as_text
        write_atomically(path, [made(run_grids(groups)).encode(errors="backslashreplace")])

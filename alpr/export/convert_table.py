"""The converted bundles of a report side by side, printed."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from alpr.export.convert_report import ConversionReport, Latency, TargetReport
from alpr.export.target import target_of

WIDE = 200
"""Characters of a table that goes into a file."""


def print_conversion(report: ConversionReport) -> None:
    """Prints the targets side by side, and their operators."""
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    networks = [f"{name}, {n} thread{'s' * (n > 1)}" for n in (1, 2) for name in ("detector", "recogniser")]
    table = Table("target", "MB", *networks, *report.manifests, "changed", "written")
    for column in table.columns:
        column.no_wrap = True
    for row in report.targets:
        times = [_cell(row.latency[f"{name}_{n}"]) for n in (1, 2) for name in ("detector", "recogniser")]
        accuracy = [f"{value:.1%}" for value in row.accuracy.values()]
        table.add_row(row.target, f"{row.megabytes:.2f}", *times, *accuracy, str(row.changed), _written(row))
    console.print(table)
    plates = ", ".join(f"{score.plates} of {name}" for name, score in report.targets[0].scores.items())
    console.print(
        f"ms: best (median) of a batch of one, and how many times faster than fp32; the detector at "
        f"{report.detector_input[1]} x {report.detector_input[2]} px (height x width). Plates read right, from the "
        f"image to the text: {plates}. changed: readings that are not fp32's."
    )
    for row in report.targets:
        for name, found in row.operators.items():
            console.print(f"{row.target} {name}: {found}", markup=False, highlight=False)


def _cell(latency: Latency) -> str:
    return f"{latency.best_ms:.2f} ({latency.median_ms:.2f}) x{latency.times_faster:.2f}"


def _written(row: TargetReport) -> str:
    if target_of(row.target).make is None:
        return "the bundle's files"
    return "no" if row.refused else "yes"

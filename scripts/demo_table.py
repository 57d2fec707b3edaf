"""Prints the demo's result: found, read, milliseconds; from an evaluation's report and a run of `alpr predict`."""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

ROWS = (
    ("found, hull IoU > 0.5", "found_50"),
    ("found, hull IoU > 0.7", "found_70"),
    ("read from true corners", "read_on_true_corners"),
    ("found and read", "end_to_end_50"),
    ("found and read, province aside", "end_to_end_50_without_province"),
)


def table(report: Path, readings: Path) -> str:
    """The table as text; shares are of held-out scenes, with 95 % intervals, times are medians on one core."""
    figures = {f["name"]: f for f in json.loads(report.read_text(encoding="utf-8"))["figures"]}
    lines = [f"{'held-out synthetic scenes':34}{'share':>8}{'95 % interval':>18}{'plates':>8}"]
    for title, name in ROWS:
        f = figures[name]
        interval = f"{100 * f['low']:.1f} to {100 * f['high']:.1f}"
        lines.append(f"{title:34}{100 * f['value']:7.1f}%{interval:>18}{f['plates']:8}")
    times = [json.loads(line).get("ms") for line in readings.read_text(encoding="utf-8").splitlines()]
    read = [ms for ms in times if ms]
    stages = {stage: statistics.median(ms[stage] for ms in read) for stage in read[0]}
    lines += ["", f"{'milliseconds per image, one core':34}{'median':>8}"]
    lines += [f"{stage:34}{value:8.1f}" for stage, value in stages.items()]
    lines.append(f"{'file to text':34}{statistics.median(sum(ms.values()) for ms in read):8.1f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="report.json of evaluate.py")
    parser.add_argument("--readings", type=Path, required=True, help="JSON lines of alpr predict")
    parser.add_argument("--output", type=Path, required=True, help="where the table is kept")
    arguments = parser.parse_args()
    arguments.output.write_text(table(arguments.report, arguments.readings), encoding="utf-8")


if __name__ == "__main__":
    main()

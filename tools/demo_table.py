"""Prints the demo's result: found, read, milliseconds, where to look and what to try; fails where it hardly reads."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpr.evaluation.intervals import stored_interval

ROWS = (
    ("found, hull IoU > 0.5", "found_50"),
    ("found, hull IoU > 0.7", "found_70"),
    ("read from true corners", "read_on_true_corners"),
    ("found and read", "end_to_end_50"),
    ("found and read, province aside", "end_to_end_50_without_province"),
)
LEAST_READ = 0.6
NEXT = """What to try next:
  alpr predict PHOTOS --annotate DIR  reads photographs with the released bundle
  alpr info demo/bundle               tells what the demo's bundle reads
  docs/train-your-country.md          a reader for the plates of your country"""


def table(figures: Mapping[str, Mapping[str, Any]], readings: Path) -> str:
    """The table as text; shares are of held-out scenes, with Wilson's 95 % intervals, times are medians on one core."""
    lines = [f"{'held-out synthetic scenes':34}{'share':>8}{'95 % interval':>18}{'plates':>8}"]
    for title, name in ROWS:
        plates, share = figures[name]["plates"], figures[name]["value"]
        low, high = stored_interval(figures[name])
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        lines.append(f"{title:34}{100 * share:7.1f}%{interval:>18}{plates:8}")
    times = [json.loads(line).get("ms") for line in readings.read_text(encoding="utf-8").splitlines()]
    read = [ms for ms in times if ms]
    stages = {stage: statistics.median(ms[stage] for ms in read) for stage in read[0]}
    lines += ["", f"{'milliseconds per image, one core':34}{'median':>8}"]
    lines += [f"{stage:34}{value:8.1f}" for stage, value in stages.items()]
    lines.append(f"{'file to text':34}{statistics.median(sum(ms.values()) for ms in read):8.1f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="report.json of alpr evaluate")
    parser.add_argument("--readings", type=Path, required=True, help="JSON lines of alpr predict")
    parser.add_argument("--annotated", type=Path, required=True, help="folder of the annotated pictures")
    parser.add_argument("--output", type=Path, required=True, help="where the table is kept")
    arguments = parser.parse_args()
    figures = {f["name"]: f for f in json.loads(arguments.report.read_text(encoding="utf-8"))["figures"]}
    result = table(figures, arguments.readings)
    share = figures["end_to_end_50"]["value"]
    if share < LEAST_READ:
        print(result)
        sys.exit(
            f"The demo read {share:.1%} of the held-out plates; expected at least {LEAST_READ:.0%}. The trainings' "
            "lines above say where it fell behind: demo/detector/metrics.csv, demo/recogniser/metrics.csv."
        )
    picture = next(iter(sorted(arguments.annotated.rglob("*.jpg"))), arguments.annotated)
    page = arguments.report.with_name("report.html")
    result += f"\nLook at {picture}\n    and {page}\n\n{NEXT}\n"
    arguments.output.write_text(result, encoding="utf-8")


if __name__ == "__main__":
    main()

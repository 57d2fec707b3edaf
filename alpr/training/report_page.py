"""`report.html`: what a run did and what came of it, on one page: curves, pictures, settings, environment, hashes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import cv2

from alpr.files import SMALL_BYTES, hash_file, read_regular
from alpr.reports.charts import Line, line_chart
from alpr.reports.html import (
    Figure,
    Html,
    Page,
    Picture,
    details,
    figure,
    key_figures,
    side_by_side,
    subheading,
    table,
)
from alpr.training.loggers import PICTURE, flat, read_table
from alpr.training.metrics_csv import FILE as METRICS_FILE
from alpr.training.metrics_csv import read_rows
from alpr.training.record import RunRecord

REPORT_FILE = "report.html"
SAMPLES_FILE = "samples.jpg"
MOST_POINTS = 150
"""Of a curve; where there are more, each point is the mean of several."""
WIDE_PX = 900
_STYLE = ".sheet figure, figure { max-width: 100%; } img { max-width: 100%; height: auto; }"
WORDS = {
    "filmstrip": "The same held-back samples at every validation",
    "worst": "Worst of the held-back samples",
    "reconstructions": "Held-back crops, what was visible of them, and the guess",
    "confusion": "Confusions",
    "calibration": "Score and share right",
}
"""What the folders of a validation's files hold; others are named as they are."""


def write_report(folder: Path, record: RunRecord, monitor: str, units: Mapping[str, str]) -> Path:
    """Writes the page of a run from its folder; gives its path.

    Args:
        monitor: the figure that the run chose by.
        units: see `TaskModule`.

    Raises:
        OSError: a file that cannot be read or written.
    """
    page = Page(f"Run {record.name}", _lead(record), style=_STYLE)
    page.add("Result", _result(record, monitor))
    curves = curves_of(folder)
    charts = list(_charts(curves, units))
    page.add("Curves", *([side_by_side(*charts)] if charts else ["There is no metrics.csv (logger=none)."]))
    page.add("Samples", *(_samples(folder) or ["Nothing was drawn."]))
    page.add("Settings", table(("key", "value"), [(k, _value(v)) for k, v in flat(record.config)]))
    page.add("Environment", table(("what", "value"), _environment(record)))
    page.add("Hashes", table(("what", "SHA-256, or count and bytes"), _hashes(folder, record)))
    page.write(folder / REPORT_FILE)
    return folder / REPORT_FILE


def _lead(record: RunRecord) -> str:
    again = f", resumed {record.resumed} times" if record.resumed > 1 else ", resumed once" if record.resumed else ""
    kind = record.kind or "network"
    return f"A {kind}, seed {record.seed}: {record.status} after {record.steps:,} steps{again}. Begun {record.started}."


def _result(record: RunRecord, monitor: str) -> Html:
    figures = [Figure(record.result.get("best"), f"best {_plain(monitor)}")]
    figures += [Figure(v, _plain(k), "last validation") for k, v in record.result.items() if k not in ("best", monitor)]
    figures.append(Figure(record.seconds / 60, "minutes", "over all resumptions"))
    return key_figures(figures)


def _plain(name: str) -> str:
    return name.removeprefix("val/").replace("_", " ")


def curves_of(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """The figures of `metrics.csv` by name: steps and values."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in read_rows(folder / METRICS_FILE):
        for name, value in row.items():
            if value and name not in ("step", "epoch"):
                steps, values = curves.setdefault(name, ([], []))
                steps.append(float(row["step"]))
                values.append(float(value))
    return curves


def unit_of(name: str, units: Mapping[str, str]) -> str:
    """What a figure is measured in; empty where nobody says it."""
    return next((unit for pattern, unit in units.items() if fnmatchcase(name, pattern)), "")


def _charts(curves: Mapping[str, tuple[list[float], list[float]]], units: Mapping[str, str]) -> Iterator[Html]:
    """A chart for the figures of a unit; figures that are never finite have no point."""
    charts: dict[str, dict[str, Line]] = {}
    for name, (steps, values) in sorted(curves.items()):
        kind, _, figure_name = name.partition("/")
        rate = name.startswith("lr-")
        unit = unit_of(name, units)
        what = {"train": "Training", "val": "Validation"}.get(kind, "Learning rate" if rate else kind)
        title = f"{what}: {unit or figure_name}" if not rate else what
        line = thinned(steps, values)
        if any(line.runs):
            charts.setdefault(title, {})[figure_name or name] = line
    for title, lines in charts.items():
        yield line_chart(lines, title=title, x_label="step")


def thinned(steps: Sequence[float], values: Sequence[float]) -> Line:
    """A curve of at most `MOST_POINTS` points, each the mean of as many."""
    each = -(-len(steps) // MOST_POINTS)
    groups = [slice(i, i + each) for i in range(0, len(steps), each)]
    return Line([_mean(steps[g]) for g in groups], [_mean(values[g]) for g in groups])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _samples(folder: Path) -> list[str]:
    parts: list[str] = []
    samples = _picture(folder / SAMPLES_FILE, "The first samples of the training, as the network sees them")
    parts += [samples] if samples else []
    by_what: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/epoch_*.*")):
        by_what.setdefault(path.parent.name, []).append(path)
    for what, paths in sorted(by_what.items(), key=lambda entry: (entry[1][0].suffix != PICTURE, entry[0])):
        parts.append(subheading(WORDS.get(what, what)))
        *earlier, last = paths
        parts += _drawn(last)
        if earlier:
            parts.append(details(f"The first of {len(paths)}", *_drawn(earlier[0])))
    return parts


def _drawn(path: Path) -> list[Html]:
    if path.suffix == PICTURE:
        picture = _picture(path, path.stem.replace("_", " "))
        return [picture] if picture else []
    header, rows = read_table(path)
    drawn = [table(header, rows, caption=path.stem.replace("_", " "))]
    if header[-2:] == ["mean score", "share right"]:
        points = [(row[-2], row[-1]) for row in rows]
        line = Line([float(x) for x, _ in points], [float(y) for _, y in points])
        ideal = Line([0, 1], [0, 1])
        drawn.append(line_chart({"share right": line, "as it should be": ideal}, title="Calibration", x_label="score"))
    return drawn


def _picture(path: Path, caption: str) -> Html | None:
    image = cv2.imread(str(path)) if path.is_file() else None
    return None if image is None else figure(Picture(image, caption), longer_px=WIDE_PX)  # type: ignore[arg-type]


def _environment(record: RunRecord) -> list[tuple[str, str]]:
    rows = [("command", record.command), ("commit", record.commit or "not known"), ("device", record.device)]
    rows += [("precision", record.precision), ("W&B run", record.run_id)]
    return [*rows, *((name, str(value)) for name, value in record.versions.items())]


def _hashes(folder: Path, record: RunRecord) -> list[tuple[str, str]]:
    rows = [(f"table {name}", digest) for name, digest in record.manifests.items()]
    rows += [(f"pictures of {name}", json.dumps(sums)) for name, sums in record.pictures.items()]
    rows += [("teacher", record.teacher)] if record.teacher else []
    rows += [(f"begun with {entry.get('name')}", str(entry.get("sha256"))) for entry in record.started_from]
    for checkpoint in sorted((folder / "checkpoints").glob("*.ckpt")):
        if hash_file(checkpoint).is_file():
            digest = read_regular(hash_file(checkpoint), SMALL_BYTES).decode(errors="replace").split(" ")[0]
            rows.append((checkpoint.name, digest))
    return rows


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

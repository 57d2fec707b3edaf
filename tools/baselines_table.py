"""Writes the table of docs/baselines.md and its pictures from the reports of evaluations.

python tools/baselines_table.py

docs/baselines/rows.yaml names the sets, the methods and their commands. Where a row's folder is there, what the table
needs of its report.json, and of the run.json of what was trained, is kept in docs/baselines/kept.json; where it is not,
what was kept is used, so that the same text comes out of a fresh clone. The table stands between `<!-- table -->` and
`<!-- end -->`, the commands between `<!-- commands -->` and `<!-- end -->`; docs/baselines/SET.svg shows accuracy
against milliseconds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from alpr.files import write_atomically, write_json
from alpr.reports.charts import points_picture

REPOSITORY = Path(__file__).resolve().parent.parent
STAGES = ("detect", "read")
"""What the milliseconds are of; decoding a file is the same for all."""
HEADER = ("method", "found at 0.5", "0.7", "false per picture", "read", "ms", "MB", "minutes of training")


class TableError(ValueError):
    """A table that cannot be made; the sentence says why."""


@dataclass(frozen=True)
class Set:
    """Photographs or crops: what they are called in the table, and the words that name them to `alpr evaluate`."""

    name: str
    title: str
    words: str


@dataclass(frozen=True)
class Method:
    """A row of every set that it lists.

    Attributes:
        label: may say more of one set: {green: ..., else: ...}.
        words: of `alpr evaluate`; {NAME} in it stands for the entry of a set in `by_set`.
        sets: on which it is scored.
        training: the words of `alpr train`, and the folder of the run; empty where nothing is trained.
        read: the figure of the column "read"; by default the whole text, of crops or of what was found.
        note: a mark behind that figure.
    """

    name: str
    label: str
    words: str
    sets: tuple[str, ...]
    training: str = ""
    run: str = ""
    by_set: Mapping[str, str] | None = None
    read: str = ""
    note: str = ""

    def filled(self, text: str, of: str) -> str:
        """A text with the entry of a set in place of {NAME}."""
        return text.replace("{NAME}", (self.by_set or {}).get(of, ""))


class Row(NamedTuple):
    """A method on a set, and its figures; None for what was not measured."""

    method: Method
    of: Set
    command: str
    kept: Mapping[str, Any]


def rows_of(description: Path, kept: dict[str, Any], root: Path) -> list[Row]:
    """All rows that are measured; `kept` gets what their folders hold.

    Raises:
        TableError: an unknown key.
    """
    data = yaml.safe_load(description.read_text(encoding="utf-8"))
    try:
        sets = {name: Set(name, **entry) for name, entry in data["sets"].items()}
        methods = [Method(name, **entry) for name, entry in data["methods"].items()]
    except (KeyError, TypeError) as error:
        raise TableError(f"{description}: {error}.") from error
    rows = []
    for method in methods:
        for name in method.sets:
            output = f"runs/baselines/{name}/{method.name}"
            words = method.filled(method.words, name)
            command = f"alpr evaluate {words} {sets[name].words} threads=1 workers=1 output={output}"
            key = f"{name}/{method.name}"
            if (root / output / "report.json").is_file():
                run = method.filled(method.run, name)
                kept[key] = _kept(root / output / "report.json", root / run / "run.json" if run else None)
            if key in kept:
                rows.append(Row(method, sets[name], command, kept[key]))
            else:
                print(f"Not measured: {command}", file=sys.stderr)
    return rows


def _kept(report: Path, run: Path | None) -> dict[str, Any]:
    """What the table needs of an evaluation and of a training."""
    found = json.loads(report.read_text(encoding="utf-8"))
    detection = found["detection"] or {}
    values = {
        "figures": {figure["name"]: round(figure["value"], 5) for figure in found["figures"]},
        "images": found["images"],
        "plates": len(found["plates"]),
        "false": detection.get("false_positives_per_image"),
        "ap": [detection.get("ap_hull_50"), detection.get("ap_hull_50_95")],
        "ms": found["ms"],
        "bytes": found["made_with"].get("model_bytes"),
        "device": found["made_with"]["device"],
        "commit": found["made_with"]["commit"],
        "model": found["model"],
    }
    if run is not None and run.is_file():
        values["minutes"] = round(json.loads(run.read_text(encoding="utf-8"))["seconds"] / 60, 1)
    return values


def read_figure(row: Row) -> float | None:
    """The share of plates whose text is read."""
    figures = row.kept["figures"]
    names = [row.method.read] if row.method.read else ["read_on_crops", "end_to_end_50"]
    return next((figures[name] for name in names if name in figures), None)


def cells(row: Row) -> list[str]:
    """A row of the table."""
    figures, ms = row.kept["figures"], row.kept["ms"]
    read, size = read_figure(row), row.kept["bytes"]
    spent = [ms[stage] for stage in STAGES if stage in ms]
    return [
        row.method.filled(row.method.label, row.of.name),
        _per_cent(figures.get("found_50")),
        _per_cent(figures.get("found_70")),
        "" if row.kept["false"] is None else f"{row.kept['false']:.2f}",
        _per_cent(read) + (row.method.note if read is not None else ""),
        f"{sum(spent):.0f}" if spent else "",
        "" if size is None else f"{size / 1e6:.1f}",
        "" if row.kept.get("minutes") is None else f"{row.kept['minutes']:.0f}",
    ]


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def table(rows: list[Row]) -> Iterator[str]:
    """The table, a part for every set."""
    for name in dict.fromkeys(row.of.name for row in rows):
        mine = [row for row in rows if row.of.name == name]
        yield f"**{mine[0].of.title}**, {mine[0].kept['plates']} plates\n"
        yield f"| {' | '.join(HEADER)} |\n|---|" + "---:|" * (len(HEADER) - 1)
        yield from (f"| {' | '.join(cells(row))} |" for row in mine)
        yield f"\n![Accuracy against milliseconds, {mine[0].of.title}](baselines/{name}.svg)\n"


def commands(rows: list[Row]) -> Iterator[str]:
    """The commands of all rows, those that train first."""
    trained = [row.method.filled(row.method.training, row.of.name) for row in rows if row.method.training]
    yield "```console"
    yield from (f"alpr train {words}" for words in dict.fromkeys(trained))
    yield from (row.command for row in rows)
    yield "```"


def picture(rows: list[Row]) -> str | None:
    """Accuracy against milliseconds of one set as SVG: what was read, where that was measured, else what was found."""
    reads = any(read_figure(row) is not None for row in rows)
    points = {}
    for row in rows:
        value = read_figure(row) if reads else row.kept["figures"].get("found_50")
        spent = sum(row.kept["ms"].get(stage, 0.0) for stage in STAGES)
        if value is not None and spent > 0:
            points[row.method.filled(row.method.label, row.of.name)] = (spent, 100 * value)
    if not points:
        return None
    what = "plates read" if reads else "plates found"
    return points_picture(points, title=f"{what}, {rows[0].of.title}", unit=" %", x_label="ms per picture, one core")


def main() -> None:
    """Writes the document, the pictures and what is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="below which the folders runs/ lie")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs")
    given = parser.parse_args()
    folder, document = given.docs / "baselines", given.docs / "baselines.md"
    file = folder / "kept.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    try:
        rows = rows_of(folder / "rows.yaml", kept, given.root)
    except TableError as error:
        sys.exit(str(error))
    write_json(file, kept)
    text = document.read_text(encoding="utf-8")
    for name, lines in (("table", table(rows)), ("commands", commands(rows))):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not between.search(text):
            sys.exit(f"{document} has no <!-- {name} -->; expected the place where it stands.")
        filled = "\n".join(lines)
        text = between.sub(lambda found, filled=filled: f"{found[1]}{filled}\n{found[2]}", text)
    write_atomically(document, [text.encode()])
    for name in dict.fromkeys(row.of.name for row in rows):
        drawn = picture([row for row in rows if row.of.name == name])
        if drawn is not None:
            write_atomically(folder / f"{name}.svg", [drawn.encode()])


if __name__ == "__main__":
    main()

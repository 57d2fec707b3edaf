"""Writes the tables of docs/results.md and docs/notebook from what runs and evaluations left behind.

python tools/collect_results.py

docs/results/tables.yaml names the tables, their columns and their rows. Where a row's folder is there, what the tables
need of its run.json, report.json, recall_by_width.json or conversion.json is kept as docs/results/NAME.json; where it
is not, the kept file is used, so that the same text comes out of a fresh clone. A table stands between
`<!-- table NAME -->` and `<!-- end -->`, in one of the documents. To add a row: three lines in tables.yaml, and this
command. datasets/scored.csv then counts how often each table was scored by all that is kept.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alpr.evaluation.by_width import curve_svg, curve_table, curves_of
from alpr.files import write_atomically, write_json

REPOSITORY = Path(__file__).resolve().parent.parent
TABLES = "tables.yaml"
RUN_KEYS = ("name", "config", "seed", "manifests", "split", "fold", "status", "started", "seconds", "resumed", "steps")
MADE_KEYS = ("commit", "versions", "device", "precision", "result")
REPORT_KEYS = ("model", "manifests", "made_with", "images", "seconds", "detection")
READING_KEYS = ("on_crops", "on_true_corners", "on_predicted_corners", "on_box", "end_to_end")
SLICED_BY = ("manifest", "subset", "split", "country")


class ResultError(ValueError):
    """A table that cannot be made; the sentence names it."""


@dataclass(frozen=True)
class Column:
    """A column: its title, where its value stands in the kept JSON, and its format.

    A run's are such as `result.val/recall_hull_70`, `result.crops_to_half` and `images_seen`.
    """

    title: str
    key: str
    format: str = ""


@dataclass(frozen=True)
class Row:
    """A row: its label, the name of its kept JSON, the folder it comes from, and the command that made that.

    A row without folder and command shows what another table's row keeps.
    """

    label: str
    keep: str
    folder: str = ""
    command: str = ""


@dataclass(frozen=True)
class Table:
    """A table of rows and columns; without columns its one row is a curve of recall by width.

    Attributes:
        fence: what the block of its commands is called: `console` where they need files that only their user writes.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    fence: str = ""


def read_tables(path: Path) -> list[Table]:
    """The tables that a YAML file names.

    Raises:
        ResultError: an unknown or missing key.
    """
    tables = []
    for name, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        try:
            columns = tuple(Column(**column) for column in entry.pop("columns", ()))
            rows = tuple(Row(**row) for row in entry.pop("rows"))
            tables.append(Table(name, columns=columns, rows=rows, **entry))
        except (KeyError, TypeError) as error:
            raise ResultError(f"{path}, table {name}: {error}.") from error
        if not rows or (not columns and len(rows) != 1):
            raise ResultError(
                f"{path}, table {name}: {len(rows)} rows; expected some, and one where no column is named."
            )
    return tables


def kept_of(folder: Path) -> Any:
    """What the tables need of a run folder, of an evaluation's, of one over several input sizes or of a conversion's.

    Raises:
        ResultError: a folder that is none of these.
    """
    kinds = {
        "run.json": _of_run,
        "recall_by_width.json": lambda data: data,
        "conversion.json": lambda data: data,
        "report.json": _of_report,
    }
    for name, kept in kinds.items():
        if (folder / name).is_file():
            return _without_places(kept(json.loads((folder / name).read_text(encoding="utf-8"))))
    raise ResultError(f"{folder} holds none of {', '.join(kinds)}.")


def _of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: run[key] for key in (*RUN_KEYS, *MADE_KEYS)}
    kept["config"] = {
        key: value for key, value in run["config"].items() if key != "country"
    }  # the pack lies in configs/
    kept["images_seen"] = run["steps"] * _images_per_step(run["config"]["data"])
    kept["minutes"] = run["seconds"] / 60
    return kept


def _images_per_step(data: Mapping[str, Any]) -> int:
    """Of one process: a detector's batch, or the rendered, photographed and plateless crops of a recogniser's."""
    if data.get("batch_size") is not None:
        return int(data["batch_size"])
    sources = data.get("sources")
    if isinstance(sources, Mapping):
        entries = (*sources.values(), *data["rendered"].values())
        return int(sum(entry["share"] for entry in entries) + data["negatives"])
    real = sum(source.get("samples", 32) for source in sources) if sources else data["real"]
    return int(data["synthetic"] + real + data.get("negatives", 0))


def _of_report(report: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: report[key] for key in REPORT_KEYS}
    kept["figures"] = _by_name(report["figures"])
    kept["audited"] = _by_name((report.get("audit") or {}).get("figures", ()))
    kept["reading"] = {key: _without_lists(report.get(key)) for key in READING_KEYS}
    kept["slices"] = {by: {} for by in SLICED_BY}
    for entry in report["slices"]:
        if entry["by"] in SLICED_BY:
            kept["slices"][entry["by"]][entry["value"]] = {"plates": entry["plates"], **entry["figures"]}
    return kept


def _by_name(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {figure["name"]: {k: v for k, v in figure.items() if k != "name"} for figure in figures}


def _without_lists(scores: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The figures of a source of crops without its curves and lists; None where there was none."""
    return None if scores is None else {key: value for key, value in scores.items() if not isinstance(value, list)}


def _without_places(value: Any) -> Any:
    """The same with paths of this machine cut to their last two parts."""
    if isinstance(value, Mapping):
        return {_without_places(key): _without_places(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_places(entry) for entry in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return "/".join(Path(value).parts[-2:])
    return value


def collect(tables: Sequence[Table], kept: Path) -> None:
    """Renews the kept JSON of every row whose folder is there.

    Raises:
        ResultError: a row with neither folder nor kept JSON.
        OSError: a file that cannot be written.
    """
    for row in (row for table in tables for row in table.rows):
        path, folder = kept / f"{row.keep}.json", REPOSITORY / row.folder
        if row.folder and folder.is_dir():
            write_json(path, kept_of(folder))
        elif not path.is_file():
            raise ResultError(f"{row.label}: neither the folder {row.folder} nor {path} is there.")


def value_at(data: Any, key: str) -> Any:
    """The value at a key path; its parts are joined by dots, and may hold dots themselves (`a/labels.csv`).

    Raises:
        ResultError: a part that is not there.
    """
    rest = key.split(".")
    while rest and data is not None:  # null: a source of crops that an evaluation did not have
        names = [".".join(rest[:n]) for n in range(1, len(rest) + 1)]
        part = next((n for n in names if isinstance(data, Mapping) and n in data), None)
        if part is None:
            found = ", ".join(map(str, data)) if isinstance(data, Mapping) else repr(data)
            raise ResultError(f"{key}: there is no {rest[0]!r}; found {found}.")
        data, rest = data[part], rest[part.count(".") + 1 :]
    return data


def markdown(table: Table, kept: Path) -> str:
    """A table with its commands and where its figures come from.

    Raises:
        ResultError: a value that is not there.
    """
    data = [json.loads((kept / f"{row.keep}.json").read_text(encoding="utf-8")) for row in table.rows]
    if table.columns:
        lines = [
            f"| {' | '.join([table.title, *(c.title for c in table.columns)])} |",
            "|---" * (len(table.columns) + 1) + "|",
        ]
        for row, values in zip(table.rows, data, strict=True):
            try:
                cells = [_cell(value_at(values, column.key), column.format) for column in table.columns]
            except ResultError as error:
                raise ResultError(f"Table {table.name}, {row.label}: {error}") from error
            lines.append(f"| {' | '.join([row.label, *cells])} |")
        body = "\n".join(lines) + "\n"
    else:
        body = f"{curve_table(curves_of(data[0]))}\n![{table.title}](../results/{table.rows[0].keep}.svg)\n"
    commands = "\n".join(dict.fromkeys(row.command for row in table.rows if row.command))
    if not commands:
        return body
    return f"{body}{_made_with(data)}{_scored(data, scorings(kept))}\n```{table.fence}\n{commands}\n```\n"


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def _made_with(data: Sequence[Any]) -> str:
    """One line: the machines and the commits of a table's rows, as far as they say."""
    made = [entry.get("made_with", entry) for entry in data if isinstance(entry, Mapping)]
    said = []
    for title, key in (("Device", "device"), ("Commit", "commit")):
        values = list(dict.fromkeys(str(m[key]) for m in made if m.get(key)))
        if values:
            short = [re.sub(r"^([0-9a-f]{7})[0-9a-f]{33}", r"\1", value) for value in values]
            said.append(f"{title}: {'; '.join(short)}.")
    return f"\n{' '.join(said)}\n" if said else ""


def scorings(kept: Path) -> dict[str, int]:
    """How often at least the rows of each table were scored, by the evaluations and conversions that are kept."""
    found: Counter[str] = Counter()
    for path in sorted(kept.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        found.update(tables_of(data))
    by_folder = {table.partition("/")[0]: table for table in found}
    for path in sorted(kept.glob("conversion_*.json")):
        found.update(by_folder[name] for name in json.loads(path.read_text(encoding="utf-8"))["scores"])
    return dict(sorted(found.items()))


def tables_of(kept: Mapping[str, Any]) -> list[str]:
    """The tables that a kept evaluation scored; a training's record names those that it trained on."""
    manifests = {} if "config" in kept else kept.get("manifests") or {}
    return [table for names in manifests for table in names.split(", ")]


def scored_csv(kept: Path, cards: Sequence[Path]) -> str:
    """`datasets/scored.csv`: the tables with a SHA-256 that an evaluation of them alone, or a bundle's card, names."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(kept.glob("*.json"))]
    documents += [json.loads(path.read_text(encoding="utf-8"))["metrics"] for path in sorted(cards)]
    named = {n: d for data in documents if "config" not in data for n, d in (data.get("manifests") or {}).items()}
    lines = [f"{table},{named[table]},{count}" for table, count in scorings(kept).items() if table in named]
    return "\n".join(["table,sha256,at_least", *lines]) + "\n"


def _scored(data: Sequence[Any], counts: Mapping[str, int]) -> str:
    """A sentence: how often the rows behind a table's figures were scored, these figures among them."""
    tables = dict.fromkeys(table for entry in data for table in tables_of(entry))
    said = ", ".join(f"{table.partition('/')[0]} {counts[table]}" for table in tables)
    return f"\nHow often these rows were scored, at least: {said}.\n" if said else ""


def filled(texts: Mapping[Path, str], tables: Sequence[Table], kept: Path) -> dict[Path, str]:
    """The documents with every table in its place.

    Raises:
        ResultError: a table without a place, a place without a table, or a place without an end.
    """
    places = sorted(name for text in texts.values() for name in re.findall(r"<!-- table (\S+) -->", text))
    names = sorted(table.name for table in tables)
    if places != names:
        raise ResultError(f"The documents have places for {places}; {TABLES} has the tables {names}.")
    made = dict(texts)
    for table in tables:
        path = next(p for p, text in made.items() if f"<!-- table {table.name} -->" in text)
        pattern = rf"(<!-- table {re.escape(table.name)} -->\n).*?(<!-- end -->)"
        body = markdown(table, kept)
        made[path], times = re.subn(pattern, lambda m, body=body: f"{m[1]}{body}{m[2]}", made[path], flags=re.DOTALL)
        if times != 1:
            raise ResultError(f"<!-- table {table.name} --> is not followed by <!-- end -->.")
    return made


def documents(folder: Path) -> dict[Path, str]:
    """The texts of the documents that hold tables: results.md and the notebook's pages."""
    return {
        p: p.read_text(encoding="utf-8") for p in [folder / "results.md", *sorted((folder / "notebook").glob("*.md"))]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs", help="holds results.md and notebook/")
    parser.add_argument(
        "--kept", type=Path, default=REPOSITORY / "docs" / "results", help="tables.yaml and the kept JSON"
    )
    arguments = parser.parse_args()
    kept = arguments.kept
    try:
        tables = read_tables(kept / TABLES)
        collect(tables, kept)
        texts = filled(documents(arguments.docs), tables, kept)
        for table in tables:
            if not table.columns:
                data = json.loads((kept / f"{table.rows[0].keep}.json").read_text(encoding="utf-8"))
                write_atomically(kept / f"{table.rows[0].keep}.svg", [curve_svg(curves_of(data)).encode()])
        for path, text in texts.items():
            write_atomically(path, [text.encode()])
        cards = list((REPOSITORY / "model_bin").glob("*/card.json"))
        write_atomically(REPOSITORY / "datasets" / "scored.csv", [scored_csv(kept, cards).encode()])
    except (ResultError, OSError) as error:
        sys.exit(f"collect_results.py: {error}")


if __name__ == "__main__":
    main()

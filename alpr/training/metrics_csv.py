"""The figures of a run as a table that grows, `metrics.csv`; a resumed run goes on in it."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from alpr.files import LIST_BYTES, open_regular_text, read_regular, write_atomically

FILE = "metrics.csv"


class MetricsCsv(Logger):
    """Writes every row as it comes: a killed run keeps its figures.

    Lightning's own CSV logger deletes the table of a resumed run, and holds up to 100 steps of it in memory.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / FILE
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: run.json holds the whole configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": str(step), **{k: f"{float(v):.7g}" for k, v in metrics.items()}}
        if self._columns is None:
            self._columns = _columns_of(self.path)
        if not set(row) <= set(self._columns):
            rows = read_rows(self.path)
            self._columns = ["step", *sorted({*self._columns, *row} - {"step"})]
            _write(self.path, self._columns, [*rows, row])
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of the table; a row that a kill cut short is left out. No file gives no rows."""
    if not path.is_file():
        return []
    text = read_regular(path, LIST_BYTES).decode()
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def forget_from(folder: Path, step: int) -> None:
    """Takes out the rows of this step and later ones: a run that resumes at it writes them again."""
    path = folder / FILE
    rows, columns = read_rows(path), _columns_of(path)
    kept = [row for row in rows if int(row["step"]) < step]
    if path.is_file():
        _write(path, columns, kept)


def _columns_of(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with open_regular_text(path, LIST_BYTES, newline="") as file:
        return next(csv.reader(file), [])


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, columns)
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [table.getvalue().encode()])

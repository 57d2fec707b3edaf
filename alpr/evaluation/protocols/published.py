"""Figures that others published on CCPD, each marked with the protocol it was measured under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parent / "published_ccpd.yaml"
TASKS = ("detection", "recognition")
OVERALL = "overall"


@dataclass(frozen=True)
class Published:
    """One row of a published table.

    Attributes:
        protocol: the name of the protocol, or a description where it is none of `configs/protocol`.
        task: "detection" or "recognition".
        fps: frames per second on the authors' hardware; None where it is not stated.
        values: per cent by column; "overall" is the authors' own mean.
        source: where the row stands.
    """

    method: str
    protocol: str
    task: str
    fps: float | None
    values: Mapping[str, float]
    source: str


def read_published(path: Path = FILE) -> tuple[Published, ...]:
    """The published rows.

    Raises:
        ValueError: a row with other keys, an unknown task, a value that is no percentage, or no source.
        OSError: a file that cannot be read.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["rows"]
    return tuple(_row(f"{path}, row {i}", row) for i, row in enumerate(rows, start=1))


def _row(place: str, row: Any) -> Published:
    keys = {"method", "protocol", "task", "fps", "values", "source"}
    if set(row) != keys:
        raise ValueError(f"{place} has the keys {', '.join(sorted(row))}; expected {', '.join(sorted(keys))}.")
    if row["task"] not in TASKS or not row["source"]:
        raise ValueError(f"{place}: expected a task (detection or recognition) and a source.")
    for column, value in row["values"].items():
        if not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ValueError(f"{place}: values.{column} is {value!r}; expected a percentage.")
    return Published(**row)


def of_protocol(rows: tuple[Published, ...], protocol: str, task: str) -> list[Published]:
    """The rows of one protocol and task."""
    return [row for row in rows if row.protocol == protocol and row.task == task]

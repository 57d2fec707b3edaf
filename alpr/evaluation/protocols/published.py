"""Figures that others published on CCPD, each marked with the protocol it was measured under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alpr.files import SMALL_BYTES, read_regular
from alpr.plates.values import Fault, expect, located, read_as, read_with_lines

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

    def __post_init__(self) -> None:
        expect(self.task in TASKS, "task", self.task, " or ".join(TASKS))
        expect(bool(self.source), "source", self.source, "where the row stands")
        for column, value in self.values.items():
            expect(0 <= value <= 100, f"values.{column}", value, "a percentage")


@dataclass(frozen=True)
class _Table:
    rows: tuple[Published, ...]


def read_published(path: Path = FILE) -> tuple[Published, ...]:
    """The published rows.

    Raises:
        ValueError: a row with other keys, an unknown task, a value that is no percentage, or no source.
        OSError: a file that cannot be read.
    """
    values, lines = read_with_lines(read_regular(path, SMALL_BYTES).decode())
    try:
        return read_as(_Table, values).rows
    except Fault as fault:
        raise ValueError(located(str(path), fault, lines)) from fault


def of_protocol(rows: tuple[Published, ...], protocol: str, task: str) -> list[Published]:
    """The rows of one protocol and task."""
    return [row for row in rows if row.protocol == protocol and row.task == task]

"""How often a split has been scored: a figure that was looked at often says less of new plates than one seen once.

Every evaluation of a split adds a line to `scored.csv` beside its output's folder. `datasets/scored.csv` counts those
that this project has kept of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from alpr.files import LIST_BYTES, open_regular_text, packaged

SCORED_FILE = "scored.csv"
KNOWN = packaged("datasets") / SCORED_FILE
COLUMNS = ("when", "table", "sha256", "split", "model")


def note_scoring(folder: Path, manifests: Mapping[str, str], split: str, model: Mapping[str, str]) -> int:
    """Adds an evaluation to the record of a folder; gives how often the same tables and split stand there now.

    Args:
        manifests: SHA-256 by name.
        model: what was scored, by its parts.

    Raises:
        OSError: a folder that cannot be written to.
    """
    path = folder / SCORED_FILE
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        told = " ".join(f"{key}={value}" for key, value in model.items())
        writer.writerows((when, name, digest, split, told) for name, digest in manifests.items())
    with open_regular_text(path, LIST_BYTES, newline="") as file:
        rows = [(row.get("sha256"), row.get("split")) for row in csv.DictReader(file)]
    return max((rows.count((digest, split)) for digest in manifests.values()), default=0)


def times_scored(manifests: Mapping[str, str], record: Path = KNOWN) -> int | None:
    """How often at least the project itself has scored tables, of the one scored most; None where it kept nothing.

    Args:
        manifests: SHA-256 by name.
    """
    if not record.is_file():
        return None
    with open_regular_text(record, LIST_BYTES, newline="") as file:
        times = [int(row["at_least"]) for row in csv.DictReader(file) if row["sha256"] in manifests.values()]
    return max(times, default=None)

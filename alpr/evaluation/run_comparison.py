"""Runs side by side: figures over seeds, a paired test per plate, learning curves, cost, and how settings differ."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from alpr.files import LIST_BYTES, SMALL_BYTES, read_regular
from alpr.plates.values import Fault, read_as

RUN_FILE, METRICS_FILE, PLATES_FILE = "run.json", "metrics.csv", "held_back.csv"
OWN = ("name", "output_dir")
"""Settings by which every run differs."""
Plate = tuple[str, str]
"""The image and the place in it."""


@dataclass(frozen=True)
class _Record:
    """What a comparison takes of run.json; earlier runs lack cost and monitor."""

    name: str
    config: Mapping[str, Any]
    status: str
    seconds: float
    result: Mapping[str, float | None]
    cost: Mapping[str, float] = field(default_factory=dict)
    monitor: str = ""


@dataclass(frozen=True)
class Run:
    """One training, as its folder says.

    Attributes:
        label: its folder's name.
        settings: its whole configuration, flat: {"optim.lr": 0.001}.
        figures: the best value of the figure that it chose by, as "best", and those of its last validation.
        curve: the steps and values of the figure that it chose by.
        plates: by figure, whether each held-back plate was right at the best validation.
        cost: samples, minutes, parameters and MACs, as far as they are known.
    """

    label: str
    settings: Mapping[str, Any]
    figures: Mapping[str, float]
    monitor: str
    curve: tuple[tuple[float, float], ...]
    plates: Mapping[str, Mapping[Plate, bool]]
    cost: Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """Runs that are taken as one, such as those of several seeds."""

    label: str
    runs: tuple[Run, ...]

    def values(self, figure: str) -> list[float]:
        """The values of a figure, of the runs that have it."""
        return [run.figures[figure] for run in self.runs if figure in run.figures]

    def cost(self, what: str) -> float | None:
        """The mean of a cost; None where no run says it."""
        values = [run.cost[what] for run in self.runs if what in run.cost]
        return fmean(values) if values else None


class PairedTest(NamedTuple):
    """Two groups over the held-back plates that all their runs have.

    Attributes:
        difference: of the share of plates that is right, the second less the first.
        better: plates that the second has right more often than the first; `worse` the same the other way.
        p_value: how likely a mean difference as large is where neither is better, two-sided.
    """

    first: str
    second: str
    figure: str
    plates: int
    difference: float
    better: int
    worse: int
    p_value: float


def read_runs(places: Sequence[Path]) -> list[Run]:
    """The runs of folders; a folder without run.json, such as a sweep's, stands for the runs right below it.

    Raises:
        ValueError: a folder without a run, or a damaged record.
        OSError: a file that cannot be read.
    """
    found: dict[Path, None] = {}
    for place in places:
        inner = sorted((path.parent for path in place.glob(f"*/{RUN_FILE}")), key=_natural)
        here = [place] if (place / RUN_FILE).is_file() else inner
        if not here:
            raise ValueError(f"{place} holds no run; expected a folder with {RUN_FILE}, or one of such folders.")
        found |= dict.fromkeys(here)
    names = [path.name for path in found]
    return [_read_run(path, path.name if names.count(path.name) == 1 else str(path)) for path in found]


def _natural(path: Path) -> tuple[int, str]:
    return (int(path.name), "") if path.name.isdecimal() else (1 << 30, path.name)


def _read_run(folder: Path, label: str) -> Run:
    try:
        values = json.loads(read_regular(folder / RUN_FILE, SMALL_BYTES))
        record = read_as(_Record, values, loose=(_Record,))
    except (Fault, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder / RUN_FILE} is no record of a run: {error}") from error
    rows = _rows(folder / METRICS_FILE)
    figures = {k: float(v) for k, v in record.result.items() if v is not None and (k == "best" or k.startswith("val/"))}
    monitor = record.monitor or _monitor(rows, figures.get("best"))
    curve = tuple((float(row["step"]), float(row[monitor])) for row in rows if row.get(monitor))
    plates: dict[str, dict[Plate, bool]] = {}
    for row in _rows(folder / PLATES_FILE):
        for name in row.keys() - {"image", "plate", "label", "read"}:
            plates.setdefault(name, {})[row["image"], row["plate"]] = row[name] == "1"
    cost = {"minutes": record.seconds / 60, **record.cost}
    return Run(label, _flat(record.config), figures, monitor, curve, plates, cost)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    text = read_regular(path, LIST_BYTES).decode(errors="replace")
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def _monitor(rows: Sequence[Mapping[str, str]], best: float | None) -> str:
    """Of an earlier run, whose record does not name it: the figure of which the highest value is the best one."""
    names = [name for name in (rows[0] if rows else ()) if name.startswith("val/")]
    for name in names:
        values = [float(row[name]) for row in rows if row[name]]
        if values and best is not None and math.isclose(max(values), best, abs_tol=1e-5):
            return name
    return ""


def _flat(values: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{at}{key}.") if isinstance(value, dict) and value else {f"{at}{key}": value}
    return flat


def grouped(runs: Sequence[Run], key: str | None) -> list[Group]:
    """Runs with the same value of a setting as one group each; without one every run is a group.

    Args:
        key: a setting, or several with commas between them.

    Raises:
        ValueError: a setting that no run has.
    """
    if key is None:
        return [Group(run.label, (run,)) for run in runs]
    keys = key.split(",")
    for each in keys:
        if not any(each in run.settings for run in runs):
            near = sorted({name for run in runs for name in run.settings if each.split(".")[-1] in name})[:5]
            more = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"No run has a setting {each!r}.{more}")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        label = ", ".join(f"{each}={shown(run.settings.get(each))}" for each in keys)
        groups.setdefault(label, []).append(run)
    return [Group(label, tuple(members)) for label, members in groups.items()]


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the standard deviation of a sample of two or more."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def paired_tests(groups: Sequence[Group]) -> list[PairedTest]:
    """Every group against the first one, over the plates that all runs of both have."""
    return [
        test
        for second in groups[1:]
        for figure in sorted(groups[0].runs[0].plates)
        if (test := _paired(groups[0], second, figure)) is not None
    ]


def _paired(first: Group, second: Group, figure: str) -> PairedTest | None:
    """A test by flipping the signs of the plates' differences, in its normal approximation.

    A plate's difference is that of the shares of runs that have it right; the plates are independent, the runs need not
    be. With one run in each group it is McNemar's test without correction. Source: Efron and Tibshirani, "An
    introduction to the bootstrap", chapter 15, 1993.
    """
    every = [run.plates.get(figure, {}) for run in (*first.runs, *second.runs)]
    plates = set(every[0]).intersection(*every[1:])
    if not plates:
        return None
    n = len(first.runs)
    differences = [fmean(run[p] for run in every[n:]) - fmean(run[p] for run in every[:n]) for p in plates]
    squares = sum(d * d for d in differences)
    p_value = math.erfc(abs(sum(differences)) / math.sqrt(2 * squares)) if squares else 1.0
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return PairedTest(first.label, second.label, figure, len(plates), fmean(differences), better, worse, p_value)


def differing(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """The settings that are not the same in all runs, with the values of each group."""
    keys = differing_keys([run for group in groups for run in group.runs])
    return [(key, [_values(group, key) for group in groups]) for key in keys]


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all runs.

    Left out are names, folders and loggers, and a setting that is the copy of another: model.optim.lr of optim.lr.
    """
    keys = {key for run in runs for key in run.settings if key not in OWN and not key.startswith("logger.")}
    differ = sorted(key for key in keys if len({shown(run.settings.get(key)) for run in runs}) > 1)
    return [key for key in differ if not any(key.endswith(f".{other}") for other in differ)]


def _values(group: Group, key: str) -> str:
    return ", ".join(dict.fromkeys(shown(run.settings.get(key)) for run in group.runs))


def shown(value: Any) -> str:
    """A setting as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

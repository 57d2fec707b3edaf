"""Two evaluations of the same plates: a paired test, the plates that flipped, and how their settings differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from alpr.evaluation.figures import MEASURES
from alpr.evaluation.intervals import mcnemar
from alpr.evaluation.outcomes import records_in
from alpr.files import LIST_BYTES, read_regular
from alpr.plates.values import Fault, read_as
from alpr.reports.html import printable

SHOWN = ("found_50", "found_70", "read_on_crops", "read_on_true_corners", "end_to_end_50", "end_to_end_70")
_PROTOCOL = {"detected": "found", "right": "read", "given_right": "read inside the labelled corners"}

Place = tuple[str, str, int]
"""A plate: the column (or ""), the image and the place in it."""


class Shown(NamedTuple):
    """A plate's label and what one evaluation read."""

    text: str
    read: str


@dataclass(frozen=True)
class Evaluated:
    """One evaluation, as its JSON file says.

    Attributes:
        outcomes: by figure, whether each plate is right; plates that do not count are left out.
        shown: the label and the reading of each plate.
        settings: everything else the file says of how it was made, flat: {"made_with.device": "..."}.
    """

    name: str
    outcomes: Mapping[str, Mapping[Place, bool]]
    shown: Mapping[Place, Shown]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Paired:
    """A figure of two evaluations over the plates that both have.

    Attributes:
        only_first: plates that only the first has right; `only_second` those that only the second has.
        p_value: of McNemar's test, two-sided: how likely a difference as large is where neither is better.
        exact: whether it is the binomial test.
    """

    figure: str
    plates: int
    first: float
    second: float
    only_first: tuple[Place, ...]
    only_second: tuple[Place, ...]
    p_value: float
    exact: bool


@dataclass(frozen=True)
class Comparison:
    """Two evaluations side by side.

    Attributes:
        alone: plates that only one of them has; they are not compared.
        settings: (key, first, second) where they differ; None where one of them does not say.
    """

    first: Evaluated
    second: Evaluated
    figures: tuple[Paired, ...]
    alone: int
    settings: tuple[tuple[str, Any, Any], ...]


def read_evaluated(path: Path) -> Evaluated:
    """An evaluation from its JSON: `report.json`, a protocol's, or a folder that holds report.json.

    Raises:
        ValueError: a file that is no such report.
        OSError: a file that cannot be read.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        values = json.loads(read_regular(file, LIST_BYTES))
        plates = read_as(_Report, values, loose=(_Report,)).plates
        made = _from_protocol(plates) if "protocol" in values else _from_report(plates)
    except (Fault, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no report of an evaluation: {error}") from error
    told = {key: values[key] for key in ("model", "manifests", "made_with", "protocol", "replaced") if key in values}
    settings = _flat(told)
    old = settings.pop("made_with.settings.model", None)  # what `bundle` was called
    if old is not None:
        settings["made_with.settings.bundle"] = old
    return Evaluated(str(path), *made, settings)


@dataclass(frozen=True)
class _Report:
    """What every report's file has."""

    plates: tuple[Any, ...]


@dataclass(frozen=True)
class _Scored:
    """A plate of a protocol's file, as far as it is compared."""

    column: str
    image: str
    index: int
    text: str
    read: str | None
    detected: bool | None
    right: bool | None
    given_right: bool | None


_Made = tuple[dict[str, dict[Place, bool]], dict[Place, Shown]]


def _from_protocol(plates: Sequence[Any]) -> _Made:
    outcomes: dict[str, dict[Place, bool]] = {label: {} for label in _PROTOCOL.values()}
    shown = {}
    for i, entry in enumerate(plates):
        plate = read_as(_Scored, entry, ("plates", i), loose=(_Scored,))
        place = (plate.column, plate.image, plate.index)
        shown[place] = Shown(plate.text, plate.read or "")
        for key, label in _PROTOCOL.items():
            right = getattr(plate, key)
            if right is not None:
                outcomes[label][place] = right
    return outcomes, shown


def _from_report(plates: Sequence[Any]) -> _Made:
    outcomes: dict[str, dict[Place, bool]] = {name: {} for name in SHOWN}
    shown = {}
    for record in records_in(plates):
        place = ("", record.image, record.index)
        read = record.on_predicted_corners or record.on_crop or record.on_true_corners or record.on_box
        shown[place] = Shown(record.text or "", "" if read is None else read.text)
        for name in SHOWN:
            value = MEASURES[name](record)
            if value is not None:
                outcomes[name][place] = value
    return outcomes, shown


def _flat(values: Any, at: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {k: v for name, inner in values.items() for k, v in _flat(inner, f"{at}.{name}" if at else name).items()}
    return {at: values}


def compared(first: Evaluated, second: Evaluated) -> Comparison:
    """Two evaluations over the plates that both have.

    Raises:
        ValueError: no plate is in both, or a plate has two labels.
    """
    both = first.shown.keys() & second.shown.keys()
    if not both:
        raise ValueError(f"{first.name} and {second.name} have no plate in common; expected the same images.")
    for place in both:
        if first.shown[place].text != second.shown[place].text:
            labels = f"{first.shown[place].text!r} and {second.shown[place].text!r}"
            raise ValueError(f"Plate {place[2]} of {place[1]} is labelled {labels}; expected the same labels.")
    figures = []
    for name in (name for name in first.outcomes if name in second.outcomes):
        mine, theirs = first.outcomes[name], second.outcomes[name]
        places = sorted(mine.keys() & theirs.keys())
        if places:
            gained = tuple(p for p in places if theirs[p] and not mine[p])
            lost = tuple(p for p in places if mine[p] and not theirs[p])
            n = len(places)
            shares = sum(mine[p] for p in places) / n, sum(theirs[p] for p in places) / n
            figures.append(Paired(name, n, *shares, lost, gained, *mcnemar(len(lost), len(gained))))
    keys = sorted(first.settings.keys() | second.settings.keys())
    pairs = [(key, first.settings.get(key), second.settings.get(key)) for key in keys]
    alone = len(first.shown.keys() ^ second.shown.keys())
    return Comparison(first, second, tuple(figures), alone, tuple(pair for pair in pairs if pair[1] != pair[2]))


def as_text(comparison: Comparison, flips: int = 20) -> str:
    """A comparison as text.

    Args:
        flips: the most plates that are listed of each kind.
    """
    first, second = comparison.first, comparison.second
    lines = [f"A {first.name}", f"B {second.name}", ""]
    if comparison.alone:
        lines += [f"{comparison.alone:,} plates are in one of them only and are not compared.", ""]
    for f in comparison.figures:
        test = "exact binomial" if f.exact else "chi-square, corrected"
        lines += [
            f"{f.figure}: A {100 * f.first:.2f} %, B {100 * f.second:.2f} % of {f.plates:,} plates; only A right "
            f"{len(f.only_first)}, only B right {len(f.only_second)}; McNemar p = {f.p_value:.3g} ({test})"
        ]
        for who, places in (("only A right", f.only_first), ("only B right", f.only_second)):
            for place in places[:flips]:
                read = ", ".join(f"{n} {of.shown[place].read or '-'}" for n, of in (("A", first), ("B", second)))
                lines.append(f"  {who}: {first.shown[place].text}, {read}  {' '.join(filter(None, place[:2]))}")
            if len(places) > flips:
                lines.append(f"  {who}: {len(places) - flips} more")
    lines += ["", "Settings that differ:"]
    lines += [f"  {key}: A {mine}, B {theirs}" for key, mine, theirs in comparison.settings] or ["  none"]
    lines += ["", "The test takes plates as independent; several photographs of one plate make it too sure."]
    return "\n".join(printable(line.replace("\n", " ")) for line in lines) + "\n"

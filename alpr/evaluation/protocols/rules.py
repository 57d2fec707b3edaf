"""Protocols: which images count, what counts as found and as read, and how the columns make one figure.

A figure without its protocol says little: CCPD's two releases have other images under the same names, and its papers,
its README and its scripts apply other rules. A protocol is one YAML file in `configs/protocol/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from alpr.files import packaged

FOLDER = packaged("configs") / "protocol"
SPLITS = ("train", "val", "test")


class ProtocolError(ValueError):
    """A protocol that cannot be used; the sentence names the file and the key."""


@dataclass(frozen=True)
class Column:
    """One column of a table: the images of a subset.

    Attributes:
        name: the heading.
        subset: the value in the manifest's column `subset`, such as ccpd_db; "" for all rows.
        splits: only rows of these splits; none for all.
        images: how many images it has when whole; None where that is not known. With fewer or more, the figures are
            not set beside published ones.
    """

    name: str
    subset: str = ""
    splits: tuple[str, ...] = ()
    images: int | None = None

    def holds(self, subset: str, split: str) -> bool:
        """Whether a row of this subset and split belongs here."""
        return (not self.subset or subset == self.subset) and (not self.splits or split in self.splits)


@dataclass(frozen=True)
class DetectionRule:
    """A plate is found when the IoU of two upright boxes is above `iou`.

    Attributes:
        label: "box", the labelled box, or "hull", that of the labelled corners.
        detection: "box", the detector's own box, or "hull", that of its corners.
    """

    label: str
    detection: str
    iou: float


@dataclass(frozen=True)
class RecognitionRule:
    """A plate is read when the reading of its crop equals the label.

    Attributes:
        crop: what is cut out: "detection", "corners" (the labelled ones) or "box" (the upright labelled one).
        iou: the detection must also overlap the plate by more than this; None where the protocol asks for none.
        characters: "all", or "without_province": all but the first.
    """

    crop: str
    iou: float | None = None
    characters: str = "all"


CHOICES: Mapping[str, tuple[str, ...]] = {
    "repeated": ("counted", "once"),
    "plates": ("all", "not_in_training"),
    "candidates": ("best", "all"),
    "ties": ("first", "worst"),
    "missing": ("wrong", "left_out"),
    "mean": ("images", "columns", "provinces"),
    "label": ("box", "hull"),
    "detection": ("box", "hull"),
    "crop": ("detection", "corners", "box"),
    "characters": ("all", "without_province"),
}
"""The values of the keys that have a few."""
RULES = ("columns", "repeated", "plates", "candidates", "ties", "missing", "detection", "recognition", "mean")
"""The keys whose origin `sources` names."""


@dataclass(frozen=True)
class Protocol:
    """The rules of one table.

    Attributes:
        name: the file's name.
        title: a line above the tables.
        columns: the subsets, in order.
        repeated: an image that several columns hold is "counted" in each of them also overall, or counts "once" there.
        plates: "all", or "not_in_training": plates whose text a training image shows are left out.
        candidates: "best": of an image with n labelled plates its n best-scored detections count, in CCPD the best one;
            "all": any detection may find a plate.
        ties: of equally good detections the "first" in the file counts, or the "worst" by IoU.
        missing: a plate without any detection is read "wrong", or "left_out" of the readings.
        detection: None where the protocol measures none.
        mean: overall is the mean of "images", of "columns", or of "provinces" (each counted once).
        sources: where each rule comes from, by key; a rule of our own says so.
        remark: what a reader of the table has to know.
        tables: the labels, below the folder of the data, where datasets/ccpd.md has them unpacked: tables or lists.
        train: likewise those of the training images, for what the parts share.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    detection: DetectionRule | None
    recognition: RecognitionRule
    sources: Mapping[str, str]
    repeated: str = "counted"
    plates: str = "all"
    candidates: str = "best"
    ties: str = "first"
    missing: str = "wrong"
    mean: str = "images"
    remark: str = ""
    tables: tuple[str, ...] = ()
    train: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in ("repeated", "plates", "candidates", "ties", "missing", "mean"):
            _among(key, getattr(self, key))
        if not self.columns:
            raise ProtocolError("columns is empty; expected at least one {name, subset}.")
        names = [column.name for column in self.columns]
        for i, column in enumerate(self.columns):
            _checked_column(f"columns[{i}]", column, names)
        _checked_overlap(self.columns)
        _checked_rules(self.detection, self.recognition)
        wanted, told = set(RULES), set(self.sources)
        if wanted != told:
            wrong = sorted(wanted ^ told)
            raise ProtocolError(f"sources has {', '.join(sorted(told))}; {wrong[0]} is missing or is no rule.")
        for key in ("tables", "train"):
            files = getattr(self, key)
            whole = isinstance(files, tuple) and all(isinstance(file, str) and file for file in files)
            _expect(whole, key, files, "a list of files")
        for key, source in self.sources.items():
            _expect(
                isinstance(source, str) and bool(source.strip()), f"sources.{key}", source, "where the rule is from"
            )

    @property
    def found_iou(self) -> float:
        """Above this IoU a plate counts as found where a miss is explained: that of the recognition, else 0.5."""
        return 0.5 if self.recognition.iou is None else self.recognition.iou

    def column_of(self, subset: str, split: str) -> str | None:
        """The column that a row of this subset and split belongs to; None where it does not count."""
        return next((column.name for column in self.columns if column.holds(subset, split)), None)

    @classmethod
    def read(cls, name: str | Path) -> Protocol:
        """The protocol of a file, or of a name in `configs/protocol/`.

        Raises:
            ProtocolError: no such protocol, an unknown or missing key, or a wrong value; the sentence names the key.
        """
        path = Path(name) if str(name).endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
            raise ProtocolError(f"There is no protocol {str(name)!r}; expected a file or one of {known}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ProtocolError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
        try:
            return _from_values(values, path.stem)
        except ProtocolError as error:
            raise ProtocolError(f"{path}: {error}") from error


def _from_values(values: Any, stem: str) -> Protocol:
    given = dict(_mapping("the file", values))
    if given.get("name", stem) != stem:
        raise ProtocolError(f"name is {given['name']!r}; expected {stem!r}, the name of the file.")
    given["name"] = stem
    columns = given.get("columns")
    if isinstance(columns, list):
        given["columns"] = tuple(_made(Column, f"columns[{i}]", column) for i, column in enumerate(columns))
    elif "columns" in given:
        raise ProtocolError(f"columns is {columns!r}; expected a list of {{name, subset}}.")
    if given.get("detection") is not None:
        given["detection"] = _made(DetectionRule, "detection", given["detection"])
    if "recognition" in given:
        given["recognition"] = _made(RecognitionRule, "recognition", given["recognition"])
    if "sources" in given:
        given["sources"] = _mapping("sources", given["sources"])
    made: Protocol = _made(Protocol, "", given)
    return made


def _mapping(key: str, values: Any) -> Mapping[str, Any]:
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ProtocolError(f"{key} is {values!r}; expected keys and values.")
    return values


def _made(kind: type[Any], key: str, values: Any) -> Any:
    """A dataclass from the values of a YAML file, every one named and of a known name."""
    given = _mapping(key, values)
    at = f"{key}." if key else ""
    known = {f.name: f for f in fields(kind)}
    for name in given:
        if name not in known:
            raise ProtocolError(f"{at}{name} is no key; expected some of {', '.join(known)}.")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    for name in needed:
        if name not in given:
            raise ProtocolError(f"{at}{name} is missing.")
    lists = ("splits", "tables", "train")
    return kind(**{name: tuple(v) if name in lists and isinstance(v, list) else v for name, v in given.items()})


def _expect(holds: bool, key: str, found: Any, expected: str) -> None:
    if not holds:
        raise ProtocolError(f"{key} is {found!r}; expected {expected}.")


def _among(key: str, value: Any, at: str = "") -> None:
    choices = CHOICES[key]
    _expect(value in choices, f"{at}{key}", value, f"{', '.join(choices[:-1])} or {choices[-1]}")


def _iou(key: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(number and 0 <= value < 1, key, value, "a number from 0 to below 1")


def _checked_column(at: str, column: Column, names: Sequence[str]) -> None:
    _expect(isinstance(column.name, str) and bool(column.name), f"{at}.name", column.name, "a text")
    _expect(names.count(column.name) == 1, f"{at}.name", column.name, "another name than that of the other columns")
    _expect(isinstance(column.subset, str), f"{at}.subset", column.subset, "a text, such as ccpd_db")
    listed = isinstance(column.splits, tuple) and set(column.splits) <= set(SPLITS)
    _expect(listed, f"{at}.splits", column.splits, f"a list of {', '.join(SPLITS)}")
    whole = column.images is None or (type(column.images) is int and column.images > 0)
    _expect(whole, f"{at}.images", column.images, "a whole number above 0, or null")


def _checked_overlap(columns: Sequence[Column]) -> None:
    for i, one in enumerate(columns):
        for other in columns[:i]:
            same = not one.subset or not other.subset or one.subset == other.subset
            split = not one.splits or not other.splits or set(one.splits) & set(other.splits)
            if same and split:
                raise ProtocolError(f"columns {other.name} and {one.name} hold the same rows; expected each in one.")


def _checked_rules(detection: DetectionRule | None, recognition: RecognitionRule) -> None:
    if detection is not None:
        _among("label", detection.label, "detection.")
        _among("detection", detection.detection, "detection.")
        _iou("detection.iou", detection.iou)
    _among("crop", recognition.crop, "recognition.")
    _among("characters", recognition.characters, "recognition.")
    if recognition.iou is not None:
        _iou("recognition.iou", recognition.iou)
        of_detection = recognition.crop == "detection"
        _expect(
            of_detection, "recognition.iou", recognition.iou, f"null, as the crop is the label's {recognition.crop}"
        )

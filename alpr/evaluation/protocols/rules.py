"""Protocols: which images count, what counts as found and as read, and how the columns make one figure.

A figure without its protocol says little: CCPD's two releases have other images under the same names, and its papers,
its README and its scripts apply other rules. A protocol is one YAML file in `configs/protocol/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alpr.files import SMALL_BYTES, packaged, read_regular
from alpr.plates.values import Fault, Place, dotted, located, read_as, read_with_lines, short

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
        crop: what is cut out: "detection", "corners" (the labelled ones), "box" (the upright labelled one), or
            "image": nothing, the image is a ready-made crop.
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
    "crop": ("detection", "corners", "box", "image"),
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
            _among(getattr(self, key), key)
        _checked_columns(self.columns)
        _checked_rules(self.detection, self.recognition)
        wrong = sorted(set(RULES) ^ set(self.sources))
        if wrong:
            named = ", ".join(sorted(self.sources))
            raise Fault(("sources",), f"sources has {named}; {wrong[0]} is missing or is no rule.")
        for key in ("tables", "train"):
            _expect(all(getattr(self, key)), (key,), getattr(self, key), "a list of files")
        for key, source in self.sources.items():
            _expect(bool(source.strip()), ("sources", key), source, "where the rule is from")

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
            values, lines = read_with_lines(read_regular(path, SMALL_BYTES).decode())
        except OSError as error:
            known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
            raise ProtocolError(f"There is no protocol {str(name)!r}; expected a file or one of {known}.") from error
        except (yaml.YAMLError, ValueError) as error:
            raise ProtocolError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
        named = {"name": path.stem, **values} if isinstance(values, dict) else values
        try:
            protocol = read_as(cls, named)
        except Fault as fault:
            raise ProtocolError(located(str(path), fault, lines)) from fault
        if protocol.name != path.stem:
            raise ProtocolError(f"{path}: name is {protocol.name!r}; expected {path.stem!r}, the name of the file.")
        return protocol


def _expect(holds: bool, place: Place, found: Any, expected: str) -> None:
    if not holds:
        raise Fault(place, f"{dotted(place)} is {short(found)}; expected {expected}.")


def _among(value: str, *place: str | int) -> None:
    choices = CHOICES[str(place[-1])]
    _expect(value in choices, place, value, f"{', '.join(choices[:-1])} or {choices[-1]}")


def _iou(value: float, *place: str | int) -> None:
    _expect(0 <= value < 1, place, value, "a number from 0 to below 1")


def _checked_columns(columns: Sequence[Column]) -> None:
    if not columns:
        raise Fault(("columns",), "columns is empty; expected at least one {name, subset}.")
    names = [column.name for column in columns]
    for i, column in enumerate(columns):
        at = ("columns", i)
        _expect(bool(column.name), (*at, "name"), column.name, "a text")
        once = names.count(column.name) == 1
        _expect(once, (*at, "name"), column.name, "another name than that of the other columns")
        known = set(column.splits) <= set(SPLITS)
        _expect(known, (*at, "splits"), column.splits, f"a list of {', '.join(SPLITS)}")
        whole = column.images is None or column.images > 0
        _expect(whole, (*at, "images"), column.images, "a whole number above 0, or null")
    for i, one in enumerate(columns):
        for other in columns[:i]:
            same = not one.subset or not other.subset or one.subset == other.subset
            split = not one.splits or not other.splits or set(one.splits) & set(other.splits)
            if same and split:
                reason = f"columns {other.name} and {one.name} hold the same rows; expected each in one."
                raise Fault(("columns", i), reason)


def _checked_rules(detection: DetectionRule | None, recognition: RecognitionRule) -> None:
    if detection is not None:
        _among(detection.label, "detection", "label")
        _among(detection.detection, "detection", "detection")
        _iou(detection.iou, "detection", "iou")
    _among(recognition.crop, "recognition", "crop")
    _among(recognition.characters, "recognition", "characters")
    if recognition.iou is not None:
        _iou(recognition.iou, "recognition", "iou")
        expected = f"null, as the crop is the label's {recognition.crop}"
        _expect(recognition.crop == "detection", ("recognition", "iou"), recognition.iou, expected)

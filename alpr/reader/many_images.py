"""A run over many images: which ones, how far it is, and where its results go."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
from rich.console import Console

from alpr.files import write_atomically
from alpr.images.prepare import IMAGE_SUFFIXES
from alpr.plates.records import ImageArray
from alpr.reports.progress import progress_bar

_CORNERS = tuple(f"{corner}_{axis}" for corner in ("tl", "tr", "br", "bl") for axis in "xy")
_BOX = ("x1", "y1", "x2", "y2")
_READING = ("text", "text_score", "characters")
PLATE_COLUMNS = ("image", "width", "height", "plate", *_READING, "score", *_BOX, *_CORNERS, "error")
"""The CSV's columns: a row is a plate, numbered from 1; an image without plates has one row without a number."""
CROP_COLUMNS = ("image", *_READING, "error")


class InputError(ValueError):
    """Inputs that name no image; the sentence names the input."""


@dataclass(frozen=True, slots=True)
class Item:
    """An image to read, and its name below a folder of annotated copies."""

    path: Path
    name: Path


def collect_images(inputs: Sequence[str]) -> list[Item]:
    """The images that files, folders and globs name, each once, in the order given and sorted within a folder.

    A file that is named is taken whatever its suffix, and even where it is missing: its line says so.

    Raises:
        InputError: a folder without images, or a glob without matches.
    """
    found: dict[Path, Path] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found |= {p: n for p, n in _in_folder(path).items() if p not in found}
        elif any(c in text for c in "*?[") and not path.exists():
            found |= {p: n for p, n in _in_glob(text).items() if p not in found}
        else:
            found.setdefault(path, Path(path.name))
    return [Item(path, name) for path, name in zip(found, _distinct(found.values()), strict=True)]


def _in_folder(folder: Path) -> dict[Path, Path]:
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    images = {
        folder / name: name
        for name in names
        if not any(part.startswith(".") for part in name.parts) and (folder / name).is_file()
    }
    if not images:
        raise InputError(
            f"The folder {folder} holds no image; expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return images


def _in_glob(text: str) -> dict[Path, Path]:
    pattern = Path(text)
    anchor = Path(pattern.anchor)
    matches = sorted(anchor.glob(str(pattern.relative_to(pattern.anchor))))
    images: dict[Path, Path] = {}
    for match in matches:
        images |= _in_folder(match) if match.is_dir() else {match: Path(match.name)}
    if not images:
        raise InputError(f"The glob {text!r} matches no file.")
    return images


def _distinct(names: Iterable[Path]) -> list[Path]:
    """Names of which none is given twice: the second car.jpg becomes car_2.jpg."""
    taken: set[Path] = set()
    result: list[Path] = []
    for name in names:
        free, number = name, 2
        while free in taken:
            free, number = name.with_name(f"{name.stem}_{number}{name.suffix}"), number + 1
        taken.add(free)
        result.append(free)
    return result


class Results:
    """Where the records go: lines on stdout, or a file that appears whole when the run has ended.

    Args:
        path: the file; None for stdout.
        form: "jsonl", "csv", or "texts" for the plates' texts alone, one to a line; those that are flagged as not
            certain are left out.
        columns: the CSV's columns.
    """

    def __init__(self, path: Path | None, form: str, columns: Sequence[str]) -> None:
        self.path, self.form, self.columns = path, form, columns
        self.written = 0
        self._stream: TextIO = sys.stdout
        # A device or a pipe (/dev/null, /dev/stdout) is written to as it is: a rename would take its place.
        special = path is not None and path.exists() and not path.is_file() and not path.is_dir()
        self._part = None if path is None else path if special else path.with_name(f"{path.name}.part")

    def open(self) -> None:
        """Makes the file's folder and opens the part file beside it.

        Raises:
            OSError: a place that cannot be written.
        """
        if self._part is not None:
            if self.path is not None and self.path.is_dir():
                raise IsADirectoryError(f"The output {self.path} is a folder; expected a file.")
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        if self.form == "csv":
            self._rows([dict(zip(self.columns, self.columns, strict=True))])

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes one image's record."""
        if self.form == "csv":
            self._rows(_csv_rows(record))
        elif self.form == "texts":
            self._stream.writelines(f"{text}\n" for text in _texts(record))
        else:
            self._stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        if self._part is None:
            self._stream.flush()  # whoever reads the pipe sees each image when it is done
        self.written += 1

    def close(self) -> None:
        """Gives the file its name."""
        if self._part is not None and self.path is not None:
            self._stream.close()
            if self._part != self.path:
                self._part.replace(self.path)

    def keep(self) -> str:
        """Closes the part file and gives the sentence that says where it is."""
        if self._part is None or self._part == self.path:
            return ""
        with suppress(OSError):  # a full disk: the last block is lost, the rest stays
            self._stream.close()
        return f" What was read is in {self._part}."

    def _rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        csv.DictWriter(self._stream, self.columns, lineterminator="\n").writerows(rows)


def _texts(record: Mapping[str, Any]) -> Iterator[str]:
    for plate in record.get("plates", [record]):  # a crop has no plates
        if plate.get("text") and plate.get("certain", True):
            yield plate["text"]


def _csv_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    shared = {key: value for key, value in record.items() if key not in {"plates", "ms"}}
    if "plates" not in record:  # a crop, or an error
        return [shared | _joined(shared)]
    rows = []
    for number, plate in enumerate(record["plates"], start=1):
        row = shared | {"plate": number} | {key: plate[key] for key in plate if key not in {"box", "corners"}}
        row |= _joined(plate) | dict(zip(_BOX, plate["box"], strict=True))
        row |= dict(zip(_CORNERS, [v for point in plate["corners"] for v in point], strict=True))
        rows.append(row)
    return rows or [shared]


def _joined(values: Mapping[str, Any]) -> dict[str, str]:
    """What is a list in JSON, as one cell."""
    lists = {
        "characters": values.get("characters"),
        "alternatives": [v for pair in values.get("alternatives", ()) for v in pair.values()],
    }
    return {key: " ".join(map(str, lists[key] or ())) for key in lists if key in values}


def refuse_overwriting(items: Sequence[Item], folder: Path) -> None:
    """Looks whether copies in a folder would take the place of images that are to be read.

    Raises:
        InputError: such a copy; the sentence names it.
    """
    sources = {item.path.resolve() for item in items}
    for item in items:
        copy = _writable(folder / item.name)
        if copy.resolve() in sources:
            raise InputError(f"{copy} is one of the images to read; choose another folder for the copies.")


def _writable(path: Path) -> Path:
    """The path of a copy: its own, or one that ends in .png where OpenCV writes no such format."""
    return path if path.suffix.lower() in IMAGE_SUFFIXES else path.with_suffix(".png")


def save_image(path: Path, image: ImageArray, source: Path) -> None:
    """Writes an image in the format of its suffix, whole or not at all; PNG where OpenCV writes no such format.

    Raises:
        OSError: a place that cannot be written, or the source image itself.
    """
    path = _writable(path)
    if path.exists() and path.samefile(source):
        raise FileExistsError(f"{path} is the image itself; choose another folder for the copies")
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, image)
    write_atomically(path, [data.tobytes()], sync=False)


@contextmanager
def progress(total: int, unit: str = "images", shown: bool = True) -> Iterator[Callable[[], object]]:
    """A progress bar on stderr where that is a terminal; gives the function that moves it on by one."""
    console = Console(stderr=True)
    with progress_bar(unit, console, shown=shown and console.is_terminal) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda: bar.advance(task)

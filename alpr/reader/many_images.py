"""A run over many images: which ones, what is passed over, how far it is, and where copies go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from rich.console import Console

from alpr.files import write_atomically
from alpr.images.prepare import HEIF_SUFFIXES, suffixes_read
from alpr.plates.records import ImageArray
from alpr.reports.progress import progress_bar


class InputError(ValueError):
    """Inputs that name no image; the sentence names the input."""


@dataclass(frozen=True, slots=True)
class Item:
    """An image to read, and its name below a folder of annotated copies."""

    path: Path
    name: Path


VIDEOS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".3gp", ".ts"})


@dataclass
class PassedOver:
    """What stands in folders and is not looked at: files by their suffix, and folders that cannot be listed."""

    suffixes: Counter[str] = field(default_factory=Counter)
    folders: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What to tell the user, a sentence each."""
        told = [f"The folder {sentence}; nothing in it was read." for sentence in self.folders]
        count = self.suffixes.total()
        if count:
            types = ", ".join(f"{n} {suffix or 'without a suffix'}" for suffix, n in self.suffixes.most_common())
            files = "file of another type was" if count == 1 else "files of other types were"
            told.append(f"{count} {files} not looked at ({types}).{self._hint()}")
        return told

    def _hint(self) -> str:
        hints = []
        if self.suffixes.keys() & HEIF_SUFFIXES:
            hints.append(" `pip install 'alpr-train[heif]'` lets HEIC and AVIF be read.")
        if self.suffixes.keys() & VIDEOS:
            hints.append(" `alpr watch` reads videos.")
        return "".join(hints)


def collect_images(inputs: Sequence[str], passed_over: PassedOver | None = None) -> list[Item]:
    """The images that files, folders and globs name, each once, in the order given and sorted within a folder.

    A file that is named is taken whatever its suffix, and even where it is missing: its line says so.

    Args:
        passed_over: gets what is not looked at.

    Raises:
        InputError: a folder without images, or a glob without matches.
    """
    passed_over = PassedOver() if passed_over is None else passed_over
    found: dict[Path, Path] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found |= {p: n for p, n in _in_folder(path, passed_over).items() if p not in found}
        elif any(c in text for c in "*?[") and not path.exists():
            found |= {p: n for p, n in _in_glob(text, passed_over).items() if p not in found}
        else:
            found.setdefault(path, Path(path.name))
    return [Item(path, name) for path, name in zip(found, _distinct(found.values()), strict=True)]


def _in_folder(folder: Path, passed_over: PassedOver) -> dict[Path, Path]:
    here = PassedOver()

    def unlisted(error: OSError) -> None:
        here.folders.append(f"{error.filename} cannot be listed: {error.strerror or error}")

    wanted, names = suffixes_read(), []
    for place, folders, files in os.walk(folder, onerror=unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in files if not name.startswith(".")):
            if path.suffix.lower() not in wanted:
                here.suffixes[path.suffix.lower()] += 1
            elif path.is_file():
                names.append(path.relative_to(folder))
    passed_over.suffixes.update(here.suffixes)
    passed_over.folders += here.folders
    if not names:
        told = "".join(f" {sentence}" for sentence in here.sentences())
        raise InputError(
            f"The folder {folder} holds no image; expected files ending in {', '.join(sorted(wanted))}.{told}"
        )
    return {folder / name: name for name in sorted(names)}


def _in_glob(text: str, passed_over: PassedOver) -> dict[Path, Path]:
    pattern = Path(text)
    anchor = Path(pattern.anchor)
    matches = sorted(anchor.glob(str(pattern.relative_to(pattern.anchor))))
    images: dict[Path, Path] = {}
    for match in matches:
        images |= _in_folder(match, passed_over) if match.is_dir() else {match: Path(match.name)}
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
    return path if cv2.haveImageWriter(path.name) else path.with_suffix(".png")


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

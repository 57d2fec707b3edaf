"""A run over many images: which ones, what is passed over, how far it is, and where copies go."""

from __future__ import annotations

import os
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from time import monotonic

import cv2
from rich.console import Console

from alpr.files import open_regular_text, write_atomically
from alpr.images.prepare import HEIF_SUFFIXES, suffixes_read
from alpr.images.tar_members import members_of
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
    """What is not looked at: files of folders and tar files by their suffix, and what cannot be listed to its end."""

    suffixes: Counter[str] = field(default_factory=Counter)
    folders: list[str] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What to tell the user, a sentence each."""
        told = [f"The folder {sentence}; nothing in it was read." for sentence in self.folders]
        told += [f"The tar file {sentence}; what comes after it was not read." for sentence in self.tars]
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


def collect_images(
    inputs: Iterable[str],
    passed_over: PassedOver | None = None,
    wanted: Callable[[str], bool] = lambda image: True,
) -> list[Item]:
    """The images that files, folders, globs and tar files name, each once, in the order given, sorted within a folder.

    A file that is named is taken whatever its suffix, and even where it is missing: its line says so. Of a tar file the
    members are taken that are images.

    Args:
        passed_over: gets what is not looked at.
        wanted: says of an image's path whether it is taken.

    Raises:
        InputError: a folder or a tar file without images, or a glob without matches.
    """
    passed_over = PassedOver() if passed_over is None else passed_over
    found: dict[Path, Path] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            images: Iterable[tuple[Path, Path]] = _in_folder(path, passed_over).items()
        elif any(c in text for c in "*?[") and not path.exists():
            images = _in_glob(text, passed_over).items()
        else:
            images = _in_file(path, passed_over)
        for image, name in images:
            if wanted(str(image)):
                found.setdefault(image, name)
    return [Item(path, name) for path, name in zip(found, _distinct(found.values()), strict=True)]


def listed(path: Path) -> Iterator[str]:
    """The lines of a list of inputs; empty ones are left out. `-` is stdin.

    Raises:
        OSError: a file that cannot be read.
    """
    with nullcontext(sys.stdin) if str(path) == "-" else open_regular_text(path, sys.maxsize) as file:
        yield from filter(None, (line.rstrip("\r\n") for line in file))


def _in_file(path: Path, passed_over: PassedOver) -> Iterator[tuple[Path, Path]]:
    """A file itself, or the members of a tar file."""
    if path.suffix.lower() != ".tar" or not path.is_file():
        yield path, Path(path.name)
        return
    suffixes, images = suffixes_read(), 0
    try:
        for name, member in members_of(path):
            suffix = Path(name).suffix.lower()
            if suffix in suffixes:
                images += 1
                yield Path(member), Path(path.name) / _inside(name)
            else:
                passed_over.suffixes[suffix] += 1
    except (OSError, tarfile.TarError) as error:
        passed_over.tars.append(f"{path} cannot be read to its end: {error}")
        return
    if not images:
        raise InputError(
            f"The tar file {path} holds no image; expected members ending in {', '.join(sorted(suffixes))}."
        )


def _inside(name: str) -> Path:
    """A member's name as one below a folder of copies, and never beside it."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    return Path(*parts[-8:])


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
        images |= _in_folder(match, passed_over) if match.is_dir() else dict(_in_file(match, passed_over))
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
def progress(
    total: int, unit: str = "images", shown: bool = True, lines: bool = False
) -> Iterator[Callable[[], object]]:
    """A progress bar on stderr where that is a terminal; gives the function that moves it on by one.

    Args:
        lines: where it is none, such as the log of a cluster's job, a line a minute in its place.
    """
    console = Console(stderr=True)
    if lines and not console.is_terminal:
        yield ProgressLines(total, unit).advance
        return
    with progress_bar(unit, console, shown=shown and console.is_terminal) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda: bar.advance(task)


class ProgressLines:
    """How far a run is, a line a minute on stderr."""

    SECONDS = 60

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self._start = self._last = monotonic()

    def advance(self) -> None:
        self.done, now = self.done + 1, monotonic()
        if now - self._last >= self.SECONDS:
            self._last, rate = now, self.done / (now - self._start)
            left = (self.total - self.done) / rate / 60
            told = f"{rate:,.1f} {self.unit}/s, {left:,.0f} min left"
            print(f"{self.done:,} of {self.total:,} {self.unit}, {told}", file=sys.stderr, flush=True)

"""Where a foreign data set keeps its files and photographs, how large these are, and which split a folder names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from alpr.data.columns import ManifestError
from alpr.images.prepare import IMAGE_SUFFIXES, UnreadableImage, read_image
from alpr.images.tar_members import opened_bytes
from alpr.reports.progress import progress_bar

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_BAR_FROM = 2000
Item = TypeVar("Item")


def split_of_name(name: str) -> str:
    """The split that a file's or folder's name holds, as `train2017` or `instances_val`; "" where it holds none."""
    return next((_SPLITS[word] for word in re.findall("[a-z]+", name.lower()) if word in _SPLITS), "")


def split_of_folders(path: str) -> str:
    """The split that the folders of a relative path name, the innermost first; the file's own name does not count."""
    return next(filter(None, map(split_of_name, reversed(path.replace("\\", "/").split("/")[:-1]))), "")


def tracked(items: Sequence[Item], label: str, unit: str) -> Iterator[Item]:
    """The items, with a progress bar where they are many."""
    if len(items) < _BAR_FROM:
        yield from items
        return
    with progress_bar(unit) as progress:
        task = progress.add_task(label, total=len(items))
        for i, item in enumerate(items, start=1):
            yield item
            if i % 256 == 0 or i == len(items):
                progress.update(task, completed=i)


def files_of(source: Path, suffixes: Iterable[str], limit: int | None = None) -> list[Path]:
    """The source itself, or the files of these types below it, sorted by folder; at most `limit` of them.

    Raises:
        ManifestError: a source that is not there.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ManifestError(f"{source} is not there; expected a file or a folder.")
    wanted = tuple(suffixes)
    found: list[Path] = []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        found.extend(Path(folder, name) for name in sorted(names) if name.lower().endswith(wanted) and name[0] != ".")
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found


def root_of(source: Path) -> Path:
    """The folder that a data set's images are given relative to: the source, or the folder of the source file."""
    return source.parent if source.is_file() else source


class Picture(NamedTuple):
    """The size of an image in px as `read_image` gives it, and the EXIF orientation (1 to 8) that was applied."""

    height: int
    width: int
    orientation: int = 1

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def image_size(path: Path) -> tuple[int, int]:
    """The (height, width) of an image as `read_image` gives it.

    Raises:
        UnreadableImage: a missing or damaged file.
    """
    return picture_of(path)[:2]


def picture_of(path: Path) -> Picture:
    """The size and orientation of an image, from the file's header where Pillow is installed.

    Raises:
        UnreadableImage: a missing or damaged file.
    """
    try:
        from PIL import Image
    except ImportError:
        shape = read_image(path).shape
        return Picture(shape[0], shape[1])
    try:
        # of a file of its own only the header is read
        with opened_bytes(path) as file, Image.open(file) as image:
            width, height = image.size
            orientation = image.getexif().get(0x0112, 1)
    except (OSError, ValueError, SyntaxError, TypeError) as error:
        raise UnreadableImage(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'no image'}.") from error
    if orientation not in range(1, 9):
        orientation = 1
    # OpenCV turns the picture as its EXIF orientation says
    return Picture(width, height, orientation) if orientation >= 5 else Picture(height, width, orientation)


class ImageFiles:
    """The photographs of a data set, found by the names that its labels give them."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._listed: dict[Path, dict[str, str]] = {}
        self._by_name: dict[str, Path | None] | None = None

    def find(self, name: str, *near: Path) -> Path | None:
        """The file of a name, or None: below the folders `near`, then below the data set's, then by its last part.

        Labels often hold paths of the machine they were made on; of these only the last part helps, where it is unique.
        """
        name = name.replace("\\", "/").strip()
        for folder in (*near, *self._folders):
            path = folder / name
            if path.is_file():
                return path
        if self._by_name is None:
            self._by_name = {}
            for folder in self._folders:
                for path in files_of(folder, IMAGE_SUFFIXES):
                    other = self._by_name.setdefault(path.name, path)
                    if other is not None and other.resolve() != path.resolve():
                        self._by_name[path.name] = None
        return self._by_name.get(name.rpartition("/")[2])

    def of_stem(self, stem: str, *near: Path) -> Path | None:
        """The image `stem.*` of one of the folders `near` or of the data set's own, or None."""
        for folder in (*near, *self._folders):
            if folder not in self._listed:
                self._listed[folder] = images_by_stem(folder)
            if stem in self._listed[folder]:
                return folder / self._listed[folder][stem]
        return None


def images_by_stem(folder: Path) -> dict[str, str]:
    """The images of a folder: {stem: name}."""
    if not folder.is_dir():
        return {}
    names = sorted(entry.name for entry in os.scandir(folder) if entry.name[0] != ".")
    return {name.rpartition(".")[0]: name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES}

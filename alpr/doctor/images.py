"""What every image is: size, depth, colour and fingerprints; opened once, in parallel, and remembered in a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.data.columns import Floats
from alpr.data.fingerprints import perceptual_hash
from alpr.data.processes import run_in_processes
from alpr.doctor.findings import DROP, Finding, finding
from alpr.doctor.table import DoctorTable
from alpr.files import LIST_BYTES, open_regular
from alpr.images.prepare import UnreadableImage, read_image
from alpr.images.tar_members import read_bytes

HUGE_PIXELS = 40_000_000
TINY_PX = 8
_SMALL_PX = 256


class ImageFacts(NamedTuple):
    """One image; with an error the other entries are empty.

    Attributes:
        bits: per value.
        grey: without any colour.
        perceptual: 64 bits that follow the picture; None for a picture of one colour, whose bits mean nothing.
    """

    error: str = ""
    height: int = 0
    width: int = 0
    bits: int = 8
    grey: bool = False
    sha256: str = ""
    perceptual: int | None = None


def image_facts(path: str) -> ImageFacts:
    """The facts of an image file, which is decoded whole: a damaged one must not pass."""
    try:
        data = read_bytes(path)
        image = read_image(data, Path(path).name)
    except OSError as error:
        return ImageFacts(error=f"The file cannot be read: {error.strerror or error}.")
    except UnreadableImage as error:
        return ImageFacts(error=str(error))
    step = -(-max(image.shape[:2]) // _SMALL_PX)
    thin = image[::step, ::step]
    deep = data[:8] == b"\x89PNG\r\n\x1a\n" and data[24] == 16
    if data[:4] in (b"II*\x00", b"MM\x00*"):
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        deep = raw is not None and raw.dtype == np.uint16
    tone = cv2.cvtColor(_thumbnail(image), cv2.COLOR_BGR2GRAY)
    return ImageFacts(
        height=image.shape[0],
        width=image.shape[1],
        bits=16 if deep else 8,
        grey=bool((thin[..., 0] == thin[..., 1]).all() and (thin[..., 1] == thin[..., 2]).all()),
        sha256=hashlib.sha256(data).hexdigest(),
        perceptual=perceptual_hash(np.asarray(tone, np.uint8)) if tone.std() > 1 else None,
    )


def _thumbnail(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An image of at most a few hundred px: the hash looks at 32 x 32 of it."""
    scale = _SMALL_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


class FactsCache:
    """Facts by key in a file of one JSON array a line, to which is only added: a kill costs the last line at most."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, list[Any]] = {}
        if path is not None and path.is_file():
            with open_regular(path, LIST_BYTES) as file:
                for line in file:
                    self._learn(line)

    def _learn(self, line: bytes) -> None:
        try:
            key, *values = json.loads(line)
        except (ValueError, TypeError):  # the line that a kill tore
            return
        self.known[str(key)] = values

    def add(self, entries: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Takes entries one by one and writes each to the file at once."""
        if self.path is None:
            self.known.update((key, list(values)) for key, values in entries)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            if file.tell():
                file.write(b"\n")  # ends a line that a kill tore
            for key, values in entries:
                self.known[key] = list(values)
                file.write(json.dumps([key, *values]).encode() + b"\n")
                file.flush()


def file_key(path: str) -> str:
    """What tells one state of a file from another: path, size and time of change."""
    try:
        state = os.stat(path)  # noqa: PTH116, faster over many files
    except OSError:
        return f"{path}\tabsent"
    return f"{os.path.abspath(path)}\t{state.st_size}\t{state.st_mtime_ns}"  # noqa: PTH100


def open_images(paths: Sequence[str], cache: FactsCache, workers: int) -> dict[str, ImageFacts]:
    """The facts of images, from the cache or opened now, with a progress bar.

    Raises:
        RuntimeError: a worker process died.
    """
    keys = {path: file_key(path) for path in paths}
    new = [path for path, key in keys.items() if key not in cache.known or key.endswith("\tabsent")]
    done = run_in_processes(image_facts, new, workers=workers, label="opening", unit="images")
    cache.add((keys[path], facts) for path, facts in zip(new, done, strict=True))
    return {path: ImageFacts(*cache.known[key]) for path, key in keys.items()}


def row_sizes(table: DoctorTable, facts: dict[str, ImageFacts]) -> Floats:
    """(N, 2) height and width of every row's image in px, NaN where it is not known."""
    nothing = (np.nan, np.nan)
    known = {path: (f.height, f.width) if not f.error else nothing for path, f in facts.items()}
    return np.array([known.get(path, nothing) for path in table.paths], np.float64).reshape(-1, 2)


def image_findings(table: DoctorTable, facts: dict[str, ImageFacts]) -> list[Finding]:
    """What is wrong with the images: of an unreadable one every row is reported, of others the first."""
    found = []
    said: set[str] = set()
    for i, path in enumerate(table.paths):
        fact = facts.get(path)
        if fact is None:
            continue
        if fact.error:
            found.append(finding(table, i, "image-unreadable", fact.error, DROP))
        elif path not in said:
            size = f"{fact.width}x{fact.height} px"
            for rule, true, message in (
                ("image-tiny", min(fact.height, fact.width) < TINY_PX, f"The image has {size}."),
                ("image-huge", fact.height * fact.width > HUGE_PIXELS, f"The image has {size}."),
                ("image-16-bit", fact.bits == 16, "The image has 16 bits per value."),
                ("image-blank", fact.perceptual is None, "The image is of one colour."),
                ("image-grey", fact.grey and fact.perceptual is not None, "The image has no colour."),
            ):
                if true:
                    found.append(finding(table, i, rule, message))
        said.add(path)
    return found

"""Which photographs and plates several parts of a data set share, from names and texts alone.

A *part* is a list or a subset: train, val, ccpd_db and so on. An image is known by its file's name, which in CCPD holds
its whole label; a plate by its text, however it is written, in CCPD the one that the name says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from alpr.data.ccpd import SUBSETS, decode_names
from alpr.data.ccpd_folders import read_list
from alpr.data.columns import ManifestError
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.plates.identity import identity

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The images and the plates of a part; several entries of one name or text count once.

    Attributes:
        entries: lines or scenes, with those that stand twice.
        unlabelled: images whose name or rows say no plate.
    """

    name: str
    entries: int
    images: frozenset[str]
    plates: frozenset[str]
    unlabelled: int = 0


@dataclass(frozen=True)
class Overlap:
    """What each pair of parts shares, and what all of them hold together."""

    parts: tuple[Part, ...]
    images: Counts  # (P, P) names in both; on the diagonal those of a part
    plates: Counts  # (P, P) texts in both
    entries: int
    distinct_images: int
    distinct_plates: int
    images_in: tuple[int, ...]  # [k]: names in exactly k + 1 parts

    @property
    def in_several(self) -> int:
        """Names that stand in two parts or more."""
        return sum(self.images_in[1:])

    def sentence(self) -> str:
        """The sums."""
        times = ", ".join(f"{n:,} in {k}" for k, n in enumerate(self.images_in[2:], start=3) if n)
        return (
            f"{self.entries:,} entries in {len(self.parts)} parts: {self.distinct_images:,} distinct images, "
            f"{self.in_several:,} of them in two parts or more{f' ({times})' if times else ''}; "
            f"{self.distinct_plates:,} distinct plates."
        )


def overlap_of(parts: Sequence[Part]) -> Overlap:
    """What parts share.

    Raises:
        ManifestError: no part, or two of one name.
    """
    names = [part.name for part in parts]
    if not parts or len(set(names)) < len(names):
        raise ManifestError(f"The parts are {', '.join(names) or 'none'}; expected some, each of another name.")
    size = len(parts)
    images, plates = np.zeros((size, size), np.int64), np.zeros((size, size), np.int64)
    for i, one in enumerate(parts):
        for j, other in enumerate(parts[: i + 1]):
            images[i, j] = images[j, i] = len(one.images & other.images)
            plates[i, j] = plates[j, i] = len(one.plates & other.plates)
    times = Counter(Counter(name for part in parts for name in part.images).values())
    return Overlap(
        tuple(parts),
        images,
        plates,
        sum(part.entries for part in parts),
        sum(times.values()),
        len(frozenset[str]().union(*(part.plates for part in parts))),
        tuple(times[k] for k in range(1, size + 1)),
    )


def parts_of_list(path: Path) -> list[Part]:
    """The part that an official CCPD list is: its lines, `ccpd_blur/NAME.jpg` each, named after the file.

    Raises:
        ManifestError: a list that cannot be read or holds no line.
    """
    return [part_of_names(path.stem, read_list(path))]


def part_of_names(name: str, images: Sequence[str]) -> Part:
    """A part from CCPD names, with or without folders; a name that is no label has no plate."""
    files = [image.rpartition("/")[2] for image in images]
    distinct = list(dict.fromkeys(files))
    decoded = decode_names(distinct)
    return Part(name, len(files), frozenset(distinct), frozenset(decoded.text), len(decoded.rejected))


def parts_of_manifest(manifest: Manifest) -> list[Part]:
    """The parts of a table: its splits, those of CCPD by subset instead where they only test.

    So a joined table of CCPD2019 gives train, val, ccpd_blur, ccpd_db and so on.
    """
    subsets = manifest.extra.get("subset", [""] * manifest.rows)
    rows: dict[str, list[int]] = {}
    for row, (split, subset) in enumerate(zip(manifest.split, subsets, strict=True)):
        by_subset = subset in SUBSETS and split == "test"
        rows.setdefault(subset if by_subset else split or subset or "no split", []).append(row)
    return [_part_of_rows(name, manifest, of_part) for name, of_part in rows.items()]


def _part_of_rows(name: str, manifest: Manifest, rows: Collection[int]) -> Part:
    photographs = manifest.photographs.tolist()
    scenes = {photographs[row]: manifest.image[row] for row in rows}
    named = {photographs[row] for row in rows if manifest.text[row]}
    files = frozenset(PurePosixPath(image).name for image in scenes.values())
    texts = frozenset(identity(manifest.text[row]) for row in rows) - {""}
    return Part(name, len(scenes), files, texts, len(scenes) - len(named))


def parts_of_files(paths: Iterable[Path]) -> list[Part]:
    """The parts of official lists (.txt) and tables (.csv); parts of one name are one.

    Raises:
        ManifestError: a file that cannot be read, or of another kind.
    """
    found: dict[str, Part] = {}
    for path in paths:
        if path.suffix.lower() not in (".txt", ".csv"):
            raise ManifestError(f"{path} is neither a list (.txt) nor a table (.csv).")
        for part in parts_of_list(path) if path.suffix.lower() == ".txt" else parts_of_manifest(read_manifest(path)):
            found[part.name] = _joined(found[part.name], part) if part.name in found else part
    return list(found.values())


def _joined(one: Part, other: Part) -> Part:
    return Part(
        one.name,
        one.entries + other.entries,
        one.images | other.images,
        one.plates | other.plates,
        one.unlabelled + other.unlabelled,
    )


def matrix_rows(overlap: Overlap, what: str) -> list[list[str]]:
    """A row per part: its name, then what it shares with each part, with its share of the row's own.

    Args:
        what: "images" or "plates".
    """
    counts = {"images": overlap.images, "plates": overlap.plates}[what]
    rows = []
    for i, part in enumerate(overlap.parts):
        own = int(counts[i, i])
        cells = [
            f"{own:,}" if i == j else f"{n:,} ({n / own:.1%})" if n else "0" for j, n in enumerate(counts[i].tolist())
        ]
        rows.append([part.name, *cells])
    return rows


def as_markdown(overlap: Overlap) -> str:
    """The sums and both matrices."""
    names = [part.name for part in overlap.parts]
    pieces = [overlap.sentence()]
    for what, title in TITLES.items():
        header = [title, *names]
        lines = [header, ["---", *["---:"] * len(names)], *matrix_rows(overlap, what)]
        pieces.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(pieces) + "\n"


def as_text(overlap: Overlap) -> str:
    """The sums and both matrices, in columns of equal width."""
    names = [part.name for part in overlap.parts]
    pieces = [overlap.sentence()]
    for what, title in TITLES.items():
        lines = [[title, *names], *matrix_rows(overlap, what)]
        widths = [max(len(line[c]) for line in lines) for c in range(len(names) + 1)]
        pieces.append(
            "\n".join(
                "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
                for line in lines
            )
        )
    return "\n\n".join(pieces) + "\n"


TITLES: Mapping[str, str] = {"images": "images in both", "plates": "plates in both"}
"""Of the two matrices."""

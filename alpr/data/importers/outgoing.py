"""A manifest on its way into a foreign format: its scenes with names of their own, and a count of what is lost."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from alpr.data.columns import Booleans
from alpr.data.importers.labels import IGNORED
from alpr.data.importers.places import image_size, tracked
from alpr.data.manifest import Manifest
from alpr.files import write_atomically
from alpr.images.prepare import UnreadableImage
from alpr.images.tar_members import is_image_file, member_of, read_bytes
from alpr.plates.geometry import corner_box

Need = Literal["box", "corners", "text", "box or text"]
_TEXTS = {"text": "texts", "country": "countries", "split": "splits", "note": "notes"}
ImageMode = Literal["link", "copy", "none"]


class OutgoingScene(NamedTuple):
    """One photograph, and the rows of its plates; none where it is known to hold no plate."""

    source: Path
    name: str  # a file name of its own among all scenes
    split: str
    rows: list[int]

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]


class Outgoing:
    """What an exporter draws from: the rows as plain numbers, the scenes, and how to put files into the target."""

    def __init__(
        self, manifest: Manifest, target: Path, images: ImageMode, holds: frozenset[str], numbered: bool = False
    ) -> None:
        self.manifest = manifest
        self.numbered = numbered  # names begin with the scene's number, so that tools show them in the table's order
        self.target = target
        self.images = images
        self.holds = holds
        self.counts: Counter[str] = Counter()  # sentences, with how often they were true
        has_corners = np.asarray(np.isfinite(manifest.corners.reshape(-1, 8)).all(axis=1), dtype=bool)
        hulls = corner_box(manifest.corners)
        has_box = np.asarray(np.isfinite(manifest.box).all(axis=1), dtype=bool)
        whole = np.where(has_box[:, None], manifest.box, hulls)
        self.box: list[list[float]] = whole.tolist()  # the label's, or the hull of its corners; NaN without either
        self.corners: list[list[float]] = manifest.corners.reshape(-1, 8).tolist()
        self.has_corners: list[bool] = has_corners.tolist()
        self.has_box: list[bool] = (has_box | has_corners).tolist()
        self.ignored: list[bool] = [k == IGNORED for k in manifest.extra.get("kind", [""] * manifest.rows)]
        self._count_columns(has_box, has_corners, np.abs(manifest.box - hulls).max(axis=1, initial=0) > 1e-6)

    def _count_columns(self, has_box: Booleans, has_corners: Booleans, beside: Booleans) -> None:
        manifest = self.manifest
        for column, what in _TEXTS.items():
            if column not in self.holds:
                self.counts[f"{{n}} {what} were dropped."] = sum(map(bool, getattr(manifest, column)))
        columns = [name for name, cells in manifest.extra.items() if name != "kind" and any(cells)]
        if columns and "extra" not in self.holds:
            self.counts[f"{{n}} more columns were dropped: {', '.join(columns)}."] = len(columns)
        if "corners" not in self.holds:
            self.counts["{n} quads of corners were dropped."] = int(has_corners.sum())
        if "box" not in self.holds:
            self.counts["{n} boxes were dropped."] = int(has_box.sum())
        elif "corners" in self.holds and "both" not in self.holds:
            self.counts["{n} boxes were dropped that are not the hull of their plate's corners."] = int(
                (has_box & has_corners & beside).sum()
            )

    def notes(self) -> list[str]:
        """A sentence for everything that the format could not hold."""
        return [text.replace("{n}", f"{n:,}") for text, n in self.counts.items() if n]

    def scenes(self, need: Need) -> list[OutgoingScene]:
        """The scenes that the format can hold: whose every plate has what is needed.

        A scene of which one plate cannot be held is left out whole, for the plate would become background.
        """
        manifest, scenes = self.manifest, self.manifest.scenes()
        chosen: list[tuple[Path, str, list[int]]] = []
        for i in range(len(scenes)):
            rows = scenes.rows(i)
            plates = [row for row in rows if self.has_box[row] or manifest.text[row]]
            kept = [row for row in plates if not self.ignored[row] or "kind" in self.holds]
            self.counts["{n} regions to ignore were dropped; they are background now."] += len(plates) - len(kept)
            if not plates and "empty" not in self.holds:
                self.counts["{n} images without a plate were left out."] += 1
            elif not all(self._can(row, need) for row in kept):
                self.counts[f"{{n}} images were left out: a plate of theirs has no {need}."] += 1
            else:
                chosen.append((manifest.path(rows[0]), manifest.split[rows[0]], kept))
        names = _own_names([c[0] for c in chosen])
        if self.numbered:
            names = [f"{number:05d}_{name}" for number, name in enumerate(names)]
        return [
            OutgoingScene(source, name, split, rows) for (source, split, rows), name in zip(chosen, names, strict=True)
        ]

    def _can(self, row: int, need: Need) -> bool:
        if need == "text":
            return bool(self.manifest.text[row])
        if need == "box or text":
            return self.has_box[row] or bool(self.manifest.text[row])
        return self.has_box[row] if need == "box" or self.ignored[row] else self.has_corners[row]

    def sized(self, scenes: Sequence[OutgoingScene]) -> Iterator[tuple[OutgoingScene, tuple[int, int]]]:
        """The scenes with their (height, width); those whose image cannot be read are left out and counted."""
        for scene in tracked(scenes, "Writing", "images"):
            try:
                yield scene, image_size(scene.source)
            except UnreadableImage:
                self.counts["{n} images were left out: they are missing or damaged, and their size is needed."] += 1

    def put_image(self, scene: OutgoingScene, relative: str) -> str:
        """Links or copies a scene's image to its place below the target, where asked to; gives the place again."""
        place = self.target / relative
        if self.images == "none":
            return relative
        if not is_image_file(scene.source):
            self.counts["{n} images are missing; only their labels were written."] += 1
            return relative
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink() or place.exists():
            if place.resolve() == scene.source.resolve():
                return relative
            place.unlink()
        if self.images != "link" or member_of(scene.source) is not None or not self._linked(place, scene.source):
            write_atomically(place, [read_bytes(scene.source)], sync=False)
        return relative

    def _linked(self, place: Path, source: Path) -> bool:
        try:
            place.symlink_to(source.resolve())
        except (OSError, NotImplementedError):  # on Windows only some users may; nor can every file system
            self.counts["{n} images were copied: no links can be made there."] += 1
            return False
        return True

    def put(self, relative: str, text: str) -> None:
        """Writes a text file below the target.

        Raises:
            NotWritten: a full disk or a folder that cannot be written to.
        """
        place = self.target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, [text.encode()], sync=False)

    def put_json(self, relative: str, value: Any) -> None:
        """Writes a JSON file below the target."""
        self.put(relative, json.dumps(value, ensure_ascii=False) + "\n")

    def put_csv(self, relative: str, rows: Iterable[Iterable[Any]]) -> None:
        """Writes a CSV file below the target."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self.put(relative, text.getvalue())

    def whole(self, values: Iterable[float]) -> list[int]:
        """The values as whole pixels, for formats that know no others; what that changes is counted."""
        values = list(values)
        rounded = [round(v) for v in values]
        if any(r != v for r, v in zip(rounded, values, strict=True)):
            self.counts["{n} labels were rounded to whole pixels (by half a pixel at most)."] += 1
        return rounded


def plain(values: Iterable[float]) -> list[int | float]:
    """Numbers as a file should show them: whole ones without a point."""
    return [int(v) if v == int(v) else v for v in values]


def of_split(scenes: Iterable[OutgoingScene]) -> dict[str, list[OutgoingScene]]:
    """The scenes by their split, in the order of first mention."""
    found: dict[str, list[OutgoingScene]] = {}
    for scene in scenes:
        found.setdefault(scene.split, []).append(scene)
    return found


def inside(split: str, *parts: str) -> str:
    """A relative path with a folder for the split, or none where there is no split."""
    return "/".join((*parts[:-1], *([split] if split else []), parts[-1]))


def _own_names(paths: Sequence[Path]) -> list[str]:
    """A file name for each path, with a stem that no other has: its own, or with as many folders as that takes."""
    stems = Counter(path.stem for path in paths)
    used: set[str] = set()
    names: list[str] = []
    for path in paths:
        stem, depth = path.stem, 1
        parts = path.with_suffix("").parts
        while (stems[path.stem] > 1 and depth == 1) or (stem in used and depth < len(parts)):
            depth += 1
            stem = "__".join(part.strip("/\\:") for part in parts[-depth:])
        used.add(stem)
        names.append(stem + path.suffix)
    return names

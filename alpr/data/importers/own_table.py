"""This project's own table, brought into order: texts without marks that nobody sees; shares are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alpr.data.columns import COLUMNS, ManifestError, Rejection
from alpr.data.importers.declared_sizes import place
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.outgoing import Outgoing
from alpr.data.importers.places import Picture, picture_of
from alpr.data.importers.text_files import header_of
from alpr.data.importers.texts import cleaned
from alpr.data.several_tables import read_manifest
from alpr.images.prepare import UnreadableImage

_COMPANION = "another plate of this image was left out"


def looks_like(source: Path) -> bool:
    """Whether the source is a table with this project's columns."""
    return source.is_file() and set(header_of(source)) >= set(COLUMNS)


def read(source: Path, wanted: Wanted) -> Imported:
    """The rows of a table.

    Raises:
        ManifestError: see `read_manifest`; or not one row that can be used.
    """
    manifest = read_manifest(source, strict=wanted.strict)
    texts, notes = cleaned(manifest.text)
    paths = [str(manifest.path(row)) for row in range(manifest.rows)]
    placed = place(manifest.box, manifest.corners, paths, {}, _picture)
    if placed.notes:  # they could be made pixels, but a training reads this table as it stands
        raise ManifestError(f"{source}: all coordinates lie between 0 and 1, as shares of the image; expected px.")
    spoilt = {paths[row] for row in placed.faults}
    rejected = [
        Rejection(str(source), int(manifest.line[row]), manifest.image[row], placed.faults.get(row, _COMPANION))
        for row in range(manifest.rows)
        if paths[row] in spoilt
    ]
    if rejected and wanted.strict:
        raise ManifestError(f"{rejected[0]}.")
    if len(rejected) == manifest.rows:
        raise ManifestError(f"{source} holds no row that can be used. The first: {rejected[0]}.")
    manifest = replace(manifest, text=texts, rejected=(*manifest.rejected, *rejected))
    kept = [row for row in range(manifest.rows) if paths[row] not in spoilt]
    return Imported(manifest.take(kept) if rejected else manifest, tuple(notes))


def _picture(path: str) -> Picture | None:
    try:
        return picture_of(Path(path))
    except UnreadableImage:
        return None


def write(out: Outgoing) -> None:
    """Writes `manifest.csv`."""
    out.target.mkdir(parents=True, exist_ok=True)
    out.manifest.write(out.target / "manifest.csv")

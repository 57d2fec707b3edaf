"""A data set from one format into another: read, written, and said what was found and what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from alpr.data.columns import ManifestError
from alpr.data.importers.declared_sizes import ORIENTATIONS
from alpr.data.importers.formats import FORMATS, export, guess, written_formats
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.text_files import encoded_as
from alpr.data.manifest import write_rejected

if TYPE_CHECKING:
    from alpr.data.importers.outgoing import ImageMode


def convert(
    source: Path,
    kind: str | None,
    wanted: Wanted,
    to: str,
    output: Path,
    images: ImageMode,
    console: Console,
    encoding: str = "",
) -> None:
    """Reads a data set and writes it as `to`.

    Args:
        kind: the source's format; None to guess it.
        output: the table, or for another format the folder.
        images: how photographs come to where the format expects them.
        encoding: of label files without a byte order mark; "" for UTF-8, or what an XML file declares.

    Raises:
        ManifestError: a format that is not there, or a source that cannot be used.
        OSError: a file that cannot be written.
    """
    for name in (kind, to):
        if name is not None and name not in FORMATS:
            raise ManifestError(f"There is no format {name!r}; expected one of {', '.join(FORMATS)}.")
    if to not in written_formats():
        raise ManifestError(f"{to} can only be read; to write there are {', '.join(written_formats())}.")
    if wanted.orientation not in ("", *ORIENTATIONS):
        raise ManifestError(
            f"There is no orientation {wanted.orientation!r}; expected one of {', '.join(ORIENTATIONS)}."
        )
    with encoded_as(encoding):
        name = kind or guess(source)
        imported = FORMATS[name].read(source, wanted)
    lost: list[str] = []
    if to == "manifest":
        output.parent.mkdir(parents=True, exist_ok=True)
        imported.manifest.write(output)
        rejected = output.with_suffix(".rejected.csv")
    else:
        lost = export(imported.manifest, to, output, images)
        rejected = output / "conversion.rejected.csv"
    write_rejected(imported.manifest.rejected, rejected)
    summarise(imported, name, console)
    if lost:
        console.print(f"{to} could not hold everything:")
    for line in lost:
        console.print(f"  {line}")
    if imported.manifest.rejected:
        console.print(f"What could not be used, with reasons: {rejected}")


def summarise(imported: Imported, name: str, console: Console) -> None:
    """Prints what was read."""
    manifest = imported.manifest
    scenes = manifest.scenes()
    plates = sum(plate is not None for plate in map(manifest.plate, range(manifest.rows)))
    console.print(
        f"{FORMATS[name].title}: {plates:,} plates in {len(scenes):,} images, "
        f"{manifest.rows - plates:,} of them without a plate; {len(manifest.rejected):,} records rejected."
    )
    for note in imported.notes:
        console.print(f"  {note}")

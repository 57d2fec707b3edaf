"""The reference's `alpr_annotation.csv` (gfickel/alpr): one CCPD plate of seven characters for each photograph.

`alpr.data.table_reading` reads it as it stands. Corners begin at the bottom right, indices are CCPD's plus one.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from alpr.data.ccpd import CcpdNameError, plate_indices
from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.outgoing import Outgoing, of_split
from alpr.data.importers.places import files_of
from alpr.data.importers.text_files import first_lines
from alpr.data.several_tables import join_manifests, read_manifest

COLUMNS = (
    *("image_path", "left", "top", "right", "bottom"),
    *(f"kp{i}_{axis}" for i in range(1, 5) for axis in "xy"),
    *(f"ocr_{i}" for i in range(1, 8)),
)
_CCPD_ORDER = (2, 3, 0, 1)


def looks_like(source: Path) -> bool:
    """Whether a CSV file of the source begins with the reference's columns."""
    return bool(_tables(source))


def _tables(source: Path) -> list[Path]:
    heads = {path: "".join(first_lines(path, 1)).replace("|", "") for path in files_of(source, (".csv",))}
    return [path for path, head in heads.items() if {"image_path", "ocr_1"} <= set(head.split(","))]


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every such table of the source."""
    tables = _tables(source)
    if not tables:
        raise ManifestError(f"{source} holds no table with the columns image_path and ocr_1 to ocr_7.")
    return Imported(join_manifests([read_manifest(path, strict=wanted.strict) for path in tables]))


def write(out: Outgoing) -> None:
    """Writes `alpr_annotation.csv` in a folder of each split, with the photographs beside."""
    for split, scenes in of_split(out.scenes("corners")).items():
        text = io.StringIO()
        writer = csv.writer(text, quotechar="|", lineterminator="\n")
        writer.writerow(COLUMNS)
        written = 0
        for scene in scenes:
            try:
                indices = [plate_indices(out.manifest.text[row]) for row in scene.rows]
                if any(len(found) != 7 for found in indices):
                    raise CcpdNameError("not seven characters")
            except CcpdNameError:
                out.counts["{n} images were left out: a text is not seven characters of CCPD's tables."] += 1
                continue
            written += 1
            relative = out.put_image(scene, f"{split}/{scene.name}" if split else scene.name)
            for row, plate in zip(scene.rows, indices, strict=True):
                box, corners = out.box[row], out.corners[row]
                points = [v for k in _CCPD_ORDER for v in corners[2 * k : 2 * k + 2]]
                numbers = out.whole([*box, *points])
                writer.writerow([str((out.target / relative).absolute()), *numbers, *(i + 1 for i in plate)])
        if not written:
            continue
        out.put(f"{split}/alpr_annotation.csv" if split else "alpr_annotation.csv", text.getvalue())

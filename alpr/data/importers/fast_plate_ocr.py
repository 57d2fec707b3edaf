"""fast-plate-ocr: a CSV file of crops, `image_path,plate_text` and, where wanted, `plate_region`.

Image paths are relative to the CSV file. Source: the data set page of fast-plate-ocr's documentation.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, inside, of_split
from alpr.data.importers.paddle import crops
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.text_files import first_lines, read_text

_REGION = "plate_region"


def looks_like(source: Path) -> bool:
    """Whether a CSV file of the source begins with the two columns."""
    return any(_is_list(path) for path in files_of(source, (".csv",), 20))


def _is_list(path: Path) -> bool:
    lines = first_lines(path, 1)
    return bool(lines) and {"image_path", "plate_text"} <= {cell.strip(' "') for cell in lines[0].split(",")}


def read(source: Path, wanted: Wanted) -> Imported:
    """The crops of the source's lists. A region of two capital letters becomes the country; any stays a column."""
    labels = Labels(root_of(source), wanted)
    for path in filter(_is_list, files_of(source, (".csv",))):
        rows = list(csv.DictReader(read_text(path).splitlines(), skipinitialspace=True))
        for number, row in enumerate(tracked(rows, f"Reading {path.name}", "crops"), start=2):
            name, text, region = row.get("image_path") or "", row.get("plate_text") or "", row.get(_REGION) or ""
            if not name or not text:
                labels.reject(path, number, name, "image_path or plate_text is empty")
                continue
            labels.add(
                path,
                number,
                labels.located(name, path.parent),
                text=text,
                country=region if re.fullmatch("[A-Z]{2}", region) else "",
                split=split_of_name(path.stem) or split_of_folders(name) or split_of_name(path.parent.name),
                extra={_REGION: region} if region else None,
            )
    return labels.finish()


def write(out: Outgoing) -> None:
    """Writes `<split>_annotations.csv`."""
    regions = out.manifest.extra.get(_REGION, [""] * out.manifest.rows)
    found = [region or country for region, country in zip(regions, out.manifest.country, strict=True)]
    for split, scenes in of_split(crops(out)).items():
        columns = ["image_path", "plate_text", *([_REGION] if any(found) else [])]
        rows = [columns]
        for scene in scenes:
            name = out.put_image(scene, inside(split, "images", scene.name))
            row = scene.rows[0]
            rows.append([name, out.manifest.text[row], found[row]][: len(columns)])
        out.put_csv(f"{split}_annotations.csv" if split else "annotations.csv", rows)

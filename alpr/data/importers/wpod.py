"""WPOD-NET's texts: `4,x1,x2,x3,x4,y1,y2,y3,y4,TEXT,` in shares of the image's size, beside each photograph.

The corners are clockwise from the top left. The text may be missing. Source: sergiomsilva/alpr-unconstrained.
"""

from __future__ import annotations

from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.places import files_of, root_of, split_of_folders, tracked
from alpr.data.importers.shapes import NOT_FOUR, quad_or_hull
from alpr.data.importers.text_files import first_lines, read_text


def looks_like(source: Path) -> bool:
    """Whether the first texts of the source hold a number of points, and as many x and y."""
    lines = [line for path in files_of(source, (".txt",), 20) for line in first_lines(path)]
    return bool(lines) and all(map(has_form, lines))


def has_form(line: str) -> bool:
    """Whether a line is a number of points, their x, their y, and perhaps a text."""
    try:
        points, _ = _parsed(line)
    except ValueError:
        return False
    return all(-1 <= v <= 2 for v in points)


def _parsed(line: str) -> tuple[list[float], str]:
    """The points x, y, x, y, ... and the text of a line.

    Raises:
        ValueError: another form.
    """
    cells = [cell.strip() for cell in line.split(",")]
    n = int(cells[0])
    if n < 3 or len(cells) < 1 + 2 * n:
        raise ValueError(f"the line has {len(cells)} cells; expected a number of points, and as many x and y")
    values = list(map(float, cells[1 : 1 + 2 * n]))
    points = [v for pair in zip(values[:n], values[n:], strict=True) for v in pair]
    return points, next(iter(cells[1 + 2 * n :]), "")


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every text of the source."""
    labels = Labels(root_of(source), wanted)
    for path in tracked(files_of(source, (".txt",)), "Reading labels", "files"):
        image = labels.files.of_stem(path.stem, path.parent)
        split = split_of_folders(str(path.relative_to(labels.root)))
        size = None if image is None else labels.size(image)
        lines = read_text(path).splitlines()
        if image is None or size is None:
            labels.reject(path, 0, image or path.stem, "its image was not found or cannot be read; its size is needed")
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                points, text = _parsed(line)
            except ValueError as error:
                labels.reject(path, number, image, str(error))
                continue
            if not all(-1 <= v <= 2 for v in points):
                labels.reject(
                    path, number, image, f"the line holds {max(points):g}; expected shares of the image's size"
                )
                continue
            box, corners = quad_or_hull([v * size[1 - i % 2] for i, v in enumerate(points)])
            if corners is None:
                labels.counts[NOT_FOUR] += 1
            labels.add(path, number, image, text=text, split=split, box=box, corners=corners)
        if not any(map(str.strip, lines)):
            labels.add_empty(path, image, split)
    return labels.finish()

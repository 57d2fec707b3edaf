"""OpenALPR's end-to-end benchmark: a text file beside each photograph, `image x y width height text` between tabs.

The benchmark's folders `us`, `eu` and `br` name the region; two of them are countries. Source: openalpr/benchmarks.
"""

from __future__ import annotations

from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, inside
from alpr.data.importers.places import files_of, root_of, split_of_folders, tracked
from alpr.data.importers.text_files import first_lines, read_text

_COUNTRIES = {"us": "US", "br": "BR"}


def looks_like(source: Path) -> bool:
    """Whether the first texts of the source hold lines of six cells, four of them numbers."""
    lines = [line for path in files_of(source, (".txt",), 5) for line in first_lines(path)]
    return bool(lines) and all(has_form(line) for line in lines)


def has_form(line: str) -> bool:
    """Whether a line is of six cells, four of them numbers."""
    cells = line.split("\t")
    return len(cells) == 6 and all(cell.strip().lstrip("-").isdecimal() for cell in cells[1:5])


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every text of the source."""
    labels = Labels(root_of(source), wanted)
    for path in tracked(files_of(source, (".txt",)), "Reading labels", "files"):
        lines = read_text(path).splitlines()
        split = split_of_folders(str(path.relative_to(labels.root)))
        for number, line in enumerate(lines, start=1):
            cells = line.split("\t")
            if not line.strip():
                continue
            try:
                name, text = cells[0], cells[5]
                x, y, w, h = map(float, cells[1:5])
            except (IndexError, ValueError):
                labels.reject(path, number, cells[0], f"the line holds {line!r}; expected image, x, y, w, h and text")
                continue
            image = labels.located(name, path.parent)
            country = _COUNTRIES.get(path.absolute().parent.name, "")
            labels.add(path, number, image, text=text, country=country, split=split, box=(x, y, x + w, y + h))
        if not any(map(str.strip, lines)):
            image = labels.files.of_stem(path.stem, path.parent) or path.stem
            labels.add_empty(path, image, split)
    return labels.finish()


def write(out: Outgoing) -> None:
    """Writes a text of whole pixels beside each photograph."""
    for scene in out.scenes("box"):
        out.put_image(scene, inside(scene.split, scene.name))
        lines = []
        for row in scene.rows:
            x1, y1, x2, y2 = out.whole(out.box[row])
            cells = (scene.name, x1, y1, x2 - x1, y2 - y1, out.manifest.text[row])
            lines.append("\t".join(map(str, cells)) + "\n")
        out.put(inside(scene.split, f"{scene.stem}.txt"), "".join(lines))

"""The OIDv4 ToolKit's texts of Open Images: `class xmin ymin xmax ymax` in pixels, in a folder `Label` by the images.

A class may be of several words, such as `Vehicle registration plate`. The tool keeps only boxes of the classes that
were asked for, so an image without a line is not known to hold no plate. Source: EscVM/OIDv4_ToolKit.
"""

from __future__ import annotations

from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.places import files_of, root_of, split_of_folders, tracked
from alpr.data.importers.text_files import first_lines, read_text


def looks_like(source: Path) -> bool:
    """Whether the first texts of the source hold a class in words and four numbers."""
    lines = [line for path in files_of(source, (".txt",), 20) for line in first_lines(path)]
    return bool(lines) and all(map(has_form, lines))


def has_form(line: str) -> bool:
    """Whether a line is a class in words and four numbers."""
    try:
        return _parsed(line)[0][:1].isalpha()
    except ValueError:
        return False


def _parsed(line: str) -> tuple[str, list[float]]:
    label, *numbers = line.strip().rsplit(maxsplit=4)
    box = list(map(float, numbers))
    if len(box) != 4:
        raise ValueError(f"the line has {len(box)} numbers behind its class; expected four")
    return label, box


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every text of the source."""
    labels = Labels(root_of(source), wanted, others_mean_empty=False)
    for path in tracked(files_of(source, (".txt",)), "Reading labels", "files"):
        near = (path.parent.parent, path.parent) if path.parent.name.lower() == "label" else (path.parent,)
        image = labels.files.of_stem(path.stem, *near) or labels.located(f"{path.stem}.jpg", *near)
        split = split_of_folders(str(path.relative_to(labels.root)))
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                label, box = _parsed(line)
            except ValueError:
                labels.reject(path, number, image, f"the line holds {line!r}; expected a class and four numbers")
                continue
            labels.add(path, number, image, label=label, split=split, box=box)
    return labels.finish()

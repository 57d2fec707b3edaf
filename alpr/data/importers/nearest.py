"""Why a source has the form of no known format: which format is nearest, and the first line that does not fit it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from alpr.data.columns import COLUMNS, ManifestError
from alpr.data.importers import gfickel, oidv4, open_images, openalpr, roboflow_csv, wpod, yolo
from alpr.data.importers.places import files_of, root_of
from alpr.data.importers.text_files import first_lines, header_of, read_json, read_text, read_xml

_LABELS = (".txt", ".json", ".xml", ".csv")
_LOOKED_AT = 20
_LINES: dict[str, Callable[[str], bool]] = {
    "yolo": lambda line: yolo.has_cells(line, "yolo"),
    "yolo-pose": lambda line: yolo.has_cells(line, "yolo-pose"),
    "yolo-obb": lambda line: yolo.has_cells(line, "yolo-obb"),
    "yolo-seg": lambda line: yolo.has_cells(line, "yolo-seg"),
    "openalpr": openalpr.has_form,
    "oidv4": oidv4.has_form,
    "wpod": wpod.has_form,
    "paddle-det": lambda line: "\t[" in line,
}
_HEADERS: dict[str, tuple[str, ...]] = {
    "manifest": COLUMNS,
    "roboflow-csv": roboflow_csv.COLUMNS,
    "via-csv": ("filename", "region_shape_attributes", "region_attributes"),
    "fast-plate-ocr": ("image_path", "plate_text"),
    "open-images": tuple(name.lower() for name in sorted(open_images.NEEDED)),
    "gfickel": gfickel.COLUMNS,
}
_KEYS: dict[str, tuple[str, ...]] = {
    "coco": ("images", "annotations", "categories"),
    "labelme": ("shapes", "imagePath"),
    "via": ("_via_img_metadata", "filename", "regions"),
    "createml": ("image", "annotations"),
    "label-studio": ("data", "annotations"),
}


class _Near(NamedTuple):
    """How well a format fits (0 to 1), and what does not."""

    share: float
    name: str
    why: str


def nearest(source: Path) -> str:
    """A sentence on the nearest format; "" where the source holds no label file."""
    paths = [path for path in files_of(source, _LABELS) if path.suffix.lower() in _LABELS]
    if not paths:
        shown = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in _suffixes(source))
        return f"It holds no label file ({', '.join(_LABELS)}); found {shown or 'nothing'}. "
    suffix = Counter(path.suffix.lower() for path in paths).most_common(1)[0][0]
    chosen = [path for path in paths if path.suffix.lower() == suffix][:_LOOKED_AT]
    try:
        near = _OF_SUFFIX[suffix](chosen)
    except ManifestError as error:
        return f"{error} "
    if near is None or not near.share:
        line = next(iter(first_lines(chosen[0], 1)), "")
        return f"{_shown(chosen[0], source)} begins with {_cut(line)}, which is like none of them. "
    return f"Nearest is {near.name}: {near.why}. "


def _suffixes(source: Path) -> list[tuple[str, int]]:
    return Counter(path.suffix.lower() for path in files_of(source, ("",), 1000)).most_common(3)


def _shown(path: Path, source: Path) -> str:
    return str(path.relative_to(root_of(source)))


def _cut(line: str) -> str:
    return repr(line if len(line) <= 80 else line[:77] + "...")


def _of_lines(paths: list[Path]) -> _Near | None:
    lines = [
        (path, number, line)
        for path in paths
        for number, line in enumerate(read_text(path).splitlines()[:50], start=1)
        if line.strip()
    ]
    found = []
    for name, fits in _LINES.items():
        wrong = [entry for entry in lines if not fits(entry[2])]
        if wrong and len(wrong) < len(lines):
            path, number, line = wrong[0]
            why = f"{path.name}, line {number}, does not fit it: {_cut(line)}"
            found.append(_Near(1 - len(wrong) / len(lines), name, why))
    return max(found, key=lambda near: near.share, default=None)


def _of_headers(paths: list[Path]) -> _Near | None:
    path = paths[0]
    read_text(path)  # says which encoding it is not
    header = header_of(path)
    found = []
    for name, columns in _HEADERS.items():
        missing = [column for column in columns if column not in header]
        why = f"{path.name}, line 1, lacks {', '.join(missing)}; found {', '.join(header)}"
        if not missing:  # it is read as a file, not as a folder
            why = f"{path.name} has its columns; give the file itself: {path}"
        found.append(_Near(1 - len(missing) / len(columns), name, why))
    return max(found, key=lambda near: near.share)


def _of_keys(paths: list[Path]) -> _Near | None:
    path = paths[0]
    content: Any = read_json(path)
    kind = "a list" if isinstance(content, list) else "a table"
    entry = content[0] if isinstance(content, list) and content else content
    if not isinstance(entry, dict):
        return None
    found = []
    for name, keys in _KEYS.items():
        missing = [key for key in keys if key not in entry]
        shown = ", ".join(map(str, list(entry)[:8]))
        lack = f"lacks {', '.join(missing)}" if missing else "has its keys with other values"
        found.append(_Near(1 - len(missing) / len(keys), name, f"{path.name}, {kind} with {shown}, {lack}"))
    return max(found, key=lambda near: near.share)


def _of_roots(paths: list[Path]) -> _Near | None:
    root = read_xml(paths[0])
    tags = ", ".join(dict.fromkeys(re.sub(r"\{.*?\}", "", child.tag) for child in root))
    name = "cvat" if root.find("image") is not None or root.tag == "annotations" else "voc"
    why = f"{paths[0].name} has the root <{root.tag}> with {tags or 'nothing'}"
    return _Near(0.5, name, f"{why}; expected <{'annotations' if name == 'cvat' else 'annotation'}>")


_OF_SUFFIX: dict[str, Callable[[list[Path]], _Near | None]] = {
    ".txt": _of_lines,
    ".csv": _of_headers,
    ".json": _of_keys,
    ".xml": _of_roots,
}

"""Label Studio: its JSON, JSON-MIN and CSV exports, with rectangles, polygons, key points, ellipses and transcriptions.

Coordinates are percent of the image; a rectangle is turned clockwise by `rotation` degrees about its top left corner. A
transcription is another result of the same region id; in JSON-MIN and CSV it is the entry of a list beside that of the
shape. A task without an annotation is not known to hold no plate, one with an empty annotation is. Predictions are not
read. Source: the pages on export formats and on image annotation results of Label Studio's documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from alpr.data.importers.labels import Imported, Labels, Wanted, country_among, is_text_name
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.shapes import NOT_FOUR, corner_places, ellipse_box, is_corner_name, quad_or_hull, turned_box
from alpr.data.importers.text_files import header_of, json_of, read_rows
from alpr.images.prepare import IMAGE_SUFFIXES

_SUFFIXES = (".json", ".csv", ".tsv")
_PLACES = {"x", "points", "rle"}
_COORDINATES = ("x", "y", "width", "height", "rotation", "radiusX", "radiusY", "points", "rle")
_KEPT_OUT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}


class _Task(NamedTuple):
    """An image with what one annotator drew on it; `results` is None where nobody did."""

    file: Path
    line: int
    image: str
    results: list[Mapping[str, Any]] | None


def looks_like(source: Path) -> bool:
    """Whether a JSON or CSV file of the source is an export of Label Studio."""
    paths = files_of(source, _SUFFIXES, 10)
    return any(_is_json(json_of(p)) if p.suffix.lower() == ".json" else _is_csv(p) for p in paths)


def _is_json(content: Any) -> bool:
    if not isinstance(content, list) or not content or not all(isinstance(task, dict) for task in content):
        return False
    return _is_whole(content[0]) or any(_holds_shapes(value) for task in content for value in task.values())


def _is_whole(task: Mapping[str, Any]) -> bool:
    return isinstance(task.get("data"), dict) and isinstance(task.get("annotations", task.get("completions")), list)


def _holds_shapes(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(v, dict) and "original_width" in v for v in value)


def _is_csv(path: Path) -> bool:
    names = set(header_of(path))
    return {"id", "annotation_id"} <= names or {"id", "annotator", "lead_time"} <= names


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every export of the source."""
    labels = Labels(root_of(source), wanted)
    for path in files_of(source, _SUFFIXES):
        tasks = list(_tasks_of(labels, path))
        split = split_of_folders(str(path.relative_to(labels.root))) or split_of_name(path.stem)
        for task in tracked(tasks, f"Reading {path.name}", "images"):
            image = _image(labels, task)
            if task.results is None:
                labels.counts["{n} images have no annotation and were left out: nobody said that they hold none."] += 1
                continue
            _read_task(labels, task, image, split or split_of_folders(task.image))
    return labels.finish()


def _tasks_of(labels: Labels, path: Path) -> Iterator[_Task]:
    if path.suffix.lower() != ".json":
        if _is_csv(path):
            for row in read_rows(path):
                if row.fault:
                    labels.reject(path, row.line, "", row.fault)
                    continue
                yield _flat_task(path, row.line, {name: _parsed(cell) for name, cell in row.cells.items()})
        return
    content = json_of(path)
    if not _is_json(content):
        return
    for number, task in enumerate(content, start=1):
        if not _is_whole(task):
            yield _flat_task(path, 0, task)
            continue
        given = task.get("annotations", task.get("completions"))
        annotations = [a for a in given if isinstance(a, dict) and not a.get("was_cancelled")]
        if len(annotations) > 1:
            labels.counts["{n} images have several annotations; the first counts, or the one marked ground truth."] += 1
        chosen = next((a for a in annotations if a.get("ground_truth")), annotations[0] if annotations else None)
        image = _image_of(task["data"]) or f"task {task.get('id', number)}"
        results = None if chosen is None else chosen.get("result")
        whole = isinstance(results, list) and all(isinstance(result, dict) for result in results)
        yield _Task(path, 0, image, results if whole else None)


def _parsed(cell: str) -> Any:
    """A list of JSON in a cell, or the cell."""
    if cell[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _flat_task(path: Path, line: int, task: Mapping[str, Any]) -> _Task:
    """A task of JSON-MIN or CSV: shapes are lists of values, and texts lists beside them, in the same order."""
    columns = {k: v for k, v in task.items() if k not in _KEPT_OUT}
    given: Any = next((v for k, v in columns.items() if is_text_name(k) and v), [])
    texts: list[Any] = given if isinstance(given, list) else [given]
    shapes = {
        json.dumps([value.get(k) for k in _COORDINATES]): {"value": value, **value}
        for entries in columns.values()
        if _holds_shapes(entries)
        for value in sorted(entries, key=_label_of)  # of a shape that stands there twice, the one with its class
    }
    results: list[Mapping[str, Any]] = [{**result, "id": str(number)} for number, result in enumerate(shapes.values())]
    if texts and len(texts) == len(shapes):
        results += [{"id": str(number), "value": {"text": text}} for number, text in enumerate(texts)]
    elif texts:
        results.append({"loose": True})
    done = bool(shapes) or bool(task.get("annotation_id"))
    return _Task(path, line, _image_of(columns) or f"task {task.get('id', line)}", results if done else None)


def _label_of(value: Mapping[str, Any]) -> str:
    return next((str(v[0]) for k, v in value.items() if k.endswith("labels") and isinstance(v, list) and v), "")


def _image_of(data: Mapping[str, Any]) -> str:
    """The image among a task's data: the value called so, or the first that names an image file."""
    named = [data[k] for k in ("image", "ocr", "img", "photo", "url") if isinstance(data.get(k), str)]
    for value in (*named, *(v for v in data.values() if isinstance(v, str))):
        name = _name_of(value)
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            return name
    return named[0] if named else ""


def _name_of(url: str) -> str:
    """The path in a task's URL, such as `/data/local-files/?d=cars/a.jpg` or `s3://bucket/a.jpg`."""
    parts = urlsplit(url)
    inner = parse_qs(parts.query).get("d")
    return inner[0] if inner else unquote(parts.path)


def _image(labels: Labels, task: _Task) -> str | Path:
    """The image of a task; of an uploaded one also without the eight characters that Label Studio puts before it."""
    name = task.image.rpartition("/")[2]
    near = (task.file.parent / "images", task.file.parent)
    found = labels.files.find(task.image.lstrip("/"), *near)
    _, dash, bare = name.partition("-")
    if found is None and dash and "upload/" in task.image:
        found = labels.files.find(bare, *near)
    return found or labels.located(task.image, *near)


def _read_task(labels: Labels, task: _Task, image: str | Path, split: str) -> None:
    regions, texts, classes, countries = _regions(labels, task)
    key_points: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for identity, result in regions.items():
        value = result["value"]
        label = classes.get(identity)
        turned = result.get("image_rotation")
        labels.declare(image, result.get("original_width"), result.get("original_height"), shares=True)
        where = f"region {identity}"
        if turned:
            reason = (
                f"{where}: the image was turned by {turned} degrees in Label Studio, which its coordinates leave unsure"
            )
            labels.add_fault(task.file, task.line, image, reason, label=label, split=split)
            continue
        if "keypointlabels" in value or ("x" in value and "width" in value and "height" not in value):
            parent = result.get("parentID") or ""
            key_points.setdefault(str(parent), []).append((label or "", result))
            continue
        try:
            box, corners = _place(labels, value, _pixels(labels, image, result))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            labels.add_fault(task.file, task.line, image, f"{where}: {error}", label=label, split=split)
            continue
        labels.add(
            task.file,
            task.line,
            image,
            label=label,
            text=texts.get(identity, ""),
            country=countries.get(identity, ""),
            split=split,
            box=box,
            corners=corners,
        )
    _add_key_points(labels, task, image, split, key_points, texts)
    if not regions:
        labels.add_empty(task.file, image, split)


def _regions(
    labels: Labels, task: _Task
) -> tuple[dict[Any, Mapping[str, Any]], dict[Any, str], dict[Any, str], dict[Any, str]]:
    """The shapes of a task, their texts, classes and countries, by the regions' ids."""
    regions: dict[Any, Mapping[str, Any]] = {}
    texts: dict[Any, str] = {}
    classes: dict[Any, str] = {}
    countries: dict[Any, str] = {}
    loose = 0
    for number, result in enumerate(task.results or []):
        value = result.get("value")
        loose += bool(result.get("loose"))
        if not isinstance(value, dict):
            continue
        identity = str(result.get("id", f"result {number}"))
        if "text" in value:
            given = value["text"]
            texts[identity] = str(given[0] if given else "") if isinstance(given, list) else str(given)
        if value.get("choices"):
            countries[identity] = country_among({str(result.get("from_name")): value["choices"][0]})
        label = _label_of(value)
        if label:
            classes[identity] = label
        placed = bool(_PLACES & value.keys())
        known = regions.get(identity)
        # Of the results of a region, the one with a place and a class; one with a class alone is a shape not known.
        if (placed or label) if known is None else placed and (label or not _PLACES & known["value"].keys()):
            regions[identity] = result
    unmatched = [identity for identity in texts if identity not in regions]
    if len(unmatched) == len(regions) == 1:
        texts[next(iter(regions))] = texts[unmatched[0]]
    elif unmatched or loose:
        labels.counts["{n} images have texts that belong to no shape; these were left out."] += 1
    return regions, texts, classes, countries


def _pixels(labels: Labels, image: str | Path, result: Mapping[str, Any]) -> tuple[float, float]:
    """The (width, height) of which coordinates are percent: the declared ones, else the picture's.

    Raises:
        ValueError: neither is known.
    """
    try:
        width, height = float(result["original_width"]), float(result["original_height"])
    except (KeyError, TypeError, ValueError):
        size = labels.size(image)
        if size is None:
            raise ValueError("the image's size is not declared, and the image was not found") from None
        height, width = size
    return width / 100, height / 100


def _place(
    labels: Labels, value: Mapping[str, Any], pixels: tuple[float, float]
) -> tuple[list[float] | None, list[float] | None]:
    """The (box, corners) of a region's value.

    Raises:
        ValueError, TypeError, KeyError: a shape without a place that is known.
    """
    if "points" in value:
        points = [float(v) * scale for point in value["points"] for v, scale in zip(point, pixels, strict=True)]
        box, corners = quad_or_hull(points)
        if corners is None:
            labels.counts[NOT_FOUR] += 1
        return box, corners
    if "rle" in value or "x" not in value:
        raise ValueError("a brush gives no box and no corners; export polygons or rectangles")
    x, y = float(value["x"]) * pixels[0], float(value["y"]) * pixels[1]
    angle = float(value.get("rotation") or 0)
    if "radiusX" in value:
        return ellipse_box(x, y, float(value["radiusX"]) * pixels[0], float(value["radiusY"]) * pixels[1], angle), None
    rectangle = [x, y, x + float(value["width"]) * pixels[0], y + float(value["height"]) * pixels[1]]
    return (None, turned_box(rectangle, angle, (x, y))) if angle else (rectangle, None)


def _add_key_points(
    labels: Labels,
    task: _Task,
    image: str | Path,
    split: str,
    groups: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]],
    texts: Mapping[Any, str],
) -> None:
    """Adds plates of four key points that are named by their corners; others have no place that is known."""
    for group in groups.values():
        order = corner_places([label for label, _ in group]) if len(group) == 4 else None
        if order is None:
            for label, _ in group:
                reason = f"{len(group)} key points are not the four named corners of one plate"
                known = None if is_corner_name(label) else label
                labels.add_fault(task.file, task.line, image, reason, label=known, split=split)
            continue
        corners: list[float] = []
        try:
            for k in order:
                result = group[k][1]
                width, height = _pixels(labels, image, result)
                corners += [float(result["value"]["x"]) * width, float(result["value"]["y"]) * height]
        except (ValueError, TypeError, KeyError) as error:
            labels.add_fault(task.file, task.line, image, f"key points: {error}", split=split)
            continue
        text = next((texts[str(r.get("id"))] for _, r in group if texts.get(str(r.get("id")))), "")
        labels.add(task.file, task.line, image, label=None, text=text, split=split, corners=corners)

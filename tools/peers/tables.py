"""What every adapter does besides asking its package: the pictures of a table, and their predictions as JSON lines.

It needs the standard library and OpenCV alone, since it runs in the environment of the package that is measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np


class Plate(NamedTuple):
    """A plate that was found, or the text of a ready-made crop."""

    corners: Sequence[Sequence[float]]  # (4, 2) px, clockwise from the top left as the text is read
    score: float
    text: str
    text_score: float


class Picture(NamedTuple):
    """A picture of a table, and whether it is a ready-made crop: all of its plates are without a place."""

    name: str
    path: Path
    crop: bool


def pictures_of(table: Path, split: str | None) -> list[Picture]:
    """Every picture of a table's split once, in its order.

    Raises:
        ValueError: no such row.
        OSError: a table that cannot be read.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if split is None or row.get("split") == split]
    if not rows:
        raise ValueError(f"{table} has no row of the split {split}.")
    placed = {row["image"] for row in rows if row.get("x1") or row.get("tl_x")}
    names = dict.fromkeys(row["image"] for row in rows)
    return [Picture(name, table.parent / name, name not in placed) for name in names]


def options(what: str) -> argparse.ArgumentParser:
    """The options that all adapters have."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("table", type=Path, help="a table of labelled plates (CSV)")
    parser.add_argument("output", type=Path, help="predictions.jsonl; a file that is there is gone on with")
    parser.add_argument("--split", help="only the rows of this split, such as val")
    return parser


def run(given: argparse.Namespace, read: Callable[[np.ndarray, bool], list[Plate]]) -> None:
    """Asks for every picture and writes a line at once, so that a run that is stopped goes on where it was.

    Args:
        read: of a picture (H, W, 3) BGR, and whether it is a crop, the plates; of a crop the first one's text counts.
    """
    pictures = pictures_of(given.table, given.split)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    done = _done(given.output)
    began = time.perf_counter()
    with given.output.open("a", encoding="utf-8") as file:
        for number, picture in enumerate(pictures, 1):
            if picture.name not in done:
                file.write(json.dumps(_line(picture, read), ensure_ascii=False, allow_nan=False) + "\n")
                file.flush()
            left = (time.perf_counter() - began) / number * (len(pictures) - number)
            rate = number / (time.perf_counter() - began)
            print(
                f"\r{number} of {len(pictures)}, {rate:.1f} a second, {left:.0f} s left ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)


def _done(output: Path) -> set[str]:
    """The pictures of which a whole line stands there; a line that was cut off is taken out."""
    if not output.is_file():
        return set()
    whole = [line for line in output.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    output.write_text("".join(whole), encoding="utf-8")
    return {json.loads(line)["image"] for line in whole}


def _line(picture: Picture, read: Callable[[np.ndarray, bool], list[Plate]]) -> dict[str, Any]:
    try:
        image = cv2.imdecode(np.fromfile(picture.path, np.uint8), cv2.IMREAD_COLOR)
    except OSError as error:
        return {"image": picture.name, "error": str(error)}
    if image is None:
        return {"image": picture.name, "error": "no picture that OpenCV decodes"}
    began = time.perf_counter()
    try:
        plates = read(image, picture.crop)
    except Exception as error:  # whatever another's package raises: the picture counts as not read, and the run goes on
        return {"image": picture.name, "error": f"{type(error).__name__}: {error}"}
    ms = {"all": round((time.perf_counter() - began) * 1000, 2)}
    if picture.crop:
        text, score = (plates[0].text, plates[0].text_score) if plates else ("", 0.0)
        labelled = [{"plate": 0, "by": "image", "text": text, "text_score": round(float(score), 4)}]
        return {"image": picture.name, "plates": [], "labelled": labelled, "ms": ms}
    found = [
        {
            "corners": np.asarray(plate.corners, np.float64).round(2).tolist(),
            "score": round(float(plate.score), 4),
            "text": plate.text,
            "text_score": round(float(plate.text_score), 4),
        }
        for plate in plates
    ]
    return {"image": picture.name, "plates": found, "ms": ms}

"""Draws docs/images/readings.jpg and docs/images/speed.svg, which the README shows.

python tools/draw_readme.py

Every picture is rendered by `alpr synth`; no photograph takes part. The plates are the first of each set, right or
wrong. The chart is what docs/results/small_plates_widths.json holds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from alpr import Reader
from alpr.cli.main import app
from alpr.files import write_atomically
from alpr.images.prepare import read_image
from alpr.plates.records import ImageArray
from alpr.reports.charts import Line, shares_picture
from alpr.reports.drawing import annotate, annotate_crop, write_jpeg

REPOSITORY = Path(__file__).resolve().parent.parent
COUNTRIES = ("br", "vn", "tn", "us")
WIDTH_PX = 900
SCENE_PX = 520
LARGEST_BYTES = 190_000


def alpr(*words: str) -> None:
    """Runs a verb of the command in this process."""
    app(args=list(words), prog_name="alpr", standalone_mode=False)


def scenes(folder: Path, reader: Reader) -> list[ImageArray]:
    """The first three rendered scenes with what the reader found in them, 520 px square around the first plate."""
    alpr("synth", "ccpd", "--output", str(folder), "--scenes", "6", "--seed", "5", "--workers", "1")
    drawn = []
    for path in sorted(folder.rglob("*.jpg"))[:3]:
        image = read_image(path)
        plates = reader(image)
        centre = plates[0].detection.corners.mean(axis=0) if plates else np.array(image.shape[1::-1]) / 2
        x, y = (
            int(np.clip(c - SCENE_PX / 2, 0, side - SCENE_PX))
            for c, side in zip(centre, image.shape[1::-1], strict=True)
        )
        drawn.append(annotate(image, plates)[y : y + SCENE_PX, x : x + SCENE_PX])
    return drawn


def crops(folder: Path, reader: Reader) -> list[ImageArray]:
    """The first three rendered plates of each country with what the reader says of them."""
    drawn = []
    for country in COUNTRIES:
        places = ("--output", str(folder / country), "--size", "96", "384", "--workers", "1")
        alpr("synth", "plates", "--country", country, "--crops", "3", "--seed", "3", *places)
        images = [read_image(path) for path in sorted((folder / country / "images").glob("*.jpg"))]
        drawn += [
            annotate_crop(image, reading) for image, reading in zip(images, reader.read_crops(images), strict=True)
        ]
    return drawn


def rows(pictures: Sequence[ImageArray], columns: int) -> ImageArray:
    """Pictures in rows of one width, a white gap of 6 px between them."""
    side = (WIDTH_PX - 6 * (columns - 1)) // columns
    small = [
        cv2.resize(p, (side, round(p.shape[0] * side / p.shape[1])), interpolation=cv2.INTER_AREA) for p in pictures
    ]
    height = max(p.shape[0] for p in small)
    canvas = np.full(((height + 6) * -(-len(small) // columns), WIDTH_PX, 3), 255, np.uint8)
    for i, picture in enumerate(small):
        y, x = (height + 6) * (i // columns), (side + 6) * (i % columns)
        canvas[y : y + picture.shape[0], x : x + side] = picture
    return canvas


def speed(kept: Path) -> str:
    """Found plates against milliseconds, of the sizes that were measured, with Wilson's 95 % intervals."""
    curves = json.loads(kept.read_text(encoding="utf-8"))["curves"]
    labels = [f"{curve['input_px']} px, {curve['detector_ms']:.1f} ms" for curve in curves]
    shares = [curve["whole"][0] / curve["whole"][1] * 100 for curve in curves]
    ends = [(100 * curve["whole"][2], 100 * curve["whole"][3]) for curve in curves]
    plates = curves[0]["whole"][1]
    title = f"Plates found (IoU > 0.5) of {plates} in street scenes, by input size and the detector's time on one core"
    return shares_picture(
        labels, {f"found, of {plates} plates in streets": Line(range(len(labels)), shares, ends)}, title=title
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs" / "images", help="the folder to write into")
    output = parser.parse_args().output
    reader = Reader("world", threads=1)
    with tempfile.TemporaryDirectory() as folder:
        picture = np.concatenate(
            [rows(scenes(Path(folder) / "scenes", reader), 3), rows(crops(Path(folder), reader), len(COUNTRIES))]
        )
    write_jpeg(picture, output / "readings.jpg", LARGEST_BYTES)
    kept = REPOSITORY / "docs" / "results" / "small_plates_widths.json"
    write_atomically(output / "speed.svg", [speed(kept).encode()])


if __name__ == "__main__":
    main()

"""Pages for checking corner labels by hand: the four corners of some plates enlarged, and a table for the true ones.

A page shows five plates, a row each: 24x24 px around every labelled corner, twelve times enlarged, with a line per
pixel, the image's own coordinates every 5 px and a cross at the label. Note the true corner's x and y in the table.
A blind page draws no cross and moves the window by up to 5 px, so that the label does not guide the eye.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2
import numpy as np

from alpr.data.manifest import Manifest
from alpr.files import LIST_BYTES, open_regular_text, write_atomically
from alpr.images.prepare import read_image
from alpr.plates.geometry import plate_height
from alpr.plates.records import FloatArray, ImageArray

CORNERS = ("tl", "tr", "br", "bl")
COLUMNS = ("image", "corner", "x", "y", "labelled_x", "labelled_y")
SIDE, ZOOM, PER_PAGE, RULER = 24, 12, 5, 28


def patch(image: ImageArray, corner: FloatArray, moved: tuple[int, int] | None = None) -> ImageArray:
    """The pixels around a corner, enlarged, with rulers: (316, 328, 3).

    Args:
        moved: px by which the window stands off the corner, which is then not shown; None for a cross at it.
    """
    x0, y0 = (int(np.floor(v)) - SIDE // 2 + by for v, by in zip(corner, moved or (0, 0), strict=True))
    rows, columns = np.arange(y0, y0 + SIDE), np.arange(x0, x0 + SIDE)
    pixels = image[np.clip(rows, 0, image.shape[0] - 1)][:, np.clip(columns, 0, image.shape[1] - 1)]
    view = np.kron(pixels, np.ones((ZOOM, ZOOM, 1), np.uint8))
    view[::ZOOM] = view[::ZOOM] // 5 * 4
    view[:, ::ZOOM] = view[:, ::ZOOM] // 5 * 4
    page = np.full((SIDE * ZOOM + RULER, SIDE * ZOOM + RULER + 12, 3), 255, np.uint8)
    page[RULER:, RULER + 12 :] = view
    for offset in range(SIDE):
        at = offset * ZOOM
        if (x0 + offset) % 5 == 0:
            page[RULER - 6 : RULER, RULER + 12 + at] = 0
            _write(page, str(x0 + offset), RULER + at, RULER - 10)
        if (y0 + offset) % 5 == 0:
            page[RULER + at, RULER + 6 : RULER + 12] = 0
            _write(page, str(y0 + offset), 2, RULER + at + 4)
    if moved is not None:
        return page
    # OpenCV's whole numbers are pixel centres, hence the half; 8ths of a pixel.
    x = round(8 * (float(corner[0] - x0) * ZOOM + RULER + 12 - 0.5))
    y = round(8 * (float(corner[1] - y0) * ZOOM + RULER - 0.5))
    for start, end in (((x - 160, y), (x + 160, y)), ((x, y - 160), (x, y + 160))):
        cv2.line(page, start, end, (220, 60, 255), 1, cv2.LINE_AA, shift=3)
    return page


def _write(page: ImageArray, text: str, x: int, y: int) -> None:
    cv2.putText(page, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)


def row_of(manifest: Manifest, row: int, rng: np.random.Generator | None) -> ImageArray:
    """The four corners of one plate beside each other, the plate's image named above them; blind with a generator."""
    image = read_image(manifest.path(row))
    moves = [None if rng is None else tuple(rng.integers(-5, 6, 2).tolist()) for _ in CORNERS]
    patches = [patch(image, corner, move) for corner, move in zip(manifest.corners[row], moves, strict=True)]
    strip = np.concatenate(patches, axis=1)
    head = np.full((24, strip.shape[1], 3), 255, np.uint8)
    name = manifest.image[row].encode("ascii", "replace").decode()
    _write(head, f"{name}   tl, tr, br, bl", 4, 17)
    return np.concatenate([head, strip])


def write_sheets(manifest: Manifest, plates: int, seed: int, output: Path, blind: bool = False) -> None:
    """Writes page-N.png and corners.csv for some plates with labelled corners.

    Raises:
        ValueError: no plate with corners, or an image that cannot be read.
        OSError: a folder that cannot be written, or a table there that may already hold somebody's work.
    """
    table = output / "corners.csv"
    if table.exists():
        raise OSError(f"{table} is there already and may hold noted corners; give another --output.")
    with_corners = np.flatnonzero(~np.isnan(manifest.corners).any(axis=(1, 2)))
    if not len(with_corners):
        raise ValueError("The manifest has no plate with labelled corners.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(with_corners)[:plates]
    output.mkdir(parents=True, exist_ok=True)
    for page, start in enumerate(range(0, len(order), PER_PAGE), 1):
        strips = [row_of(manifest, row, rng if blind else None) for row in order[start : start + PER_PAGE].tolist()]
        _, data = cv2.imencode(".png", np.concatenate(strips))
        write_atomically(output / f"page-{page}.png", [data.tobytes()], sync=False)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in order.tolist():
        for corner, (x, y) in zip(CORNERS, manifest.corners[row].tolist(), strict=True):
            writer.writerow([manifest.image[row], corner, "", "", f"{x:g}", f"{y:g}"])
    write_atomically(table, [text.getvalue().encode()])


def distances(manifest: Manifest, table: Path) -> FloatArray:
    """The distance of every noted corner to its label, as a fraction of the plate's height: (N,).

    Raises:
        ValueError: a row that names no corner of the manifest, or whose x and y are no numbers.
    """
    heights: dict[tuple[str, str, float, float], float] = {}
    for image, corners in zip(manifest.image, manifest.corners, strict=True):
        for name, (x, y) in zip(CORNERS, corners.tolist(), strict=True):
            heights[image, name, round(x, 2), round(y, 2)] = float(plate_height(corners))
    found = []
    with open_regular_text(table, LIST_BYTES, newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            if not (row["x"] or row["y"]):
                continue  # not noted
            try:
                noted, label = ((float(row[f"{p}x"]), float(row[f"{p}y"])) for p in ("", "labelled_"))
                height = heights[row["image"], row["corner"], round(label[0], 2), round(label[1], 2)]
            except (KeyError, ValueError) as error:
                reason = f"expected a corner of the manifest, and numbers ({error})"
                raise ValueError(f"{table}, line {number}: {reason}.") from error
            found.append(np.hypot(noted[0] - label[0], noted[1] - label[1]) / height)
    if not found:
        raise ValueError(f"{table} holds no noted corner; fill in its columns x and y.")
    return np.array(found)


def distances_text(off: FloatArray) -> str:
    """A sentence about distances."""
    return (
        f"{len(off)} corners, distance between noted and labelled / plate height: "
        f"median {np.median(off):.3f}, 95th percentile {np.percentile(off, 95):.3f}"
    )

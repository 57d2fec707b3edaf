"""Boxes and corners: order, crossing, hull, size, and whether they lie inside the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from alpr.data.columns import (
    CORNER_COLUMNS,
    Booleans,
    Floats,
    as_shares,
    convex_clockwise,
    geometry_faults,
    number_cells,
)
from alpr.doctor.findings import DROP, Finding, finding
from alpr.doctor.table import NUMBERS, DoctorTable
from alpr.plates.geometry import corner_box, plate_height, plate_width

Mending = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Limits:
    """From where on something is reported.

    Attributes:
        hull_px: the difference between a side of the box and of the corners' hull.
        outside_px: how far a point may lie outside the image.
        height_px, character_px: a smaller plate, or one with less width per character, cannot be read.
        aspect: plates have a width between these times their height.
        turned_deg: text that runs further from the horizontal had another first corner.
        whole: the share of the image's area from which on a box is the whole image.
    """

    hull_px: float = 3.0
    outside_px: float = 1.0
    height_px: float = 8.0
    character_px: float = 3.0
    aspect: tuple[float, float] = (0.4, 10.0)
    turned_deg: float = 60.0
    whole: float = 0.95


def geometry_findings(table: DoctorTable, sizes: Floats, limits: Limits | None = None) -> list[Finding]:
    """What is wrong with the places of plates.

    Args:
        sizes: (N, 2) height and width of every row's image in px, NaN where it was not opened.
    """
    limits = limits or Limits()
    faults = geometry_faults(table.box, table.corners)
    found = [finding(table, i, "number-invalid", _sentence(reason), DROP) for i, reason in sorted(table.wrong.items())]
    shares = as_shares(table.box, table.corners)
    found += _shares(table, np.flatnonzero(shares).tolist(), sizes)
    quads: Booleans = np.asarray(np.isfinite(table.numbers[:, 4:]).all(axis=1) & ~shares)
    in_order: Booleans = np.logical_and(quads, convex_clockwise(table.corners))
    for i, reason in sorted(faults.items()):
        if i not in table.wrong and not shares[i] and (in_order[i] or not quads[i]):  # the box, or half a label
            found.append(
                finding(table, i, "box-empty" if "area" in reason else "row-rejected", _sentence(reason), DROP)
            )
    found += _disordered(table, np.flatnonzero(quads & ~in_order).tolist())
    found += _turned(table, in_order, limits.turned_deg)
    boxes = (
        np.isfinite(table.box).all(axis=1) & (table.box[:, 2] > table.box[:, 0]) & (table.box[:, 3] > table.box[:, 1])
    )
    boxes &= ~shares
    found += _hulls(table, boxes & in_order, limits.hull_px)
    found += _declared(table, sizes)
    found += _outside(table, in_order, boxes, sizes, limits)
    return found + _shapes(table, in_order, boxes, sizes, limits)


def _shares(table: DoctorTable, rows: list[int], sizes: Floats) -> list[Finding]:
    found = []
    for i in rows:
        height, width = sizes[i]
        message = "The coordinates lie between 0 and 1: they are shares of the image; px are expected."
        if np.isnan(width):
            found.append(finding(table, i, "coordinates-shares", message))
            continue
        px = np.round(table.numbers[i] * np.tile([width, height], 6), 2)
        cells = tuple((name, cell) for name, cell in zip(NUMBERS, number_cells(px), strict=True) if cell)
        found.append(
            finding(table, i, "coordinates-shares", f"{message} The image has {width:.0f}x{height:.0f} px.", cells)
        )
    return found


def _declared(table: DoctorTable, sizes: Floats) -> list[Finding]:
    """Images that have another size than the table says: the labels were made on another picture."""
    found = []
    with np.errstate(invalid="ignore"):
        other = np.flatnonzero((np.abs(table.declared - sizes) > 0.5).any(axis=1))
    for i in other.tolist():
        (said_h, said_w), (height, width) = table.declared[i].tolist(), sizes[i].tolist()
        message = f"The table says {said_w:g}x{said_h:g} px, the image has {width:g}x{height:g}: "
        if (said_h, said_w) == (width, height):
            message += "it was turned, or its orientation is read differently."
        elif said_w > 0 and said_h > 0 and abs(width / said_w * said_h - height) <= 1:
            message += (
                f"it was resized after it was labelled, and coordinates must be multiplied by {width / said_w:.4g}."
            )
        else:
            message += "it was cut or is another picture."
        found.append(finding(table, i, "image-size", message))
    return found


def mended_corners(corners: Floats) -> Floats | None:
    """Four points as corners clockwise from the top left; None where that is not certain.

    The order round the points is certain where they lie convexly; the first corner is, where the text then runs
    within 30 degrees of the horizontal.
    """
    hull = cv2.convexHull(corners.astype(np.float32).reshape(-1, 1, 2), clockwise=True, returnPoints=False)
    if hull is None or len(hull) != 4:
        return None
    points = corners[hull.ravel()]
    if not convex_clockwise(points[None])[0]:
        points = points[::-1]
    turns = [np.roll(points, -start, axis=0) for start in range(4)]
    best = min(turns, key=lambda p: abs(text_angle(p[None])[0]))
    certain = convex_clockwise(best[None])[0] and abs(text_angle(best[None])[0]) < 30
    wide = plate_width(best) > plate_height(best)
    return best if certain and wide else None


def text_angle(corners: Floats) -> Floats:
    """The direction of the text in degrees, -180 to 180, clockwise from the horizontal: (N, 4, 2) -> (N,)."""
    run = corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3]
    return np.asarray(np.degrees(np.arctan2(run[:, 1], run[:, 0])))


def _disordered(table: DoctorTable, rows: list[int]) -> list[Finding]:
    found = []
    for i in rows:
        corners = table.corners[i]
        backwards = convex_clockwise(corners[None, ::-1])[0]
        rule = "corners-anticlockwise" if backwards else "corners-crossed"
        mended = mended_corners(corners)
        why = "run anticlockwise" if backwards else "cross or lie on a line"
        found.append(finding(table, i, rule, f"The corners {why}.", DROP if mended is None else _cells(mended)))
    return found


def _turned(table: DoctorTable, in_order: Booleans, limit: float) -> list[Finding]:
    rows = np.flatnonzero(in_order)
    angles = text_angle(table.corners[rows])
    found = []
    for i, angle in zip(rows[np.abs(angles) > limit].tolist(), angles[np.abs(angles) > limit].tolist(), strict=True):
        mended = mended_corners(table.corners[i])
        certain = mended is not None and not np.array_equal(mended, table.corners[i])
        message = f"From the first corner the text would run at {angle:.0f} degrees; the first is not the top left one."
        found.append(
            finding(table, i, "corners-start", message, _cells(mended) if certain and mended is not None else ())
        )
    return found


def _cells(corners: Floats) -> Mending:
    return tuple(zip(CORNER_COLUMNS, number_cells(corners.reshape(-1)), strict=True))


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."


def hull_differences(table: DoctorTable) -> Floats:
    """The largest difference in px between a side of the box and of the hull of the corners, of rows with both."""
    both = np.isfinite(table.numbers).all(axis=1)
    return np.asarray(np.abs(table.box[both] - corner_box(table.corners[both])).max(axis=1, initial=0))


def _hulls(table: DoctorTable, both: Booleans, limit: float) -> list[Finding]:
    rows = np.flatnonzero(both)
    worst = np.abs(table.box[rows] - corner_box(table.corners[rows])).max(axis=1, initial=0)
    return [
        finding(table, i, "box-not-hull", f"A side of the box is {px:.1f} px from the corners' hull.", score=px)
        for i, px in zip(rows[worst > limit].tolist(), worst[worst > limit].tolist(), strict=True)
    ]


def _outside(table: DoctorTable, quads: Booleans, boxes: Booleans, sizes: Floats, limits: Limits) -> list[Finding]:
    found = []
    width = np.where(np.isnan(sizes[:, 1]), np.inf, sizes[:, 1])
    height = np.where(np.isnan(sizes[:, 0]), np.inf, sizes[:, 0])
    hulls = corner_box(table.corners)
    for rule, what, chosen, boxed in (
        ("corners-outside", "A corner lies", quads, hulls),
        ("box-outside", "The box reaches", boxes, table.box),
    ):
        beyond = np.stack([-boxed[:, 0], -boxed[:, 1], boxed[:, 2] - width, boxed[:, 3] - height], axis=1).max(axis=1)
        for i in np.flatnonzero(chosen & (beyond > limits.outside_px)).tolist():
            size = "" if np.isinf(width[i]) else f" of {width[i]:.0f}x{height[i]:.0f} px"
            message = f"{what} {beyond[i]:.1f} px outside the image{size}."
            found.append(finding(table, i, rule, message, score=float(beyond[i])))
    return found


def _shapes(table: DoctorTable, quads: Booleans, boxes: Booleans, sizes: Floats, limits: Limits) -> list[Finding]:
    width = np.where(quads, plate_width(table.corners), np.where(boxes, table.box[:, 2] - table.box[:, 0], sizes[:, 1]))
    height = np.where(
        quads, plate_height(table.corners), np.where(boxes, table.box[:, 3] - table.box[:, 1], sizes[:, 0])
    )
    placed = quads | boxes
    plates = np.array([kind != "ignore" for kind in table.kind], bool)
    lengths = np.array([len(text.strip()) for text in table.text])
    given = plates & (placed | (lengths > 0)) & np.isfinite(width) & np.isfinite(height)
    with np.errstate(divide="ignore", invalid="ignore"):
        aspect = width / height
        per_character = np.where(lengths > 0, width / np.maximum(lengths, 1), np.inf)
    found = []
    small = given & ((height < limits.height_px) | (per_character < limits.character_px))
    for i in np.flatnonzero(small).tolist():
        message = f"The plate is {width[i]:.0f}x{height[i]:.0f} px"
        message += f", {per_character[i]:.1f} px per character." if lengths[i] else "."
        found.append(finding(table, i, "plate-small", message, score=-float(height[i])))
    odd = given & placed & ((aspect < limits.aspect[0]) | (aspect > limits.aspect[1]))
    for i in np.flatnonzero(odd).tolist():
        message = f"The plate is {width[i]:.0f}x{height[i]:.0f} px: {aspect[i]:.2f} times as wide as high."
        found.append(finding(table, i, "plate-aspect", message))
    hull = np.where(boxes[:, None], table.box, corner_box(table.corners))
    area = (hull[:, 2] - hull[:, 0]) * (hull[:, 3] - hull[:, 1])
    with np.errstate(invalid="ignore"):
        whole = plates & placed & (area >= limits.whole * sizes[:, 0] * sizes[:, 1])
    return found + [
        finding(table, i, "box-whole-image", "The box covers the whole image; a crop is given without a box.")
        for i in np.flatnonzero(whole).tolist()
    ]

"""Where the characters of a known text stand in a picture of their plate: forced alignment, without a trained model.

A grid of frames (slope, slant, height, width) is tried. In each, every glyph is correlated with the picture and dynamic
programming finds the row and the places that agree best with the order and the spacing of the text. The best frame is
registered to the whole row (Evangelidis and Psarakis 2008, ECC), then every character on its own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.records import FloatArray
from alpr.synthetic.glyphs import Mask

GLYPH_HEIGHT = 90
"""px; a glyph is a mask of this height and of the width of its layout's cell."""
COARSE, FINE = 16, 48
"""The height of a character in px while frames are tried, and while the best one is refined."""
REACH = 4
"""How far a character may stand from its place in the row, in px at the fine size."""
_Grid = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]
# Slopes in heights of the picture over its width, slants, factors on the expected height and width of the row.
_LOOSE: _Grid = ((-0.45, -0.3, -0.15, 0, 0.15, 0.3, 0.45), (-0.3, 0, 0.3), (0.6, 0.75, 0.9, 1.05), (0.84, 0.94, 1.05))
_TIGHT: _Grid = ((-0.08, 0, 0.08), (0,), (0.92, 1, 1.08), (0.94, 1, 1.06))
_STRAYING = 0.3  # the price of a character's straying from its step, per cell height


@dataclass(frozen=True)
class TextRow:
    """What is known of a row of text before it is looked for.

    Attributes:
        glyphs: a mask (90, w) per character, all of one width.
        steps: from each character's centre to the next, in cell heights.
        slack: how much less and more a step may be, in cell heights.
        scale: the expected height of a character and the px that a cell height makes along the row, both in px.
        framed: whether the picture was cut by the plate's corners, so that the row stands level in its middle.
    """

    glyphs: tuple[Mask, ...]
    steps: tuple[float, ...]
    slack: tuple[float, float]
    scale: tuple[float, float]
    framed: bool


class Alignment(NamedTuple):
    """The characters of a text found in a picture."""

    frame: FloatArray  # (3, 3), px at the fine size to px of the picture
    centres: FloatArray  # (N, 2) x, y at the fine size
    sign: float  # 1 where the ink is lighter than the plate, -1 where it is darker
    agreement: FloatArray  # (N,) correlation of each character with its glyph, -1..1

    def cell_matrix(self, index: int, margin: int, width: int) -> FloatArray:
        """(3, 3): from px of a character's cell, 90 high, with a margin all around, to px of the picture."""
        k = FINE / GLYPH_HEIGHT
        x, y = self.centres[index]
        left, top = x - (width / 2 + margin) * k, y - (GLYPH_HEIGHT / 2 + margin) * k
        return np.asarray(self.frame @ np.array([[k, 0, left], [0, k, top], [0, 0, 1]]))


class _Fit(NamedTuple):
    score: float
    sign: float
    y: float
    x: tuple[float, ...]
    frame: FloatArray


def align(picture: npt.NDArray[np.float32], row: TextRow, start: Alignment | None = None) -> Alignment:
    """The places of a text's characters in a picture (H, W) of its plate.

    Args:
        start: an earlier alignment, which is refined instead of trying frames.
    """
    if start is None:
        best = _search(picture, row)
        zoom = FINE / COARSE
        frame = best.frame @ np.diag([1 / zoom, 1 / zoom, 1.0])
        start = Alignment(frame, np.array([(x * zoom, best.y * zoom) for x in best.x]), best.sign, np.zeros(0))
    frame = _registered(picture, row, start)
    return _settled(picture, row, start._replace(frame=frame))


def _sized(glyph: Mask, height: int, margin: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A glyph at another height with a margin (rows, columns), softened as a photograph is."""
    width = max(2, round(glyph.shape[1] * height / glyph.shape[0]))
    small = cv2.resize(glyph, (width, height), interpolation=cv2.INTER_AREA)
    padded = cv2.copyMakeBorder(small, margin[0], margin[0], margin[1], margin[1], cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.GaussianBlur(padded, (0, 0), height / 32).astype(np.float32))


def _canvas(row: TextRow) -> tuple[int, int]:
    """(height, width) at the coarse size of the strip in which the row is looked for."""
    length = sum(row.steps) + (len(row.glyphs) - 1) * max(0.0, row.slack[1] - 0.3) + 1.6
    return round(2.2 * COARSE), round(min(1.5 * length, length + 2) * COARSE)


def _frame(picture: FloatArray, row: TextRow, params: tuple[float, float, float, float]) -> FloatArray:
    """From the strip at the coarse size to the picture, for one slope, slant, height and width."""
    slope, slant, tall, wide = params
    height, width = picture.shape
    rows, columns = _canvas(row)
    ky, kx = row.scale[0] / COARSE * tall, row.scale[1] / COARSE * wide
    rise = slope * height / width
    linear = np.array([[kx, kx * slant], [rise * kx, ky + rise * kx * slant]])
    shift = np.array([width / 2, height / 2]) - linear @ np.array([columns / 2, rows / 2])
    return np.vstack([np.column_stack([linear, shift]), [0, 0, 1]])


def _search(picture: npt.NDArray[np.float32], row: TextRow) -> _Fit:
    """The best fit over the grid of frames, tried on the picture made as small as the coarse size allows."""
    shrink = min(1.0, COARSE * 1.5 / row.scale[0])
    small = np.asarray(cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.float32)
    fy, fx = small.shape[0] / picture.shape[0], small.shape[1] / picture.shape[1]
    fit = _best_of_grid(small, replace(row, scale=(row.scale[0] * fy, row.scale[1] * fx)))
    return fit._replace(frame=np.diag([1 / fx, 1 / fy, 1.0]) @ fit.frame)


def _best_of_grid(picture: npt.NDArray[np.float32], row: TextRow) -> _Fit:
    """First slopes and heights, then slants and widths for the three best of them."""
    slopes, slants, heights, widths = _TIGHT if row.framed else _LOOSE
    glyphs = [_sized(glyph, COARSE, (2, 1)) for glyph in row.glyphs]
    middle = widths[len(widths) // 2]
    first = [(a, 0.0, tall, middle) for a, tall in itertools.product(slopes, heights)]
    fits = {params: _fit(picture, row, glyphs, params) for params in first}
    for a, _, tall, _ in sorted(fits, key=lambda p: -fits[p].score)[:3]:
        for params in itertools.product((a,), slants, (tall,), widths):
            if params not in fits:
                fits[params] = _fit(picture, row, glyphs, params)
    return max(fits.values(), key=lambda fit: fit.score)


def _fit(
    picture: npt.NDArray[np.float32],
    row: TextRow,
    glyphs: list[npt.NDArray[np.float32]],
    params: tuple[float, float, float, float],
) -> _Fit:
    """The best row and places in one frame, for ink lighter or darker than the plate."""
    frame = _frame(picture, row, params)
    strip = _strip(picture, frame, _canvas(row))
    known: dict[int, FloatArray] = {}  # a character that stands twice is looked for once
    for glyph, mask in zip(glyphs, row.glyphs, strict=True):
        if id(mask) not in known:
            known[id(mask)] = np.asarray(cv2.matchTemplate(strip, glyph, cv2.TM_CCOEFF_NORMED), np.float32)
    maps = np.stack([known[id(mask)] for mask in row.glyphs])
    tall, wide = glyphs[0].shape
    found = []
    for sign in (1.0, -1.0):
        score, y, places = best_places(maps * sign, row.steps, row.slack)
        found.append(_Fit(score, sign, y + tall / 2, tuple(x + wide / 2 for x in places), frame))
    return max(found, key=lambda fit: fit.score)


def best_places(
    maps: FloatArray, steps: tuple[float, ...], slack: tuple[float, float]
) -> tuple[float, int, tuple[int, ...]]:
    """The mean score, the row and the columns of the best path through score maps (N, R, X), one per character.

    Args:
        steps: expected distances of neighbours in cell heights of 16 px; straying from them costs.
        slack: how much less and more they may be.
    """
    total, back = maps[0], []
    columns = total.shape[1]
    for scores, step in zip(maps[1:], steps, strict=True):
        best = np.full_like(total, -np.inf)
        come = np.zeros(total.shape, np.int32)
        for d in range(max(1, round((step - slack[0]) * COARSE)), round((step + slack[1]) * COARSE) + 1):
            if d >= columns:
                break
            price = _STRAYING * abs(d / COARSE - step) / (1 + 4 * sum(slack))
            moved = total[:, :-d] - price
            better = moved > best[:, d:]
            best[:, d:][better], come[:, d:][better] = moved[better], d
        total = best + scores
        back.append(come)
    at = int(np.argmax(total))
    y, x = divmod(at, columns)
    score, places = float(total[y, x]) / len(maps), [x]
    for come in reversed(back):
        places.append(places[-1] - int(come[y, places[-1]]))
    return score, y, tuple(reversed(places))


def _strip(picture: npt.NDArray[np.float32], frame: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(picture, frame, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _fine_strip(picture: npt.NDArray[np.float32], row: TextRow, alignment: Alignment) -> npt.NDArray[np.float32]:
    """The strip at the fine size, ink light, what varies slowly taken away."""
    rows, columns = _canvas(row)
    size = (round(rows * FINE / COARSE), round(columns * FINE / COARSE))
    strip = alignment.sign * _strip(picture, alignment.frame, size)
    return np.asarray(strip - cv2.GaussianBlur(strip, (0, 0), FINE * 0.6), np.float32)


def _registered(picture: npt.NDArray[np.float32], row: TextRow, start: Alignment) -> FloatArray:
    """The frame after the whole row was registered to the picture; the frame as it was where that fails."""
    strip = _fine_strip(picture, row, start)
    ink = np.zeros_like(strip)
    for glyph, (x, y) in zip(row.glyphs, start.centres, strict=True):
        _lay(ink, _sized(glyph, FINE, (0, 0)), x, y)
    near = (cv2.dilate(ink, np.ones((17, 17), np.uint8)) > 0).astype(np.uint8)
    ink = np.asarray(ink - cv2.GaussianBlur(ink, (0, 0), FINE * 0.6), np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    warp = np.eye(3, dtype=np.float32)
    try:
        affine = cv2.findTransformECC(ink, strip, warp[:2].copy(), cv2.MOTION_AFFINE, criteria, near, 5)[1]
        warp[:2] = affine
        full = cv2.findTransformECC(ink, strip, warp.copy(), cv2.MOTION_HOMOGRAPHY, criteria, near, 5)[1]
    except cv2.error:  # it does not converge on a picture without ink
        full = warp
    rows, columns = strip.shape
    moved = full @ np.array([[0, columns, columns, 0], [0, 0, rows, rows], [1, 1, 1, 1.0]])
    away = np.abs(moved[:2] / moved[2] - np.array([[0, columns, columns, 0], [0, 0, rows, rows]])).max()
    return np.asarray(start.frame @ full if away < FINE else start.frame)


def _lay(canvas: npt.NDArray[np.float32], glyph: npt.NDArray[np.float32], x: float, y: float) -> None:
    """Puts a glyph centred at x, y; what stands over the edge is cut off."""
    left, top = round(x - glyph.shape[1] / 2), round(y - glyph.shape[0] / 2)
    x0, y0 = max(0, -left), max(0, -top)
    target = canvas[max(0, top) : top + glyph.shape[0], max(0, left) : left + glyph.shape[1]]
    source = glyph[y0 : y0 + target.shape[0], x0 : x0 + target.shape[1]]
    np.maximum(target, source, out=target)


def _settled(picture: npt.NDArray[np.float32], row: TextRow, alignment: Alignment) -> Alignment:
    """Every character moved to where it agrees best, within the reach."""
    strip = _fine_strip(picture, row, alignment)
    room = 4 * REACH
    wide = cv2.copyMakeBorder(strip, room + FINE, room + FINE, room + FINE, room + FINE, cv2.BORDER_REPLICATE)
    centres, agreement = [], []
    for mask, (x, y) in zip(row.glyphs, alignment.centres, strict=True):
        glyph = _sized(mask, FINE, (4, 3))
        top, left = round(y - glyph.shape[0] / 2) - REACH, round(x - glyph.shape[1] / 2) - REACH
        y0, x0 = max(0, top + room + FINE), max(0, left + room + FINE)
        patch = wide[y0 : y0 + glyph.shape[0] + 2 * REACH, x0 : x0 + glyph.shape[1] + 2 * REACH]
        if patch.shape != (glyph.shape[0] + 2 * REACH, glyph.shape[1] + 2 * REACH):
            centres.append((float(x), float(y)))
            agreement.append(-1.0)
            continue
        scores = np.asarray(cv2.matchTemplate(patch, glyph, cv2.TM_CCOEFF_NORMED), np.float32)
        _, peak, _, (px, py) = cv2.minMaxLoc(scores)
        dx, dy = _between(scores[py], px), _between(scores[:, px], py)
        centres.append((left + px + dx + glyph.shape[1] / 2, top + py + dy + glyph.shape[0] / 2))
        agreement.append(float(peak))
    return alignment._replace(centres=np.array(centres), agreement=np.array(agreement))


def _between(values: FloatArray, at: int) -> float:
    """The offset of the peak from a sample, by a parabola through its neighbours."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend

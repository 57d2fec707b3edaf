"""Paint on a flat plate: backgrounds, bands, separators, borders, bolts, embossing. Images are BGR."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from alpr.plates.layout import Band, Layout
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic import effects
from alpr.synthetic.glyphs import Mask, text_mask
from alpr.synthetic.placement import Mark

Colour = tuple[float, float, float]
_SHIFT, _UNIT = 4, 16  # OpenCV draws at sixteenths of a pixel
_RELIEF = np.array([[1, 1, 0], [1, 0, -1], [0, -1, -1]], np.float32) / 3


def bgr(colour: str) -> Colour:
    """The (blue, green, red) of '#rrggbb'."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)


def painted(image: ImageArray, cover: Mask, colour: Colour) -> ImageArray:
    """The image with a colour laid over it where `cover` (h, w) is above 0."""
    paint = np.empty_like(image)
    paint[:] = colour
    weight = cover.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(image, paint, 1 - weight, weight), dtype=np.uint8)


def gradient(stops: FloatArray, size: tuple[int, int]) -> ImageArray:
    """Colours (S, 3), evenly spaced from the top to the bottom, as an image of (height, width)."""
    if len(stops) == 1:
        flat = np.empty((*size, 3), np.uint8)
        flat[:] = stops[0]
        return flat
    position = np.linspace(0, len(stops) - 1, size[0])
    lower = np.minimum(position.astype(int), len(stops) - 2)
    share = (position - lower)[:, None]
    rows = (stops[lower] * (1 - share) + stops[lower + 1] * share).astype(np.uint8)[:, None]
    return np.asarray(cv2.resize(rows, (size[1], size[0]), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def embossed(plate: ImageArray, ink: Mask, strength: float) -> ImageArray:
    """Raised strokes: they shine on the side towards the light and are dark on the other."""
    for kernel, sign in ((_RELIEF, strength), (-_RELIEF, -strength)):
        edge = cv2.cvtColor(cv2.filter2D(ink, -1, kernel), cv2.COLOR_GRAY2BGR)
        plate = np.asarray(cv2.addWeighted(plate, 1.0, edge, sign, 0), dtype=np.uint8)
    return plate


@lru_cache(maxsize=256)
def border_mask(size: tuple[int, int], unit: float) -> Mask:
    """The ink (h, w) of a line along the plate's edge; `unit` px per mm."""
    over = 4
    ink = np.zeros((size[0] * over, size[1] * over), np.uint8)
    px = unit * over
    inset, radius = 3.5 * px, 9 * px
    h, w = ink.shape[0] - inset, ink.shape[1] - inset
    points = []
    for cx, cy, start in (
        (w - radius, inset + radius, -90),
        (w - radius, h - radius, 0),
        (inset + radius, h - radius, 90),
        (inset + radius, inset + radius, 180),
    ):
        points.append(cv2.ellipse2Poly((round(cx), round(cy)), (round(radius),) * 2, 0, start, start + 90, 6))
    line = np.concatenate(points).reshape(-1, 1, 2)
    cv2.polylines(ink, [line], True, 255, max(1, round(2.2 * px)))
    return np.asarray(cv2.resize(ink, (size[1], size[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)


@lru_cache(maxsize=512)
def mark_mask(kind: str, size: tuple[int, int]) -> Mask:
    """The ink (h, w) of a dot, a dash or a line in the space between two characters."""
    over = 4
    h, w = size[0] * over, size[1] * over
    ink = np.zeros((h, w), np.uint8)
    if kind == "dot":
        cv2.circle(ink, (w // 2, h // 2), max(1, round(min(0.056 * h, 0.4 * w))), 255, -1)
    elif kind == "dash":
        thickness = max(1, round(0.11 * h))
        cv2.line(ink, (round(0.2 * w), h // 2), (round(0.8 * w), h // 2), 255, thickness)
    elif kind == "line":
        cv2.line(ink, (w // 2, 0), (w // 2, h), 255, max(1, round(0.04 * h)))
    elif kind == "star":
        angles = np.deg2rad(-90 + 36 * np.arange(10))
        radius = np.where(np.arange(10) % 2, 0.4, 1.0) * 0.42 * min(w, h)
        points = np.stack([w / 2 + radius * np.cos(angles), h / 2 + radius * np.sin(angles)], axis=1)
        cv2.fillPoly(ink, [points.round().astype(np.int32)], 255)
    return np.asarray(cv2.resize(ink, (size[1], size[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def draw_mark(plate: ImageArray, ink: Mask, mark: Mark, unit: float, rng: np.random.Generator) -> None:
    """A separator: as ink where it is printed like the characters, else in its own colours."""
    x, y = mark.x * unit, mark.y * unit
    if mark.kind == "emblem":
        _draw_emblem(plate, x, y - 0.01 * plate.shape[0], 10.5 * unit)
    elif mark.kind == "seals":
        for offset, colours in ((-0.24, _SEALS[int(rng.random() * len(_SEALS))]), (0.24, ((225, 222, 215),) * 2)):
            _draw_seal(plate, x, y + offset * mark.height * unit, min(0.42 * mark.width, 17.0) * unit, colours)
    elif mark.kind == "arms":
        _draw_arms(plate, x, y, min(0.4 * mark.width, 0.4 * mark.height) * unit)
    else:
        height, width = max(2, round(mark.height * unit)), max(2, round(mark.width * unit))
        top, left = max(0, round(y - height / 2)), max(0, round(x - width / 2))
        target = ink[top : top + height, left : left + width]
        mask = mark_mask(mark.kind, (height, width))[: target.shape[0], : target.shape[1]]
        np.maximum(target, mask, out=target)


_SEALS: tuple[tuple[Colour, Colour], ...] = (
    ((60, 150, 220), (30, 40, 60)), ((180, 120, 40), (240, 240, 240)), ((70, 170, 90), (40, 60, 40)),
    ((150, 110, 190), (70, 50, 90)), ((60, 200, 230), (40, 90, 110)), ((60, 110, 170), (30, 30, 30)),
)  # fmt: skip


def _circle(image: ImageArray, x: float, y: float, radius: float, colour: Colour) -> None:
    centre = (round(x * _UNIT), round(y * _UNIT))
    cv2.circle(image, centre, max(1, round(radius * _UNIT)), colour, -1, cv2.LINE_AA, _SHIFT)


def _draw_seal(plate: ImageArray, x: float, y: float, radius: float, colours: tuple[Colour, Colour]) -> None:
    _circle(plate, x, y, radius, colours[0])
    _circle(plate, x, y, 0.62 * radius, colours[1])
    _circle(plate, x, y, 0.3 * radius, colours[0])


def _draw_arms(plate: ImageArray, x: float, y: float, radius: float) -> None:
    shape = np.array([(-0.8, -1), (0.8, -1), (0.8, 0.2), (0, 1.1), (-0.8, 0.2)]) * radius + (x, y)
    cv2.fillPoly(plate, [(shape * _UNIT).round().astype(np.int32)], (45, 40, 190), cv2.LINE_AA, _SHIFT)
    _circle(plate, x, y - 0.2 * radius, 0.4 * radius, (235, 235, 235))
    foot = (np.array([(-0.5, 0.5), (0.5, 0.5), (0, 1)]) * radius + (x, y)) * _UNIT
    cv2.fillPoly(plate, [foot.round().astype(np.int32)], (170, 80, 30), cv2.LINE_AA, _SHIFT)


def _draw_emblem(plate: ImageArray, x: float, y: float, radius: float) -> None:
    """The round mark of Chinese new-energy plates: a blue arc, a green foot and a plug on white."""
    centre, r = (round(x * _UNIT), round(y * _UNIT)), radius * _UNIT
    full = (round(r), round(r))
    cv2.circle(plate, centre, round(r * 1.1), (110, 130, 110), -1, cv2.LINE_AA, _SHIFT)
    cv2.ellipse(plate, centre, full, 0, 0, 360, (225, 225, 220), -1, cv2.LINE_AA, _SHIFT)
    cv2.ellipse(plate, centre, full, 0, 150, 290, (190, 120, 30), -1, cv2.LINE_AA, _SHIFT)
    cv2.ellipse(plate, centre, full, 0, 30, 150, (100, 160, 60), -1, cv2.LINE_AA, _SHIFT)
    inner = (round(r * 0.55), round(r * 0.45))
    cv2.ellipse(plate, centre, inner, 0, 0, 360, (225, 225, 235), -1, cv2.LINE_AA, _SHIFT)
    cv2.ellipse(plate, centre, (round(r * 0.3), round(r * 0.2)), 0, 0, 360, (70, 90, 200), -1, cv2.LINE_AA, _SHIFT)


def draw_bands(plate: ImageArray, layout: Layout, unit: float, rng: np.random.Generator) -> None:
    """The strips along the plate's sides with their print and stars."""
    height, width = plate.shape[:2]
    for band in layout.bands:
        thick = round(band.mm * unit)
        if band.side in ("left", "right"):
            x = 0 if band.side == "left" else width - thick
            place = plate[:, x : x + thick]
        else:
            y = 0 if band.side == "top" else height - thick
            place = plate[y : y + thick]
        if band.background:
            place[:] = bgr(band.background)
        text = band.texts[int(rng.random() * len(band.texts))] if band.texts else ""
        _print_band(place, band, text)


def _print_band(place: ImageArray, band: Band, text: str) -> None:
    h, w = place.shape[:2]
    upright = band.side in ("left", "right")
    if band.stars:
        radius = 0.3 * w
        for angle in np.deg2rad(30 * np.arange(12)):
            x, y = w / 2 + radius * np.cos(angle), 0.3 * h + radius * np.sin(angle)
            _circle(place, float(x), float(y), max(0.5, 0.055 * w), (40, 210, 250))
    if band.arms:
        _draw_arms(place, 0.5 * w, 0.22 * h if upright and text else 0.5 * h, 0.36 * min(h, w))
    if not text:
        return
    # Side bands carry a short code at the foot; the others a line of print.
    size = (round(0.24 * h), round(0.8 * w)) if upright else (round(0.56 * h), round(0.94 * w))
    if band.stacked:
        _print_stacked(place, band, text)
        return
    if min(size) < 3:
        return
    top = round(0.66 * h) if upright and band.stars else round((h - size[0]) * (0.55 if upright else 0.5))
    left = (w - size[1]) // 2
    target = place[top : top + size[0], left : left + size[1]]
    target[:] = painted(np.ascontiguousarray(target), text_mask(text, size), bgr(band.foreground))


def _print_stacked(place: ImageArray, band: Band, text: str) -> None:
    """Letters below each other, in the lower two thirds where arms stand above them."""
    h, w = place.shape[:2]
    begin = 0.42 * h if band.arms else 0.15 * h
    step = (0.9 * h - begin) / len(text)
    size = (max(3, round(0.8 * step)), max(3, round(0.5 * w)))
    for number, letter in enumerate(text):
        top, left = round(begin + number * step), (w - size[1]) // 2
        target = place[top : top + size[0], left : left + size[1]]
        target[:] = painted(np.ascontiguousarray(target), text_mask(letter, size), bgr(band.foreground))


def draw_bolts(plate: ImageArray, layout: Layout, unit: float, metal: Colour, rng: np.random.Generator) -> None:
    """Screw heads at the layout's holes, one in four missing."""
    size = (4.5 + 4 * float(rng.random())) * unit
    dark: Colour = (0.4 * metal[0], 0.4 * metal[1], 0.4 * metal[2])
    bright: Colour = tuple(min(255.0, 1.4 * v + 20) for v in metal)  # type: ignore[assignment]
    for x, y in layout.holes_mm:
        u = rng.random(3).tolist()
        if u[0] < 0.25:
            continue
        cx, cy = (x + 10 * u[1] - 5) * unit, (y + 6 * u[2] - 3) * unit
        _circle(plate, cx + 0.2 * size, cy + 0.2 * size, size, dark)
        _circle(plate, cx, cy, size, metal)
        _circle(plate, cx - 0.2 * size, cy, 0.4 * size, bright)


def draw_stickers(plate: ImageArray, layout: Layout, unit: float, rng: np.random.Generator) -> None:
    """Stickers of registration or inspection, strong or pale, with a line or two of print; two in five are missing."""
    for x, y in layout.stickers_mm:
        u = rng.random(9).tolist()
        if u[0] < 0.4:
            continue
        height, width = (16 + 12 * u[1]) * unit, (22 + 16 * u[2]) * unit
        left, top = x * unit - width / 2 + (6 * u[3] - 3) * unit, y * unit - height / 2 + (6 * u[4] - 3) * unit
        paint = tuple(255 * (0.25 + 0.75 * v) if u[8] < 0.6 else 225 + 30 * v for v in u[5:8])
        ink = (20.0, 20.0, 25.0) if sum(paint) > 330 else (240.0, 240.0, 240.0)
        corners = [round(v * _UNIT) for v in (left, top, left + width, top + height)]
        cv2.rectangle(plate, corners[:2], corners[2:], paint, -1, cv2.LINE_AA, _SHIFT)
        for row in (0.25, 0.62)[: 1 + (u[1] > 0.5)]:
            line = [left + 0.14 * width, top + row * height, left + 0.86 * width, top + (row + 0.16) * height]
            a, b, c, d = (round(v * _UNIT) for v in line)
            cv2.rectangle(plate, (a, b), (c, d), ink, -1, cv2.LINE_AA, _SHIFT)


def stain(size: tuple[int, int], rng: np.random.Generator) -> Mask:
    """A mask (h, w) of dirt or wear."""
    stains = effects.effect_bank().stains
    return effects.cut(stains[int(rng.random() * len(stains))], size, rng)

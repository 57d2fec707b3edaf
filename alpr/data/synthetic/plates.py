"""Country pack -> rendered plate: as a flat bitmap for scenes, and as a finished crop for training, on the fly.

`PlateRenderer.crop` is what loader workers call: glyphs are rasterised once and kept, a plate is put together by a few
OpenCV calls, photographed (tilt, resolution, light, sensor) and cut out with the error a detector makes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from alpr.country import CountryPack, Layout
from alpr.data.synthetic import effects
from alpr.data.synthetic.glyph_bank import GlyphBank
from alpr.data.synthetic.glyphs import STROKE_CHARACTERS, Mask, font_mask, package_font, stroke_mask
from alpr.geometry import homography, pixel_centre_matrix
from alpr.records import FloatArray, ImageArray

CROP_SCALE = 0.5
"""px per mm at which plates are put together for crops: a 140 mm plate is 70 px high, the crop 48."""
FONT_SHARE = 0.12
"""How many plates take letters and digits from the font file although the stroke alphabet has them."""


@dataclass(frozen=True)
class PlateStyle:
    """What differs from plate to plate of one layout.

    Attributes:
        stroke: factor on the layout's stroke width.
        embolden: added around the strokes of font glyphs, units of a cell 90 high.
        background, left_background: BGR stops from the top to the bottom, (S, 3) float; left None where equal.
        foreground, bolt: BGR.
        relief: how strongly embossed edges shine, 0..1.
        faded: how much of the paint on the characters is worn, 0..1.
        dirt: 0..1.
    """

    from_font: bool
    variant: int
    stroke: float
    embolden: float
    size_factor: tuple[float, float]  # (height, width)
    background: FloatArray
    left_background: FloatArray | None
    foreground: tuple[float, float, float]
    bolt: tuple[float, float, float] | None
    relief: float
    faded: float
    dirt: float
    bank: int = 0  # which variants of the glyph bank; 0: none of them


def _bgr(colour: str) -> tuple[float, float, float]:
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)


class PlateRenderer:
    """Renders the plates of a country pack; cheap to copy into worker processes, glyphs are cached in each.

    Args:
        pack: the country.
        font: a font file with the country's typeface; it then draws every character. Without one, letters and digits
            are strokes of our own and the rest comes from the package font.
        bank: glyphs of real plates; they draw `bank_share` of the plates, as far as the bank has their characters.
    """

    def __init__(
        self, pack: CountryPack, *, font: Path | None = None, bank: GlyphBank | None = None, bank_share: float = 0.8
    ) -> None:
        self.pack = pack
        self.font = font
        self.bank, self.bank_share = bank, bank_share
        self._shares = np.cumsum([layout.share for layout in pack.layouts])
        if not self._shares[-1] > 0:
            raise ValueError(f"The layouts of {pack.name} have no share above 0; no plate can be drawn.")
        # A pack of letters and digits alone needs no font package, and then does not ask for it.
        self._font_share = 1.0 if font is not None else 0.0 if set(pack.alphabet) <= STROKE_CHARACTERS else FONT_SHARE
        self._glyphs: dict[tuple[object, ...], Mask] = {}
        self._blanks: dict[tuple[str, float], Mask] = {}

    def draw_text(self, rng: np.random.Generator) -> tuple[str, Layout]:
        """A random text and its layout: layouts by their share, every symbol of a class equally often."""
        index = int(np.searchsorted(self._shares, rng.random() * self._shares[-1], side="right"))
        layout = self.pack.layouts[min(index, len(self.pack.layouts) - 1)]
        classes = self.pack.classes
        draws = rng.random(len(layout.pattern)).tolist()
        symbols = [classes[key] for key in layout.pattern]
        return "".join(s[int(u * len(s))] for s, u in zip(symbols, draws, strict=True)), layout

    def render(self, text: str, layout: Layout, rng: np.random.Generator, *, scale: float = 0.7) -> ImageArray:
        """The plate seen from the front, without light or camera: (h, w, 3) uint8 BGR.

        Its four corners are the bitmap's own, (0, 0) to (w, h).

        Args:
            scale: px per mm; 0.7 makes a 140 mm plate 98 px high.

        Raises:
            ValueError: a text that does not fit the layout's pattern.
        """
        if len(text) != len(layout.pattern):
            raise ValueError(f"{text!r} has {len(text)} characters; layout {layout.name!r} has {len(layout.pattern)}.")
        return self._compose(text, layout, self._style(layout, rng), scale, rng)

    def crop(
        self, rng: np.random.Generator, size: tuple[int, int] = (48, 192), margin: float = 0.04
    ) -> tuple[ImageArray, str]:
        """A finished training crop (h, w, 3) uint8 BGR and its text.

        Args:
            size: (height, width) px.
            margin: the fraction left around the plate on every side, before the detector's error.
        """
        text, layout = self.draw_text(rng)
        plate = self._compose(text, layout, self._style(layout, rng), CROP_SCALE, rng)
        canvas, corners = _surround(plate, rng)
        photo, quad = _photograph(canvas, corners, rng)
        return _cut_out(photo, quad, size, margin, rng), text

    def _style(self, layout: Layout, rng: np.random.Generator) -> PlateStyle:
        u = rng.random(12).tolist()  # what a glyph depends on takes few values, so that the cache fills soon
        n = rng.standard_normal(7)
        shift = 12 * n[:3] + 14 * n[3]

        def stops(colours: tuple[str, ...]) -> FloatArray:
            return np.asarray(np.clip(np.array([_bgr(c) for c in colours]) + shift, 0, 255))

        ink = np.clip(np.array(_bgr(layout.foreground)) + 8 * n[4:7] + (20 * u[0] - 10), 0, 255)
        metal = 60 + 150 * u[1]
        return PlateStyle(
            from_font=u[2] < self._font_share,
            variant=layout.variant if u[3] < 0.9 else 1 - layout.variant,
            stroke=(0.8, 0.9, 1.0, 1.12, 1.28)[int(u[4] * 5)],
            embolden=(0.0, 0.7, 1.4, 2.2)[int(u[5] * 4)],
            size_factor=((0.97, 1.0, 1.03)[int(u[10] * 3)], (0.94, 1.0, 1.06)[int(u[11] * 3)]),
            background=stops(layout.background),
            left_background=stops(layout.left_background) if layout.left_background else None,
            foreground=(float(ink[0]), float(ink[1]), float(ink[2])),
            bolt=(metal, metal * (0.85 + 0.15 * u[6]), metal * (0.8 + 0.25 * u[6])) if u[7] < 0.7 else None,
            relief=0.8 * float(rng.random()) if u[8] < 0.5 else 0.0,
            faded=0.7 * float(rng.random()) if u[9] < 0.12 else 0.0,
            dirt=0.6 * float(rng.random()) if u[9] > 0.85 else 0.0,
            bank=int(rng.integers(1, 13)) if self.bank is not None and rng.random() < self.bank_share else 0,
        )

    def _glyph(self, character: str, size: tuple[int, int], layout: Layout, style: PlateStyle) -> Mask:
        if self.bank is not None and style.bank:
            known = self.bank.mask(character, size, layout, style.bank)
            if known is not None:
                return known
        strokes = not style.from_font and character in STROKE_CHARACTERS
        weight = style.stroke if strokes else style.embolden
        variant = style.variant if strokes else 0
        key = (character, size, strokes, weight, variant, layout.stroke_mm, layout.character_mm[0])
        mask = self._glyphs.get(key)
        if mask is None:
            if strokes:
                width = layout.stroke_mm * 90 / layout.character_mm[0] * weight
                mask = stroke_mask(character, size, width, variant)
            else:
                mask = font_mask(character, size, self.font or package_font(), weight)
            self._glyphs[key] = mask
        return mask

    def _blank(self, layout: Layout, scale: float) -> Mask:
        """The ink of a plate without characters: border and dot."""
        key = (layout.name, scale)
        if key not in self._blanks:
            height, width = layout.size_mm
            over = 4
            shape = (round(height * scale) * over, round(width * scale) * over)
            ink = np.zeros(shape, np.uint8)
            unit = scale * over
            if layout.border:
                _round_rectangle(ink, 3.5 * unit, 9 * unit, max(1, round(2.2 * unit)))
            if layout.separator_after is not None and layout.separator == "dot":
                centre = (round(separator_x(layout) * unit), round(height / 2 * unit))
                cv2.circle(ink, centre, round(5 * unit), 255, -1)
            self._blanks[key] = np.asarray(
                cv2.resize(ink, (shape[1] // over, shape[0] // over), interpolation=cv2.INTER_AREA), dtype=np.uint8
            )
        return self._blanks[key].copy()

    def _ink(self, text: str, layout: Layout, style: PlateStyle, scale: float, rng: np.random.Generator) -> Mask:
        ink = self._blank(layout, scale)
        height = min(round(layout.character_mm[0] * style.size_factor[0] * scale), ink.shape[0])
        width = max(2, round(layout.character_mm[1] * style.size_factor[1] * scale))
        jitter = rng.standard_normal((len(text) + 1, 2)) * (0.6 * scale)
        base = (ink.shape[0] - height) / 2 + jitter[-1, 0]
        for character, x, (dx, dy) in zip(text, character_centres(layout), jitter.tolist(), strict=False):
            glyph = self._glyph(character, (height, width), layout, style)
            top = min(max(round(base + dy), 0), ink.shape[0] - height)
            left = min(max(round(x * scale - width / 2 + dx), 0), ink.shape[1] - width)
            target = ink[top : top + height, left : left + width]
            np.maximum(target, glyph, out=target)
        return ink

    def _compose(
        self, text: str, layout: Layout, style: PlateStyle, scale: float, rng: np.random.Generator
    ) -> ImageArray:
        ink = self._ink(text, layout, style, scale, rng)
        size = (ink.shape[0], ink.shape[1])
        if style.faded:
            worn = cv2.convertScaleAbs(_stain(size, rng), alpha=style.faded)
            ink = np.asarray(cv2.subtract(ink, worn), dtype=np.uint8)
        plate = _painted(_background(layout, style, size, scale), ink, style.foreground)
        if style.relief:
            # Embossed strokes shine on the side towards the light and are dark on the other.
            strength = style.relief * 0.4
            for kernel, sign in ((_RELIEF, strength), (-_RELIEF, -strength)):
                edge = cv2.cvtColor(cv2.filter2D(ink, -1, kernel), cv2.COLOR_GRAY2BGR)
                plate = np.asarray(cv2.addWeighted(plate, 1.0, edge, sign, 0), dtype=np.uint8)
        if layout.separator_after is not None and layout.separator == "emblem":
            _draw_emblem(plate, separator_x(layout) * scale, size[0] * 0.49, 10.5 * scale)
        if style.bolt is not None:
            _draw_bolts(plate, layout, scale, style.bolt, rng)
        if style.dirt:
            mud = (70 + 60 * rng.random(), 85 + 60 * rng.random(), 95 + 60 * rng.random())
            plate = _painted(plate, np.asarray(cv2.convertScaleAbs(_stain(size, rng), alpha=style.dirt), np.uint8), mud)
        return plate


_RELIEF = np.array([[1, 1, 0], [1, 0, -1], [0, -1, -1]], np.float32) / 3


def character_centres(layout: Layout) -> list[float]:
    """The x of every character's centre in mm from the plate's left edge; the row is centred on the plate."""
    steps, x = [], 0.0
    for i in range(len(layout.pattern)):
        steps.append(x + layout.character_mm[1] / 2)
        x += layout.character_mm[1] + (layout.separator_mm if i + 1 == layout.separator_after else layout.gap_mm)
    left = (layout.size_mm[1] - (x - layout.gap_mm)) / 2
    return [left + step for step in steps]


def separator_x(layout: Layout) -> float:
    """The x of the separator's centre in mm.

    Raises:
        ValueError: a layout without a separator.
    """
    if layout.separator_after is None:
        raise ValueError(f"Layout {layout.name!r} has no separator.")
    centres = character_centres(layout)
    return (centres[layout.separator_after - 1] + centres[layout.separator_after]) / 2


def _round_rectangle(image: Mask, inset: float, radius: float, thickness: int) -> None:
    h, w = image.shape[0] - inset, image.shape[1] - inset
    points = []
    for cx, cy, start in ((w - radius, inset + radius, -90), (w - radius, h - radius, 0)):
        points.append(cv2.ellipse2Poly((round(cx), round(cy)), (round(radius),) * 2, 0, start, start + 90, 6))
    for cx, cy, start in ((inset + radius, h - radius, 90), (inset + radius, inset + radius, 180)):
        points.append(cv2.ellipse2Poly((round(cx), round(cy)), (round(radius),) * 2, 0, start, start + 90, 6))
    cv2.polylines(image, [np.concatenate(points).reshape(-1, 1, 2)], True, 255, thickness)


def _stain(size: tuple[int, int], rng: np.random.Generator) -> Mask:
    stains = effects.effect_bank().stains
    return effects.cut(stains[int(rng.random() * len(stains))], size, rng)


def _painted(image: ImageArray, cover: Mask, colour: tuple[float, float, float]) -> ImageArray:
    """The image with a colour laid over it where `cover` (h, w) is above 0."""
    paint = np.empty_like(image)
    paint[:] = colour
    weight = cover.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(image, paint, 1 - weight, weight), dtype=np.uint8)


def _background(layout: Layout, style: PlateStyle, size: tuple[int, int], scale: float) -> ImageArray:
    paint = _gradient(style.background, size)
    if style.left_background is not None and layout.separator_after is not None:
        edge = round(separator_x(layout) * scale)
        paint[:, :edge] = _gradient(style.left_background, (size[0], edge))
    return paint


def _gradient(stops: FloatArray, size: tuple[int, int]) -> ImageArray:
    if len(stops) == 1:
        flat = np.empty((*size, 3), np.uint8)
        flat[:] = stops[0]
        return flat
    position = np.linspace(0, len(stops) - 1, size[0])
    lower = np.minimum(position.astype(int), len(stops) - 2)
    share = (position - lower)[:, None]
    rows = (stops[lower] * (1 - share) + stops[lower + 1] * share).astype(np.uint8)[:, None]
    return np.asarray(cv2.resize(rows, (size[1], size[0]), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _draw_emblem(plate: ImageArray, x: float, y: float, radius: float) -> None:
    """The round mark of Chinese new-energy plates: a blue arc, a green foot and a plug on white."""
    shift, unit = 4, 16
    centre, r = (round(x * unit), round(y * unit)), radius * unit
    full = (round(r), round(r))
    cv2.circle(plate, centre, round(r * 1.1), (110, 130, 110), -1, cv2.LINE_AA, shift)
    cv2.ellipse(plate, centre, full, 0, 0, 360, (225, 225, 220), -1, cv2.LINE_AA, shift)
    cv2.ellipse(plate, centre, full, 0, 150, 290, (190, 120, 30), -1, cv2.LINE_AA, shift)
    cv2.ellipse(plate, centre, full, 0, 30, 150, (100, 160, 60), -1, cv2.LINE_AA, shift)
    inner = (round(r * 0.55), round(r * 0.45))
    cv2.ellipse(plate, centre, inner, 0, 0, 360, (225, 225, 235), -1, cv2.LINE_AA, shift)
    cv2.ellipse(plate, centre, (round(r * 0.3), round(r * 0.2)), 0, 0, 360, (70, 90, 200), -1, cv2.LINE_AA, shift)


def _draw_bolts(
    plate: ImageArray, layout: Layout, scale: float, metal: tuple[float, float, float], rng: np.random.Generator
) -> None:
    shift, unit = 4, 16
    size = (4.5 + 4 * float(rng.random())) * scale * unit
    for x, y in layout.holes_mm:
        u = rng.random(3).tolist()
        if u[0] < 0.25:
            continue
        centre = (round((x + 10 * u[1] - 5) * scale * unit), round((y + 6 * u[2] - 3) * scale * unit))
        dark = tuple(0.4 * v for v in metal)
        cv2.circle(
            plate, (centre[0] + round(0.2 * size), centre[1] + round(0.2 * size)), round(size), dark, -1, 16, shift
        )
        cv2.circle(plate, centre, round(size), metal, -1, cv2.LINE_AA, shift)
        bright = tuple(min(255.0, 1.4 * v + 20) for v in metal)
        cv2.circle(plate, (centre[0] - round(0.2 * size), centre[1]), round(0.4 * size), bright, -1, 16, shift)


def _surround(plate: ImageArray, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
    """The plate on a piece of car, and its corners (4, 2)."""
    h, w = plate.shape[:2]
    pad = round(h * 0.32)
    textures = effects.effect_bank().textures
    texture = textures[int(rng.random() * len(textures))]
    canvas = effects.cut(texture, (h + 2 * pad, w + 2 * pad), rng).copy()
    u = rng.random(3).tolist()
    if u[0] < 0.35:  # a holder
        line = 1 + int(u[1] * 0.09 * h)
        grey = 255 * u[2] if u[2] > 0.7 else 70 * u[2]
        cv2.rectangle(canvas, (pad - line, pad - line), (pad + w + line - 1, pad + h + line - 1), (grey,) * 3, -1)
    elif u[0] < 0.7:  # its shadow on the bumper
        drop = 1 + int(u[1] * 0.1 * h)
        cv2.rectangle(canvas, (pad, pad + drop), (pad + w, pad + h + drop), (25 + 30 * u[2],) * 3, -1)
    canvas[pad + 1 : pad + h - 1, pad : pad + w] = plate[1:-1]
    canvas[[pad, pad + h - 1], pad + 2 : pad + w - 2] = plate[[0, -1], 2:-2]  # corners are rounded
    x1, y1, x2, y2 = pad, pad, pad + w, pad + h
    return canvas, np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def _photograph(canvas: ImageArray, corners: FloatArray, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
    """The canvas as a camera sees it, at the resolution of a far or near plate, and the corners there."""
    u, n = rng.random(6).tolist(), rng.standard_normal(12)
    height = float(10.5 * np.exp(1.65 * u[0] ** 0.7))  # 10.5..55 px, more large than small
    flat_height, flat_width = float(corners[3, 1] - corners[0, 1]), float(corners[1, 0] - corners[0, 0])
    if height < 0.6 * flat_height:  # a warp samples four pixels only; shrink by averaging first
        factor = max(height / flat_height * 1.4, 0.2)
        small = (round(canvas.shape[1] * factor), round(canvas.shape[0] * factor))
        corners = corners * np.array([small[0] / canvas.shape[1], small[1] / canvas.shape[0]], np.float32)
        canvas = np.asarray(cv2.resize(canvas, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    width = height * flat_width / flat_height * (0.78 + 0.3 * u[1])
    angle = np.deg2rad(n[0] * (3.5 if u[2] < 0.8 else 14))
    shear = 0.1 * n[1] + 0.6 * np.tan(angle) * (u[3] - 0.2)
    nearer = 1 + 0.05 * n[2]
    half = np.array([[-1, -nearer], [1, -1 / nearer], [1, 1 / nearer], [-1, nearer]]) * 0.5
    quad = half * [width, height]
    quad[:, 0] += shear * quad[:, 1]
    quad += 0.012 * height * n[4:12].reshape(4, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    quad = quad @ np.array([[cos, sin], [-sin, cos]])
    border = 0.25 * height
    quad += border - quad.min(axis=0) + rng.random(2)
    size = np.ceil(quad.max(axis=0) + border).astype(int)
    quad = quad.astype(np.float32)
    matrix = pixel_centre_matrix(homography(corners, quad))
    photo = cv2.warpPerspective(
        canvas, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return effects.sensor(np.asarray(photo, dtype=np.uint8), rng, height), quad


def _cut_out(
    photo: ImageArray, quad: FloatArray, size: tuple[int, int], margin: float, rng: np.random.Generator
) -> ImageArray:
    """The crop that a detector's corners would give: each a little wrong, all of them a little off and too wide."""
    height = float(quad[3, 1] - quad[0, 1])
    u, n = rng.random(3).tolist(), rng.standard_normal(12)
    skew = abs(float(quad[1, 1] - quad[0, 1]))
    if u[0] < 0.15 and skew < 0.35 * height:  # cut by the upright box, as many sets of crops are
        (x1, y1), (x2, y2) = quad.min(axis=0), quad.max(axis=0)
        quad = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    sigma = 0.012 + 0.055 * u[1] ** 2
    wider = 1 + np.array([0.02, 0.05]) * (n[8:10] + 0.2)
    centre = quad.mean(axis=0)
    corners = centre + (quad - centre) * wider + height * (sigma * n[:8].reshape(4, 2) + 0.6 * sigma * n[10:12])
    x, y = margin * size[1], margin * size[0]
    target = np.array([[x, y], [size[1] - x, y], [size[1] - x, size[0] - y], [x, size[0] - y]], np.float32)
    matrix = pixel_centre_matrix(homography(corners, target))
    flags = cv2.INTER_CUBIC if u[2] < 0.2 else cv2.INTER_LINEAR
    crop = cv2.warpPerspective(photo, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, dtype=np.uint8)


def crops_per_second(renderer: PlateRenderer, count: int = 2000, size: tuple[int, int] = (48, 192)) -> float:
    """How many crops per second this process makes, glyphs already cached."""
    rng = np.random.default_rng(0)
    for _ in range(count // 2):
        renderer.crop(rng, size)
    started = time.perf_counter()
    for _ in range(count):
        renderer.crop(rng, size)
    return count / (time.perf_counter() - started)

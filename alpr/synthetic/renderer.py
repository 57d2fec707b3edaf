"""Country pack -> rendered plate: as a flat bitmap for scenes, and as a finished crop for training, on the fly.

`PlateRenderer.crop` is what loader workers call: glyphs are rasterised once and kept, a plate is put together by a few
OpenCV calls, photographed (tilt, resolution, light, sensor) and cut out with the error a detector makes.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.plates.country import CountryPack
from alpr.plates.fonts import STROKE_FACES
from alpr.plates.geometry import box_corners, homography, transform_points
from alpr.plates.layout import Layout
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic.camera import cut_out, photograph, surround
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.glyphs import STROKE_CHARACTERS, Mask, can_draw, font_mask, softened, stroke_mask
from alpr.synthetic.painting import (
    bgr,
    border_mask,
    draw_bands,
    draw_bolts,
    draw_mark,
    draw_stickers,
    embossed,
    gradient,
    painted,
    stain,
)
from alpr.synthetic.placement import Placement, place

INGREDIENTS = ("typefaces", "paint", "tilt", "resolution", "sensor", "cut")
"""What a crop can be rendered without, to measure what it brings: all typefaces and stroke widths but one; worn and
uneven paint, dirt, relief and bolts; the camera's angle; its distance; lens, light, sensor and file; a wrong cut."""
CROP_SCALE, CROP_HEIGHT = 0.5, 60
"""Plates are put together for crops at this many px per mm, but not higher than this many px: the crop has 48."""


@dataclass(frozen=True)
class PlateStyle:
    """What differs from plate to plate of one layout.

    Attributes:
        face: the typeface; characters that it lacks come from the layout's other ones.
        stroke: factor on the layout's stroke width.
        embolden: added around the strokes of font glyphs, units of a cell 90 high.
        background, left_background: BGR stops from the top to the bottom, (S, 3) float; left None where equal.
        foreground, bolt: BGR.
        relief: how strongly embossed edges shine, 0..1.
        faded: how much of the paint on the characters is worn, 0..1.
        dirt: 0..1.
    """

    face: str
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


class PlacedCrop(NamedTuple):
    """A rendered crop that knows where its characters stand."""

    crop: ImageArray  # (h, w, 3) uint8 BGR
    text: str
    places: FloatArray  # (N, 4) x1, y1, x2, y2 of every character's cell, as fractions of the crop's width and height


class PlateRenderer:
    """Renders the plates of a country pack; cheap to copy into worker processes, glyphs are cached in each.

    Args:
        pack: the country.
        font: a font file with the country's typeface; it then draws every character instead of the layouts' faces.
        bank: glyphs of real plates; they draw `bank_share` of the plates, as far as the bank has their characters.
        without: which of `INGREDIENTS` crops lack.

    Raises:
        ValueError: a pack whose layouts have no share above 0, or no such ingredient.
    """

    def __init__(
        self,
        pack: CountryPack,
        *,
        font: Path | None = None,
        bank: GlyphBank | None = None,
        bank_share: float = 0.8,
        without: Collection[str] = (),
    ) -> None:
        self.pack = pack
        self.font = font
        self.without = frozenset(without)
        if unknown := sorted(self.without.difference(INGREDIENTS)):
            raise ValueError(
                f"Rendered plates have no ingredient {', '.join(map(repr, unknown))} that could be left out; expected "
                f"some of {', '.join(INGREDIENTS)}."
            )
        self.bank, self.bank_share = bank, bank_share
        self._shares = np.cumsum([layout.share for layout in pack.layouts])
        if not self._shares[-1] > 0:
            raise ValueError(f"The layouts of {pack.name} have no share above 0; no plate can be drawn.")
        self._regions = {
            layout.name: layout.region_choices(pack.regions, pack.classes)
            for layout in pack.layouts
            if layout.region_places
        }
        self._lengths = {layout.name: _by_length(layout.choices) for layout in pack.layouts}
        self._faces = {layout.name: self._drawn_faces(layout) for layout in pack.layouts}
        self._sources: dict[tuple[str, str, str], str] = {}
        self._glyphs: dict[tuple[object, ...], Mask] = {}
        self._placements: dict[tuple[object, ...], Placement] = {}

    def _drawn_faces(self, layout: Layout) -> tuple[tuple[str, ...], FloatArray]:
        """The faces of a layout and their shares, summed up; letters and digits alone need no font package."""
        faces = layout.fonts
        symbols = self._printed(layout)
        stroked = tuple(face for face in faces if face.name in STROKE_FACES)
        if (
            stroked
            and symbols <= STROKE_CHARACTERS
            and all(f.name in STROKE_FACES or f.name == "noto-cjk" for f in faces)
        ):
            faces = stroked
        if self.font is not None:
            return (str(self.font),), np.ones(1)
        return tuple(face.name for face in faces), np.cumsum([face.share for face in faces])

    def _printed(self, layout: Layout) -> set[str]:
        """All that a layout may print for its characters, and above them."""
        symbols = set().union(*(self.pack.classes[key] for key, _, _ in layout.places))
        drawn_as = dict(layout.drawn_as)
        above = {counterpart for symbol, counterpart in layout.above if symbol in symbols}
        return above | {drawn_as.get(symbol, symbol) for symbol in symbols}

    def draw_text(self, rng: np.random.Generator) -> tuple[str, Layout]:
        """A random text and its layout.

        Layouts come by their share, regions, lengths and every symbol of a class equally often.
        """
        index = int(np.searchsorted(self._shares, rng.random() * self._shares[-1], side="right"))
        layout = self.pack.layouts[min(index, len(self.pack.layouts) - 1)]
        return self.draw_text_of(layout, rng), layout

    def draw_text_of(self, layout: Layout, rng: np.random.Generator) -> str:
        """A random text of a layout of the pack."""
        code, lengths = "", self._lengths[layout.name]
        if layout.region_places:
            regions = self._regions[layout.name]
            code, choices = regions[int(rng.random() * len(regions))]
            lengths = _by_length(choices)
        if len(lengths) == 1 and len(lengths[0]) == 1:
            chosen = lengths[0][0]
        else:
            same = lengths[int(rng.random() * len(lengths))]
            chosen = same[int(rng.random() * len(same))]
        symbols = [self.pack.classes[layout.places[i][0]] for i in chosen[len(code) :]]
        draws = rng.random(len(symbols)).tolist()
        return code + "".join(s[int(u * len(s))] for s, u in zip(symbols, draws, strict=True))

    def render(self, text: str, layout: Layout, rng: np.random.Generator, *, scale: float = 0.7) -> ImageArray:
        """The plate seen from the front, without light or camera: (h, w, 3) uint8 BGR.

        Its four corners are the bitmap's own, (0, 0) to (w, h).

        Args:
            scale: px per mm; 0.7 makes a 140 mm plate 98 px high.

        Raises:
            ValueError: a text that does not fit the layout's pattern.
        """
        return self._compose(text, layout, self._style(layout, rng), scale, rng)[0]

    def crop(
        self,
        rng: np.random.Generator,
        size: tuple[int, int] = (48, 192),
        margin: float = 0.04,
        *,
        blank: bool = False,
    ) -> tuple[ImageArray, str]:
        """A finished training crop (h, w, 3) uint8 BGR and its text.

        Args:
            size: (height, width) px.
            margin: the fraction left around the plate on every side, before the detector's error.
            blank: a plate without characters; its text is empty.
        """
        text, layout = self.draw_text(rng)
        text = "" if blank else text
        return self.crop_of(text, layout, rng, size, margin).crop, text

    def crop_of(
        self,
        text: str,
        layout: Layout,
        rng: np.random.Generator,
        size: tuple[int, int] = (48, 192),
        margin: float = 0.04,
    ) -> PlacedCrop:
        """The same of a given text, and where its characters stand; an empty one leaves the plate without any.

        Raises:
            ValueError: a text that does not fit the layout's pattern.
        """
        # A crop of two rows is as high as one of one row twice as high.
        scale = min(CROP_SCALE, CROP_HEIGHT * max(1.0, size[0] / 60) / layout.size_mm[0])
        plate, cells = self._compose(text, layout, self._style(layout, rng), scale, rng)
        canvas, corners = surround(plate, rng)
        photo, quad = photograph(canvas, corners, rng, self.without)
        crop, to_crop = cut_out(photo, quad, size, margin, rng, exact="cut" in self.without)
        h, w = plate.shape[:2]
        to_photo = homography(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), quad)
        quads = transform_points(box_corners(cells), to_crop @ to_photo) / np.array([size[1], size[0]], np.float32)
        return PlacedCrop(crop, text, np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1))

    def check_fonts(self) -> None:
        """Refuses a pack with a character that none of its layout's faces has.

        Raises:
            ValueError: such a character; the sentence names all of them, the layout and the faces.
            ModuleNotFoundError: a face's package, or Pillow, is absent.
        """
        for layout in self.pack.layouts:
            faces, _ = self._faces[layout.name]
            symbols = sorted(self._printed(layout))
            lacking = [c for c in symbols if not any(can_draw(c, face) for face in faces)]
            if lacking:
                raise ValueError(
                    f"Layout {layout.name!r} of {self.pack.name}: {', '.join(faces)} cannot draw {''.join(lacking)}; "
                    "expected a font that has these characters."
                )

    def _style(self, layout: Layout, rng: np.random.Generator) -> PlateStyle:
        u = rng.random(13).tolist()  # what a glyph depends on takes few values, so that the cache fills soon
        n = rng.standard_normal(7)

        def stops(colours: tuple[str, ...]) -> FloatArray:
            paint = _stops(colours)
            # White, grey and black age together; strong colours fade one by one.
            strong = float(np.ptp(paint[0])) / 255
            return np.asarray(np.clip(paint + (3 + 17 * strong) * n[:3] + 13 * n[3], 0, 255))

        background, foreground = layout.background, layout.foreground
        if layout.colours:
            chosen = layout.colours[int(u[12] * len(layout.colours))]
            background, foreground = (chosen[0],), chosen[1]
        ink = np.clip(np.array(bgr(foreground)) + 8 * n[4:7] + (20 * u[0] - 10), 0, 255)
        metal = 60 + 150 * u[1]
        faces, shares = self._faces[layout.name]
        style = PlateStyle(
            face=faces[min(int(np.searchsorted(shares, u[2] * shares[-1], side="right")), len(faces) - 1)],
            stroke=(0.8, 0.9, 1.0, 1.12, 1.28)[int(u[4] * 5)],
            embolden=(0.0, 0.7, 1.4, 2.2)[int(u[5] * 4)],
            size_factor=((0.97, 1.0, 1.03)[int(u[10] * 3)], (0.94, 1.0, 1.06)[int(u[11] * 3)]),
            background=stops(background),
            left_background=stops(layout.left_background) if layout.left_background else None,
            foreground=(float(ink[0]), float(ink[1]), float(ink[2])),
            bolt=(metal, metal * (0.85 + 0.15 * u[6]), metal * (0.8 + 0.25 * u[6])) if u[7] < 0.7 else None,
            relief=0.8 * float(rng.random()) if layout.embossed and u[8] < 0.5 else 0.0,
            faded=0.7 * float(rng.random()) if u[9] < 0.12 else 0.0,
            dirt=0.6 * float(rng.random()) if u[9] > 0.85 else 0.0,
            bank=int(rng.integers(1, 13)) if self.bank is not None and rng.random() < self.bank_share else 0,
        )
        if "typefaces" in self.without:
            style = replace(style, face=faces[0], stroke=1.0, embolden=0.7, size_factor=(1.0, 1.0))
        if "paint" in self.without:
            new = _stops(background), _stops(layout.left_background) if layout.left_background else None
            style = replace(style, background=new[0], left_background=new[1], foreground=bgr(foreground))
            style = replace(style, bolt=None, relief=0.0, faded=0.0, dirt=0.0)
        return style

    def _source(self, character: str, layout: Layout, face: str) -> str:
        """The face that a character is taken from: the drawn one, else one of the layout that has it.

        Where several have it, which one depends on the drawn one.
        """
        key = (character, layout.name, face)
        if key not in self._sources:
            faces = self._faces[layout.name][0]
            having = [face] if can_draw(character, face) else [f for f in faces if can_draw(character, f)]
            # None has it: the drawn one then says so.
            self._sources[key] = having[faces.index(face) % len(having)] if having else face
        return self._sources[key]

    def _glyph(self, character: str, size: tuple[int, int], layout: Layout, style: PlateStyle, cell: float) -> Mask:
        rare, soft = character not in STROKE_CHARACTERS, 0
        if self.bank is not None and style.bank:
            # A bank knows some provinces only. Were those always its own, a rare one in the true typeface would be
            # taken for one of them: half of them are a font's too, and a font's are as soft as the bank's.
            known = None if rare and style.bank % 2 else self.bank.mask(character, size, layout, style.bank)
            if known is not None:
                return known
            soft = (0, 19, 23, 28, 36)[style.bank // 2 % 5] if rare else 0
        face = self._source(character, layout, style.face)
        strokes = face in STROKE_FACES
        weight = layout.stroke_mm * 90 / cell * style.stroke if strokes else style.embolden * (0.5 if soft else 1.0)
        key = (character, size, face, weight, soft)
        mask = self._glyphs.get(key)
        if mask is None:
            mask = stroke_mask(character, size, weight, face) if strokes else font_mask(character, size, face, weight)
            mask = self._glyphs[key] = softened(mask, soft) if 0 < soft < size[0] else mask
        return mask

    def _placement(self, text: str, layout: Layout) -> Placement:
        chosen = layout.choice_of(text, self.pack.classes) if text else layout.choices[0]
        if chosen is None:
            raise ValueError(
                f"{text!r} has {len(text)} characters and does not fit layout {layout.name!r}, {layout.pattern!r}."
            )
        key = (layout.name, chosen, tuple(map(str.isdigit, text)) if layout.right_to_left else ())
        if key not in self._placements:
            self._placements[key] = place(layout, chosen, text)
        return self._placements[key]

    def _ink(
        self, text: str, layout: Layout, where: Placement, style: PlateStyle, scale: float, rng: np.random.Generator
    ) -> tuple[Mask, FloatArray]:
        """The ink of a plate, and its characters' cells (N, 4) in px, in the order of the text."""
        size = (round(layout.size_mm[0] * scale), round(layout.size_mm[1] * scale))
        ink = border_mask(size, scale).copy() if layout.border else np.zeros(size, np.uint8)
        boxes = np.zeros((len(text), 4), np.float32)
        for x1, y1, x2, y2 in layout.lines_mm:
            ends = [(round(x * scale), round(y * scale)) for x, y in ((x1, y1), (x2, y2))]
            cv2.line(ink, ends[0], ends[1], 255, max(1, round(2.2 * scale)))
        drawn_as, above = dict(layout.drawn_as), dict(layout.above)
        jitter = rng.standard_normal((len(text) + 1, 2)) * (0.6 * scale)
        for cell, (dx, dy) in zip(where.cells if text else (), jitter.tolist(), strict=False):
            height = min(round(cell.size[0] * style.size_factor[0] * scale), size[0])
            width = min(max(2, round(cell.size[1] * style.size_factor[1] * scale)), size[1])
            symbol = text[cell.number]
            base = cell.y * scale - height / 2 + jitter[-1, 0]
            left = min(max(round(cell.x * scale - width / 2 + dx), 0), size[1] - width)
            printed = [(drawn_as.get(symbol, symbol), base)]
            if symbol in above:
                printed.insert(0, (above[symbol], base - layout.above_mm * scale))
            for what, y in printed:
                glyph = self._glyph(what, (height, width), layout, style, cell.size[0])
                top = min(max(round(y + dy), 0), size[0] - height)
                target = ink[top : top + height, left : left + width]
                np.maximum(target, glyph, out=target)
            boxes[cell.number] = (left, top, left + width, top + height)
        return ink, boxes

    def _compose(
        self, text: str, layout: Layout, style: PlateStyle, scale: float, rng: np.random.Generator
    ) -> tuple[ImageArray, FloatArray]:
        """The plate's bitmap, and its characters' cells (N, 4) in px."""
        where = self._placement(text, layout)
        ink, cells = self._ink(text, layout, where, style, scale, rng)
        size = (ink.shape[0], ink.shape[1])
        ground = self._ground(layout, style, where, size, scale, rng)
        for mark in where.marks:
            draw_mark(ground, ink, mark, scale, rng)
        if style.faded:
            ink = np.asarray(cv2.subtract(ink, cv2.convertScaleAbs(stain(size, rng), alpha=style.faded)), np.uint8)
        plate = painted(ground, ink, style.foreground)
        if style.relief:
            plate = embossed(plate, ink, style.relief * 0.4)
        if layout.stickers_mm:
            draw_stickers(plate, layout, scale, rng)
        if style.bolt is not None:
            draw_bolts(plate, layout, scale, style.bolt, rng)
        if style.dirt:
            mud = (70 + 60 * rng.random(), 85 + 60 * rng.random(), 95 + 60 * rng.random())
            plate = painted(plate, np.asarray(cv2.convertScaleAbs(stain(size, rng), alpha=style.dirt), np.uint8), mud)
        return plate, cells

    def _ground(
        self,
        layout: Layout,
        style: PlateStyle,
        where: Placement,
        size: tuple[int, int],
        scale: float,
        rng: np.random.Generator,
    ) -> ImageArray:
        ground = gradient(style.background, size)
        if style.left_background is not None and where.marks:
            edge = round(where.marks[0].x * scale)
            ground[:, :edge] = gradient(style.left_background, (size[0], edge))
        if layout.bands:
            draw_bands(ground, layout, scale, rng)
        return ground


def _stops(colours: tuple[str, ...]) -> FloatArray:
    """Colours from the top to the bottom: BGR, (S, 3)."""
    return np.array([bgr(colour) for colour in colours])


def _by_length(choices: tuple[tuple[int, ...], ...]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Choices of places in groups of one length, so that every length is drawn equally often."""
    lengths = sorted({len(chosen) for chosen in choices})
    return tuple(tuple(chosen for chosen in choices if len(chosen) == length) for length in lengths)


def crops_per_second(renderer: PlateRenderer, count: int = 2000, size: tuple[int, int] = (48, 192)) -> float:
    """How many crops per second this process makes, glyphs already cached."""
    rng = np.random.default_rng(0)
    for _ in range(count // 2):
        renderer.crop(rng, size)
    started = time.perf_counter()
    for _ in range(count):
        renderer.crop(rng, size)
    return count / (time.perf_counter() - started)

"""Training plates to a glyph bank: align, cut the cells, average them, sharpen, and again with the better glyphs."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.data.manifest import Manifest
from alpr.data.processes import run_in_processes
from alpr.images.prepare import UnreadableImage, read_image, rectify
from alpr.plates.country import CountryPack
from alpr.plates.fonts import STROKE_FACES
from alpr.plates.geometry import transform_points
from alpr.plates.layout import Layout
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic.glyph_bank import GlyphBank, GlyphRecord, face_of
from alpr.synthetic.glyphs import STROKE_CHARACTERS, Mask, can_draw, font_mask, stroke_mask
from alpr.synthetic.placement import place
from alpr.synthetic.text_alignment import GLYPH_HEIGHT, Alignment, TextRow, align

MARGIN = 8
"""px around a cell, so that it can be moved and its edges judged."""
_ALIKE = 0.8
"""The correlation with the mean of all cells below which a variant is a fault, such as glyphs that are cut off."""
_ROOM = 0.04  # left around a plate that is cut by its corners
Key = tuple[str, str]  # face, character
_Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MakingSettings:
    """How a bank is made.

    Attributes:
        rounds: of aligning and averaging.
        least_cells: characters with fewer are left out; those that the stroke alphabet lacks need `least_rare`.
        least_agreement: the correlation with its glyph below which a cell is left out.
        most_cells: a plate is left out when each of its characters was seen this often before it.
        per_variant: cells for each further variant, up to `most_variants`.
        free_gaps: whether the spacing of the characters is unknown, as where every issuer has its own.
    """

    rounds: int = 3
    least_cells: int = 3
    least_rare: int = 2
    least_agreement: float = 0.5
    most_cells: int = 80
    per_variant: int = 12
    most_variants: int = 4
    free_gaps: bool = False


class Picture(NamedTuple):
    """A plate to take glyphs from."""

    grey: npt.NDArray[np.uint8]
    text: str
    layout: Layout
    scale: tuple[float, float]  # see TextRow
    framed: bool
    centres: tuple[float, ...]  # of the characters, in mm


class Cell(NamedTuple):
    """One character cut out: 0 the plate, 1 the ink, with the margin."""

    tone: npt.NDArray[np.float16]
    agreement: float
    blur: float  # see `blur_of`


class Made(NamedTuple):
    """A bank, and what became of the plates."""

    bank: GlyphBank
    plates: int
    used: int
    left_out: tuple[str, ...]  # a sentence each


def training_rows(manifest: Manifest, holdout_fold: int | None = 0) -> Manifest:
    """The rows that may give glyphs: of the split `train`, without the fold that is held back."""
    return manifest.select(splits=["train"], fold=holdout_fold, inside=False)


def make_bank(
    manifest: Manifest,
    pack: CountryPack,
    settings: MakingSettings | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    replaced: Mapping[str, str] | None = None,
    holdout_fold: int | None = 0,
    workers: int = 1,
) -> Made:
    """A glyph bank of the manifest's training plates; the same rows give the same bank.

    Args:
        sources: SHA-256 by manifest, kept in the bank.
        replaced: characters that the plates print like others, e.g. {"O": "0"}: they share their cells and glyphs.

    Raises:
        ValueError: no plate to take glyphs from.
        RuntimeError: a worker process that died.
    """
    settings = settings or MakingSettings()
    pictures, refused = _pictures(training_rows(manifest, holdout_fold), pack, replaced or {}, settings)
    if not pictures:
        raise ValueError(
            f"No training row has a plate that fits the pack of {pack.code}. {' '.join(refused[:2])}".strip()
        )
    glyphs = _first_glyphs(pictures)
    found: list[Alignment | None] = [None] * len(pictures)
    cells: dict[Key, list[Cell]] = {}
    for number in range(1, settings.rounds + 1):
        work = functools.partial(_aligned, glyphs, settings.free_gaps)
        label = f"Round {number} of {settings.rounds}"
        jobs = list(zip(pictures, found, strict=True))
        results = list(run_in_processes(work, jobs, workers=workers, label=label, unit="plates"))
        found = [a if a.agreement.mean() >= settings.least_agreement else None for a in results]
        cells = _cells(pictures, results, glyphs, settings)
        last = number == settings.rounds
        means = {key: _mean(list_) for key, list_ in cells.items() if list_}
        if not last:
            glyphs = {**glyphs, **{key: mask for key, mask in means.items() if _trusted(key, cells[key], settings)}}
    kept = sorted(key for key in cells if _trusted(key, cells[key], settings))
    masks = {key: _variants(cells[key], settings) for key in kept}
    records = {key: GlyphRecord(len(cells[key]), float(np.mean([c.agreement for c in cells[key]]))) for key in kept}
    for character, like in (replaced or {}).items():
        for face in {face for face, c in kept if c == like and character in pack.alphabet}:
            masks[face, character], records[face, character] = masks[face, like], records[face, like]
    bank = GlyphBank(pack.code, masks, records, dict(sources or {}))
    return Made(bank, len(pictures), sum(a is not None for a in found), tuple(refused))


def _trusted(key: Key, cells: Collection[Cell], settings: MakingSettings) -> bool:
    return len(cells) >= (settings.least_cells if key[1] in STROKE_CHARACTERS else settings.least_rare)


def _pictures(
    rows: Manifest, pack: CountryPack, replaced: Mapping[str, str], settings: MakingSettings
) -> tuple[list[Picture], list[str]]:
    pictures, refused = [], []
    seen: Counter[Key] = Counter()
    for row in range(rows.rows):
        plate = rows.plate(row)
        if plate is None or not plate.text or plate.ignored or (plate.country or pack.code) != pack.code:
            continue
        text = "".join(replaced.get(character, character) for character in plate.text)
        layout = pack.layout_of(text)
        if layout is None and settings.free_gaps and set(text) <= set(pack.alphabet):
            layout = pack.layouts[0]
        if layout is None or layout.rows > 1:
            refused.append(f"{rows.place(row)}: {text!r} fits no layout of one row.")
            continue
        keys = [(face_of(layout), character) for character in text]
        if all(seen[key] >= settings.most_cells for key in keys):
            continue
        seen.update(keys)
        try:
            pictures.append(
                _picture(read_image(rows.path(row)), plate.corners, text, layout, _centres(text, layout, pack))
            )
        except (UnreadableImage, ValueError) as error:
            refused.append(f"{rows.place(row)}: {error}")
    return pictures, refused


def _centres(text: str, layout: Layout, pack: CountryPack) -> tuple[float, ...]:
    """Along the row; none where the text does not fit the layout, whose gaps are then free."""
    chosen = layout.choice_of(text, pack.classes)
    return () if chosen is None else tuple(cell.x for cell in place(layout, chosen, text).cells)


def _picture(
    image: ImageArray, corners: FloatArray | None, text: str, layout: Layout, centres: tuple[float, ...]
) -> Picture:
    height, width = layout.size_mm
    cell = layout.character_mm[0]
    if corners is None:
        high, wide = image.shape[:2]
        scale = (high * cell / height, wide * cell / width)
        return Picture(_contrast(image), text, layout, scale, False, centres)
    size = (round(140 / (1 - 2 * _ROOM)), round(140 * width / height / (1 - 2 * _ROOM)))
    crop = rectify(image, corners, size, _ROOM)
    return Picture(_contrast(crop), text, layout, (140 * cell / height, 140 * cell / height), True, centres)


def _contrast(image: ImageArray) -> npt.NDArray[np.uint8]:
    """The colours' principal axis in the middle of the picture, stretched to 0..255: ink against plate, of any hue."""
    high, wide = image.shape[:2]
    middle = image[high // 5 : high - high // 5, wide // 10 : wide - wide // 10].reshape(-1, 3).astype(np.float64)
    axis = np.linalg.eigh(np.cov(middle.T) + 1e-6 * np.eye(3))[1][:, -1]
    axis = axis if axis.sum() >= 0 else -axis
    value = image.astype(np.float64) @ axis
    low, top = np.percentile(middle @ axis, (0.5, 99.5))
    margin = 0.25 * (top - low) + 1e-3
    return np.asarray(np.clip((value - low + margin) / (top - low + 2 * margin) * 255, 0, 255), dtype=np.uint8)


def cell_width(layout: Layout) -> int:
    """The width of a glyph 90 high in px."""
    return max(2, round(GLYPH_HEIGHT * layout.character_mm[1] / layout.character_mm[0]))


def _first_glyphs(pictures: Sequence[Picture]) -> dict[Key, Mask]:
    """What is looked for in the first round; the glyphs of a face are as wide as the cells of its first layout."""
    glyphs: dict[Key, Mask] = {}
    widths: dict[str, int] = {}
    for picture in pictures:
        layout, face = picture.layout, face_of(picture.layout)
        width = widths.setdefault(face, cell_width(layout))
        for character in picture.text:
            if (face, character) not in glyphs:
                glyphs[face, character] = _first_glyph(character, layout, (GLYPH_HEIGHT, width))
    return glyphs


def _first_glyph(character: str, layout: Layout, size: tuple[int, int]) -> Mask:
    printed = dict(layout.drawn_as).get(character, character)
    face = next((face.name for face in layout.fonts if can_draw(printed, face.name)), layout.fonts[0].name)
    if face in STROKE_FACES:
        return stroke_mask(printed, size, layout.stroke_mm * 90 / layout.character_mm[0], face)
    return font_mask(printed, size, face, 1.0)


def _row(picture: Picture, glyphs: Mapping[Key, Mask], free_gaps: bool) -> TextRow:
    layout = picture.layout
    masks = tuple(glyphs[face_of(layout), character] for character in picture.text)
    tall, wide = layout.character_mm
    if free_gaps:
        steps = ((wide + layout.gap_mm) / tall,) * (len(masks) - 1)
        return TextRow(masks, steps, (0.2, 0.8), picture.scale, picture.framed)
    steps = tuple((np.diff(picture.centres) / tall).tolist())
    slack = (0.06, 0.06) if picture.framed else (0.15, 0.15)
    return TextRow(masks, steps, slack, picture.scale, picture.framed)


def _aligned(glyphs: Mapping[Key, Mask], free_gaps: bool, job: tuple[Picture, Alignment | None]) -> Alignment:
    picture, start = job
    return align(picture.grey.astype(np.float32), _row(picture, glyphs, free_gaps), start)


def _cells(
    pictures: Sequence[Picture],
    found: Sequence[Alignment],
    glyphs: Mapping[Key, Mask],
    settings: MakingSettings,
) -> dict[Key, list[Cell]]:
    """The cells of every character that agree with its glyph and with each other."""
    cells: dict[Key, list[Cell]] = {}
    for picture, alignment in zip(pictures, found, strict=True):
        if alignment.agreement.mean() < settings.least_agreement:
            continue
        for i, character in enumerate(picture.text):
            key = face_of(picture.layout), character
            agreement = float(alignment.agreement[i])
            if agreement < settings.least_agreement:
                continue
            tone = _tone(picture, alignment, i, glyphs[key])
            if tone is not None:
                cells.setdefault(key, []).append(Cell(tone, agreement, blur_of(tone.astype(np.float32))))
    return {key: _without_outliers(list_) for key, list_ in cells.items()}


def _tone(picture: Picture, alignment: Alignment, index: int, glyph: Mask) -> npt.NDArray[np.float16] | None:
    """A cell with the plate at 0 and the ink at 1: two tones fitted to it by its glyph."""
    size = (GLYPH_HEIGHT + 2 * MARGIN, glyph.shape[1] + 2 * MARGIN)
    matrix = alignment.cell_matrix(index, MARGIN, glyph.shape[1])
    if _outside(matrix, glyph.shape[1], picture.grey.shape):
        return None
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    cell = cv2.warpPerspective(
        picture.grey.astype(np.float32), matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    ink = cv2.GaussianBlur(_padded(glyph).astype(np.float32) / 255, (0, 0), GLYPH_HEIGHT / 40)
    inner = (slice(MARGIN // 2, -MARGIN // 2),) * 2
    slope, level = np.polyfit(ink[inner].ravel(), cell[inner].ravel(), 1)
    if slope * alignment.sign < 8:  # of 255: too faint to say anything
        return None
    return np.asarray(np.clip((cell - level) / slope, -0.5, 1.5), np.float16)


def _outside(matrix: FloatArray, width: int, shape: tuple[int, ...]) -> bool:
    """Whether a character's cell, without its margin, stands over the edge of the picture."""
    corners = MARGIN + np.array([[0, 0], [width, 0], [width, GLYPH_HEIGHT], [0, GLYPH_HEIGHT]], np.float64)
    points = transform_points(corners, matrix)
    return bool((points < -0.5).any() or (points > np.array([shape[1], shape[0]]) - 0.5).any())


def _padded(glyph: Mask) -> Mask:
    return np.asarray(cv2.copyMakeBorder(glyph, *(MARGIN,) * 4, cv2.BORDER_CONSTANT, value=0), dtype=np.uint8)


def _stack(cells: Sequence[Cell]) -> _Float:
    return np.stack([cell.tone for cell in cells]).astype(np.float32)


def _correlations(stack: _Float, centre: _Float) -> FloatArray:
    a = stack.reshape(len(stack), -1) - stack.reshape(len(stack), -1).mean(1, keepdims=True)
    b = centre.ravel() - centre.mean()
    return np.asarray(a @ b / (np.linalg.norm(a, axis=1) * np.linalg.norm(b) + 1e-6))


def _without_outliers(cells: list[Cell]) -> list[Cell]:
    if len(cells) < 3:
        return cells
    stack = _stack(cells)
    close = _correlations(stack, np.median(stack, axis=0))
    bar = max(0.5, float(np.median(close)) - 0.12)
    return [cell for cell, c in zip(cells, close.tolist(), strict=True) if c >= bar]


def _weights(cells: Sequence[Cell]) -> FloatArray:
    """Sharp cells and those that agree count for more."""
    blur = np.array([max(cell.blur, 1.5) for cell in cells])
    return np.asarray(np.array([cell.agreement for cell in cells]) ** 4 / blur**2)


def _mean(cells: Sequence[Cell]) -> Mask:
    """One glyph of its cells: their weighted mean, sharpened, its ink fitted to the cell's height."""
    mean = np.average(_stack(cells), axis=0, weights=_weights(cells)).astype(np.float32)
    return _fitted(sharpened(mean, min(max(0.8 * blur_of(mean), 1.0), 5.0)))


def blur_of(glyph: _Float) -> float:
    """The blur of a glyph of 0..1 in px: of the Gaussian that makes a step as steep as its steepest edges."""
    down, across = np.gradient(glyph[MARGIN:-MARGIN, MARGIN:-MARGIN])
    return float(1 / (np.sqrt(2 * np.pi) * max(1e-3, np.percentile(np.hypot(down, across), 97))))


def sharpened(mean: _Float, sigma: float, rounds: int = 8) -> _Float:
    """A blurred glyph (h, w) of 0..1 made sharp: Richardson-Lucy deconvolution by a Gaussian, then a contrast curve.

    Args:
        sigma: of the blur in px.
    """
    blurred = np.clip(mean, 0.0, 1.0) + 1e-3
    estimate = blurred.copy()
    for _ in range(rounds):
        ratio = blurred / (cv2.GaussianBlur(estimate, (0, 0), sigma) + 1e-3)
        estimate = np.clip(estimate * cv2.GaussianBlur(ratio, (0, 0), sigma), 0, 1.2)
    curve = np.clip((estimate - 0.28) / 0.6, 0, 1)
    return np.asarray(curve * curve * (3 - 2 * curve), np.float32)


def _fitted(glyph: _Float) -> Mask:
    """The ink of a glyph with its margin, moved and scaled so that it fills the cell's height; (90, w) uint8."""
    height, width = glyph.shape[0] - 2 * MARGIN, glyph.shape[1] - 2 * MARGIN
    glyph = glyph * _window(glyph.shape[0])[:, None] * _window(glyph.shape[1])[None]
    rows, columns = _extent(glyph.max(axis=1)), _extent(glyph.max(axis=0))
    if rows is None or columns is None or rows[1] - rows[0] < height / 2:
        rows, columns = (MARGIN, MARGIN + height), (MARGIN, MARGIN + width)
    ky = (rows[1] - rows[0]) / height
    kx = max(ky, (columns[1] - columns[0]) / width)
    left = (columns[0] + columns[1]) / 2 - kx * width / 2
    matrix = np.array([[kx, 0, left + (kx - 1) / 2], [0, ky, rows[0] + (ky - 1) / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(np.clip(cv2.warpAffine(glyph, matrix, (width, height), flags=flags) * 255, 0, 255), np.uint8)


def _window(length: int) -> _Float:
    """1 in the cell and 3 px around it, 0 where the neighbours begin."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) - (MARGIN - 6)
    return np.asarray(np.clip(distance / 3, 0, 1), np.float32)


def _extent(profile: _Float) -> tuple[float, float] | None:
    """Where a profile first and last rises through a half, in px edges."""
    above = np.flatnonzero(profile >= 0.5)
    if len(above) == 0:
        return None
    first, last = int(above[0]), int(above[-1])

    def share(outer: int, inner: int) -> float:
        if not 0 <= outer < len(profile):
            return 0.0
        return float((profile[inner] - 0.5) / max(1e-6, profile[inner] - profile[outer]))

    return first + 0.5 - share(first - 1, first), last + 0.5 + share(last + 1, last)


def _variants(cells: list[Cell], settings: MakingSettings) -> Mask:
    """Glyphs of groups of similar cells (V, 90, w): k-means, started at cells of little to much ink."""
    count = min(settings.most_variants, 1 + len(cells) // settings.per_variant)
    stack = _stack(cells)
    small = stack[:, ::4, ::4].reshape(len(cells), -1)
    order = np.argsort(stack.mean(axis=(1, 2)), kind="stable")
    centres = np.stack([small[part].mean(axis=0) for part in np.array_split(order, count)])
    group = np.zeros(len(cells), np.int64)
    for _ in range(10):
        group = np.argmin(((small[:, None] - centres[None]) ** 2).mean(axis=2), axis=1)
        centres = np.stack([small[group == g].mean(axis=0) if (group == g).any() else centres[g] for g in range(count)])
    groups = [[cell for cell, g in zip(cells, group.tolist(), strict=True) if g == wanted] for wanted in range(count)]
    whole = _mean(cells)
    found = [_mean(part) for part in groups if len(part) >= max(2, settings.least_cells)]
    if not found:
        return whole[None]
    alike = _correlations(np.stack(found).astype(np.float32), whole.astype(np.float32))
    return np.stack([mask for mask, c in zip(found, alike, strict=True) if c >= _ALIKE] or [whole])

"""Contact sheets: the plates that were missed or hardly read, and scenes with labels and detections drawn."""

from __future__ import annotations

import heapq
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.detection.metrics import FOUND_IOU, Match, corner_error, match_plates, true_hull
from alpr.evaluation.outcomes import PlateRecord
from alpr.files import write_atomically
from alpr.images.prepare import letterbox, rectify, resize_crop
from alpr.plates.geometry import box_corners, corner_box, pixel_centre_matrix
from alpr.plates.records import Detection, FloatArray, ImageArray, Plate, Reading, Scene
from alpr.reports.drawing import draw_quad

CROP = (48, 192)
_CAPTION_PX = 22
_MARGIN = 0.08
_CELL = (CROP[0] + 2 * _CAPTION_PX + 8, CROP[1] + 8)
_WHITE = 255
LABEL = (60, 220, 60)
"""BGR of labelled quads; detections have that of `annotate.LINE`, ignored regions are grey."""
_IGNORED = (160, 160, 160)
_VIEW = 288
_TILE = (_VIEW + 2 * _CAPTION_PX + 8, 2 * _VIEW + 12)


@dataclass(frozen=True)
class Miss:
    """One plate that is shown: its crop (48, 192, 3) and its record.

    Attributes:
        true: its true text, if known.
        read: the text read; None where it was not found.
        score: the reading's; 0 where there is none.
    """

    crop: ImageArray
    record: PlateRecord
    true: str | None
    read: str | None
    score: float

    @classmethod
    def of(cls, crop: ImageArray, record: PlateRecord, reading: Reading | None) -> Miss:
        """A plate with its reading."""
        read, score = (None, 0.0) if reading is None else (reading.text, reading.score)
        return cls(crop, record, record.text, read, score)


@dataclass
class Gallery:
    """The worst misses of each kind, and right readings that were unsure; memory stays flat however many there are.

    Attributes:
        limit: how many plates of each kind are kept: not found, read wrong, and right but unsure.
    """

    limit: int = 40
    _not_found: list[Miss] = field(default_factory=list)
    _read_wrong: list[tuple[float, int, Miss]] = field(default_factory=list)
    _unsure: list[tuple[float, int, Miss]] = field(default_factory=list)
    _seen: int = 0

    def add(self, image: ImageArray, plate: Plate, record: PlateRecord) -> None:
        """Offers a plate: the first ones not found, the surest wrong and the least sure right readings are kept.

        The reading is that of the detector's corners, else of the ready-made crop, else of the labelled corners, else
        of the box.

        Args:
            image: the scene, or the ready-made crop of a plate without a place.
        """
        self._seen += 1
        reading = record.on_predicted_corners or record.on_crop or record.on_true_corners or record.on_box
        if record.iou is not None and record.iou <= FOUND_IOU:
            if len(self._not_found) < self.limit:
                self._not_found.append(Miss.of(plate_crop(image, plate), record, None))
        elif reading is not None and record.text:
            right = reading.text == record.text
            kept, rank = (self._unsure, -reading.score) if right else (self._read_wrong, reading.score)
            if len(kept) < self.limit or rank > kept[0][0]:
                miss = Miss.of(plate_crop(image, plate), record, reading)
                heapq.heappush(kept, (rank, -self._seen, miss))
                if len(kept) > self.limit:
                    heapq.heappop(kept)

    @property
    def not_found(self) -> tuple[Miss, ...]:
        """Plates that were not found, the first ones."""
        return tuple(self._not_found)

    @property
    def read_wrong(self) -> tuple[Miss, ...]:
        """Wrong readings, the surest first."""
        return _ranked(self._read_wrong)

    @property
    def unsure(self) -> tuple[Miss, ...]:
        """Right readings, the least sure first."""
        return _ranked(self._unsure)

    @property
    def misses(self) -> tuple[Miss, ...]:
        """Plates not found, then wrong readings, the surest first."""
        return self.not_found + self.read_wrong


def _ranked(kept: Sequence[tuple[float, int, Miss]]) -> tuple[Miss, ...]:
    return tuple(miss for _, _, miss in sorted(kept, reverse=True, key=lambda entry: entry[:2]))


def plate_crop(image: ImageArray, plate: Plate) -> ImageArray:
    """A plate by its corners, else its box, else the whole image: (48, 192, 3)."""
    corners: FloatArray | None = plate.corners
    if corners is None and plate.box is not None:
        corners = box_corners(plate.box)
    if corners is None:
        return resize_crop(image, CROP)
    try:
        return rectify(image, np.asarray(corners, np.float32), CROP, _MARGIN)
    except ValueError:  # flat corners; their own error is reported where they are read
        return np.full((*CROP, 3), 128, np.uint8)


def contact_sheet(misses: Sequence[Miss], columns: int = 5) -> ImageArray:
    """A page of misses (H, W, 3): crop, "true" and "read" below each.

    Chinese characters need Pillow and the package noto-cjk-sans-otc; without them they are drawn as '?'.

    Raises:
        ValueError: no miss is given.
    """
    if not misses:
        raise ValueError("A contact sheet needs at least one miss; none is given.")
    rows = -(-len(misses) // columns)
    sheet = np.full((rows * _CELL[0], columns * _CELL[1], 3), _WHITE, np.uint8)
    captions: list[tuple[int, int, str]] = []
    for i, miss in enumerate(misses):
        y, x = (i // columns) * _CELL[0] + 4, (i % columns) * _CELL[1] + 4
        sheet[y : y + CROP[0], x : x + CROP[1]] = miss.crop
        captions.append((x, y + CROP[0], f"true  {miss.true or '(unknown)'}"))
        captions.append((x, y + CROP[0] + _CAPTION_PX, _read_caption(miss)))
    return _write(sheet, captions)


def _read_caption(miss: Miss) -> str:
    if miss.read is None:
        return "not found"
    return f"read  {miss.read or '(nothing)'}"


def _font_file() -> Path | None:
    spec = importlib.util.find_spec("noto_cjk_sans_otc")
    if spec is None or spec.origin is None or importlib.util.find_spec("PIL") is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.tt[cf]"))), None)


def _write(sheet: ImageArray, captions: Sequence[tuple[int, int, str]]) -> ImageArray:
    font_file = _font_file()
    if font_file is None:
        for x, y, text in captions:
            ascii_text = text.encode("ascii", "replace").decode()
            cv2.putText(sheet, ascii_text, (x, y + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        return sheet
    from PIL import Image, ImageDraw, ImageFont

    page: Any = Image.fromarray(np.ascontiguousarray(sheet[..., ::-1]))
    draw, font = ImageDraw.Draw(page), ImageFont.truetype(str(font_file), 16)
    for x, y, text in captions:
        draw.text((x, y - 2), text, font=font, fill=(0, 0, 0))
    return np.ascontiguousarray(np.asarray(page, dtype=np.uint8)[..., ::-1])


def write_picture(picture: ImageArray, path: Path) -> None:
    """Writes a picture as a JPEG, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [data.tobytes()], sync=False)


class Drawn(NamedTuple):
    """A scene beside its worst plate enlarged (288, 580, 3), what is written below, and how bad it is."""

    picture: ImageArray
    captions: tuple[str, str]
    badness: tuple[bool, float]


@dataclass
class DetectionGallery:
    """The scenes in which detection is worst, and some at random; memory stays flat however many there are.

    A missed plate is worst; else the corner error counts, or 1 - IoU where no corners are labelled.

    Attributes:
        worst: how many of the worst scenes are kept.
        random: how many others are kept.
        seed: of the random choice.
    """

    worst: int = 10
    random: int = 10
    seed: int = 0
    _worst: list[tuple[tuple[bool, float], int, Drawn]] = field(default_factory=list)
    _random: list[tuple[int, Drawn]] = field(default_factory=list)
    _seen: int = 0

    def add(self, image: ImageArray, scene: Scene, found: Sequence[Detection], name: str) -> None:
        """Offers a scene with its detections; one without a plate to find is passed over."""
        places = [i for i, plate in enumerate(scene.plates) if not plate.ignored and true_hull(plate) is not None]
        if not places:
            return
        pairs = {pair.plate: pair for pair in match_plates(found, scene.plates) if pair.iou > FOUND_IOU}
        badness, plate = max((_badness(scene.plates[i], found, pairs.get(i)), i) for i in places)
        self._seen += 1
        is_worst = len(self._worst) < self.worst or (self.worst and badness > self._worst[0][0])
        # Reservoir sampling: each scene is kept with the same chance, whatever comes after it.
        size = self.worst + self.random  # some of them may be among the worst
        place = int(np.random.default_rng((self.seed, self._seen)).integers(self._seen))
        if not is_worst and place >= size:
            return
        drawn = _drawn(image, scene, found, pairs.get(plate), plate, badness, name)
        if is_worst:
            heapq.heappush(self._worst, (badness, -self._seen, drawn))
            if len(self._worst) > self.worst:
                heapq.heappop(self._worst)
        if len(self._random) < size:
            self._random.append((self._seen, drawn))
        elif place < size:
            self._random[place] = (self._seen, drawn)

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """The worst first, then those chosen at random."""
        worst = sorted(self._worst, key=lambda entry: entry[:2], reverse=True)
        taken = {-number for _, number, _ in worst}
        others = [drawn for number, drawn in self._random if number not in taken]
        return (*(drawn for _, _, drawn in worst), *others[: self.random])

    def sheet(self, columns: int = 4) -> ImageArray:
        """A page of the scenes (H, W, 3).

        Raises:
            ValueError: no scene was offered.
        """
        drawn = self.drawn
        if not drawn:
            raise ValueError("A sheet of detections needs at least one scene with a plate; none is given.")
        page = np.full((-(-len(drawn) // columns) * _TILE[0], columns * _TILE[1], 3), _WHITE, np.uint8)
        captions: list[tuple[int, int, str]] = []
        for i, scene in enumerate(drawn):
            y, x = (i // columns) * _TILE[0] + 4, (i % columns) * _TILE[1] + 4
            page[y : y + _VIEW, x : x + scene.picture.shape[1]] = scene.picture
            captions += [(x, y + _VIEW + line * _CAPTION_PX, text) for line, text in enumerate(scene.captions)]
        return _write(page, captions)


def _badness(plate: Plate, found: Sequence[Detection], match: Match | None) -> tuple[bool, float]:
    if match is None:
        return True, 1.0
    if plate.corners is None:
        return False, 1 - match.iou
    return False, corner_error(found[match.detection].corners, plate.corners)


def _drawn(
    image: ImageArray,
    scene: Scene,
    found: Sequence[Detection],
    match: Match | None,
    plate: int,
    badness: tuple[bool, float],
    name: str,
) -> Drawn:
    quads = [(q, _IGNORED if p.ignored else LABEL) for p in scene.plates if (q := _quad(p)) is not None]
    focus = _quad(scene.plates[plate])
    assert focus is not None  # only plates with a place are offered
    whole, box = letterbox(image, _VIEW)
    near, matrix = _enlarged(image, focus)
    for view, move in ((whole, box.forward), (near, lambda q: q @ matrix[:2, :2].T + matrix[:2, 2])):
        for quad, colour in quads:
            draw_quad(view, move(quad), 1, colour, dot=False)
        for detection in found:
            draw_quad(view, move(detection.corners), 1)
    picture = np.full((_VIEW, 2 * _VIEW + 4, 3), _WHITE, np.uint8)
    picture[: whole.shape[0], : whole.shape[1]] = whole
    picture[:, _VIEW + 4 :] = near
    if match is None:
        caption = f"not found; {len(found)} detections in the image"
    else:
        kind = "1 - IoU" if scene.plates[plate].corners is None else "corner error"
        caption = f"{kind} {badness[1]:.3f}, IoU {match.iou:.2f}, score {found[match.detection].score:.2f}"
    return Drawn(picture, (caption, name if len(name) <= 60 else f"...{name[-57:]}"), badness)


def _quad(plate: Plate) -> FloatArray | None:
    return plate.corners if plate.corners is not None else None if plate.box is None else box_corners(plate.box)


def _enlarged(image: ImageArray, quad: FloatArray) -> tuple[ImageArray, FloatArray]:
    """The square around a quad, with a fifth of its size left on every side, and the matrix that takes points there."""
    hull = corner_box(quad).astype(np.float64)
    scale = _VIEW / max(float((hull[2:] - hull[:2]).max()) * 1.4, 1.0)
    origin = (hull[:2] + hull[2:]) / 2 - _VIEW / scale / 2
    matrix = np.array([[scale, 0, -scale * origin[0]], [0, scale, -scale * origin[1]], [0, 0, 1]])
    view = cv2.warpAffine(image, pixel_centre_matrix(matrix)[:2], (_VIEW, _VIEW), flags=cv2.INTER_LINEAR)
    return np.asarray(view, np.uint8), matrix

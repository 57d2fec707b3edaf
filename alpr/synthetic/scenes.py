"""A rendered plate in a procedural scene: road, walls, a car drawn around the plate, and things that are no plates.

No photograph is used. Every shape of the car is drawn in the plate's own coordinates (plate width = 1, origin at its
centre) and taken into the picture by the plate's homography, so that car and plate tilt together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from alpr.plates.geometry import corner_box, homography, is_convex_clockwise, pixel_centre_matrix, transform_points
from alpr.plates.layout import Layout
from alpr.plates.records import FloatArray, ImageArray, Plate
from alpr.synthetic import effects
from alpr.synthetic.glyphs import STROKE_CHARACTERS, Mask, stroke_mask
from alpr.synthetic.renderer import PlateRenderer

PLATE_WIDTH_PX = (120.0, 380.0)
"""How wide plates are in CCPD's 720x1160 scenes."""
_SCALES = (0.25, 0.35, 0.5, 0.7, 0.9)  # px per mm: few, so that glyphs stay in the cache
_SIGN_LETTERS = "".join(sorted(STROKE_CHARACTERS))
Colour = tuple[float, float, float]


class SceneRenderer:
    """Draws scenes with one plate each.

    Args:
        plates: renders the plates.
        size: (height, width) of the scene in px.
        plate_width_px: the narrowest and the widest plate.
    """

    def __init__(
        self,
        plates: PlateRenderer,
        size: tuple[int, int] = (1160, 720),
        plate_width_px: tuple[float, float] = PLATE_WIDTH_PX,
    ) -> None:
        if min(size) < 2 * plate_width_px[0] or plate_width_px[0] > plate_width_px[1]:
            raise ValueError(f"Plates of {plate_width_px} px do not fit scenes of {size[0]}x{size[1]} px.")
        self.plates = plates
        self.size = size
        self.plate_width_px = (plate_width_px[0], min(plate_width_px[1], 0.5 * size[1]))

    def scene(
        self, rng: np.random.Generator, plate: tuple[str, Layout] | None = None
    ) -> tuple[ImageArray, list[Plate]]:
        """A scene (H, W, 3) uint8 BGR and its one plate, with text, box and whole-pixel corners.

        Args:
            plate: the text and layout to draw; None draws them at random.
        """
        text, layout = plate or self.plates.draw_text(rng)
        corners = self._place(layout, rng)
        width = float(np.linalg.norm(corners[1] - corners[0]))
        wanted = 1.1 * width / layout.size_mm[1]
        scale = next((s for s in _SCALES if s >= wanted), _SCALES[-1])
        bitmap = self.plates.render(text, layout, rng, scale=scale)
        image = self._backdrop(rng)
        self._distract(image, corners, rng)
        _draw_car(image, corners, rng)
        self._distract(image, corners, rng)
        paste(image, bitmap, corners)
        image = self._expose(image, float(np.linalg.norm(corners[3] - corners[0])), rng)
        return image, [Plate(text, corners, np.asarray(corner_box(corners)), self.plates.pack.code)]

    def _place(self, layout: Layout, rng: np.random.Generator) -> FloatArray:
        """Whole-pixel corners (4, 2) of a plate wholly inside the scene."""
        height, width = self.size
        low, high = self.plate_width_px
        for _ in range(50):
            u, n = rng.random(5), rng.standard_normal(12)
            plate_width = low * (high / low) ** float(u[0] ** 0.9)
            plate_height = plate_width * layout.size_mm[0] / layout.size_mm[1] * (0.95 + 0.3 * float(u[1]))
            angle = np.deg2rad(float(n[0]) * (4 if u[2] < 0.75 else 16))
            nearer = 1 + 0.06 * float(n[1])
            quad = np.array([[-1, -nearer], [1, -1 / nearer], [1, 1 / nearer], [-1, nearer]]) * 0.5
            quad *= [plate_width, plate_height]
            quad[:, 0] += (0.12 * n[2] + 0.5 * np.tan(angle) * (u[3] - 0.3)) * quad[:, 1]
            quad += 0.015 * plate_height * n[3:11].reshape(4, 2)
            cos, sin = np.cos(angle), np.sin(angle)
            quad = quad @ np.array([[cos, sin], [-sin, cos]])
            margin = np.abs(quad).max(axis=0) + 6
            spread = np.array([0.2, 0.15]) * rng.standard_normal(2) + [0.5, 0.47]
            centre = np.clip(spread * [width, height], margin, np.array([width, height]) - margin)
            corners: FloatArray = np.asarray(np.rint(quad + centre), dtype=np.float32)
            if is_convex_clockwise(corners):
                return corners
        raise RuntimeError(f"No place was found for a plate of {self.plate_width_px} px in {self.size}.")

    def _backdrop(self, rng: np.random.Generator) -> ImageArray:
        """Wall, bushes or sky above, road below, with texture."""
        height, width = self.size
        cells = rng.normal(0, 1, (int(rng.integers(4, 14)), int(rng.integers(3, 9)), 1)) * rng.uniform(5, 40)
        rows = np.linspace(0, 1, len(cells))[:, None, None]
        horizon = rng.uniform(0.15, 0.6)
        upper, lower = (np.array(street_paint(rng)) for _ in range(2))
        lower = lower.mean() * 0.7 + 0.15 * lower
        small = np.where(rows < horizon, upper, lower) + cells * (1 + 0.15 * rng.normal(0, 1, 3))
        method = cv2.INTER_NEAREST if rng.random() < 0.15 else cv2.INTER_CUBIC
        image = cv2.resize(np.clip(small, 0, 255).astype(np.uint8), (width, height), interpolation=method)
        for _ in range(int(rng.integers(0, 14))):
            a = (int(rng.integers(width)), int(rng.integers(height)))
            reach = rng.normal(0, 0.3, 2) * (width, height)
            b = (a[0] + int(reach[0]), a[1] + int(reach[1]))
            if rng.random() < 0.5:
                cv2.rectangle(image, a, b, street_paint(rng), -1)
            else:
                cv2.line(image, a, b, street_paint(rng), int(rng.integers(1, 14)), cv2.LINE_AA)
        return np.asarray(image, dtype=np.uint8)

    def _distract(self, image: ImageArray, corners: FloatArray, rng: np.random.Generator) -> None:
        """Signs, stickers and blocks of text around the car, none of them over the plate."""
        height, width = self.size
        for _ in range(int(rng.integers(0, 4))):
            sign = draw_sign(rng)
            w = float(rng.uniform(40, 260))
            h = min(w * sign.shape[0] / sign.shape[1], 300.0)
            angle = np.deg2rad(rng.normal(0, 8))
            cos, sin = np.cos(angle), np.sin(angle)
            quad = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ np.array([[cos, sin], [-sin, cos]])
            quad += rng.random(2) * (width, height) + rng.normal(0, 0.04 * h, (4, 2))
            if np.any(quad.max(axis=0) + 8 < corners.min(axis=0)) or np.any(quad.min(axis=0) - 8 > corners.max(axis=0)):
                paste(image, sign, quad.astype(np.float32))

    def _expose(self, image: ImageArray, plate_height: float, rng: np.random.Generator) -> ImageArray:
        """The camera's part: the same for plate and surroundings."""
        severity = float(rng.random()) ** 1.5
        u = rng.random(4).tolist()
        if u[0] < 0.7:
            image = effects.blur(image, min(0.4 + 0.045 * plate_height * severity * u[0], 3.0))
        if u[1] < 0.12:
            length = 3 + int(u[1] / 0.12 * severity * plate_height * 0.2)
            kernel = effects.motion_kernel(min(length, 11), int(rng.random() * 16))
            image = np.asarray(cv2.filter2D(image, -1, kernel), dtype=np.uint8)
        if u[2] < 0.6:
            image = effects.light(image, rng)
        night = u[3] < 0.06
        image = effects.tone(image, rng, 0.8 * severity, night)
        grain = _grain(self.size)[int(rng.random() * 2)]
        shifted = np.roll(grain, int(rng.random() * self.size[0]), axis=0)
        sigma = 1 + 6 * severity * float(rng.random())
        return np.asarray(cv2.addWeighted(image, 1.0, shifted, sigma / 24, -128 * sigma / 24), dtype=np.uint8)


@lru_cache(maxsize=2)
def _grain(size: tuple[int, int]) -> tuple[ImageArray, ...]:
    """Noise pictures of a scene's size, made once: 128 is no change, standard deviation 24."""
    rng = np.random.default_rng(21)
    pictures = []
    for sigma in (0.0, 0.7):
        noise = rng.standard_normal((*size, 3), dtype=np.float32)
        if sigma:
            noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma), dtype=np.float32)
        pictures.append(np.clip(128 + 24 * noise / noise.std(), 0, 255).astype(np.uint8))
    return tuple(pictures)


def paste(image: ImageArray, bitmap: ImageArray, corners: FloatArray) -> None:
    """Puts a bitmap into the image so that its own corners lie on `corners` (4, 2), edges blended; in place.

    Raises:
        ValueError: corners from which no homography can be made.
    """
    height, width = image.shape[:2]
    x1, y1 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    x2, y2 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (width, height))
    if x2 <= x1 or y2 <= y1:
        return
    h, w = bitmap.shape[:2]
    # A warp samples four pixels only; a bitmap much larger than its place is averaged down first.
    shrink = float(np.linalg.norm(corners[1] - corners[0])) / w
    if shrink < 0.6:
        w, h = max(8, round(w * shrink * 1.2)), max(4, round(h * shrink * 1.2))
        bitmap = np.asarray(cv2.resize(bitmap, (w, h), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = pixel_centre_matrix(homography(source, corners - np.array([x1, y1])))
    size = (int(x2 - x1), int(y2 - y1))
    # Colours go on beyond the edge, so that the blended rim is not darkened; the coverage decides alone.
    warped = cv2.warpPerspective(bitmap, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Half covered lies half a pixel beyond the last pixel's centre: at the corners exactly. (OpenCV's antialiased
    # polygons would be half a pixel too large.)
    cover = cv2.warpPerspective(np.full((h, w), 255, np.uint8), matrix, size, flags=cv2.INTER_LINEAR)
    weight = cover.astype(np.float32) * np.float32(1 / 255)
    place = image[y1:y2, x1:x2]
    place[:] = cv2.blendLinear(np.ascontiguousarray(place), warped, 1 - weight, weight)


def street_paint(rng: np.random.Generator) -> Colour:
    """A colour of streets and cars (BGR): mostly greys, sometimes strong."""
    spread = 14 if rng.random() < 0.7 else 60
    b, g, r = np.clip(rng.choice([30, 60, 100, 150, 205, 235]) + rng.normal(0, spread, 3), 0, 255)
    return float(b), float(g), float(r)


@lru_cache(maxsize=2048)
def _letter(character: str, height: int) -> Mask:
    return stroke_mask(character, (height, max(3, height // 2)), 11)


def draw_sign(rng: np.random.Generator) -> ImageArray:
    """A sign, a sticker, a board or a block of text: rows, lengths and shapes that plates do not have."""
    kind = int(rng.integers(4))
    height, width = (120, int(rng.integers(60, 180))) if kind < 3 else (50, int(rng.integers(100, 260)))
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (
        street_paint(rng) if rng.random() < 0.7 else ((180, 90, 30), (110, 175, 60), (40, 180, 235))[rng.integers(3)]
    )
    ink = street_paint(rng)
    if kind == 0:  # a round mark
        cv2.circle(image, (width // 2, height // 2), int(height * 0.35), ink, int(rng.integers(-1, 9)) or 3)
    elif kind in (1, 2):  # rows of text
        letter = int(rng.choice([12, 18, 26]))
        for y in range(6, height - letter, letter + 8):
            _write(image, rng, (8, y), letter, ink)
    elif rng.random() < 0.5:  # a board with one word, or none
        _write(image, rng, (8, 14), 22, ink, most=4)
    cv2.rectangle(image, (2, 2), (width - 3, height - 3), ink, int(rng.integers(1, 4)))
    return image


def _write(
    image: ImageArray, rng: np.random.Generator, at: tuple[int, int], height: int, ink: Colour, most: int = 20
) -> None:
    x, y = at
    for index in rng.integers(len(_SIGN_LETTERS), size=int(rng.integers(1, most + 1))).tolist():
        mask = _letter(_SIGN_LETTERS[index], height)
        if x + mask.shape[1] > image.shape[1] - 6:
            return
        image[y : y + height, x : x + mask.shape[1]][mask > 110] = ink
        x += mask.shape[1] + max(2, height // 8)


def _draw_car(image: ImageArray, corners: FloatArray, rng: np.random.Generator) -> None:
    """Body, window, lamps, grille, bumper, wheels and the plate's holder, in units of the plate's width."""
    aspect = float(np.linalg.norm(corners[3] - corners[0]) / np.linalg.norm(corners[1] - corners[0]))
    unit = np.array([[-0.5, -aspect / 2], [0.5, -aspect / 2], [0.5, aspect / 2], [-0.5, aspect / 2]], np.float32)
    # Far from the plate its perspective would tear the car apart: the car follows the affine part.
    edge_x = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    edge_y = (corners[3] - corners[0] + corners[2] - corners[1]) / 2 / aspect
    affine = np.column_stack([edge_x, edge_y, corners.mean(axis=0)])
    affine = np.vstack([affine, [0, 0, 1]])
    body = np.array(street_paint(rng))

    def shape(points: Sequence[tuple[float, float]], colour: FloatArray | Colour) -> None:
        where = transform_points(np.array(points, np.float64), affine)
        fill = tuple(float(v) for v in np.clip(colour, 0, 255))
        cv2.fillPoly(image, [np.round(where * 16).astype(np.int32)], fill, cv2.LINE_AA, 4)

    j = rng.normal(0, 1, 24)
    wide, low, top = 2.0 + 0.12 * j[0], 0.75 + 0.15 * j[1], -1.5 + 0.2 * j[2]
    if rng.random() < 0.9:
        shape([(-wide, low + 0.5), (wide, low + 0.5), (wide * 0.9, low), (-wide * 0.9, low)], body * 0.15)
        for side in (-1, 1):  # wheels
            shape(_ellipse(side * (wide - 0.25), low + 0.1, 0.25, 0.42), (25, 25, 25))
        roof = top - 1.2 + 0.2 * j[3]
        shape([(-wide * 0.75, roof), (wide * 0.75, roof), (wide * 0.95, top), (-wide * 0.95, top)], body * 0.9)
        glass = np.array([70.0, 60, 50]) + 30 * j[4]
        shape([(-wide * 0.7, roof + 0.1), (wide * 0.7, roof + 0.1), (wide * 0.87, top), (-wide * 0.87, top)], glass)
        shape(
            [
                (-wide, top + 0.25),
                (-wide * 0.93, top),
                (wide * 0.93, top),
                (wide, top + 0.25),
                (wide, low),
                (-wide, low),
            ],
            body,
        )
        for k in range(3):  # the panel's curvature: lighter above, darker below
            y = top + 0.3 + 0.4 * k
            shape([(-wide, y), (wide, y), (wide, y + 0.4), (-wide, y + 0.4)], body * (1.12 - 0.1 * k))
        bumper = body * 0.95 if rng.random() < 0.5 else np.array([38.0, 38, 38]) + 8 * j[5]
        y = float(rng.choice([-0.35, 0.25]))
        shape([(-wide, y), (wide, y), (wide * 0.98, low), (-wide * 0.98, low)], bumper)
        lamp: Colour = (45, 40, 190) if rng.random() < 0.6 else (215, 215, 205)
        for side in (-1, 1):
            x, h = side * (wide - 0.4 + 0.05 * j[6]), 0.2 + 0.06 * abs(j[7])
            if rng.random() < 0.5:
                shape(_ellipse(x, -0.8, 0.33, h), lamp)
            else:
                shape([(x - 0.3, -0.8 - h), (x + 0.3, -0.85 - h), (x + 0.33, -0.8 + h), (x - 0.33, -0.75 + h)], lamp)
        if rng.random() < 0.6:  # grille
            for y in np.arange(-0.85, -0.45, 0.09):
                shape([(-0.8, y), (0.8, y), (0.78, y + 0.05), (-0.78, y + 0.05)], body * 0.3)
        shape(_ellipse(0, -0.95, 0.11, 0.11), (200, 200, 200))
    grow = 1 + 0.12 * abs(j[8])
    shape([(float(x) * grow, float(y) * (grow + 0.15)) for x, y in unit], body * 0.55)  # the recess it lies in
    if rng.random() < 0.4:
        frame = 1 + 0.03 * abs(j[9])
        shape([(float(x) * frame, float(y) * (frame + 0.05)) for x, y in unit], street_paint(rng))


def _ellipse(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]

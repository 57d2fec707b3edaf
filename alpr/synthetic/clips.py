"""Video clips whose every plate is known: rendered plates on cars that drive through a photograph or over a road.

For tests and figures of what reads video. A clip depends on its plan, its country and its photograph alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.files import LIST_BYTES, read_regular, write_json
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box, homography, pixel_centre_matrix, transform_points
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic import effects
from alpr.synthetic.renderer import PlateRenderer

TRUTH_SUFFIX = ".truth.json"
CAR = (1.3, 3.2)
"""(height, width) of the piece of car around a plate, in widths of the plate."""
_SEED, _SCALE = 23, 0.6
_SHUTTER_STEPS = 7


@dataclass(frozen=True)
class ClipPlan:
    """What is to be filmed.

    Attributes:
        vehicles: how many cars come, one after the other.
        seconds, fps: the clip's length and rate.
        size: (height, width) px of a clip without a photograph; a photograph brings its own.
        width_px: the plate's width where a car comes in and where it leaves.
        speed: how often a car crosses the picture in a second.
        shutter: the share of the time between two frames in which a frame is exposed: motion blur.
        blur_px: standard deviation of a lens out of focus.
        noise: standard deviation in grey levels.
        quality: of the JPEG that every frame becomes first, 1 to 100.
        occlude: the share of the picture's width that posts in front of the cars cover.
        crossing: every other car drives the other way, at the same time as the one before it.

    Raises:
        ValueError: a value out of its range.
    """

    vehicles: int = 1
    seconds: float = 3.0
    fps: float = 25.0
    seed: int = 0
    size: tuple[int, int] = (480, 640)
    width_px: tuple[float, float] = (60.0, 120.0)
    speed: float = 0.5
    shutter: float = 0.3
    blur_px: float = 0.6
    noise: float = 4.0
    quality: int = 80
    occlude: float = 0.0
    crossing: bool = False

    def __post_init__(self) -> None:
        ranges = (
            ("vehicles", 0, 1000), ("seconds", 0.01, 86400), ("fps", 0.1, 1000), ("seed", 0, 2**63),
            ("speed", 0, 100), ("shutter", 0, 1), ("blur_px", 0, 50), ("noise", 0, 100), ("quality", 1, 100),
            ("occlude", 0, 0.9),
        )  # fmt: skip
        for name, low, high in ranges:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; expected {low} to {high}.")
        if min(self.width_px) < 4 or min(self.size) < 32:
            raise ValueError(
                f"Plates of {self.width_px} px in pictures of {self.size} px; expected at least 4 px and 32 px."
            )

    @property
    def frames(self) -> int:
        """How many frames the clip has."""
        return max(1, round(self.seconds * self.fps))


class Vehicle(NamedTuple):
    """A car on its way.

    Attributes:
        picture: a piece of car with its plate (h, w, 3), and in it the plate's corners (4, 2).
        start_s, end_s: when it comes in and leaves.
        start, end: the plate's centre then, px.
    """

    text: str
    layout: str
    picture: ImageArray
    corners: FloatArray
    start_s: float
    end_s: float
    start: FloatArray
    end: FloatArray


class Filmed(NamedTuple):
    """A plate in a frame: its vehicle, its corners (4, 2) px, and the share of it that can be seen, 0..1."""

    vehicle: int
    corners: FloatArray
    seen: float


class Frame(NamedTuple):
    """A frame of a clip and the plates in it."""

    image: ImageArray
    plates: list[Filmed]


class Clip:
    """The frames of a plan, and the truth about them.

    Args:
        photograph: the scene behind the cars; None draws a road.
        texts: of the plates, in turn; None draws texts of the country.

    Raises:
        ValueError: a text that fits no layout of the country.
    """

    def __init__(
        self,
        plan: ClipPlan,
        pack: CountryPack,
        photograph: ImageArray | None = None,
        texts: tuple[str, ...] | None = None,
    ) -> None:
        self.plan, self.pack = plan, pack
        rng = np.random.default_rng([plan.seed, _SEED])
        self.scene = _road(plan.size, rng) if photograph is None else _even(photograph)
        renderer = PlateRenderer(pack)
        self.vehicles = [self._vehicle(i, renderer, texts, rng) for i in range(plan.vehicles)]
        self.posts = _posts(self.scene.shape[1], plan.occlude, rng)
        self._rng = rng

    def frames(self) -> Iterator[Frame]:
        """Every frame in order; once only, as noise is drawn on the way."""
        for number in range(self.plan.frames):
            yield self._frame(number / self.plan.fps)

    def _vehicle(
        self, number: int, renderer: PlateRenderer, texts: tuple[str, ...] | None, rng: np.random.Generator
    ) -> Vehicle:
        text, layout = renderer.draw_text(rng)
        if texts:
            text = texts[number % len(texts)]
            fitting = [one for one in self.pack.layouts if one.choice_of(text, self.pack.classes) is not None]
            if not fitting:
                raise ValueError(f"{text!r} fits no layout of {self.pack.name}; expected such a text.")
            layout = fitting[0]
        plate = renderer.render(text, layout, rng, scale=_SCALE)
        picture, corners = _car(plate, rng)
        height, width = self.scene.shape[:2]
        plan = self.plan
        lane = number % 2 if plan.crossing else 0
        turn = number // 2 if plan.crossing else number
        turns = -(-plan.vehicles // 2) if plan.crossing else plan.vehicles
        lasts = min(1 / plan.speed if plan.speed else plan.seconds, plan.seconds)
        start_s = (plan.seconds - lasts) * turn / max(1, turns - 1)
        low, high = 0.5 * height, 0.78 * height
        drift = rng.uniform(-0.04, 0.04, 2) * height
        ends = np.array([[0.12 * width, low + drift[0]], [0.82 * width, high + drift[1]]])
        if lane:  # the other way, a little higher: the plates pass each other, the cars overlap
            ends = np.array([[0.86 * width, low + drift[0]], [0.2 * width, high - 0.05 * height + drift[1]]])
        if not plan.speed:
            ends[:] = ends.mean(axis=0)
        return Vehicle(text, layout.name, picture, corners, start_s, start_s + lasts, ends[0], ends[1])

    def _frame(self, at_s: float) -> Frame:
        image = self.scene.copy()
        plates: list[Filmed] = []
        for number, vehicle in enumerate(self.vehicles):
            if not vehicle.start_s <= at_s < vehicle.end_s:
                continue
            shown = self._corners(vehicle, at_s)
            plates = [_behind(other, _hull(vehicle, shown)) for other in plates]
            self._paint(image, vehicle, at_s)
            plates.append(Filmed(number, shown, 1.0))
        for left, right in self.posts:
            image[:, left:right] = (70, 75, 80)
            plates = [_behind(p, np.array([left, 0, right, image.shape[0]], np.float32)) for p in plates]
        inside = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
        plates = [p._replace(seen=p.seen * _share(p.corners, inside)) for p in plates]
        return Frame(self._filmed(image), plates)

    def _corners(self, vehicle: Vehicle, at_s: float) -> FloatArray:
        """Where the plate is at a moment: it grows as it comes nearer, and its tilt changes a little."""
        part = (at_s - vehicle.start_s) / max(1e-9, vehicle.end_s - vehicle.start_s)
        first, last = self.plan.width_px
        width = first * (last / first) ** part
        centre = vehicle.start + (vehicle.end - vehicle.start) * part
        shape = vehicle.corners - vehicle.corners.mean(axis=0)
        shape = shape * (width / float(np.ptp(shape[:, 0])))
        shape[:, 1] += shape[:, 0] * (0.05 - 0.1 * part)
        return np.asarray(centre + shape, np.float32)

    def _paint(self, image: ImageArray, vehicle: Vehicle, at_s: float) -> None:
        """The car into the image, in place, as a shutter of the plan's time sees it."""
        exposed = self.plan.shutter / self.plan.fps
        moved = self._corners(vehicle, at_s + exposed / 2) - self._corners(vehicle, at_s - exposed / 2)
        steps = int(np.clip(np.ceil(np.abs(moved).max() / 0.7), 1, _SHUTTER_STEPS))
        quads = [self._corners(vehicle, at_s + exposed * ((step + 0.5) / steps - 0.5)) for step in range(steps)]
        hulls = np.stack([_hull(vehicle, quad) for quad in quads])
        limits = (image.shape[1], image.shape[0])
        left, top = (int(np.clip(np.floor(hulls[:, i].min()), 0, limits[i])) for i in (0, 1))
        right, bottom = (int(np.clip(np.ceil(hulls[:, i + 2].max()), 0, limits[i])) for i in (0, 1))
        if right <= left or bottom <= top:
            return
        window = image[top:bottom, left:right]
        total = np.zeros(window.shape, np.float32)
        for quad in quads:
            total += _with_car(window, vehicle, quad - np.array([left, top], np.float32))
        window[:] = np.rint(total / steps).astype(np.uint8)

    def _filmed(self, image: ImageArray) -> ImageArray:
        plan = self.plan
        image = effects.blur(image, plan.blur_px)
        if plan.noise:
            grain = plan.noise * self._rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
            image = np.clip(image + grain, 0, 255).astype(np.uint8)
        return effects.jpeg(image, plan.quality) if plan.quality < 100 else image


def write_clip(clip: Clip, output: Path) -> Path:
    """Writes the frames as a video and what they show beside it; gives the truth's path.

    Raises:
        OSError: a video that cannot be written there.
    """
    plan, (height, width) = clip.plan, clip.scene.shape[:2]
    output.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), plan.fps, (width, height))
    if not writer.isOpened():
        raise OSError(f"{output} cannot be written as a video; expected a name that ends in .mp4.")
    seen: list[list[dict[str, Any]]] = [[] for _ in clip.vehicles]
    try:
        for number, frame in enumerate(clip.frames()):
            writer.write(frame.image)
            for plate in frame.plates:
                corners = np.round(plate.corners.astype(np.float64), 2).tolist()
                seen[plate.vehicle].append({"frame": number, "corners": corners, "seen": round(plate.seen, 3)})
    finally:
        writer.release()
    truth = output.with_suffix(TRUTH_SUFFIX)
    vehicles = [
        {"text": v.text, "country": clip.pack.code, "layout": v.layout, "frames": places}
        for v, places in zip(clip.vehicles, seen, strict=True)
    ]
    plan_values = asdict(plan) | {"size": [height, width]}
    write_json(truth, {"fps": plan.fps, "frames": plan.frames, "plan": plan_values, "vehicles": vehicles})
    return truth


def _with_car(image: ImageArray, vehicle: Vehicle, corners: FloatArray) -> ImageArray:
    matrix = homography(vehicle.corners, corners)
    picture, size = vehicle.picture, (image.shape[1], image.shape[0])
    scale = float(np.linalg.norm(corners[1] - corners[0]) / np.linalg.norm(vehicle.corners[1] - vehicle.corners[0]))
    if scale < 0.7:  # a warp samples four pixels only; it is averaged down first
        small = np.array([max(4, round(s * scale * 1.2)) for s in picture.shape[1::-1]])
        matrix = matrix @ np.diag([*(np.array(picture.shape[1::-1]) / small), 1.0])
        picture = np.asarray(cv2.resize(picture, (int(small[0]), int(small[1])), interpolation=cv2.INTER_AREA))
    warped = cv2.warpPerspective(picture, pixel_centre_matrix(matrix), size, flags=cv2.INTER_LINEAR)
    mask = np.full(picture.shape[:2], 255, np.uint8)
    weight = cv2.warpPerspective(mask, pixel_centre_matrix(matrix), size).astype(np.float32) / 255
    return np.asarray(cv2.blendLinear(image, np.asarray(warped, np.uint8), 1 - weight, weight), np.uint8)


def _car(plate: ImageArray, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
    """A piece of car with a plate, and the plate's corners (4, 2) in it."""
    h, w = plate.shape[:2]
    height, width = round(CAR[0] * w), round(CAR[1] * w)
    paint = rng.choice(np.array([25, 60, 110, 170, 215])) + rng.normal(0, 18, 3)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = np.clip(paint, 10, 235).astype(np.uint8)
    shade = np.linspace(1.1, 0.7, height, dtype=np.float32)[:, None, None]
    canvas = np.clip(canvas * shade, 0, 255).astype(np.uint8)
    x, y = (width - w) // 2, round(0.72 * height) - h // 2
    cv2.rectangle(canvas, (0, round(0.5 * height)), (width, round(0.56 * height)), (25, 25, 25), -1)
    for side in (round(0.06 * width), round(0.84 * width)):
        cv2.rectangle(canvas, (side, round(0.3 * height)), (side + round(0.1 * width), round(0.42 * height)),
                      (60, 60, 190), -1)  # fmt: skip
    rim = max(2, h // 12)
    cv2.rectangle(canvas, (x - rim, y - rim), (x + w + rim, y + h + rim), (30, 30, 30), -1)
    canvas[y : y + h, x : x + w] = plate
    return canvas, np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)


def _hull(vehicle: Vehicle, corners: FloatArray) -> FloatArray:
    """The box (4,) of the whole piece of car, given where its plate is."""
    h, w = vehicle.picture.shape[:2]
    whole = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    return np.asarray(corner_box(transform_points(whole, homography(vehicle.corners, corners))))


def _behind(plate: Filmed, cover: FloatArray) -> Filmed:
    return plate._replace(seen=plate.seen * (1 - _share(plate.corners, cover)))


def _share(corners: FloatArray, box: FloatArray) -> float:
    """The share of a plate's box that lies in another one."""
    own = corner_box(corners)
    sides = np.minimum(own[2:], box[2:]) - np.maximum(own[:2], box[:2])
    whole = float(np.prod(own[2:] - own[:2]))
    return float(np.prod(np.maximum(sides, 0)) / whole) if whole > 0 else 0.0


def _posts(width: int, share: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Where posts stand, from left to right: they cover a share of the middle of the picture."""
    if not share:
        return []
    count = 2
    each = max(1, round(share * width / count))
    return [(x, x + each) for x in (round(width * (0.35 + 0.3 * i + rng.uniform(-0.04, 0.04))) for i in range(count))]


def _road(size: tuple[int, int], rng: np.random.Generator) -> ImageArray:
    """A grey road with marks under a bright sky."""
    height, width = (s - s % 2 for s in size)
    image = np.empty((height, width, 3), np.uint8)
    horizon = round(0.3 * height)
    image[:horizon] = (205, 195, 180)
    ramp = np.linspace(95, 125, height - horizon)[:, None, None]
    image[horizon:] = ramp.astype(np.uint8)
    for x in np.linspace(-0.2, 1.2, 6) * width:
        cv2.line(image, (int(width / 2), horizon), (int(x), height), (190, 190, 190), 2, cv2.LINE_AA)
    rough = rng.normal(0, 6, (height, width, 1))
    return np.asarray(np.clip(image + rough, 0, 255).astype(np.uint8))


def _even(photograph: ImageArray) -> ImageArray:
    """A photograph with even sides, as video codecs need them."""
    height, width = photograph.shape[:2]
    return np.ascontiguousarray(photograph[: height - height % 2, : width - width % 2])


def read_truth(path: Path) -> dict[str, Any]:
    """The truth of a written clip as plain values."""
    values: dict[str, Any] = json.loads(read_regular(path, LIST_BYTES))
    return values

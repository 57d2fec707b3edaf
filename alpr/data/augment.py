"""Augmentation: one homography moves image and corners together, then light and camera change the pixels.

Everything draws from an explicit generator, so a sample depends on (seed, draw) alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import albumentations as A
import cv2
import numpy as np

from alpr.data import augment_light
from alpr.images.prepare import GREY
from alpr.plates.geometry import pixel_centre_matrix
from alpr.plates.records import FloatArray, ImageArray


@dataclass(frozen=True)
class PixelSettings:
    """How often (0..1) and how strongly light, optics and the camera change an image; geometry stays.

    Attributes:
        colour: probability of brightness, contrast, saturation and hue changes.
        gamma: probability of a gamma change, dark ("night") more than bright.
        blur: probability of a Gaussian or motion blur of up to `blur_px` px.
        noise: probability of sensor noise.
        low_resolution: probability of down- and upsampling, down to `low_resolution_scale`.
        jpeg: probability of JPEG compression, quality 30 to 90.
        shadow: probability of a shadow edge across the image.
        grey: probability of a grey image.
        motion: probability of a motion blur of up to `motion_px` px, as of a fast car.
        night: probability of night: dark but for lamps and their glow, with noise and a little blur.
        glare: probability of a bright patch, as of the sun in the plate.
        dirt: probability of patches of mud.
    """

    colour: float = 0.7
    gamma: float = 0.2
    blur: float = 0.2
    blur_px: int = 7
    noise: float = 0.2
    low_resolution: float = 0.0
    low_resolution_scale: float = 0.3
    jpeg: float = 0.2
    shadow: float = 0.0
    grey: float = 0.02
    motion: float = 0.0
    motion_px: int = 15
    night: float = 0.0
    glare: float = 0.0
    dirt: float = 0.0

    def __post_init__(self) -> None:
        lengths = ("blur_px", "motion_px", "low_resolution_scale")
        for name in (field.name for field in fields(self) if field.name not in lengths):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.pixels.{name} is {getattr(self, name)}; expected a probability, 0 to 1.")


class PixelAugment:
    """Changes an image's pixels, not its geometry: (H, W, 3) uint8 BGR -> the same.

    Optics and compression are albumentations'; colour and noise are `alpr.data.augment_light`'s, 3 and 5 times as fast.
    """

    def __init__(self, settings: PixelSettings) -> None:
        self.settings = s = settings
        blur, motion = ((3, max(3, px | 1)) for px in (s.blur_px, s.motion_px))
        interpolation = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
        self._optics = A.Compose(
            [
                A.OneOf([A.GaussianBlur(blur_limit=blur), A.MotionBlur(blur_limit=blur)], p=s.blur),
                A.MotionBlur(blur_limit=motion, p=s.motion),
                A.Downscale((s.low_resolution_scale, 0.9), interpolation_pair=interpolation, p=s.low_resolution),
            ]
        )
        self._file = A.Compose([A.ImageCompression(quality_range=(30, 90), p=s.jpeg), A.ToGray(p=s.grey)])

    def __call__(self, image: ImageArray, rng: np.random.Generator) -> ImageArray:
        s = self.settings
        colour, gamma, shadow, night, noise = (rng.random(5) < [s.colour, s.gamma, s.shadow, s.night, s.noise]).tolist()
        if colour:
            image = augment_light.jitter_colour(image, rng)
        if s.dirt and rng.random() < s.dirt:
            image = augment_light.add_dirt(image, rng)
        if gamma:
            image = augment_light.change_gamma(image, rng.uniform(0.6, 2.2))
        if shadow:
            image = augment_light.cast_shadow(image, rng)
        if night:
            image = augment_light.make_night(image, rng)
        if s.glare and rng.random() < s.glare:
            image = augment_light.add_glare(image, rng)
        image = _composed(self._optics, image, rng)
        if noise:
            image = augment_light.add_noise(image, rng.uniform(2.5, 15), rng, coarse=bool(rng.random() < 0.5))
        return _composed(self._file, image, rng)


def _composed(compose: A.Compose, image: ImageArray, rng: np.random.Generator) -> ImageArray:
    compose.set_random_seed(int(rng.integers(2**31)))
    changed: ImageArray = compose(image=image)["image"]
    return changed


@dataclass(frozen=True)
class SceneGeometry:
    """How a scene is laid onto the detector's canvas.

    Attributes:
        scale: lowest and highest size, as a multiple of the scale at which the whole scene fits the canvas.
        rotation_deg, shear: up to this much, either way; shear as a fraction of the width.
        perspective: each canvas corner moves by up to this fraction of the canvas.
        flip: probability of a mirror image; corners are relabelled.
        stretch: up to this relative change of the aspect ratio.
        crop_scales: instead of `scale`, the paper's sample redistribution: the canvas shows a crop whose shorter side
            is one of these times the scene's shorter side, and which has the canvas's shape (a square canvas: a square
            crop), with a plate's centre inside. Source: Guo et al., SCRFD (2105.04714), section 3.2.
    """

    scale: tuple[float, float] = (0.6, 2.0)
    rotation_deg: float = 10.0
    shear: float = 0.1
    perspective: float = 0.03
    flip: float = 0.5
    stretch: float = 0.15
    crop_scales: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        if self.crop_scales is not None:
            object.__setattr__(self, "crop_scales", tuple(self.crop_scales))
            if not self.crop_scales or min(self.crop_scales) <= 0:
                raise ValueError(f"augment.geometry.crop_scales is {self.crop_scales}; expected numbers above 0.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"augment.geometry.scale is {self.scale}; expected 0 < lowest <= highest.")


def scene_homography(
    settings: SceneGeometry,
    image_size: tuple[int, int],
    canvas_size: tuple[int, int],
    focus: FloatArray | None,
    rng: np.random.Generator,
) -> tuple[FloatArray, bool]:
    """A random 3x3 matrix from scene to canvas px, and whether it mirrors.

    Args:
        focus: (2,) px in the scene: a plate's centre, which stays on the canvas; None for any place.
    """
    height, width = image_size
    canvas_h, canvas_w = canvas_size
    if settings.crop_scales is None:
        fit = min(canvas_h / height, canvas_w / width)
        scale = fit * float(np.exp(rng.uniform(*np.log(settings.scale))))
    else:
        side = float(rng.choice(settings.crop_scales)) * min(height, width)
        scale = min(canvas_h, canvas_w) / side
    stretch = float(np.exp(rng.uniform(-settings.stretch, settings.stretch)))
    angle = np.deg2rad(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    shear = rng.uniform(-settings.shear, settings.shear)
    mirrored = bool(rng.random() < settings.flip)
    size = np.diag([(-1 if mirrored else 1) * scale * stretch, scale / stretch, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    lean = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    tilt = np.eye(3)
    tilt[2, :2] = rng.uniform(-settings.perspective, settings.perspective, 2) / (np.array([canvas_w, canvas_h]) / 2)
    distorted = tilt @ turn @ lean @ size
    canvas = np.array([canvas_w, canvas_h])
    if settings.crop_scales is None:
        centre = np.array([width / 2, height / 2])
        # The scene's place: anywhere such that scene and canvas overlap as far as they can.
        half = np.array([width * scale * stretch, height * scale / stretch]) / 2
        place, inset = canvas / 2 + rng.uniform(-1, 1, 2) * abs(canvas / 2 - half), 0.08 * canvas
    else:
        crop = canvas / scale / [stretch, 1 / stretch]
        centre = _crop_centre(np.array([width, height]), crop, focus, rng)
        place, inset = canvas / 2, 0 * canvas
    about_origin = distorted @ _shift(-centre)
    if focus is not None:
        point = about_origin @ [*focus, 1.0]
        point = point[:2] / point[2]
        place = np.clip(point + place, inset, canvas - inset) - point
    return np.asarray(_shift(place) @ about_origin), mirrored


def _crop_centre(image: FloatArray, crop: FloatArray, focus: FloatArray | None, rng: np.random.Generator) -> FloatArray:
    """The centre (2,) px of a crop, evenly among the places that hold the focus.

    A crop smaller than the image lies within it, a larger one around it.
    """
    low, high = np.minimum(0, image - crop), np.maximum(0, image - crop)
    if focus is not None:
        inside = np.clip(focus, 0, image)
        low, high = np.maximum(low, inside - crop), np.minimum(high, inside)
    return np.asarray(rng.uniform(low, high) + crop / 2)


def _shift(by: FloatArray) -> FloatArray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1.0]])


def warp(image: ImageArray, matrix: FloatArray, size: tuple[int, int], border: str = "grey") -> ImageArray:
    """An image under a homography in continuous px: (h, w, 3) uint8; outside it is grey, or the edge repeated."""
    grey: Any = (GREY, GREY, GREY)
    options: dict[str, Any] = {
        "flags": cv2.INTER_LINEAR,
        "borderMode": cv2.BORDER_CONSTANT if border == "grey" else cv2.BORDER_REPLICATE,
        "borderValue": grey,
    }
    centred = pixel_centre_matrix(matrix)
    if matrix[2, 0] == matrix[2, 1] == 0:  # twice as fast, and the same but for rounding
        return np.asarray(cv2.warpAffine(image, centred[:2] / centred[2, 2], (size[1], size[0]), **options), np.uint8)
    return np.asarray(cv2.warpPerspective(image, centred, (size[1], size[0]), **options), np.uint8)


def antialiased_warp(image: ImageArray, matrix: FloatArray, size: tuple[int, int]) -> ImageArray:
    """A warp that averages first where it shrinks by two or more; a bilinear warp alone would alias."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    step = int(1 / max(scale, 1e-3))
    if step < 2:
        return warp(image, matrix, size)
    reduced = (-(-image.shape[1] // step), -(-image.shape[0] // step))
    small = cv2.resize(image, reduced, interpolation=cv2.INTER_AREA)
    back = np.diag([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0], 1.0])
    return warp(np.asarray(small, np.uint8), matrix @ back, size)

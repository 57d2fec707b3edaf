"""Augmentation: one homography moves image and corners together, then light and camera change the pixels.

Everything draws from an explicit generator, so a sample depends on (seed, draw) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import albumentations as A
import cv2
import numpy as np

from alpr.geometry import pixel_centre_matrix
from alpr.imaging import GREY
from alpr.records import FloatArray, ImageArray


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


class PixelAugment:
    """Changes an image's pixels, not its geometry: (H, W, 3) uint8 BGR -> the same."""

    def __init__(self, settings: PixelSettings) -> None:
        s = settings
        odd = max(3, s.blur_px | 1)
        self._compose = A.Compose(
            [
                A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.5, 1.5), (-0.05, 0.05), p=s.colour),
                A.RandomGamma(gamma_limit=(60, 220), p=s.gamma),
                A.OneOf([A.GaussianBlur(blur_limit=(3, odd)), A.MotionBlur(blur_limit=(3, odd))], p=s.blur),
                A.Downscale(
                    (s.low_resolution_scale, 0.9),
                    interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR},
                    p=s.low_resolution,
                ),
                A.GaussNoise(std_range=(0.01, 0.06), per_channel=True, noise_scale_factor=0.5, p=s.noise),
                A.ImageCompression(quality_range=(30, 90), p=s.jpeg),
                A.ToGray(p=s.grey),
            ]
        )
        self._shadow = settings.shadow

    def __call__(self, image: ImageArray, rng: np.random.Generator) -> ImageArray:
        self._compose.set_random_seed(int(rng.integers(2**31)))
        changed: ImageArray = self._compose(image=image)["image"]
        if rng.random() < self._shadow:
            changed = cast_shadow(changed, rng)
        return changed


def cast_shadow(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """One side of a random line across the image is darkened, with a soft edge."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    xs = (np.arange(width, dtype=np.float32) / width - rng.uniform(0.2, 0.8)) * np.float32(np.cos(angle))
    ys = (np.arange(height, dtype=np.float32) / height - rng.uniform(0.2, 0.8)) * np.float32(np.sin(angle))
    side = np.clip((xs[None, :] + ys[:, None]) * np.float32(rng.uniform(4, 40)) + 0.5, 0, 1)
    gain = 1 - np.float32(rng.uniform(0.25, 0.7)) * side
    return np.asarray(cv2.convertScaleAbs(image * gain[..., None]), dtype=np.uint8)


@dataclass(frozen=True)
class SceneGeometry:
    """How a scene is laid onto the detector's canvas.

    Attributes:
        scale: lowest and highest size, as a multiple of the scale at which the whole scene fits the canvas.
        rotation_deg, shear: up to this much, either way; shear as a fraction of the width.
        perspective: each canvas corner moves by up to this fraction of the canvas.
        flip: probability of a mirror image; corners are relabelled.
        stretch: up to this relative change of the aspect ratio.
    """

    scale: tuple[float, float] = (0.6, 2.0)
    rotation_deg: float = 10.0
    shear: float = 0.1
    perspective: float = 0.03
    flip: float = 0.5
    stretch: float = 0.15

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
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
    fit = min(canvas_h / height, canvas_w / width)
    scale = fit * float(np.exp(rng.uniform(*np.log(settings.scale))))
    stretch = float(np.exp(rng.uniform(-settings.stretch, settings.stretch)))
    angle = np.deg2rad(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    shear = rng.uniform(-settings.shear, settings.shear)
    mirrored = bool(rng.random() < settings.flip)
    to_centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    size = np.diag([(-1 if mirrored else 1) * scale * stretch, scale / stretch, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    lean = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    tilt = np.eye(3)
    tilt[2, :2] = rng.uniform(-settings.perspective, settings.perspective, 2) / (np.array([canvas_w, canvas_h]) / 2)
    about_origin = tilt @ turn @ lean @ size @ to_centre

    # The scene's place: anywhere such that scene and canvas overlap as far as they can.
    half_w, half_h = width * scale * stretch / 2, height * scale / stretch / 2
    spare_x, spare_y = abs(canvas_w / 2 - half_w), abs(canvas_h / 2 - half_h)
    place = np.array([canvas_w / 2, canvas_h / 2]) + rng.uniform(-1, 1, 2) * [spare_x, spare_y]
    if focus is not None:
        point = about_origin @ [*focus, 1.0]
        point = point[:2] / point[2]
        inset = 0.08 * np.array([canvas_w, canvas_h])
        kept = np.clip(point + place, inset, np.array([canvas_w, canvas_h]) - inset)
        place = kept - point
    shift = np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1.0]])
    return np.asarray(shift @ about_origin), mirrored


def warp(image: ImageArray, matrix: FloatArray, size: tuple[int, int], border: str = "grey") -> ImageArray:
    """An image under a homography in continuous px: (h, w, 3) uint8; outside it is grey, or the edge repeated."""
    grey: Any = (GREY, GREY, GREY)
    mode = cv2.BORDER_CONSTANT if border == "grey" else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpPerspective(
            image,
            pixel_centre_matrix(matrix),
            (size[1], size[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=mode,
            borderValue=grey,
        ),
        dtype=np.uint8,
    )

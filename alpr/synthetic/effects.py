"""What a camera and the weather do to a plate: light, wear, dirt, blur, resolution, noise, JPEG.

Everything random is taken from banks that are made once: drawing a noise image per crop would cost more than all the
rest. Functions change or return uint8 BGR images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.records import ImageArray

BANK_SIZE = (256, 448)
"""(height, width) of the banks' images; larger pictures take them enlarged."""
_Kernel = npt.NDArray[np.float32]
_Gray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EffectBank:
    """Pictures that effects take random cut-outs of.

    Attributes:
        noise: BGR, 128 is no change, standard deviation 24: fine, and with the grain of two pixels.
        light: BGR, 128 is no change: slow gradients, shadow edges, glare, stripes.
        stains: one channel, 0 clean to 255 covered.
        textures: BGR surroundings of a plate: bumpers, grilles, road.
    """

    noise: tuple[ImageArray, ...]
    light: tuple[ImageArray, ...]
    stains: tuple[_Gray, ...]
    textures: tuple[ImageArray, ...]


@lru_cache(maxsize=1)
def effect_bank() -> EffectBank:
    """The banks, made once per process in about 0.2 s and always the same."""
    rng = np.random.default_rng(20)
    return EffectBank(
        noise=tuple(_noise(rng, grain) for grain in (1, 1, 1, 2, 2, 3)),
        light=tuple(_light(rng, kind) for kind in range(48)),
        stains=tuple(_stains(rng) for _ in range(16)),
        textures=tuple(_texture(rng, kind) for kind in range(24)),
    )


def cut(picture: npt.NDArray[np.uint8], size: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A random cut-out (h, w) of a bank's picture; a view where it fits, the enlarged picture where it does not."""
    rows, columns = picture.shape[0] - size[0], picture.shape[1] - size[1]
    if rows < 0 or columns < 0:
        return np.asarray(cv2.resize(picture, (size[1], size[0])), dtype=np.uint8)
    y, x = int(rng.random() * (rows + 1)), int(rng.random() * (columns + 1))
    return picture[y : y + size[0], x : x + size[1]]


def _smooth(rng: np.random.Generator, cells: tuple[int, int], channels: int = 1) -> npt.NDArray[np.float32]:
    """Slow noise (H, W, channels) in 0..1."""
    small = rng.random((*cells, channels), dtype=np.float32)
    large = cv2.resize(small, (BANK_SIZE[1], BANK_SIZE[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large.reshape(*BANK_SIZE, channels), 0, 1), dtype=np.float32)


def _to_bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _noise(rng: np.random.Generator, grain: int) -> ImageArray:
    gray = rng.normal(0, 1, (*BANK_SIZE, 1))
    colour = rng.normal(0, 1, (*BANK_SIZE, 3))
    noise = (0.8 * gray + 0.6 * colour).astype(np.float32)
    if grain > 1:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), grain / 2), dtype=np.float32)
    return _to_bytes(128 + 24 * noise / noise.std())


def _light(rng: np.random.Generator, kind: int) -> ImageArray:
    y, x = np.mgrid[0 : BANK_SIZE[0], 0 : BANK_SIZE[1]].astype(np.float32)
    light = 0.7 + 0.6 * _smooth(rng, (3, 4))[..., 0]
    angle, offset = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7)
    across = (x - BANK_SIZE[1] * offset) * np.cos(angle) + (y - BANK_SIZE[0] * offset) * np.sin(angle)
    tint = np.ones(3, np.float32)
    if kind % 3 == 1:  # the straight edge of a shadow; shade is bluish
        softness, depth = rng.uniform(1, 12), rng.uniform(0.25, 0.6)
        shade = 1 / (1 + np.exp(-across / softness))
        light *= 1 - depth * shade
        tint = np.array([1.06, 1.0, 0.95], np.float32)
    elif kind % 3 == 2:  # glare
        spot = np.exp(-((x - rng.uniform(0, BANK_SIZE[1])) ** 2 + (y - rng.uniform(0, BANK_SIZE[0])) ** 2) / 2 / 60**2)
        light += rng.uniform(0.3, 0.8) * spot
    if kind % 5 == 0:
        light *= 1 + 0.12 * np.sin(across / rng.uniform(4, 15))
    return _to_bytes(128 * light[..., None] * tint)


def _stains(rng: np.random.Generator) -> _Gray:
    coarse, fine = _smooth(rng, (12, 20))[..., 0], _smooth(rng, (60, 100))[..., 0]
    speckles = _smooth(rng, (BANK_SIZE[0] // 2, BANK_SIZE[1] // 2))[..., 0]
    field = 0.6 * coarse + 0.3 * fine + 0.1 * speckles
    return _to_bytes(255 * np.clip((field - rng.uniform(0.5, 0.62)) * 8, 0, 1))


def _texture(rng: np.random.Generator, kind: int) -> ImageArray:
    """A car-coloured surface with edges, slats or clutter."""
    paint = rng.choice(np.array([15, 30, 60, 110, 170, 225])) + rng.normal(0, 12, 3)
    field = paint + 90 * (_smooth(rng, (4, 5), 3) - 0.5).mean(axis=2, keepdims=True) + rng.normal(0, 3, (*BANK_SIZE, 1))
    image = np.ascontiguousarray(_to_bytes(field.astype(np.float32)))
    for _ in range(int(rng.integers(4, 30))):
        colour = tuple(float(v) for v in np.clip(rng.uniform(0, 255) + rng.normal(0, 25, 3), 0, 255))
        a = (int(rng.integers(BANK_SIZE[1])), int(rng.integers(BANK_SIZE[0])))
        b = (a[0] + int(rng.normal(0, 120)), a[1] + int(rng.normal(0, 25)))
        if kind % 3 == 0:
            cv2.line(image, a, b, colour, int(rng.integers(1, 12)), cv2.LINE_AA)
        elif kind % 3 == 1:
            cv2.rectangle(image, a, b, colour, -1)
        else:
            cv2.line(image, (0, a[1]), (BANK_SIZE[1], b[1]), colour, int(rng.integers(1, 9)), cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 3))), dtype=np.uint8)


@lru_cache(maxsize=256)
def motion_kernel(length: int, direction: int) -> _Kernel:
    """A line of `length` px in one of 16 directions, summing to 1: (length, length) float32."""
    angle = np.pi * direction / 16
    kernel = np.zeros((length, length), np.float32)
    middle, reach = (length - 1) / 2, (length - 1) / 2
    for t in np.linspace(-reach, reach, 4 * length):
        x, y = round(middle + t * np.cos(angle)), round(middle + t * np.sin(angle))
        kernel[y, x] += 1
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def blur(image: ImageArray, sigma: float) -> ImageArray:
    """A Gaussian blur; below 0.3 px nothing is done."""
    if sigma < 0.3:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def light(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Uneven light, a shadow's edge or glare."""
    lights = effect_bank().light
    field = cut(lights[int(rng.random() * len(lights))], (image.shape[0], image.shape[1]), rng)
    return np.asarray(cv2.multiply(image, field, scale=1 / 128), dtype=np.uint8)


def noise(image: ImageArray, sigma: float, rng: np.random.Generator) -> ImageArray:
    """Sensor noise of a standard deviation in grey levels."""
    noises = effect_bank().noise
    field = cut(noises[int(rng.random() * len(noises))], (image.shape[0], image.shape[1]), rng)
    return np.asarray(cv2.addWeighted(image, 1.0, field, sigma / 24, -128 * sigma / 24), dtype=np.uint8)


def interlaced(image: ImageArray, shift: int) -> ImageArray:
    """A video camera's two half pictures of a moving car: every other row stands off by `shift` px."""
    image = image.copy()
    image[1::2] = np.roll(image[1::2], shift, axis=1)
    return image


def coloured(image: ImageArray, saturation: float) -> ImageArray:
    """The colours stronger (above 1) or greyer (below 1)."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(image, saturation, grey, 1 - saturation, 0), dtype=np.uint8)


_RAMP = np.linspace(0, 1, 256, dtype=np.float32)[:, None]


def tone(image: ImageArray, rng: np.random.Generator, severity: float = 0.5, night: bool = False) -> ImageArray:
    """Exposure, contrast, gamma and a colour cast; a severity of 0 leaves little of them, 1 all."""
    n = rng.standard_normal(5)
    gamma = float(np.exp(0.35 * severity * n[0]))
    gain = float(np.exp(np.clip((0.15 + 0.3 * severity) * n[1], -1.0, 0.4)))
    lift = float(rng.random()) * 70 * severity if rng.random() < 0.4 else 0.0
    if night:
        gain *= 0.25 + 0.35 * float(rng.random())
    if not night and rng.random() < 0.08 and image.mean() < 130:  # overexposed; white plates would be wiped out
        gain *= 1.3 + 0.7 * float(rng.random())
    # Phones and street lamps: now and then the white balance is far off, mostly towards green or blue.
    off = 0.3 if rng.random() < 0.1 else 0.03 + 0.1 * severity
    cast = (1 + off * n[2:5]).clip(0.2, 2.0).astype(np.float32)
    table = np.power(_RAMP, gamma) * (cast * np.float32(gain * (255 - lift))) + np.float32(lift)
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8).reshape(256, 1, 3)), dtype=np.uint8)


def jpeg(image: ImageArray, quality: int) -> ImageArray:
    """The image after JPEG compression."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def sensor(image: ImageArray, rng: np.random.Generator, plate_height_px: float) -> ImageArray:
    """What lens, sensor and file do: focus, motion, light, exposure, noise, sharpening and JPEG, in this order.

    One severity per picture scales them all: independent strong effects together leave too many plates unreadable.

    Args:
        plate_height_px: blur is measured against it, so that small plates stay as readable as large ones.
    """
    draw = rng.random(12).tolist()
    severity = draw[0] ** 1.3
    if draw[1] < 0.6:
        image = blur(image, 0.3 + plate_height_px * 0.05 * severity * draw[1] / 0.6)
    if draw[2] < 0.15:
        length = 3 + int(draw[2] / 0.15 * severity * plate_height_px * 0.25)
        image = np.asarray(cv2.filter2D(image, -1, motion_kernel(length, int(draw[3] * 16))), dtype=np.uint8)
    if draw[4] < 0.65:
        image = light(image, rng)
    if draw[9] < 0.03:
        image = interlaced(image, 1 + int(draw[9] / 0.03 * 0.04 * plate_height_px))
    if draw[10] < 0.35:
        image = coloured(image, 0.15 + 4.5 * draw[10] if draw[11] < 0.8 else 0.0)
    night = draw[5] < 0.08
    image = tone(image, rng, severity, night)
    if draw[6] < 0.6 or night:
        image = noise(image, 0.7 + 9 * severity * draw[6], rng)
    if draw[7] < 0.2:  # phones sharpen: dark and bright seams along strokes
        soft = cv2.GaussianBlur(image, (0, 0), 1.2)
        amount = 0.5 + 7 * draw[7]
        image = np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), dtype=np.uint8)
    if draw[8] < 0.6:
        image = jpeg(image, round(92 - 65 * severity * draw[8] / 0.6))
    return image

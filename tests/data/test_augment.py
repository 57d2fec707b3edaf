"""Where a scene comes to lie on a canvas, and what light does to it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from alpr.data import augment_light
from alpr.data.augment import PixelAugment, PixelSettings, SceneGeometry, scene_homography, warp
from alpr.plates.geometry import transform_points
from alpr.plates.records import ImageArray

CROPS = (0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
UPRIGHT = SceneGeometry((1, 1), 0, 0, 0, 0, 0, CROPS)


def photograph() -> ImageArray:
    y, x = np.mgrid[:120, :160]
    return np.stack([x, y + 60, 200 - x // 2], 2).astype(np.uint8)


@pytest.mark.parametrize("canvas", [(320, 320), (448, 320), (320, 448)])
def test_crops_of_the_papers_sizes_hold_the_plate(canvas: tuple[int, int]) -> None:
    """The shorter side of what a canvas shows is one of the ten multiples of the scene's shorter side."""
    size, focus = (1160, 720), np.array([360.0, 900.0])
    found: Counter[float] = Counter()
    places = []
    for seed in range(600):
        matrix, mirrored = scene_homography(UPRIGHT, size, canvas, focus, np.random.default_rng(seed))
        edges = np.array([[0, 0], [canvas[1], canvas[0]]], float)
        shown = transform_points(edges, np.linalg.inv(matrix))
        sides = shown[1] - shown[0]
        found[round(float(sides.min()) / 720, 4)] += 1
        assert not mirrored and sides[0] / sides[1] == pytest.approx(canvas[1] / canvas[0])
        assert (shown[0] <= focus + 1e-6).all() and (shown[1] >= focus - 1e-6).all()
        # Smaller than the scene it lies within it, larger around it.
        for axis, length in enumerate((720, 1160)):
            low, high = sorted((0.0, length - sides[axis]))
            assert low - 1e-6 <= shown[0][axis] <= high + 1e-6
        places.append(((focus - shown[0]) / sides)[0])
    assert set(found) == set(CROPS) and min(found.values()) > 30
    assert 0.0 <= min(places) < 0.1 and 0.9 < max(places) <= 1.0  # a plate is met anywhere on the canvas


def test_a_plate_stays_on_the_canvas_when_its_crop_is_turned() -> None:
    geometry = SceneGeometry((1, 1), 40, 0.3, 0.1, 0.5, 0.3, (0.3, 2.0))
    for seed in range(200):
        focus = np.random.default_rng(seed).uniform([0, 0], [720, 1160])
        matrix, _ = scene_homography(geometry, (1160, 720), (320, 320), focus, np.random.default_rng(seed))
        point = transform_points(focus, matrix)
        assert (point >= -1e-6).all() and (point <= 320 + 1e-6).all()


def test_a_warp_without_perspective_is_the_same() -> None:
    image = photograph()
    matrix = np.array([[1.3, 0.2, 5], [-0.1, 1.2, 8], [0, 0, 1.0]])
    nearly = matrix + np.array([[0, 0, 0], [0, 0, 0], [1e-12, 0, 0]])
    difference = np.abs(warp(image, matrix, (100, 150)).astype(int) - warp(image, nearly, (100, 150)))
    assert difference.max() <= 3 and difference.mean() < 0.2


@pytest.mark.parametrize(
    "name", ["colour", "gamma", "blur", "noise", "low_resolution", "jpeg", "shadow", "grey", "motion", "night"]
)
def test_every_effect_changes_the_image_as_its_probability_says(name: str) -> None:
    off = dict.fromkeys(("colour", "gamma", "blur", "noise", "jpeg", "grey"), 0.0)
    image = photograph()
    before = image.copy()
    assert np.array_equal(PixelAugment(PixelSettings(**off))(image, np.random.default_rng(0)), image)
    for share, low, high in ((1.0, 18, 20), (0.5, 4, 16)):  # a short motion blur may be of a single pixel
        augment = PixelAugment(PixelSettings(**{**off, name: share}))
        results = [augment(image, np.random.default_rng(seed)) for seed in range(20)]
        assert all(r.shape == image.shape and r.dtype == np.uint8 for r in results)
        assert low <= sum(not np.array_equal(r, image) for r in results) <= high
        again = augment(image, np.random.default_rng(5))
        assert np.array_equal(results[5], again)
    assert np.array_equal(image, before)


def test_colour_changes_keep_grey_grey() -> None:
    grey = np.repeat(photograph()[..., :1], 3, axis=2)
    for seed in range(10):
        changed = augment_light.jitter_colour(grey, np.random.default_rng(seed)).astype(int)
        assert np.ptp(changed, axis=2).max() <= 1
    colourful = augment_light.jitter_colour(photograph(), np.random.default_rng(0))
    assert np.ptp(colourful.astype(int), axis=2).max() > 10


def test_noise_is_as_strong_as_asked_and_has_no_bias() -> None:
    flat = np.full((200, 200, 3), 120, np.uint8)
    for sigma in (3.0, 12.0):
        noise = augment_light.add_noise(flat, sigma, np.random.default_rng(1)).astype(float) - 120
        assert noise.std() == pytest.approx(sigma, rel=0.05) and abs(noise.mean()) < 0.1
        coarse = augment_light.add_noise(flat, sigma, np.random.default_rng(1), coarse=True).astype(float) - 120
        assert np.corrcoef(coarse[:, :-1].ravel(), coarse[:, 1:].ravel())[0, 1] > 0.4
        assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_a_night_is_dark_but_not_black() -> None:
    for seed in range(20):
        night = augment_light.make_night(photograph(), np.random.default_rng(seed)).astype(float)
        assert 12 < night.mean() < 90
        assert night[::4, ::4].std() > 5  # there is still something to see


def test_motion_blur_spreads_along_a_line() -> None:
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[20, 20] = 255
    off = dict.fromkeys(("colour", "gamma", "blur", "noise", "jpeg", "grey"), 0.0)
    augment = PixelAugment(PixelSettings(**off, motion=1.0, motion_px=15))
    reaches = []
    for seed in range(20):
        y, x = np.nonzero(augment(dot, np.random.default_rng(seed))[..., 0])
        reaches.append(max(np.ptp(x), np.ptp(y)))
    assert min(reaches) >= 1 and 9 <= max(reaches) <= 16


def test_settings_out_of_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"augment\.pixels\.night is 3"):
        PixelSettings(night=3)
    with pytest.raises(ValueError, match="crop_scales"):
        SceneGeometry(crop_scales=())
    with pytest.raises(ValueError, match="crop_scales"):
        SceneGeometry(crop_scales=(0.5, -1))

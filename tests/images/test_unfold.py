"""Two rows laid side by side: every pixel and every place goes where it should."""

from __future__ import annotations

import numpy as np
import pytest

from alpr.images.unfold import OVERLAP, folded_size, unfolded, unfolded_places


def test_the_upper_row_comes_first_and_the_lower_one_behind_it() -> None:
    folded = np.zeros((96, 96, 3), np.uint8)
    folded[:48, :48, 0], folded[:48, 48:, 1] = 200, 200
    folded[48:, :48, 2], folded[48:, 48:, :] = 200, 120
    crop = unfolded(folded, 0.5)
    assert crop.shape == (48, 192, 3) and folded_size((48, 192)) == (96, 96)
    for x, colour in ((20, [200, 0, 0]), (70, [0, 200, 0]), (120, [0, 0, 200]), (170, [120, 120, 120])):
        assert crop[24, x].tolist() == colour


@pytest.mark.parametrize("cut", [0.4, 0.5, 0.6])
def test_both_rows_keep_a_little_beyond_the_cut(cut: float) -> None:
    ramp = np.repeat(np.linspace(0, 250, 200)[:, None, None], 100, 1).repeat(3, 2).astype(np.uint8)
    crop = unfolded(ramp, cut).astype(float)
    upper, lower = crop[:, :100].mean(axis=1), crop[:, 100:].mean(axis=1)
    assert upper[-1].mean() / 250 == pytest.approx(cut + OVERLAP, abs=0.02)
    assert lower[0].mean() / 250 == pytest.approx(cut - OVERLAP, abs=0.02)


def test_places_follow_their_pixels() -> None:
    folded = np.zeros((96, 96, 3), np.uint8)
    places = np.array([[0.1, 0.05, 0.3, 0.35], [0.6, 0.1, 0.8, 0.38], [0.2, 0.5, 0.4, 0.9]], np.float32)
    for x1, y1, x2, y2 in (places * 96).round().astype(int):
        folded[y1:y2, x1:x2] = 255
    crop, moved = unfolded(folded, 0.42), unfolded_places(places, 0.42)
    white = np.zeros(crop.shape[:2], bool)
    for x1, y1, x2, y2 in (moved * [192, 48, 192, 48]).round().astype(int):
        white[y1:y2, x1:x2] = True
        assert crop[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 200
    assert crop[~white].mean() < 15, "nothing white stands elsewhere"


def test_a_cut_at_the_edge_leaves_a_row_of_one_pixel_at_least() -> None:
    folded = np.full((96, 96, 3), 7, np.uint8)
    assert unfolded(folded, 0.0).shape == unfolded(folded, 1.0).shape == (48, 192, 3)

"""Sheets of pictures with labels: each kind is told apart, and a file stays small."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from alpr.reports import drawing

QUAD = np.array([[100, 100], [500, 120], [500, 300], [100, 280]], np.float32)


def test_each_kind_is_told_apart() -> None:
    drawn = []
    for draw in (
        lambda i: drawing.draw_plate(i, QUAD),
        lambda i: drawing.draw_box(i, np.array([100, 100, 500, 300], np.float32)),
        lambda i: drawing.draw_ignored(i, np.array([100, 100, 5000, 300], np.float32)),
        lambda i: drawing.draw_detection(i, QUAD, 0.97),
    ):
        image = np.zeros((900, 900, 3), np.uint8)
        draw(image)
        drawn.append(image)
    for k, colour in enumerate((drawing.CORNERS, drawing.BOX, drawing.IGNORED, drawing.FOUND)):
        # Lines have soft edges.
        near = [(np.abs(image.astype(int) - colour).max(-1) < 70).sum() > 20 for image in drawn]
        assert near == [k == n for n in range(4)], k
    red = [(image[97:103, 97:103, 2].astype(int) - image[97:103, 97:103, 1] > 100).sum() > 4 for image in drawn]
    assert red == [True, False, False, True]  # the first corner, where there are corners


def test_a_sheet_and_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (60 + 10 * i, 80, 3), dtype=np.uint8) for i in range(5)]
    page = drawing.sheet(pictures, columns=3)
    assert page.shape == (2 * 104, 3 * 84, 3) and np.array_equal(page[104:174, :80], pictures[3][:70])
    drawing.write_jpeg(page, tmp_path / "new" / "a.jpg", 20_000)
    path = tmp_path / "new" / "a.jpg"
    image = cv2.imread(str(path))
    assert path.stat().st_size <= 20_000 and image is not None and image.shape == page.shape
    with pytest.raises(ValueError, match="at least one picture"):
        drawing.sheet([])

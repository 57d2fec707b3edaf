"""The gate of decoded results, where the raw outputs pass: corners a fifth of a pixel away, a plate more or fewer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.export.parity import RAW_TOLERANCE, ParityError, check_detector
from alpr.plates.geometry import box_corners

SETTINGS = DetectorSettings(input_px=640, score_threshold=0.5)
FRAME = np.zeros((1440, 2560, 3), np.uint8)  # four of its pixels are one of the network's
BOXES = np.array([[0.1, 0.1, 0.25, 0.15], [0.4, 0.3, 0.6, 0.4]], np.float32)  # shares of the long side


class Fixed:
    """A network that finds two plates in whatever it is shown; of the second it is sure to just above the threshold."""

    def __init__(self, second: float = 0.50002, corners_px: float = 0.0) -> None:
        self.second, self.share = second, corners_px / FRAME.shape[1]

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        px, count = max(batch.shape[1:3]), len(batch)
        corners = box_corners(BOXES) * px
        corners[1, 2, 1] += self.share * px
        scores = np.array([0.9, self.second], np.float32)
        return (
            np.tile(scores, (count, 1)),
            np.tile(BOXES * px, (count, 1, 1)),
            np.tile(corners.astype(np.float32), (count, 1, 1, 1)),
        )


def check(before: Fixed, after: Fixed) -> float:
    return check_detector(Detector(before, SETTINGS), Detector(after, SETTINGS), [FRAME] * 2).plate_corners_px


def test_corners_a_fifth_of_a_pixel_away_are_refused_though_the_raw_outputs_pass() -> None:
    assert check(Fixed(), Fixed(corners_px=0.08)) == pytest.approx(0.08, abs=2e-3)
    assert Fixed(corners_px=0.2).share < RAW_TOLERANCE
    with pytest.raises(ParityError, match=re.escape("a plate's corners are 0.2 px away after the export (image 0")):
        check(Fixed(), Fixed(corners_px=0.2))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_one_plate_more_or_fewer_is_refused_though_the_raw_outputs_pass(before: int, after: int) -> None:
    networks = {1: Fixed(0.49998), 2: Fixed(0.50002)}
    assert check(networks[before], networks[before]) == 0.0
    sentence = f"{after} plates are found after the export and {before} before (image 0, 640 px, batch 1)"
    with pytest.raises(ParityError, match=re.escape(sentence)):
        check(networks[before], networks[after])

"""The smallest readable plate: the narrowest width from which on nine plates in ten are read."""

from __future__ import annotations

import json

import pytest

from alpr.evaluation.by_width import Readable, readable_from, readable_widths
from alpr.evaluation.outcomes import PlateRecord
from alpr.plates.records import Reading


def plates(width: float, number: int, wrong: int = 0, found: bool = True) -> list[PlateRecord]:
    return [
        PlateRecord(
            f"{width}_{i}.jpg",
            0,
            ".",
            text="B123",
            width_px=width,
            input_width_px=width / 2,
            iou=0.8 if found else 0.0,
            on_predicted_corners=Reading("X" if i < wrong else "B123", 0.9, (0.9,)),
        )
        for i in range(number)
    ]


@pytest.mark.parametrize(
    ("records", "width"),
    [
        (plates(100, 20, 2) + plates(70, 20, 1), 64),
        (plates(100, 20, 2) + plates(70, 20, 3), 96),
        (plates(100, 20, 3) + plates(70, 20), None),  # the wider ones are read worse: no width can be promised
        (plates(100, 20) + plates(70, 9), 96),  # too few to say
        (plates(300, 9, 9) + plates(100, 20), 96),
        (plates(100, 20, found=False), None),
        ([], None),
    ],
)
def test_the_narrowest_width_from_which_on_all_bins_hold(records: list[PlateRecord], width: int | None) -> None:
    assert readable_widths(records).image.width_px == width


def test_both_widths_and_the_bins_travel_in_a_card() -> None:
    found = readable_widths(plates(100, 20, 2) + plates(40, 12, 6))
    assert (found.image.width_px, found.input.width_px) == (96, 48)
    assert [(b.low_px, b.plates, b.read) for b in found.image.bins] == [(32, 12, 6), (96, 20, 18)]
    assert found.image.narrower and not Readable(96, found.image.bins[1:]).narrower
    assert readable_from({"readable": json.loads(json.dumps(found.to_dict()))}) == found
    for other in ({}, {"readable": None}, {"readable": {"image": {"width_px": "9", "bins": []}}}):
        assert readable_from(other) is None


def test_ready_made_crops_say_nothing() -> None:
    crops = [
        PlateRecord("a.png", i, ".", text="B1", width_px=90, on_crop=Reading("B1", 1.0, (1.0,))) for i in range(20)
    ]
    assert readable_widths(crops).image == Readable(None, ())

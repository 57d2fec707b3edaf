"""Annotated copies: the drawing lies where the plate is, the image itself stays, and no font is required."""

from __future__ import annotations

import numpy as np
import pytest

from alpr.plates.records import Detection, PlateReading, Reading
from alpr.reports import drawing as module
from alpr.reports.drawing import annotate, annotate_crop, ascii_label, label

CORNERS = np.array([[100, 80], [220, 90], [218, 130], [98, 118]], np.float32)
READING = Reading("皖A12345", 0.987, (0.99,) * 7)


def _plate(corners: np.ndarray = CORNERS) -> PlateReading:
    return PlateReading(Detection(corners, np.zeros(4, np.float32), 0.9), READING)


@pytest.fixture(params=["font", "no font"])
def either_font(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no font":
        monkeypatch.setattr(module, "_cjk_font", lambda height: None)


@pytest.mark.usefixtures("either_font")
def test_the_quad_and_the_label_are_drawn_on_a_copy() -> None:
    image = np.full((400, 600, 3), 77, np.uint8)
    drawn = annotate(image, [_plate()])
    assert (image == 77).all() and drawn.shape == image.shape
    assert (np.abs(drawn[82:88, 140:180].astype(int) - module.LINE) < 80).all(axis=-1).any()  # the top edge
    assert (drawn[78:83, 98:103] == module.START).all(axis=-1).any()  # top left, as the text is read
    rows, columns = np.nonzero((drawn == module.PAPER).all(axis=-1))
    assert rows.max() < 84 and abs(columns.min() - 98) <= 2  # above the hull, from its left
    changed = np.argwhere((drawn != 77).any(axis=-1))
    assert changed[:, 0].max() <= 132


@pytest.mark.usefixtures("either_font")
@pytest.mark.parametrize(
    "corners", [CORNERS - 95, CORNERS + 300, CORNERS * 1e7, CORNERS - 1e5, np.zeros((4, 2), np.float32)]
)
def test_plates_at_and_beyond_the_edges(corners: np.ndarray) -> None:
    for shape in ((400, 600, 3), (9, 7, 3), (40, 900, 3)):
        assert annotate(np.zeros(shape, np.uint8), [_plate(corners.astype(np.float32))]).shape == shape
    assert annotate(np.zeros((1, 1, 3), np.uint8), []).shape == (1, 1, 3)


@pytest.mark.usefixtures("either_font")
def test_a_line_shows_where_two_rows_part() -> None:
    corners = np.array([[40, 40], [160, 40], [160, 120], [40, 120]], np.float32)
    found = Detection(corners, np.array([40, 40, 160, 120], np.float32), 0.9)
    image = np.zeros((200, 300, 3), np.uint8)
    flat, cut = (
        annotate(image, [PlateReading(found, Reading("A1", 0.9, (0.9, 0.9), cut=where))]) for where in (0.0, 0.4)
    )
    rows = np.flatnonzero((flat != cut).any(axis=(1, 2)))
    assert 70 <= rows.min() <= rows.max() <= 74, "0.4 of the way from 40 to 120"
    assert "(unknown script)" in label(Reading("", 0.0, (), state="unknown script"))


def test_a_crop_gets_its_text_beneath() -> None:
    crop = np.full((24, 96, 3), 77, np.uint8)
    drawn = annotate_crop(crop, READING)
    assert (drawn[:48, :192] == 77).all() and drawn.shape[0] > 60
    assert (drawn[48:] > 200).any()
    assert annotate_crop(crop, Reading("", 0.2, ())).shape[1] >= 192


def test_symbols_outside_ascii_have_a_readable_stand_in() -> None:
    assert ascii_label("皖A12 0.98") == "[U+7696]A12 0.98"

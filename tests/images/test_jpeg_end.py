"""JPEGs without their end marker are read; those without a part of their data are told from whole ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from alpr.images.photograph import read_photograph
from alpr.images.prepare import UnreadableImage, read_image

PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8), (640, 477))
KINDS = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 7),
    "4:4:4": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
}
END = b"\xff\xd9"


def jpeg(kind: str, picture: np.ndarray = PICTURE) -> bytes:
    return cv2.imencode(".jpg", picture, KINDS[kind])[1].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("least_px", [1e9, 300, 80])
def test_only_the_end_marker_is_missing(kind: str, least_px: float) -> None:
    data = jpeg(kind)
    for each in (data, data[:-2], data[:-1]):
        photograph = read_photograph(each, least_px)
        assert not photograph.damaged
        assert np.array_equal(photograph.pixels, read_photograph(data, least_px).pixels)
        assert np.array_equal(read_image(each), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.4, 0.6])
@pytest.mark.parametrize("least_px", [1e9, 300, 80])
def test_missing_data_are_told_whether_or_not_the_end_marker_is_there(kind: str, kept: float, least_px: float) -> None:
    data = jpeg(kind)
    cut = data[: int(kept * len(data))]
    for each in (cut, cut + END):
        photograph = read_photograph(each, least_px)
        assert photograph.damaged and photograph.size == PICTURE.shape[:2]
        assert photograph.at_least(1e9).shape == PICTURE.shape and photograph.damaged
    with pytest.raises(UnreadableImage, match="its end marker and a part of its picture are missing"):
        read_image(cut)  # labelled pictures are whole or not used


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [128, 127, 0])
def test_a_grey_picture_is_whole(kind: str, value: int, capfd: pytest.CaptureFixture[str]) -> None:
    grey = PICTURE.copy()
    grey[200:] = value
    for each in (jpeg(kind, grey), jpeg(kind, np.full_like(grey, value)), jpeg(kind, grey)[:-2]):
        assert not read_photograph(each, 1e9).damaged
    assert kind == "progressive" or capfd.readouterr().err == ""  # libjpeg has nothing to say of whole ones


def test_a_whole_jpeg_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flag: (calls.append(flag), decode(data, flag))[1])
    for kind in KINDS:
        read_photograph(jpeg(kind), 300)
    assert calls == [cv2.IMREAD_REDUCED_COLOR_2] * len(KINDS)


def test_another_picture_behind_the_first_changes_nothing() -> None:
    data = jpeg("baseline")
    assert not read_photograph(data + jpeg("progressive"), 1e9).damaged  # as cameras with two lenses write
    assert read_photograph(data[: len(data) // 2] + END + data, 1e9).damaged


def test_of_other_formats_and_arrays_nothing_is_said() -> None:
    assert not read_photograph(cv2.imencode(".png", PICTURE)[1].tobytes(), 1e9).damaged
    assert not read_photograph(np.full((8, 8, 3), 128, np.uint8), 1e9).damaged

"""The detector's second, finer look: when it is taken, and what it adds."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from alpr.detection.detect import Detector, Found
from alpr.detection.settings import DetectorSettings
from alpr.images.photograph import Photograph, read_photograph
from alpr.plates.records import FloatArray, ImageArray

SETTINGS = DetectorSettings(input_px=320, fine_px=640, score_threshold=0.4, sure_score=0.6, small_px=64)
IMAGE = np.zeros((960, 1280, 3), np.uint8)  # 4 px per px of the first look's input, 2 of the second's


class PlatesBySize:
    """A network that answers (score, left, top, width) in px of the image, other ones in each look."""

    def __init__(self, coarse: list[tuple[float, ...]], fine: list[tuple[float, ...]]) -> None:
        self.answers = {320: coarse, 640: fine}
        self.calls: list[tuple[int, int]] = []

    def __call__(self, batch: ImageArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        b, _, width, _ = batch.shape
        self.calls.append((b, width))
        rows = np.array(self.answers[width], np.float32).reshape(-1, 4)
        scores, left, top, wide = rows[:, 0], *(rows[:, 1:] * width / 1280).T
        boxes = np.stack([left, top, left + wide, top + wide / 4], axis=-1)
        corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        return tuple(np.broadcast_to(a, (b, *a.shape)) for a in (scores, boxes, corners))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("coarse", "again"),
    [
        ([], True),  # nothing found
        ([(0.59, 100, 100, 400)], True),  # nothing certain
        ([(0.7, 100, 100, 400)], False),
        ([(0.7, 100, 100, 400), (0.5, 600, 600, 200)], True),  # 50 px wide in the input
        ([(0.7, 100, 100, 400), (0.5, 600, 600, 300)], False),
        ([(0.7, 100, 100, 400), (0.39, 600, 600, 200)], False),  # below the threshold
    ],
)
def test_when_a_second_look_is_taken(coarse: list[tuple[float, ...]], again: bool) -> None:
    network = PlatesBySize(coarse, [])
    (found,) = Detector(network, SETTINGS).look([Photograph(IMAGE)])
    assert found.looks == 1 + again
    assert network.calls == ([(1, 320), (1, 640)] if again else [(1, 320)])
    assert len(found.plates) == sum(plate[0] >= 0.4 for plate in coarse)  # an empty second look takes nothing away


def test_small_plates_join_and_wide_ones_are_the_first_looks() -> None:
    coarse = [(0.5, 100, 100, 400), (0.45, 600, 600, 200)]
    fine = [(0.9, 602, 601, 198), (0.8, 900, 100, 60), (0.95, 300, 700, 260)]  # the last: 130 px wide in its input
    (found,) = Detector(PlatesBySize(coarse, fine), SETTINGS).look([Photograph(IMAGE)])
    assert [round(plate.score, 2) for plate in found.plates] == [0.9, 0.8, 0.5]
    np.testing.assert_allclose(found.plates[0].corners[0], [602, 601], atol=1e-3)
    np.testing.assert_allclose(found.plates[1].box, [900, 100, 960, 115], atol=1e-3)


@pytest.mark.parametrize(
    ("suspected", "found"),
    [
        ((0.21, 300, 700, 260), [0.8]),  # half of the threshold or more, and both looks see it
        ((0.19, 300, 700, 260), []),
        ((0.3, 700, 700, 260), []),  # elsewhere
    ],
)
def test_a_wide_plate_joins_where_the_first_look_suspected_one(
    suspected: tuple[float, ...], found: list[float]
) -> None:
    detector = Detector(PlatesBySize([suspected], [(0.8, 305, 700, 262)]), SETTINGS)
    (look,) = detector.look([Photograph(IMAGE)])
    assert [round(plate.score, 2) for plate in look.plates] == found and look.looks == 2
    (lower,) = detector.down_to(0.05, 100).look([Photograph(IMAGE)])
    assert [round(plate.score, 2) for plate in detector.sure(lower.plates)] == found


def test_the_second_looks_scores_count_as_much_as_is_asked() -> None:
    fine = [(0.9, 602, 601, 198), (0.49, 900, 100, 60), (0.51, 100, 900, 60)]
    settings = replace(SETTINGS, fine_weight=0.8)  # 0.5 of the second look is 0.4, the threshold
    coarse = [(0.5, 100, 100, 400), (0.75, 600, 600, 200)]
    (found,) = Detector(PlatesBySize(coarse, fine), settings).look([Photograph(IMAGE)])
    assert [round(plate.score, 3) for plate in found.plates] == [0.75, 0.5, 0.408]
    np.testing.assert_allclose(found.plates[0].corners[0], [600, 600], atol=1e-3)  # 0.75 is more than 0.9 of 0.8
    settings = replace(SETTINGS, fine_weight=0.3)  # no score is as high as the threshold then
    (found,) = Detector(PlatesBySize([(0.5, 100, 100, 400)], [(0.99, 900, 100, 60)]), settings).look(
        [Photograph(IMAGE)]
    )
    assert len(found.plates) == 1


def test_a_second_look_is_at_more_pixels_and_answers_in_those_of_the_whole_image() -> None:
    data = cv2.imencode(".jpg", np.zeros((1923, 2561, 3), np.uint8))[1].tobytes()  # no multiple of any reduction
    coarse, fine = [(0.5, 100, 100, 400)], [(0.8, 900, 100, 60), (0.95, 300, 700, 260)]
    photographs = [read_photograph(data, SETTINGS.first_px) for _ in range(2)]
    assert photographs[0].pixels.shape == (481, 641, 3)
    found = Detector(PlatesBySize(coarse, fine), SETTINGS).look(photographs)
    assert [p.pixels.shape for p in photographs] == [(1923, 2561, 3)] * 2
    for plates, _ in found:
        assert [round(plate.score, 2) for plate in plates] == [0.8, 0.5]
        np.testing.assert_allclose(plates[0].corners[2], np.multiply([960, 115], 2561 / 1280), atol=1)
        np.testing.assert_allclose(plates[1].box[:2], np.multiply([100, 100], 2561 / 1280), atol=1)
    clear = read_photograph(data, SETTINGS.first_px)
    Detector(PlatesBySize([(0.9, 100, 100, 400)], []), SETTINGS).look([clear])
    assert clear.pixels.shape == (481, 641, 3)  # nobody asked for more


def test_only_doubtful_images_are_looked_at_again_and_order_is_kept() -> None:
    class Alternating(PlatesBySize):
        def __call__(self, batch: ImageArray) -> tuple[FloatArray, FloatArray, FloatArray]:
            scores, boxes, corners = super().__call__(batch)
            return np.where(batch[:, :1, 0, 0] > 0, 0.3, scores).astype(np.float32), boxes, corners

    network = Alternating([(0.7, 100, 100, 400)], [(0.3, 0, 0, 100)])
    dark, light = IMAGE, np.full_like(IMAGE, 90)
    found = Detector(network, SETTINGS).look([*map(Photograph, (dark, light, dark))])
    assert [f.looks for f in found] == [1, 2, 1]
    assert [len(f.plates) for f in found] == [1, 0, 1]
    assert network.calls == [(3, 320), (1, 640)]


def test_a_lower_threshold_casts_no_new_doubt() -> None:
    """Evaluation asks for more than the deployed detector gives; what that one finds must not change."""
    coarse = [(0.7, 100, 100, 400), (0.1, 600, 600, 100)]
    detector = Detector(PlatesBySize(coarse, [(0.9, 600, 600, 100)]), SETTINGS)
    lower = detector.down_to(0.05, 100)
    (found,) = lower.look([Photograph(IMAGE)])
    assert found.looks == 1 and len(found.plates) == 2
    assert len(detector.sure(found.plates)) == len(detector.detect([IMAGE])[0]) == 1


def test_a_size_of_ones_own_is_one_look() -> None:
    network = PlatesBySize([], [])
    Detector(network, SETTINGS).at(640).detect([IMAGE])
    assert network.calls == [(1, 640)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fine_px": 650}, r"fine_px is 650; expected a multiple of 32"),
        ({"sure_score": 1.5}, r"sure_score is 1.5; expected 0 to 1"),
        ({"fine_weight": 0.0}, r"fine_weight is 0.0; expected above 0 to 1"),
        ({"small_px": -1.0}, r"small_px is -1.0; expected a number of px, 0 or more"),
        ({"middle_px": 640}, r"fine_px is None; expected a size beside middle_px"),
        ({"middle_px": 650, "fine_px": 960}, r"middle_px is 650; expected a multiple of 32"),
        ({"widest_fine": -1.0}, r"widest_fine is -1.0; expected a number, 0 or more"),
        ({"wide_score": 2.0}, r"wide_score is 2.0; expected 0 to 1, or null for never"),
        ({"credible_from": -0.1}, r"credible_from is -0.1; expected 0 to 1, or null for never"),
        ({"crops_below": 1.5}, r"crops_below is 1.5; expected 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        DetectorSettings(**change)  # type: ignore[arg-type]


def test_a_higher_threshold_changes_no_look() -> None:
    coarse, fine = [(0.65, 100, 100, 400)], [(0.9, 600, 600, 100)]
    network = PlatesBySize(coarse, fine)
    (found,) = Detector(network, SETTINGS).down_to(0.7, 50).look([Photograph(IMAGE)])
    assert not found.plates and found.looks == 1  # the first look was sure of what is left out now
    assert network.calls == [(1, 320)]


FINER = replace(SETTINGS, finer_corners=True)


def looked(coarse: list[tuple[float, ...]], fine: list[tuple[float, ...]], settings: DetectorSettings) -> Found:
    return Detector(PlatesBySize(coarse, fine), settings).look([Photograph(IMAGE)])[0]


@pytest.mark.parametrize(("settings", "left"), [(SETTINGS, 600), (FINER, 603)])
def test_of_a_plate_that_both_looks_see_the_finer_corners_count(settings: DetectorSettings, left: int) -> None:
    found = looked([(0.55, 600, 600, 200)], [(0.45, 603, 600, 200)], settings)
    assert [round(plate.score, 2) for plate in found.plates] == [0.55]  # the better score of the two
    assert found.plates[0].corners[0, 0] == pytest.approx(left, abs=1e-2)


def test_finer_corners_do_not_depend_on_the_threshold() -> None:
    """What a lower threshold finds begins with what the usual one does, as evaluation takes it."""
    coarse, fine = [(0.55, 600, 600, 200), (0.45, 100, 100, 200)], [(0.3, 603, 600, 200), (0.1, 104, 100, 200)]
    network = PlatesBySize(coarse, fine)
    usual, lower = Detector(network, FINER), Detector(network, FINER).down_to(0.05, 100)
    (sure,), (more,) = usual.look([Photograph(IMAGE)]), lower.look([Photograph(IMAGE)])
    again = usual.sure(more.plates)
    assert [plate.score for plate in again] == [plate.score for plate in sure.plates] and len(again) == 2
    for one, other in zip(again, sure.plates, strict=True):
        np.testing.assert_array_equal(one.corners, other.corners)
    assert [round(float(plate.corners[0, 0])) for plate in again] == [603, 100]  # 0.1 is too faint to place corners


@pytest.mark.parametrize(
    ("change", "found"),
    [({}, 0), ({"widest_fine": 3.0}, 1), ({"wide_score": 0.8}, 1), ({"wide_score": 0.81}, 0)],
)
def test_a_wide_plate_of_the_finer_look_alone(change: dict[str, float], found: int) -> None:
    look = looked([], [(0.8, 300, 700, 300)], replace(SETTINGS, **change))  # type: ignore[arg-type]  # 150 px wide
    assert len(look.plates) == found and look.looks == 2


@pytest.mark.parametrize(("other", "looks"), [(0.25, 2), (0.15, 1)])
def test_something_else_beside_a_sure_plate_is_looked_at(other: float, looks: int) -> None:
    coarse = [(0.9, 100, 100, 400), (other, 800, 700, 300)]
    found = looked(coarse, [(0.7, 800, 700, 120)], replace(SETTINGS, others_score=0.2))
    assert (found.looks, len(found.plates)) == (looks, looks)
    assert looked(coarse, [(0.7, 800, 700, 120)], SETTINGS).looks == 1


class Ladder(PlatesBySize):
    def __init__(self, *answers: list[tuple[float, ...]]) -> None:
        super().__init__([], [])
        self.answers = dict(zip((320, 480, 640), answers, strict=True))


@pytest.mark.parametrize(
    ("middle", "sizes", "scores"),
    [
        ([(0.7, 600, 600, 200)], [320, 480], [0.7]),  # 75 px wide in the middle look's input
        ([(0.5, 600, 600, 200)], [320, 480, 640], [0.8]),  # nothing certain yet
        ([(0.7, 600, 600, 100)], [320, 480, 640], [0.8, 0.7]),  # 38 px wide
        ([], [320, 480, 640], [0.8]),
    ],
)
def test_the_finest_look_is_taken_where_the_middle_one_leaves_doubt(
    middle: list[tuple[float, ...]], sizes: list[int], scores: list[float]
) -> None:
    network = Ladder([], middle, [(0.8, 604, 600, 200)])
    (found,) = Detector(network, replace(FINER, middle_px=480)).look([Photograph(IMAGE)])
    assert [width for _, width in network.calls] == sizes and found.looks == len(sizes)
    assert [round(plate.score, 2) for plate in found.plates] == scores


def test_every_look_is_at_as_many_pixels_as_it_needs() -> None:
    data = cv2.imencode(".jpg", np.zeros((2400, 3200, 3), np.uint8))[1].tobytes()
    settings = replace(FINER, middle_px=480)
    photograph = read_photograph(data, settings.first_px)
    assert photograph.pixels.shape[1] == 800
    Detector(Ladder([], [(0.7, 600, 600, 200)], []), settings).look([photograph])
    assert photograph.pixels.shape[1] == 800  # 1.5 times 480 are there already
    Detector(Ladder([], [], []), settings).look([photograph])
    assert photograph.pixels.shape[1] == 3200

"""Doubtful crops are read again, moved to both sides; sure ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from alpr.plates.charset import Charset
from alpr.plates.records import FloatArray, ImageArray
from alpr.recognition.decode import decode_logits, mean_logits, softmax
from alpr.recognition.read import Recogniser, shifted
from alpr.recognition.settings import RecogniserSettings

CHARSET = Charset("AB")
SETTINGS = RecogniserSettings(size=(4, 192), slots=1, temperature=2.0, read_again_below=0.9)


def crop(value: int, at: int = 96) -> ImageArray:
    """A dark crop with one bright column, whose value says what is read."""
    image = np.zeros((4, 192, 3), np.uint8)
    image[:, at] = value
    return image


class ByPlace:
    """Reads A with the probability that it has for a crop's value and for where the bright column stands, else B."""

    def __init__(self, probabilities: dict[int, tuple[float, float, float]]) -> None:
        self.probabilities = probabilities
        self.batches: list[int] = []

    def __call__(self, batch: ImageArray) -> tuple[FloatArray, ...]:
        self.batches.append(len(batch))
        places = {94: 0, 96: 1, 98: 2}
        logits = []
        for image in batch:
            at = int(image[0, :, 0].argmax())
            a = self.probabilities[int(image[0, at, 0])][places[at]]
            logits.append([[-30.0, *(SETTINGS.temperature * np.log([a, 1 - a]))]])
        heads = np.array(logits)[:, 0, 1:] / SETTINGS.temperature
        return np.array(logits, np.float32), np.asarray(heads, np.float32)


def test_a_doubtful_crop_is_read_from_both_sides_and_a_sure_one_once() -> None:
    network = ByPlace({50: (0.9, 0.4, 0.95), 100: (0.1, 0.95, 0.1), 150: (0.2, 0.8, 0.05)})
    settings = RecogniserSettings(size=(4, 192), slots=1, temperature=2.0, read_again_below=0.9, countries=("XA", "XB"))
    readings = Recogniser(network, settings, CHARSET).read([crop(50), crop(100), crop(150)])
    assert [reading.text for reading in readings] == ["A", "A", "B"]
    assert network.batches == [3, 2, 2]
    np.testing.assert_allclose([r.score for r in readings], [0.75, 0.95, 1 - 0.35], atol=1e-5)  # the means of three
    assert [reading.country for reading in readings] == ["XA", "XA", "XB"]
    assert readings[0].country_score == pytest.approx(0.75, abs=1e-5)


def test_by_default_nothing_is_read_again() -> None:
    network = ByPlace({50: (0.9, 0.4, 0.95)})
    settings = RecogniserSettings(size=(4, 192), slots=1, temperature=2.0, countries=("XA", "XB"))
    (reading,) = Recogniser(network, settings, CHARSET).read([crop(50)])
    assert reading.text == "B" and network.batches == [1]


def test_a_moved_crop_repeats_its_outermost_column() -> None:
    batch = np.arange(2 * 3 * 8 * 3, dtype=np.uint8).reshape(2, 3, 8, 3)
    right = shifted(batch, 2)
    np.testing.assert_array_equal(right[:, :, 2:], batch[:, :, :-2])
    np.testing.assert_array_equal(right[:, :, :2], np.repeat(batch[:, :, :1], 2, axis=2))
    np.testing.assert_array_equal(shifted(batch, -1)[:, :, :-1], batch[:, :, 1:])
    np.testing.assert_array_equal(shifted(batch, 0), batch)


def test_looks_are_averaged_as_probabilities_at_the_temperature() -> None:
    looks = np.random.default_rng(0).normal(0, 5, (3, 4, 2, 3))
    joined = mean_logits(list(looks), 1.7)
    np.testing.assert_allclose(softmax(joined / 1.7), softmax(looks / 1.7).mean(axis=0), atol=1e-9)
    alone = decode_logits(mean_logits([looks[0]] * 3, 1.7), CHARSET, 1.7)
    for one, other in zip(alone, decode_logits(looks[0], CHARSET, 1.7), strict=True):
        assert one.text == other.text and one.score == pytest.approx(other.score, abs=1e-9)


def test_a_score_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"read_again_below is 1\.2; expected 0 to 1"):
        RecogniserSettings(read_again_below=1.2)

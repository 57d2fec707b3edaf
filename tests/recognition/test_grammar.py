"""The most probable strings against all of them, and the grammar by hand."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import oracles
import pytest

from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack, Layout
from alpr.plates.records import Reading
from alpr.plates.slots import Slots, most_probable
from alpr.reader.predictions import reading_record
from alpr.recognition.decode import Decoding, decode_logits, softmax
from alpr.recognition.grammar import Grammar

CHARSET = Charset("AB12")
PLATE = Layout("letter and digit", "LD", (140, 440), ("#0000ff",), "#ffffff", (90, 45), 12)
PACK = CountryPack(
    "CN", "Testland", "AB12", {"L": "AB", "D": "12"}, (PLATE, replace(PLATE, name="long", pattern="LDD"))
)


def read(rows: list[list[float]], decoding: Decoding) -> Reading:
    """The reading of one crop from probabilities per slot: PAD, A, B, 1, 2."""
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(np.array([rows])), -1e4)
    return decode_logits(logits, CHARSET, 1.0, decoding)[0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sharp", [0.5, 6.0])
def test_the_best_strings_are_those_of_trying_all(seed: int, sharp: float) -> None:
    slots = softmax(np.random.default_rng(seed).normal(0, sharp, (4, 4)))
    every = oracles.string_probabilities(slots.tolist())
    assert sum(every.values()) <= 1 + 1e-9
    for count in (1, 3, 10, len(every), len(every) + 5):
        best = [(ids, math.exp(p)) for ids, p in most_probable(np.log(slots), count)]
        assert [p for _, p in best] == pytest.approx(sorted(every.values(), reverse=True)[:count])
        assert len({ids for ids, _ in best}) == len(best) == min(count, len(every))
        assert all(p == pytest.approx(every[ids]) for ids, p in best)
    assert most_probable(np.log(slots), 0) == []


def test_a_batch_gives_the_best_strings_as_texts_and_leaves_the_rest_as_it_was() -> None:
    rows = [[0.1, 0.6, 0.3, 0, 0], [0.2, 0, 0, 0.5, 0.3]]
    reading = read(rows, Decoding())
    assert [a.text for a in reading.alternatives(3)] == ["A1", "A2", "B1"]
    assert [a.score for a in reading.alternatives(3)] == pytest.approx([0.3, 0.18, 0.15])
    assert [a.log_probability for a in reading.alternatives(1)] == pytest.approx([math.log(0.3)])
    assert (reading.rule, reading.raw_text, reading.certain) == (None, None, None)


@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_a_reading_keeps_its_slots_for_later(temperature: float) -> None:
    logits = np.random.default_rng(3).normal(0, 2, (2, 4, 5)).astype(np.float32)
    readings = decode_logits(logits, CHARSET, temperature)
    for reading, answer in zip(readings, logits, strict=True):
        slots = softmax(answer / temperature)
        kept = reading.log_probabilities
        assert kept is not None and kept.shape == (4, 5) and kept.dtype == np.float32
        np.testing.assert_allclose(kept, np.log(slots), rtol=1e-5, atol=1e-6)
        every = {CHARSET.decode(ids): p for ids, p in oracles.string_probabilities(slots.tolist()).items()}
        best = sorted(every, key=lambda text: -every[text])[:7]
        assert [a.text for a in reading.alternatives(7)] == best
        assert [a.score for a in reading.alternatives(7)] == pytest.approx([every[text] for text in best])
        assert "slots" not in repr(reading) and "log_prob" not in json.dumps(reading_record(reading))
        again = pickle.loads(pickle.dumps(reading))
        assert again == reading and again.alternatives(2) == reading.alternatives(2)
    assert Reading("", 0.0, ()).alternatives(3) == [] and Reading("", 0.0, ()).log_probabilities is None


def test_a_distribution_is_made_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "log_probabilities", property(lambda slots: pytest.fail("made")))
    (reading,) = decode_logits(np.zeros((1, 4, 5), np.float32), CHARSET)
    assert reading_record(reading)["text"] == "" and reading.slots is not None


def test_strings_of_no_probability_are_no_alternatives() -> None:
    reading = read([[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]], Decoding())
    assert reading.alternatives(9) == [("A1", 0.0)]


def test_a_text_that_fits_is_kept_even_where_another_layout_is_likelier() -> None:
    # "A1" is read slot by slot; the tail makes the longer "A11" the likelier string
    rows = [[0.1, 0.9, 0, 0, 0], [0.1, 0, 0, 0.9, 0], [0.4, 0.3, 0, 0.3, 0]]
    reading = read(rows, Decoding(grammar=Grammar(PACK, CHARSET)))
    assert (reading.text, reading.rule, reading.raw_text) == ("A1", "letter and digit", None)
    assert reading == replace(read(rows, Decoding()), rule="letter and digit")


def test_a_text_that_does_not_fit_gives_way_to_the_best_that_does() -> None:
    rows = [[0, 0.1, 0.2, 0.7, 0], [0, 0.6, 0, 0.1, 0.3], [0.9, 0, 0, 0.1, 0]]
    reading = read(rows, Decoding(grammar=Grammar(PACK, CHARSET)))
    assert (reading.text, reading.rule, reading.raw_text) == ("B2", "letter and digit", "1A")
    assert reading.score == pytest.approx(0.2 * 0.3 * 0.9)
    assert reading.characters == pytest.approx([0.2, 0.3])
    assert read(rows, Decoding()).text == "1A"


def test_layouts_are_weighed_by_probability_with_their_padding() -> None:
    rows = [[0, 0.9, 0, 0.1, 0], [0, 0.6, 0, 0.4, 0], [0.3, 0, 0, 0, 0.7]]
    reading = read(rows, Decoding(grammar=Grammar(PACK, CHARSET)))
    assert (reading.raw_text, reading.text, reading.rule) == ("AA2", "A12", "long")


def test_what_no_layout_explains_keeps_its_text() -> None:
    grammar = Grammar(PACK, CHARSET)
    impossible = [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0]]  # no letter can stand first
    foreign = [[0, 1e-4, 0, 0.9999, 0], [0, 0.999, 0, 0.001, 0]]  # A1 has 1e-7 of what 1A has
    nothing = [[0.9, 0.1, 0, 0, 0], [0.9, 0, 0, 0.1, 0]]
    short = [[0, 0.5, 0.2, 0.3, 0]]  # one slot: no layout has room
    for rows, text in ((impossible, "1A"), (foreign, "1A"), (nothing, ""), (short, "A")):
        reading = read(rows, Decoding(grammar=grammar))
        assert (reading.text, reading.rule, reading.raw_text) == (text, None, None)
    assert read(foreign, Decoding(grammar=Grammar(PACK, CHARSET, exceptions=0))).text == "A1"
    assert read(impossible, Decoding(grammar=Grammar(PACK, CHARSET, exceptions=0))).text == "1A"


@pytest.mark.parametrize("seed", range(5))
def test_the_grammar_finds_the_best_of_all_strings_that_fit(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 2, (20, 3, 5))
    for slots, reading in zip(
        softmax(logits),
        decode_logits(logits, CHARSET, 1.0, Decoding(grammar=Grammar(PACK, CHARSET, exceptions=0))),
        strict=True,
    ):
        fitting = {
            CHARSET.decode(ids): p
            for ids, p in oracles.string_probabilities(slots.tolist()).items()
            if PACK.layout_of(CHARSET.decode(ids))
        }
        raw = reading.text if reading.raw_text is None else reading.raw_text
        if raw in fitting:
            assert reading.text == raw
        elif raw:
            assert reading.text == max(fitting, key=lambda text: fitting[text])
            assert reading.score == pytest.approx(fitting[reading.text]) and reading.rule is not None


def test_the_chinese_pack_mends_a_letter_among_digits(china: CountryPack) -> None:
    charset = china.charset
    logits = np.zeros((1, 8, len(charset)))
    for slot, symbol in enumerate("皖AD0123B"):
        logits[0, slot, charset.encode(symbol)] = 20
    logits[0, 7, charset.encode("B")], logits[0, 7, charset.encode("8")] = 20, 18
    (reading,) = decode_logits(logits, charset, 1.0, Decoding(grammar=Grammar(china, charset)))
    assert (reading.text, reading.raw_text, reading.rule) == ("皖AD01238", "皖AD0123B", "green small")


def test_uncertain_readings_are_flagged_and_kept() -> None:
    rows = [[0, 0.9, 0.1, 0, 0], [0, 0, 0, 1, 0]]
    assert read(rows, Decoding(min_score=0.9 - 1e-9)).certain
    unsure = read(rows, Decoding(min_score=0.95))
    assert (unsure.text, unsure.certain) == ("A1", False)
    assert not read([[1, 0, 0, 0, 0]], Decoding(min_score=0.1)).certain


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"lowest score is 1\.5; expected 0 to 1"):
        Decoding(min_score=1.5)
    with pytest.raises(ValueError, match="exceptions is 2; expected 0 to 1"):
        Grammar(PACK, CHARSET, exceptions=2)
    with pytest.raises(ValueError, match="'2', which the alphabet"):
        Grammar(PACK, Charset("AB1"))

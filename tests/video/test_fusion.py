"""Frames joined to one text: the certain ones decide, and the score is a probability."""

from __future__ import annotations

from dataclasses import replace

from tiny_video import CHARSET, reading_of

from alpr.plates.country import CountryPack, Layout
from alpr.recognition.grammar import Grammar
from alpr.video.fusion import Fusion, fuse


def test_one_certain_frame_outweighs_many_doubtful_ones() -> None:
    readings = [reading_of("AB12", 8), *(reading_of("AK72", 2.2) for _ in range(6))]
    assert fuse(readings).text == "AB12"
    alike = [replace(reading, score=1.0) for reading in readings]
    assert fuse(alike).text == "AK72"  # without the weights the many would win


def test_frames_that_are_wrong_in_different_places_are_right_together() -> None:
    first, second = reading_of("AB12", 8).slots, reading_of("AB12", 8).slots
    assert first is not None and second is not None
    first.logits[0, CHARSET.encode("K")[0]] += 8.2  # each frame is wrong in another place
    second.logits[3, CHARSET.encode("7")[0]] += 8.2
    readings = [replace(reading_of("AB12", 3), slots=slots, score=0.4) for slots in (first, second)]
    assert [slots.alternatives(1)[0].text for slots in (first, second)] == ["KB12", "AB17"]
    assert fuse(readings).text == "AB12"  # which neither of them read


def test_lengths_that_differ_are_hypotheses() -> None:
    assert fuse([reading_of("AB123", 6), reading_of("AB12", 3), reading_of("AB123", 6)]).text == "AB123"
    assert fuse([reading_of("AB12", 6), reading_of("AB123", 3), reading_of("AB12", 6)]).text == "AB12"


def test_nothing_read_stays_nothing() -> None:
    nothing = replace(reading_of("A"), text="", score=0.0, slots=None)
    fused = fuse([nothing, nothing])
    assert (fused.text, fused.score, fused.agreed, fused.frames) == ("", 0.0, 0, 2)
    fused = fuse([nothing, reading_of("AB12")])
    assert (fused.text, fused.agreed, fused.frames) == ("AB12", 1, 2)


def test_a_floor_keeps_one_frame_from_ruling_a_text_out() -> None:
    fused = fuse([reading_of("AB12", 60), reading_of("AB17", 9), reading_of("AB17", 9), reading_of("AB17", 9)])
    assert fused.text == "AB17"


def test_the_temperature_moves_the_score_alone() -> None:
    readings = [reading_of("AB12", 5, seed) for seed in range(4)]
    cold, warm = (fuse(readings, temperature=t) for t in (0.5, 2.0))
    assert cold.text == warm.text == "AB12" and cold.score > warm.score


def test_the_grammar_comes_after_the_fusion() -> None:
    layout = Layout("plain", "LLDD", (140, 440), ("#0000ff",), "#ffffff", (90, 45), 12)
    pack = CountryPack("DE", "Testland", CHARSET.symbols, {"L": "ABCK", "D": "0123456789"}, (layout,))
    grammar = Grammar(pack, CHARSET, exceptions=0.0)
    readings = [reading_of("ABB2", 4), reading_of("AB82", 3.9)]
    assert fuse(readings).text == "ABB2"
    fused = fuse(readings, grammar=grammar)
    assert (fused.text, fused.raw_text, fused.rule) == ("AB82", "ABB2", "plain")


def test_countries_are_voted_for_by_weight() -> None:
    sure = replace(reading_of("AB12", 8), country="NL", country_score=0.9)
    doubtful = [replace(reading_of("AB12", 2), country="DE", country_score=0.9) for _ in range(2)]
    assert fuse([sure, *doubtful]).country == "NL"
    assert fuse([reading_of("AB12")]).country is None


def test_other_alphabets_are_summed_apart() -> None:
    other = reading_of("KL98", 8)
    assert other.slots is not None
    short = replace(other, slots=replace(other.slots, logits=other.slots.logits[:4]))
    assert fuse([reading_of("AB12"), short, reading_of("AB12")]).text == "AB12"
    assert fuse([short, reading_of("AB12", 3), short]).text == "KL98"


def test_a_plate_in_view_for_hours_costs_no_memory() -> None:
    fusion, numbers = Fusion(), [reading_of(f"A{number:04d}", 4) for number in range(600)]
    for reading in numbers:
        fusion.add(reading)
    assert fusion.result().frames == 600 and len(fusion.texts) <= 200

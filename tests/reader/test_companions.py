"""A bundle with the recogniser of another one: who reads what, what the card says, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx.parser
import pytest
from tiny_bundle import ALPHABET, RECOGNISER, SLOTS, scene, write_bundle

from alpr import Reader
from alpr.cli.bundle_info import bundle_info, info_text
from alpr.export.onnx_bundle import add_companion
from alpr.reader.card import CardError, ModelCard, WeightFile

NAMES = ("BR", "CN")


def two_country_bundle(folder: Path, country: int) -> Path:
    """The tiny bundle with a head that always names one of two countries."""
    write_bundle(folder)
    logits = ", ".join("9.0" if i == country else "0.0" for i in range(2))
    text = RECOGNISER.replace("logits)\n", "logits, float[B, 2] countries)\n", 1).replace(
        "int64[1] c0", f"float[2] named = {{{logits}}}, int64[1] c0", 1
    )
    text = text.replace(
        "  logits = Mul (squared, sharp)\n",
        "  logits = Mul (squared, sharp)\n  count = Shape <start = 0, end = 1> (crop)\n"
        "  two = Shape (named)\n  shape = Concat <axis = 0> (count, two)\n  countries = Expand (named, shape)\n",
    )
    onnx.save(onnx.parser.parse_model(text), folder / "recogniser.onnx")
    card = ModelCard.read(folder)
    settings = replace(card.recogniser, countries=NAMES, unread=("CN",))
    replace(card, recogniser=settings, recogniser_file=WeightFile.of(folder / "recogniser.onnx")).write(folder)
    return folder


def other_bundle(folder: Path) -> Path:
    """The tiny bundle with an alphabet that is turned round."""
    write_bundle(folder)
    card = ModelCard.read(folder)
    replace(card, alphabet=ALPHABET[::-1]).write(folder)
    return folder


@pytest.mark.parametrize("country", [0, 1])
def test_a_companion_reads_the_plates_of_its_countries(tmp_path: Path, country: int) -> None:
    bundle, other = two_country_bundle(tmp_path / "world", country), other_bundle(tmp_path / "cn")
    alone = Reader(bundle)(scene("皖A12"))[0].reading
    assert (alone.text, alone.state) == (("皖A12", "read"), ("", "unknown script"))[country]
    add_companion(bundle, other, ["CN"])
    reading = Reader(bundle)(scene("皖A12"))[0].reading
    turned = "".join(ALPHABET[::-1][ALPHABET.index(c)] for c in "皖A12")
    assert (reading.text, reading.country, reading.state) == (("皖A12", turned)[country], NAMES[country], "read")
    assert reading.slots is not None and reading.slots.charset.symbols == (ALPHABET, ALPHABET[::-1])[country]
    add_companion(bundle, other, ["CN"])
    assert len(ModelCard.read(bundle).companions) == 1, "named twice it is there once"


def test_a_companion_is_vouched_for_and_described(tmp_path: Path) -> None:
    bundle = two_country_bundle(tmp_path / "world", 0)
    add_companion(bundle, other_bundle(tmp_path / "cn"), ["CN"])
    described = info_text(bundle_info(bundle))
    assert f"plates of CN by the recogniser of cn: up to {SLOTS} characters of {ALPHABET[::-1]}" in described
    assert "recogniser_cn.onnx" in described
    (bundle / "recogniser_cn.onnx").write_bytes(b"another")
    with pytest.raises(CardError, match=r"companions\[0\]\.sha256 is"):
        Reader(bundle)


def test_companions_that_do_not_fit_are_refused_and_the_bundle_stays(tmp_path: Path) -> None:
    bundle, other = two_country_bundle(tmp_path / "world", 0), other_bundle(tmp_path / "cn")
    before = (bundle / "card.json").read_bytes()
    with pytest.raises(
        CardError, match=r"countries is \['DE'\]; expected some of those that the recogniser tells apart"
    ):
        add_companion(bundle, other, ["DE"])
    card = ModelCard.read(other)
    replace(card, recogniser=replace(card.recogniser, margin=0.1)).write(other)
    with pytest.raises(CardError, match=r"reads crops of .* with a margin of 0\.1; expected those of"):
        add_companion(bundle, other, ["CN"])
    assert (bundle / "card.json").read_bytes() == before and not (bundle / "recogniser_cn.onnx").exists()


def test_a_wrong_entry_of_a_card_names_its_place(tmp_path: Path) -> None:
    bundle = two_country_bundle(tmp_path / "world", 0)
    add_companion(bundle, other_bundle(tmp_path / "cn"), ["CN"])
    card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    for change, says in (
        ({"file": "../cn.onnx"}, r"companions\[0\]\.file is '\.\./cn\.onnx'"),
        ({"file": "detector.onnx"}, r"detector\.file and companions\[0\]\.file are both"),
        ({"countries": "CN"}, "countries"),
    ):
        wrong = {**card, "companions": [{**card["companions"][0], **change}]}
        with pytest.raises(CardError, match=says):
            ModelCard.from_dict(wrong)

"""Symbols and ids: every symbol survives, padding is never printed, errors show both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpr.plates.charset import PAD, Charset
from alpr.plates.country import CountryPack

CHARSET = Charset("皖沪ABC0189")


@given(st.text(alphabet=CHARSET.symbols, min_size=1, max_size=8))
def test_texts_round_trip(text: str) -> None:
    assert CHARSET.decode(CHARSET.encode(text)) == text
    assert CHARSET.decode(CHARSET.encode_padded(text, 8)) == text


def test_every_symbol_of_china_round_trips(china: CountryPack) -> None:
    """The reference implementation lost the last symbol, the digit 9."""
    charset = china.charset
    assert len(charset) == len(charset.symbols) + 1 == 73
    assert charset.decode(range(1, len(charset))) == china.alphabet
    assert charset.decode(charset.encode("皖A9")) == "皖A9"


def test_padding_prints_nothing() -> None:
    assert CHARSET.decode([PAD, PAD]) == ""
    assert PAD not in CHARSET.encode(CHARSET.symbols)


def test_wrong_texts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'AX1' holds 'X'.*皖沪ABC0189"):
        CHARSET.encode("AX1")
    with pytest.raises(ValueError, match="9 characters; expected 1 to 8"):
        CHARSET.encode_padded("AAAAAAAAA", 8)
    with pytest.raises(ValueError, match="0 characters"):
        CHARSET.encode_padded("", 8)
    with pytest.raises(ValueError, match=r"\[10\] are outside 0\.\.9"):
        CHARSET.decode([1, 10])


@pytest.mark.parametrize(
    ("symbols", "sentence"),
    [("", "empty"), ("ABA", "'A' more than once"), ("A B", "white space"), ("A\x1bB", r"holds .\\x1b., which")],
)
def test_wrong_alphabets_are_refused(symbols: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Charset(symbols)

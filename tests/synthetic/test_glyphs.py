"""Characters of fonts as masks: they keep their proportions and their place in the line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpr.plates.country import CountryPack
from alpr.synthetic.glyph_making import _first_glyph
from alpr.synthetic.glyphs import Mask, can_draw, font_mask, text_mask

CELL = (60, 36)


def ink(mask: Mask) -> tuple[int, int, int, int]:
    """The top, bottom, left and right of what is drawn."""
    rows, columns = (np.flatnonzero((mask > 64).any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize("face", ["noto-arabic", "noto-sans-arabic"])
def test_a_zero_that_is_a_dot_stays_one(face: str) -> None:
    for zero in "٠۰":  # Arabic and Persian
        top, bottom, left, right = ink(font_mask(zero, CELL, face))
        assert bottom - top < 0.45 * CELL[0] and abs((bottom - top) - (right - left)) < 6
        assert top > 3 and bottom < CELL[0] - 3
    top, bottom, *_ = ink(font_mask("۱", CELL, face))
    assert bottom - top > 0.5 * CELL[0]


def test_a_character_is_never_stretched() -> None:
    for character in "EL1":
        narrow, wide = (ink(font_mask(character, (60, width), "barlow")) for width in (60, 120))
        assert narrow[3] - narrow[2] == wide[3] - wide[2] < 60
        assert wide[:2] == (0, 60)  # capitals and digits reach from the top to the foot
    pressed = ink(font_mask("W", (60, 20), "barlow"))
    assert pressed == (0, 60, 0, 20)


def test_a_word_is_drawn_in_one_piece() -> None:
    assert can_draw("تونس", "amiri") and not can_draw("تونس", "barlow") and not can_draw("تونس", "round")
    word, letter = (ink(font_mask(text, (60, 200), "amiri")) for text in ("تونس", "ت"))
    assert 200 >= word[3] - word[2] > 1.5 * (letter[3] - letter[2])


def test_a_glyph_bank_looks_for_the_word_and_not_for_its_symbol() -> None:
    layout = CountryPack.find("tn").layouts[0]
    word, letter = (_first_glyph("T", each, (90, 52)) for each in (layout, replace(layout, drawn_as=())))
    assert not np.array_equal(word, letter)


def test_small_print_joins_the_letters_of_an_arabic_word() -> None:
    word, letters = (ink(text_mask(text, (40, 300))) for text in ("مصر", "م ص ر"))
    assert word[3] - word[2] < letters[3] - letters[2]
    columns = (text_mask("مصر", (40, 300)) > 64).any(axis=0)
    assert np.count_nonzero(np.diff(columns.astype(int)) == 1) <= 2  # at most the last letter stands apart

"""When two texts are the same plate."""

from __future__ import annotations

import pytest

from alpr.plates.identity import formed, identity, latin

MARKS = "\u200e\u200f\u200b\ufeff\u00ad\u2066"


@pytest.mark.parametrize(
    "text",
    [
        *("AB000CD", "ab000cd", "AB-000CD", "AB 000CD", "AB·000·CD", " ab.000\u00a0cd ", "ＡＢ０００ＣＤ"),
        *(f"AB{mark}000CD" for mark in MARKS),
        *("\u0410\u0412000CD", "AB۰۰۰CD", "AB٠٠٠CD"),
    ],
)
def test_every_way_to_write_a_plate_is_one_identity(text: str) -> None:
    assert identity(text) == "AB000CD"


@pytest.mark.parametrize(
    ("text", "known_by"),
    [
        *(("皖AD16088", "皖AD16088"), ("皖a·d16088", "皖AD16088"), ("äb12", "ÄB12"), ("", ""), ("·", "·")),
        *(("أبج\u200f١٢٣", "أبج123"), ("أبج۱۲۳", "أبج123"), ("\u0411\u041a12", "\u0411\u041a12")),
    ],
)
def test_other_scripts_keep_their_letters(text: str, known_by: str) -> None:
    assert identity(text) == known_by


def test_an_alphabet_keeps_its_own_symbols() -> None:
    assert formed("ab-1\u200f", "ab-") == "ab-1"
    assert latin("أ1۲", "أب٠١٢٣") == "أ١٢" and latin("أ1", "ABأ1") == "أ1"

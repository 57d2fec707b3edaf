"""Plain values become dataclasses, or are refused by their key and their line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from alpr.plates.values import Fault, expect, located, read_as, read_with_lines


@dataclass(frozen=True)
class Side:
    name: str
    px: int = 8

    def __post_init__(self) -> None:
        expect(self.px > 0, "px", self.px, "a number above 0")


@dataclass(frozen=True)
class Plate:
    size: tuple[float, float]
    sides: tuple[Side, ...] = ()
    wide: bool = False
    note: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


GOOD = """
size: [2, 0.5]
sides:
  - name: left
  - {name: right, px: 3}
wide: true
note: null
shares:
  a: 1
"""


def test_values_become_what_the_fields_say() -> None:
    plate = read_as(Plate, read_with_lines(GOOD)[0])
    assert plate == Plate((2.0, 0.5), (Side("left"), Side("right", 3)), True, None, {"a": 1.0})
    assert type(plate.size[0]) is float and type(plate.shares["a"]) is float


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[2, 0.5]", "[2]", "f.yaml, line 2: size is [2]; expected a list of 2."),
        ("[2, 0.5]", "[2, true]", "f.yaml, line 2: size[1] is True; expected a number."),
        ("[2, 0.5]", "[2, .nan]", "f.yaml, line 2: size[1] is nan; expected a number."),
        ("px: 3", "px: 3.0", "f.yaml, line 5: sides[1].px is 3.0; expected a whole number."),
        ("px: 3", "px: 0", "f.yaml, line 5: sides[1].px is 0; expected a number above 0."),
        ("px: 3", "pixels: 3", "f.yaml, line 5: unknown sides[1].pixels; expected the keys name, px."),
        ("name: left", "px: 2", "f.yaml, line 4: missing sides[0].name; expected the keys name, px."),
        ("wide: true", "wide: 1", "f.yaml, line 6: wide is 1; expected true or false."),
        ("note: null", "note: 7", "f.yaml, line 7: note is 7; expected a text."),
        ("  a: 1", "  a: one", "f.yaml, line 9: shares.a is 'one'; expected a number."),
        ("  a: 1", "  1: 1", "f.yaml, line 8: shares is {1: 1}; expected a mapping."),
        (GOOD, "[1]", "f.yaml, line 1: the file is [1]; expected a mapping."),
        (GOOD, "", "f.yaml: the file is None; expected a mapping."),
    ],
)
def test_a_wrong_value_is_refused_by_its_key_and_line(old: str, new: str, sentence: str) -> None:
    values, lines = read_with_lines(GOOD.replace(old, new))
    with pytest.raises(Fault) as error:
        read_as(Plate, values)
    assert located("f.yaml", error.value, lines) == sentence


class Count(NamedTuple):
    plates: int
    name: str


@dataclass(frozen=True)
class Counted:
    whole: Count


def test_a_named_tuple_is_a_list_and_a_loose_mapping_may_hold_more() -> None:
    values = {"whole": [3, "a"], "more": 1}
    assert read_as(Counted, values, loose=(Counted,)) == Counted(Count(3, "a"))
    with pytest.raises(Fault, match="unknown more"):
        read_as(Counted, values)
    with pytest.raises(Fault, match=r"whole is \[3\]; expected a list of 2"):
        read_as(Counted, {"whole": [3]})
    with pytest.raises(Fault, match=r"whole\[0\] is 'b'; expected a whole number"):
        read_as(Counted, {"whole": ["b", "a"]})


def test_of_a_complete_kind_every_key_is_needed() -> None:
    values = {"size": [1, 2], "sides": [{"name": "left"}]}
    with pytest.raises(Fault, match=r"missing sides\[0\]\.px"):
        read_as(Plate, values, complete=(Side,))

"""Country packs: what is read, what is refused and in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from alpr.plates.country import CountryPack

LAYOUT = {
    "name": "one", "pattern": "LDD", "size_mm": [100, 400], "background": "#ffffff", "foreground": "#000000",
    "character_mm": [80, 40], "gap_mm": 10,
}  # fmt: skip
PACK: dict[str, Any] = {
    "code": "XX", "name": "Nowhere", "alphabet": "AB01", "classes": {"L": "AB", "D": "01"}, "layouts": [LAYOUT],
}  # fmt: skip


def test_every_pack_reads(repository: Path) -> None:
    paths = sorted((repository / "configs" / "country").glob("*.yaml"))
    assert paths
    for path in paths:
        pack = CountryPack.read(path)
        assert pack.code == ("ZZ" if path.stem == "latin" else path.stem.upper())  # ZZ: no country


def test_a_pack_survives_json(china: CountryPack) -> None:
    assert CountryPack.from_dict(json.loads(json.dumps(china.to_dict()))) == china


def test_slots_and_layouts(china: CountryPack) -> None:
    assert china.slots == 8
    for text, name in (("皖AD12345", "green small"), ("皖A12345D", "green large"), ("皖A12345", "blue")):
        layout = china.layout_of(text)
        assert layout is not None
        assert layout.name == name
    assert china.layout_of("A皖12345") is None
    assert china.layout_of("皖A1234") is None


def test_a_card_from_before_rows_and_faces_reads(repository: Path) -> None:
    card = json.loads((repository / "model_bin" / "cn" / "card.json").read_text(encoding="utf-8"))["country"]
    blue, green = CountryPack.from_dict(card).layouts[:2]
    assert [(s.after, s.kind, s.mm) for s in blue.separators] == [(2, "dot", 34)]
    assert [(s.after, s.kind) for s in green.separators] == [(2, "emblem")]
    assert blue.fonts[0].name == "plate" and green.fonts[0].name == "plate-new"


def test_the_ids_of_the_released_weights_stay(repository: Path, china: CountryPack) -> None:
    card = json.loads((repository / "model_bin" / "cn" / "card.json").read_text(encoding="utf-8"))["country"]
    assert china.alphabet.startswith(card["alphabet"])


def variable(**change: Any) -> CountryPack:
    return CountryPack.from_dict({**PACK, "layouts": [{**LAYOUT, "character_mm": [40, 30], **change}]})


def test_optional_places_and_rows() -> None:
    layout = variable(pattern="LL?/DD?D?").layouts[0]
    assert (layout.slots, layout.rows) == (5, 2)
    assert set(layout.forms) == {a + b for a in ("L", "LL") for b in ("D", "DD", "DDD")}
    pack = variable(pattern="LL?/DD?D?", most_characters=4)
    assert pack.slots == 4 and pack.rows == 2
    for text, fits in (("A0", True), ("BA01", True), ("BA010", False), ("0A", False), ("", False)):
        assert (pack.layout_of(text) is not None) == fits, text
    assert layout.choice_of("A01", pack.classes) == (0, 2, 3)


def test_a_region_takes_the_first_places() -> None:
    pack = CountryPack.from_dict(
        {**PACK, "regions": {"A": "one", "BB": "two", "AAA": "too long"}, "layouts": [
            {**LAYOUT, "pattern": "LL?L?D", "region_places": 2, "character_mm": [40, 30]}]}
    )  # fmt: skip
    found = pack.layouts[0].region_choices(pack.regions, pack.classes)
    assert [code for code, _ in found] == ["A", "BB"]
    assert all(sum(i < 2 for i in chosen) == len(code) for code, choices in found for chosen in choices)


def test_germany_and_america_have_many_lengths(repository: Path) -> None:
    germany, america = (CountryPack.read(repository / "configs" / "country" / f"{c}.yaml") for c in ("de", "us"))
    for text in ("BA1", "MÜA12", "HHAB1234", "BAB1234"):
        assert germany.layout_of(text) is not None, text
    assert germany.layout_of("MTKAB1234") is None  # nine characters
    assert {len(text) for text in ("A", "AB1234", "ABCDEFG8") if america.layout_of(text)} == {1, 6, 8}


def test_a_fault_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "xx.yaml"
    text = yaml.safe_dump(PACK, sort_keys=False)
    lines = text.splitlines()
    line = next(i for i, written in enumerate(lines, 1) if "pattern:" in written)
    path.write_text(text.replace("LDD", "LDDDDDDDDD"), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"xx\.yaml, line {line}: .*takes 490 mm; the plate has 400 mm"):
        CountryPack.read(path)
    path.write_text(text.replace("'#000000'", "black"), encoding="utf-8")
    line = next(i for i, written in enumerate(lines, 1) if "foreground:" in written)
    with pytest.raises(ValueError, match=rf"line {line}: .*'black'"):
        CountryPack.read(path)
    path.write_text(text + "name: again\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"line {len(lines) + 1}: the key 'name' is given twice, first in line 2"):
        CountryPack.read(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"layouts": [{**LAYOUT, "fonts": ["comic"]}]}, "the font 'comic' is unknown; expected one of plate"),
        ({"layouts": [{**LAYOUT, "pattern": "LD/"}]}, "empty row"),
        ({"layouts": [{**LAYOUT, "pattern": "L D"}]}, "cannot be read"),
        ({"layouts": [{**LAYOUT, "character_mm": [120, 40]}]}, "take 120 mm; the plate has 100 mm"),
        ({"layouts": [{**LAYOUT, "bands": [{"side": "left", "mm": 300}]}]}, "the plate has 100 mm free"),
        ({"layouts": [{**LAYOUT, "bands": [{"side": "inside", "mm": 3}]}]}, "side is 'inside'"),
        ({"layouts": [{**LAYOUT, "separators": [{"after": 3}]}]}, "after is 3; expected 1 to 2"),
        ({"layouts": [{**LAYOUT, "embossed": "no"}]}, "neither true nor false"),
        ({"layouts": [{**LAYOUT, "region_places": 1}]}, "no regions"),
        ({"layouts": [LAYOUT, LAYOUT]}, "two layouts are named 'one'"),
        ({"layouts": [{**LAYOUT, "class_character_mm": {"L": [101, 40]}}]}, "'L' is 101 mm high; the plate has 100 mm"),
        ({"layouts": [{**LAYOUT, "class_character_mm": {"Q": [10, 40]}}]}, r"'Q' is no class of 'LDD'"),
        ({"layouts": [{**LAYOUT, "drawn_as": {"AB": "x"}}]}, "'AB' is no single character"),
        ({"layouts": [{**LAYOUT, "above": {"A": 1}}]}, "1 is no text; put numbers in quotes"),
        ({"layouts": [{**LAYOUT, "lines_mm": [[1, 2, 3]]}]}, r"expected \[x1, y1, x2, y2\]"),
        ({"classes": {"L": "AB", "D": 1}}, "'D': 1 is no pair of texts"),
        ({"alphabet": "ABB01"}, "'B' more than once"),
        ({"classes": {"L": "AZ", "D": "01"}}, "class 'L'.*'Z'"),
        ({"classes": {"LL": "AB", "D": "01"}}, "class 'LL'"),
        ({"layouts": []}, "no layout"),
        ({"layouts": [{**LAYOUT, "pattern": "LQ"}]}, r"pattern 'LQ' uses \['Q'\]; expected the keys \['D', 'L'\]"),
        ({"layouts": [{**LAYOUT, "background": "white"}]}, "colour 'white'"),
        ({"layouts": [{**LAYOUT, "size_mm": 100}]}, "no pair"),
        ({"layouts": [{**LAYOUT, "patern": "L"}]}, r"layout 'one': unknown layouts\[0\]\.patern; expected"),
        (
            {"layouts": [{k: v for k, v in LAYOUT.items() if k != "pattern"}]},
            r"missing layouts\[0\]\.pattern",
        ),
        ({"layouts": ["one"]}, "expected a mapping"),
        ({"alfabet": "A"}, "unknown alfabet; expected the keys"),
    ],
)
def test_a_wrong_pack_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "xx.yaml"
    path.write_text(yaml.safe_dump({**PACK, **change}, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ValueError, match=sentence) as caught:
        CountryPack.read(path)
    assert "xx.yaml" in str(caught.value)


def test_a_file_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "xx.yaml"
    path.write_text("a: [1", encoding="utf-8")
    with pytest.raises(ValueError, match="no valid YAML"):
        CountryPack.read(path)
    path.write_text("just words", encoding="utf-8")
    with pytest.raises(ValueError, match="holds str"):
        CountryPack.read(path)


def test_a_reader_may_read_only_some_layouts(repository: Path) -> None:
    china = CountryPack.read(repository / "configs" / "country" / "cn.yaml")
    assert china.reading("all") is china
    assert china.reading(None).rows == 1 and len(china.reading(None).layouts) == len(china.layouts) - 2
    green = china.reading(["green large", "green small"])
    assert [layout.name for layout in green.layouts] == ["green small", "green large"] and green.slots == 8
    assert china.reading("blue").slots == 7 and green.alphabet == china.alphabet
    two = replace(china, layouts=tuple(layout for layout in china.layouts if layout.rows == 2))
    assert two.reading(None) == two  # a country of two-row plates alone reads two rows
    for wrong, says in ((["blu"], "no layout 'blu'; expected some of 'blue'"), ([], "no layout 'none'")):
        with pytest.raises(ValueError, match=says):
            china.reading(wrong)
    with pytest.raises(ValueError, match="Every layout of China has 2 rows or more"):
        two.within(1)

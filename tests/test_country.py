"""Country packs: what is read, what is refused and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from alpr.country import CountryPack

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
        assert path.stem == pack.code.lower()


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


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alphabet": "ABB01"}, "'B' more than once"),
        ({"classes": {"L": "AZ", "D": "01"}}, "class 'L'.*'Z'"),
        ({"classes": {"LL": "AB", "D": "01"}}, "class 'LL'"),
        ({"layouts": []}, "no layout"),
        ({"layouts": [{**LAYOUT, "pattern": "LQ"}]}, r"pattern 'LQ' uses \['Q'\]; expected the keys \['D', 'L'\]"),
        ({"layouts": [{**LAYOUT, "background": "white"}]}, "colour 'white'"),
        ({"layouts": [{**LAYOUT, "size_mm": 100}]}, "no pair"),
        ({"layouts": [{**LAYOUT, "patern": "L"}]}, r"unknown \['patern'\]"),
        ({"layouts": [{k: v for k, v in LAYOUT.items() if k != "pattern"}]}, r"missing \['pattern'\]"),
        ({"layouts": ["one"]}, "expected a mapping"),
        ({"alfabet": "A"}, r"unknown \['alfabet'\]"),
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

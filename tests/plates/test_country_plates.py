"""Plates of every country pack: drawn in faces that have their characters, in the right places, and written to disk."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alpr.data.several_tables import read_manifest
from alpr.plates.country import CountryPack
from alpr.plates.fonts import PACKAGED_FACES, STROKE_FACES
from alpr.plates.layout import Layout
from alpr.plates.records import ImageArray
from alpr.synthetic import pack_preview
from alpr.synthetic.crop_set import CropPlan, plan_crops, synthesize_crops
from alpr.synthetic.glyphs import can_draw, font_mask, stroke_mask
from alpr.synthetic.placement import place
from alpr.synthetic.renderer import PlateRenderer

ROOT = Path(__file__).resolve().parents[2]
CODES = sorted(path.stem for path in (ROOT / "configs" / "country").glob("*.yaml"))


def read(code: str) -> CountryPack:
    return CountryPack.read(ROOT / "configs" / "country" / f"{code}.yaml")


@pytest.mark.parametrize("code", CODES)
def test_every_pack_is_drawn(code: str) -> None:
    renderer = PlateRenderer(read(code))
    renderer.check_fonts()
    rng = np.random.default_rng(1)
    for layout in renderer.pack.layouts:
        texts = [renderer.draw_text_of(layout, rng) for _ in range(30)]
        assert all(layout.form_of(text, renderer.pack.classes) for text in texts)
        assert {len(text) for text in texts} <= {len(form) for form in layout.forms}
        longest = max(texts, key=len)
        assert renderer.render(longest, layout, rng, scale=0.5).std() > 10
        assert renderer.crop_of(longest, layout, rng).crop.shape == (48, 192, 3)


def test_two_rows_are_below_each_other() -> None:
    layout = next(layout for layout in read("cn").layouts if layout.name == "yellow two rows")
    cells = place(layout, layout.choices[0], "皖A12345").cells
    assert [cell.size for cell in cells] == [(60, 80)] * 2 + [(110, 65)] * 5
    assert max(c.y + c.size[0] / 2 for c in cells[:2]) < min(c.y - c.size[0] / 2 for c in cells[2:])
    for row in (cells[:2], cells[2:]):
        assert all(a.x < b.x for a, b in pairwise(row))
        assert row[0].x + row[-1].x == pytest.approx(layout.size_mm[1])


def test_arabic_runs_from_the_right_and_its_numbers_from_the_left() -> None:
    pack = read("eg")
    layout, text = pack.layouts[0], "سصط٣٤٥"
    chosen = layout.choice_of(text, pack.classes)
    assert chosen is not None
    placement = place(layout, chosen, text)
    x = [cell.x for cell in placement.cells]
    assert x[0] > x[1] > x[2] > placement.marks[0].x  # letters in the right field
    assert x[3] < x[4] < x[5] < placement.marks[0].x
    steps = np.diff(sorted(x))
    assert steps.min() == pytest.approx(43)  # gaps stay between characters: none touch


def test_german_seals_stand_behind_the_district() -> None:
    pack = read("de")
    layout = pack.layouts[0]
    for text, behind in (("BAB12", 1), ("MTKA12", 3)):
        choice = next(c for code, cs in layout.region_choices([text[:behind]], pack.classes) for c in cs
                      if len(c) == len(text))  # fmt: skip
        placement = place(layout, choice, text)
        x = [cell.x for cell in placement.cells]
        assert x[behind - 1] < placement.marks[0].x < x[behind] and placement.marks[0].kind == "seals"


def test_a_word_on_the_plate_is_one_symbol_of_the_text() -> None:
    pack, rng = read("tn"), np.random.default_rng(3)
    layout = pack.layout_of("130T6707")
    assert layout is pack.layouts[0] and pack.layout_of("77T286") is layout
    places = PlateRenderer(pack).crop_of("130T6707", layout, rng).places
    widths = places[:, 2] - places[:, 0]
    assert len(places) == 8 and widths[3] > 1.8 * widths[[0, 1, 2, 4, 5, 6, 7]].max()

    def drawn(layout: Layout) -> ImageArray:
        return PlateRenderer(pack).render("130T6707", layout, np.random.default_rng(3), scale=0.5)

    word, letter = drawn(layout), drawn(replace(layout, drawn_as=()))
    differing = np.flatnonzero((word != letter).any(axis=(0, 2)))
    assert len(differing) and 0.3 < differing.min() / word.shape[1] < differing.max() / word.shape[1] < 0.7


def test_a_row_in_another_script_stands_above_and_is_not_read() -> None:
    pack = read("sa")
    layout = pack.layouts[0]
    renderer = PlateRenderer(pack, without=["paint"])
    both, alone = (
        renderer.render("3479ZKB", each, np.random.default_rng(3), scale=0.5)
        for each in (layout, replace(layout, above=()))
    )
    differing = np.flatnonzero((both != alone).any(axis=(1, 2)))
    assert differing.min() > 3 and differing.max() < 0.5 * both.shape[0]
    places = renderer.crop_of("3479ZKB", layout, np.random.default_rng(3)).places
    assert len(places) == 7 and places[:, 1].min() > 0.3  # those of the lower row


def test_characters_of_a_class_may_be_smaller_than_their_row() -> None:
    layout = read("uz").layouts[0]
    cells = place(layout, layout.choices[0], "01A123BC").cells
    assert [cell.size for cell in cells] == [(58, 35)] * 2 + [(76, 43)] * 6
    assert len({cell.y for cell in cells}) == 1


LATIN_READS = ("uz", "tn", "dz", "fr", "ro", "ch", "at", "es", "it", "no", "pl", "gr", "cl", "pe", "sa", "gb", "vn")


@pytest.mark.parametrize("code", LATIN_READS)
def test_the_latin_reader_can_spell_a_pack(code: str) -> None:
    pack, latin = read(code), read("latin")
    assert set(pack.alphabet) <= set(latin.alphabet) and pack.slots <= latin.slots
    assert CountryPack.from_dict(json.loads(json.dumps(pack.to_dict()))) == pack
    assert {layout.rows for layout in pack.layouts} == ({1} if code in ("uz", "sa", "pe") else {1, 2})


def test_faces_differ_and_know_what_they_lack() -> None:
    drawn = {face: stroke_mask("3", (48, 24), 10, face) for face in STROKE_FACES}
    assert not np.array_equal(drawn["plate"], drawn["fe"])
    assert can_draw("皖", "noto-cjk") and not can_draw("皖", "plate") and not can_draw("皖", "barlow")
    for face in PACKAGED_FACES:
        assert can_draw("8", face)
    alef, beh = (font_mask(c, (60, 30), "noto-arabic") for c in "أب")
    assert np.flatnonzero(alef.any(axis=1))[0] < np.flatnonzero(beh.any(axis=1))[0]  # heights keep their places


def test_missing_glyphs_are_named(china: CountryPack) -> None:
    blue = replace(china.layouts[0], fonts=(replace(china.layouts[0].fonts[0], name="plate"),))
    with pytest.raises(ValueError, match=r"'blue'.*plate cannot draw .*皖"):
        PlateRenderer(replace(china, layouts=(blue,))).check_fonts()


def test_crops_on_disk_are_the_same_after_an_interruption(tmp_path: Path) -> None:
    pack, plan = read("gb"), CropPlan(12, seed=3, val_share=0.4)
    assert synthesize_crops(tmp_path / "a", plan, pack, workers=0) == 12
    synthesize_crops(tmp_path / "b", CropPlan(5, seed=3, val_share=0.4), pack, workers=0)
    assert synthesize_crops(tmp_path / "b", plan, pack, workers=0) == 7
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / f).rglob("*.*")} for f in "ab")
    assert one == two
    assert read_manifest(tmp_path / "a" / "labels.csv").rows == 12
    with (tmp_path / "a" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"train", "val"}
    assert all(pack.layout_of(row["text"]) is not None for row in rows)
    with pytest.raises(ValueError, match="other settings"):
        synthesize_crops(tmp_path / "a", CropPlan(12, seed=4), pack, workers=0)


def test_a_text_is_in_one_split_only() -> None:
    jobs = plan_crops(CropPlan(400, val_share=0.5), CountryPack.from_dict({
        "code": "XX", "name": "X", "alphabet": "AB", "classes": {"A": "AB"}, "layouts": [
            {"name": "one", "pattern": "AAA", "size_mm": [100, 400], "background": "#ffffff",
             "foreground": "#000000", "character_mm": [80, 40], "gap_mm": 10}],
    }))  # fmt: skip
    assert len({(job.text, job.split) for job in jobs}) == 8


def test_a_new_pack_validates_and_is_never_overwritten(tmp_path: Path) -> None:
    def new(*flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "alpr", "country", "new", "xx", "--output", str(path), *flags]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)

    path = tmp_path / "xx.yaml"
    wrong = new("--pattern", "LLQ")
    assert wrong.returncode == 2 and "line 14" in wrong.stderr and "'Q'" in wrong.stderr and not path.exists()
    made = new("--name", "Freedonia", "--pattern", "LLDD?", "--pattern", "LLL/DDDD", "--size", "110", "520")
    assert made.returncode == 0, made.stderr
    pack = CountryPack.read(path)
    assert (pack.name, pack.rows, len(pack.layouts)) == ("Freedonia", 2, 2)
    before = path.read_bytes()
    again = new("--pattern", "LL")
    assert again.returncode == 2 and "is there already" in again.stderr and path.read_bytes() == before


def test_the_preview_shows_every_layout() -> None:
    renderer = PlateRenderer(read("ar"))
    page = pack_preview.preview(renderer, 1, 1, 0)
    assert page.shape[1] == 2 * (pack_preview.WIDTH + 4) and page.std() > 10

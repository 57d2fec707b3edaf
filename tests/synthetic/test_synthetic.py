"""Synthetic plates, crops, scenes and data sets: seeded, valid, and labelled exactly."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from alpr.data.ccpd import decode_name
from alpr.plates import fonts
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box, is_convex_clockwise
from alpr.plates.records import Plate
from alpr.synthetic import glyphs
from alpr.synthetic.camera import surround
from alpr.synthetic.ccpd_set import JOURNAL, SyntheticPlan, ccpd_name, draw, plan_jobs, synthesize
from alpr.synthetic.placement import place
from alpr.synthetic.renderer import INGREDIENTS, PlateRenderer
from alpr.synthetic.scenes import SceneRenderer, paste


@pytest.fixture(scope="module")
def renderer(china: CountryPack) -> PlateRenderer:
    return PlateRenderer(china)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_texts_fit_their_layouts_and_provinces_are_balanced(renderer: PlateRenderer) -> None:
    rng = np.random.default_rng(0)
    drawn = [renderer.draw_text(rng) for _ in range(4000)]
    classes = renderer.pack.classes
    for text, layout in drawn:
        assert layout.form_of(text, classes) is not None
    provinces = [text[0] for text, _ in drawn]
    counts = [provinces.count(p) for p in classes["P"]]
    assert min(counts) > 0.5 * np.mean(counts) and max(counts) < 1.6 * np.mean(counts)
    shares = {layout.name: layout.share for layout in renderer.pack.layouts}
    for name, share in shares.items():
        found = sum(layout.name == name for _, layout in drawn) / len(drawn)
        assert found == pytest.approx(share / sum(shares.values()), abs=0.03)


def test_every_layout_and_character_renders(renderer: PlateRenderer) -> None:
    rng = np.random.default_rng(1)
    for layout in renderer.pack.layouts:
        text = "".join(renderer.pack.classes[key][-1] for key in layout.forms[0])
        plate = renderer.render(text, layout, rng, scale=0.5)
        assert plate.shape == (*(round(mm * 0.5) for mm in layout.size_mm), 3) and plate.dtype == np.uint8
        cells = place(layout, layout.choices[0], text).cells
        assert [cell.number for cell in cells] == list(range(len(text)))
        for x, y, (height, width) in (cell[1:] for cell in cells):
            assert width / 2 < x < layout.size_mm[1] - width / 2 and height / 2 < y < layout.size_mm[0] - height / 2
        with pytest.raises(ValueError, match="characters"):
            renderer.render(text + "A", layout, rng)
    masks = []
    for character in renderer.pack.alphabet:
        if character in glyphs.STROKE_CHARACTERS:
            masks.append(glyphs.stroke_mask(character, (45, 22), 10))
        else:
            masks.append(glyphs.font_mask(character, (45, 22), "noto-cjk"))
        assert masks[-1].shape == (45, 22) and 0.08 < masks[-1].mean() / 255 < 0.8, character
    flat = np.stack([m.ravel().astype(np.float32) for m in masks])
    distance = np.abs(flat[:, None] - flat[None]).mean(axis=2) + 1000 * np.eye(len(flat))
    assert distance.min() > 3  # no two characters look the same


def test_the_text_decides_the_ink(renderer: PlateRenderer) -> None:
    """The same seed with one other character changes that character's cell and nothing else."""
    layout = next(layout for layout in renderer.pack.layouts if layout.name == "blue")
    one, two = (renderer.render(t, layout, np.random.default_rng(4), scale=0.5) for t in ("皖A12345", "皖A12X45"))
    columns = np.nonzero(np.abs(one.astype(int) - two).sum(axis=(0, 2)))[0]
    centre = place(layout, layout.choices[0], "皖A12345").cells[4].x * 0.5
    reach = layout.character_mm[1] * 0.5 / 2 + 4
    assert len(columns) and centre - reach <= columns.min() and columns.max() <= centre + reach


def test_crops_are_seeded_and_of_the_size(china: CountryPack) -> None:
    first, second = PlateRenderer(china), PlateRenderer(china)
    for _ in range(30):  # another history of the glyph cache must not matter
        second.crop(np.random.default_rng(99))
    for seed in range(20):
        a, text_a = first.crop(np.random.default_rng(seed))
        b, text_b = second.crop(np.random.default_rng(seed))
        assert text_a == text_b and np.array_equal(a, b)
        assert a.shape == (48, 192, 3) and a.dtype == np.uint8
    assert first.crop(np.random.default_rng(0), size=(32, 100), margin=0.1)[0].shape == (32, 100, 3)
    rng = np.random.default_rng(3)
    deviations = [float(first.crop(rng)[0].std()) for _ in range(200)]
    assert np.mean(np.array(deviations) > 8) > 0.9  # few are washed out


def test_a_missing_font_package_is_explained(monkeypatch: pytest.MonkeyPatch, china: CountryPack) -> None:
    def absent(name: str, *_: Any) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(fonts, "import_module", absent)
    with pytest.raises(ModuleNotFoundError, match=r"alpr-train\[synthetic\]"):
        fonts.font_file("noto-cjk")
    blue = {**china.to_dict()["layouts"][0], "pattern": "LLLDDDD", "region_places": 0}
    latin = {**china.to_dict(), "alphabet": "ABC0123", "classes": {"L": "ABC", "D": "0123"}, "layouts": [blue]}
    plates = PlateRenderer(CountryPack.from_dict({**latin, "confusable": []}))
    for seed in range(40):  # letters and digits need no font
        plates.crop(np.random.default_rng(seed))
    with pytest.raises(ValueError, match="stroke alphabet"):
        glyphs.stroke_mask("皖", (20, 10), 10)


def test_a_broken_font_is_named(tmp_path: Path, china: CountryPack) -> None:
    path = tmp_path / "plate.ttf"
    path.write_bytes(b"no font")
    with pytest.raises(ValueError, match=r"plate\.ttf"):
        PlateRenderer(china, font=path).crop(np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(30, 100), (98, 308), (126, 432)])
def test_pasted_corners_are_exact(shape: tuple[int, int]) -> None:
    """A white flat plate on black: edges fitted through half-covered pixels meet at the corners within 0.3 px."""
    corners = np.array([[61, 70], [212, 92], [205, 151], [55, 124]], np.float32)
    image = np.zeros((240, 280, 3), np.uint8)
    paste(image, np.full((*shape, 3), 255, np.uint8), corners)
    gray = image[..., 0].astype(np.float64)

    def edge(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The line through the points where brightness, sampled across the edge, passes a half: (a, b, c)."""
        along = (b - a) / np.linalg.norm(b - a)
        across = np.array([-along[1], along[0]])  # to the inside: corners go clockwise
        steps = np.linspace(-3, 3, 61)
        found = []
        for share in np.linspace(0.15, 0.85, 25):
            points = a + share * (b - a) + steps[:, None] * across - 0.5
            values = cv2.remap(
                gray.astype(np.float32), points[:, :1].astype(np.float32), points[:, 1:].astype(np.float32), 1
            )[:, 0]
            found.append(a + share * (b - a) + np.interp(127.5, values, steps) * across)
        middle = np.mean(found, axis=0)
        direction = np.linalg.svd(np.array(found) - middle)[2][0]
        normal = np.array([-direction[1], direction[0]])
        return np.array([*normal, normal @ middle])

    lines = [edge(corners[i].astype(float), corners[(i + 1) % 4].astype(float)) for i in range(4)]
    for i in range(4):
        pair = np.stack([lines[i - 1], lines[i]])
        assert np.linalg.solve(pair[:, :2], pair[:, 2]) == pytest.approx(corners[i].astype(float), abs=0.3)


def test_scenes_are_seeded_with_whole_plates_inside(renderer: PlateRenderer) -> None:
    scenes = SceneRenderer(renderer)
    for seed in range(12):
        image, plates = scenes.scene(np.random.default_rng(seed))
        assert image.shape == (1160, 720, 3) and image.dtype == np.uint8 and len(plates) == 1
        corners = plates[0].corners
        assert corners is not None and is_convex_clockwise(corners) and np.array_equal(corners, np.rint(corners))
        assert corners.min() >= 0 and corners[:, 0].max() <= 720 and corners[:, 1].max() <= 1160
        assert 70 <= np.ptp(corners[:, 0]) <= 420
        assert np.array_equal(plates[0].box, corner_box(corners)) and plates[0].country == "CN"
        again, same = scenes.scene(np.random.default_rng(seed))
        assert np.array_equal(image, again) and same[0].text == plates[0].text
    with pytest.raises(ValueError, match="do not fit"):
        SceneRenderer(renderer, size=(100, 100))


def test_names_hold_the_label(china: CountryPack) -> None:
    for job in plan_jobs(SyntheticPlan(scenes=8, seed=5), china):
        image, plate = draw(job, china, 5)
        label = decode_name(ccpd_name(image, plate))
        assert plate.corners is not None and plate.box is not None
        assert label.text == job.text == plate.text
        assert np.array_equal(label.corners, plate.corners) and np.array_equal(label.box, plate.box)
        assert 0.002 < float(f"0.{label.area}") < 0.2
        assert 30 <= int(label.tilt_h) <= 150 and 30 <= int(label.tilt_v) <= 150


def test_a_level_plate_has_tilts_of_90() -> None:
    image = np.zeros((1160, 720, 3), np.uint8)
    corners = np.array([[100, 100], [300, 100], [300, 160], [100, 160]], np.float32)
    label = decode_name(ccpd_name(image, Plate("皖A12345", corners)))
    assert (label.tilt_h, label.tilt_v) == ("90", "90")
    assert float(f"0.{label.area}") == pytest.approx(200 * 60 / (1160 * 720), rel=1e-6)
    turned = corners + np.array([[0, 0], [0, 20], [0, 20], [0, 0]], np.float32)  # the right end is lower
    assert int(decode_name(ccpd_name(image, Plate("皖A12345", turned))).tilt_h) > 90


def test_no_text_is_in_two_splits(china: CountryPack) -> None:
    jobs = plan_jobs(SyntheticPlan(scenes=3000, green_share=0.3, val_share=0.2, test_share=0.1), china)
    assert len({job.text for job in jobs}) == 3000
    assert sum(len(job.text) == 8 for job in jobs) == pytest.approx(900, abs=10)
    for split, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        assert sum(job.split == split for job in jobs) == pytest.approx(3000 * share, abs=30)
    assert jobs[:50] == plan_jobs(SyntheticPlan(50, 0, 0.3, 0.2, 0.1), china)  # a larger set continues a smaller one


def test_a_set_is_the_same_for_any_workers_and_after_an_interruption(
    tmp_path: Path, china: CountryPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = SyntheticPlan(scenes=10, seed=3, val_share=0.2, test_share=0.2)
    assert synthesize(tmp_path / "whole", plan, china, workers=2).written == 10
    whole = files_of(tmp_path / "whole")
    assert sum(name.endswith(".jpg") for name in whole) == 10
    listed = [line for split in ("train", "val", "test") for line in whole[f"split/{split}.txt"].decode().split()]
    assert sorted(listed) == sorted(name for name in whole if name.startswith("ccpd_base/") and name.endswith(".jpg"))

    module = importlib.import_module("alpr.synthetic.ccpd_set")
    make, made = module._make, []

    def stopping(job: Any, **rest: Any) -> Any:
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(job)
        return make(job, **rest)

    monkeypatch.setattr(module, "_make", stopping)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "part", plan, china, workers=0)
    monkeypatch.undo()
    with (tmp_path / "part" / JOURNAL).open("a") as file:
        file.write('[4, "ccpd_ba')  # a line cut short by a kill
    report = synthesize(tmp_path / "part", plan, china, workers=0)
    assert (report.written, report.kept) == (6, 4)
    assert files_of(tmp_path / "part") == whole
    assert synthesize(tmp_path / "part", plan, china, workers=0).written == 0
    with pytest.raises(ValueError, match="other settings"):
        synthesize(tmp_path / "part", SyntheticPlan(scenes=10, seed=4), china, workers=0)


@pytest.mark.parametrize(
    "wrong", [{"scenes": 0}, {"green_share": 1.5}, {"val_share": 0.6, "test_share": 0.6}, {"quality": 0}, {"seed": -1}]
)
def test_wrong_plans_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SyntheticPlan(**wrong)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("separators", [{"after": 2, "kind": "moon"}]),
        ("background", []),
        ("holes_mm", [[1]]),
        ("left_background", "red"),
    ],
)
def test_wrong_layouts_are_refused(china: CountryPack, key: str, value: Any) -> None:
    data = china.to_dict()
    data["layouts"] = [{**data["layouts"][0], key: value}]
    with pytest.raises(ValueError, match="layout"):
        CountryPack.from_dict(data)
    assert CountryPack.from_dict(china.to_dict()) == china


def rendered_without(china: CountryPack, *ingredients: str) -> list[np.ndarray]:
    """Plates of one text."""
    renderer = PlateRenderer(china, without=ingredients)
    layout = next(layout for layout in china.layouts if layout.name == "blue")
    return [renderer.crop_of("皖A12345", layout, np.random.default_rng(seed)).crop for seed in range(40)]


@pytest.mark.parametrize("ingredient", [*INGREDIENTS, "all"])
def test_crops_can_be_rendered_without_an_ingredient_to_measure_what_it_brings(
    ingredient: str, china: CountryPack
) -> None:
    """Without it, plates of one text look more alike, or, where all of them are near, sharper."""
    whole = rendered_without(china)
    lacking = rendered_without(china, *(INGREDIENTS if ingredient == "all" else [ingredient]))
    if ingredient == "resolution":
        edges, before = (np.mean([cv2.Laplacian(c, cv2.CV_32F).std() for c in crops]) for crops in (lacking, whole))
        assert edges > before
    else:
        spread, before = (np.std([c[8:-8, 16:-16] for c in crops], axis=0).mean() for crops in (lacking, whole))
        assert spread < (0.5 if ingredient == "all" else 1.0) * before


def test_an_ingredient_that_does_not_exist_cannot_be_left_out(china: CountryPack) -> None:
    with pytest.raises(ValueError, match=r"no ingredient 'snow'.*typefaces"):
        PlateRenderer(china, without=["snow"])


def test_stickers_lie_where_the_layout_says_and_some_are_missing(china: CountryPack) -> None:
    bare = china.layouts[0]
    layout = replace(bare, stickers_mm=((400.0, 70.0),))
    places = np.s_[65:75, 390:410]
    renderer = PlateRenderer(china)
    pairs = [
        [renderer.render("", one, np.random.default_rng(seed), scale=1.0).astype(int) for one in (layout, bare)]
        for seed in range(30)
    ]
    stuck = [with_ for with_, without in pairs if np.abs(with_ - without)[places].mean() > 10]
    assert 10 <= len(stuck) <= 26
    far = [np.abs(with_ - without)[:, :330].mean() for with_, without in pairs]
    assert np.median(far) < 1


def test_now_and_then_a_flash_lights_the_plate_and_not_the_car() -> None:
    plate = np.full((60, 200, 3), 150, np.uint8)
    lit = 0
    for seed in range(300):
        canvas, corners = surround(plate, np.random.default_rng(seed))
        (x1, y1), (x2, y2) = corners[0].astype(int), corners[2].astype(int)
        lit += canvas[y1 + 5 : y2 - 5, x1 + 5 : x2 - 5].mean() > 155 and canvas[:2].mean() < 80
    assert 3 <= lit <= 30

"""Glyph banks: the true typeface comes out of blurred crops, held-back rows stay unseen, damaged files are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from alpr.data.manifest import Manifest, fold_of
from alpr.plates.country import CountryPack
from alpr.plates.layout import Layout, Separator
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic.crop_set import CropPlan, synthesize_crops
from alpr.synthetic.glyph_bank import GlyphBank, face_of
from alpr.synthetic.glyph_making import Made, MakingSettings, make_bank, sharpened
from alpr.synthetic.glyphs import Mask, font_mask, softened, stroke_mask
from alpr.synthetic.placement import place
from alpr.synthetic.renderer import PlateRenderer
from alpr.synthetic.text_alignment import best_places

LAYOUT = Layout(
    name="stencil",
    pattern="LLDDD",
    size_mm=(140.0, 340.0),
    background=("#2459b4",),
    foreground="#f4f6fa",
    character_mm=(90.0, 45.0),
    gap_mm=12.0,
    separators=(Separator(2, "dot", 30.0),),
)
PACK = CountryPack("XX", "Nowhere", "ABEFK2357", {"L": "ABEFK", "D": "2357"}, (LAYOUT,))


def true_glyph(character: str) -> Mask:
    """The stroke glyph cut through at two fifths of its height, as a stencil is: not what the search starts from."""
    glyph = stroke_mask(character, (90, 45), 11)
    glyph[32:40] = 0
    return glyph


def centres(text: str) -> list[float]:
    return [cell.x for cell in place(LAYOUT, tuple(range(5)), text).cells]


def photographed(text: str, rng: np.random.Generator) -> ImageArray:
    """A small skewed crop of a plate, blurred and noisy, its frame unknown: (32, 88, 3)."""
    plate = np.zeros((140, 340), np.float32)
    for character, x in zip(text, centres(text), strict=True):
        plate[25:115, round(x - 22.5) : round(x - 22.5) + 45] = true_glyph(character)
    whole = np.array([[0, 0], [340, 0], [340, 140], [0, 140]], np.float32)
    target = np.array([[4, 2], [84, 2], [84, 30], [4, 30]], np.float32) + rng.normal(0, 1.0, (4, 2))
    target[1:3, 1] += rng.normal(0, 2)  # rising or falling
    matrix = cv2.getPerspectiveTransform(whole, target.astype(np.float32))
    large = np.diag([4, 4, 1.0]) @ matrix
    ink = cv2.warpPerspective(plate, large, (352, 128), flags=cv2.INTER_LINEAR)
    ink = cv2.resize(cv2.GaussianBlur(ink, (0, 0), 2.4), (88, 32), interpolation=cv2.INTER_AREA) / 255
    grey = 70 + 120 * ink + rng.normal(0, 6, ink.shape)
    return np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def texts(count: int) -> list[str]:
    """Different texts outside fold 0, every character often."""
    rng, found = np.random.default_rng(1), []
    while len(found) < count:
        text = "".join(rng.choice(list("ABEFK"), 2)) + "".join(rng.choice(list("2357"), 3))
        if fold_of(text) and text not in found:
            found.append(text)
    return found


def table(folder: Path, listed: Sequence[str], split: str = "train") -> Manifest:
    rng = np.random.default_rng(2)
    for text in listed:
        cv2.imwrite(str(folder / f"{text}.png"), photographed(text, rng))
    return Manifest.of(folder, [f"{t}.png" for t in listed], text=listed, country="XX", split=split)


def alike(a: Mask, b: Mask) -> float:
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    manifest = table(tmp_path_factory.mktemp("plates"), texts(28))
    return make_bank(manifest, PACK, MakingSettings(), sources={"labels.csv": manifest.sha256})


def test_the_true_typeface_is_recovered(made: Made) -> None:
    assert made.used >= 26
    assert {c for _, c in made.bank.masks} == set(PACK.alphabet)
    for (_, character), variants in made.bank.masks.items():
        truth = true_glyph(character)
        for glyph in variants:
            assert alike(glyph, truth) > 0.8, character
            assert alike(glyph, truth) > alike(glyph, stroke_mask(character, (90, 45), 11)) + 0.03, "the cut is lost"
            others = [alike(glyph, true_glyph(other)) for other in set(PACK.alphabet) - {character}]
            assert alike(glyph, truth) > max(others) + 0.05, "another character is as near"
            if character in "2357FK":
                mirrored = np.asarray(glyph[:, ::-1])
                assert alike(glyph, truth) > alike(mirrored, truth) + 0.3


def test_plates_with_corners_are_cut_by_them(tmp_path: Path) -> None:
    listed, rng = texts(10), np.random.default_rng(3)
    corners = np.array([[30, 20], [200, 28], [198, 98], [28, 90]], np.float32)
    for text in listed:
        plate = np.full((140, 340), 40, np.uint8)
        for character, x in zip(text, centres(text), strict=True):
            plate[25:115, round(x - 22.5) : round(x - 22.5) + 45] += true_glyph(character) // 2
        whole = np.array([[0, 0], [340, 0], [340, 140], [0, 140]], np.float32)
        matrix = cv2.getPerspectiveTransform(whole, corners)
        scene = cv2.warpPerspective(255 - plate, matrix, (240, 120), borderValue=90)  # dark ink on light
        noisy = scene + rng.normal(0, 4, scene.shape)
        cv2.imwrite(str(tmp_path / f"{text}.png"), np.clip(noisy, 0, 255).astype(np.uint8))
    images, places = [f"{t}.png" for t in listed], np.repeat(corners[None], len(listed), axis=0)
    manifest = Manifest.of(tmp_path, images, text=listed, corners=places, split="train")
    bank = make_bank(manifest, PACK, MakingSettings(rounds=2)).bank
    assert all(alike(m[0], true_glyph(c)) > 0.85 for (_, c), m in bank.masks.items())


def test_rows_that_are_held_back_or_of_another_split_are_never_opened(tmp_path: Path) -> None:
    held = next(
        t for t in ("AB" + str(n) for n in (222, 223, 225, 227, 232, 233, 235, 237, 252, 253)) if not fold_of(t)
    )
    listed = [*texts(6), "KK777", held]
    manifest = replace(table(tmp_path, listed), split=["train"] * 6 + ["val", "train"], source_sha256="")
    alone = make_bank(manifest.take(np.arange(6)), PACK, MakingSettings(rounds=1, least_cells=1))
    for text in listed[6:]:
        (tmp_path / f"{text}.png").write_bytes(b"not to be read")
    made = make_bank(manifest, PACK, MakingSettings(rounds=1, least_cells=1))
    assert (made.plates, made.left_out) == (6, ())
    opened = make_bank(manifest, PACK, MakingSettings(rounds=1, least_cells=1), holdout_fold=None)
    assert [held in sentence for sentence in opened.left_out] == [True], "the planted row would have been noticed"
    for key, masks in alone.bank.masks.items():
        np.testing.assert_array_equal(made.bank.masks[key], masks)


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    manifest = table(tmp_path, texts(6))
    files = []
    for name in ("one.npz", "two.npz"):
        make_bank(manifest, PACK, MakingSettings(rounds=1, least_cells=1)).bank.write(tmp_path / "new" / name)
        files.append((tmp_path / "new" / name).read_bytes())
    assert files[0] == files[1]


def test_a_bank_is_read_as_it_was_written(made: Made, tmp_path: Path) -> None:
    made.bank.write(tmp_path / "bank.npz")
    read = GlyphBank.read(tmp_path / "bank.npz", PACK)
    assert read.records == made.bank.records
    assert (read.code, read.split, read.sources) == ("XX", "train", made.bank.sources)
    for key, masks in made.bank.masks.items():
        np.testing.assert_array_equal(read.masks[key], masks)


@pytest.mark.parametrize("damage", ["truncated", "a byte", "text", "pickle"])
def test_a_damaged_bank_is_refused(made: Made, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bank.npz"
    made.bank.write(path)
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "a byte":
        data[len(data) // 2] ^= 255
    elif damage == "text":
        data = bytearray(b"image,text\n")
    path.write_bytes(data)
    if damage == "pickle":
        np.savez(path, note=np.array([{"format": 1}], dtype=object))
    with pytest.raises(ValueError, match="is no whole glyph bank"):
        GlyphBank.read(path)


def test_a_bank_of_another_pack_is_refused(made: Made, china: CountryPack, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    made.bank.write(path)
    with pytest.raises(ValueError, match="is of XX; expected one made with the pack of CN"):
        GlyphBank.read(path, china)
    with pytest.raises(ValueError, match="with 'K' that the pack does not print"):
        GlyphBank.read(path, replace(PACK, alphabet="ABEF2357"))


def test_the_renderer_asks_the_bank_first(china: CountryPack) -> None:
    """A bank of full cells for every digit: they are drawn as blocks, letters and provinces as ever."""
    blocks = {
        (face_of(layout), d): np.full((2, 90, 45), 255, np.uint8) for layout in china.layouts for d in "0123456789"
    }
    bank, blue = GlyphBank("CN", blocks), china.layouts[0]

    def ink(renderer: PlateRenderer, text: str) -> FloatArray:
        plates = [renderer.render(text, blue, np.random.default_rng(seed)).astype(float)[..., 2] for seed in range(12)]
        return np.asarray(np.mean(plates, axis=0))

    plain, banked = PlateRenderer(china), PlateRenderer(china, bank=bank, bank_share=1.0)
    never = PlateRenderer(china, bank=bank, bank_share=0.0)
    assert ink(banked, "皖A11111").mean() > ink(plain, "皖A11111").mean() + 30
    assert abs(ink(never, "皖A11111").mean() - ink(plain, "皖A11111").mean()) < 5
    assert abs(ink(banked, "皖AAAAAA").mean() - ink(plain, "皖AAAAAA").mean()) < 5


def test_crops_on_disk_are_rendered_with_a_bank(made: Made, china: CountryPack, tmp_path: Path) -> None:
    def crops(name: str, plan: CropPlan, pack: CountryPack = PACK) -> list[bytes]:
        synthesize_crops(tmp_path / name, plan, pack, workers=0)
        return [path.read_bytes() for path in sorted((tmp_path / name / "images").iterdir())]

    made.bank.write(tmp_path / "bank.npz")
    with_bank = CropPlan(4, glyph_bank=str(tmp_path / "bank.npz"), bank_share=1.0)
    plain = crops("plain", CropPlan(4))
    assert sum(one != other for one, other in zip(crops("bank", with_bank), plain, strict=True)) == 4
    assert crops("bank", with_bank) != plain  # the same settings again: the crops stay
    with pytest.raises(ValueError, match="other settings"):
        crops("plain", with_bank)
    with pytest.raises(ValueError, match="is of XX"):
        crops("china", with_bank, china)
    assert not (tmp_path / "china").exists()


def test_only_characters_without_strokes_are_taken_from_another_face(china: CountryPack) -> None:
    blue, green = china.layouts[0], china.layouts[1]
    glyph = np.full((1, 90, 45), 255, np.uint8)
    bank = GlyphBank("CN", {(face_of(blue), "皖"): glyph, (face_of(blue), "8"): glyph})
    assert face_of(blue) != face_of(green)
    assert bank.variants("皖", green) is not None
    assert bank.variants("8", green) is None
    assert bank.variants("8", blue) is not None


def test_places_follow_the_order_and_the_spacing() -> None:
    """The stronger peak of the second character stands before the first one: the path may not go there."""
    maps = np.full((2, 1, 60), -0.5, np.float32)
    maps[0, 0, 30], maps[1, 0, 40], maps[1, 0, 20] = 0.9, 0.8, 1.0
    score, row, places = best_places(maps, (10 / 16,), (0.15, 0.15))
    assert (row, places) == (0, (30, 40))
    assert score == pytest.approx(0.85)


def test_sharpening_gives_the_glyph_back() -> None:
    truth = np.zeros((106, 61), np.float32)
    truth[8:98, 8:53] = true_glyph("E").astype(np.float32) / 255
    blurred = np.asarray(cv2.GaussianBlur(truth, (0, 0), 4), np.float32)
    before, after = (float(np.abs(glyph - truth).mean()) for glyph in (blurred, sharpened(blurred, 4)))
    assert after < 0.5 * before


def test_half_of_the_rare_characters_of_a_bank_are_a_fonts_all_the_same(china: CountryPack) -> None:
    """A bank that knows one province: were it always its own, other provinces in the true typeface would read as it."""
    blue = china.layouts[0]
    bank = GlyphBank("CN", {(face_of(blue), "浙"): np.full((1, 90, 45), 255, np.uint8)})
    renderer = PlateRenderer(china, bank=bank, bank_share=1.0)

    def red(text: str) -> list[float]:
        plates = [renderer.render(text, blue, np.random.default_rng(seed), scale=0.5) for seed in range(40)]
        return [float(plate[20:50, 10:25, 2].mean()) for plate in plates]

    full = sum(own > other + 60 for own, other in zip(red("浙A12345"), red("湘A12345"), strict=True))
    assert 10 <= full <= 30


def test_a_softened_glyph_keeps_its_weight_and_loses_its_edges() -> None:
    sharp = font_mask("湘", (60, 30), "noto-cjk")
    soft = softened(sharp, 20)
    assert soft.shape == sharp.shape and soft.dtype == np.uint8
    assert soft.mean() == pytest.approx(sharp.mean(), rel=0.25)
    assert cv2.Laplacian(soft, cv2.CV_32F).std() < 0.7 * cv2.Laplacian(sharp, cv2.CV_32F).std()

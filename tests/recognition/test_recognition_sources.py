"""Mixtures of crops: sources, negatives, exchanged characters, balance, found corners, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from alpr.data.augment import PixelAugment, PixelSettings
from alpr.data.crop_corners import BOX, CORNERS, DETECTOR, crop_corners, find_corners, matched_corners
from alpr.data.manifest import Manifest
from alpr.data.sampling import StepSampler
from alpr.plates.charset import Charset, replaced
from alpr.plates.country import CountryPack
from alpr.plates.geometry import box_iou, corner_box
from alpr.plates.records import Detection, FloatArray, ImageArray, Plate, Scene
from alpr.recognition.data import CropCollate, LabelledCrop, RecognitionSample, labelled_crops
from alpr.recognition.datamodule import RecognitionData, recognition_data
from alpr.recognition.losses import ctc_loss
from alpr.recognition.mixture.balance import balanced_weights
from alpr.recognition.mixture.character_exchange import CharacterExchange, Surroundings
from alpr.recognition.mixture.negatives import BACKGROUND, BESIDE, SHIFTED, NegativeCrops, negative_quad, shown_share
from alpr.recognition.mixture.sources import PlateSource
from alpr.recognition.module import RecogniserModule
from alpr.recognition.targets import UNKNOWN
from alpr.synthetic.renderer import PlateRenderer

QUAD = np.array([[60, 40], [180, 40], [180, 78], [60, 78]], np.float32)
SIZE = (48, 192)
STILL = PixelAugment(PixelSettings(0, 0, 0, noise=0, jpeg=0, grey=0))


def scene_image(folder: Path, name: str, plate: ImageArray | None = None) -> Path:
    image = np.full((160, 240, 3), 90, np.uint8)
    if plate is not None:
        image[40:78, 60:180] = cv2.resize(plate, (120, 38), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / name), image)
    return folder / name


def write_table(folder: Path, texts: Sequence[str], **columns: object) -> Path:
    folder.mkdir(exist_ok=True)
    names = [f"{i}.png" for i in range(len(texts))]
    for name in names:
        scene_image(folder, name)
    corners = columns.pop("corners", np.repeat(QUAD[None], len(texts), 0))
    path = folder / "labels.csv"
    Manifest.of(folder, names, text=texts, corners=corners, split="train", **columns).write(path)  # type: ignore[arg-type]
    return path


def test_sources_give_their_samples_and_keep_apart(tmp_path: Path, china: CountryPack) -> None:
    write_table(tmp_path / "a", [f"皖A{i:05d}" for i in range(40)], country="CN", extra={"layout": "green small"})
    write_table(tmp_path / "b", [f"沪BO{i:04d}" for i in range(40)])
    a: dict[str, Any] = {"manifest": "a/labels.csv", "share": 3}
    b = {"manifest": "b/labels.csv", "share": 2, "replace": {"O": "0"}, "geometry": {"rotation_deg": 5.0}}
    rendered = {"own": {"share": 1}}
    data = RecognitionData(china.to_dict(), {"a": a, "b": b}, rendered, root=str(tmp_path), negatives=2)
    crops = data.training_crops()
    sampler = StepSampler([s.size for s in crops.sources], data.counts, 4, 0, weights=data.weights())
    samples = [crops[key] for key in sampler.batch(0)]
    assert [s.text[:1] for s in samples[1:]] == ["皖"] * 3 + ["沪"] * 2 + [""] * 2
    assert all(s.text[2] == "0" for s in samples[4:6])
    zeros = RecognitionData(china.to_dict(), {"a": a}, root=str(tmp_path), replace={"0": "1"})
    drawn = [zeros.training_crops().sources[0].draw(0, np.random.default_rng(i)).text for i in range(40)]
    assert not any("0" in text for text in drawn) and any("1" in text for text in drawn)
    held = {c.text for c in data.val_plates}
    assert held and not held & {c.text for c in data.train_plates}
    kinds = ["blue", "green"]
    batch, reasons = CropCollate(china.charset, china.slots, ["CN"], kinds)(samples)
    assert not reasons and batch.slots[-2:].eq(0).all() and not batch.slots[:-2].eq(0).all(1).any()
    assert batch.countries.tolist() == [0, 0, 0, 0, *[UNKNOWN] * 4]
    assert batch.kinds.tolist() == [kinds.index(samples[0].kind or ""), *[1] * 3, *[UNKNOWN] * 4]
    assert batch.rows.tolist() == [1] * 8
    assert "a mixture of 2 sources" in data.describe() and "and 2 crops without a plate" in data.describe()
    for wrong, says in (
        ({"crops": "hull"}, r"a\.crops is 'hull'; expected one of"),
        ({"crops": "detector"}, r"data\.detector"),
        ({"crops": "box", "permute": 0.3}, "true corners"),
        ({"permute": 1.5}, r"a\.permute is 1\.5; expected 0 to 1"),
    ):
        with pytest.raises(ValueError, match=says):
            RecognitionData(china.to_dict(), {"a": {**a, **wrong}}, root=str(tmp_path))


def test_plates_of_more_rows_than_the_run_reads_are_counted(tmp_path: Path, china: CountryPack) -> None:
    texts = [f"皖A{i:05d}" for i in range(40)]
    write_table(tmp_path / "a", texts, country="CN", extra={"layout": ["yellow"] * 30 + ["trailer"] * 10})
    one = recognition_data(country=china.to_dict(), manifest="a/labels.csv", root=str(tmp_path), layouts=None)
    assert len(one.refused) == 10 and len(one.train_plates) + len(one.val_plates) == 30
    assert "'皖A00030' has 2 rows of text, this run reads 1; data.layouts=all reads both" in one.refused[0]
    assert "10 labels do not fit the country pack" in one.describe() and not one.describe().endswith("..")
    assert one.pack.rows == 1 and {layout.rows for layout in one.renderers[0].pack.layouts} == {1}
    both = recognition_data(country=china.to_dict(), manifest="a/labels.csv", root=str(tmp_path), layouts="all")
    stored = recognition_data(
        country=china.to_dict(), manifest="a/labels.csv", root=str(tmp_path)
    )  # a run of before data.layouts
    assert stored.pack == both.pack == RecogniserModule(china.to_dict(), {"width": 16, "heads": 2}).pack
    assert not both.refused and sum(crop.rows == 2 for crop in [*both.train_plates, *both.val_plates]) == 10
    with pytest.raises(ValueError, match="has 2 rows of text"):
        recognition_data(
            country=china.to_dict(), manifest="a/labels.csv", root=str(tmp_path), strict=True, layouts=None
        )


def test_bad_rows_are_named_before_the_first_step(tmp_path: Path, china: CountryPack) -> None:
    texts = [f"皖A{i:05d}" for i in range(30)] + ["皖A1234?", "皖A12345678", "", "皖A11111", "皖A22222"]
    tiny = QUAD.mean(0) + (QUAD - QUAD.mean(0)) * np.float32(3 / 38)
    path = write_table(tmp_path / "a", texts, corners=np.stack([QUAD] * 33 + [tiny, QUAD]))
    (tmp_path / "a" / "34.png").unlink()
    cv2.imwrite(str(tmp_path / "3px.png"), np.zeros((3, 12, 3), np.uint8))
    data = recognition_data(country=china.to_dict(), manifest=str(path), root=str(tmp_path))
    found = {row: next(s for s in data.refused if f"labels.csv, row {row} " in s) for row in (32, 33, 35, 36)}
    assert len(data.refused) == 4
    assert "'?'" in found[32] and china.alphabet in found[32]
    assert "10 characters" in found[33] and "1 to 8" in found[33]
    assert "9x3 px" in found[35] and "10x5 px" in found[35]
    assert "34.png" in found[36]
    assert "1 plates have no text" in data.describe() and "row 3" in data.describe()
    assert len(data.train_plates) + len(data.val_plates) == 30
    small = Manifest.of(
        tmp_path, ["3px.png"] + [f"a/{i}.png" for i in range(30)], text=["皖A33333", *texts[:30]], split="train"
    )
    small.write(tmp_path / "small.csv")
    assert "12x3 px" in recognition_data(country=china.to_dict(), manifest="small.csv", root=str(tmp_path)).refused[0]
    for bad in (path, tmp_path / "small.csv"):
        with pytest.raises(ValueError, match=r", row \d+ "):
            recognition_data(country=china.to_dict(), manifest=str(bad), strict=True)


def test_replaced_characters_and_the_empty_text() -> None:
    assert replaced("OXO1", {"O": "0"}) == "0X01" and replaced("O", {"O": 0}) == "0" and replaced("A", {}) == "A"
    with pytest.raises(ValueError, match="'OO'"):
        replaced("A", {"OO": "0"})
    charset = Charset("AB")
    assert charset.encode_padded("", 3, empty=True) == [0, 0, 0]
    with pytest.raises(ValueError, match="1 to 3"):
        charset.encode_padded("", 3)
    with pytest.raises(ValueError, match="4 characters"):
        charset.encode_padded("ABAB", 3, empty=True)


def test_ctc_of_an_empty_text_is_that_of_blanks_alone() -> None:
    logits = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    slots = torch.tensor([[0, 0, 0], [1, 2, 0]])
    loss = ctc_loss(logits[:, None], slots, torch.tensor([1, 1]))
    loss.backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all()) and logits.grad[0].abs().sum() > 0
    blanks = -logits[0].log_softmax(-1)[:, 0].sum()
    other = ctc_loss(logits[1:, None], slots[1:], torch.tensor([1]))
    assert loss.item() == pytest.approx((blanks + other).item() / 2, rel=1e-5)


def test_balanced_shares_are_those_computed() -> None:
    texts = ["皖1234"] * 70 + ["皖123Q"] * 5 + ["沪1234"] * 20 + ["桂1234"] * 5
    for power in (0.5, 1.0):
        weights = balanced_weights(texts, power)
        sampler = StepSampler([len(texts)], [20], 1, 3, weights=[weights])
        drawn = [texts[key.item] for step in range(500) for key in sampler.batch(step)]
        wanted = np.array([75, 20, 5]) ** (1 - power)
        firsts = Counter(text[0] for text in drawn)
        for first, share in zip("皖沪桂", wanted / wanted.sum(), strict=True):
            assert firsts[first] / len(drawn) == pytest.approx(share, abs=0.011)
        rare = sum("Q" in t for t in drawn) / firsts["皖"]  # weight by the rarest: Q in 5 of 100, 4 in 95 of 100
        q, four = 5 * 0.05**-power, 70 * 0.95**-power
        assert rare == pytest.approx(q / (q + four), abs=0.02)
        again = StepSampler([len(texts)], [20], 1, 3, weights=[weights])
        assert again.batch(137) == sampler.batch(137)  # a function of seed and step alone
    assert np.allclose(balanced_weights(texts, 0.0), 1 / len(texts))
    with pytest.raises(ValueError, match="balance is 2"):
        balanced_weights(texts, 2.0)


def test_corners_from_three_sources(tmp_path: Path) -> None:
    slanted = QUAD + np.array([[0, 0], [0, 8], [0, 8], [0, 0]], np.float32)
    plate = Plate("A1", slanted)
    other = Plate("B2", slanted + 300)
    found = slanted + 2
    assert crop_corners(plate, CORNERS) is slanted
    box = crop_corners(plate, BOX)
    assert box is not None and box.tolist() == [[60, 40], [180, 40], [180, 86], [60, 86]]
    assert crop_corners(plate, DETECTOR) is None and crop_corners(plate, DETECTOR, found) is found
    with pytest.raises(ValueError, match="'hull'"):
        crop_corners(plate, "hull")
    far = Detection(slanted + np.float32([70, 0]), np.zeros(4, np.float32), 0.9)
    near = Detection(found, np.zeros(4, np.float32), 0.5)
    matched = matched_corners([far, near], [plate, other])
    assert matched[0] is not None and np.array_equal(matched[0], found) and matched[1] is None

    images = [scene_image(tmp_path, f"{i}.png") for i in range(3)]
    scenes = [Scene(image, (plate, other)) for image in images]
    calls: list[int] = []

    def detect(batch: Sequence[ImageArray]) -> list[list[Detection]]:
        calls.append(len(batch))
        return [[far, near] for _ in batch]

    table = tmp_path / "run" / "found.csv"
    first = find_corners(detect, scenes[:2], table)
    second = find_corners(detect, scenes, table)  # goes on: only the third is looked at
    assert calls == [2, 1] and np.array_equal(second[images[0]][0], first[images[0]][0])
    cut = labelled_crops(scenes, DETECTOR, second)
    assert len(cut.crops) == cut.unfound == 3 and np.array_equal(np.asarray(cut.crops[0].corners), found)


def test_negatives_keep_away_from_plates() -> None:
    rng = np.random.default_rng(0)
    plates = (Plate("A1", QUAD * 2), Plate(None, None, np.float32([500, 300, 560, 330]), ignored=True))
    hulls = np.stack([corner_box(QUAD * 2), [500, 300, 560, 330]])
    for kind in (BACKGROUND, BESIDE, SHIFTED):
        quads = [q for _ in range(300) if (q := negative_quad(kind, plates, (480, 640), rng)) is not None]
        assert len(quads) > 40, kind
        for quad in quads:
            hull = corner_box(quad)
            assert (hull >= 0).all() and hull[2] <= 640 and hull[3] <= 480
            overlaps = box_iou(hull[None], hulls)[0]
            assert overlaps[1] == 0
            if kind == SHIFTED:
                assert shown_share(QUAD * 2, quad) < 0.5
            else:
                assert overlaps[0] == 0
    assert shown_share(QUAD, QUAD + np.float32([60, 0])) == pytest.approx(0.5)


def test_negatives_have_no_text(tmp_path: Path, china: CountryPack) -> None:
    scenes = [Scene(scene_image(tmp_path, "a.png"), (Plate("A1", QUAD),))]
    for parts in ([scenes], []):
        source = NegativeCrops(parts, PlateRenderer(china), SIZE, 0.04, STILL)
        drawn = [source.draw(0, np.random.default_rng(i)) for i in range(12)]
        assert all(d.text == "" and d.crop.shape == (*SIZE, 3) for d in drawn)
    again = source.draw(0, np.random.default_rng(3))
    assert np.array_equal(again.crop, drawn[3].crop)


def test_exchanged_characters_are_those_of_the_label(china: CountryPack) -> None:
    """Plates of one style: after the exchange a plate looks like one that was rendered with its new text."""
    renderer, layout = PlateRenderer(china), china.layouts[0]
    texts = ["皖AB1234", "沪CD5678", "苏EF9012", "浙GH3456"]
    surroundings = []
    for text in texts:
        face = renderer.render(text, layout, np.random.default_rng(5), scale=0.7)
        surroundings.append(
            Surroundings(cv2.copyMakeBorder(face, 20, 20, 20, 20, cv2.BORDER_REPLICATE), corners_of(face))
        )
    crops = [LabelledCrop(Path("x"), s.corners, text) for s, text in zip(surroundings, texts, strict=True)]
    exchange = CharacterExchange(crops, china)
    assert exchange.usable == 4
    changed, errors = 0, np.zeros(2)
    for seed in range(12):
        before = surroundings[0].image.copy()
        image, text = exchange(
            0, surroundings[0].image, surroundings[0].corners, surroundings.__getitem__, np.random.default_rng(seed)
        )
        assert np.array_equal(before, surroundings[0].image)  # what is kept in memory stays
        assert china.layout_of(text) is not None and len(text) == 7
        changed += text != texts[0]
        face = image[20:-20, 20:-20]
        wanted = renderer.render(text, layout, np.random.default_rng(5), scale=0.7)
        grey = [
            cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), (0, 0), 3).astype(float)
            for p in (face, wanted, before[20:-20, 20:-20])
        ]
        errors += [np.abs(grey[0] - grey[1]).mean(), np.abs(grey[2] - grey[1]).mean()]
    assert errors[0] < errors[1] / 2.5
    assert changed >= 6
    unrectified = CharacterExchange([LabelledCrop(Path("x"), None, text) for text in texts], china)
    assert unrectified.usable == 0


def test_a_rendered_first_character_takes_the_plates_own_paint_and_ink(china: CountryPack) -> None:
    renderer, layout = PlateRenderer(china), china.layouts[0]

    def photographed(text: str) -> ImageArray:
        """A dull plate of another colour than any that is rendered, out of focus."""
        face = renderer.render(text, layout, np.random.default_rng(5), scale=0.7)
        return cv2.GaussianBlur((face[..., ::-1] * 0.6 + 30).astype(np.uint8), (0, 0), 1.2)

    plate = photographed("皖AB1234")
    crops = [LabelledCrop(Path("x"), None, "皖AB1234")]
    exchange = CharacterExchange(crops, china, rectified=True, renderer=renderer)
    cell, rest = np.s_[:, : round(plate.shape[1] * 0.14)], np.s_[:, round(plate.shape[1] * 0.17) :]
    seen, nearer = set(), []
    for seed in range(16):
        image, text = exchange.rendered_first(0, plate, None, "皖AB1234", np.random.default_rng(seed))
        assert text[1:] == "AB1234" and text[0] in china.classes["P"]
        np.testing.assert_array_equal(image[rest], plate[rest])
        if text[0] == "皖":
            continue
        seen.add(text[0])
        wanted = photographed(text)[cell].astype(float)
        nearer.append(np.abs(image[cell] - wanted).mean() < 0.7 * np.abs(plate[cell] - wanted).mean())
    assert len(seen) >= 8 and np.mean(nearer) > 0.7


def test_a_rendered_first_character_stays_away_from_where_no_character_stands(china: CountryPack) -> None:
    renderer, layout = PlateRenderer(china), china.layouts[0]
    face = renderer.render("皖AB1234", layout, np.random.default_rng(5), scale=0.7)
    width = face.shape[1]
    aside = np.hstack([np.full((face.shape[0], width // 7, 3), (40, 70, 60), np.uint8), face])  # a crop with a margin
    exchange = CharacterExchange([LabelledCrop(Path("x"), None, "皖AB1234")], china, True, renderer)
    for seed in range(8):
        image, text = exchange.rendered_first(0, aside, None, "皖AB1234", np.random.default_rng(seed))
        assert text == "皖AB1234"
        np.testing.assert_array_equal(image, aside)
    without = CharacterExchange([LabelledCrop(Path("x"), None, "皖AB1234")], china, True)
    assert without.rendered_first(0, face, None, "皖AB1234", np.random.default_rng(0))[1] == "皖AB1234"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"rendered_first": 1.5}, r"rendered_first is 1\.5; expected 0 to 1"), ({"crops": "box"}, "rendered_first: 0")],
)
def test_rendered_first_characters_need_true_corners_and_a_probability(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PlateSource(**{"name": "a", "manifest": "a.csv", "rendered_first": 0.5, **change})


def corners_of(face: ImageArray) -> FloatArray:
    h, w = face.shape[:2]
    return np.array([[20, 20], [20 + w, 20], [20 + w, 20 + h], [20, 20 + h]], np.float32)


def test_glare_and_dirt_have_their_probabilities() -> None:
    image = np.full((48, 192, 3), 100, np.uint8)
    none = dict.fromkeys(("colour", "gamma", "blur", "noise", "jpeg", "shadow", "grey"), 0.0)
    for name in ("glare", "dirt"):
        sure, never = (PixelAugment(PixelSettings(**{**none, name: p})) for p in (1.0, 0.0))
        assert not np.array_equal(sure(image, np.random.default_rng(0)), image)
        assert np.array_equal(never(image, np.random.default_rng(0)), image)
    with pytest.raises(ValueError, match=r"pixels\.dirt is 2"):
        PixelSettings(dirt=2)


def test_an_unreadable_sample_leaves_its_batch(china: CountryPack) -> None:
    good = RecognitionSample(np.zeros((*SIZE, 3), np.uint8), "")
    batch, reasons = CropCollate(china.charset, china.slots)([good, RecognitionSample(None, "", "row 3: gone")])
    assert len(batch.crops) == len(batch.countries) == len(batch.kinds) == 1 and reasons == ["row 3: gone"]

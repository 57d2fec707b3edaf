"""Plates of two rows: how they are drawn, taught, told and read once more; and who reads which country."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from alpr.data.augment import PixelAugment, PixelSettings
from alpr.images.photograph import Photograph
from alpr.images.unfold import unfolded
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.recognition.data import CropCollate, LabelledCrop, RecognitionSample
from alpr.recognition.losses import RecognitionLossSettings, recognition_losses
from alpr.recognition.mixture.crops import CropGeometry, PhotographedCrops, RenderedCrops, Unfolding
from alpr.recognition.mixture.sources import RenderedPlates, rows_label
from alpr.recognition.model import MaskOcr, MaskOcrSettings
from alpr.recognition.read import Recogniser, decode_cuts
from alpr.recognition.settings import RecogniserSettings
from alpr.recognition.targets import UNKNOWN, recognition_batch
from alpr.synthetic.renderer import PlateRenderer

AB = Charset("AB")
CUTS = (0.4, 0.5, 0.6)
STILL = PixelAugment(PixelSettings(**{key: 0 for key in PixelSettings.__dataclass_fields__ if key.startswith("p_")}))
EXACT = CropGeometry(0, 0, 0, 0)


def settings(**more: Any) -> RecogniserSettings:
    return RecogniserSettings(size=(8, 32), margin=0.0, slots=2, **more)


def colours(crop: np.ndarray) -> str:
    """A for a blue half, B for a green one: the upper or left half first."""
    return "".join(
        "A" if half[..., 0].mean() > half[..., 1].mean() else "B" for half in np.array_split(crop, 2, axis=1)
    )


def network(seen: list[np.ndarray], two: Callable[[np.ndarray], float]) -> Any:
    """Reads the colours of the halves; says two rows where `two` gives a logit above 0."""

    def run(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        seen.extend(batch)
        logits = np.full((len(batch), 2, 3), -9.0, np.float32)
        rows = np.tile(np.array([0, -99, 0, -99], np.float32), (len(batch), 1))
        for i, crop in enumerate(batch):
            for slot, letter in enumerate(colours(crop)):
                logits[i, slot, 1 + "AB".index(letter)] = 9
            rows[i, 2] = two(crop)
        return logits, rows

    return run


def folded(top: int = 0, bottom: int = 1) -> np.ndarray:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :, top] = image[32:, :, bottom] = 220
    return image


def test_a_plate_of_two_rows_is_read_once_more_unfolded_and_keeps_its_corners() -> None:
    seen: list[np.ndarray] = []
    two = lambda crop: 5.0 if crop[0].tolist() != crop[-1].tolist() else -50.0  # noqa: E731
    reader = Recogniser(network(seen, two), settings(row_cuts=CUTS), AB)
    first, second = reader.read([folded(), folded(0, 0)])
    assert (first.text, first.cut) == ("AB", 0.5) and (second.text, second.cut) == ("AA", 0.0)
    assert len(seen) == 3, "the plate of one row is read once"
    image = np.zeros((100, 140, 3), np.uint8)
    image[20:84, 30:94] = folded(1, 0)
    quad = np.array([[30, 20], [94, 20], [94, 84], [30, 84]], np.float32)
    ((of_scene,),) = reader.read_scenes([Photograph(image)], [[quad]])
    assert (of_scene.text, of_scene.cut) == ("BA", 0.5)
    assert Recogniser(network([], two), settings(row_cuts=CUTS), AB, once=True).read([folded()])[0].cut == 0.5


@pytest.mark.parametrize(("flat", "laid", "cut"), [(9.0, 0.1, 0.0), (0.1, 9.0, 0.5), (9.0, 9.0, 0.5)])
def test_a_text_that_reads_well_stands_against_doubtful_rows(flat: float, laid: float, cut: float) -> None:
    def run(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        logits = np.zeros((len(batch), 2, 3), np.float32)
        logits[..., 1] = [[flat if colours(crop) == "BB" else laid] * 2 for crop in batch]
        return logits, np.log(np.tile(np.array([0.3, 0.1, 0.5, 0.1], np.float32), (len(batch), 1)))

    reading = Recogniser(run, settings(row_cuts=CUTS), AB).read([folded()])[0]
    assert (reading.text, reading.cut) == ("AA", cut) and reading.two_rows == pytest.approx(0.7, abs=1e-6)


def test_two_rows_must_be_more_likely_than_one_over_all_cuts() -> None:
    logits = np.log(np.array([[0.4, 0.2, 0.3, 0.1], [0.6, 0.0001, 0.39, 0.0099]], np.float32))
    (first, two), (second, one) = decode_cuts(logits, settings(row_cuts=CUTS))
    assert (first, second) == (0.5, 0.0) and (two, one) == pytest.approx((0.6, 0.4), abs=1e-6)
    with pytest.raises(ValueError, match="gave logits"):
        decode_cuts(logits[:, :3], settings(row_cuts=CUTS))


def countries(shares: dict[str, float], text: str = "AA", certain: float = 9.0, others: bool = True) -> Recogniser:
    """Reads a text of A and B that surely, names countries with these probabilities; another one reads CN as 沪沪."""

    def run(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        logits = np.full((len(batch), 2, 3), -certain, np.float32)
        for slot, symbol in enumerate(text.ljust(2)):
            logits[:, slot, " AB".index(symbol)] = certain
        return logits, np.tile(np.log(np.array([*shares.values()], np.float32)), (len(batch), 1))

    chinese = Recogniser(
        lambda b: (np.full((len(b), 2, 3), [-3.0, -3.0, 3.0], np.float32),), settings(), Charset("京沪")
    )
    own = settings(countries=tuple(shares), unread=("CN",))
    return Recogniser(run, own, AB, others={"CN": chinese} if others else {})


@pytest.mark.parametrize(
    ("shares", "certain", "text", "country"),
    [
        ({"BR": 0.98, "US": 0.01, "CN": 0.01}, 9.0, "AA", "BR"),  # not asked at all
        ({"BR": 0.1, "US": 0.3, "CN": 0.6}, 9.0, "沪沪", "CN"),
        ({"BR": 0.5, "US": 0.1, "CN": 0.4}, 9.0, "AA", "BR"),
        ({"BR": 0.5, "US": 0.1, "CN": 0.4}, 0.3, "沪沪", "CN"),  # unsure of its own text
        ({"BR": 0.2, "US": 0.35, "CN": 0.45}, 9.0, "AA", "US"),  # the likeliest of its own countries
    ],
)
def test_two_recognisers_share_the_countries(shares: dict[str, float], certain: float, text: str, country: str) -> None:
    found = countries(shares, certain=certain)
    reading = found.read([folded(0, 0)])[0]
    assert (reading.text, reading.country, reading.state) == (text, country, "read")
    assert reading.country_score == pytest.approx(shares[country], abs=1e-6)
    assert reading.countries == pytest.approx(shares, abs=1e-6) and found.symbols == frozenset("AB京沪")


def test_what_shows_no_plate_stays_empty_and_an_unknown_script_has_no_text() -> None:
    empty = countries({"BR": 0.6, "CN": 0.4}, text="").read([folded(0, 0)])[0]
    assert (empty.text, empty.state) == ("", "no plate")
    alone = countries({"BR": 0.02, "US": 0.02, "CN": 0.96}, others=False).read([folded(0, 0)])[0]
    assert (alone.text, alone.score, alone.country, alone.state) == ("", 0.0, "CN", "unknown script")
    sure = countries({"BR": 0.15, "US": 0.15, "CN": 0.7}, others=False).read([folded(0, 0)])[0]
    assert (sure.text, sure.state) == ("AA", "read"), "the text speaks for itself"
    unsure = countries({"BR": 0.15, "US": 0.15, "CN": 0.7}, certain=0.2, others=False).read([folded(0, 0)])[0]
    assert (unsure.text, unsure.state) == ("", "unknown script")


def test_a_reading_says_its_state() -> None:
    def flat(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.tile(np.array([[0.0, 1.0, 0.5], [0.0, 0.5, 1.0]], np.float32), (len(batch), 1, 1)),)

    sure = Recogniser(flat, settings(), AB).read([folded()])[0]
    assert sure.text == "AB" and sure.state == "read"
    assert Recogniser(flat, settings(unreadable_below=0.9), AB).read([folded()])[0].state == "unreadable"
    nothing = Recogniser(lambda b: (np.full((len(b), 2, 3), [9.0, 0.0, 0.0], np.float32),), settings(), AB)
    assert nothing.read([folded()])[0].state == "no plate"
    with pytest.raises(ValueError, match="unread is"):
        settings(countries=("BR", "US"), unread=("CN",))


def test_a_plate_that_is_read_unfolded_is_drawn_in_both_ways(tmp_path: Path) -> None:
    image = folded()
    cv2.imwrite(str(tmp_path / "plate.png"), image)
    label = LabelledCrop(tmp_path / "plate.png", None, "AB", rows=2, cut=0.5)
    flat, laid = (
        PhotographedCrops([label], (8, 32), 0.0, EXACT, STILL, unfolding=Unfolding(folded=share, error=0)).draw(
            0, np.random.default_rng(1)
        )
        for share in (1, 0)
    )
    assert (flat.text, flat.cut, flat.crop.shape) == (None, 0.5, (8, 32, 3)), "folded, it teaches its rows alone"
    assert (laid.text, laid.cut, laid.rows) == ("AB", None, 1) and colours(laid.crop) == "AB"
    as_it_is = PhotographedCrops([label], (8, 32), 0.0, EXACT, STILL).draw(0, np.random.default_rng(1))
    assert (as_it_is.text, as_it_is.rows) == ("AB", 2), "a reader of two rows sees it as it is"
    unread = PhotographedCrops([label], (8, 32), 0.0, EXACT, STILL, read=False).draw(0, np.random.default_rng(1))
    assert (unread.text, unread.cut) == (None, 0.0), "without a head for rows there are none to tell"
    unnamed = replace(label, text="")
    for known, cut in ((label, 0.5), (unnamed, None)):
        crops = PhotographedCrops([known], (8, 32), 0.0, EXACT, STILL, read=False, unfolding=Unfolding())
        drawn = crops.draw(0, np.random.default_rng(1))
        assert (drawn.text, drawn.cut) == (None, cut), "only a text tells how many rows there are"


def test_rendered_characters_stand_where_they_are_said_to_after_unfolding(repository: Path) -> None:
    pack = CountryPack.find("vn").reading("motorcycle")
    crops = RenderedCrops(PlateRenderer(pack), (48, 192), 0.04, unfolding=Unfolding(folded=0, error=0))
    for seed in range(6):
        drawn = crops.draw(0, np.random.default_rng(seed))
        assert drawn.places is not None and drawn.text is not None and drawn.rows == 1
        middles = (drawn.places[:, 0] + drawn.places[:, 2]) / 2
        assert (np.diff(middles) > 0).all(), "as they are read"
        assert (middles[:4] < 0.5).all() and (middles[4:] > 0.5).all()


def test_a_rendered_umlaut_is_spelt_as_the_reader_can() -> None:
    entry = RenderedPlates("de", replace={"Ä": "A", "Ö": "O", "Ü": "U"})
    latin, germany = CountryPack.find("latin").reading(None), CountryPack.find("de")
    renderer = entry.renderer(Path(), germany, latin)
    rendered = [RenderedCrops(renderer, (24, 96), 0.04, each).draw for each in (entry.replace, {})]
    spelt, printed = (
        "".join(str(draw(0, np.random.default_rng(seed)).text) for seed in range(60)) for draw in rendered
    )
    assert set(printed) & set("ÄÖÜ") and spelt == printed.translate(str.maketrans("ÄÖÜ", "AOU"))
    with pytest.raises(ValueError, match="the symbols Ä Ö Ü"):
        RenderedPlates("de").renderer(Path(), germany, latin)
    with pytest.raises(ValueError, match=r"data\.rendered\.de\.replace"):
        RenderedPlates("de", replace={"Ä": "AE"})


def test_rendered_plates_can_bear_another_country_than_their_pack() -> None:
    renderer = PlateRenderer(CountryPack.find("fr").reading("one row"))
    labels = [RenderedCrops(renderer, (24, 96), 0.04, country=label) for label in ("", "EU")]
    assert [crops.draw(0, np.random.default_rng(1)).country for crops in labels] == ["FR", "EU"]


def test_the_cut_of_a_layout_lies_between_its_rows() -> None:
    latin = {layout.name: layout.row_cut for layout in CountryPack.find("latin").layouts}
    assert latin["one row"] is None and latin["two rows"] == pytest.approx(0.5)
    small, large = latin["two rows, the upper one smaller"], latin["two rows, the lower one smaller"]
    assert small is not None and large is not None and small < 0.45 and large > 0.55


@pytest.mark.parametrize(
    ("said", "corners", "rows"),
    [(0, (140, 100), 2), (0, (470, 100), 1), (1, (140, 100), 1), (2, (470, 100), 2), (0, None, 1)],
)
def test_how_many_rows_a_labelled_plate_has(said: int, corners: tuple[int, int] | None, rows: int) -> None:
    quad = None if corners is None else np.array([[0, 0], [corners[0], 0], corners, [0, corners[1]]], np.float32)
    label = LabelledCrop(Path("a.png"), quad, "51F12345", country="VN", rows=said)
    found, cut = rows_label(label, CountryPack.find("vn"))
    assert found == rows and (cut is None) == (rows == 1)


def test_a_batch_points_into_the_list_of_cuts() -> None:
    crop = np.zeros((8, 32, 3), np.uint8)
    samples = [RecognitionSample(crop, text, cut=cut) for text, cut in (("A", 0.0), (None, 0.47), ("", None))]
    batch, _ = CropCollate(AB, 2, row_cuts=CUTS)(samples)
    assert batch.cuts is not None and batch.cuts.tolist() == [0, 2, UNKNOWN]
    assert batch.slots.tolist() == [[1, 0], [UNKNOWN, UNKNOWN], [0, 0]]


def test_a_crop_without_a_text_teaches_its_labels_alone() -> None:
    torch.manual_seed(0)
    net = MaskOcr(MaskOcrSettings(2, 3, (8, 32), width=16, heads=2, countries=("BR", "CN"), row_cuts=CUTS)).eval()
    crops = [np.random.default_rng(i).integers(0, 255, (8, 32, 3), np.uint8) for i in range(4)]

    def losses(texts: list[str | None], some: slice) -> Any:
        labels = {"countries": [0, 1, 0, 1][some], "cuts": [0, 2, 1, UNKNOWN][some]}
        batch = recognition_batch(crops[some], texts[some], AB, 2, empty=True, **labels)
        return recognition_losses(net.training_logits(batch.crops), batch, RecognitionLossSettings(places_weight=1.0))

    mixed, taught = losses(["A", "BA", None, None], slice(4)), losses(["A", "BA", None, None], slice(2))
    assert torch.isclose(mixed.slots, taught.slots) and torch.isclose(mixed.ctc, taught.ctc)
    assert mixed.country is not None and mixed.rows is not None and not torch.isclose(mixed.rows, taught.rows)
    nothing = losses([None, None, None, None], slice(4))
    assert float(nothing.slots) == 0 and torch.isfinite(nothing.total) and float(nothing.total) > 0
    nothing.total.backward()


def test_unfolding_excludes_a_reader_of_two_rows() -> None:
    with pytest.raises(ValueError, match="row_cuts unfold plates to one row"):
        MaskOcrSettings(2, 3, (16, 32), text_rows=2, row_cuts=CUTS)
    with pytest.raises(ValueError, match="even width"):
        RecogniserSettings(size=(8, 31), row_cuts=CUTS)
    assert unfolded(np.zeros((16, 16, 3), np.uint8), 0.5).shape == (8, 32, 3)


@pytest.mark.parametrize(("share", "looks"), [(0.99, 1), (0.5, 3)])
def test_a_doubtful_plate_of_anothers_country_is_not_read_again_by_the_first(share: float, looks: int) -> None:
    batches: list[int] = []

    def unsure(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        batches.append(len(batch))
        return np.zeros((len(batch), 2, 3), np.float32), np.log(np.tile([[1 - share, share]], (len(batch), 1)))

    other = Recogniser(lambda b: (np.full((len(b), 2, 3), [-3.0, -3.0, 3.0], np.float32),), settings(), Charset("京沪"))
    own = settings(countries=("BR", "CN"), read_again_below=0.9)
    assert Recogniser(unsure, own, AB, others={"CN": other}).read([folded()])[0].text == "沪沪"
    assert len(batches) == looks

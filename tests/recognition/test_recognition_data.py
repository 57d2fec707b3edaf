"""Plates to training crops: which are used, how far their corners err, and that draws repeat."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from alpr.data.augment import PixelAugment, PixelSettings
from alpr.data.manifest import Manifest
from alpr.data.sampling import SampleKey, StepSampler, single_thread
from alpr.images.prepare import UnreadableImage, rectify, resize_crop
from alpr.plates.country import CountryPack
from alpr.plates.geometry import homography, is_convex_clockwise, pixel_centre_matrix
from alpr.plates.records import FloatArray, ImageArray, Plate, Scene
from alpr.recognition.data import (
    CropCollate,
    LabelledCrop,
    RecognitionSample,
    TrainingCrops,
    ValidationPlates,
    labelled_crops,
)
from alpr.recognition.datamodule import recognition_data
from alpr.recognition.mixture.crops import CropGeometry, PhotographedCrops, RenderedCrops, jittered
from alpr.synthetic.renderer import PlateRenderer

STILL = PixelAugment(PixelSettings(0, 0, 0, noise=0, jpeg=0, grey=0))
EVERYTHING = PixelAugment(PixelSettings(1, 1, 1, 7, 1, 1, 0.3, 1, 1, 0.5))
EXACT = CropGeometry(0, 0, 0, 0)
QUAD = np.array([[60, 40], [190, 62], [184, 110], [56, 80]], np.float32)
SIZE = (48, 192)


def pattern(size: tuple[int, int] = SIZE) -> ImageArray:
    """A smooth picture without symmetry."""
    y, x = np.mgrid[: size[0], : size[1]] / np.array(size)[:, None, None]
    b, g, r = 200 * x, 60 + 120 * y, 128 + 100 * np.sin(9 * x + 2 * y)
    return np.asarray(np.stack([b, g, r], -1), np.uint8)


def photograph(quad: FloatArray = QUAD, margin: float = 0.0) -> ImageArray:
    """A grey 160x240 scene in which the pattern without its margin fills a quad."""
    h, w = 96, 384
    x, y = margin * w, margin * h
    source = np.array([[x, y], [w - x, y], [w - x, h - y], [x, h - y]], np.float32)
    matrix = pixel_centre_matrix(homography(source, quad))
    image = np.full((160, 240, 3), 90, np.uint8)
    cv2.warpPerspective(pattern((h, w)), matrix, (240, 160), dst=image, borderMode=cv2.BORDER_TRANSPARENT)
    return image


def saved(folder: Path, image: ImageArray, name: str = "scene.png") -> Path:
    cv2.imwrite(str(folder / name), image)
    return folder / name


def photographed(*crops: LabelledCrop, geometry: CropGeometry = EXACT, cache_mb: float = 8) -> PhotographedCrops:
    return PhotographedCrops(crops, SIZE, 0.04, geometry, STILL, cache_mb=cache_mb)


def difference(a: ImageArray, b: ImageArray) -> float:
    return float(np.abs(a.astype(float) - b)[3:-3, 3:-3].max())


@pytest.mark.parametrize("margin", [0.0, 0.04, 0.2])
def test_a_known_quad_is_rectified_to_what_was_put_there(margin: float) -> None:
    crop = rectify(photograph(margin=margin), QUAD, SIZE, margin)
    assert crop.shape == (*SIZE, 3)
    assert difference(crop, pattern()) < 12
    turned = rectify(photograph(margin=margin), np.roll(QUAD, 2, axis=0), SIZE, margin)
    assert difference(turned, pattern()[::-1, ::-1]) < 12


def test_a_photographed_plate_is_cut_by_its_corners(tmp_path: Path) -> None:
    source = photographed(LabelledCrop(saved(tmp_path, photograph(margin=0.04)), QUAD, "A1"))
    crop, text, *_ = source.draw(0, np.random.default_rng(0))
    assert text == "A1" and difference(crop, pattern()) < 12
    again, *_ = source.draw(0, np.random.default_rng(0))  # now from memory
    assert np.array_equal(crop, again)


def test_a_ready_made_crop_is_stretched(tmp_path: Path) -> None:
    source = photographed(LabelledCrop(saved(tmp_path, pattern((24, 94))), None, "A1"))
    crop, text, *_ = source.draw(0, np.random.default_rng(0))
    assert text == "A1" and crop.shape == (*SIZE, 3)
    assert difference(crop, resize_crop(pattern((24, 94)), SIZE)) < 3
    erring = photographed(source.crops[0], geometry=CropGeometry())
    other, *_ = erring.draw(0, np.random.default_rng(0))
    assert other.shape == (*SIZE, 3) and not np.array_equal(other, crop)


def test_memory_is_bounded_and_changes_nothing(tmp_path: Path) -> None:
    image = saved(tmp_path, photograph())
    crops = [LabelledCrop(image, QUAD + k, f"A{k}") for k in range(4)]
    small, large = photographed(*crops, cache_mb=0.2), photographed(*crops)
    for item in (0, 1, 2, 3, 0, 2, 2, 1):
        a, b = (source.draw(item, np.random.default_rng(item)) for source in (small, large))
        assert np.array_equal(a[0], b[0]) and a[1] == b[1] == f"A{item}"
    assert 0 < len(small._cache) < len(large._cache) == 4


def test_which_plates_make_crops(tmp_path: Path) -> None:
    box = np.array([1, 2, 30, 12], np.float32)
    image = tmp_path / "a.png"

    def found(*plates: Plate) -> list[tuple[str, bool]]:
        return [(c.text, c.corners is not None) for c in labelled_crops([Scene(image, plates)]).crops]

    assert found(Plate("A1", QUAD, box)) == [("A1", True)]
    assert found(Plate("A1")) == [("A1", False)]  # the image is the crop
    assert found(Plate("A1", None, box)) == [("A1", True)]  # cut by the box
    assert found(Plate(None, QUAD)) == [] and found() == []
    assert found(Plate("A1", QUAD), Plate("B2")) == [("A1", True)]  # the scene is no crop of B2
    assert found(Plate("A1"), Plate("B2")) == []


def test_corners_err_as_told() -> None:
    rng = np.random.default_rng(0)
    quad = np.array([[100, 100], [300, 100], [300, 150], [100, 150]], np.float32)  # 50 px high, 200 wide
    assert np.array_equal(jittered(quad, EXACT, rng), quad)

    def deviations(geometry: CropGeometry, scale: float = 1.0) -> FloatArray:
        return np.stack([jittered(quad * scale, geometry, rng) - quad * scale for _ in range(3000)])

    corner = deviations(CropGeometry(0, 0.05, 0, 0))
    assert corner.std() == pytest.approx(0.05 * 50, rel=0.05)
    assert abs(np.corrcoef(corner[:, 0, 0], corner[:, 1, 0])[0, 1]) < 0.1
    shift = deviations(CropGeometry(0.04, 0, 0, 0))
    assert shift.std() == pytest.approx(0.04 * 50, rel=0.05)
    assert np.abs(shift - shift[:, :1]).max() < 1e-3  # all four alike
    grow = deviations(CropGeometry(0, 0, 0.1, 0))
    assert grow[..., 0].std() == pytest.approx(0.1 * 100, rel=0.05)
    assert grow[..., 1].std() == pytest.approx(0.1 * 25, rel=0.05)
    assert np.abs(grow.mean(1)).max() < 1e-3  # about the centre
    assert deviations(CropGeometry(0, 0.05, 0, 1.0)).std() == pytest.approx(2 * 0.05 * 50, rel=0.05)
    assert deviations(CropGeometry(0.04, 0, 0, 1.0)).std() == pytest.approx(2 * 0.04 * 50, rel=0.05)
    assert deviations(CropGeometry(0, 0, 0.1, 1.0))[..., 0].std() == pytest.approx(2 * 0.1 * 100, rel=0.05)
    assert deviations(CropGeometry(0, 0.05, 0, 0), 3.0).std() == pytest.approx(3 * 0.05 * 50, rel=0.05)
    assert np.mean([is_convex_clockwise(jittered(quad, CropGeometry(), rng)) for _ in range(300)]) > 0.99


def test_images_that_cannot_be_used_are_counted(tmp_path: Path, china: CountryPack) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    good = LabelledCrop(saved(tmp_path, photograph()), QUAD, "皖A12345")
    bad = LabelledCrop(tmp_path / "bad.jpg", QUAD, "皖A12346")
    aside = [LabelledCrop(good.image, QUAD + np.array(by, np.float32), "皖A12347") for by in ((-400, 0), (0, -400))]
    aside += [LabelledCrop(good.image, QUAD + np.array(by, np.float32), "皖A12347") for by in ((400, 0), (0, 400))]
    source = photographed(good, bad, *aside)
    samples = [TrainingCrops([source], 0)[SampleKey(0, item, item)] for item in range(6)]
    assert samples[0].crop is not None and samples[0].unreadable is None
    for sample, name in zip(samples[1:], ["bad.jpg"] + ["scene.png"] * 4, strict=True):
        assert sample.crop is None and name in (sample.unreadable or ""), name
    batch, reasons = CropCollate(china.charset, china.slots)(samples)
    assert len(batch.crops) == len(batch.slots) == 1 and len(reasons) == 5
    with pytest.raises(ValueError, match=r"whole batch of 2 .*bad\.jpg"):
        CropCollate(china.charset, china.slots)(samples[1:3])
    with pytest.raises(UnreadableImage, match=r"bad\.jpg"):
        TrainingCrops([source], 0, strict=True)[SampleKey(0, 1, 0)]
    plates = ValidationPlates([good, bad])
    assert plates[0].image is not None and plates[0].corners is QUAD and plates[0].text == good.text
    assert plates[1].image is None and "bad.jpg" in (plates[1].unreadable or "")


def test_a_sample_depends_on_seed_and_draw_alone(tmp_path: Path, china: CountryPack) -> None:
    crops = [LabelledCrop(saved(tmp_path, photograph(QUAD + k), f"{k}.png"), QUAD + k, f"皖A1234{k}") for k in range(3)]

    def sources() -> list[RenderedCrops | PhotographedCrops]:
        real = PhotographedCrops(crops, SIZE, 0.04, CropGeometry(), EVERYTHING, cache_mb=0.2)
        return [RenderedCrops(PlateRenderer(china), SIZE, 0.04), real]

    def batches(workers: int) -> list[torch.Tensor]:
        loader = DataLoader(
            TrainingCrops(sources(), seed=3),  # type: ignore[arg-type]
            batch_sampler=StepSampler([None, 3], [2, 2], 4, seed=5),  # type: ignore[arg-type]
            collate_fn=CropCollate(china.charset, china.slots),
            num_workers=workers,
            worker_init_fn=single_thread,
        )
        return [torch.cat([b.crops.flatten(1).long(), b.slots], 1) for b, _ in loader]

    alone = batches(0)
    for a, b in zip(alone, batches(2), strict=True):
        assert torch.equal(a, b)
    # The order of draws, and so what is in memory, changes nothing either.
    key = StepSampler([None, 3], [2, 2], 4, seed=5).batch(3)[0]
    late: RecognitionSample = TrainingCrops(sources(), seed=3)[key]
    assert late.crop is not None
    assert torch.equal(torch.from_numpy(late.crop).flatten().long(), alone[3][0, : 48 * 192 * 3])
    assert not torch.equal(alone[0][0], alone[1][0])


def table(folder: Path, texts: list[str]) -> None:
    names = [f"{i}.png" for i in range(len(texts))]
    for name in names:
        saved(folder, photograph(), name)
    corners = np.repeat(QUAD[None], len(texts), 0)
    Manifest.of(folder, names, text=texts, corners=corners, split="train").write(folder / "labels.csv")


def test_labels_that_do_not_fit_are_counted_with_their_image(tmp_path: Path, china: CountryPack) -> None:
    texts = [f"皖A{i:05d}" for i in range(40)] + ["皖A1234?", "皖A1234567"]
    table(tmp_path, texts)
    data = recognition_data(country=china.to_dict(), manifest="labels.csv", root=str(tmp_path))
    train, held = ({c.text for c in plates} for plates in (data.train_plates, data.val_plates))
    assert train and held and not train & held and train | held == set(texts[:40])
    assert len(data.refused) == 2
    refused = sorted(data.refused)
    assert "40.png" in refused[0] and "'?'" in refused[0] and texts[40] in refused[0]
    assert "41.png" in refused[1] and "9 characters" in refused[1] and texts[41] in refused[1]
    assert "2 labels do not fit" in data.describe()
    with pytest.raises(ValueError, match=r"4[01]\.png"):
        recognition_data(country=china.to_dict(), manifest="labels.csv", root=str(tmp_path), strict=True)


def test_entropy_of_the_mixture(tmp_path: Path, china: CountryPack) -> None:
    texts = [f"皖A{i:05d}" for i in range(40)]
    table(tmp_path, texts)
    real = recognition_data(
        country=china.to_dict(), manifest="labels.csv", root=str(tmp_path), synthetic=0, real=8
    ).label_entropy()
    made = recognition_data(
        country=china.to_dict(), manifest="labels.csv", root=str(tmp_path), synthetic=8, real=0
    ).label_entropy()
    # The real texts differ in their last two digits only: of 4 and of 10 values over 8 slots.
    assert real == pytest.approx((np.log(4) + np.log(10)) / 8, abs=0.03)
    assert made > 3 * real
    with pytest.raises(ValueError, match="all 0"):
        recognition_data(country=china.to_dict(), manifest="labels.csv", root=str(tmp_path), synthetic=0, real=0)

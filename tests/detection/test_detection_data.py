"""Scenes to training canvases: corners move with the pixels, and every sample depends on seed and draw alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from alpr.data.augment import PixelAugment, PixelSettings, SceneGeometry
from alpr.data.decoded_images import Photographs
from alpr.data.manifest import Manifest
from alpr.data.sampling import SampleKey, StepSampler, single_thread
from alpr.data.several_tables import read_manifest
from alpr.detection.data import BadLabel, TrainingScenes, collate
from alpr.detection.datamodule import DetectionData, HeldScenes
from alpr.detection.model import make_anchors
from alpr.detection.targets import ABSENT, IGNORED, PLATE, assign
from alpr.images.header import declared_size
from alpr.images.prepare import UnreadableImage
from alpr.plates.geometry import corner_box, is_convex_clockwise
from alpr.plates.records import FloatArray, ImageArray, Plate, Scene

CANVAS = (192, 256)
STILL = PixelAugment(PixelSettings(0, 0, 0, noise=0, jpeg=0, grey=0))
EVERYTHING = PixelAugment(PixelSettings(1, 1, 1, 7, 1, 1, 0.3, 1, 1, 0.5, 1, 15, 1))
AS_IT_IS = SceneGeometry((1, 1), 0, 0, 0, 0, 0)


def quad(x: float, y: float, width: float, height: float) -> FloatArray:
    """A leaning plate about (x, y)."""
    w, h = width / 2, height / 2
    return np.array([[x - w + 3, y - h], [x + w, y - h + 2], [x + w - 2, y + h], [x - w, y + h - 3]], np.float32)


def marked(corners: FloatArray, size: tuple[int, int], sigma: float) -> ImageArray:
    """A black image with a soft dot at every corner: blue, green, red, yellow, in the order of the corners."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5  # the centre of the first pixel is (0.5, 0.5)
    image = np.zeros((*size, 3))
    for (cx, cy), colour in zip(corners, ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)), strict=True):
        image += 255 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))[..., None] * np.array(colour)
    return np.clip(image, 0, 255).astype(np.uint8)


def dots(image: ImageArray) -> FloatArray:
    """(4, 2): where the blue, green, red and yellow dots' centres of gravity are; grey has no weight."""
    b, g, r = (image[..., k].astype(np.float64) for k in range(3))
    weights = np.stack([b - np.maximum(g, r), g - np.maximum(b, r), r - np.maximum(b, g), np.minimum(g, r) - b])
    weights = np.clip(weights - 20, 0, None)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    total = weights.sum((1, 2))
    return np.stack([(weights * x).sum((1, 2)) / total, (weights * y).sum((1, 2)) / total], 1)


def scene_of(folder: Path, image: ImageArray, *plates: Plate, name: str = "scene.png") -> Scene:
    cv2.imwrite(str(folder / name), image)
    return Scene(folder / name, plates)


def scenes_with(scene: Scene, geometry: SceneGeometry, pixels: PixelAugment = STILL, **options: Any) -> TrainingScenes:
    return TrainingScenes([[scene]], CANVAS, geometry, pixels, seed=3, **options)


@pytest.mark.parametrize(
    ("size", "sigma", "geometry"),
    [
        ((240, 320), 3.0, SceneGeometry((0.8, 1.3))),
        ((150, 110), 2.0, SceneGeometry((0.6, 1.0), rotation_deg=30, shear=0.3, perspective=0.15, stretch=0.3)),
        ((900, 1400), 12.0, SceneGeometry((0.5, 1.2))),  # shrunk by more than two: averaged first
    ],
)
def test_corners_move_with_the_pixels(
    tmp_path: Path, size: tuple[int, int], sigma: float, geometry: SceneGeometry
) -> None:
    corners = quad(size[1] * 0.45, size[0] * 0.55, size[1] * 0.5, size[0] * 0.3)
    data = scenes_with(scene_of(tmp_path, marked(corners, size, sigma), Plate("A", corners)), geometry)
    checked, mirrored = 0, 0
    for draw in range(40):
        sample = data[SampleKey(0, 0, draw)]
        assert sample.image.shape == (*CANVAS, 3) and sample.boxes.shape == (1, 4)
        found = sample.corners[0]
        assert is_convex_clockwise(found)
        np.testing.assert_array_equal(sample.boxes[0], corner_box(found))
        if np.any(found < 10) or np.any(found > np.array([CANVAS[1], CANVAS[0]]) - 10):
            continue
        seen = dots(sample.image)
        flipped = not is_convex_clockwise(seen)
        expected = seen[[1, 0, 3, 2]] if flipped else seen  # the mirrored top left corner is the green dot
        assert np.abs(found - expected).max() < 0.35, f"draw {draw}"
        checked, mirrored = checked + 1, mirrored + flipped
    assert checked >= 8 and 0 < mirrored < checked


def test_a_mirrored_scene(tmp_path: Path) -> None:
    corners = quad(120, 90, 100, 40)
    geometry = SceneGeometry((1, 1), 0, 0, 0, 1.0, 0)
    sample = scenes_with(scene_of(tmp_path, marked(corners, CANVAS, 3), Plate("A", corners)), geometry)[
        SampleKey(0, 0, 0)
    ]
    expected = corners[[1, 0, 3, 2]] * [-1, 1] + [CANVAS[1], 0]
    np.testing.assert_allclose(sample.corners[0], expected, atol=1e-3)
    np.testing.assert_allclose(dots(sample.image), expected[[1, 0, 3, 2]], atol=0.1)


def test_plates_cut_off_and_tiny_ones_are_ignored(tmp_path: Path) -> None:
    inside, cut, nearly = quad(120, 90, 100, 40), quad(265, 90, 60, 24), quad(236, 150, 60, 24)
    tiny, outside = quad(40, 30, 12, 3), quad(400, 90, 60, 24)
    tiny[:, 1] = [28, 28, 31, 31]
    plates = [Plate("A", q) for q in (inside, cut, nearly, tiny, outside)]
    data = scenes_with(scene_of(tmp_path, np.zeros((*CANVAS, 3), np.uint8), *plates), AS_IT_IS)
    # The draw that centres on the first plate leaves the scene where it is.
    key = next(k for k in (SampleKey(0, 0, d) for d in range(99)) if k.generator(3).integers(5) == 0)
    sample = data[key]
    assert sample.kinds.tolist() == [PLATE, IGNORED, PLATE, IGNORED]
    np.testing.assert_allclose(sample.corners, np.stack([inside, cut, nearly, tiny]), atol=1e-3)


def test_a_plate_of_the_scene_stays_on_the_canvas(tmp_path: Path) -> None:
    corners = quad(600, 30, 60, 24)
    scene = scene_of(tmp_path, np.zeros((480, 640, 3), np.uint8), Plate("A", corners))
    data = scenes_with(scene, SceneGeometry((1.5, 3.0)))
    for draw in range(30):
        assert data[SampleKey(0, 0, draw)].kinds.tolist() == [PLATE]


def test_boxes_without_corners_and_scenes_without_plates(tmp_path: Path) -> None:
    black = np.zeros((*CANVAS, 3), np.uint8)
    box = np.array([40, 50, 140, 90], np.float32)
    boxed = scenes_with(scene_of(tmp_path, black, Plate("A", None, box)), AS_IT_IS)[SampleKey(0, 0, 0)]
    assert boxed.has_corners.tolist() == [False] and boxed.kinds.tolist() == [PLATE]
    np.testing.assert_allclose(boxed.boxes, box[None], atol=1e-3)
    cornered = scenes_with(scene_of(tmp_path, black, Plate("A", quad(90, 70, 80, 30), box)), AS_IT_IS)
    assert cornered[SampleKey(0, 0, 0)].has_corners.tolist() == [True]
    empty = scenes_with(scene_of(tmp_path, black), SceneGeometry())[SampleKey(0, 0, 0)]
    assert empty.boxes.shape == (0, 4) and empty.corners.shape == (0, 4, 2) and empty.unreadable is None
    batch, reasons = collate([empty, boxed])
    assert batch.kinds.tolist() == [[ABSENT], [PLATE]] and reasons == []
    assert batch.images.shape == (2, *CANVAS, 3) and batch.images.dtype == torch.uint8


def test_an_unreadable_image_is_counted_and_teaches_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    scene = Scene(bad, (Plate("A", quad(90, 70, 80, 30)),))
    sample = scenes_with(scene, SceneGeometry())[SampleKey(0, 0, 0)]
    good = scenes_with(scene_of(tmp_path, np.zeros((*CANVAS, 3), np.uint8)), SceneGeometry())[SampleKey(0, 0, 0)]
    batch, reasons = collate([sample, good])
    assert len(reasons) == 1 and "bad.jpg" in reasons[0]
    anchors = make_anchors([(CANVAS[0] // s, CANVAS[1] // s) for s in (8, 16, 32)], torch.device("cpu"))
    found = assign(anchors, batch.boxes, batch.kinds)
    assert bool((found.plate < 0).all())
    assert not bool(found.counted[0].any()) and bool(found.counted[1].all())
    with pytest.raises(ValueError, match=r"whole batch of 2 .*bad\.jpg"):
        collate([sample, sample])
    with pytest.raises(UnreadableImage, match=r"bad\.jpg"):
        scenes_with(scene, SceneGeometry(), strict=True)[SampleKey(0, 0, 0)]


def test_a_sample_depends_on_seed_and_draw_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = []
    for i in range(3):
        image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        scenes.append(scene_of(tmp_path, image, Plate("A", quad(30 + 5 * i, 30, 30, 12)), name=f"{i}.png"))

    def batches(workers: int, seed: int = 3) -> list[torch.Tensor]:
        data = TrainingScenes([scenes], (64, 96), SceneGeometry(), EVERYTHING, seed, mosaic=0.5)
        sampler = StepSampler([3], [4], 3, seed=5)
        loader = DataLoader(
            data,  # type: ignore[arg-type]
            batch_sampler=sampler,  # type: ignore[arg-type]
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=single_thread,
        )
        return [torch.cat([b.images.flatten(1).float(), b.corners.flatten(1)], 1) for b, _ in loader]

    torch.manual_seed(1)
    alone = batches(0)
    torch.manual_seed(2)
    for a, b in zip(alone, batches(2), strict=True):
        assert torch.equal(a, b)
    other = batches(0, seed=4)
    assert not any(torch.equal(a, b) for a, b in zip(alone, other, strict=True))
    data = TrainingScenes([scenes], (64, 96), SceneGeometry(), EVERYTHING, 3)
    first, again = data[SampleKey(0, 1, 7)], data[SampleKey(0, 1, 8)]
    assert not np.array_equal(first.image, again.image)


def test_a_canvas_of_another_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        TrainingScenes([], (100, 96), SceneGeometry(), STILL, 0)
    with pytest.raises(ValueError, match="lowest <= highest"):
        SceneGeometry((2.0, 1.0))


def test_the_held_back_plates_never_train(tmp_path: Path) -> None:
    names = [*(f"{i}.png" for i in range(60)), "empty.png", "text_only.png", "val.png"]
    texts = [*(f"A{i:04d}" for i in range(60)), "", "B1234", "C1234"]
    boxes = np.full((63, 4), np.nan)
    boxes[[*range(60), 62]] = [10, 10, 50, 30]
    Manifest.of(tmp_path, names, text=texts, box=boxes, split=["train"] * 62 + ["val"]).write(tmp_path / "labels.csv")
    data = DetectionData("labels.csv", root=str(tmp_path), canvas=(64, 64))
    (source,) = data.sources
    train, held = ({s.image.name for s in scenes} for scenes in (source.train, source.held))
    assert train and held and not train & held
    # A scene without any plate is worth training on; one whose plate stands anywhere is not.
    assert train | held == {f"{i}.png" for i in range(60)} | {"empty.png"}
    other = DetectionData("labels.csv", root=str(tmp_path), canvas=(64, 64), holdout_fold=3)
    assert not held & {s.image.name for s in other.sources[0].held}


def test_regions_to_ignore_and_labelled_in_part(tmp_path: Path) -> None:
    black = np.zeros((*CANVAS, 3), np.uint8)
    region = Plate(None, None, np.array([150, 20, 200, 40], np.float32), ignored=True)
    scene = scene_of(tmp_path, black, Plate("A", quad(90, 120, 80, 30)), region)
    sample = scenes_with(scene, AS_IT_IS)[SampleKey(0, 0, 0)]
    assert sample.kinds.tolist() == [PLATE, IGNORED] and sample.complete
    np.testing.assert_allclose(sample.boxes[1], region.box, atol=1e-3)
    sample = scenes_with(Scene(scene.image, scene.plates, complete=False), AS_IT_IS)[SampleKey(0, 0, 0)]
    assert not collate([sample])[0].complete.any()


def test_a_mosaic_learns_whole_plates_and_ignores_cut_ones(tmp_path: Path) -> None:
    corners = quad(160, 120, 60, 24)
    image = marked(corners, (240, 320), 2.0)
    whole = scene_of(tmp_path, image, Plate("A", corners), name="a.png")
    filling = scene_of(tmp_path, image, Plate("B", quad(160, 120, 310, 230)), name="b.png")
    far = SceneGeometry((0.9, 1.2), 20, 0.1, 0.05, 0.5, 0.1)
    data = TrainingScenes([[whole], [filling]], CANVAS, far, STILL, 3, mosaic=1.0)
    learnt = 0
    for draw in range(12):
        sample = data[SampleKey(0, 0, draw)]
        assert sample.image.shape == (*CANVAS, 3) and len(sample.kinds) == 4
        for found, kind in zip(sample.corners, sample.kinds, strict=True):
            if kind != PLATE:
                continue
            learnt += 1
            assert corner_box(found).min() >= 0 and (found < [CANVAS[1], CANVAS[0]]).all()
            x1, y1, x2, y2 = (int(v) for v in corner_box(found) + np.array([-8, -8, 9, 9]))
            x1, y1 = max(0, x1), max(0, y1)
            seen = dots(sample.image[y1:y2, x1:x2]) + np.array([x1, y1])
            if np.isfinite(seen).all() and np.ptp(seen[:, 0]) < 90:  # no dot of a neighbour in the cut-out
                expected = seen if is_convex_clockwise(seen) else seen[[1, 0, 3, 2]]
                assert np.abs(found - expected).max() < 0.5
        close = TrainingScenes([[whole], [filling]], CANVAS, SceneGeometry((1.6, 2.0)), STILL, 3, mosaic=1.0)
        sample = close[SampleKey(1, 0, draw)]
        assert sample.kinds.tolist() == [IGNORED] * 4  # larger than their quadrants
        assert sample.boxes.min() >= 0 and (sample.boxes <= [CANVAS[1], CANVAS[0]] * 2).all()
    assert learnt > 30


def test_a_broken_part_of_a_mosaic_is_ignored_and_said(tmp_path: Path) -> None:
    good = scene_of(tmp_path, np.zeros((60, 80, 3), np.uint8), Plate("A", quad(40, 30, 30, 12)))
    data = TrainingScenes([[good, Scene(tmp_path / "no.png", ())]], CANVAS, SceneGeometry(), STILL, 1, mosaic=1.0)
    samples = [data[SampleKey(0, 0, draw)] for draw in range(8)]
    assert all(s.unreadable is None and (s.image == 0).any() for s in samples)
    assert any("no.png cannot be read" in reason for s in samples for reason in s.faults)


def manifest_of(folder: Path, *rows: str) -> Path:
    header = "image,text,country,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y,split,note"
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "labels.csv"


def boxed(name: str, text: str = "", box: str = "10,10,50,30", split: str = "train") -> str:
    return f"{name},{text},,{box},,,,,,,,,{split},"


def test_images_that_are_odd_or_broken(tmp_path: Path) -> None:
    """Each of these goes through training: it is read, or left out with its file, its row and the reason."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), noise[..., 0])
    cv2.imwrite(str(tmp_path / "rgba.png"), np.dstack([noise, noise[..., 0]]))
    cv2.imwrite(str(tmp_path / "deep.png"), noise.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "one.png"), noise[:1, :1])
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((40, 20000, 3), np.uint8))
    _, jpeg = cv2.imencode(".jpg", noise)
    (tmp_path / "cut.jpg").write_bytes(jpeg.tobytes()[: len(jpeg) // 2])
    huge = bytearray(jpeg.tobytes())
    frame = huge.index(b"\xff\xc0")
    huge[frame + 5 : frame + 9] = (20000).to_bytes(2, "big") * 2
    (tmp_path / "huge.jpg").write_bytes(bytes(huge))
    names = ["grey.png", "rgba.png", "deep.png", "wide.png", "one.png", "cut.jpg", "huge.jpg"]
    path = manifest_of(tmp_path, *(boxed(name) for name in names))
    scenes = read_manifest(path).scenes()
    data = TrainingScenes([scenes], (64, 96), SceneGeometry(), STILL, 0)
    samples = [data[SampleKey(0, i, i)] for i in range(len(names))]
    assert [s.unreadable is None for s in samples] == [True] * 4 + [False] * 3
    assert all(s.image.shape == (64, 96, 3) and s.image.dtype == np.uint8 for s in samples)
    reasons = collate(samples)[1]
    for reason, row, says in zip(
        reasons, (6, 7, 8), ("1x1 px", "truncated JPEG", "20000x20000 px; at most"), strict=True
    ):
        assert f"labels.csv, row {row} ({names[row - 2]})" in reason and says in reason
    strict = TrainingScenes([scenes], (64, 96), SceneGeometry(), STILL, 0, strict=True)
    with pytest.raises(UnreadableImage, match=r"row 7 .*truncated"):
        strict[SampleKey(0, 5, 0)]


def test_a_plate_outside_its_image_is_left_out_with_its_row(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    path = manifest_of(tmp_path, boxed("a.png"), boxed("a.png", box="90,10,120,30"))
    scenes = read_manifest(path).scenes()
    sample = TrainingScenes([scenes], CANVAS, SceneGeometry(), STILL, 0)[SampleKey(0, 0, 0)]
    assert sample.unreadable is None and len(sample.kinds) == 1
    (reason,) = collate([sample])[1]
    assert "labels.csv, row 3 (a.png)" in reason and "(90.0, 10.0) to (120.0, 30.0)" in reason and "80x60" in reason
    with pytest.raises(BadLabel, match="row 3"):
        TrainingScenes([scenes], CANVAS, SceneGeometry(), STILL, 0, strict=True)[SampleKey(0, 0, 0)]


def test_what_is_kept_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [
        scene_of(
            tmp_path, rng.integers(0, 256, (130, 201, 3), dtype=np.uint8), Plate("A", quad(90, 60, 90, 40)), name=name
        )
        for name in ("0.jpg", "1.png", "2.bmp", "3.jpg")
    ]
    for max_side in (None, 64):
        plain = TrainingScenes([scenes], CANVAS, AS_IT_IS, STILL, 3, photographs=Photographs(max_side))
        limit = 2 * 130 * 201 * 3 / (1e6 if max_side is None else 16e6)  # room for two of the four
        kept = Photographs(max_side, cache_mb=limit + 1e-3)
        cached = TrainingScenes([scenes], CANVAS, AS_IT_IS, STILL, 3, photographs=kept)
        for draw in (0, 1, 2, 3, 3, 2, 0, 0, 1):
            a, b = (data[SampleKey(0, draw, draw)] for data in (plain, cached))
            assert np.array_equal(a.image, b.image) and np.array_equal(a.corners, b.corners)
        assert len(kept._kept) == 2 and kept._bytes == sum(p.image.nbytes for p in kept._kept.values())
    with pytest.raises(ValueError, match=r"data\.cache_mb"):
        Photographs(cache_mb=-1)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp"])
def test_a_reduced_photograph_keeps_its_corners(tmp_path: Path, name: str) -> None:
    corners = quad(210, 155, 200, 120)
    scene = scene_of(tmp_path, marked(corners, (301, 421), 9), Plate("A", corners), name=name)
    photograph = Photographs(max_side=110).read(scene.image)
    assert photograph.image.shape[:2] == (76, 106)
    np.testing.assert_allclose(dots(photograph.image), corners * photograph.scale, atol=0.1)
    if name != "a.bmp":
        assert declared_size(scene.image.read_bytes()) == (301, 421)


def test_a_mixture_of_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, texts in (("texts", True), ("boxes", False)):
        folder = tmp_path / name
        folder.mkdir()
        rows = [boxed(f"{i}.png", f"{name}{i}" if texts else "") for i in range(60)]
        manifest_of(folder, *rows, boxed("later.png", "Z", split="val"))
    sources: dict[str, Any] = {
        "texts": {"manifest": "texts/labels.csv", "share": 3, "split": None},
        "boxes": {"manifest": "boxes/labels.csv", "complete": False},
    }
    data = DetectionData(root=str(tmp_path), sources=sources, canvas=(64, 64), batch_size=8)
    assert data.counts == [6, 2] and not capsys.readouterr().err
    older = [{"manifest": "texts/labels.csv", "samples": 3, "split": None}, {**sources["boxes"], "name": "boxes"}]
    same = DetectionData(root=str(tmp_path), sources=older, canvas=(64, 64), batch_size=8)  # type: ignore[arg-type]
    assert [s.settings for s in same.sources] == [s.settings for s in data.sources] and same.counts == data.counts
    assert "data.sources.texts.samples is data.sources.texts.share" in capsys.readouterr().err
    texts, boxes = data.sources
    assert len(texts.train) + len(texts.held) == 61 and len(boxes.train) + len(boxes.held) == 60
    assert len(boxes.held) >= 2 and not {s.image for s in boxes.train} & {s.image for s in boxes.held}
    assert all(s.complete for s in texts.train) and not any(s.complete for s in boxes.train)
    assert set(data.manifests) == {"texts/labels.csv", "boxes/labels.csv"} and len(set(data.manifests.values())) == 2
    held = HeldScenes(data.held)
    shards = [HeldScenes(data.held, rank, 2) for rank in (0, 1)]
    assert len(held) == sum(map(len, shards)) == len(texts.held) + len(boxes.held)
    assert {h.source for h in (held[i] for i in range(len(held)))} == {"texts", "boxes"}
    assert "boxes, 2 of 8" in data.describe()
    with pytest.raises(ValueError, match="both are given"):
        DetectionData("texts/labels.csv", root=str(tmp_path), sources=sources)
    with pytest.raises(ValueError, match="neither is given"):
        DetectionData(root=str(tmp_path))
    for wrong, says in (
        ([older[0], older[0]], "called texts"),
        ({"texts": {**sources["texts"], "shares": 1}}, r"data\.sources\.texts has the unknown key .*share\?"),
        ({"texts": {"share": 1}}, r"data\.sources\.texts has no manifest"),
        ({"texts": {**sources["texts"], "share": -1}}, r"data\.sources\.texts\.share is -1; expected a number"),
    ):
        with pytest.raises(ValueError, match=says):
            DetectionData(root=str(tmp_path), sources=wrong)  # type: ignore[arg-type]

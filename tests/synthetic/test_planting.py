"""Plates in photographs: quads fitted into boxes, corners and light of planted plates, what is left of the old ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from alpr.data.augment import PixelAugment, PixelSettings, SceneGeometry
from alpr.data.ccpd import decode_name
from alpr.data.manifest import Manifest
from alpr.data.sampling import SampleKey
from alpr.data.several_tables import read_manifest
from alpr.detection.data import TrainingScenes
from alpr.plates.country import CountryPack
from alpr.plates.geometry import box_corners, corner_box, homography, plate_height, transform_points
from alpr.plates.records import FloatArray, ImageArray, Plate, Scene
from alpr.synthetic.box_quads import fit_quad, hanging_quad
from alpr.synthetic.compositing import Place, plant_bitmap
from alpr.synthetic.covering import covered, quad_mask
from alpr.synthetic.distractors import distract
from alpr.synthetic.planted_set import PlantedPlan, plant_set
from alpr.synthetic.planting import Planter, Planting, PlantSettings
from alpr.synthetic.plate_look import plate_look
from alpr.synthetic.renderer import PlateRenderer
from alpr.synthetic.scenes import SceneRenderer, paste

ROOT = Path(__file__).resolve().parents[2]
OLD = np.array([[130, 160], [430, 178], [428, 242], [127, 220]], np.float32)
PAINT = 120.0


@pytest.fixture(scope="module")
def brazil() -> PlateRenderer:
    return PlateRenderer(CountryPack.read(ROOT / "configs" / "country" / "br.yaml"))


@pytest.fixture(scope="module")
def german() -> ImageArray:
    """A black on white plate, 520 by 110 mm."""
    renderer = PlateRenderer(CountryPack.read(ROOT / "configs" / "country" / "de.yaml"))
    layout = next(each for each in renderer.pack.layouts if each.size_mm[1] > 4 * each.size_mm[0])
    return renderer.render(renderer.draw_text_of(layout, np.random.default_rng(4)), layout, np.random.default_rng(5))


def clean() -> ImageArray:
    """A grey body panel whose light slowly changes downwards."""
    ramp = PAINT + np.linspace(-8, 8, 400)[:, None, None]
    return np.broadcast_to(np.rint(ramp), (400, 600, 3)).astype(np.uint8).copy()


def car(plate: ImageArray, quad: FloatArray = OLD, blur: float = 0.7, gain: float = 1.0) -> ImageArray:
    """The panel with a plate, photographed."""
    image = clean()
    paste(image, plate, quad)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), blur) * gain, np.uint8)


def error(found: FloatArray, true: FloatArray) -> float:
    return float(np.linalg.norm(found - true, axis=1).mean() / plate_height(true))


@pytest.mark.parametrize(("rise", "lean"), [(0.0, 0.0), (0.35, -0.06), (-0.5, 0.08), (0.6, 0.0), (-0.2, -0.12)])
def test_a_quad_is_found_in_its_box(german: ImageArray, rise: float, lean: float) -> None:
    box = np.array([150, 120, 390, 215], np.float32)
    true = hanging_quad(box, rise, lean)
    assert corner_box(true) == pytest.approx(box)
    found = fit_quad(car(german, true), box)
    assert (found.rise, found.lean) == (pytest.approx(rise, abs=0.05), pytest.approx(lean, abs=0.035))
    assert error(found.corners, true) < 0.12


def test_a_box_that_shows_nothing_stays_a_box() -> None:
    for box in ([100, 100, 200, 140], [-50, -50, -10, -20], [10, 10, 16, 13]):
        assert np.array_equal(fit_quad(clean(), np.array(box, np.float32)).corners, box_corners(np.float32(box)))


def test_quads_of_real_boxes(real_data: Path) -> None:
    """On green plates, whose corners are known: a third of the error of taking the box for the plate."""
    fitted, boxes = [], []
    for path in sorted((real_data / "CCPD2020/ccpd_green/val").glob("*.jpg"))[::6]:
        true = np.asarray(decode_name(path.name).corners, np.float32)
        box = corner_box(true)
        fitted.append(error(fit_quad(np.asarray(cv2.imread(str(path)), np.uint8), box).corners, true))
        boxes.append(error(box_corners(box), true))
    assert np.median(fitted) < 0.06 and np.percentile(fitted, 90) < 0.12
    assert np.median(fitted) < 0.6 * np.median(boxes)


@pytest.mark.parametrize("scale", [2.0, 6.0])
def test_corners_are_where_they_are_said_to_be(german: ImageArray, scale: float) -> None:
    """The crossings of a planted chessboard lie within 0.3 px of where its corners say."""
    image = car(german)
    cells = np.kron(np.indices((4, 10)).sum(axis=0) % 2, np.ones((10 * int(scale), 10 * int(scale)))) * 215 + 25
    board = np.repeat(cells[..., None], 3, axis=2).astype(np.uint8)
    new = np.array([[220.3, 150.6], [395.2, 171.4], [392.9, 246.8], [216.1, 222.7]], np.float32)
    corners = plant_bitmap(image, Place(OLD, new, OLD, True), board, np.random.default_rng(0))
    assert corners is not None
    plane = homography(np.array([[0, 0], [10, 0], [10, 4], [0, 4]], np.float32), corners)
    crossings = transform_points(np.array([[x, y] for x in range(1, 10) for y in range(1, 4)], np.float64), plane)
    seen = (crossings - 0.5).astype(np.float32)[:, None]  # OpenCV's pixels have their centres at whole numbers
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 40, 0.01)
    found = cv2.cornerSubPix(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), seen.copy(), (4, 4), (-1, -1), criteria)
    off = (found - seen)[:, 0]
    assert np.linalg.norm(off, axis=1).max() < 0.5
    assert np.abs(off.mean(axis=0)).max() < 0.1 and np.sqrt((off**2).sum(axis=1).mean()) < 0.3


def test_nothing_is_left_of_the_old_plate(german: ImageArray, brazil: PlateRenderer) -> None:
    """A covered plate leaves the panel; beside a narrower one neither white nor black of the old one is left."""
    panel, photo = clean(), car(german)
    grown = OLD + np.array([[-7, -7], [7, -7], [7, 7], [-7, 7]], np.float32)
    assert np.abs(photo.astype(int) - panel)[quad_mask((400, 600), OLD) > 0].mean() > 50
    ground, changed = covered(photo, grown)
    rest = np.abs(ground.astype(int) - panel) * (changed[..., None] > 0)
    assert rest.max() < 6
    planter = Planter(brazil)
    for seed in range(6):
        done = planter.plant_scene(photo, [Plate("B", OLD)], np.random.default_rng(seed))
        new = done.plates[0].corners
        assert new is not None and done.plates[0].text != "B"
        beside = quad_mask((400, 600), grown) & ~cv2.dilate(quad_mask((400, 600), new), np.ones((7, 7), np.uint8))
        assert np.count_nonzero(beside) > 1000 and done.image[beside > 0].max() < 215
        unchanged = np.abs(done.image.astype(int) - photo).max(axis=2) == 0
        assert unchanged[:100].all() and unchanged[320:].all()


def test_blanked_scenes_hold_no_plate(german: ImageArray, brazil: PlateRenderer) -> None:
    photo, place = car(german), quad_mask((400, 600), OLD) > 0
    region = Plate(None, None, np.array([10, 10, 60, 30], np.float32), ignored=True)
    done = Planter(brazil).blank_scene(photo, [Plate("B", OLD), region], np.random.default_rng(1))
    assert done.plates == (region,)
    assert photo[place].std() > 50 and done.image[place].std() < 8
    boxed = Planter(brazil).blank_scene(photo, [Plate(box=corner_box(OLD))], np.random.default_rng(1))
    assert boxed.image[place].std() < 8 and boxed.plates == ()


def test_light_and_sharpness_are_the_old_ones(german: ImageArray, brazil: PlateRenderer) -> None:
    planter = Planter(brazil)

    def planted_look(photo: ImageArray) -> tuple[float, float]:
        looks = []
        for seed in range(4):
            done = planter.plant_scene(photo, [Plate("B", OLD)], np.random.default_rng(seed))
            assert done.plates[0].corners is not None and not done.plates[0].ignored
            looks.append(plate_look(done.image, done.plates[0].corners))
        return float(np.mean([look.white.mean() for look in looks])), float(np.mean([look.edge_px for look in looks]))

    day, night = planted_look(car(german)), planted_look(car(german, gain=0.4))
    assert day[0] > 200 and night[0] == pytest.approx(0.4 * day[0], rel=0.25)
    for blur in (0.7, 2.5):
        old = np.mean(plate_look(car(german, blur=blur), OLD).edge_px)
        assert planted_look(car(german, blur=blur))[1] == pytest.approx(old, rel=0.2)


def test_the_generator_alone_decides(german: ImageArray, brazil: PlateRenderer) -> None:
    photo, planter = car(german), Planter(brazil)
    one, again, other = (planter.plant_scene(photo, [Plate("B", OLD)], np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(one.image, again.image) and one.plates[0].text == again.plates[0].text
    assert not np.array_equal(one.image, other.image) and one.plates[0].text != other.plates[0].text
    assert np.array_equal(photo, car(german)), "the photograph was changed"


def test_plates_that_cannot_be_used_are_ignored(german: ImageArray, brazil: PlateRenderer) -> None:
    tiny, dark = OLD / 16, np.zeros((400, 600, 3), np.uint8)
    twice = [Plate("B", OLD), Plate("B", OLD + 3)]
    planter = Planter(brazil)
    for photo, plates, expected in ((car(german), [Plate("B", tiny)], [True]), (dark, [Plate("B", OLD)], [True]),
                                    (car(german), twice, [False, True])):  # fmt: skip
        done = planter.plant_scene(photo, plates, np.random.default_rng(0))
        assert [plate.ignored for plate in done.plates] == expected
        assert [bool(name) for name in done.layouts] == [not ignored for ignored in expected]
    outside = Plate(box=np.array([700, 10, 760, 30], np.float32))
    assert planter.plant_scene(dark, [outside], np.random.default_rng(0)).plates == (outside,)


def test_boxes_become_corners_in_training(german: ImageArray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), car(german))
    scene = Scene(tmp_path / "a.png", (Plate(box=corner_box(OLD)),))
    planting = Planting(PlantSettings("br"))
    assert planting.describe() == "100% of its scenes get plates of Brazil."
    still = SceneGeometry((1, 1), 0, 0, 0, 0, 0)
    dark = PixelAugment(PixelSettings(0, 0, 0, noise=0, jpeg=0, grey=0))

    def samples(plant: Planting | None) -> TrainingScenes:
        return TrainingScenes([[scene]], (416, 608), still, dark, 3, plantings=[plant])

    plain, planted, again = (samples(p)[SampleKey(0, 0, 9)] for p in (None, planting, planting))
    assert not plain.has_corners.any() and planted.has_corners.all()
    assert np.array_equal(planted.image, again.image) and not np.array_equal(planted.image, plain.image)
    blanks = samples(Planting(PlantSettings("br", blank=1.0)))[SampleKey(0, 0, 9)]
    assert len(blanks.boxes) == 0 and blanks.complete
    kept = samples(Planting(PlantSettings("br", share=0.0)))[SampleKey(0, 0, 9)]
    assert not kept.has_corners.any()


def test_what_is_no_plate_is_put_beside_plates_and_never_on_them(german: ImageArray) -> None:
    photo, boxed = car(german), Plate(box=corner_box(OLD) + 200)
    quiet = np.full_like(photo, 90)
    quiet[::7] = 110
    changed = np.zeros(20)
    for seed in range(20):
        found = distract(quiet, [Plate("B", OLD), boxed], np.random.default_rng(seed))
        assert np.array_equal(found, distract(quiet, [Plate("B", OLD), boxed], np.random.default_rng(seed)))
        for x1, y1, x2, y2 in (corner_box(OLD).astype(int), boxed.box.astype(int)):  # type: ignore[union-attr]
            assert np.array_equal(found[y1:y2, x1:x2], quiet[y1:y2, x1:x2])
        changed[seed] = (found != quiet).any(axis=2).mean()
    assert (changed > 0.0005).sum() >= 14 and changed.mean() < 0.15
    plates = (Plate("B", OLD),)
    image, kept = Planting(PlantSettings("br", share=0.0, distract=1.0))(photo, plates, np.random.default_rng(3))
    assert kept == plates and not np.array_equal(image, photo)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"plant\.distract is -0\.1; expected a share"):
        PlantSettings("cn", distract=-0.1)
    with pytest.raises(ValueError, match=r"plant\.share is 2; expected a share"):
        PlantSettings("cn", share=2)
    with pytest.raises(ValueError, match=r"no country pack 'xx'; expected .* br, .*"):
        Planting(PlantSettings("xx"))


def test_a_planted_set_is_a_table_of_corners_and_texts(german: ImageArray, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), car(german))
    (tmp_path / "c.png").write_text("no image")
    manifest = Manifest.of(
        tmp_path, ["a.png", "b.png", "c.png"], box=np.tile(corner_box(OLD), (3, 1)), split=["train", "val", "val"]
    )
    pack = CountryPack.read(ROOT / "configs" / "country" / "br.yaml")
    for folder in ("one", "two"):
        made = plant_set(tmp_path / folder, PlantedPlan(copies=2), manifest, pack, workers=0)
        assert (made.pictures, made.plates, len(made.rejected)) == (4, 4, 2)
    table = read_manifest(tmp_path / "one" / "labels.csv")
    assert all(pack.layout_of(text) is not None for text in table.text) and len(set(table.text)) == 4
    assert np.isfinite(table.corners).all() and table.split == ["train", "train", "val", "val"]
    assert set(table.extra["layout"]) <= {layout.name for layout in pack.layouts}
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        plant_set(tmp_path / "one", PlantedPlan(seed=1), manifest, pack, workers=0)
    made = plant_set(tmp_path / "blank", PlantedPlan(blank=True), manifest, pack, workers=0)
    empty = read_manifest(tmp_path / "blank" / "labels.csv")
    assert made.plates == 0 and [scene.plates for scene in empty.scenes()] == [(), ()]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "country").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_layout_has_procedural_scenes(path: Path) -> None:
    """Two rows and motorcycles too: the plate lies wholly in the scene and has its layout's shape."""
    renderer = SceneRenderer(PlateRenderer(CountryPack.read(path)), size=(464, 288), plate_width_px=(60, 130))
    for seed, layout in enumerate(renderer.plates.pack.layouts):
        rng = np.random.default_rng(seed)
        text = renderer.plates.draw_text_of(layout, rng)
        image, (plate,) = renderer.scene(rng, (text, layout))
        assert image.shape == (464, 288, 3) and plate.text == text and plate.corners is not None
        assert (plate.corners >= 0).all() and (plate.corners <= [288, 464]).all()
        height = float(plate_height(plate.corners))
        width = float(np.linalg.norm(plate.corners[1] - plate.corners[0]))
        assert 0.6 < width / height / (layout.size_mm[1] / layout.size_mm[0]) < 1.6

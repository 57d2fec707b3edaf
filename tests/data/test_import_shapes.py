"""Shapes of labelling tools: what gives corners, what a box, and what leaves its image out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_labels import BOX, QUAD, QUAD_ARRAY, lay_out

from alpr.data.columns import ManifestError
from alpr.data.importers.formats import FORMATS, guess
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.shapes import ellipse_box, mask_box, quad_or_hull, turned_box


def cvat(folder: Path, *shapes: str) -> Imported:
    """Image a.jpg with these shapes, and b.jpg with a plate, read."""
    box = '<box label="plate" xtl="40" ytl="20" xbr="120" ybr="50"/>'
    images = "".join(
        f'<image name="{name}.jpg" width="200" height="80">{"".join(inner)}</image>'
        for name, inner in (("a", shapes), ("b", [box]))
    )
    lay_out(folder, {"annotations.xml": f"<annotations>{images}</annotations>"}, ["images/a.jpg", "images/b.jpg"])
    return FORMATS["cvat"].read(folder, Wanted())


def skeleton(names: str, order: tuple[int, ...] = (0, 1, 2, 3), more: str = "") -> str:
    points = "".join(
        f'<points label="{name}" outside="0" points="{QUAD[k][0]},{QUAD[k][1]}"/>'
        for name, k in zip(names.split(), order, strict=True)
    )
    return f'<skeleton label="plate">{points}{more}<attribute name="text">AB1</attribute></skeleton>'


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("a b c d", (0, 1, 2, 3)),
        ("2 1 4 3", (1, 0, 3, 2)),
        ("bottom_right tl BL top-right", (2, 0, 3, 1)),
    ],
)
def test_a_skeleton_of_four_points_gives_corners(names: str, order: tuple[int, ...], tmp_path: Path) -> None:
    manifest = cvat(tmp_path, skeleton(names, order)).manifest
    np.testing.assert_array_equal(manifest.corners[0], QUAD)
    assert manifest.text == ["AB1", ""] and manifest.image[0] == "images/a.jpg"


def test_a_skeleton_of_more_points_gives_a_box(tmp_path: Path) -> None:
    imported = cvat(tmp_path, skeleton("a b c d", more='<points label="e" points="60,30"/>'))
    np.testing.assert_array_equal(imported.manifest.box[0], BOX)
    assert any("another number of points than four" in note for note in imported.notes)


def test_masks_and_ellipses_give_boxes(tmp_path: Path) -> None:
    ellipse = '<ellipse label="plate" cx="80" cy="35" rx="40" ry="15"/>'
    mask = '<mask label="plate" rle="12, 6, 4, 6, 12" left="140" top="10" width="10" height="4"/>'
    manifest = cvat(tmp_path, ellipse, mask).manifest
    np.testing.assert_array_equal(manifest.box[:2], [BOX, [142, 11, 148, 13]])


@pytest.mark.parametrize(
    "shape",
    [
        '<tag label="plate"></tag>',
        '<cuboid label="plate" xtl1="1" ytl1="2"/>',
        '<skeleton label="plate"></skeleton>',
        '<skeleton label="plate"><points label="1" outside="1" points="1,2"/></skeleton>',
        '<mask label="plate" rle="0, 5" left="1" top="1" width="2" height="2"/>',
        '<hexagon label="plate" points="1,2"/>',
    ],
)
def test_a_shape_without_a_place_leaves_its_image_out(shape: str, tmp_path: Path) -> None:
    manifest = cvat(tmp_path, shape).manifest
    assert manifest.image == ["images/b.jpg"]
    assert [r.image for r in manifest.rejected] == ["images/a.jpg"]
    assert cvat(tmp_path, shape.replace('label="plate"', 'label="car"')).manifest.image == [
        "images/a.jpg",
        "images/b.jpg",
    ]


def test_the_box_of_a_mask_is_that_of_its_pixels() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        pixels = np.zeros((7, 9), bool)
        y, x = random.integers(0, (5, 7))
        pixels[y : y + random.integers(1, 4), x : x + random.integers(1, 4)] = random.random() < 0.9
        pixels |= random.random(pixels.shape) < 0.02
        flat = np.concatenate([[False], pixels.reshape(-1), [not pixels[-1, -1]]])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        lengths = np.diff(edges, prepend=0).tolist()
        rows, columns = np.nonzero(pixels)
        if not len(rows):
            with pytest.raises(ValueError, match="empty"):
                mask_box(lengths, 0, 0, 9, 7)
            continue
        expected = [20 + columns.min(), 10 + rows.min(), 21 + columns.max(), 11 + rows.max()]
        assert mask_box(lengths, 20, 10, 9, 7) == expected


def test_the_box_of_a_turned_ellipse_is_that_of_its_outline() -> None:
    points = cv2.ellipse2Poly((500, 400), (300, 100), 30, 0, 360, 1)
    expected = [*points.min(axis=0), *points.max(axis=0)]
    np.testing.assert_allclose(ellipse_box(500, 400, 300, 100, 30), expected, atol=2)


def test_a_box_turned_about_its_first_corner_keeps_it() -> None:
    corners = np.array(turned_box([10, 20, 30, 25], 90, (10, 20))).reshape(4, 2)
    np.testing.assert_allclose(corners, [[10, 20], [10, 40], [5, 40], [5, 20]], atol=1e-9)


def test_a_closed_quad_keeps_its_first_corner() -> None:
    flat = [v for point in QUAD for v in point]
    assert quad_or_hull([*flat, *flat[:2]]) == (None, flat)
    assert quad_or_hull([*flat[:2], *flat]) == (None, flat)
    assert quad_or_hull([*flat, 60.0, 60.0]) == ([40.0, 20.0, 120.0, 60.0], None)


def test_a_box_that_cvat_turned_in_coco(tmp_path: Path) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 30, 80, 20], "segmentation": []}
    annotation["attributes"] = {"rotation": 30.0, "occluded": False}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 80}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "plate"}],
    }
    manifest = FORMATS["coco"].read(lay_out(tmp_path, {"a.json": json.dumps(content)}), Wanted()).manifest
    edge = manifest.corners[0, 1] - manifest.corners[0, 0]
    np.testing.assert_allclose(edge, [80 * np.cos(np.pi / 6), 80 * np.sin(np.pi / 6)])
    np.testing.assert_allclose(manifest.corners[0].mean(axis=0), [50, 40])
    assert np.isnan(manifest.box).all()


def coco_of(folder: Path, images: list, labels: list) -> Imported:
    content = {
        "images": [{"id": i, "file_name": n} for i, n in images],
        "annotations": [
            {"id": k, "image_id": i, "category_id": "3", "bbox": [40, 20, 80, 30]} for k, i in enumerate(labels)
        ],
        "categories": [{"id": 3, "name": "plate"}],
    }
    lay_out(folder, {"i.json": json.dumps(content)}, ["a.jpg", "b.jpg", "c.jpg"])
    return FORMATS["coco"].read(folder, Wanted())


def test_ids_of_another_type_are_the_same(tmp_path: Path) -> None:
    manifest = coco_of(tmp_path, [("1", "a.jpg"), (2, "b.jpg"), ("3", "c.jpg")], [1, "2", 3.0]).manifest
    assert sorted(manifest.image) == ["a.jpg", "b.jpg", "c.jpg"] and np.isfinite(manifest.box).all()


def test_no_image_is_empty_while_labels_belong_to_none(tmp_path: Path) -> None:
    manifest = coco_of(tmp_path, [(1, "a.jpg"), (2, "b.jpg")], [1, 77]).manifest
    assert manifest.image == ["a.jpg"]
    assert any(r.image == "b.jpg" and "it may hold a plate" in r.reason for r in manifest.rejected)


def test_an_id_of_two_images_is_that_of_neither(tmp_path: Path) -> None:
    manifest = coco_of(tmp_path, [(1, "a.jpg"), (1, "b.jpg"), (2, "c.jpg")], [1, 2]).manifest
    assert manifest.image == ["c.jpg"] and {r.image for r in manifest.rejected} == {"a.jpg", "b.jpg"}


HEXAGON = "0 0.2 0.25 0.3 0.24 0.59 0.3 0.6 0.625 0.4 0.6 0.21 0.575\n"
OCTAGON = "0 0.2 0.25 0.3 0.24 0.59 0.3 0.6 0.4 0.6 0.625 0.4 0.6 0.21 0.575 0.2 0.4\n"


def yolo(folder: Path, *lines: str) -> Path:
    files = {f"labels/{n}.txt": line for n, line in enumerate(lines)}
    return lay_out(folder, {"data.yaml": "names: [plate]\n", **files}, [f"images/{n}.jpg" for n in range(len(lines))])


@pytest.mark.parametrize("line", [HEXAGON, OCTAGON, HEXAGON + OCTAGON + "0 0.4 0.4375 0.4 0.375\n"])
def test_polygons_are_no_key_points(line: str, tmp_path: Path) -> None:
    source = yolo(tmp_path, line)
    assert guess(source) == "yolo-seg"
    manifest = FORMATS["yolo-seg"].read(source, Wanted()).manifest
    np.testing.assert_allclose(manifest.box[0], [40, 19.2, 120, 50])
    if line in (HEXAGON, OCTAGON):
        with pytest.raises(ManifestError, match=r"no YOLO-pose: in 1 of 1 rows.*--from yolo-seg"):
            FORMATS["yolo-pose"].read(source, Wanted())


def pose(cx: float, cy: float, w: float, h: float, points: np.ndarray, visible: str = "") -> str:
    cells = [f"{x:.5f} {y:.5f}{visible}" for x, y in points]
    return f"0 {cx} {cy} {w} {h} {' '.join(cells)}\n"


@pytest.mark.parametrize("visible", ["", " 2"])
def test_polygons_and_poses_all_over_the_picture_are_told_apart(visible: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    poses, polygons = [], []
    for _ in range(20):
        w, h = random.uniform(0.02, 0.4), random.uniform(0.02, 0.2)
        x, y = random.uniform(0, 1 - w), random.uniform(0, 1 - h)
        quad = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]) + random.uniform(-0.003, 0.003, (4, 2))
        poses.append(pose(x + w / 2, y + h / 2, w, h, quad, visible))
        corners = 6 if not visible else 8
        angles = np.arange(corners) * 2 * np.pi / corners
        ring = np.stack([x + w / 2 * (1 + np.cos(angles)), y + h / 2 * (1 + np.sin(angles))], axis=1)
        polygons.append("0 " + " ".join(f"{v:.5f}" for v in ring.reshape(-1)) + "\n")
    assert guess(yolo(tmp_path / "poses", *poses)) == "yolo-pose"
    assert guess(yolo(tmp_path / "polygons", *polygons)) == "yolo-seg"


def test_small_polygons_amid_the_picture_are_no_poses(tmp_path: Path) -> None:
    ring = np.array([[0.5, 0.5], [0.52, 0.49], [0.56, 0.5], [0.57, 0.52], [0.56, 0.53], [0.51, 0.52]])
    lines = ["0 " + " ".join(f"{v:.5f}" for v in (ring + 0.01 * k).reshape(-1)) + "\n" for k in range(3)]
    assert guess(yolo(tmp_path, *lines)) == "yolo-seg"


def test_corners_of_plates_in_boxes_of_cars_are_neither(tmp_path: Path) -> None:
    quad = QUAD_ARRAY / [200, 80]
    lines = [pose(0.5, 0.5, 0.9, 0.95, quad * 0.5 + shift) for shift in (0.1, 0.2, 0.4)]
    with pytest.raises(ManifestError, match="no known format"):
        guess(yolo(tmp_path, *lines))


def test_a_confidence_is_passed_over_and_said(tmp_path: Path) -> None:
    source = yolo(tmp_path, "0 0.4 0.4375 0.4 0.375 0.91\n")
    assert guess(source) == "yolo"
    imported = FORMATS["yolo"].read(source, Wanted())
    np.testing.assert_allclose(imported.manifest.box, [BOX])
    assert "1 boxes carry a confidence, as predictions do; it was not read." in imported.notes


def label_studio(folder: Path, *results: dict) -> Imported:
    """Image a.jpg with these results, and b.jpg with a plate, read."""
    size = {"original_width": 200, "original_height": 80}
    plate = {"id": "r", "value": {"x": 20, "y": 25, "width": 40, "height": 37.5, "rectanglelabels": ["plate"]}}
    tasks = [
        {"data": {"image": f"{name}.jpg"}, "annotations": [{"result": [size | r for r in found]}]}
        for name, found in (("a", results), ("b", [plate]))
    ]
    lay_out(folder, {"tasks.json": json.dumps(tasks)}, ["a.jpg", "b.jpg"])
    return FORMATS["label-studio"].read(folder, Wanted())


def key_point(name: str, k: int) -> dict:
    value = {"x": QUAD[k][0] / 2, "y": QUAD[k][1] / 0.8, "width": 0.5, "keypointlabels": [name]}
    return {"id": name, "parentID": "r1", "value": value}


def test_key_points_of_label_studio(tmp_path: Path) -> None:
    names = ["br", "top left", "tr", "bottom-left"]
    four = [key_point(name, k) for name, k in zip(names, (2, 0, 1, 3), strict=True)]
    manifest = label_studio(tmp_path, *four).manifest
    np.testing.assert_allclose(manifest.corners[0], QUAD)
    three = label_studio(tmp_path / "three", *four[:3]).manifest
    assert three.image == ["b.jpg"] and {r.image for r in three.rejected} == {"a.jpg"}


def test_a_turned_rectangle_of_label_studio(tmp_path: Path) -> None:
    value = {"x": 20, "y": 25, "width": 40, "height": 25, "rotation": 90, "rectanglelabels": ["plate"]}
    manifest = label_studio(tmp_path, {"id": "r", "value": value}).manifest
    np.testing.assert_allclose(manifest.corners[0], [[40, 20], [40, 100], [20, 100], [20, 20]], atol=1e-9)


@pytest.mark.parametrize(
    "result",
    [
        {"value": {"format": "rle", "rle": [1, 2], "brushlabels": ["plate"]}},
        {"value": {"imageDataURL": "data:", "bitmasklabels": ["plate"]}},
        {"value": {"x": 1, "y": 1, "width": 9, "height": 5, "rectanglelabels": ["plate"]}, "image_rotation": 90},
        {"value": {"x": 1, "y": 1, "width": "wide", "height": 5, "rectanglelabels": ["plate"]}},
    ],
)
def test_what_label_studio_says_without_a_place_leaves_the_image_out(result: dict, tmp_path: Path) -> None:
    manifest = label_studio(tmp_path, result).manifest
    assert manifest.image == ["b.jpg"] and {r.image for r in manifest.rejected} == {"a.jpg"}


def test_texts_of_label_studio_that_belong_to_no_shape_are_left_out(tmp_path: Path) -> None:
    value = {"x": 1, "y": 1, "width": 9, "height": 5, "rectanglelabels": ["plate"]}
    shapes = [{"id": str(i), "value": value | {"x": 20 * i}} for i in range(2)]
    text = {"id": "t", "value": {"text": ["AB1"]}}
    one = label_studio(tmp_path / "one", shapes[0], text)
    assert one.manifest.text[0] == "AB1"
    two = label_studio(tmp_path / "two", *shapes, text)
    assert two.manifest.text == ["", "", ""]
    assert "1 images have texts that belong to no shape; these were left out." in two.notes

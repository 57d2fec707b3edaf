"""Reading images of every kind, letterboxing, and rectifying."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from alpr.images.prepare import GREY, UnreadableImage, letterbox, read_image, rectify, resize_crop
from alpr.plates.geometry import homography, pixel_centre_matrix
from alpr.plates.records import FloatArray, ImageArray


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 255, (5, 7, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, image: np.ndarray | None = None) -> bytes:
    return cv2.imencode(suffix, picture() if image is None else image)[1].tobytes()


def test_path_bytes_and_array_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png"))
    assert np.array_equal(read_image(path), picture())
    assert np.array_equal(read_image(path.read_bytes()), picture())
    assert np.array_equal(read_image(picture()), picture())


def test_bytes_open_files_and_pillow_images_agree(tmp_path: Path) -> None:
    data, rgb = encoded(".png"), picture()[..., ::-1]
    (tmp_path / "a.png").write_bytes(data)
    with (tmp_path / "a.png").open("rb") as file:
        for source in (bytearray(data), memoryview(data), BytesIO(data), file, Image.fromarray(rgb)):
            assert np.array_equal(read_image(source), picture()), type(source)
    assert np.array_equal(read_image(Image.fromarray(rgb).convert("RGBA")), picture())
    assert read_image(Image.fromarray(np.full((4, 5), 0x1234, np.uint16)))[0, 0].tolist() == [0x12] * 3


@pytest.mark.parametrize("suffix", [".webp", ".png", ".jpg"])
def test_an_orientation_is_applied(suffix: str) -> None:
    turned = Image.fromarray(picture()[..., ::-1])
    exif = turned.getexif()
    exif[0x112] = 6
    file = BytesIO()
    turned.save(file, Image.registered_extensions()[suffix], exif=exif)
    assert read_image(file.getvalue()).shape == (60, 40, 3)
    assert read_image(Image.open(file)).shape == (60, 40, 3)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (None, "^What was given is None; expected an image: a path, bytes, an open file"),
        (3, "of type int"),
        ([np.zeros((4, 4, 3), np.uint8)], "of type list"),
        (StringIO("text"), "the open file gives str; expected a file that is open for reading bytes"),
        (BytesIO(), "the image of 0 bytes is empty|the open file is empty"),
        ("a\0b.jpg", "cannot be read: embedded null byte"),
        (np.zeros((2, 2, 3), bool), "holds bool values; expected uint8 or uint16"),
        (np.array(None), r"has shape \(\)"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC or AVIF; `pip install|cannot be decoded"),
    ],
)
def test_what_is_no_image_gets_one_sentence(source: Any, sentence: str) -> None:
    with pytest.raises(UnreadableImage, match=sentence):
        read_image(source)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 4)])
def test_grey_and_bgra_become_bgr(shape: tuple[int, ...]) -> None:
    assert read_image(np.full(shape, 7, np.uint8)).shape == (40, 60, 3)


def test_sixteen_bits_become_eight() -> None:
    assert read_image(np.full((4, 5), 0x1234, np.uint16))[0, 0].tolist() == [0x12] * 3
    assert read_image(encoded(".png", np.full((4, 5), 0x1234, np.uint16)))[0, 0, 0] == 0x12


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_jpeg_is_refused(kept: float) -> None:
    data = encoded(".jpg")
    assert read_image(data).shape == (40, 60, 3)
    with pytest.raises(UnreadableImage, match="truncated JPEG"):
        read_image(data[: int(kept * len(data))])


def test_a_jpeg_with_a_thumbnail_inside_and_bytes_behind_it_is_read() -> None:
    data = encoded(".jpg")
    thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    assert read_image(data[:2] + thumbnail + data[2:] + b"trailing").shape == (40, 60, 3)
    with pytest.raises(UnreadableImage, match="truncated JPEG"):
        read_image(data[:2] + thumbnail + data[2:-60])  # only the thumbnail has an end


def test_a_truncated_png_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="truncated PNG"):
        read_image(encoded(".png")[:-20])


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "note.jpg"
    text.write_text("not a picture")
    with pytest.raises(UnreadableImage, match=r"note\.jpg is no image"):
        read_image(text)
    with pytest.raises(UnreadableImage, match="empty"):
        read_image(b"")
    with pytest.raises(UnreadableImage, match=r"missing\.jpg cannot be read"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(UnreadableImage, match=r"shape \(2, 2, 5\)"):
        read_image(np.zeros((2, 2, 5), np.uint8))
    with pytest.raises(UnreadableImage, match="float64"):
        read_image(np.zeros((2, 2, 3)))


def test_letterbox_keeps_the_image_and_pads_grey() -> None:
    canvas, box = letterbox(np.full((100, 50, 3), 200, np.uint8), 64)
    assert canvas.shape == (64, 32, 3)
    assert (canvas[:, : box.inner[1]] == 200).all()
    canvas, box = letterbox(np.full((100, 70, 3), 200, np.uint8), 64)
    assert (canvas[:, : box.inner[1]] == 200).all()
    assert (canvas[:, box.inner[1] :] == GREY).all()


@pytest.mark.parametrize("size", [(335, 1006), (1007, 1160), (200, 290), (50, 97)])
def test_a_letterbox_says_where_things_went(size: tuple[int, int]) -> None:
    """Also where a few rows and columns fill no block and are left out: 335 = 6 * 55 + 5."""
    image = np.zeros((*size, 3), np.uint8)
    height, width = size
    spot = np.array([0.9 * width, 0.8 * height])
    cv2.circle(image, (int(spot[0]), int(spot[1])), height // 10, (255, 255, 255), -1)
    image = cv2.GaussianBlur(image, (0, 0), 3).astype(np.uint8)

    def centre(of: ImageArray) -> FloatArray:
        rows, columns = np.mgrid[: of.shape[0], : of.shape[1]] + 0.5
        return np.array([np.average(columns, weights=of[..., 0]), np.average(rows, weights=of[..., 0])])

    canvas, box = letterbox(image, 160)
    found = centre(np.ascontiguousarray(canvas[: box.inner[0], : box.inner[1]]))
    assert found == pytest.approx(box.forward(centre(image)), abs=0.03)
    assert box.inverse(found) == pytest.approx(centre(image), abs=0.03 / box.scale_x)


def test_a_letterbox_averages_before_it_interpolates() -> None:
    board = np.indices((900, 1160)).sum(axis=0) % 2 * 255
    canvas, box = letterbox(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), 160)
    inner = canvas[: box.inner[0], : box.inner[1]].astype(int)
    assert abs(inner - 127.5).max() < 12  # of blocks of seven


@pytest.mark.parametrize("scale", [1, 6])
@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_rectifying_undoes_a_perspective(scale: int, margin: float) -> None:
    """A plate painted into a scene by a known homography comes back, also when it is much larger than the crop."""
    size = (48, 192)
    plate = picture(48 * scale, 192 * scale)
    corners = scale * np.array([[30, 40], [210, 20], [225, 90], [25, 95]], np.float32)
    whole = np.array([[0, 0], [192, 0], [192, 48], [0, 48]], np.float32) * scale
    scene = cv2.warpPerspective(
        plate, pixel_centre_matrix(homography(whole, corners)), (260 * scale, 120 * scale), flags=cv2.INTER_LINEAR
    )
    crop = rectify(scene, corners, size, margin).astype(float)
    x, y = round(margin * 192), round(margin * 48)
    inner = cv2.resize(crop[y : 48 - y, x : 192 - x], (192, 48))
    expected = cv2.resize(plate, (192, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(inner - expected)[4:-4, 4:-4].mean() < 5


def test_rectifying_flat_corners_is_refused() -> None:
    with pytest.raises(ValueError, match="No homography"):
        rectify(picture(), np.zeros((4, 2), np.float32), (48, 192))


def test_a_crop_of_one_pixel_is_stretched() -> None:
    assert resize_crop(np.full((1, 1, 3), 9, np.uint8), (48, 192)).shape == (48, 192, 3)

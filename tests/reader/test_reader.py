"""The predictor: mapping back, batches, the checks at loading, and no torch."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx.parser
import pytest
import tiny_bundle
from tiny_bundle import ALPHABET, SLOTS, pack, scene, write_bundle

from alpr import Reader
from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.images.photograph import read_photograph
from alpr.images.prepare import UnreadableImage
from alpr.plates.records import ImageArray
from alpr.reader import reader as reader_module
from alpr.reader.card import CardError, ModelCard, WeightFile
from alpr.reader.reader import default_bundle, find_bundle
from alpr.reader.sessions import OnnxDetector, SessionError, open_session
from alpr.recognition.read import CROPS_AT_ONCE, Recogniser
from alpr.recognition.settings import RecogniserSettings


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def reader(bundle: Path) -> Reader:
    return Reader(bundle, threads=1)


@pytest.mark.parametrize(
    ("size", "at", "plate"), [((240, 480), (200, 120), 120), ((960, 400), (60, 800), 240), ((160, 320), (8, 4), 80)]
)
def test_corners_come_back_in_the_images_pixels(
    reader: Reader, size: tuple[int, int], at: tuple[int, int], plate: int
) -> None:
    (found,) = reader(scene("BA", at, size, plate))
    x, y = at
    truth = np.array([[x, y], [x + plate, y], [x + plate, y + plate // 4], [x, y + plate // 4]])
    # one pixel of the network's input is this many of the image: no edge can be finer
    assert np.abs(found.detection.corners - truth).max() <= max(1.0, max(size) / 320)
    np.testing.assert_allclose(found.detection.box, [*found.detection.corners[0], *found.detection.corners[2]])
    assert found.reading.text == "BA" and len(found.reading.characters) == 2


def test_the_mapping_back_is_exact_for_images_of_any_shape() -> None:
    """A network that answers a known point of its input: the inner image's far corner, whatever the padding.

    That is the image's own corner, less the rows and columns that fill no block of pixels.
    """
    far: list[tuple[int, int]] = []

    def network(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inside = np.argwhere((batch[0] != 128).any(axis=-1))
        y, x = inside.max(axis=0) + 1
        far.append(batch.shape[1:3])
        corners = np.array([[[[0, 0], [x, 0], [x, y], [0, y]]]], np.float32)
        return np.ones((1, 1), np.float32), np.array([[[0, 0, x, y]]], np.float32), corners

    for height, width in ((720, 1160), (1160, 720), (37, 1001), (500, 500), (1, 7)):
        image = np.full((height, width, 3), 250, np.uint8)
        ((found,),) = Detector(network, DetectorSettings()).detect([image])
        right, bottom = (width // 2 * 2, height // 2 * 2) if max(width, height) > 2 * 448 else (width, height)
        np.testing.assert_allclose(found.box, [0, 0, right, bottom], rtol=1e-5)
        np.testing.assert_allclose(found.corners[2], [right, bottom], rtol=1e-5)
        assert all(side % 32 == 0 for side in far[-1]) and max(far[-1]) == 448


def test_a_list_gives_what_single_images_give(reader: Reader) -> None:
    sizes = [(240, 480), (480, 240), (240, 480), (100, 100), (241, 480)] * 5
    images = [scene("AB12"[: 1 + i % 4], (20 + i, 30), size, 60) for i, size in enumerate(sizes)]
    images[3] = np.full((100, 100, 3), 90, np.uint8)
    together = reader(images)
    assert [len(plates) for plates in together] == [0 if i == 3 else 1 for i in range(len(images))]
    for image, plates in zip(images, together, strict=True):
        for a, b in zip(reader(image), plates, strict=True):
            np.testing.assert_array_equal(a.detection.corners, b.detection.corners)
            assert a.reading.text == b.reading.text and a.reading.score == pytest.approx(b.reading.score, abs=1e-9)
    assert reader([]) == []


def test_batches_have_one_size_and_a_limit() -> None:
    seen: list[tuple[int, ...]] = []

    def finds_one(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen.append(batch.shape)
        count = len(batch)
        boxes = np.tile(np.array([[[0, 0, 20, 10], [40, 0, 60, 10]]], np.float32), (count, 1, 1))
        corners = np.stack([boxes[..., [0, 1]], boxes[..., [2, 1]], boxes[..., [2, 3]], boxes[..., [0, 3]]], -2)
        return np.full((count, 2), 0.9, np.float32), boxes, corners

    def reads(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        crops.append(len(batch))
        return (np.zeros((len(batch), SLOTS, len(ALPHABET) + 1), np.float32),)

    crops: list[int] = []
    reader = Reader.from_parts(
        Detector(finds_one, DetectorSettings()),
        Recogniser(reads, RecogniserSettings(slots=SLOTS), pack().charset),
    )
    images = [np.zeros((100, 200 if i % 2 else 100, 3), np.uint8) for i in range(20)]
    assert all(len(plates) == 2 for plates in reader(images))
    assert {shape[0] for shape in seen} == {4, 2} and sum(shape[0] for shape in seen) == 20
    assert crops == [16, 16, 8]  # all crops of a group of images together
    crops.clear()
    reader.recogniser.read([np.zeros((10, 30, 3), np.uint8)] * (2 * CROPS_AT_ONCE + 1))
    assert crops == [CROPS_AT_ONCE, CROPS_AT_ONCE, 1]
    assert reader.card is None


def test_flat_corners_read_as_nothing(reader: Reader) -> None:
    image = scene("B12")
    flat = np.zeros((4, 2), np.float32)
    good = reader(image)[0].detection.corners
    a, b, c = reader.recogniser.read_plates(image, [flat, good, np.full((4, 2), 1e30, np.float32)])
    assert (a.text, a.score, a.characters) == ("", 0.0, ()) == (c.text, c.score, c.characters)
    assert b.text == "B12"
    assert reader.recogniser.read_plates(image, []) == []


def test_the_settings_margin_and_size_are_used() -> None:
    seen: list[ImageArray] = []

    def reads(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        seen.extend(batch)
        return (np.zeros((len(batch), SLOTS, len(ALPHABET) + 1), np.float32),)

    image = np.zeros((200, 400, 3), np.uint8)
    image[80:120, 100:260] = 255
    corners = np.array([[100, 80], [260, 80], [260, 120], [100, 120]], np.float32)
    settings = RecogniserSettings(size=(40, 160), margin=0.25, slots=SLOTS)
    Recogniser(reads, settings, pack().charset).read_plates(image, [corners])
    assert seen[0].shape == (40, 160, 3)
    assert (seen[0][..., 0] > 127).mean() == pytest.approx(0.25, abs=0.02)  # half the height, half the width


def test_paths_bytes_and_arrays_are_the_same_image(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "字.png"
    image = scene("皖A12")
    data = cv2.imencode(".png", image)[1].tobytes()
    path.write_bytes(data)
    texts = [reader(source)[0].reading.text for source in (path, str(path), data, image)]
    assert texts == ["皖A12"] * 4
    assert [plates[0].reading.text for plates in reader([path, str(path), data, image])] == texts
    timed = reader.read_timed(path)
    assert timed.plates[0].reading.text == "皖A12" and timed.photograph.pixels.shape == image.shape
    assert all(ms > 0 for ms in timed.ms)
    with pytest.raises(UnreadableImage, match=r"gone\.png"):
        reader(tmp_path / "gone.png")
    with pytest.raises(UnreadableImage, match="gone"):
        reader([image, str(tmp_path / "gone.png")])


def test_a_very_wide_image_is_read(reader: Reader) -> None:
    """OpenCV warps nothing wider than 32,766 px."""
    image = scene("12", (36_000, 100), (2000, 40_000), 2000)
    (found,) = reader(image)
    assert found.reading.text == "12"


def test_what_is_in_use_is_reported(reader: Reader, bundle: Path) -> None:
    assert reader.providers == ("CPUExecutionProvider",)
    assert reader.card is not None and reader.card.name == "tiny"
    options = reader.detector.network.session.get_session_options()  # type: ignore[attr-defined]
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"  # decoding needs the core
    with pytest.raises(SessionError, match=r"no provider CUDAExecutionProvider here; it has .*CPU"):
        Reader(bundle, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(SessionError, match="none was named"):
        Reader(bundle, providers=[])
    with pytest.raises(SessionError, match="threads is 0"):
        Reader(bundle, threads=0)


def _rehashed(bundle: Path) -> None:
    data = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    for key in ("detector", "recogniser"):
        data[key]["sha256"] = WeightFile.of(bundle / data[key]["file"]).sha256
    (bundle / "card.json").write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "changes", "sentence"),
    [
        ("detector", [("3] image", "3] img"), ("(image)", "(img)")], "its input is 'img'"),
        ("detector", [("uint8[B,", "uint8[1,")], r"expected 'image', tensor\(uint8\), \[any, any, any, 3\]"),
        ("detector", [("uint8[B,", "float[B,")], r"its input is 'image', tensor\(float\)"),
        ("detector", [(" scores,", " score2,"), ("scores =", "score2 =")], r"the outputs \['score2', 'boxes'"),
        ("recogniser", [("B, 48, 192", "B, 48, 96")], r"expected 'crop', tensor\(uint8\), \[any, 48, 192, 3\]"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(
    tmp_path: Path, file: str, changes: list[tuple[str, str]], sentence: str
) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    text = {"detector": tiny_bundle.DETECTOR, "recogniser": tiny_bundle.RECOGNISER}[file]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    onnx.save(onnx.parser.parse_model(text), bundle / f"{file}.onnx")
    with pytest.raises(CardError, match="has SHA-256"):
        Reader(bundle)
    _rehashed(bundle)
    with pytest.raises(SessionError, match=sentence):
        Reader(bundle)


def test_another_number_of_slots_or_symbols_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    data = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    data["recogniser"]["alphabet"] += "Z"
    (bundle / "card.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(SessionError, match=rf"\[any, {SLOTS}, {len(ALPHABET) + 2}\]"):
        Reader(bundle)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    (bundle / "detector.onnx").write_bytes(b"not a graph")
    _rehashed(bundle)
    with pytest.raises(SessionError, match=r"detector\.onnx cannot be loaded"):
        Reader(bundle)
    with pytest.raises(SessionError, match="cannot be loaded"):
        open_session(bundle / "gone.onnx")


def test_a_batch_the_graph_cannot_take_is_named(bundle: Path) -> None:
    with pytest.raises(SessionError, match=r"failed on a batch of shape \(1, 32, 32, 4\)"):
        OnnxDetector(bundle / "detector.onnx", 1)(np.zeros((1, 32, 32, 4), np.uint8))


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the one that travels with the package."""
    folder = tmp_path / "site" / "model_bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(reader_module, "packaged", {folder.name: folder}.__getitem__)
    return folder


def test_the_default_bundle(bundles: Path) -> None:
    with pytest.raises(ValueError, match="No default bundle"):
        default_bundle()
    inside = write_bundle(bundles / "tiny")
    (bundles / "default").write_text("tiny\n")
    assert find_bundle() == default_bundle() == inside
    assert Reader(threads=1).card == ModelCard.read(inside)
    (bundles / "default").write_text("cn\n")
    with pytest.raises(ValueError, match=r"'cn', named by .* is not there"):
        default_bundle()
    (bundles / "default").write_text("../alpr\n")
    with pytest.raises(ValueError, match="expected the name of a folder"):
        default_bundle()


def test_a_bundle_is_found_by_its_name(bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no bundle 'tiny'; expected a bundle's folder or one of none in"):
        find_bundle("tiny")
    inside = write_bundle(bundles / "tiny")
    write_bundle(bundles / "other")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("tiny") == inside
    assert Reader("tiny", threads=1).card == ModelCard.read(inside)
    assert find_bundle(inside) == inside
    for unknown in ("tyni", "../model_bin", "a/tiny", ""):
        with pytest.raises(ValueError, match="expected a bundle's folder or one of other, tiny in"):
            find_bundle(unknown)
    (tmp_path / "tiny").mkdir()
    assert find_bundle("tiny") == inside  # a folder without a card is no bundle
    (tmp_path / "tiny").rmdir()
    write_bundle(tmp_path / "tiny")
    assert find_bundle("tiny") == Path("tiny")  # one's own comes first


def test_the_predictor_leaves_torch_unloaded(bundle: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene("A1"))
    code = (
        "import sys; from alpr import Reader\n"
        "assert Reader(sys.argv[1])(sys.argv[2])[0].reading.text == 'A1'\n"
        "print([m for m in ('torch', 'lightning', 'onnx', 'PIL', 'hydra') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle), str(tmp_path / "a.png")], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_real_photographs_go_through_every_stage(real_data: Path, reader: Reader) -> None:
    paths = sorted((real_data / "CCPD2020").rglob("*.jpg"))[:4]
    if not paths:
        pytest.skip(f"No photographs below {real_data / 'CCPD2020'}.")
    for path, plates in zip(paths, reader(paths), strict=True):
        height, width = cv2.imread(str(path)).shape[:2]
        for plate in plates:  # the hand-made detector takes the hull of everything that is very blue or white
            corners = plate.detection.corners
            assert (corners >= -1).all() and (corners <= np.array([width, height]) + 1).all()


def test_the_input_size_can_be_chosen(bundle: Path) -> None:
    assert Reader(bundle, threads=1, input_px=64).detector.settings.input_px == 64
    with pytest.raises(ValueError, match="input_px is 65; expected a multiple of"):
        Reader(bundle, threads=1, input_px=65)


def test_an_endless_stream_is_read_a_few_frames_at_a_time(bundle: Path) -> None:
    reader, taken = Reader(bundle, threads=1), []

    def camera() -> Iterator[np.ndarray]:
        for text in itertools.cycle(["A1", "B2", "皖A12"]):
            taken.append(text)
            yield scene(text)

    stream = reader.stream(camera(), batch=2)
    assert taken == []  # nothing is taken before it is asked for
    found = [[plate.reading.text for plate in plates] for plates in itertools.islice(stream, 5)]
    assert found == [["A1"], ["B2"], ["皖A12"], ["A1"], ["B2"]] and len(taken) == 6
    assert [len(p) for p in reader.stream([scene("A1"), np.zeros((9, 9, 3), np.uint8), scene("B2")])] == [1, 0, 1]
    assert list(reader.stream([])) == []
    with pytest.raises(ValueError, match="The batch is 0; expected at least 1"):
        reader.stream([], batch=0)


def test_a_stream_reads_what_stands_before_an_unreadable_frame(bundle: Path) -> None:
    stream = Reader(bundle, threads=1).stream([scene("A1"), scene("B2"), b"no image", scene("A1")])
    assert [plates[0].reading.text for plates in itertools.islice(stream, 2)] == ["A1", "B2"]
    with pytest.raises(UnreadableImage, match="the image of 8 bytes"):
        next(stream)


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_a_stream_reads_what_came_before_its_source_failed(bundle: Path, batch: int) -> None:
    def camera(last: object) -> Iterator[Any]:
        yield from [scene("A1"), scene("B2"), scene("A1")]
        if last is not None:
            raise ConnectionError("the camera is gone")
        yield None

    reader = Reader(bundle, threads=1)
    for last, error, sentence in ((1, ConnectionError, "is gone"), (None, UnreadableImage, "is None; expected")):
        stream = reader.stream(camera(last), batch=batch)
        assert [plates[0].reading.text for plates in itertools.islice(stream, 3)] == ["A1", "B2", "A1"]
        with pytest.raises(error, match=sentence):
            next(stream)


def test_a_reader_is_pickled_as_its_bundle_and_options(bundle: Path) -> None:
    reader = Reader(bundle, threads=1, input_px=320, threshold=0.85, grammar=True, min_score=0.5)
    data = pickle.dumps(reader)
    assert len(data) < 2000
    again = pickle.loads(data)
    assert again.detector.settings == reader.detector.settings and again.card == reader.card
    (plate,), (same,) = reader(scene("A1")), again(scene("A1"))
    assert plate.reading == same.reading and same.reading.certain and same.reading.rule == plate.reading.rule
    with pytest.raises(TypeError, match="made from parts cannot be pickled"):
        pickle.dumps(Reader.from_parts(reader.detector, reader.recogniser))


def test_a_reader_goes_to_processes_that_are_spawned(bundle: Path) -> None:
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(_texts_of, (Reader(bundle, threads=1), scene("B2"))) == ["B2"]


def _texts_of(reader: Reader, image: ImageArray) -> list[str]:
    return [plate.reading.text for plate in reader(image)]


@pytest.mark.parametrize(("threshold", "found"), [(None, 1), (0.2, 1), (0.9, 1), (0.91, 0)])
def test_a_threshold_of_detection_is_chosen(bundle: Path, threshold: float | None, found: int) -> None:
    assert len(Reader(bundle, threads=1, threshold=threshold)(scene("A1"))) == found  # the network's score is 0.9
    with pytest.raises(ValueError, match="score_threshold is 2"):
        Reader(bundle, threshold=2)


def test_nothing_is_said_of_certainty_without_a_threshold(bundle: Path) -> None:
    (plate,) = Reader(bundle, threads=1)(scene("A1"))
    assert plate.reading.certain is None


def read_from(reader: Reader, source: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the images that crops were cut from, of one by one, all in one list, and of a list."""
    seen: list[tuple[int, ...]] = []
    rectify = Recogniser.rectify

    def noted(self: Recogniser, image: ImageArray, corners: np.ndarray) -> ImageArray | None:
        seen.append(image.shape[:2])
        return rectify(self, image, corners)

    with monkeypatch.context() as patch:
        patch.setattr(Recogniser, "rectify", noted)
        assert len(reader(source)) == len(reader([source])[0]) == len(reader.read_timed(source).plates) == 1
    return seen


def test_large_jpegs_are_decoded_small_and_answered_in_their_own_pixels(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = scene("BA", (700, 500), (1500, 2400), 480)
    cv2.imwrite(str(tmp_path / "large.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    photograph = reader.open(tmp_path / "large.jpg")
    assert photograph.pixels.shape == (375, 600, 3) and photograph.size == (1500, 2400)
    assert read_from(reader, tmp_path / "large.jpg", monkeypatch) == [(375, 600)] * 3  # 120 px of a crop's 192 there
    assert reader.open(tmp_path / "large.jpg", whole=True).pixels.shape == image.shape
    (found,) = reader(tmp_path / "large.jpg")
    truth = np.array([[700, 500], [1180, 500], [1180, 620], [700, 620]])
    assert np.abs(found.detection.corners - truth).max() <= 2400 / 320 and found.reading.text == "BA"
    (timed,) = reader.read_timed(str(tmp_path / "large.jpg")).plates
    np.testing.assert_array_equal(timed.detection.corners, found.detection.corners)
    np.testing.assert_allclose(found.detection.box[:2], [700, 500], atol=2400 / 320)


def test_small_plates_are_read_from_more_pixels(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = scene("BA", (700, 500), (1500, 2400), 240)  # 60 px where it is found, less than half of a crop's 192
    cv2.imwrite(str(tmp_path / "large.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert reader.open(tmp_path / "large.jpg").pixels.shape == (375, 600, 3)
    assert read_from(reader, tmp_path / "large.jpg", monkeypatch) == [(750, 1200)] * 3
    (found,) = reader(tmp_path / "large.jpg")
    np.testing.assert_allclose(found.detection.corners[[0, 2]], [[700, 500], [940, 560]], atol=2400 / 320)
    assert found.reading.text == "BA"


def test_a_second_look_is_at_more_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = DetectorSettings(input_px=320, fine_px=640, sure_score=0.95)  # the network's score is 0.9: always in doubt
    reader = Reader(write_bundle(tmp_path / "twice", looks), threads=1)
    cv2.imwrite(str(tmp_path / "car.jpg"), scene("BA", (702, 501), (1500, 2400), 480), [cv2.IMWRITE_JPEG_QUALITY, 98])
    shapes: list[tuple[int, ...]] = []
    network = reader.detector.network
    reader.detector.network = lambda batch: (shapes.append(batch.shape), network(batch))[1]
    timed = reader.read_timed(tmp_path / "car.jpg")
    assert shapes == [(1, 224, 320, 3), (1, 416, 640, 3)] and timed.looks == 2
    assert reader.open(tmp_path / "car.jpg").pixels.shape == (375, 600, 3)
    assert read_from(reader, tmp_path / "car.jpg", monkeypatch) == [(1500, 2400)] * 3
    (plate,) = timed.plates
    np.testing.assert_allclose(plate.detection.corners[[0, 2]], [[702, 501], [1182, 621]], atol=2400 / 320)
    assert plate.reading.text == "BA"


def test_a_photograph_is_decoded_again_for_more_pixels() -> None:
    data = cv2.imencode(".jpg", np.zeros((600, 1000, 3), np.uint8))[1].tobytes()
    small = read_photograph(data, 250)
    first = small.pixels
    assert first.shape[:2] == (150, 250) and small.at_least(250) is first
    half = small.at_least(400)
    assert half.shape[:2] == (300, 500) and small.size == (600, 1000) and small.scale.tolist() == [2, 2]
    assert small.at_least(400) is small.at_least(1) is small.pixels is half  # it remembers
    whole = small.at_least(501)
    assert whole.shape[:2] == (600, 1000) and small.at_least(5000) is whole
    assert read_photograph(np.zeros((6, 9, 3), np.uint8), 2).at_least(100).shape == (6, 9, 3)


def test_a_photograph_is_decoded_at_most_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look and the recogniser share what was decoded for the first of them."""
    looks = DetectorSettings(input_px=320, fine_px=640, sure_score=0.95)
    reader = Reader(write_bundle(tmp_path / "twice", looks), threads=1)
    cv2.imwrite(str(tmp_path / "car.jpg"), scene("BA", (702, 501), (1500, 2400), 240))
    flags: list[int] = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flag: (flags.append(flag), decode(data, flag))[1])
    assert len(reader(tmp_path / "car.jpg")) == 1
    assert flags == [cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_COLOR]


@pytest.mark.parametrize(
    ("size", "least", "expected"),
    [
        ((600, 961), 480, (300, 481)),
        ((600, 959), 480, (600, 959)),
        ((801, 1205), 300, (201, 302)),
        ((40, 90), 10, (5, 12)),
    ],
)
def test_a_jpeg_keeps_the_pixels_that_are_asked_for(
    size: tuple[int, int], least: int, expected: tuple[int, int]
) -> None:
    data = cv2.imencode(".jpg", np.zeros((*size, 3), np.uint8))[1].tobytes()
    photograph = read_photograph(data, least)
    assert photograph.pixels.shape[:2] == expected and photograph.size == size
    png = cv2.imencode(".png", np.zeros((*size, 3), np.uint8))[1].tobytes()
    assert read_photograph(png, least).pixels.shape[:2] == size


def test_an_orientation_turns_the_size_as_well() -> None:
    data = cv2.imencode(".jpg", np.zeros((600, 1000, 3), np.uint8))[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned
    photograph = read_photograph(data[:2] + segment + data[2:], 400)
    assert photograph.pixels.shape == (500, 300, 3) and photograph.size == (1000, 600)

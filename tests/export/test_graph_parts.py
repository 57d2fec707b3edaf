"""Every part of reader.onnx gives what the numpy and OpenCV code that it repeats gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from alpr.detection.decode import decode_detections
from alpr.detection.settings import DetectorSettings
from alpr.export.one_graph.parts import crops_part, labels_part, letterbox_part, plates_part, texts_part
from alpr.export.parity import generated_scenes
from alpr.images.prepare import letterbox, rectify
from alpr.plates.geometry import Letterbox
from alpr.plates.records import FloatArray, ImageArray
from alpr.recognition.decode import softmax
from alpr.recognition.settings import RecogniserSettings

SEED = np.random.default_rng


def run(part: onnx.ModelProto, **inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(part.SerializeToString(), options)
    return list(session.run(None, inputs))


def noise(*shape: int) -> ImageArray:
    """Interpolating in another place shows, and so does a rounding."""
    return SEED(0).integers(0, 256, (*shape, 3), np.uint8)


@pytest.fixture(scope="module")
def small_letterbox() -> onnx.ModelProto:
    return letterbox_part(DetectorSettings(input_px=160))


SIZES = {
    (720, 1160): 2,
    (640, 501): 2,
    (331, 507): 1,
    (322, 331): 1,  # a mean ends in a half for every fourth
    (319, 160): 0,
    (160, 160): 0,
    (97, 61): 0,  # enlarged
    (1, 5): 0,
    (33, 1000): 2,  # a row fills no block
    (1301, 1290): 3,
}


@pytest.mark.parametrize(("size", "halvings"), SIZES.items())
def test_the_letterbox_is_opencvs_bit_for_bit(
    small_letterbox: onnx.ModelProto, size: tuple[int, int], halvings: int
) -> None:
    frames = noise(2, *size)
    image, scale = run(small_letterbox, frame=frames)
    for got, given in zip(image, frames, strict=True):
        expected, box = letterbox(given, 160)
        assert box.halvings == halvings
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(scale, np.array([box.scale_x, box.scale_y], np.float32))


def candidates(seed: int, anchors: int = 1500) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Crowds of tilted quads around a few places, of all scores."""
    random = SEED(seed)
    centre = random.uniform(40, 600, (12, 2))[random.integers(0, 12, anchors)]
    quads = centre[:, None] + [[-30, -10], [30, -12], [32, 10], [-28, 12]] + random.normal(0, 4, (anchors, 4, 2))
    boxes = np.concatenate([quads.min(1), quads.max(1)], 1) + random.normal(0, 2, (anchors, 4))
    return tuple(a.astype(np.float32) for a in (random.uniform(0, 1, anchors), boxes, quads))  # type: ignore[return-value]


@pytest.mark.parametrize(("vote", "most"), [(0.7, 50), (None, 3)])
def test_plates_are_decoded_as_numpy_does(vote: float | None, most: int) -> None:
    settings = DetectorSettings(score_threshold=0.45, nms_iou=0.4, max_plates=most, corner_vote=vote)
    both = [candidates(1), candidates(2)]
    scores, boxes, corners = (np.stack(arrays) for arrays in zip(*both, strict=True))
    scores[0, 7] = np.float32(0.45)  # just enough
    corners[0, 7] += 1000
    scores[1, 3], scores[1, 4], scores[1, 5] = np.nan, 0.99, 0.98
    corners[1, 4, 0, 0], boxes[1, 5, 2] = np.nan, np.inf
    scale = np.array([0.5, 0.25], np.float32)
    inputs = {"network_scores": scores, "network_boxes": boxes, "network_corners": corners, "scale": scale}
    frame_index, found, score, box = run(plates_part(settings), **inputs)
    mapping = Letterbox(0.5, 0.25, (1, 1), (1, 1))
    scores[1, 3:6], corners[1, 4], boxes[1, 5] = 0, 0, 0  # a graph cannot refuse them, so it leaves them out
    for image in (0, 1):
        expected = decode_detections(scores[image], boxes[image], corners[image], settings)
        own = frame_index == image
        assert own.sum() == len(expected) and len(expected) >= 3
        np.testing.assert_array_equal(score[own], np.array([d.score for d in expected], np.float32))
        np.testing.assert_allclose(found[own], mapping.inverse(np.stack([d.corners for d in expected])), atol=0.01)
        boxes_back = mapping.inverse(np.stack([d.box for d in expected]).reshape(-1, 2, 2)).reshape(-1, 4)
        np.testing.assert_allclose(box[own], boxes_back, atol=0.01)
    assert most == 3 or np.float32(0.45) in score[frame_index == 0]


def test_no_candidate_is_no_plate() -> None:
    nothing = [np.zeros((2, 30, *shape), np.float32) for shape in ((), (4,), (4, 2))]
    names = ("network_scores", "network_boxes", "network_corners")
    inputs = dict(zip(names, nothing, strict=True)) | {"scale": np.ones(2, np.float32)}
    assert [a.shape for a in run(plates_part(DetectorSettings()), **inputs)] == [(0,), (0, 4, 2), (0,), (0, 4)]


@pytest.fixture(scope="module")
def crops() -> onnx.ModelProto:
    return crops_part(RecogniserSettings())


QUADS = [
    [[300, 200], [480, 190], [486, 250], [305, 262]],  # once
    [[100, 300], [1050, 240], [1080, 520], [60, 560]],  # five times larger than the crop
    [[-40, 10], [150, -20], [160, 40], [-30, 70]],  # beyond the frame
    [[500, 600], [520, 500], [900, 560], [880, 680]],  # strong perspective
    [[600, 400], [590, 460], [400, 450], [410, 390]],  # turned
    [[700, 100], [720, 100], [720, 106], [700, 106]],  # much smaller than the crop
]


@pytest.mark.parametrize("margin", [0.04, 0.13])
def test_crops_are_opencvs_bit_for_bit(margin: float) -> None:
    settings = RecogniserSettings(margin=margin)
    frames = np.stack([noise(720, 1160), generated_scenes(1)[0]])
    corners = np.array(QUADS * 2, np.float32) + SEED(1).normal(0, 0.3, (12, 4, 2)).astype(np.float32)
    frame_index = np.repeat([0, 1], 6)
    found, readable = run(crops_part(settings), frames=frames, frame_index=frame_index, corners=corners)
    assert readable.all() and len(found) == 12
    differ = np.stack(
        [
            got != rectify(frames[frame], quad, settings.size, settings.margin)
            for got, quad, frame in zip(found, corners, frame_index, strict=True)
        ]
    )
    # OpenCV solves for the homography, to a millionth of a px: a place there may round to its neighbour of 32.
    assert differ.mean() < 1e-4


def flat() -> Sequence[FloatArray]:
    line = np.array([[0, 0], [10, 10], [20, 20], [0, 10]], np.float32)
    return line, np.zeros((4, 2), np.float32), np.full((4, 2), 3e38, np.float32)


def test_corners_without_a_homography_are_not_readable(crops: onnx.ModelProto) -> None:
    quads = np.stack([np.array(QUADS[0], np.float32), *flat()])
    inputs = {"frames": noise(300, 500)[None], "frame_index": np.zeros(4, np.int64), "corners": quads}
    found, readable = run(crops, **inputs)
    assert readable.tolist() == [True, False, False, False] and found.shape == (4, 48, 192, 3)


def test_the_network_gets_one_crop_where_there_is_no_plate(crops: onnx.ModelProto) -> None:
    inputs = {"frames": noise(30, 50)[None], "frame_index": np.zeros(0, np.int64), "corners": np.zeros((0, 4, 2), "f4")}
    found, readable = run(crops, **inputs)
    assert found.shape == (1, 48, 192, 3) and not found.any() and readable.shape == (0,)


def test_the_temperature_divides_the_characters_logits_alone() -> None:
    logits, readable = SEED(0).normal(0, 3, (3, 4, 6)).astype(np.float32), np.array([True, False])
    (probabilities,) = run(texts_part(RecogniserSettings(temperature=2.0)), logits=logits, readable=readable)
    np.testing.assert_allclose(probabilities[0], softmax(logits[0] / 2), atol=1e-6)
    assert probabilities.shape == (2, 4, 6) and (probabilities[1] == [1, 0, 0, 0, 0, 0]).all()
    (labels,) = run(labels_part(), head=logits[:, 0], readable=readable)
    np.testing.assert_allclose(labels, softmax(logits[:2, 0]), atol=1e-6)

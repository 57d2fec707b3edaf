"""Networks in other runtimes give what torch gives; each is skipped where its extra is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from alpr.detection.model import Scrfd
from alpr.detection.module import torch_detector
from alpr.detection.settings import DetectorSettings
from alpr.export.fixed_shape import FixedShape
from alpr.export.graph_rewriting import PrecisionError, fixed_shapes
from alpr.export.onnx_bundle import export_detector
from alpr.export.targets.ncnn import open_ncnn, planes, without_preparation, write_ncnn
from alpr.export.targets.openvino import open_openvino
from alpr.export.targets.tflite import open_tflite, write_tflite
from alpr.plates.records import FloatArray

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
SHAPE = (1, 64, 96)


@pytest.fixture(scope="module")
def network() -> Scrfd:
    torch.manual_seed(0)
    return Scrfd().eval()


@pytest.fixture(scope="module")
def exported(network: Scrfd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runtimes") / "detector.onnx"
    export_detector(network, path, DetectorSettings(input_px=96))
    return path


def assert_near(found: tuple[FloatArray, ...], network: Scrfd, tolerance: float) -> None:
    for output, expected in zip(found, torch_detector(network)(IMAGES), strict=True):
        assert output.shape == expected.shape
        np.testing.assert_allclose(output, expected, atol=tolerance * max(1, float(np.abs(expected).max())))


def test_openvino_gives_what_torch_gives(request: pytest.FixtureRequest, network: Scrfd) -> None:
    pytest.importorskip("openvino", reason="the extra alpr-train[openvino] is not installed")
    run = open_openvino(request.getfixturevalue("exported"), 1, "f32")
    assert_near(run(IMAGES), network, 1e-4)


def test_tflite_gives_what_torch_gives(network: Scrfd, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch", reason="the extra alpr-train[tflite] is not installed")
    write_tflite(network, SHAPE, tmp_path / "detector.tflite")
    assert_near(open_tflite(tmp_path / "detector.tflite", 1)(IMAGES), network, 1e-4)


def test_ncnn_gives_what_torch_gives(request: pytest.FixtureRequest, network: Scrfd, tmp_path: Path) -> None:
    pytest.importorskip("ncnn", reason="the extra alpr-train[ncnn] is not installed")
    pytest.importorskip("pnnx", reason="the extra alpr-train[ncnn] is not installed")
    model = onnx.load(request.getfixturevalue("exported"))
    onnx.save(without_preparation(fixed_shapes(model, (*SHAPE, 3))), tmp_path / "prepared.onnx")
    write_ncnn(tmp_path / "prepared.onnx", SHAPE, tmp_path, "detector")
    assert_near(open_ncnn(tmp_path / "detector", 1, SHAPE, (2, 3, 4))(IMAGES), network, 1e-2)  # float16 weights


def test_a_network_without_its_preparation_takes_planes(request: pytest.FixtureRequest, network: Scrfd) -> None:
    fixed = fixed_shapes(onnx.load(request.getfixturevalue("exported")), IMAGES.shape)
    session = onnxruntime.InferenceSession(without_preparation(fixed).SerializeToString())
    assert_near(session.run(None, {session.get_inputs()[0].name: planes(IMAGES)}), network, 1e-4)


def test_a_network_whose_normalisation_stands_alone_keeps_it(tmp_path: Path) -> None:
    class Divided(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.conv2d(image.permute(0, 3, 1, 2).float() / 255, torch.ones(2, 3, 3, 3))

    path = tmp_path / "divided.onnx"
    torch.onnx.export(Divided(), (torch.zeros((1, 8, 8, 3), dtype=torch.uint8),), str(path), dynamo=True, verbose=False)
    with pytest.raises(PrecisionError, match="does not begin with a convolution of an image less its mean"):
        without_preparation(onnx.load(path))


def test_a_fixed_shape_pads_the_last_batch_with_grey_and_gives_only_what_was_asked() -> None:
    seen = []

    def run(images: np.ndarray) -> tuple[FloatArray, ...]:
        seen.append(images)
        return (images.astype(np.float32).mean(axis=(1, 2, 3)),)

    batch = np.zeros((3, 2, 4, 3), np.uint8)
    (found,) = FixedShape(run, (2, 4, 4))(batch)
    assert found.shape == (3,) and [images.shape for images in seen] == [(2, 4, 4, 3)] * 2
    assert (seen[1][1] == 128).all() and (seen[0][:, 2:] == 128).all() and not seen[0][:, :2].any()

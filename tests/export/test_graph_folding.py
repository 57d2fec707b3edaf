"""The normalisation of an exported network in its first convolution: the same results from fewer operations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from alpr.export.graph_folding import fold_constants, fold_normalisation
from alpr.layers import normalised_input


class Stem(nn.Module):
    """Convolutions with padding, whose border shows where the padding is no longer the mean colour."""

    def __init__(self, convolutions: int, *, also_alone: bool) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(3, 4, 3, stride=2, padding=1) for _ in range(convolutions))
        self.also_alone = also_alone

    def forward(self, image: Tensor) -> Tensor:
        x = normalised_input(image, torch.float32)
        found = torch.stack([conv(x) for conv in self.convolutions]).sum(0)
        return found + x.mean() if self.also_alone else found


def exported(path: Path, network: nn.Module) -> onnx.ModelProto:
    with torch.no_grad():
        torch.onnx.export(
            network.eval(), (torch.zeros((2, 32, 64, 3), dtype=torch.uint8),), str(path), dynamo=True,
            input_names=["image"], output_names=["found"], opset_version=20, external_data=False, verbose=False,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},),
        )  # fmt: skip
    return onnx.load(path)


def results(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


@pytest.mark.parametrize("convolutions", [1, 2])
def test_a_folded_network_gives_the_same_results_and_divides_no_image(tmp_path: Path, convolutions: int) -> None:
    torch.manual_seed(0)
    model = exported(tmp_path / "stem.onnx", Stem(convolutions, also_alone=False))
    image = np.random.default_rng(1).integers(0, 256, (3, 32, 96, 3), dtype=np.uint8)
    before, nodes = results(model, image), len(model.graph.node)
    assert fold_normalisation(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(results(model, image), before, atol=2e-6)
    kinds = {node.op_type for node in model.graph.node}
    assert "Div" not in kinds and "GatherND" not in kinds and len(model.graph.node) <= nodes - 3
    named = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= named  # the unfolded weights are gone
    assert not fold_normalisation(model)


def test_a_network_that_takes_the_image_elsewhere_too_stays_as_it_is(tmp_path: Path) -> None:
    model = exported(tmp_path / "stem.onnx", Stem(1, also_alone=True))
    before = model.SerializeToString()
    assert not fold_normalisation(model)
    assert model.SerializeToString() == before


class Constant(nn.Module):
    """An image's mean colour times what needs no image: a normalised product of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.norm = nn.Parameter(torch.randn(3, 64)), nn.LayerNorm(64)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = image.float().mean((1, 2)) @ self.norm(self.weight).softmax(-1)
        return found


def test_what_no_image_changes_is_computed_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = exported(tmp_path / "constant.onnx", Constant())
    assert {"LayerNormalization", "Softmax"} <= {node.op_type for node in model.graph.node}
    folded = fold_constants(model)
    onnx.checker.check_model(folded, full_check=True)
    assert not {"LayerNormalization", "Softmax"} & {node.op_type for node in folded.graph.node}
    assert {entry.domain for entry in folded.opset_import} == {""}
    for size in ((1, 32, 64, 3), (3, 64, 96, 3)):
        image = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
        np.testing.assert_allclose(results(folded, image), results(model, image), atol=2e-5)

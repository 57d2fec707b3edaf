"""An ONNX network in fewer bits or with fixed shapes. The contract stays: uint8 in, float32 out, the same names.

float16 halves what is stored: the weights become float32 again when a session loads them. int8 is computed in int8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx.utils
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

from alpr.export.graph_folding import fold_constants
from alpr.plates.records import ImageBatch
from alpr.reader.sessions import CPU, ONE_BY_ONE

HALVED_FROM = 256
"""Values of a float32 constant from which it is worth halving; scales and shapes stay as they are."""
SEVEN_BITS = True
"""Weights of int8 take 7 bits: without VNNI a processor adds two products in 16 bits, where 8-bit weights overflow."""


class PrecisionError(ValueError):
    """A network that cannot be converted as asked; the sentence says why."""


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with its weights stored as float16, each behind a Cast that a session folds away when it loads."""
    result = lean(model)
    casts = []
    for constant in result.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < HALVED_FROM:
            continue
        name, half = constant.name, f"{constant.name}_float16"
        limit = np.finfo(np.float16).max
        constant.CopyFrom(numpy_helper.from_array(np.clip(values, -limit, limit).astype(np.float16), half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], f"{name}_float32", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *result.graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def quantised_detector(
    model: onnx.ModelProto, batches: Iterable[ImageBatch], kept: Sequence[str] = ()
) -> onnx.ModelProto:
    """The network with its convolutions in int8: static, per channel, activations scaled to what `batches` showed.

    Only what lies between the first and the last convolutions is quantised; normalisation and the decoding of boxes
    and corners stay in float32, and what remains of the weights is halved.

    Args:
        batches: (B, H, W, 3) uint8, letterboxed training scenes.
        kept: names of convolutions that stay in float32.

    Raises:
        PrecisionError: no convolution is left to quantise.
    """
    model = lean(model)
    if not set(convolutions(model)) - set(kept):
        raise PrecisionError(
            f"All {len(convolutions(model))} convolutions of the detector are to stay in float32; keep fewer for int8."
        )
    chosen = [name for name in between_convolutions(model) if name not in set(kept)]

    def make(source: Path, target: Path) -> None:
        quantize_static(
            source,
            target,
            _Batches(model.graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=SEVEN_BITS,
            nodes_to_quantize=chosen,
        )

    return halved(_by_file(model, make))


def quantised_recogniser(model: onnx.ModelProto, kept: Sequence[str] = ()) -> onnx.ModelProto:
    """The network with its linear layers in int8, activations scaled as they come; the other weights are halved.

    One scale serves a whole batch, so the file asks for its crops one by one.
    """

    def make(source: Path, target: Path) -> None:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=SEVEN_BITS,
            nodes_to_exclude=list(kept),
        )

    result = halved(_by_file(model, make))
    onnx.helper.set_model_props(result, {ONE_BY_ONE: "activations share one scale per batch"})
    return result


def fixed_shapes(model: onnx.ModelProto, shape: Sequence[int]) -> onnx.ModelProto:
    """The network for inputs of one shape (B, H, W, 3); what only depends on the shape is computed once and for all.

    Raises:
        PrecisionError: a shape that the network does not take.
    """
    source = lean(model)
    given = source.graph.input[0]
    try:
        make_input_shape_fixed(source.graph, given.name, list(shape))
        for output in source.graph.output:
            output.type.tensor_type.ClearField("shape")
        result = fold_constants(source)
        found = onnxruntime.InferenceSession(result.SerializeToString(), _quiet(), providers=[CPU]).run(
            None, {given.name: np.zeros(shape, np.uint8)}
        )
    except Exception as error:  # ONNX Runtime's exceptions share no narrower parent
        raise PrecisionError(f"The network {source.graph.name!r} does not take {list(shape)}: {error}") from error
    for output, value in zip(result.graph.output, found, strict=True):
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, value.shape))
    return result


def _quiet() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options


def without_preparation(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network from its first convolution on: float32 (B, 3, H, W) BGR less 127.5 instead of uint8 (B, H, W, 3).

    For runtimes without uint8; `alpr.export.targets.ncnn.planes` prepares what it takes. The shapes must be fixed,
    and the normalisation folded (`fold_normalisation`).

    Raises:
        PrecisionError: a network that begins with no convolution of an image less its mean.
    """
    first = next((node for node in model.graph.node if node.op_type == "Conv"), None)
    before = [node for node in model.graph.node if first is not None and first.input[0] in node.output]
    if first is None or [node.op_type for node in before] != ["Sub"]:
        raise PrecisionError(
            f"The network {model.graph.name!r} does not begin with a convolution of an image less its mean; its "
            f"normalisation cannot be left out."
        )
    inferred = onnx.shape_inference.infer_shapes(model)
    names = [output.name for output in model.graph.output]
    return onnx.utils.Extractor(inferred).extract_model([first.input[0]], names)


def lean(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without what only the exporter knew of its nodes, a tenth of the file; every node has a name."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.value_info[:]
    for number, node in enumerate(result.graph.node):
        del node.metadata_props[:]
        node.doc_string = ""
        node.name = node.name or f"{node.op_type}_{number}"
    return result


def convolutions(model: onnx.ModelProto) -> list[str]:
    """The names of the convolutions, in the order of the graph."""
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def last_convolutions(model: onnx.ModelProto) -> list[str]:
    """The names of those behind which there is no other: a detector's predictions."""
    ahead = _ancestors(model, [node for node in model.graph.node if node.op_type == "Conv"])
    return [name for name in convolutions(model) if name not in ahead]


def between_convolutions(model: onnx.ModelProto) -> list[str]:
    """The names of the convolutions and of all nodes from the first of them to the last."""
    behind: set[str] = set()  # values that a convolution's output went into
    names = []
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    ahead = _ancestors(model, nodes)
    for node in model.graph.node:
        if node.op_type == "Conv" or (behind.intersection(node.input) and node.name in ahead):
            behind.update(node.output)
            names.append(node.name)
    return names


def _ancestors(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """The names of the nodes on whose results those of others depend."""
    needed = {value for node in nodes for value in node.input}
    found: set[str] = set()
    for node in reversed(model.graph.node):  # a graph lists its nodes in the order in which they run
        if needed.intersection(node.output):
            found.add(node.name)
            needed.update(node.input)
    return found


def operators(model: onnx.ModelProto) -> str:
    """The operators and how often each stands in the graph, with the opset: what a runtime must know to run it."""
    opsets = ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)
    counts = Counter(node.op_type for node in model.graph.node)
    return f"opset {opsets}: " + ", ".join(f"{name} x {count}" for name, count in sorted(counts.items()))


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    def __init__(self, name: str, batches: Iterable[ImageBatch]) -> None:
        self.feeds: Iterator[Mapping[str, ImageBatch]] = ({name: batch} for batch in batches)

    def get_next(self) -> Mapping[str, ImageBatch] | None:
        return next(self.feeds, None)


def _by_file(model: onnx.ModelProto, make: Any) -> onnx.ModelProto:
    """What `make` writes from one file to another."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        onnx.save(lean(model), source)
        make(source, target)
        return onnx.load(target)

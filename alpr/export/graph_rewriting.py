"""What the export targets change in an ONNX network, and the names of its nodes.

The contract stays: uint8 in, float32 out, the same names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

from alpr.export.graph_folding import fold_constants
from alpr.reader.sessions import CPU

HALVED_FROM = 256
"""Values of a float32 constant from which it is worth halving; scales and shapes stay as they are."""


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

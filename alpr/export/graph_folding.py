"""What an exported network need not compute each time: constants, and the normalisation of its first convolution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from alpr.reader.sessions import CPU

Constants: TypeAlias = Mapping[str, onnx.TensorProto]
"""The initialisers of a graph by name."""


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with everything computed that no input changes, in the operators of ONNX alone."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
        result = onnx.load(path)
    used = {node.domain for node in result.graph.node}
    opsets = [entry for entry in result.opset_import if entry.domain in used]
    del result.opset_import[:]
    result.opset_import.extend(opsets)
    return result


def fold_normalisation(model: onnx.ModelProto) -> bool:
    """Takes the order of the channels and the division of `layers.normalised_input` into the first convolution.

    conv(W, (x[rgb] - m) / d) is conv(W[bgr] / d, x - m). The subtraction stays: padding is 0 behind it, as it was.

    Returns:
        whether it was done: not where anything but convolutions takes the normalised image.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    divisions = [node for node in graph.node if node.op_type == "Div" and _divides_an_image(node, made)]
    if len(divisions) != 1 or divisions[0].input[1] not in constants:
        return False
    [division] = divisions
    takers = [node for node in graph.node if division.output[0] in node.input]
    fits = [n.op_type == "Conv" and n.input[0] == division.output[0] and n.input[1] in constants for n in takers]
    if not takers or not all(fits):
        return False
    by = numpy_helper.to_array(constants[division.input[1]])
    swap = _channel_swap(made[made[division.input[0]].input[0]], made, constants)
    for conv in takers:
        weights = numpy_helper.to_array(constants[conv.input[1]]) / by
        folded = np.ascontiguousarray(weights[:, ::-1] if swap is not None else weights, np.float32)
        name = f"{conv.input[1]}.folded"
        graph.initializer.append(numpy_helper.from_array(folded, name))
        conv.input[0], conv.input[1] = division.input[0], name
    if swap is not None:
        made[made[division.input[0]].input[0]].input[0] = swap
    _drop_unused(graph)
    return True


def _divides_an_image(division: onnx.NodeProto, made: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether it divides what a cast image became by a subtraction."""
    difference = made.get(division.input[0])
    cast = None if difference is None or difference.op_type != "Sub" else made.get(difference.input[0])
    return cast is not None and cast.op_type == "Cast"


def _channel_swap(cast: onnx.NodeProto, made: Mapping[str, onnx.NodeProto], constants: Constants) -> str | None:
    """What stands before planes 2, 1, 0 are gathered for a cast, (B, C, H, W); None where no such node is found.

    The exporter writes it as Transpose, GatherND, Transpose: the planes come to the front and go back.
    """
    back = made.get(cast.input[0])
    gather = made.get(back.input[0]) if back is not None and back.op_type == "Transpose" else None
    front = made.get(gather.input[0]) if gather is not None and gather.op_type == "GatherND" else None
    if gather is None or front is None or front.op_type != "Transpose" or gather.input[1] not in constants:
        return None
    order = numpy_helper.to_array(constants[gather.input[1]]).ravel().tolist()
    permutations = [list(node.attribute[0].ints) for node in (front, back) if node is not None and node.attribute]
    return front.input[0] if order == [2, 1, 0] and permutations == [[1, 0, 2, 3]] * 2 else None


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Removes nodes and initialisers whose results nothing takes."""
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # nodes stand behind those that they take from
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    used = [tensor for tensor in graph.initializer if tensor.name in wanted]
    for field, items in ((graph.node, kept[::-1]), (graph.initializer, used)):
        copies = [type(item).FromString(item.SerializeToString()) for item in items]
        del field[:]
        field.extend(copies)

"""The least time a photograph could take: its decoding, and the networks' multiply-adds at the core's measured peak."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from alpr.files import WEIGHT_BYTES, read_regular
from alpr.reader.sessions import CPU, open_session

MATRIX = 1024
"""Side of the matrices whose product shows the peak: large enough for full speed, small enough for the cache."""


@dataclass(frozen=True)
class Floor:
    """What no program can undercut on this core, with these networks in float32.

    Attributes:
        decode_ms: median decoding of the images' files.
        detector_gmac, recogniser_gmac: multiply-adds (10^9) of a look at `size` (height, width), and of one plate.
        peak_gmac_s: multiply-adds (10^9) per second of a matrix product in ONNX Runtime, the best of many.
        ms: the sum.
        share: of the measured median that the floor is.
    """

    decode_ms: float
    size: tuple[int, int]
    detector_gmac: float
    recogniser_gmac: float
    peak_gmac_s: float
    ms: float
    share: float


def floor_of(
    files: tuple[Path, Path], size: tuple[int, int], crop: tuple[int, int], decode_ms: float, whole_ms: float
) -> Floor:
    """The floor of a bundle's two ONNX files on one thread.

    Args:
        files: the detector's and the recogniser's.
        size: (height, width) px of the detector's input.
        crop: (height, width) px of the recogniser's.
        decode_ms, whole_ms: medians measured in the same run.
    """
    detector, recogniser = (multiply_adds(f, (1, *s, 3)) / 1e9 for f, s in zip(files, (size, crop), strict=True))
    peak = peak_gmac_s()
    ms = decode_ms + 1000 * (detector + recogniser) / peak
    figures = (round(value, 4) for value in (detector, recogniser, peak, ms, ms / whole_ms))
    return Floor(round(decode_ms, 3), size, *figures)


def multiply_adds(path: Path, shape: Sequence[int]) -> int:
    """The multiply-adds of an ONNX file's convolutions and matrix products for an input of this shape.

    The shapes are those of a run: a dynamic graph computes some of its own.
    """
    model = onnx.load_from_string(read_regular(path, WEIGHT_BYTES))
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "MatMulInteger", "Gemm")]
    names = {name for node in products for name in (node.output[0], *node.input[:2])} - set(weights)
    names -= {value.name for value in (*model.graph.input, *model.graph.output)}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in sorted(names))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it would complain about what the graph does not need
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    outputs = [output.name for output in session.get_outputs()]
    batch = np.zeros(shape, np.uint8)
    values = session.run(outputs, {session.get_inputs()[0].name: batch})
    shapes = {**weights, **{name: value.shape for name, value in zip(outputs, values, strict=True)}}
    shapes[session.get_inputs()[0].name] = shape
    return sum(_work(node.op_type, *(shapes[n] for n in (node.output[0], *node.input[:2]))) for node in products)


def _work(kind: str, output: Sequence[int], given: Sequence[int], weight: Sequence[int]) -> int:
    """Multiply-adds of one node: every output is a sum over the weight's inputs, or over the product's inner side."""
    return math.prod(output) * (math.prod(weight[1:]) if kind == "Conv" else given[-1])


def peak_gmac_s(rounds: int = 12) -> float:
    """Multiply-adds (10^9) per second of one thread: the best of some products of two matrices in ONNX Runtime."""
    matrix = helper.make_tensor_value_info("a", TensorProto.FLOAT, [MATRIX, MATRIX])
    product = helper.make_tensor_value_info("c", TensorProto.FLOAT, [MATRIX, MATRIX])
    values = np.random.default_rng(0).standard_normal((MATRIX, MATRIX)).astype(np.float32)
    weight = onnx.numpy_helper.from_array(values, "b")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "peak", [matrix], [product], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peak.onnx"
        onnx.save(model, path)
        session = open_session(path, threads=1)
    times = []
    for _ in range(rounds + 1):
        started = perf_counter()
        session.run(None, {"a": values})
        times.append(perf_counter() - started)
    return float(MATRIX**3 / min(times[1:]) / 1e9)

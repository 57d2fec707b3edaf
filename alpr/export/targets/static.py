"""static: ONNX files of one input shape, with no shape arithmetic left in the graph."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

from alpr.export.fixed_shape import FixedShape
from alpr.export.graph_rewriting import fixed_shapes
from alpr.export.target import Networks, Source, Target
from alpr.files import WEIGHT_BYTES, regular
from alpr.reader.sessions import CPU


def make(source: Source, folder: Path) -> None:
    """Writes detector.onnx and recogniser.onnx.

    Raises:
        PrecisionError: a shape that a network does not take.
    """
    for network in Networks._fields:
        onnx.save(fixed_shapes(source.graph(network), (*source.shape(network), 3)), folder / f"{network}.onnx")


def open_fixed_onnx(path: Path, threads: int) -> FixedShape:
    """An ONNX file of one shape, in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    whole = str(regular(path, WEIGHT_BYTES))
    session = onnxruntime.InferenceSession(whole, options, providers=[CPU])
    given = session.get_inputs()[0]
    batch, height, width = given.shape[:3]
    return FixedShape(lambda images: tuple(session.run(None, {given.name: images})), (batch, height, width))


def open_static(source: Source, folder: Path, threads: int) -> Networks:
    """The two networks, in ONNX Runtime."""
    return Networks(*(open_fixed_onnx(folder / f"{network}.onnx", threads) for network in Networks._fields))


TARGET = Target(open_static, make, one_shape=True)

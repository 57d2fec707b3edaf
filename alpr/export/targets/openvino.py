"""openvino: the bundle's ONNX files in OpenVINO, in bfloat16 where the processor has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from alpr.export.target import Networks, Outputs, RuntimeFailed, Source, Target, module_of_extra
from alpr.plates.records import ImageBatch


def open_openvino(path: Path, threads: int, precision: str | None = None) -> Callable[[ImageBatch], Outputs]:
    """An ONNX file in OpenVINO, on the CPU.

    Args:
        precision: "f32", or None for what OpenVINO takes for the fastest: bfloat16 where the processor has it.

    Raises:
        RuntimeMissing: OpenVINO is not installed.
        RuntimeFailed: a file that it cannot read.
    """
    openvino: Any = module_of_extra("openvino", "openvino")
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    try:
        network = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise RuntimeFailed(f"{path} cannot be read by OpenVINO: {error}") from error

    def run(batch: ImageBatch) -> Outputs:
        found = network(batch)
        return tuple(np.array(found[output]) for output in network.outputs)  # its own memory is written anew

    return run


def open_bundle(source: Source, folder: Path, threads: int, precision: str | None = None) -> Networks:
    """The bundle's two networks in OpenVINO."""
    return Networks(*(open_openvino(source.file(network), threads, precision) for network in Networks._fields))


TARGET = Target(open_bundle, extra="openvino", modules=("openvino",))

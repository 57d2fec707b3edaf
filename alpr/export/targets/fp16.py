"""fp16: the weights are stored as float16; a session makes float32 of them when it loads."""

from __future__ import annotations

from pathlib import Path

import onnx

from alpr.export.graph_rewriting import halved
from alpr.export.target import Networks, Source, Target, open_onnx


def make(source: Source, folder: Path) -> None:
    """Writes detector.onnx and recogniser.onnx."""
    for network in Networks._fields:
        onnx.save(halved(source.graph(network)), folder / f"{network}.onnx")


TARGET = Target(open_onnx, make, precision="fp16", for_reader=True)

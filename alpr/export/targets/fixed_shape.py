"""A network that another runtime runs, as the callable that `Detector` and `Recogniser` take.

Some runtimes take one shape only: smaller images are laid on a canvas of that shape, as a letterbox does. Each runtime
is an extra of this package and is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np
import onnxruntime

from alpr.images.prepare import GREY
from alpr.plates.records import FloatArray, ImageBatch

Outputs: TypeAlias = tuple[FloatArray, ...]
Shape: TypeAlias = tuple[int, int, int]
"""Batch, height and width of a network's input."""


class RuntimeMissing(RuntimeError):
    """A runtime that is not installed; the sentence says how to install it."""


class RuntimeFailed(ValueError):
    """A network that a runtime cannot take, or an input that a network of one shape cannot."""


def extra(module: str, name: str) -> ModuleType:
    """A module of an optional extra.

    Raises:
        RuntimeMissing: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeMissing(
            f"{name} needs the package {module.partition('.')[0]}, which cannot be imported ({error}); "
            f"pip install 'alpr-train[{name}]'."
        ) from error


class FixedShape:
    """A network of one input shape as a callable for any smaller one.

    Args:
        run: (B, H, W, 3) uint8 of exactly this shape -> its outputs.
        shape: B, H and W.
    """

    def __init__(self, run: Callable[[ImageBatch], Outputs], shape: Shape) -> None:
        self.run, self.shape = run, shape

    def __call__(self, batch: ImageBatch) -> Outputs:
        at_once, height, width = self.shape
        count, h, w, channels = batch.shape
        if h > height or w > width:
            raise RuntimeFailed(f"The network takes {height} x {width} px (height x width); found {h} x {w} px.")
        parts = []
        for start in range(0, count, at_once):
            images = batch[start : start + at_once]
            canvas = np.full((*self.shape, channels), GREY, np.uint8)
            canvas[: len(images), :h, :w] = images
            parts.append([output[: len(images)] for output in self.run(canvas)])
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))


def open_fixed_onnx(path: Path, threads: int) -> FixedShape:
    """An ONNX file of one shape, in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    batch, height, width = given.shape[:3]
    return FixedShape(lambda images: tuple(session.run(None, {given.name: images})), (batch, height, width))

"""A bundle's networks in other runtimes, as the callables that `Detector` and `Recogniser` take.

Each runtime is an extra of this package and is imported when it is asked for. TFLite and ncnn take one shape only:
smaller images are laid on a canvas of that shape, as a letterbox does.
"""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, TypeAlias

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
            f"pip install 'alpr[{name}]'."
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


def open_openvino(path: Path, threads: int, precision: str | None = None) -> Callable[[ImageBatch], Outputs]:
    """An ONNX file in OpenVINO, on the CPU.

    Args:
        precision: "f32", or None for what OpenVINO takes for the fastest: bfloat16 where the processor has it.

    Raises:
        RuntimeMissing: OpenVINO is not installed.
        RuntimeFailed: a file that it cannot read.
    """
    openvino: Any = extra("openvino", "openvino")
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


def write_tflite(network: Any, shape: Shape, path: Path) -> None:
    """Writes a torch network, (B, H, W, 3) uint8 -> tensors, as TFLite file of one shape.

    Raises:
        RuntimeMissing: LiteRT's converter is not installed.
    """
    converter: Any = extra("litert_torch", "tflite")
    import torch

    class Flat(torch.nn.Module):
        """The outputs as a plain tuple; a graph has no word for a NamedTuple."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = self.network(images)
            return (found,) if isinstance(found, torch.Tensor) else tuple(found)

    converter.convert(Flat().eval(), (torch.zeros((*shape, 3), dtype=torch.uint8),)).export(str(path))


def open_tflite(path: Path, threads: int) -> FixedShape:
    """A TFLite file, on the CPU.

    Raises:
        RuntimeMissing: LiteRT is not installed.
    """
    litert: Any = extra("ai_edge_litert.interpreter", "tflite")
    network = litert.Interpreter(str(path), num_threads=threads)
    network.allocate_tensors()
    given = network.get_input_details()[0]
    wanted = sorted((d["name"], d["index"]) for d in network.get_output_details())  # "..._output_0_output"

    def run(images: ImageBatch) -> Outputs:
        network.set_tensor(given["index"], images)
        network.invoke()
        return tuple(network.get_tensor(index) for _, index in wanted)

    batch, height, width = (int(side) for side in given["shape"][:3])
    return FixedShape(run, (batch, height, width))


def planes(images: ImageBatch) -> FloatArray:
    """(B, H, W, 3) uint8 to float32 (B, 3, H, W) less 127.5: what every exported network does first, for runtimes that
    take no uint8."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32) - 127.5)


def write_ncnn(prepared: Path, shape: Shape, folder: Path, name: str) -> None:
    """Writes an ONNX file of one shape without its preparation as NAME.ncnn.param and NAME.ncnn.bin, in float16.

    Raises:
        RuntimeMissing: the converter pnnx is not installed.
        RuntimeFailed: a network that pnnx cannot convert.
    """
    pnnx: Any = extra("pnnx", "ncnn")
    batch, height, width = shape
    with TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{name}.onnx"
        source.write_bytes(prepared.read_bytes())
        command = [pnnx.EXEC_PATH, source.name, f"inputshape=[{batch},3,{height},{width}]", "fp16=1"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        param = Path(scratch) / f"{name}.ncnn.param"
        said = (done.stdout + done.stderr).strip().splitlines()
        lacking = [line for line in said if line.startswith(("ignore ", "reshape: target exceeds"))]
        if done.returncode or not param.is_file() or lacking:
            reason = "; ".join(dict.fromkeys(lacking)) or "\n".join(said[-3:])
            raise RuntimeFailed(f"pnnx cannot convert the {name}: {reason}")
        for suffix in ("param", "bin"):
            (folder / f"{name}.ncnn.{suffix}").write_bytes(param.with_suffix(f".{suffix}").read_bytes())


def open_ncnn(stem: Path, threads: int, shape: Shape, dimensions: Sequence[int]) -> FixedShape:
    """An ncnn network, STEM.ncnn.param and STEM.ncnn.bin, on the CPU.

    Args:
        dimensions: of each output, with that of the batch; ncnn itself knows no batch.

    Raises:
        RuntimeMissing: ncnn is not installed.
        RuntimeFailed: files that it cannot read.
    """
    ncnn: Any = extra("ncnn", "ncnn")
    network = ncnn.Net()
    network.opt.num_threads = threads
    if network.load_param(f"{stem}.ncnn.param") or network.load_model(f"{stem}.ncnn.bin"):
        raise RuntimeFailed(f"{stem}.ncnn.param and .bin cannot be read by ncnn.")
    given, wanted = network.input_names()[0], sorted(network.output_names())  # out0, out1, ...

    def run(images: ImageBatch) -> Outputs:
        found = []
        for image in planes(images):
            # An extractor and numpy both point into a Mat's memory: each Mat is held until it has been copied.
            source, extractor = ncnn.Mat(image).clone(), network.create_extractor()
            extractor.input(given, source)
            mats = [extractor.extract(name)[1] for name in wanted]
            found.append([np.array(mat, copy=True) for mat in mats])
        stacked = (np.stack(outputs) for outputs in zip(*found, strict=True))
        return tuple(o.reshape(len(o), *o.shape[o.ndim + 1 - n :]) for o, n in zip(stacked, dimensions, strict=True))

    return FixedShape(run, shape)

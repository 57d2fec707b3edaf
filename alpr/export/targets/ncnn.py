"""ncnn, by way of pnnx; it takes one shape."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from alpr.export.targets.fixed_shape import FixedShape, Outputs, RuntimeFailed, Shape, extra
from alpr.plates.records import FloatArray, ImageBatch


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

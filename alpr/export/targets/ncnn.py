"""ncnn: made by pnnx from the ONNX files, weights stored as float16; it takes one shape and a batch of one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx.utils

from alpr.export.fixed_shape import FixedShape
from alpr.export.graph_folding import fold_normalisation
from alpr.export.graph_rewriting import PrecisionError, fixed_shapes
from alpr.export.target import Networks, Outputs, RuntimeFailed, Shape, Source, Target, module_of_extra
from alpr.plates.records import FloatArray, ImageBatch


def make(source: Source, folder: Path) -> None:
    """Writes a .ncnn.param and a .ncnn.bin of each network.

    Raises:
        RuntimeMissing: the converter pnnx is not installed.
        RuntimeFailed: a network that pnnx cannot convert.
        PrecisionError: a network that begins with no convolution of an image less its mean.
    """
    for network in Networks._fields:
        model, shape = source.graph(network), one_image(source.shape(network))
        fold_normalisation(model)  # in bundles that were exported before it was
        path = folder / f"{network}.onnx"
        onnx.save(without_preparation(fixed_shapes(model, (*shape, 3))), path)
        write_ncnn(path, shape, folder, network)
        path.unlink()


def one_image(shape: Shape) -> Shape:
    """A shape with a batch of one: ncnn knows no batch."""
    return (1, *shape[1:])


def without_preparation(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network from its first convolution on: float32 (B, 3, H, W) BGR less 127.5 instead of uint8 (B, H, W, 3).

    For runtimes without uint8; `planes` prepares what it takes. The shapes must be fixed,
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
    pnnx: Any = module_of_extra("pnnx", "ncnn")
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
    ncnn: Any = module_of_extra("ncnn", "ncnn")
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


def open_folder(source: Source, folder: Path, threads: int) -> Networks:
    """The two networks in ncnn."""
    heads = (3, *(2 for _ in source.card.recogniser.outputs))
    return Networks(
        open_ncnn(folder / "detector", threads, one_image(source.shape("detector")), (2, 3, 4)),
        open_ncnn(folder / "recogniser", threads, one_image(source.shape("recogniser")), heads),
    )


TARGET = Target(open_folder, make, precision="fp16", extra="ncnn", modules=("ncnn", "pnnx"), one_shape=True)

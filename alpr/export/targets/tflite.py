"""tflite: made by LiteRT from the bundle's safetensors; it takes one shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alpr.export.fixed_shape import FixedShape
from alpr.export.target import ConversionError, Networks, Outputs, Shape, Source, Target, module_of_extra
from alpr.plates.records import ImageBatch


def make(source: Source, folder: Path) -> None:
    """Writes detector.tflite and recogniser.tflite.

    Raises:
        ConversionError: a bundle without its safetensors.
        RuntimeMissing: LiteRT's converter is not installed.
    """
    from alpr.runs.weights import SUFFIX
    from alpr.training.runs import load_detector, load_recogniser

    for network, load in (("detector", load_detector), ("recogniser", load_recogniser)):
        weights = source.bundle / f"{network}{SUFFIX}"
        if not weights.is_file():
            raise ConversionError(f"TFLite is made from {weights.name}, which {source.bundle} does not hold.")
        write_tflite(load(weights).network, source.shape(network), folder / f"{network}.tflite")


def write_tflite(network: Any, shape: Shape, path: Path) -> None:
    """Writes a torch network, (B, H, W, 3) uint8 -> tensors, as TFLite file of one shape.

    Raises:
        RuntimeMissing: LiteRT's converter is not installed.
    """
    converter: Any = module_of_extra("litert_torch", "tflite")
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
    litert: Any = module_of_extra("ai_edge_litert.interpreter", "tflite")
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


def open_folder(source: Source, folder: Path, threads: int) -> Networks:
    """The two networks in LiteRT."""
    return Networks(*(open_tflite(folder / f"{network}.tflite", threads) for network in Networks._fields))


TARGET = Target(
    open_folder, make, extra="tflite", modules=("litert_torch", "ai_edge_litert.interpreter"), one_shape=True
)

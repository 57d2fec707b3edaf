"""TFLite, by way of LiteRT; it takes one shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alpr.export.targets.fixed_shape import FixedShape, Outputs, Shape, extra
from alpr.plates.records import ImageBatch


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

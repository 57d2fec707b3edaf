"""int8, computed in int8: the detector's convolutions, scaled to training scenes, and the recogniser's linear layers.

Detector: static QDQ, per channel. Recogniser: dynamic. What remains of the weights is stored as float16.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from alpr.data.manifest import Manifest
from alpr.export.graph_rewriting import (
    PrecisionError,
    between_convolutions,
    convolutions,
    halved,
    last_convolutions,
    lean,
)
from alpr.export.target import ConversionError, Source, Target, open_onnx
from alpr.images.prepare import letterbox, read_image
from alpr.plates.records import ImageBatch
from alpr.reader.card import ModelCard
from alpr.reader.sessions import ONE_BY_ONE

SEVEN_BITS = True
"""Weights of int8 take 7 bits: without VNNI a processor adds two products in 16 bits, where 8-bit weights overflow."""
CALIBRATION_SCENES = 64


def make(source: Source, folder: Path) -> None:
    """Writes detector.onnx and recogniser.onnx.

    Raises:
        ConversionError: no training scenes.
        PrecisionError: no convolution is left to quantise.
    """
    if source.calibration is None:
        raise ConversionError("int8 needs training scenes: give --calibration MANIFEST.")
    detector = source.graph("detector")
    kept = [*convolutions(detector)[: source.keep_first], *last_convolutions(detector)]
    batches = calibration_batches(source.calibration, source.card)
    onnx.save(quantised_detector(detector, batches, kept), folder / "detector.onnx")
    onnx.save(quantised_recogniser(source.graph("recogniser")), folder / "recogniser.onnx")


def calibration_batches(manifest: Manifest, card: ModelCard, count: int = CALIBRATION_SCENES) -> list[ImageBatch]:
    """Scenes spread evenly over a manifest, each letterboxed as the detector gets it: (1, H, W, 3) uint8."""
    scenes = manifest.scenes()
    chosen = np.unique(np.linspace(0, len(scenes) - 1, min(count, len(scenes))).astype(int))
    settings = card.detector
    images = (read_image(scenes[int(i)].image) for i in chosen)
    return [letterbox(image, settings.input_px, settings.multiple)[0][None] for image in images]


def quantised_detector(
    model: onnx.ModelProto, batches: Iterable[ImageBatch], kept: Sequence[str] = ()
) -> onnx.ModelProto:
    """The network with its convolutions in int8: static, per channel, activations scaled to what `batches` showed.

    Only what lies between the first and the last convolutions is quantised; normalisation and the decoding of boxes
    and corners stay in float32, and what remains of the weights is halved.

    Args:
        batches: (B, H, W, 3) uint8, letterboxed training scenes.
        kept: names of convolutions that stay in float32.

    Raises:
        PrecisionError: no convolution is left to quantise.
    """
    model = lean(model)
    if not set(convolutions(model)) - set(kept):
        raise PrecisionError(
            f"All {len(convolutions(model))} convolutions of the detector are to stay in float32; keep fewer for int8."
        )
    chosen = [name for name in between_convolutions(model) if name not in set(kept)]

    def make(source: Path, target: Path) -> None:
        quantize_static(
            source,
            target,
            _Batches(model.graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=SEVEN_BITS,
            nodes_to_quantize=chosen,
        )

    return halved(_by_file(model, make))


def quantised_recogniser(model: onnx.ModelProto, kept: Sequence[str] = ()) -> onnx.ModelProto:
    """The network with its linear layers in int8, activations scaled as they come; the other weights are halved.

    One scale serves a whole batch, so the file asks for its crops one by one.
    """

    def make(source: Path, target: Path) -> None:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=SEVEN_BITS,
            nodes_to_exclude=list(kept),
        )

    result = halved(_by_file(model, make))
    onnx.helper.set_model_props(result, {ONE_BY_ONE: "activations share one scale per batch"})
    return result


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    def __init__(self, name: str, batches: Iterable[ImageBatch]) -> None:
        self.feeds: Iterator[Mapping[str, ImageBatch]] = ({name: batch} for batch in batches)

    def get_next(self) -> Mapping[str, ImageBatch] | None:
        return next(self.feeds, None)


def _by_file(model: onnx.ModelProto, make: Any) -> onnx.ModelProto:
    """What `make` writes from one file to another."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        onnx.save(lean(model), source)
        make(source, target)
        return onnx.load(target)


TARGET = Target(open_onnx, make, precision="int8", calibrated=True, for_reader=True)

"""What an export target is: one file of `alpr/export/targets/`, whose name, with `-` for `_`, is the target's.

The file holds `TARGET`, and is all that a further target needs. It is found by looking into the folder. What opens a
runtime lives here and not in `alpr/reader/`: a `Reader` reads ONNX files alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from alpr.data.manifest import Manifest
from alpr.export import targets
from alpr.files import WEIGHT_BYTES, read_regular
from alpr.plates.records import FloatArray, ImageBatch
from alpr.reader.card import ModelCard
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser

if TYPE_CHECKING:  # the list of targets needs no onnx
    import onnx

ORIGINAL = "fp32"
"""The target that all others are compared with: the bundle as it is."""
Outputs = tuple[FloatArray, ...]
Shape = tuple[int, int, int]
"""Batch, height and width of a network's input."""


class Networks(NamedTuple):
    """The two networks of a target; also their names."""

    detector: Callable[[ImageBatch], Outputs]
    recogniser: Callable[[ImageBatch], Outputs]


class RuntimeMissing(RuntimeError):
    """A runtime that is not installed; the sentence says how to install it."""


class RuntimeFailed(ValueError):
    """A network that a runtime cannot take, or an input that a network of one shape cannot."""


class ConversionError(ValueError):
    """A conversion that cannot be made as asked; the sentence says why."""


@dataclass(frozen=True)
class Source:
    """The float32 bundle that a target is made of, and what was given for making it.

    Attributes:
        fixed: batch, height and width of the detector's input, for targets of one shape.
        calibration: training scenes, for targets whose activations are scaled to them.
        keep_first: a quantised detector's first convolutions that stay in float32.
    """

    bundle: Path
    card: ModelCard
    fixed: Shape | None = None
    calibration: Manifest | None = None
    keep_first: int = 0

    def file(self, network: str) -> Path:
        """The bundle's ONNX file of a network of `Networks`."""
        return self.bundle / self.card.files[network].file

    def graph(self, network: str) -> onnx.ModelProto:
        """The bundle's graph of a network, lean (see `graph_rewriting.lean`)."""
        import onnx

        from alpr.export.graph_rewriting import lean

        return lean(onnx.load_from_string(read_regular(self.file(network), WEIGHT_BYTES)))

    def shape(self, network: str) -> Shape:
        """The one input shape of a network.

        Raises:
            ConversionError: none was given.
        """
        if self.fixed is None:
            raise ConversionError("One input shape is needed: give --static-size HEIGHT WIDTH.")
        return self.fixed if network == "detector" else (self.fixed[0], *self.card.recogniser.size)


@dataclass(frozen=True)
class Target:
    """What a file of `targets/` says of itself.

    Attributes:
        make: writes the two networks of a source into an empty folder, as files whose names begin with those of
            `Networks` and a dot; None for a target that reads the bundle's own files.
        open: the two networks in a folder, as `Detector` and `Recogniser` take them, on so many threads.
        precision: of its weights, of `card.PRECISIONS`.
        extra: the extra of this package that it needs; "" for none.
        modules: what that extra must bring.
        one_shape: whether it takes one input shape only, `Source.fixed`.
        calibrated: whether it needs `Source.calibration`.
        for_reader: whether a `Reader` reads it like any bundle.
    """

    open: Callable[[Source, Path, int], Networks]
    make: Callable[[Source, Path], None] | None = None
    precision: str = ORIGINAL
    extra: str = ""
    modules: tuple[str, ...] = ()
    one_shape: bool = False
    calibrated: bool = False
    for_reader: bool = False


def target_names() -> tuple[str, ...]:
    """The targets that there are, by the files of `targets/`; none is imported."""
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(targets.__path__)))


def target_of(name: str) -> Target:
    """A target by its name.

    Raises:
        ConversionError: no file of `targets/` has this name.
    """
    if name not in target_names():
        raise ConversionError(f"There is no target {name!r}; expected some of {', '.join(target_names())}.")
    found = importlib.import_module(f"{targets.__name__}.{name.replace('-', '_')}").TARGET
    assert isinstance(found, Target), name
    return found


def module_of_extra(module: str, extra: str) -> ModuleType:
    """A module of an optional extra of this package.

    Raises:
        RuntimeMissing: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeMissing(
            f"{extra} needs the package {module.partition('.')[0]}, which cannot be imported ({error}); "
            f"pip install 'alpr-train[{extra}]'."
        ) from error


def open_onnx(source: Source, folder: Path, threads: int) -> Networks:
    """detector.onnx and recogniser.onnx of a folder in the sessions of a `Reader`.

    Raises:
        SessionError: a file that ONNX Runtime cannot load.
    """
    card = source.card
    return Networks(
        OnnxDetector(folder / "detector.onnx", threads),
        OnnxRecogniser(folder / "recogniser.onnx", card.recogniser, len(card.charset), threads),
    )

"""The networks that may read plates, by the name that `model.network.architecture` and a checkpoint give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from alpr.recognition.ctc import MaskOcrCtc
from alpr.recognition.ctc_networks import Crnn, CrnnSettings, LprNet, LprNetSettings
from alpr.recognition.model import MaskOcr, MaskOcrSettings

ReadingNetwork: TypeAlias = MaskOcr | LprNet | Crnn
ARCHITECTURES: dict[str, tuple[type[Any], type[ReadingNetwork]]] = {
    "maskocr": (MaskOcrSettings, MaskOcr),
    "maskocr_ctc": (MaskOcrSettings, MaskOcrCtc),
    "lprnet": (LprNetSettings, LprNet),
    "crnn": (CrnnSettings, Crnn),
}
"""The settings and the network of each; who adds one adds its YAML in configs/model."""
FIRST = "maskocr"
"""What checkpoints hold that do not say."""


def network_class(settings: Mapping[str, Any]) -> type[ReadingNetwork]:
    """The class of a network by its settings, as a configuration or a checkpoint holds them.

    Raises:
        ValueError: an architecture that is not there.
    """
    return _named(settings)[1]


def reading_network(settings: Mapping[str, Any], **given: Any) -> ReadingNetwork:
    """A network with fresh weights.

    Args:
        settings: `architecture` and the settings of that one, as in `MaskOcrSettings` and the others.
        given: settings that the country and the crops decide; they win.

    Raises:
        TypeError: a setting that does not exist.
        ValueError: an architecture that is not there, or a setting out of its range.
    """
    shape, network = _named(settings)
    built: ReadingNetwork = network(shape(**{**{k: v for k, v in settings.items() if k != "architecture"}, **given}))
    return built


def _named(settings: Mapping[str, Any]) -> tuple[type[Any], type[ReadingNetwork]]:
    name = settings.get("architecture", FIRST)
    if name not in ARCHITECTURES:
        raise ValueError(f"model.network.architecture is {name!r}; expected one of {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]

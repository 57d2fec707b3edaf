"""fp32: the bundle as it is, with which the others are compared."""

from __future__ import annotations

from pathlib import Path

from alpr.export.target import Networks, Source, Target
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser


def open_bundle(source: Source, folder: Path, threads: int) -> Networks:
    """The bundle's two networks in the sessions of a `Reader`."""
    card = source.card
    return Networks(
        OnnxDetector(source.file("detector"), threads),
        OnnxRecogniser(source.file("recogniser"), card.recogniser, len(card.charset), threads),
    )


TARGET = Target(open_bundle)

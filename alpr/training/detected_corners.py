"""The detector by whose corners a recogniser's plates are cut, before a training or a preview."""

from __future__ import annotations

from pathlib import Path

from alpr.data.crop_corners import Detect
from alpr.files import file_sha256
from alpr.reader.reader import Reader, bundle_names, find_bundle
from alpr.runs.checkpoints import best_checkpoint
from alpr.training.runs import load_reader


def open_detector(path: Path) -> tuple[Detect, str]:
    """The detector of a bundle (a folder or a name such as `world`), a run folder or a checkpoint, and its SHA-256.

    Raises:
        ValueError: none of these.
    """
    if not path.exists() and str(path) in bundle_names():
        path = find_bundle(path)
    if not path.exists():
        raise ValueError(f"data.detector={path} does not exist; expected a bundle, a run folder or a checkpoint.")
    if (path / "card.json").is_file():
        reader = Reader(path)
        assert reader.card is not None
        return reader.detector.detect, reader.card.detector_file.sha256
    parts = load_reader(detector=path)
    assert parts.detector is not None
    return parts.detector.detect, file_sha256(best_checkpoint(path))

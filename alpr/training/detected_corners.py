"""Cuts the recogniser's plates by a detector's corners before a training or a preview, where its data ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alpr.files import file_sha256
from alpr.reader.parts import PlateDetector
from alpr.reader.reader import Reader
from alpr.recognition.datamodule import RecognitionData


def find_corners(data: Any, folder: Path) -> None:
    """Looks for the plates of a recogniser's data with the detector they name; other data are left alone.

    Args:
        folder: where the table of found corners is kept; it is made.

    Raises:
        ValueError: no bundle, run or checkpoint of that name.
    """
    if not isinstance(data, RecognitionData) or data.detector is None:
        return
    detector, checksum = open_detector(Path(data.detector))
    data.find_corners(detector.detect, folder / f"found_corners_{checksum[:12]}.csv")


def open_detector(path: Path) -> tuple[PlateDetector, str]:
    """The detector of a bundle, a run folder or a checkpoint, and the SHA-256 of its file.

    Raises:
        ValueError: none of these.
    """
    if not path.exists():
        raise ValueError(f"data.detector={path} does not exist; expected a bundle, a run folder or a checkpoint.")
    if (path / "card.json").is_file():
        reader = Reader(path)
        assert reader.card is not None
        return reader.detector, reader.card.detector_file.sha256
    from alpr.training.runs import best_checkpoint, load_reader

    detector = load_reader(detector=path).detector
    assert detector is not None
    return detector, file_sha256(best_checkpoint(path))

"""Labels that the reader cannot print are listed and never scored as misreadings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from alpr.data.manifest import Manifest
from alpr.evaluation.evaluate import evaluate
from alpr.plates.records import FloatArray, ImageArray, Reading
from alpr.reader.parts import Parts

TEXTS = ["AB1", "ab1", "A·1", "A 1", "皖B1", "AB1", "OB1"]


class Reads:
    """Reads AB1 whatever it sees."""

    symbols = frozenset("AB01")

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        return [Reading("AB1", 1.0, (1.0,) * 3) for _ in crops]

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
        return self.read([image] * len(corners))


class ReadsAnything(Reads):
    symbols = None  # type: ignore[assignment]


def manifest(folder: Path, placed: bool) -> Manifest:
    for i in range(len(TEXTS)):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((40, 90, 3), 20 * i, np.uint8))
    corners = [[[5, 5], [80, 5], [80, 30], [5, 30]]] * len(TEXTS) if placed else None
    return Manifest.of(folder, [f"{i}.png" for i in range(len(TEXTS))], text=TEXTS, corners=corners)


@pytest.mark.parametrize("placed", [True, False])
def test_what_cannot_be_printed_is_listed_and_not_scored(tmp_path: Path, placed: bool) -> None:
    scenes = manifest(tmp_path, placed).scenes()
    report = evaluate(Parts(None, Reads()), scenes, crops=("corners",))
    read = [r.on_true_corners if placed else r.on_crop for r in report.plates if r.text]
    assert [r.text for r in report.plates if r.text] == ["AB1", "AB1"] and [r.text for r in read if r] == ["AB1"] * 2
    assert [e.image for e in report.errors] == ["1.png", "2.png", "3.png", "4.png", "6.png"]
    assert "'ab1' holds 'a', 'b'" in report.errors[0].error and "cannot print" in report.errors[0].error
    assert len(report.plates) == (7 if placed else 2)  # places still count for a detector
    anything = evaluate(Parts(None, ReadsAnything()), scenes, crops=("corners",))
    assert sum(bool(r.text) for r in anything.plates) == 7 and not anything.errors


def test_replaced_characters_count_as_printed(tmp_path: Path) -> None:
    report = evaluate(Parts(None, Reads()), manifest(tmp_path, False).scenes(), replaced={"O": "0"})
    assert [r.text for r in report.plates] == ["AB1", "AB1", "0B1"] and len(report.errors) == 4

"""A dozen photographs whose labels and predictions are known, so that every rule of a protocol can be counted by hand.

Every plate's label is the box 100, 100, 200, 140. DB holds a to i, FN holds j, k, l and a once more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from alpr.data.ccpd import CcpdLabel, encode_name
from alpr.data.manifest import Manifest
from alpr.data.several_tables import join_manifests
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, PlateReading, Reading
from alpr.reader.predictions import Labelled, Predicted

LABEL = (100, 100, 200, 140)
AT_070 = (100, 100, 170, 140)  # IoU 2800 / 4000 = 0.7 exactly
AT_060 = (125, 100, 225, 140)  # IoU 3000 / 5000 = 0.6 exactly
AWAY = (400, 400, 500, 440)
TEXTS = {letter: f"皖A1234{i}" for i, letter in enumerate("abcdefghi")} | {
    "j": "皖A12350", "k": "皖A12351", "l": "苏A12352"
}  # fmt: skip


def name_of(letter: str) -> str:
    corners = ((100, 100), (200, 100), (200, 140), (100, 140))
    return encode_name(CcpdLabel(TEXTS[letter], LABEL, corners, "025", "0", "0", str(ord(letter)), "9"))


def labels(folder: Path) -> Manifest:
    """Ten photographs of DB and four of FN; one of these is in both."""
    columns = [("ccpd_db", "abcdefghi"), ("ccpd_fn", "jkla")]
    return join_manifests(
        [
            Manifest.of(
                folder,
                [f"{subset}/{name_of(letter)}" for letter in letters],
                text=[TEXTS[letter] for letter in letters],
                box=np.array([LABEL] * len(letters), float),
                corners=np.stack([box_corners(np.array(LABEL, float))] * len(letters)),
                split="test",
                extra={"subset": subset},
            )
            for subset, letters in columns
        ]
    )


def plate(box: Any, text: str, score: float = 0.9, text_score: float = 0.8, raw: str | None = None) -> PlateReading:
    array = np.array(box, np.float32)
    reading = Reading(text, text_score, (text_score,) * len(text), raw_text=raw)
    return PlateReading(Detection(box_corners(array), array, score), reading)


def given(text: str) -> tuple[Labelled, ...]:
    return (Labelled(0, "corners", Reading(text, 0.9, ())),)


def predictions() -> list[Predicted]:
    """What a system made of them; of d it says nothing at all."""
    t = TEXTS
    found: dict[str, tuple[list[PlateReading], tuple[Labelled, ...]]] = {
        "a": ([plate(LABEL, t["a"])], given(t["a"])),
        "b": ([plate(AT_070, t["b"])], ()),
        "c": ([plate(AT_060, t["c"])], ()),
        "e": ([], ()),
        "f": ([plate(LABEL, "", text_score=0.0)], ()),
        "g": ([plate(LABEL, "苏" + t["g"][1:], text_score=0.995)], ()),  # the province alone is wrong, and surely so
        "h": ([plate(AWAY, t["h"]), plate(LABEL, t["h"])], ()),  # equally good
        "i": ([plate(LABEL, t["i"]), plate(AWAY, "皖B00000")], ()),  # equally good, the other way round
        "j": ([plate(LABEL, t["j"], score=0.5), plate(AWAY, "皖B00000")], ()),  # the best is elsewhere
        "k": ([plate(LABEL, "皖A12357")], given(t["k"])),  # one character, right inside the true corners
        "l": ([plate(LABEL, "苏A00052", raw=t["l"])], ()),  # the grammar spoilt it
    }
    return [
        Predicted(name_of(x), tuple(plates), by_label, line=i)
        for i, (x, (plates, by_label)) in enumerate(found.items(), 1)
    ]

"""How well the network tells plates from background, and reads: the ROC of presence, and texts of windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alpr.baselines.window.data import Windows
from alpr.baselines.window.model import WindowLogits
from alpr.baselines.window.windows import Window, around, background
from alpr.data.crop_corners import hull_of
from alpr.data.decoded_images import Photographs
from alpr.data.manifest import Manifest
from alpr.images.prepare import UnreadableImage
from alpr.plates.country import CountryPack
from alpr.plates.records import ImageArray
from alpr.recognition.decode import read_classes
from alpr.synthetic.renderer import PlateRenderer

FALSE_SHARES = (0.001, 0.01, 0.1)
"""Shares of windows without a plate at which the share of plates found is told."""
RENDERED = 500
BESIDE = 4
"""Windows without a plate that are cut from each photograph."""


class Roc(NamedTuple):
    """Shares (T,) of windows without and with a plate that are called a plate, over falling thresholds, from (0, 0)."""

    false: npt.NDArray[np.float64]
    true: npt.NDArray[np.float64]

    @property
    def area(self) -> float:
        """Below the curve: how often a plate is called more likely one than a window without."""
        return float(np.trapezoid(self.true, self.false))

    def at(self, false: float) -> float:
        """The largest share of plates found with at most so many of the others."""
        return float(self.true[self.false <= false].max())


def roc(scores: npt.ArrayLike, present: npt.ArrayLike) -> Roc:
    """The curve of scores (N,); equal scores are one point.

    Raises:
        ValueError: not both kinds of windows.
    """
    values, there = np.asarray(scores, np.float64), np.asarray(present, bool)
    if there.all() or not there.any():
        raise ValueError(f"{there.sum()} of {len(there)} windows show a plate; expected some with and some without.")
    order = np.argsort(-values, kind="stable")
    last = np.append(values[order][1:] != values[order][:-1], True)  # of equal scores
    true, false = np.cumsum(there[order])[last], np.cumsum(~there[order])[last]
    return Roc(np.append(0, false / (~there).sum()), np.append(0, true / there.sum()))


def figures_of_table(
    logits: Callable[[Sequence[ImageArray]], WindowLogits], pack: CountryPack, manifest: Manifest
) -> Mapping[str, float]:
    """Figures on windows around the plates of a table and beside them, and on rendered plates over its photographs.

    Texts that the pack cannot print, and windows without a text, count for presence alone.
    """
    photographs, rng = Photographs(1280, 400), np.random.default_rng(0)
    real: list[Window] = []
    scenes = manifest.located().scenes()
    for scene in scenes:
        try:
            image, scale = photographs.read(scene.image)
        except UnreadableImage:
            continue
        for plate in scene.plates:
            hull = hull_of(plate)
            window = None if hull is None or plate.ignored else around(image, hull * scale)
            if window is not None:
                real.append(Window(window, True, plate.text or ""))
        real += [Window(background(image, scene.plates, scale, rng), False, "") for _ in range(BESIDE)]
    windows = Windows(scenes, PlateRenderer(pack), photographs)
    half = RENDERED // 2
    rendered = [windows.draw(i < half, np.random.default_rng((7, i))) for i in range(RENDERED)]
    return {**_figures("", logits, pack, real), **_figures("rendered_", logits, pack, rendered)}


def _figures(
    prefix: str,
    logits: Callable[[Sequence[ImageArray]], WindowLogits],
    pack: CountryPack,
    windows: Sequence[Window],
) -> dict[str, float]:
    found = logits([window.grey for window in windows])
    curve = roc(found.presence.numpy(), [window.present for window in windows])
    ids = read_classes(found.slots.numpy())
    printable = set(pack.charset.symbols)
    asked = [i for i, w in enumerate(windows) if w.text and set(w.text) <= printable and len(w.text) <= pack.slots]
    read = [pack.charset.decode([k for k in ids[i].tolist() if k]) == windows[i].text for i in asked]
    told = {
        "windows": len(windows),
        "plates": sum(window.present for window in windows),
        "presence_auc": curve.area,
        **{f"presence_found_at_{share:g}_false": curve.at(share) for share in FALSE_SHARES},
        "texts": len(asked),
        "read": float(np.mean(read)) if read else 0.0,
    }
    return {f"{prefix}{name}": value for name, value in told.items()}

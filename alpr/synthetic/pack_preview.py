"""A sheet of a country's rendered plates: every layout from the front, and the crops that training sees of it."""

from __future__ import annotations

import cv2
import numpy as np

from alpr.plates.records import ImageArray
from alpr.reports.drawing import sheet
from alpr.synthetic.renderer import PlateRenderer

WIDTH = 288
"""px of a picture on the sheet."""


def preview(renderer: PlateRenderer, plates: int, crops: int, seed: int) -> ImageArray:
    """Rows of pictures (H, W, 3): per layout `plates` from the front, then `crops` as training sees them."""
    rng = np.random.default_rng(seed)
    pictures: list[ImageArray] = []
    for layout in renderer.pack.layouts:
        for i in range(plates + crops):
            text = renderer.draw_text_of(layout, rng)
            image = (
                renderer.render(text, layout, rng, scale=0.5)
                if i < plates
                else renderer.crop_of(text, layout, rng, (96, 384) if layout.rows == 1 else (192, 384)).crop
            )
            height = round(image.shape[0] * WIDTH / image.shape[1])
            pictures.append(np.asarray(cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8))
    return sheet(pictures, plates + crops)

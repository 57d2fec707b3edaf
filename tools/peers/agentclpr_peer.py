"""agentclpr, a four-corner detector and a reader of Chinese plates; its wheel ships the weights.

python -m venv ../agentclpr && ../agentclpr/bin/pip install agentclpr onnxruntime
../agentclpr/bin/python tools/peers/agentclpr_peer.py labels.csv predictions.jsonl --split val
alpr evaluate predictions=predictions.jsonl data.manifest=labels.csv data.split=val

The picture is searched at `--long` px, since its detector knows plates of some sizes only; only 640 px was tried.
What it reads of each plate comes from the whole picture. It has no reader of ready-made crops: a crop is the only plate
of a grey picture around it.
"""

from __future__ import annotations

import logging
import math

import cv2
import numpy as np
from agentclpr import CLPSystem
from tables import Plate, options, run


def plain(text: str) -> str:
    """The letters and digits of a text, without the dot behind the second."""
    return "".join(c for c in text.upper() if c.isalnum())


class Peer:
    def __init__(self, long_px: int) -> None:
        self.system, self.long_px = CLPSystem(providers="CPUExecutionProvider"), long_px

    def read(self, image: np.ndarray, crop: bool) -> list[Plate]:
        if crop:
            return self._plates(_framed(image))
        return self._plates(image)

    def _plates(self, image: np.ndarray) -> list[Plate]:
        scale = max(image.shape[:2]) / self.long_px
        small = image if scale <= 1 else cv2.resize(image, None, None, 1 / scale, 1 / scale, cv2.INTER_AREA)
        scale = max(scale, 1.0)
        found = []
        for x1, y1, x2, y2, score, *points in self.system.det(small):
            corners = np.asarray(points, np.float64)[:8].reshape(4, 2) * scale
            text, text_score = self._text(image, np.array([x1, y1, x2, y2]) * scale)
            found.append(Plate(_in_order(corners).tolist(), float(score), text, text_score))
        return found

    def _text(self, image: np.ndarray, box: np.ndarray) -> tuple[str, float]:
        """What `CLPSystem.det_ocr` reads of a box, which that fails to do at the picture's edge."""
        height, width = image.shape[:2]
        x1, y1, x2, y2 = (int(v) for v in box)
        part = image[max(0, y1 - 10) : min(height, y2 + 11), max(0, x1 - 10) : min(width, x2 + 11)]
        if not part.size:
            return "", 0.0
        tall = max(1, int(256 / part.shape[1] * part.shape[0]))
        framed = np.pad(cv2.resize(part, (256, tall)), ((100, 100), (100, 100), (0, 0)), constant_values=255)
        lines = self.system.ocr(framed)
        text = plain("".join(line[1][0] for line in lines))
        return text, math.prod(float(line[1][1]) for line in lines) if text else 0.0


def _framed(crop: np.ndarray) -> np.ndarray:
    """A crop as wide as its detector knows plates, with grey around."""
    wide = cv2.resize(crop, (200, max(40, round(200 * crop.shape[0] / crop.shape[1]))))
    return cv2.copyMakeBorder(wide, 120, 120, 60, 60, cv2.BORDER_CONSTANT, value=(114, 114, 114))


def _in_order(corners: np.ndarray) -> np.ndarray:
    """Four points clockwise from the top left, of a plate that is nearly upright."""
    middle = corners.mean(0)
    turned = corners[np.argsort(np.arctan2(*(corners - middle).T[::-1]))]
    return np.roll(turned, -int(np.argmin(turned.sum(1))), axis=0)


if __name__ == "__main__":
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--long", type=int, default=640, help="px of the picture's long side in which plates are found")
    given = parser.parse_args()
    logging.disable(logging.INFO)  # its reader tells of every box
    run(given, Peer(given.long).read)

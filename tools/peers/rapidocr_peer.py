"""RapidOCR, a general OCR that is told nothing of plates; its wheel ships the weights.

python -m venv ../rapidocr && ../rapidocr/bin/pip install rapidocr onnxruntime
../rapidocr/bin/python tools/peers/rapidocr_peer.py labels.csv predictions.jsonl --split val
alpr evaluate predictions=predictions.jsonl data.manifest=labels.csv data.split=val   # protocol=crops for crops

Of a text only letters and digits are kept, in capitals: separators, dots and frames' words in small print are none of a
plate's text. In a scene every line of text with four characters or more is a plate. A crop is read as it is; where
it is less than one and a half times as wide as high, or nothing is read so, its lines are searched for, and those about
as high as the highest are joined from the top: the small print of a plate's frame is no part of its text.
"""

from __future__ import annotations

import numpy as np
from rapidocr import RapidOCR
from tables import Plate, options, run

LEAST = 4
"""Characters of a line of text in a scene that counts as a plate."""
WIDE = 1.5
"""Width by height from which a crop is read as one line."""
LARGE = 0.6
"""Of the highest line of a crop: how high those are that belong to the plate's text."""


def plain(text: str) -> str:
    """The letters and digits of a text, in capitals."""
    return "".join(c for c in text.upper() if c.isalnum())


class Peer:
    def __init__(self, threads: int) -> None:
        self.ocr = RapidOCR(
            params={
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def lines(self, image: np.ndarray) -> list[Plate]:
        """The lines of text with their places."""
        found = self.ocr(image, use_det=True, use_cls=False, use_rec=True)
        if found.txts is None or found.boxes is None:
            return []
        each = zip(found.boxes, found.txts, found.scores, strict=True)
        return [Plate(box.tolist(), score, plain(text), score) for box, text, score in each]

    def read(self, image: np.ndarray, crop: bool) -> list[Plate]:
        if not crop:
            return [line for line in self.lines(image) if len(line.text) >= LEAST]
        height, width = image.shape[:2]
        if width >= WIDE * height:
            found = self.ocr(image, use_det=False, use_cls=False, use_rec=True)
            if found.txts and plain(found.txts[0]):
                return [Plate([], 1.0, plain(found.txts[0]), float(found.scores[0]))]
        lines = sorted(self.lines(image), key=lambda line: np.mean(line.corners, axis=0)[1])
        if not lines:
            return []
        highest = max(map(_height, lines))
        lines = [line for line in lines if _height(line) >= LARGE * highest]
        return [Plate([], 1.0, "".join(line.text for line in lines), min(line.text_score for line in lines))]


def _height(line: Plate) -> float:
    top_left, _, _, bottom_left = np.asarray(line.corners)
    return float(np.linalg.norm(bottom_left - top_left))


if __name__ == "__main__":
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    run(given, Peer(given.threads).read)

"""Plates read by the program Tesseract, as tutorials do: the crop is made black on white and read as one line."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

import cv2
import numpy as np

from alpr.baselines.ink import dark_on_light, ink_level
from alpr.baselines.methods import NOTHING, as_box, method
from alpr.plates.country import CountryPack
from alpr.plates.records import FloatArray, ImageArray, Reading
from alpr.reader.parts import Parts

PROGRAM = "tesseract"
SECONDS = 30.0
"""A crop that takes longer is not read."""
UNREAD = "?"
"""Stands for the first character where it is left out, so that the others stand in their places."""
_CHARACTER = re.compile(r"class='ocrx_cinfo' title='x_bboxes (\d+) (\d+) (\d+) (\d+); x_conf ([\d.]+)'>([^<]*)<")


@dataclass(frozen=True)
class Tesseract:
    """Reads a crop with the program.

    Attributes:
        program: its path.
        language: a model of the program, such as eng.
        whitelist: the characters that it may print.
        psm: its page segmentation mode: 7 one line, 8 one word, 6 a block of lines.
        binarise: "otsu", "adaptive", or "none".
        leave_out: the left part of a crop that is not read, as that of a province sign; `UNREAD` stands for it.
    """

    program: str
    language: str = "eng"
    whitelist: str = ""
    psm: int = 7
    binarise: str = "otsu"
    leave_out: float = 0.0

    def read_crop(self, crop: ImageArray) -> Reading:
        """The reading of a crop; see `CropReader`.

        Raises:
            ValueError: the program fails; the sentence says what it says.
        """
        left = round(self.leave_out * crop.shape[1])
        page = black_on_white(crop[:, left:], self.binarise)
        characters = self._characters(page)
        if not characters:
            return NOTHING
        height, width = page.shape
        edge, frame = np.array([BORDER, BORDER, BORDER, BORDER]), np.tile([width, height], 2) - 2 * BORDER
        scale = np.tile([(crop.shape[1] - left) / crop.shape[1], 1.0], 2)
        moved = np.tile([left / crop.shape[1], 0.0], 2)
        boxes = [(np.array(box) - edge) / frame * scale + moved for _, _, box in characters]
        text = "".join(symbol for symbol, _, _ in characters)
        shares = tuple(share for _, share, _ in characters)
        places = tuple(as_box(box) for box in boxes)
        if self.leave_out:
            text, shares = UNREAD + text, (1.0, *shares)
            places = ((0.0, 0.0, self.leave_out, 1.0), *places)
        return Reading(text, float(np.prod(shares)), shares, boxes=places)

    def _characters(self, page: ImageArray) -> list[tuple[str, float, FloatArray]]:
        """Every character that was read, its confidence 0..1, and its box in px of the page."""
        _, file = cv2.imencode(".png", page)
        words = [self.program, "stdin", "stdout", "-l", self.language, "--psm", str(self.psm), "--dpi", "300"]
        settings = {"tessedit_create_hocr": "1", "hocr_char_boxes": "1"}
        if self.whitelist:
            settings["tessedit_char_whitelist"] = self.whitelist
        words += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        one_thread = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # its threads wait for each other on crops this small
        try:
            done = subprocess.run(words, input=file.tobytes(), capture_output=True, timeout=SECONDS, env=one_thread)
        except subprocess.TimeoutExpired:
            return []
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ValueError(f"{self.program} failed with {done.returncode}: {' '.join(said)[:300] or 'no word'}")
        found: list[tuple[str, float, FloatArray]] = []
        for x1, y1, x2, y2, share, symbol in _CHARACTER.findall(done.stdout.decode(errors="replace")):
            for character in html.unescape(symbol).strip():
                box = np.array([x1, y1, x2, y2], np.float64)
                found.append((character, min(1.0, float(share) / 100), box))
        return found


BORDER = 12
"""White px round a page: the program loses characters that touch the edge."""


def black_on_white(crop: ImageArray, binarise: str) -> ImageArray:
    """A crop (h, w, 3) as a page (h + 2 border, w + 2 border): dark characters on white, also of a dark plate.

    Args:
        binarise: "otsu", "adaptive" or "none".
    """
    grey = cv2.GaussianBlur(dark_on_light(crop), (3, 3), 0)
    if binarise == "otsu":
        grey = np.where(grey > ink_level(np.asarray(grey, np.uint8)), 255, 0)
    elif binarise == "adaptive":
        block = grey.shape[0] // 2 * 2 + 1
        grey = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, block, 12)
    return np.pad(grey.astype(np.uint8), BORDER, constant_values=255)


def tesseract(
    *,
    country: str,
    language: str,
    psm: int,
    binarise: str,
    leave_out: float,
    size: list[int],
    margin: float,
    program: str = PROGRAM,
) -> Parts:
    """The `tesseract` of `configs/evaluate/baseline`.

    Args:
        country: the pack whose letters and digits are the whitelist.
        size, margin: see `ReadBy`.

    Raises:
        ValueError: the program is not installed, or a setting that it has not.
    """
    found = shutil.which(program)
    if found is None:
        raise ValueError(
            f"The program {program} is not installed; expected it on the PATH: `apt-get install tesseract-ocr`, "
            "`brew install tesseract`."
        )
    if binarise not in ("otsu", "adaptive", "none"):
        raise ValueError(f"binarise is {binarise!r}; expected otsu, adaptive or none.")
    if not 0 <= leave_out < 0.5:
        raise ValueError(f"leave_out is {leave_out!r}; expected 0 up to below 0.5 of a crop's width.")
    pack = CountryPack.find(country)
    whitelist = "".join(c for c in pack.alphabet if language != "eng" or c.isascii())
    reader = Tesseract(found, language, whitelist, psm, binarise, leave_out)
    symbols = None if leave_out else whitelist
    name = f"Tesseract {version_of(found)}"
    return method(
        name, None, reader, size=(size[0], size[1]), margin=margin, symbols=symbols, confusable=pack.confusable
    )


def version_of(program: str) -> str:
    """What the program says of itself, such as 5.3.0."""
    done = subprocess.run([program, "--version"], capture_output=True, timeout=SECONDS)
    words = (done.stdout or done.stderr).decode(errors="replace").split()
    return words[1] if len(words) > 1 else "of unknown version"

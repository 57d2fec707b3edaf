"""Tesseract's crops, its answers as a stand-in program gives them, and the program itself where it is installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from alpr.baselines.ink import dark_on_light
from alpr.baselines.tesseract import BORDER, Tesseract, black_on_white, tesseract
from alpr.plates.records import ImageArray

SETTINGS: dict[str, Any] = {
    "country": "br", "language": "eng", "psm": 7, "binarise": "otsu", "leave_out": 0.0, "size": [64, 256],
    "margin": 0.0,
}  # fmt: skip


def crop(text: str, ink: int = 20, ground: int = 230) -> ImageArray:
    image = np.full((64, 256, 3), ground, np.uint8)
    cv2.putText(image, text, (14, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (ink, ink, ink), 5, cv2.LINE_AA)
    return image


def program(folder: Path, lines: str, code: int = 0) -> Path:
    """A program that writes its words into a file, and answers these lines."""
    path = folder / "tesseract"
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(folder / 'words')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        f"sys.stdin.buffer.read()\nsys.stdout.write({lines!r})\n"
        f"sys.stderr.write('no such language')\nsys.exit({code})\n"
    )
    path.chmod(0o755)
    return path


def character(symbol: str, box: tuple[int, int, int, int], share: float) -> str:
    places = " ".join(map(str, box))
    return f"<span class='ocrx_cinfo' title='x_bboxes {places}; x_conf {share}'>{symbol}</span>\n"


def test_characters_have_confidences_and_places(tmp_path: Path) -> None:
    lines = character("A", (BORDER, BORDER, BORDER + 128, BORDER + 64), 90) + character("&lt;", (140, 12, 268, 76), 50)
    reading = Tesseract(str(program(tmp_path, lines)), whitelist="AB").read_crop(crop("AB"))
    assert (reading.text, reading.characters, reading.score) == ("A<", (0.9, 0.5), pytest.approx(0.45))
    assert reading.boxes[0] == pytest.approx((0, 0, 0.5, 1))
    words = (tmp_path / "words").read_text()
    assert "--psm 7" in words and "tessedit_char_whitelist=AB" in words and "-l eng" in words


def test_what_is_left_out_keeps_its_place(tmp_path: Path) -> None:
    page = 256 - 64 + 2 * BORDER
    lines = character("B", (BORDER, BORDER, page - BORDER, BORDER + 64), 80)
    reading = Tesseract(str(program(tmp_path, lines)), leave_out=0.25).read_crop(crop("AB"))
    assert (reading.text, reading.characters) == ("?B", (1.0, 0.8))
    assert reading.boxes[1] == pytest.approx((0.25, 0, 1, 1))


def test_nothing_is_read_where_nothing_is_answered(tmp_path: Path) -> None:
    reading = Tesseract(str(program(tmp_path, "<html></html>"))).read_crop(crop("AB"))
    assert (reading.text, reading.score, reading.state) == ("", 0.0, "no plate")


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed with 3: no such language"):
        Tesseract(str(program(tmp_path, "", 3))).read_crop(crop("AB"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"program": "no-such-program"}, "no-such-program is not installed; expected it on the PATH: `apt-get install"),
        ({"binarise": "sauvola"}, "binarise is 'sauvola'; expected otsu, adaptive or none"),
        ({"leave_out": 0.7}, "leave_out is 0.7; expected 0 up to below 0.5"),
        ({"country": "narnia"}, "There is no country pack 'narnia'"),
    ],
)
def test_wrong_settings_are_said(wrong: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    there = {"program": str(program(tmp_path, "tesseract 5.3.0"))}
    with pytest.raises(ValueError, match=sentence):
        tesseract(**(SETTINGS | there | wrong))


def test_the_whitelist_is_the_packs_as_far_as_the_model_knows_it(tmp_path: Path) -> None:
    parts = tesseract(**(SETTINGS | {"program": str(program(tmp_path, "tesseract 5.3.0 more")), "country": "cn"}))
    symbols = parts.recogniser.symbols  # type: ignore[union-attr]
    assert parts.name == "Tesseract 5.3.0" and "A" in symbols and "皖" not in symbols and parts.detector is None


@pytest.mark.parametrize("binarise", ["otsu", "adaptive", "none"])
def test_a_dark_plate_is_turned(binarise: str) -> None:
    for ink, ground in ((20, 230), (240, 60)):
        page = black_on_white(crop("AB12", ink, ground), binarise)
        assert page.shape == (64 + 2 * BORDER, 256 + 2 * BORDER)
        assert np.median(page[BORDER:-BORDER]) > 180 and page.min() < 60
    assert np.array_equal(dark_on_light(crop("AB12")), cv2.cvtColor(crop("AB12"), cv2.COLOR_BGR2GRAY))


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="the program tesseract is not installed")
def test_the_program_reads_what_is_drawn() -> None:
    parts = tesseract(**SETTINGS)
    assert parts.recogniser is not None
    (reading,) = parts.recogniser.read([crop("ABX1234")])
    assert reading.text == "ABX1234" and len(reading.boxes) == len(reading.characters) == 7
    left = [box[0] for box in reading.boxes]
    assert left == sorted(left) and 0 < reading.score <= 1

"""Which labelled crops can be used, found before the first step: their text, their size, their file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alpr.images.header import declared_size
from alpr.images.prepare import UnreadableImage, read_image
from alpr.images.tar_members import file_size, read_bytes
from alpr.plates.charset import Charset
from alpr.plates.geometry import plate_height, plate_width
from alpr.recognition.data import LabelledCrop

SMALLEST_PX = (5, 10)
"""The least (height, width) of a plate; nobody reads a smaller one."""


def usable(
    crops: Sequence[LabelledCrop], charset: Charset | None, slots: int, strict: bool = False
) -> tuple[list[LabelledCrop], list[str]]:
    """The crops that can be used, and a sentence about each of the others that names its row.

    Ready-made crops are opened as far as their header; of photographs only the file must be there.

    Args:
        charset: of the texts; None where no text is taught.

    Raises:
        ValueError: strict, and a crop cannot be used.
    """
    kept, refused = [], []
    there: dict[Path, str] = {}
    for crop in crops:
        try:
            if charset is not None:
                charset.encode_padded(crop.text, slots)
            _check_size(crop)
            if crop.image not in there:
                there[crop.image] = _missing(crop.image)
            if there[crop.image]:
                raise UnreadableImage(there[crop.image])
        except ValueError as error:
            sentence = f"{crop.place or crop.image}: {error}"
            if strict:
                raise ValueError(sentence) from error
            refused.append(sentence)
        else:
            kept.append(crop)
    return kept, refused


def _missing(image: Path) -> str:
    try:
        return "" if file_size(image) else f"{image} is empty."
    except OSError as error:
        return f"{image} cannot be read: {error.strerror or error}."


def _check_size(crop: LabelledCrop) -> None:
    if crop.corners is not None:
        height, width = float(plate_height(crop.corners)), float(plate_width(crop.corners))
    else:
        height, width = _crop_size(crop.image)
    if height < SMALLEST_PX[0] or width < SMALLEST_PX[1]:
        raise ValueError(
            f"the plate {crop.text!r} is {width:.0f}x{height:.0f} px; expected at least "
            f"{SMALLEST_PX[1]}x{SMALLEST_PX[0]} px."
        )


def _crop_size(image: Path) -> tuple[int, int]:
    try:
        data = read_bytes(image)
    except OSError as error:
        raise UnreadableImage(f"{image} cannot be read: {error.strerror or error}.") from error
    height, width = declared_size(data) or read_image(data, str(image)).shape[:2]
    return height, width

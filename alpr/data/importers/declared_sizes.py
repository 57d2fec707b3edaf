"""Labels brought to the picture as it is read: the size that they declare, EXIF orientation, and shares of it.

A photograph may have been resized after it was labelled, or labelled as its file stores it, before its EXIF orientation
is applied. Label Studio declares swapped sizes for boxes that are right (HumanSignal/label-studio#6608), so swapped
sizes alone do not say that labels are turned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from alpr.data.columns import Booleans, Floats, ManifestError
from alpr.data.importers.places import Picture, tracked

ORIENTATIONS = ("stored", "upright")


class Frame(NamedTuple):
    """The size of the picture that labels were drawn on, in px; `shares` where they were given as shares of it."""

    height: int
    width: int
    shares: bool = False

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass
class _Found:
    """What was found on the way, with the first image of each kind."""

    scaled: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    either: list[str] = field(default_factory=list)  # swapped, and the labels fit both ways
    unsure: list[str] = field(default_factory=list)  # an orientation that leaves the size as it is


class Placed(NamedTuple):
    """Labels in px of the picture as it is read.

    Attributes:
        box: (N, 4).
        corners: (N, 4, 2).
        faults: why labels cannot be placed, by row.
        notes: sentences on what was scaled or turned.
    """

    box: Floats
    corners: Floats
    faults: dict[int, str]
    notes: list[str]


def place(
    box: Floats,
    corners: Floats,
    images: Sequence[str],
    frames: Mapping[str, Frame],
    picture_of: Callable[[str], Picture | None],
    orientation: str = "",
) -> Placed:
    """Labels as they lie in the pictures.

    Args:
        box: (N, 4), NaN where there is none.
        corners: (N, 4, 2), NaN where there are none.
        images: (N,) the image of each label.
        frames: of images whose labels declare a size.
        picture_of: the picture of an image, None where it is missing or unreadable; then it is not compared.
        orientation: the user's answer for swapped sizes: `stored`, `upright` or "".

    Raises:
        ManifestError: sizes that are swapped where the labels fit both ways, without an answer.
    """
    points = np.concatenate([box.reshape(-1, 2, 2), corners], axis=1)  # (N, 6, 2): opposite corners of the box first
    rows: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        rows.setdefault(image, []).append(i)
    faults, notes = _spread_shares(points, rows, frames, picture_of)
    found = _Found()
    for image, frame in tracked(list(frames.items()), "Comparing sizes", "images"):
        picture = picture_of(image) if image in rows else None
        if picture is None or ((picture.height, picture.width) == frame[:2] and picture.orientation == 1):
            continue
        fault = _bring(points, rows[image], image, frame, picture, orientation, found)
        if fault:
            faults.setdefault(rows[image][0], fault)
    _ask(found, orientation)
    box, corners = points[:, :2].reshape(-1, 4), points[:, 2:]
    # The corners of a box that was turned are two others of its four.
    box = (
        np.concatenate([np.fmin(box[:, :2], box[:, 2:]), np.fmax(box[:, :2], box[:, 2:])], axis=1)
        if found.turned
        else box
    )
    return Placed(box, corners, faults, notes + _notes(found, frames, picture_of))


def _spread_shares(
    points: Floats,
    rows: Mapping[str, Sequence[int]],
    frames: Mapping[str, Frame],
    picture_of: Callable[[str], Picture | None],
) -> tuple[dict[int, str], list[str]]:
    """Makes pixels of labels that are all given as shares; where only some lie within one pixel, these are faults."""
    given = np.nan_to_num(points)
    placed: Booleans = np.isfinite(points).any(axis=(1, 2)) & (given != 0).any(axis=(1, 2))
    within: Booleans = placed & ~(np.abs(given - 0.5) > 0.501).any(axis=(1, 2))
    if not within.any():
        return {}, []
    faults: dict[int, str] = {}
    if (within != placed).any():
        reason = "lies within one pixel; expected pixels, and these are shares of the image's size"
        return {int(i): f"the label {reason}" for i in np.flatnonzero(within)}, []
    for image, own in rows.items():
        size = frames.get(image) or picture_of(image)
        mine = [i for i in own if within[i]]
        if size is None:
            reason = "the label gives shares of the image's size, which is not declared, and the image was not found"
            faults |= dict.fromkeys(mine, reason)
        else:
            points[mine] *= (size.width, size.height)
    return faults, [f"All {int(within.sum()):,} labels gave shares of the image's size, 0 to 1; they were made pixels."]


def _bring(
    points: Floats, own: list[int], image: str, frame: Frame, picture: Picture, orientation: str, found: _Found
) -> str:
    """Scales or turns the labels of an image in place; gives why they cannot be placed, or ""."""
    given = points[own]
    upright = (picture.width, picture.height)
    stored = upright[::-1] if picture.orientation >= 5 else upright
    if _same_ratio(frame.width, frame.height, *upright):
        if picture.orientation != 1 and (picture.orientation < 5 or picture.width == picture.height):
            found.unsure.append(image)
            if orientation == "stored":
                given = _turned(given, frame, picture.orientation)
                found.turned.append(image)
        if (frame.width, frame.height) != upright:
            found.scaled.append(image)
            given = given * (upright[0] / frame.width, upright[1] / frame.height)
    elif _same_ratio(frame.height, frame.width, *upright):
        # the same labels, had they been drawn on the upright picture
        flat = given * ((frame.height / frame.width, frame.width / frame.height) if frame.shares else 1.0)
        fits_upright = _fits(flat, frame.height, frame.width)
        fits_stored = _fits(given, frame.width, frame.height)
        if not np.isfinite(given).any():
            return ""
        if not (fits_upright or fits_stored):
            return f"labels lie outside the {frame} px that they declare, either way; the picture has {_size(upright)}"
        if fits_stored and picture.orientation < 5:
            return (
                f"the labels declare {frame} px, the picture has {_size(upright)} and no EXIF orientation between them"
            )
        if fits_upright and fits_stored:
            found.either.append(image)
        if fits_stored and (not fits_upright or orientation == "stored"):
            given = _turned(given, frame, picture.orientation)
            found.turned.append(image)
        else:
            given = flat
            found.stays.append(image)
        given = given * (upright[0] / frame.height, upright[1] / frame.width)
    else:
        shown = "" if stored == upright else f" ({_size(stored)} before its orientation is applied)"
        return f"the labels declare {frame} px, the picture has {_size(upright)}{shown}: another ratio"
    points[own] = given
    return ""


def _same_ratio(width: float, height: float, other_width: float, other_height: float) -> bool:
    """Whether one size is the other resized, up to the rounding of a side."""
    if width > other_width:
        width, height, other_width, other_height = other_width, other_height, width, height
    return (
        abs(width - height * other_width / other_height) <= 1 or abs(height - width * other_height / other_width) <= 1
    )


def _fits(points: Floats, width: float, height: float) -> bool:
    """Whether points lie in a picture, but for a hundredth of it and a pixel."""
    slack = 1 + 0.01 * np.array([width, height])
    outside: Booleans = (points < -slack) | (points > np.array([width, height]) + slack)
    return not outside.any()


def _turned(points: Floats, frame: Frame, orientation: int) -> Floats:
    """Points of the stored picture, a `frame`, on the upright one, by the EXIF orientation 1 to 8."""
    x, y = points[..., 0], points[..., 1]
    right, low = frame.width - x, frame.height - y
    pairs = {
        2: (right, y),
        3: (right, low),
        4: (x, low),
        5: (y, x),
        6: (low, x),
        7: (low, right),
        8: (y, right),
    }
    return np.stack(pairs[orientation], axis=-1)


def _ask(found: _Found, orientation: str) -> None:
    turned, stays = (len(set(images) - set(found.either)) for images in (found.turned, found.stays))
    unsure = found.either or (found.unsure if turned else [])
    if orientation or not unsure:
        return
    raise ManifestError(
        f"{len(unsure):,} images may have been labelled before or after their EXIF orientation was applied, the first "
        f"{unsure[0]}: the labels fit both ways (those of {turned:,} more fit only the stored "
        f"picture, of {stays:,} only the upright one). Look at one, and give --orientation stored or upright."
    )


def _notes(found: _Found, frames: Mapping[str, Frame], picture_of: Callable[[str], Picture | None]) -> list[str]:
    notes = []
    if found.scaled:
        first = found.scaled[0]
        notes.append(
            f"The labels of {len(found.scaled):,} images declare another size than the picture has, in the same ratio, "
            f"and were scaled (first {first}: {frames[first]} to {picture_of(first)})."
        )
    if found.turned:
        notes.append(
            f"The labels of {len(found.turned):,} images were drawn on the stored picture and were turned as its EXIF "
            f"orientation says (first {found.turned[0]})."
        )
    if found.stays:
        notes.append(
            f"The labels of {len(found.stays):,} images declare width and height swapped and lie right on the upright "
            f"picture; they stay (first {found.stays[0]})."
        )
    return notes


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

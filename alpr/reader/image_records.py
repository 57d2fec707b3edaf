"""The lines of `alpr predict` as plain values, from any process: pools, clusters and notebooks call `read_images`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2

from alpr.images.photograph import Photograph
from alpr.plates.records import PlateReading
from alpr.reader.predictions import plate_record
from alpr.reader.reader import Reader, TimedReading

UNREAD = (ValueError, MemoryError, cv2.error)
"""What one image may raise while others can be read: an unreadable one, or one too large for a step."""


def read_images(
    paths: Sequence[str],
    bundle: str | None = None,
    *,
    keys: tuple[str, ...] = (),
    top: int = 0,
    threads: int = 1,
    **options: Any,
) -> list[dict[str, Any]]:
    """A record for each path, as `alpr predict` writes it; an image that cannot be read has the key error.

    A process opens its networks at its first call and keeps them.

    Args:
        paths: of images, or of members of tar files.
        keys: further keys of a plate, see `alpr.reader.predictions.reading_record`.
        top: how many alternatives of each text.
        threads: per network; one, as there is a process for each core.
        options: see `Reader`.

    Raises:
        OSError, ValueError: a bundle that cannot be opened.
    """
    reader = _reader(bundle, json.dumps({**options, "threads": threads}))
    return [_recorded(reader, str(path), keys, top) for path in paths]


@lru_cache(1)
def _reader(bundle: str | None, options: str) -> Reader:
    cv2.setNumThreads(1)
    return Reader(bundle, **json.loads(options))


def _recorded(reader: Reader, path: str, keys: tuple[str, ...], top: int) -> dict[str, Any]:
    started = perf_counter()
    try:
        photograph = reader.open(path)
        decoded = 1000 * (perf_counter() - started)
        found = reader.read_timed(photograph)
    except UNREAD as error:
        return failure(path, error)
    return image_record(path, found, found.plates, decoded, (*keys, *head_keys(reader)), top)


def failure(path: str | Path, error: BaseException) -> dict[str, str]:
    """The record of an image that cannot be read."""
    return {"image": str(path), "error": str(error).strip()}


def image_record(
    path: str | Path,
    found: TimedReading,
    plates: Sequence[PlateReading],
    decoded: float,
    keys: tuple[str, ...],
    top: int,
) -> dict[str, Any]:
    """An image as it stands in a line of `alpr predict`.

    Args:
        plates: those of it that are given.
        decoded: ms.
        keys, top: see `alpr.reader.predictions.reading_record`.
    """
    height, width = found.photograph.size
    return {
        "image": str(path),
        "width": width,
        "height": height,
        **damage(found.photograph),
        "plates": [plate_record(plate, keys, top) for plate in plates],
        "ms": {stage: round(ms, 2) for stage, ms in found.ms._replace(decode=decoded)._asdict().items()},
    }


def damage(photograph: Photograph) -> dict[str, bool]:
    """The record's further key where a part of the picture is missing from its file."""
    return {"damaged": True} if photograph.damaged else {}


def head_keys(reader: Reader) -> tuple[str, ...]:
    """The record's further keys where the recogniser names country, kind or rows, or says what it cannot read."""
    keys = {"countries": ("country", "country_score"), "kinds": ("kind", "kind_score"), "rows": ("rows",)}
    settings = reader.recogniser.settings
    says = ("state",) if settings.unread or settings.unreadable_below else ()
    return (*(key for output in settings.outputs for key in keys[output]), *says)

"""The lines of `alpr predict` as plain values, from any process: pools, clusters and notebooks call `read_images`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2

from alpr.reader.predictions import head_keys, image_record
from alpr.reader.reader import Reader

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
    found = found._replace(ms=found.ms._replace(decode=decoded))
    return image_record(path, found, (*keys, *head_keys(reader)), top)


def failure(path: str | Path, error: BaseException) -> dict[str, str]:
    """The record of an image that cannot be read."""
    return {"image": str(path), "error": str(error).strip()}

"""The records of a file that W&B leaves offline: LevelDB's log format behind a header of seven bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

BLOCK = 32_768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[bytes]:
    """The bytes of each record; they are messages of `wandb_internal_pb2.Record`."""
    data, at, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:  # no header fits: the rest of the block is filled with zeros
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind not in (FULL, FIRST, MIDDLE, LAST):
            return
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            yield parts
            parts = b""

"""Image files as bytes: files of their own, and members of a tar file that are read by their place in it.

`shard-000003.tar/1536+75310/car.jpg` are the 75,310 bytes from byte 1,536 of `shard-000003.tar` on, an image that was
called car.jpg. Whatever names images by paths can name such a member: no index is loaded, no process keeps a state, and
any image is one read away.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

BLOCK = 512
"""Bytes; a tar file consists of blocks of this size."""
_MEMBER = re.compile(r"(.+\.tar)/(\d+)\+(\d+)/([^/]+)")


class Member(NamedTuple):
    """A file inside a tar file."""

    tar: str
    offset: int  # of its first byte in the tar file
    size: int  # bytes
    name: str  # what it was called before


def member_path(tar: str, offset: int, size: int, name: str) -> str:
    """The path by which a member is read; `member_of` takes it apart."""
    return f"{tar}/{offset}+{size}/{name}"


def member_of(path: str | os.PathLike[str]) -> Member | None:
    """The member that a path names, or None where it names a file of its own."""
    text = os.fspath(path)
    if ".tar" not in text:
        return None
    match = _MEMBER.fullmatch(text.replace(os.sep, "/"))
    return Member(match[1], int(match[2]), int(match[3]), match[4]) if match else None


def is_image_file(path: Path) -> bool:
    """Whether a file, or a member's tar file, is there."""
    member = member_of(path)
    return (path if member is None else Path(member.tar)).is_file()


def file_size(path: Path) -> int:
    """The bytes of a file, or of a member whose tar file is there.

    Raises:
        OSError: no such file.
    """
    member = member_of(path)
    whole = (path if member is None else Path(member.tar)).stat().st_size
    return whole if member is None else member.size


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of a member of a tar file.

    Raises:
        OSError: a file that cannot be read, or a tar file that holds no such member at that place.
    """
    member = member_of(path)
    if member is None:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a third faster than a Path
            return file.read()
    with Path(member.tar).open("rb") as file:
        file.seek(max(0, member.offset - BLOCK))
        found = file.read(BLOCK + member.size)
    # A table beside the shards of another day would give pieces of other images.
    if found[257:262] != b"ustar" or found[124:135] != b"%011o" % member.size or len(found) < BLOCK + member.size:
        raise OSError(errno.EINVAL, f"{member.tar} holds no member of {member.size} bytes at byte {member.offset}")
    return found[BLOCK:]

"""Image files as bytes: files of their own, and members of a tar file that are read by their place in it.

`shard-000003.tar/1536+75310/car.jpg` are the 75,310 bytes from byte 1,536 of `shard-000003.tar` on, an image that was
called car.jpg. Whatever names images by paths can name such a member: no index is loaded, no process keeps a state, and
any image is one read away.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from alpr.files import IMAGE_BYTES, open_regular, read_regular

BLOCK = 512
"""Bytes; a tar file consists of blocks of this size."""
_MEMBER = re.compile(r"(.+\.tar)/(\d{1,18})\+(\d{1,18})/([^/]+)")


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


def members_of(tar: Path) -> Iterator[tuple[str, str]]:
    """The files inside a tar file in their order: their names, and the paths by which they are read.

    Raises:
        OSError, tarfile.TarError: a file that cannot be read, is compressed or is damaged; members before come first.
    """
    with open_regular(tar, sys.maxsize) as file, tarfile.open(fileobj=file, mode="r:") as members:
        while (member := members.next()) is not None:
            members.members.clear()  # type: ignore[attr-defined]  # it keeps every one that it has given
            if member.isreg():
                name = PurePosixPath(member.name).name
                yield member.name, member_path(str(tar), member.offset_data, member.size, name)
        file.seek(members.offset)
        if file.read(BLOCK) != bytes(BLOCK):  # the module takes whatever is no header for the end
            raise tarfile.ReadError(f"no end is marked at byte {members.offset}; it is cut short or damaged")


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


def opened_bytes(path: str | os.PathLike[str]) -> BinaryIO:
    """As `read_bytes`, for whoever needs the first bytes alone; a member is read whole."""
    return open_regular(path, IMAGE_BYTES) if member_of(path) is None else io.BytesIO(read_bytes(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of a member of a tar file.

    Raises:
        OSError: a file that cannot be read, is no regular one or has too many bytes for an image, or a tar file that
            holds no such member at that place.
    """
    member = member_of(path)
    if member is None:
        return read_regular(path, IMAGE_BYTES)
    with open_regular(member.tar, sys.maxsize) as file:
        inside = member.size <= IMAGE_BYTES and member.offset + member.size <= os.fstat(file.fileno()).st_size
        file.seek(max(0, member.offset - BLOCK))
        found = file.read(BLOCK + member.size) if inside else b""  # the size is the path's claim
    # A table beside the shards of another day would give pieces of other images.
    if found[257:262] != b"ustar" or found[124:135] != b"%011o" % member.size or len(found) < BLOCK + member.size:
        raise OSError(errno.EINVAL, f"{member.tar} holds no member of {member.size} bytes at byte {member.offset}")
    return found[BLOCK:]

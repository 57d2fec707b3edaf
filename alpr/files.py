"""Files that are whole or not there, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def packaged(name: str) -> Path:
    """The folder of what travels with the package, `configs` or `model_bin`: in an installed package or a checkout."""
    package = Path(__file__).resolve().parent
    return package / name if (package / name).is_dir() else package.parent / name


class NotWritten(OSError):
    """A file that could not be written; the sentence names it and says why. What stood there before still stands."""


def write_atomically(path: Path, chunks: Iterable[bytes], *, sync: bool = True) -> None:
    """Puts the chunks into a file, whole or not at all; see `whole_file`."""
    with whole_file(path, sync=sync) as temporary, temporary.open("wb") as file:
        file.writelines(chunks)


@contextmanager
def whole_file(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary name in the same folder, of which the file takes the place of `path` when the block ends.

    An error or a kill at any moment leaves the old file, or none, but never a part.

    Args:
        path: the file; its folder must exist.
        sync: whether to wait until the bytes are on the disk; needless for files that can be made again.

    Raises:
        NotWritten: a full disk, a folder that is missing or may not be written to.
    """
    temporary = path.with_name(f".{path.name[-200:]}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        try:
            yield temporary
            if sync:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NotWritten(_sentence(path, error)) from error


def write_json(path: Path, values: object, *, indent: int = 1) -> None:
    """Writes plain values as JSON, whole or not at all; makes the folder.

    Raises:
        NotWritten: a full disk, or a folder that may not be written to.
        ValueError: a number that is not finite.
    """
    text = json.dumps(values, ensure_ascii=False, indent=indent, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [text.encode(), b"\n"])


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path} was not written: the disk is full. Nothing half-written was left; make room and run it again."
    return f"{path} was not written: {error.strerror or error}."

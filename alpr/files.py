"""Files: opened only where they are regular and not too large, written whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"
SMALL_BYTES = 4_000_000
"""The most bytes of a card, a run's record, a country pack and other settings."""
IMAGE_BYTES = 1 << 30
"""The most bytes of an image; one of `images.header.MAX_PIXELS` that is not compressed has fewer."""
LIST_BYTES = 1 << 31
"""The most bytes of a table, a file of labels, a report and predictions."""
WEIGHT_BYTES = 1 << 34
"""The most bytes of a checkpoint and of a network."""


def packaged(name: str) -> Path:
    """The folder of what travels with the package, `configs` or `model_bin`: in an installed package or a checkout."""
    package = Path(__file__).resolve().parent
    return package / name if (package / name).is_dir() else package.parent / name


def open_regular(path: str | os.PathLike[str], most: int) -> io.BufferedReader:
    """A file whose path comes from a table, a card or a command line, open for reading bytes.

    Args:
        most: bytes that it may have; None is read of a larger one.

    Raises:
        OSError: no such file, a larger one, or what is none, such as a folder, a device, a pipe or a socket. Nothing
            waits for it.
    """
    return open(_opened(path, most)[0], "rb")  # noqa: PTH123 - a descriptor, which the file closes


def open_regular_text(
    path: str | os.PathLike[str], most: int, *, encoding: str = "utf-8", newline: str | None = None
) -> io.TextIOWrapper:
    """As `open_regular`, for reading text; see `open` for the encoding and the ends of lines."""
    return io.TextIOWrapper(open_regular(path, most), encoding=encoding, newline=newline)


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """The bytes of a file; see `open_regular`."""
    descriptor, size = _opened(path, most)
    with open(descriptor, "rb") as file:  # noqa: PTH123
        return file.read(size)


def regular(path: Path, most: int) -> Path:
    """The path itself, for what opens files on its own; raises what `open_regular` does."""
    os.close(_opened(path, most)[0])
    return path


def _opened(path: str | os.PathLike[str], most: int) -> tuple[int, int]:
    """A descriptor and the size of the file in bytes."""
    _checked_size(os.stat(path), path, most)  # noqa: PTH116 - before it is opened: some devices act when they are
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(path, flags)
    try:
        size = _checked_size(os.fstat(descriptor), path, most)  # another may stand there by now
        if size == 0 and os.read(descriptor, 1):  # some such files of the system never end
            raise OSError(errno.EINVAL, "it has no size, yet holds something", str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, size


def _checked_size(found: os.stat_result, path: str | os.PathLike[str], most: int) -> int:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"it has {found.st_size} bytes; at most {most} are read", str(path))
    return found.st_size


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


@contextmanager
def hashed_file(path: Path) -> Iterator[Path]:
    """As `whole_file`, with the file's SHA-256 beside it in `hash_file(path)`, for `as_written`.

    That one is written first, with the hash of the file whose place is taken as well: after a kill between the two the
    old file stands there and is still known.
    """
    with whole_file(path) as temporary:
        yield temporary
        now, known = file_sha256(temporary), _known_hashes(path)
        before = file_sha256(path) if path.is_file() else now
        hashes = [now] if before == now or (known and before not in known) else [now, before]
        write_atomically(hash_file(path), ["".join(f"{each}  {path.name}\n" for each in hashes).encode()])


def as_written(path: Path) -> bool | None:
    """Whether a file is one that `hashed_file` put there; None where no hash stands beside it.

    Raises:
        OSError: a file that cannot be read.
    """
    known = _known_hashes(path)
    return None if known is None else file_sha256(path) in known


def hash_file(path: Path) -> Path:
    """Where the hash of a file stands."""
    return path.with_name(f"{path.name}.sha256")


def _known_hashes(path: Path) -> list[str] | None:
    file = hash_file(path)
    if not file.exists():
        return None
    lines = read_regular(file, SMALL_BYTES).decode(errors="replace").splitlines()
    return [line.partition(" ")[0] for line in lines]


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
    """The SHA-256 of a file's bytes in hexadecimal.

    Raises:
        OSError: see `open_regular`.
    """
    with open_regular(path, WEIGHT_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path} was not written: the disk is full. Nothing half-written was left; make room and run it again."
    return f"{path} was not written: {error.strerror or error}."

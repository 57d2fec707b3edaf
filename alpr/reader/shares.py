"""A part of a large run: which images are of it, where its results go, and all parts as one file again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alpr.files import whole_file
from alpr.reader.parquet import PARQUET, need_parquet, records_of, write_parquet

_SHARE = re.compile(r"(\d{1,7})/(\d{1,7})")
_FILE = re.compile(r"-(\d+)-of-(\d+)$")


class ShareError(ValueError):
    """A part that does not exist, or parts that are no whole; the sentence says which."""


@dataclass(frozen=True)
class Share:
    """The part K/N of a run.

    Which part an image is of follows from its path alone, as it is spelt, so every image is of exactly one part,
    whatever else is listed, on any machine and in any order. Parts differ in size by chance, by some thousandths of
    100,000 images.

    Raises:
        ShareError: not 1 <= k <= n.
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n:
            raise ShareError(f"The shard is {self.k}/{self.n}; expected K/N with 1 <= K <= N, such as 3/64.")

    @classmethod
    def parse(cls, text: str) -> Share:
        """A part from `3/64`."""
        found = _SHARE.fullmatch(text)
        if found is None:
            raise ShareError(f"The shard is {text!r}; expected K/N with 1 <= K <= N, such as 3/64.")
        return cls(int(found[1]), int(found[2]))

    def holds(self, image: str) -> bool:
        """Whether an image is of this part."""
        digest = hashlib.blake2b(os.fsencode(image), digest_size=8).digest()
        return int.from_bytes(digest) % self.n == self.k - 1

    def file(self, output: Path) -> Path:
        """Where this part of a result goes: `read-03-of-64.jsonl` of `read.jsonl`."""
        return output.with_name(f"{output.stem}-{self.k:0{len(str(self.n))}}-of-{self.n}{output.suffix}")


def shares_of(output: Path) -> list[Path]:
    """The files of all parts of a result, in their order.

    Raises:
        ShareError: none there, parts of several runs, or parts that are missing or not finished.
    """
    beside = output.parent.glob(f"*{output.suffix}") if output.parent.is_dir() else ()
    found: dict[int, dict[int, Path]] = {}
    for path in beside:
        match = _FILE.search(path.stem)
        if match is not None and path.stem[: match.start()] == output.stem:
            found.setdefault(int(match[2]), {})[int(match[1])] = path
    if len(found) != 1:
        counts = " and ".join(str(n) for n in sorted(found))
        told = f"shards of {counts}" if found else "no shard"
        raise ShareError(
            f"Beside {output} stands {told}; expected those of one run, such as {Share(1, 64).file(output)}."
        )
    ((n, parts),) = found.items()
    missing = [Share(k, n).file(output).name for k in range(1, n + 1) if k not in parts]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ShareError(
            f"{n - len(missing)} of {n} shards of {output} are finished; missing: {', '.join(missing[:5])}{more}. "
            "The same command with --resume finishes one."
        )
    return [parts[k] for k in range(1, n + 1)]


@dataclass
class Merged:
    """What a merge has written: images, those among them that could not be read, and plates."""

    images: int = 0
    failed: int = 0
    plates: int = 0


def merge(output: Path) -> Merged:
    """Joins all parts of a result, the first part's lines first; Parquet where the name ends so, else JSON lines.

    Raises:
        ModuleNotFoundError: Parquet without pyarrow.
        ShareError: see `shares_of`; also a line that is of another part, or an image that is given twice.
        OSError: a file that cannot be read or written.
    """
    parts, merged = shares_of(output), Merged()
    if output.suffix == PARQUET:
        need_parquet()
    with whole_file(output) as temporary:
        if output.suffix == PARQUET:
            write_parquet(_checked(parts, merged), temporary)
        else:
            with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
                for record in _checked(parts, merged):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return merged


def _checked(parts: list[Path], merged: Merged) -> Iterator[dict[str, Any]]:
    for k, path in enumerate(parts, start=1):
        share, seen = Share(k, len(parts)), set[str]()
        for number, record in enumerate(records_of(path), start=1):
            image = record.get("image") if isinstance(record, dict) else None
            if not isinstance(image, str):
                raise ShareError(f"Line {number} of {path} is no result; expected one with the key image.")
            if image in seen or not share.holds(image):
                what = "is given twice" if image in seen else "is of another shard"
                raise ShareError(f"{path}, line {number}: {image} {what}.")
            seen.add(image)
            merged.images += 1
            merged.failed += "error" in record
            merged.plates += len(record.get("plates", ()))
            yield record

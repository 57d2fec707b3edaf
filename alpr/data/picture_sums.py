"""How many pictures a table names, and their bytes: pictures that changed under the same names are noticed by them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from alpr.data.manifest import Manifest
from alpr.images.tar_members import file_size, read_bytes

Sums = dict[str, int | str]


def picture_sums(manifest: Manifest, hashed: bool = False) -> Sums:
    """The pictures of a table that are there: {"pictures": how many, "bytes": of all}, each file once.

    A picture costs a look at the file's size, a few microseconds on a local disk.

    Args:
        hashed: also "sha256", of all pictures' bytes in the order of their names; every file is read.
    """
    bases = [str(folder) for folder in manifest.folders]
    named = zip(manifest.folder_index.tolist(), manifest.image, strict=True)
    found, total, digest = 0, 0, hashlib.sha256()
    for path in sorted({os.path.join(bases[base], image) for base, image in named}):  # noqa: PTH118, faster over many
        try:
            size = file_size(Path(path))
            content = hashlib.sha256(read_bytes(path)).digest() if hashed else b""
        except OSError:  # it is missing, or no file of an image
            continue
        found, total = found + 1, total + size
        digest.update(content)
    sums: Sums = {"pictures": found, "bytes": total}
    return {**sums, "sha256": digest.hexdigest()} if hashed else sums


def changed_pictures(before: dict[str, Sums], now: dict[str, Sums]) -> list[str]:
    """A sentence for each table whose pictures changed, of what is known from both times."""
    return [
        f"{table}: {key} were {sums[key]} and are {now[table][key]}"
        for table, sums in before.items()
        for key in sums
        if key in now.get(table, {}) and now[table][key] != sums[key]
    ]

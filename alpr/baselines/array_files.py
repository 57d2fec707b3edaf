"""The file of a method that was trained: named arrays and plain settings in one safetensors file, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from alpr.files import WEIGHT_BYTES, regular, write_atomically

_SETTINGS, _KIND = "settings", "kind"


class Stored(NamedTuple):
    """What such a file holds."""

    arrays: dict[str, npt.NDArray[Any]]
    settings: dict[str, Any]


def write_arrays(path: Path, kind: str, arrays: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> None:
    """Writes arrays and settings, whole or not at all.

    Args:
        kind: of the method, for `read_arrays`.
    """
    plain = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    metadata = {_KIND: kind, _SETTINGS: json.dumps(dict(settings), ensure_ascii=False)}
    write_atomically(path, [save(plain, metadata=metadata)])


def read_arrays(path: Path, kind: str) -> Stored:
    """The arrays and settings of a file; nothing in it is executed.

    Raises:
        ValueError: a damaged file, or one of another kind.
        OSError: no such file.
    """
    try:
        with safe_open(regular(path, WEIGHT_BYTES), framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        settings = json.loads(metadata.get(_SETTINGS, "null"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    if metadata.get(_KIND) != kind or not isinstance(settings, dict):
        raise ValueError(f"{path} holds {metadata.get(_KIND) or 'something unknown'!r}; expected a {kind}.")
    return Stored(arrays, settings)


def trained_file(run: str | None, name: str, command: str) -> Path:
    """The file of a run folder, or the file itself.

    Args:
        run: as it was given on a command line; None where it was not.
        name: of the file in a run folder.
        command: that trains one.

    Raises:
        ValueError: nothing was given, or nothing is there.
    """
    if run is None:
        raise ValueError(f"Nothing gives baseline.run; expected a run folder of `{command}`.")
    path = Path(run).expanduser()
    found = path / name if path.is_dir() else path
    if not found.is_file():
        raise ValueError(f"baseline.run={run} holds no {name}; expected a run folder of `{command}`.")
    return found

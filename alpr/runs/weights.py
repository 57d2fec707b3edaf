"""Weights to begin another training with: safetensors in half precision, with all that rebuilds the network inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from alpr.files import WEIGHT_BYTES, regular, write_atomically
from alpr.task import TaskModule

SUFFIX = ".safetensors"
_SETTINGS = "hyper_parameters"
_KIND = "kind"


def write_weights(module: TaskModule, path: Path) -> None:
    """Writes a module's weights as float16 and its settings as the file's metadata, whole or not at all.

    Buffers keep their precision: a variance of batch normalisation may exceed what float16 holds.
    """
    state = module.state_dict()
    state |= {name: value.detach().to(torch.float16) for name, value in module.named_parameters()}
    settings = json.dumps(dict(module.hparams), ensure_ascii=False)
    write_atomically(path, [save(state, metadata={_SETTINGS: settings, _KIND: module.kind})])


def read_weights(path: Path) -> dict[str, Any]:
    """The `state_dict` in float32, the `hyper_parameters` and the `kind` of such a file; nothing in it is executed.

    Files from before the kind was written have an empty one.

    Raises:
        ValueError: a damaged file, or one without the settings of a network.
    """
    try:
        with safe_open(regular(path, WEIGHT_BYTES), framework="pt") as file:
            metadata = file.metadata() or {}
            settings = metadata.get(_SETTINGS)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    if settings is None:
        raise ValueError(f"{path} holds no settings of a network; it was not written by this project.")
    restored = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return {"state_dict": restored, _SETTINGS: json.loads(settings), _KIND: metadata.get(_KIND, "")}

"""Checkpoints: found, read and loaded strictly, by the kind of network that they say they hold."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.utils import get_class

from alpr.files import WEIGHT_BYTES, as_written, hash_file, open_regular
from alpr.runs.weights import SUFFIX, read_weights
from alpr.task import TaskModule

M = TypeVar("M", bound=TaskModule)


class RunError(ValueError):
    """A run or checkpoint that cannot be used as asked; the sentence names it."""


def best_checkpoint(path: str | os.PathLike[str]) -> Path:
    """The checkpoint that a path means: itself, or the best of a run folder.

    Raises:
        RunError: neither is there.
    """
    given = Path(path)
    found = given if given.is_file() else given / "checkpoints" / "best.ckpt"
    if not found.is_file():
        raise RunError(f"{given} is no checkpoint and no run folder with checkpoints/best.ckpt.")
    return found


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a file of weights belongs to, if it belongs to one."""
    folder = checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" else folder


def load(path: str | os.PathLike[str], task: type[M]) -> M:
    """The network of a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Args:
        task: the class that trained it.

    Raises:
        RunError: nothing there, another kind of network, or weights that do not fit.
    """
    checkpoint = read_checkpoint(best_checkpoint(path))
    held = kind_of(checkpoint)
    if held != task.kind:
        raise RunError(f"{path} holds the weights of a {held}; expected those of a {task.kind}.")
    return rebuilt(path, checkpoint, task)


def rebuilt(path: str | os.PathLike[str], checkpoint: Mapping[str, Any], task: type[M]) -> M:
    """The network of a checkpoint that was read from a path; see `load`."""
    try:
        module = task(**checkpoint["hyper_parameters"])
        module.load_state_dict(checkpoint["state_dict"], strict=True)
    except (TypeError, RuntimeError) as error:
        raise RunError(f"{path} does not hold a {task.__name__}: {str(error).splitlines()[0]}") from error
    return module.eval()


def named_task(name: str) -> type[TaskModule]:
    """The class of a network of one's own, by its full name, which a person gives and no file.

    Raises:
        RunError: no such class, or one that is no `TaskModule`.
    """
    try:
        found = get_class(name)
    except Exception as error:  # whatever its module raises as it is imported
        raise RunError(f"task={name} cannot be imported: {str(error).splitlines()[0]}") from error
    if not issubclass(found, TaskModule):
        raise RunError(f"task={name} is no alpr.task.TaskModule; expected the class that model._target_ names.")
    return found


def kind_of(checkpoint: Mapping[str, Any]) -> str:
    """The kind of network that a checkpoint holds."""
    return str(checkpoint.get("kind") or _kind_before_it_was_written(checkpoint["hyper_parameters"]))


def _kind_before_it_was_written(settings: Mapping[str, Any]) -> str:
    """The kind that wrote an older checkpoint, by the settings that only it has."""
    own = {"masked_image": "pretrained encoder", "masked_language": "pretrained decoder", "country": "recogniser"}
    return next((kind for key, kind in own.items() if key in settings), "detector")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's, or a safetensors file's, tensors and plain values; nothing in it is executed.

    Raises:
        RunError: a file that is neither, or one that is not as the run wrote it.
    """
    if path.suffix == SUFFIX:
        try:
            return read_weights(path)
        except ValueError as error:
            raise RunError(str(error)) from error
    _check_hash(path)
    try:
        with open_regular(path, WEIGHT_BYTES) as file:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for damaged files
        raise RunError(
            f"{path} cannot be loaded as a checkpoint: {(str(error) or 'it is empty').splitlines()[0]}"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= set(checkpoint):
        raise RunError(f"{path} holds no 'state_dict' and 'hyper_parameters'; it is no checkpoint of this project.")
    settings = checkpoint["hyper_parameters"]
    network = settings.get("network") if isinstance(settings, dict) else None
    if isinstance(network, dict) and network.get("pretrained"):
        network["pretrained"] = False  # the weights are here; a file never chooses what is fetched
    return checkpoint


def _check_hash(path: Path) -> None:
    try:
        found = as_written(path)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.") from error
    if found is None:
        warnings.warn(
            f"{path} has no {hash_file(path).name} beside it, as runs of older versions: "
            "whether it is as it was written is not known.",
            stacklevel=3,
        )
    elif not found:
        raise RunError(
            f"{path} is not as its run wrote it: its SHA-256 is not in {hash_file(path).name} beside it. "
            "It was damaged or replaced; take a copy of both."
        )


def warm_start(module: TaskModule, path: str | os.PathLike[str], only: Sequence[str] | None = None) -> str:
    """Copies the weights of another run into a module; gives a sentence that says which.

    Which parts a network has, and which it takes of another kind, its module says; see `TaskModule`.

    Args:
        only: of the parts that could be taken just these, such as the encoder for another alphabet; None for all.

    Raises:
        RunError: a kind whose weights the module does not take, weights of other shapes, or a part that is not there.
    """
    checkpoint = read_checkpoint(best_checkpoint(path))
    settings = checkpoint["hyper_parameters"]
    try:
        parts = module.parts_of(kind_of(checkpoint), settings)
        if only is not None:
            if not set(only) <= parts:
                raise RunError(f"{path} has the parts {sorted(parts)}; expected those of {sorted(only)}.")
            parts = set(only)
        own = {name: module.part_of(name) for name in module.state_dict()}
        parts &= set(own.values())
        taken = {name: value for name, value in checkpoint["state_dict"].items() if module.part_of(name) in parts}
        taken, new = module.adapted(taken, settings, parts)
    except RunError:
        raise
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error
    fresh = sorted(set(own.values()) - parts)
    kept = {name: value for name, value in module.state_dict().items() if own[name] in fresh}
    try:
        module.load_state_dict({**kept, **taken}, strict=True)
    except RuntimeError as error:
        raise RunError(f"The weights of {path} do not fit this network: {str(error)[:500]}") from error
    module.began_with(parts)
    anew = f"; {' and '.join(fresh)} begin anew" if fresh else ""
    more = f"; {new}" if new else ""
    return f"It begins with the {' and '.join(sorted(parts))} of {path} ({len(taken)} tensors){anew}{more}."

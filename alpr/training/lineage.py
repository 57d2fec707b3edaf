"""What the weights of a file have seen: its training, and the trainings that this one began with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alpr.files import file_sha256
from alpr.reader.card import CARD_FILE, ModelCard, TrainingRun
from alpr.reader.reader import bundle_names, find_bundle
from alpr.runs.checkpoints import RunError, best_checkpoint, run_folder
from alpr.runs.weights import SUFFIX
from alpr.training.record import RunRecord


def begun_with(given: str | Path, kind: str) -> Path:
    """The weights that a run begins with: a run folder or a file as it is given, or a bundle's of the same network.

    Args:
        given: the name of a bundle that travels with the package, such as `world`, is one too.
        kind: of the network that begins.

    Raises:
        RunError: a bundle without such weights; of nothing there, `best_checkpoint` tells.
    """
    path = Path(given).expanduser()
    if not (path / CARD_FILE).is_file() and (path.exists() or str(given) not in bundle_names()):
        return path
    bundle = find_bundle(given)
    weights = bundle / f"{'detector' if kind == 'detector' else 'recogniser'}{SUFFIX}"
    if not weights.is_file():
        raise RunError(f"The bundle {bundle} has no {weights.name}; expected weights that training can begin with.")
    return weights


def line_of(path: str | Path) -> list[dict[str, Any]]:
    """The training of a run folder, a checkpoint or a bundle's safetensors, then those that it began with.

    Returns:
        for each its `name`, the `sha256` of its weights and `data`, the SHA-256 of each manifest by name; of a file of
        unknown training its name and hash alone.

    Raises:
        RunError: nothing there.
        OSError: a file that cannot be read.
    """
    weights = best_checkpoint(path)
    digest = file_sha256(weights)
    record = RunRecord.read(run_folder(weights))
    if record is not None:
        return [
            {"name": record.name, "sha256": digest, "data": dict(record.manifests)},
            *map(dict, record.started_from),
        ]
    found = bundled(weights, digest)
    if found is not None:
        run, data = found
        return [{"name": run.name, "sha256": digest, "data": data}, *map(asdict, run.started_from)]
    return [{"name": weights.name, "sha256": digest, "data": {}}]


def bundled(weights: Path, digest: str) -> tuple[TrainingRun, dict[str, str]] | None:
    """The run of a bundle's safetensors and the data that it read, by the card beside; None for another file.

    Raises:
        CardError: a card that cannot be trusted.
    """
    if weights.suffix != SUFFIX or not (weights.parent / CARD_FILE).is_file():
        return None
    card = ModelCard.read(weights.parent)
    names = {entry.file for entry in card.other_files if entry.sha256 == digest}
    if weights.name not in names or len(card.training) != 2:
        return None
    detector, recogniser = card.training
    run, other = (detector, recogniser) if weights.stem == "detector" else (recogniser, detector)
    foreign = set(texts_of(other.config)) - set(texts_of(run.config))
    # A table that only the other network's configuration names is the other's; what neither names may be of both.
    data = {s.name: s.sha256 for s in card.data if not any(text.endswith(s.name) for text in foreign)}
    return run, data


def texts_of(config: Any) -> Iterator[str]:
    """Every text in plain values."""
    if isinstance(config, str):
        yield config
    elif isinstance(config, Mapping):
        for value in config.values():
            yield from texts_of(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from texts_of(value)

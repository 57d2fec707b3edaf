"""How well a network that is no part of a bundle does: its task gives the figures, which are printed and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alpr.data.several_tables import read_manifest
from alpr.evaluation.command import listed, made_with, named, split_of
from alpr.files import file_sha256, write_json

if TYPE_CHECKING:
    from omegaconf import DictConfig


def evaluate_run(config: DictConfig) -> None:
    """Evaluates `config.run` as `config.task` does it on `config.data`; writes report.json.

    Raises:
        ValueError: no such class or run, another kind of network, or a table that cannot be used.
        OSError: a file that cannot be read or written.
    """
    from alpr.runs.checkpoints import best_checkpoint, load, named_task

    for key, value in (("run", config.run), ("data.manifest", config.data.manifest)):
        if not value:
            raise ValueError(f"Nothing gives {key}; expected a run and a table to evaluate task={config.task} on.")
    run = Path(str(config.run))
    module = load(run, named_task(str(config.task)))
    paths = [Path(p) for p in listed(config.data.manifest)]
    manifest = read_manifest(paths, splits=split_of(config)).select(fold=config.data.fold)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    figures = dict(module.evaluate(manifest))
    model = {"kind": module.kind, "run": f"{run.name} {file_sha256(best_checkpoint(run))}"}
    whole = {"model": model, "manifests": named(paths, manifest), "figures": figures}
    write_json(output / "report.json", {**whole, "made_with": made_with(config)})
    width = max(map(len, figures), default=0)
    print("\n".join(f"{name:<{width}}  {value:g}" for name, value in figures.items()))
    print(f"Written to {output}")

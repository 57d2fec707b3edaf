"""From a run to files, for a network that is no part of a bundle: its task writes them, a record says of what."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alpr import __version__
from alpr.export.from_runs import training_run
from alpr.export.onnx_bundle import put_in_place
from alpr.files import file_sha256, write_json
from alpr.provenance import commit_label
from alpr.runs.checkpoints import RunError, best_checkpoint, load, named_task, run_folder
from alpr.training.record import RunRecord

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXPORT_FILE = "export.json"
"""What lies beside the files: kind, source, training, SHA-256 and the differences that parity found."""


def export_run(config: DictConfig) -> None:
    """Exports `config.run` as `config.task` does it, to `config.output`; the folder is whole or not there.

    Raises:
        RunError: no such class or run, or another kind of network.
        FileExistsError: `output` exists and is no earlier export.
        ValueError: parity does not hold, or a network that is exported otherwise.
    """
    if config.run is None:
        raise RunError("run is not given; expected a run folder, a checkpoint or a safetensors file.")
    output, run = Path(config.output), str(config.run)
    if output.exists() and not (output / EXPORT_FILE).is_file():
        raise FileExistsError(f"{output} exists and is no export (it has no {EXPORT_FILE}); name another folder.")
    module = load(run, named_task(str(config.task)))
    checkpoint = best_checkpoint(run)
    record = RunRecord.read(run_folder(checkpoint))
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        differences = module.export(part)
        files = {path.name: file_sha256(path) for path in sorted(part.iterdir())}
        made = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "alpr": __version__}
        source = {"commit": commit_label(), "checkpoint": file_sha256(checkpoint)}
        training = asdict(training_run(run, record))
        whole = {"kind": module.kind, **made, **source, "training": training, "files": files, "parity": differences}
        write_json(part / EXPORT_FILE, whole)
        put_in_place(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{output}: {', '.join([*files, EXPORT_FILE])}")
    print(f"Parity held: {', '.join(f'{what} {value:.3g}' for what, value in differences.items())}.")

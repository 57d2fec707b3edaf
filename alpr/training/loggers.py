"""What loggers get besides figures: what made the run, and what each validation shows."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from alpr.files import SMALL_BYTES, read_regular
from alpr.reports.markdown import markdown_table
from alpr.runs.checkpoints import RunError

PICTURE, TABLE = ".jpg", ".csv"


def shown_at(folder: Path, epoch: int) -> list[Path]:
    """What the validation of an epoch shows: the files `WHAT/epoch_000.jpg` and `.csv` below the folder of a run."""
    files = folder.glob(f"*/epoch_{epoch:03d}.*")
    return sorted(path for path in files if path.suffix in (PICTURE, TABLE))


def read_table(path: Path) -> tuple[list[str], list[list[str | float]]]:
    """The header and the rows of a table that a validation left; what is a number is one."""
    text = read_regular(path, SMALL_BYTES).decode(errors="replace")
    header, *rows = csv.reader(io.StringIO(text))
    return header, [[_number(cell) for cell in row] for row in rows]


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def connect(logger: Any, made: Mapping[str, Any]) -> None:
    """Opens a logger before the work, and says so where it takes long; it gets what made the run.

    Args:
        made: the resolved configuration, the commit, the command, the hashes of the data and so on.

    Raises:
        RunError: a service that cannot be reached.
    """
    if isinstance(logger, TensorBoardLogger):
        rows = [(key, str(value)) for key, value in flat(made)]
        logger.experiment.add_text("run", markdown_table(("key", "value"), rows))
    if not isinstance(logger, WandbLogger):
        return
    mode = os.environ.get("WANDB_MODE", "online")
    if mode == "online":
        print(
            "Connecting to W&B; without a network it gives up after about 100 s. "
            "WANDB_MODE=offline keeps its files here, logger=csv does without.",
            flush=True,
        )
    try:
        run = logger.experiment
    except Exception as error:  # wandb raises half a dozen kinds
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"W&B cannot be used: {first} Set WANDB_MODE=offline, or give logger=csv.") from error
    if hasattr(run.config, "update"):  # only in the first process
        run.config.update(dict(made), allow_val_change=True)


def flat(values: Mapping[str, Any], at: str = "") -> list[tuple[str, Any]]:
    """Nested values as a list: ("data.root", "datasets")."""
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += flat(value, f"{at}{key}.") if isinstance(value, Mapping) and value else [(f"{at}{key}", value)]
    return rows


class ShowToLoggers(Callback):
    """Gives W&B and TensorBoard the pictures and tables of each validation.

    A task's own callbacks write them until the validation ends, see `shown_at`; it is over before the epoch is.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        for path in shown_at(Path(trainer.default_root_dir), trainer.current_epoch):
            for logger in trainer.loggers:
                _show(logger, path, trainer.global_step - 1)  # the step by which Lightning logs a validation's figures


def _show(logger: Any, path: Path, step: int) -> None:
    name = f"val/{path.parent.name}"
    if isinstance(logger, WandbLogger) and path.suffix == PICTURE:
        logger.log_image(name, [str(path)], step)
    elif isinstance(logger, WandbLogger):
        header, rows = read_table(path)
        logger.log_table(name, header, _alike(rows), step=step)
    elif isinstance(logger, TensorBoardLogger) and path.suffix == PICTURE:
        picture = cv2.imread(str(path))
        if picture is not None:
            logger.experiment.add_image(name, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), step, dataformats="HWC")
    elif isinstance(logger, TensorBoardLogger):
        header, rows = read_table(path)
        logger.experiment.add_text(name, markdown_table(header, [[str(cell) for cell in row] for row in rows]), step)


def _alike(rows: Sequence[Sequence[str | float]]) -> list[list[Any]]:
    """Rows whose columns are of one type each, as W&B wants them: an empty cell is None, digits among letters text."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    for i, column in enumerate(columns):
        if any(isinstance(cell, str) and cell for cell in column):
            columns[i] = [f"{cell:g}" if isinstance(cell, float) else cell for cell in column]
        else:
            columns[i] = [None if cell == "" else cell for cell in column]
    return [list(row) for row in zip(*columns, strict=True)]

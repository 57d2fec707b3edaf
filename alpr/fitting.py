"""One training from its configuration: build, resume, fit, and record what came of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from alpr.callbacks import estimated_seconds, minutes, training_callbacks
from alpr.recognition.module import RecogniserModule
from alpr.runs import RunError, RunRecord, Stopwatch, warm_start
from alpr.training import TaskModule


def fit(config: DictConfig) -> float:
    """Trains as configured and gives the best value of the figure that the run chose by.

    Raises:
        RunError: a run folder that holds another run, or weights that do not fit.
        ValueError: a wrong setting, or data that cannot be used.
        TrainingFailed: a loss that is not finite.
    """
    quiet()
    folder = Path(config.output_dir)
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    record, checkpoint = resumption(folder, config.resume, plain)
    if record is not None and record.status == "finished":
        print(f"{folder} is finished: {record.result}. Give another name to train again.")
        return record.result.get("best", float("nan"))

    L.seed_everything(config.seed, verbose=False)
    torch.set_float32_matmul_precision("high")
    data = instantiate(config.data, _convert_="all")
    module: TaskModule = instantiate(config.model, _convert_="all")
    if isinstance(module, RecogniserModule):
        module.label_entropy = data.label_entropy()
    if config.warm_start is not None and checkpoint is None:
        warm_start(module, config.warm_start)
    callbacks = training_callbacks(folder, module.monitor, **plain["watch"])
    loggers = [instantiate(entry, _convert_="all") for entry in config.logger.values()]
    trainer: L.Trainer = instantiate(config.trainer, callbacks=callbacks, logger=loggers, _convert_="all")
    if record is None:
        record = RunRecord(config.name, plain, config.seed, {data.manifest_name: data.manifest.sha256})
    else:
        record.resumed += 1
    if trainer.is_global_zero:
        record.status = "running"
        record.write(folder)
        print(f"{config.name}: {data.describe()}")
        print(f"About {minutes(estimated_seconds(trainer, module, data))} without validation; everything in {folder}")
    return _fitted(trainer, module, data, record, folder, checkpoint)


def _fitted(
    trainer: L.Trainer, module: TaskModule, data: Any, record: RunRecord, folder: Path, checkpoint: Path | None
) -> float:
    watch, before = Stopwatch(), record.seconds
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        record.status = "stopped" if trainer.interrupted else "finished"
    except BaseException:
        record.status = "failed"
        raise
    finally:
        record.seconds = round(before + watch.seconds, 1)
        record.steps = trainer.global_step
        best = trainer.checkpoint_callbacks[0]
        score = getattr(best, "best_model_score", None)
        figures = {k: round(float(v), 5) for k, v in trainer.callback_metrics.items()}
        record.result = {**figures, "best": float("nan") if score is None else round(float(score), 5)}
        if trainer.is_global_zero:
            record.write(folder)
            print(f"{record.status} after {minutes(record.seconds)}, {record.steps} steps: {record.result}")
    return record.result["best"]


def resumption(folder: Path, resume: str, config: dict[str, Any]) -> tuple[RunRecord | None, Path | None]:
    """The record and the checkpoint to go on from, or None and None for a new run.

    Args:
        resume: "auto" goes on where a run of this folder stands; "never" starts anew in a folder without a run.

    Raises:
        RunError: another word, a folder that holds a run where none is wanted, or one of another configuration.
    """
    if resume not in ("auto", "never"):
        raise RunError(f"resume is {resume!r}; expected 'auto' or 'never'.")
    record = RunRecord.read(folder)
    last = folder / "checkpoints" / "last.ckpt"
    if record is None:
        return None, None
    if resume == "never":
        raise RunError(f"{folder} holds a run ({record.status}); give resume=auto to go on, or another name.")
    for group in ("model", "data", "country", "seed"):
        if record.config.get(group) != config.get(group):
            raise RunError(
                f"{folder} holds a run of another '{group}': {record.config.get(group)}; "
                f"now it is {config.get(group)}. Give another name."
            )
    return record, last if last.is_file() else None


def quiet() -> None:
    """Silences warnings of libraries about choices made on purpose."""
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for text in (".*does not have many workers.*", ".*not resumable.*", ".*isinstance.treespec, LeafSpec.*",
                 ".*Checkpoint directory .* exists.*", ".*Trying to infer the `batch_size`.*"):  # fmt: skip
        warnings.filterwarnings("ignore", text)

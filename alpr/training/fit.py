"""One training from its configuration: build, resume, fit, and record what came of it."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import cv2
import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from alpr.data.picture_sums import changed_pictures
from alpr.files import file_sha256
from alpr.provenance import commit_label, device_name, versions
from alpr.runs.checkpoints import RunError, best_checkpoint, read_checkpoint, warm_start
from alpr.task import Result, TaskData, TaskModule
from alpr.training.callbacks import CONSOLE, BestCheckpoint, WholeFiles, minutes, training_callbacks
from alpr.training.detected_corners import open_detector
from alpr.training.lineage import begun_with, line_of
from alpr.training.metrics_csv import FILE as METRICS_FILE
from alpr.training.metrics_csv import forget_from
from alpr.training.record import RUN_FILE, RunRecord, as_spelt_now, differences, split_of

FREE_KEYS = frozenset((
    "output_dir", "resume", "logger", "hash_pictures", "data.root", "data.workers", "watch.patience", "watch.expected",
    "watch.checkpoint_steps", "calibration_draws", "trainer.accelerator", "trainer.max_epochs",
    "trainer.log_every_n_steps", "trainer.enable_model_summary",
))  # fmt: skip
"""What a resumed run may change. None of it changes what a step learns, save `max_epochs`, of which it is told."""

THREADS = torch.get_num_threads()
"""As the process began, also for the later jobs of a sweep."""
_HELD: list[TextIO] = []


def fit(config: DictConfig) -> float:
    """Trains as configured and gives the best value of the figure that the run chose by.

    Raises:
        RunError: a run folder that holds another run, or weights that do not fit.
        ValueError: a wrong setting, or data that cannot be used.
        TrainingFailed: a loss that is not finite.
    """
    quiet()
    cv2.setNumThreads(1)  # a loader forked beside the threads of OpenCV's pool may wait for them for ever
    torch.set_num_threads(threads_beside(int(config.data.get("workers", 0)), THREADS))
    if getattr(rank_zero_only, "rank", 0) == 0:
        hold(Path(config.output_dir))
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise RunError(f"A value is missing: {error}") from error
    plain = as_spelt_now(plain)
    if plain["trainer"].get("limit_val_batches", 1.0) == 0:
        raise RunError("trainer.limit_val_batches is 0, but validation chooses the checkpoint; expected more.")
    folder = Path(config.output_dir)
    record, checkpoint = resumption(folder, config.resume, plain)
    if record is not None and record.status == "finished" and not wants_more(record, plain):
        print(f"{folder} is finished. Give another name to train again.\n{as_table(results(folder, record))}")
        return _figure(record)

    L.seed_everything(config.seed, verbose=False)
    torch.set_float32_matmul_precision("high")
    data: TaskData = instantiate(config.data, _convert_="all")
    data.prepare(folder, open_detector)
    manifests, pictures = data.manifests, data.pictures(bool(config.hash_pictures))
    module: TaskModule = instantiate(config.model, _convert_="all")
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster with bf16
    module.prepare(data, plain)
    teacher = None if module.teacher_path is None else file_sha256(best_checkpoint(module.teacher_path))
    if record is None:
        fold = plain["data"].get("holdout_fold")
        record = RunRecord(
            config.name, plain, config.seed, manifests, split_of(plain["data"]), fold, teacher, kind=module.kind
        )
    elif record.manifests != manifests:
        raise RunError(f"{folder} was trained on {record.manifests}; now the data are {manifests}. Give another name.")
    elif changed := changed_pictures(record.pictures, pictures):
        raise RunError(f"{folder} was trained on other pictures: {'; '.join(changed)}. Give another name.")
    elif record.teacher != teacher:
        raise RunError(f"{folder} learns from a teacher of SHA-256 {record.teacher}; now it is {teacher}.")
    record.pictures = {**pictures, **record.pictures}
    if config.warm_start is not None and checkpoint is None:
        begin = begun_with(config.warm_start, module.kind)
        print(warm_start(module, begin, config.warm_start_parts))
        record.started_from = line_of(begin)
    return _Fitting(folder, plain, record, checkpoint, module).run(config, data)


class _Fitting:
    """A training about to run, and its record, which is kept up to date on the disk.

    Args:
        checkpoint: to go on from, or None.
    """

    def __init__(
        self, folder: Path, plain: dict[str, Any], record: RunRecord, checkpoint: Path | None, module: TaskModule
    ) -> None:
        self.folder, self.plain, self.record, self.checkpoint = folder, plain, record, checkpoint
        self.module = module
        self._before, self._start = record.seconds, time.monotonic()

    def run(self, config: DictConfig, data: TaskData) -> float:
        module = self.module
        watch = {key: value for key, value in self.plain["watch"].items() if key != "expected"}
        callbacks = training_callbacks(self.folder, module.monitor, module.shown, self.note, **watch)
        self.best = next(c for c in callbacks if isinstance(c, BestCheckpoint))
        loggers = self.loggers(config)
        asked = self.plain["trainer"]
        precision = precision_of(asked.get("precision", "32-true"), str(asked.get("accelerator", "auto")))
        self.trainer: L.Trainer = instantiate(
            config.trainer,
            callbacks=callbacks,
            logger=loggers or False,
            plugins=[WholeFiles()],
            enable_progress_bar=CONSOLE.is_terminal,
            precision=precision,
            default_root_dir=str(self.folder.absolute()),  # where a task's own callbacks write
            _convert_="all",
        )
        step = 0 if self.checkpoint is None else int(read_checkpoint(self.checkpoint)["global_step"])
        data.start_step = step
        if self.trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            for logger in loggers:
                connect(logger)
            print(f"{config.name}: {module.describe()}\n{data.describe()}")
            self.record.precision = str(precision)
            self.announce(step)
            forget_from(self.folder, step)
            print(f"It trains in {precision}; everything in {self.folder}", flush=True)
        return self.fitted(data)

    def loggers(self, config: DictConfig) -> list[Any]:
        """The loggers; a resumed run goes on under its own name in W&B."""
        made = []
        for entry in (config.logger or {}).values():
            wandb = str(entry.get("_target_")).endswith("WandbLogger")
            more = {"id": self.record.run_id, "resume": "allow"} if wandb else {}
            made.append(instantiate(entry, **more, _convert_="all"))
        return made

    def announce(self, step: int) -> None:
        """Says from where a run goes on, and what has changed since it began; writes the record."""
        record = self.record
        if (self.folder / "run.json").is_file():
            record.resumed += 1
            print(f"{self.folder} was {record.status}; it goes on from step {step}.")
            before, now = (c["trainer"].get("max_epochs") for c in (record.config, self.plain))
            if before != now:
                print(f"trainer.max_epochs was {before} and is {now} now: the learning rate's schedule changes.")
            record.config = self.plain
            for what, before, now in (
                ("source", record.commit, commit_label()),
                ("versions", record.versions, versions()),
                ("device", record.device, device_name()),
            ):
                if before != now:
                    print(f"The {what} changed: it began with {before}, now it is {now}. It may not end the same.")
        record.status, record.kind = "running", self.module.kind
        record.write(self.folder)

    @rank_zero_only
    def note(self) -> None:
        """Brings the record on the disk up to date."""
        record, score = self.record, self.best.best_model_score
        record.seconds = round(self._before + time.monotonic() - self._start, 1)
        record.steps = self.trainer.global_step
        if record.status == "failed" and not record.steps and self.checkpoint is None:
            (self.folder / "run.json").unlink(missing_ok=True)  # nothing was learnt: other settings may have the name
            return
        figures = {k: float(v) for k, v in self.trainer.callback_metrics.items() if k.startswith("val/")}
        if figures:
            figures["best"] = float("nan") if score is None else float(score)
            rounded = {k: round(v, 5) if math.isfinite(v) else None for k, v in figures.items()}
            record.result = {**rounded, **self.module.figures()}
        record.write(self.folder)

    def fitted(self, data: TaskData) -> float:
        record = self.record
        try:
            self.trainer.fit(self.module, datamodule=data, ckpt_path=self.checkpoint, weights_only=True)
            record.status = "finished"
        except (SystemExit, KeyboardInterrupt, SIGTERMException):
            record.status = "stopped"
            raise SystemExit(130) from None
        except BaseException:
            record.status = "failed"
            raise
        finally:
            self.note()
            if self.trainer.is_global_zero:
                again = "" if record.status == "finished" else "; the same command goes on from its last checkpoint"
                print(f"{record.status} after {minutes(record.seconds)}, {record.steps} steps{again}.", flush=True)
        if self.trainer.is_global_zero:
            more = self.module.finish(self.folder, data, self.plain)
            shown = (self.module.monitor, *self.module.shown)
            print(as_table([*results(self.folder, record, shown), *more]), flush=True)
        return _figure(record)


def results(folder: Path, record: RunRecord, shown: Sequence[str] = ()) -> list[Result]:
    """What came of a run: its best figure, some of its last validation, and what its task counted.

    Args:
        shown: the figures of the validation.
    """
    table = folder / METRICS_FILE
    last = str(table if table.is_file() else folder / RUN_FILE)
    rows = [
        Result("best of all validations", _shown(record.result.get("best")), str(folder / "checkpoints" / "best.ckpt"))
    ]
    rows += [Result(key.removeprefix("val/"), _shown(record.result.get(key)), last) for key in shown]
    counted = [key for key in record.result if key != "best" and not key.startswith("val/")]
    return rows + [Result(key, _shown(record.result[key]), str(folder / RUN_FILE)) for key in counted]


def as_table(rows: list[Result]) -> str:
    """Rows under their headings; a path at the end of a line, so that it can be copied whole."""
    cells = [Result("what", "value", "where"), *rows]
    what, value = (max(len(row[column]) for row in cells) for column in (0, 1))
    return "\n".join(f"{row.what:<{what}}  {row.value:>{value}}  {row.where}" for row in cells)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def threads_beside(workers: int, threads: int) -> int:
    """The threads of a network beside its loader processes, of so many that there are; at least 1.

    A thread that shares its core with a loader holds all others up at the end of every operation: on two cores with
    one loader a single thread takes a third more steps than two.
    """
    return max(1, threads - workers)


def wants_more(record: RunRecord, plain: dict[str, Any]) -> bool:
    """Whether a finished run is asked for more epochs than it had."""
    before, now = (c["trainer"].get("max_epochs") for c in (record.config, plain))
    return isinstance(before, int) and isinstance(now, int) and now > before


def _figure(record: RunRecord) -> float:
    best = record.result.get("best")
    return float("nan") if best is None else best


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
    found = last if last.is_file() else None
    if getattr(
        rank_zero_only, "rank", 0
    ):  # the first process has looked at the folder, and may have written to it since
        return record, found
    if record is None:
        if found is not None:
            raise RunError(f"{folder} holds checkpoints but no run.json; it cannot be resumed. Give another name.")
        return None, None
    if resume == "never":
        raise RunError(f"{folder} holds a run ({record.status}); give resume=auto to go on, or another name.")
    changed = differences(record.config, config, FREE_KEYS)
    if changed:
        more = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
        raise RunError(
            f"{folder} holds a run of another configuration ({'; '.join(changed[:6])}{more}). Give another name."
        )
    return record, found


def hold(folder: Path) -> None:
    """Keeps a run folder for this process until it ends, so that no second one writes the same checkpoints.

    Raises:
        RunError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / ".lock").open("a")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which loader processes would inherit
    except OSError as error:
        file.close()
        raise RunError(f"{folder}: another process is training here. Wait for it, or give another name.") from error
    _HELD.append(file)  # closing it, as the garbage collector would, gives the folder back


def connect(logger: Any) -> None:
    """Opens a logger before the work, and says so where it takes long.

    Raises:
        RunError: a service that cannot be reached.
    """
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
        _ = logger.experiment
    except Exception as error:  # wandb raises half a dozen kinds
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"W&B cannot be used: {first} Set WANDB_MODE=offline, or give logger=csv.") from error


def precision_of(setting: str | int, accelerator: str) -> str | int:
    """The trainer's precision; "auto" is the fastest that the device computes itself.

    bf16-mixed where it has bfloat16, 16-mixed (with loss scaling) on CUDA devices that have float16 only, with tensor
    cores, and 32-true elsewhere.

    Args:
        accelerator: the trainer's; "cpu" leaves a GPU alone.
    """
    if setting != "auto":
        return setting
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed"
        return "16-mixed" if torch.cuda.get_device_capability() >= (7, 0) else "32-true"
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    return "bf16-mixed" if flags & {"avx512_bf16", "amx_bf16"} else "32-true"


def quiet() -> None:
    """Silences warnings of libraries about choices made on purpose."""
    import logging

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for text in (
        ".*does not have many workers.*",
        ".*not resumable.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*Checkpoint directory .* exists.*",
        ".*Trying to infer the `batch_size`.*",
        ".*is smaller than the logging interval.*",
        ".*transfer_batch_to_device.*",
        ".*`lr_scheduler.step..` before `optimizer.step.*",
        ".*on the `dataloader`. to resume.*",
        ".*sync_dist=True.*",
        "Grad strides do not match bucket view strides.*",
    ):
        warnings.filterwarnings("ignore", text)

"""A training without epochs: a model that is fitted as a whole, such as a linear classifier, in the same run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from alpr.runs.checkpoints import RunError
from alpr.task import Result, TaskData
from alpr.training.fit import as_table, hold, resumption
from alpr.training.record import RUN_FILE, RunRecord, as_spelt_now, split_of


@runtime_checkable
class OnePass(Protocol):
    """What `model._target_` names in place of a `TaskModule`. It makes its file in the folder of the run.

    Attributes:
        kind: of the model, as people say it; run.json holds it.
        monitor: the figure that a sweep sees; higher is better.
    """

    kind: str
    monitor: str

    def fit_whole(self, data: Any, folder: Path) -> Mapping[str, float]:
        """Fits the model and writes its file; gives the figures of what was held back.

        It goes on with what an earlier, stopped call left in the folder.

        Args:
            data: the data module of the run.
        """


def is_one_pass(config: DictConfig) -> bool:
    """Whether a configuration trains such a model."""
    target = config.model.get("_target_") if OmegaConf.is_dict(config.get("model")) else None
    return target is not None and hasattr(get_class(str(target)), "fit_whole")


def fit_one_pass(config: DictConfig) -> float:
    """Fits as configured, records it in run.json, and gives the figure of `monitor`.

    Raises:
        RunError: a run folder that holds another run.
        ValueError: a wrong setting, or data that cannot be used.
    """
    folder = Path(config.output_dir)
    hold(folder)
    try:
        plain: Any = as_spelt_now(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
    except MissingMandatoryValue as error:
        raise RunError(f"A value is missing: {error}") from error
    if config.warm_start is not None:
        raise RunError(f"warm_start is {config.warm_start}, but this model is fitted as a whole; expected null.")
    record, _ = resumption(folder, config.resume, plain)
    if record is not None and record.status == "finished":
        print(f"{folder} is finished. Give another name to train again.")
        return float(record.result.get("best") or 0.0)
    data: TaskData = instantiate(config.data, _convert_="all")
    model: OnePass = instantiate(config.model, _convert_="all")
    manifests = data.manifests
    if record is None:
        fold = plain["data"].get("holdout_fold")
        record = RunRecord(config.name, plain, config.seed, manifests, split_of(plain["data"]), fold, kind=model.kind)
    elif record.manifests != manifests:
        raise RunError(f"{folder} was trained on {record.manifests}; now the data are {manifests}. Give another name.")
    else:
        record.resumed += 1
    record.pictures = data.pictures(bool(config.hash_pictures))
    record.status = "running"
    record.write(folder)
    print(
        f"{config.name}: a {model.kind}.\n{data.describe()}\nIt is fitted as a whole; everything in {folder}",
        flush=True,
    )
    return _fitted(model, data, record, folder)


def _fitted(model: OnePass, data: TaskData, record: RunRecord, folder: Path) -> float:
    before, started = record.seconds, time.monotonic()
    try:
        figures = dict(model.fit_whole(data, folder))
        record.status = "finished"
        record.result = {f"val/{name}": round(value, 5) for name, value in figures.items()}
        record.result = {**record.result, "best": round(figures[model.monitor], 5)}
    except KeyboardInterrupt:
        record.status = "stopped"
        raise SystemExit(130) from None
    except BaseException:
        record.status = "failed"
        raise
    finally:
        record.seconds = round(before + time.monotonic() - started, 1)
        record.write(folder)
        again = "" if record.status == "finished" else "; the same command goes on"
        print(f"{record.status} after {record.seconds / 60:.1f} minutes{again}.", flush=True)
    print(as_table([Result(name, f"{value:g}", str(folder / RUN_FILE)) for name, value in figures.items()]), flush=True)
    return figures[model.monitor]

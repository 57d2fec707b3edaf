"""What made a run, and what came of it: `run.json`."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alpr.data.picture_sums import Sums
from alpr.data.source_settings import named
from alpr.files import SMALL_BYTES, read_regular, write_json
from alpr.plates.values import read_as, strict_json
from alpr.provenance import commit_label, device_name, versions
from alpr.reader.card import EarlierRun
from alpr.recognition.mixture.one_form import one_form
from alpr.recognition.mixture.short_words import PLATES
from alpr.runs.checkpoints import RunError

RUN_FILE = "run.json"
MOVED_CLASSES = {
    "alpr.recognition.datamodule.RecognitionData": PLATES,
    "alpr.metrics_csv.MetricsCsv": "alpr.training.metrics_csv.MetricsCsv",
    "alpr.recognition.pretrain_data.PlacedData": "alpr.recognition.pretraining.data.PlacedData",
    "alpr.recognition.pretrain_data.UnlabelledData": "alpr.recognition.pretraining.data.UnlabelledData",
    "alpr.recognition.pretrain_module.DecoderPretraining": "alpr.recognition.pretraining.module.DecoderPretraining",
    "alpr.recognition.pretrain_module.EncoderPretraining": "alpr.recognition.pretraining.module.EncoderPretraining",
}
"""What the configuration of a stored run names, and the same class where it stands now."""


@dataclass
class RunRecord:
    """What made a run, and what came of it; `run.json`."""

    name: str
    config: Mapping[str, Any]
    seed: int
    manifests: Mapping[str, str]  # file -> SHA-256
    split: str | None = None  # of the manifests' rows; None for all
    fold: int | None = None  # the tenth of the plates that was held back to choose the checkpoint
    teacher: str | None = None  # SHA-256 of the weights that it was distilled from
    started_from: Sequence[Mapping[str, Any]] = ()  # earlier trainings, the last first; see `lineage.line_of`
    status: str = "running"  # running, finished, stopped or failed
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0  # over all resumptions
    resumed: int = 0
    steps: int = 0
    result: Mapping[str, float | None] = field(default_factory=dict)  # of the last validation, and the best figure
    commit: str | None = field(default_factory=commit_label)
    versions: Mapping[str, str] = field(default_factory=lambda: versions())
    device: str = field(default_factory=lambda: device_name())
    precision: str = ""  # what trainer.precision came to
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])  # a resumed run goes on under it in W&B
    pictures: dict[str, Sums] = field(default_factory=dict)  # of every table; earlier runs have none
    kind: str = ""  # of the network, see `TaskModule`; runs from before it was written have none

    def write(self, folder: Path) -> None:
        """Writes `run.json`, whole or not at all."""
        write_json(folder / RUN_FILE, vars(self))

    @classmethod
    def read(cls, folder: Path) -> RunRecord | None:
        """The record of a run folder, or None where there is none.

        Raises:
            RunError: a file that is no run record.
        """
        path = folder / RUN_FILE
        if not path.is_file():
            return None
        try:
            record = cls(**strict_json(read_regular(path, SMALL_BYTES)))
            record.config = as_spelt_now(record.config)
            for i, entry in enumerate(record.started_from):
                read_as(EarlierRun, entry, ("started_from", i))
            return record
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise RunError(f"{path} is no run record: {error}") from error


def as_spelt_now(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with today's names of classes, and the sources of data in their one form.

    Data that are wrong stay as they are; what makes them says so, and a run that is only exported needs none.
    """
    moved: dict[str, Any] = _with_moved_classes(config)
    data = moved.get("data")
    with contextlib.suppress(ValueError):
        if isinstance(data, dict) and data.get("_target_") == PLATES:
            moved["data"] = one_form(data).settings
        elif isinstance(data, dict) and data.get("sources"):
            moved["data"] = {**data, "sources": named(data["sources"], [])}
    return moved


def split_of(data: Mapping[str, Any]) -> str | None:
    """The split that the rows of a run's data are of; None where they are of several, or of all."""
    sources = data.get("sources")
    splits = {entry.get("split") for entry in sources.values()} if isinstance(sources, Mapping) else {data.get("split")}
    return splits.pop() if len(splits) == 1 else None


def _with_moved_classes(config: Any) -> Any:
    """A stored configuration with every class under its name of today."""
    if isinstance(config, Mapping):
        new = {key: _with_moved_classes(value) for key, value in config.items()}
        return new | {"_target_": MOVED_CLASSES.get(new["_target_"], new["_target_"])} if "_target_" in new else new
    return [_with_moved_classes(value) for value in config] if isinstance(config, list) else config


def differences(before: Mapping[str, Any], now: Mapping[str, Any], spared: frozenset[str], at: str = "") -> list[str]:
    """What another configuration changes, one `key: before -> now` each; a new key that is empty or off is none.

    Args:
        spared: keys that may differ, in full.
    """
    found: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        where = f"{at}{key}"
        old, new = before.get(key), now.get(key)
        if where in spared or old == new or (key not in before and not new):
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, spared, f"{where}.")
        else:
            found.append(f"{where}: {old} -> {new}")
    return found

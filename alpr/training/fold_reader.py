"""The small reader of the data doctor's folds: trained briefly on a part of a table, to judge the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf

from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.recognition.module import RecogniserModule
from alpr.recognition.read import Recogniser
from alpr.runs.checkpoints import RunError, best_checkpoint, load, read_checkpoint
from alpr.task import TrainingFailed
from alpr.training.configuration import composed, plain_sentence
from alpr.training.fit import fit
from alpr.training.record import RunRecord


@dataclass(frozen=True)
class FoldTraining:
    """How long a fold's reader trains, and where it begins.

    Attributes:
        images: crops that it sees.
        warm_start: weights of a recogniser whose encoder it begins with, where that fits; None for no such weights.
        workers: loader processes.
    """

    images: int
    warm_start: Path | None = None
    workers: int = field(default=1, repr=False)  # changes nothing that is learnt

    def __call__(self, folder: Path, table: Path, pack: CountryPack, rendered: bool) -> Recogniser:
        """Trains a reader into a run folder, or goes on where it stands; a finished one is only loaded.

        Args:
            table: the plates that train, in the split `train`; a tenth of them chooses the checkpoint.
            pack: the alphabet and the layouts that are read.
            rendered: whether rendered plates of the pack train beside them.

        Raises:
            ValueError: data that cannot be used, or a loss that is not finite.
            SystemExit: it was interrupted.
        """
        record = RunRecord.read(folder)
        if record is None or record.status != "finished":
            self._train(folder, table, pack, rendered)
        return load(best_checkpoint(folder), RecogniserModule).recogniser()

    def _train(self, folder: Path, table: Path, pack: CountryPack, rendered: bool) -> None:
        config = composed("train", ["experiment=fold_recogniser"])
        epochs = int(config.trainer.max_epochs)
        begins = self._begins(pack)
        values: dict[str, Any] = {
            "country": pack.to_dict(),
            "output_dir": str(folder),
            "data.layouts": ALL_LAYOUTS,
            "data.sources.table.manifest": str(table.absolute()),
            "data.epoch_samples": max(1, self.images // epochs),
            "data.workers": self.workers,
            "warm_start": None if begins is None else str(begins),
            "warm_start_parts": None if begins is None else ["encoder"],
        }
        if not rendered:
            values["data.rendered.own.share"] = 0
        for key, value in values.items():
            OmegaConf.update(config, key, value, merge=False, force_add=True)
        try:
            fit(config)
        except (HydraException, TrainingFailed) as error:
            raise ValueError(f"{folder}: {plain_sentence(error)}") from error

    def _begins(self, pack: CountryPack) -> Path | None:
        """The weights, where their encoder has the rows of tokens that the pack needs."""
        if self.warm_start is None or not self.warm_start.is_file():
            return None
        try:
            settings = read_checkpoint(self.warm_start)["hyper_parameters"]
        except RunError:
            return None
        rows = settings.get("network", {}).get("token_rows") or 1
        return self.warm_start if rows == pack.rows else None

"""The recogniser in training: wires network, loss, optimiser and metrics; no formula of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import Tensor, nn

from alpr.optim import OptimSettings
from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.plates.records import FloatArray, ImageBatch
from alpr.recognition.architectures import ReadingNetwork, network_class, reading_network
from alpr.recognition.calibration import CALIBRATION_FILE
from alpr.recognition.data import ValidationPlate
from alpr.recognition.decode import PLAIN, Decoding
from alpr.recognition.grammar import Grammar
from alpr.recognition.losses import RecognitionLosses, RecognitionLossSettings, recognition_losses
from alpr.recognition.metrics import RecognitionMetrics
from alpr.recognition.model import MaskOcr
from alpr.recognition.parts import FIRST_STAGE, LABELS, RECOGNISER, SECOND_STAGE, difference, grown, part_of
from alpr.recognition.plateau import ExpectedCurve, PlateauWatch
from alpr.recognition.read import NOTHING_READ, Recogniser, RecogniserNetwork
from alpr.recognition.settings import RecogniserSettings
from alpr.recognition.targets import RecognitionBatch
from alpr.runs.checkpoints import best_checkpoint, load
from alpr.task import Result, TaskModule


def torch_recogniser(network: nn.Module) -> RecogniserNetwork:
    """A network as the callable that `Recogniser` takes, in full precision on the device where its weights are."""

    @torch.no_grad()
    def read(crops: ImageBatch) -> tuple[FloatArray, ...]:
        device = next(network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            outputs: Tensor | tuple[Tensor, ...] = network(torch.from_numpy(crops).to(device))
        return tuple(o.cpu().numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,)))

    return read


class RecogniserModule(TaskModule):
    """Trains a reader. Every argument is plain values, so that a checkpoint rebuilds the module from what it holds.

    Args:
        country: see `CountryPack`; it gives alphabet, slots and rows and travels in the checkpoint.
        layouts: which of its layouts are read, see `CountryPack.reading`; checkpoints that do not say read all.
        network: its `architecture`, see `ARCHITECTURES`, and that one's settings, such as `MaskOcrSettings`, without
            slots, classes, size and text_rows; its heads are the predictor's too.
        loss: see `RecognitionLossSettings`.
        optim: see `OptimSettings`.
        predictor: size and margin of the crops, see `alpr.recognition.settings.RecogniserSettings`.
        label_entropy: the labels' marginal entropy in nats per slot, of which the run reminds, see `PlateauWatch`.

    Raises:
        TypeError: a setting that does not exist.
        ValueError: a setting out of its range.
    """

    network: ReadingNetwork
    kind = RECOGNISER
    monitor = "val/confident_accuracy"
    shown = ("val/accuracy", "val/accuracy_without_first")

    def __init__(
        self,
        country: Mapping[str, Any],
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        optim: Mapping[str, Any] | None = None,
        predictor: Mapping[str, Any] | None = None,
        seed: int = 0,
        label_entropy: float | None = None,
        layouts: str | Sequence[str] | None = ALL_LAYOUTS,
    ) -> None:
        super().__init__(OptimSettings(**(optim or {})), seed)
        self.save_hyperparameters()
        self.pack = CountryPack.from_dict(country).reading(layouts)
        self.charset = self.pack.charset
        predictor = {**(predictor or {})}
        if "size" in predictor:
            predictor["size"] = tuple(predictor["size"])
        heads = {key: tuple((network or {}).get(key, ())) for key in ("countries", "kinds", "row_cuts")}
        self.predictor = RecogniserSettings(**{**predictor, "slots": self.pack.slots, **heads})
        rows = 1 if self.predictor.row_cuts else self.pack.rows
        of_pack = {"slots": self.pack.slots, "classes": len(self.charset), "text_rows": rows}
        self.network = reading_network(network or {}, **of_pack, size=self.predictor.size)
        self.loss = RecognitionLossSettings(**(loss or {}))
        self.label_entropy = label_entropy
        self.plateau: PlateauWatch | None = None
        self.metrics = RecognitionMetrics()
        self.confident = 0.0

    def describe(self) -> str:
        s = self.network.settings
        rows, columns = s.token_grid
        return (
            f"reads up to {s.slots} of {s.classes - 1} symbols in {_rows(s.text_rows)} of text"
            f"{' (two are laid side by side)' if s.row_cuts else ''} from {s.tokens} tokens "
            f"({_rows(rows)} of {columns}); layouts of {self.pack.name}: "
            f"{', '.join(layout.name for layout in self.pack.layouts)}."
        )

    def prepare(self, data: Any, config: Mapping[str, Any]) -> None:
        """Compares the loss of the slots with that of guessing on these data, see `PlateauWatch`."""
        self.label_entropy = entropy = float(data.label_entropy())
        patches, expected = self.network.settings.stem == "patch", ExpectedCurve.of(config["watch"].get("expected"))
        self.plateau = PlateauWatch(entropy, data.kind_entropy(), sum(data.counts), patches, expected)

    def configure_callbacks(self) -> list[Callback]:
        return [] if self.plateau is None else [self.plateau]

    def remark(self, metrics: Mapping[str, Tensor]) -> str:
        if "train/label_entropy" not in metrics:
            return ""
        slots, guessing = (float(metrics[f"train/{name}"]) for name in ("slots", "label_entropy"))
        return f"slots {slots:.2f} (guessing {guessing:.2f})"

    def figures(self) -> Mapping[str, float | None]:
        return {} if self.plateau is None else self.plateau.figures()

    def finish(self, folder: Path, data: Any, config: Mapping[str, Any]) -> list[Result]:
        """Calibrates the best checkpoint; a training that has ended well does not fail by it."""
        from alpr.recognition.held_back import Settings, calibrate_on, sentence  # which loads this class

        draws = config["calibration_draws"]
        if draws is None:
            return []
        try:
            best = best_checkpoint(folder)
            found = calibrate_on(data, best, load(best, RecogniserModule), Settings(draws), Console())
        except (ValueError, OSError) as error:
            print(f"The scores stay uncalibrated: {error}", flush=True)
            return []
        print(sentence(found), flush=True)
        return [Result("temperature", f"{found.temperature:.3f}", str(folder / CALIBRATION_FILE))]

    def part_of(self, name: str) -> str:
        return part_of(name)

    def parts_of(self, kind: str, settings: Mapping[str, Any]) -> set[str]:
        """Of a pretraining only what it learnt; a head for countries or kinds only where it tells the same apart."""
        if kind not in (RECOGNISER, FIRST_STAGE, SECOND_STAGE):
            return super().parts_of(kind, settings)
        every = ["encoder", "decoder", "heads", *LABELS.values()]
        theirs, ours = settings.get("network") or {}, self.network.settings
        shared, other = isinstance(self.network, MaskOcr), network_class(theirs)
        if other is not type(self.network) and not (shared and issubclass(other, MaskOcr)):
            raise ValueError(f"its network is {other.__name__}; this run's is {type(self.network).__name__}.")
        names = {"country_head": "countries", "kind_head": "kinds", "row_head": "row_cuts"}
        others = {LABELS[head] for head, key in names.items() if tuple(theirs.get(key, ())) != getattr(ours, key)}
        return set(every if kind == RECOGNISER else settings["learnt"]) - others

    def adapted(
        self, weights: dict[str, Tensor], settings: Mapping[str, Any], parts: set[str]
    ) -> tuple[dict[str, Tensor], str]:
        """Where characters are read, weights whose classes stand as in this run's alphabet, which may have more."""
        if not parts & {"decoder", "heads"}:
            return weights, ""
        theirs, ours = str(settings.get("country", {}).get("alphabet")), self.charset.symbols
        if set(theirs) - set(ours):
            raise ValueError(f"it has the alphabet {theirs}; this run's is {ours}. {difference(theirs, ours)}")
        new = "".join(symbol for symbol in ours if symbol not in theirs)
        return grown(weights, self.state_dict(), theirs, ours), f"the symbols {new} are new" if new else ""

    def outputs(self) -> str:
        return f"the alphabet {self.charset.symbols}"

    def losses(self, batch: tuple[RecognitionBatch, list[str]]) -> RecognitionLosses:
        return recognition_losses(self.network.training_logits(batch[0].crops), batch[0], self.loss)

    def training_step(self, batch: tuple[RecognitionBatch, list[str]], batch_idx: int) -> Tensor:
        self.report_unreadable(batch[1])
        losses = self.losses(batch)
        self.refuse_non_finite(losses.total)
        crops = len(batch[0].crops)
        for name, value in losses._asdict().items():
            if value is not None:
                self.log(f"train/{name}", value, prog_bar=name == "slots", batch_size=crops)
        return losses.total

    def recogniser(self, grammar: bool = False) -> Recogniser:
        """The network behind the predictor's own code, as it stands now; see `Grammar`."""
        decoding = Decoding(grammar=Grammar(self.pack, self.charset)) if grammar else PLAIN
        return Recogniser(torch_recogniser(self.network), self.predictor, self.charset, decoding)

    def on_validation_epoch_start(self) -> None:
        self.metrics, self.confident = RecognitionMetrics(), 0.0

    def validation_step(self, batch: list[ValidationPlate], batch_idx: int) -> None:
        self.report_unreadable([plate.unreadable for plate in batch if plate.unreadable])
        recogniser = self.recogniser()
        for plate in batch:
            if plate.image is None:
                continue
            if plate.corners is None:
                reading = recogniser.read([plate.image])[0]
            else:
                reading = (recogniser.read_plates(plate.image, [plate.corners]) or [NOTHING_READ])[0]
            country = plate.country if plate.country in self.predictor.countries else None
            kind = plate.kind if plate.kind in self.predictor.kinds else None
            self.metrics.update(reading, plate.text, country, kind)
            self.confident += reading.score * (reading.text == plate.text)

    def on_validation_epoch_end(self) -> None:
        merged, confident = RecognitionMetrics(), 0.0
        for metrics, sure in self.gathered((self.metrics, self.confident)):
            merged = merged.merge(metrics)
            confident += sure
        scores = merged.compute()
        names = ("accuracy", "accuracy_without_first", "character_accuracy", "cer", "country_accuracy", "kind_accuracy")
        for name in names:
            value = getattr(scores, name)
            if value is not None:
                self.log(f"val/{name}", value, prog_bar=name == "accuracy")
        # One figure to choose by: accuracy weighted by how sure the reader was, so that it seldom ties.
        self.log("val/confident_accuracy", confident / max(1, scores.plates))


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count > 1)}"

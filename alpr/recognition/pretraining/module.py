"""The pretraining stages in training: wires networks, masks, losses and figures; no formula of its own.

Both build the recogniser as fine-tuning does, so that a checkpoint of one stage starts the next by `warm_start`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from alpr.recognition.model import MaskOcr
from alpr.recognition.module import RecogniserModule
from alpr.recognition.parts import FIRST_STAGE, SECOND_STAGE, part_of
from alpr.recognition.pretraining.data import PlacedBatch
from alpr.recognition.pretraining.metrics import MaskedCharacterMetrics, ReconstructionMetrics
from alpr.recognition.pretraining.model import (
    MaskedImageLosses,
    MaskedImageModel,
    MaskedImageSettings,
    MaskedLanguageLosses,
    MaskedLanguageSettings,
    blanked,
    cells,
    crops_of_pixels,
    encoded_visible,
    hidden_characters,
    hidden_tokens,
    masked_image_losses,
    masked_language_losses,
    token_masks,
    token_pixels,
)
from alpr.recognition.pretraining.validation_pictures import ReconstructionSheet
from alpr.task import Result


class PretrainingModule(RecogniserModule):
    """A stage before fine-tuning.

    Args:
        learnt: the parts whose weights are worth carrying on; `warm_start` adds those that it copied.
        recogniser: see `RecogniserModule`. Its `loss` belongs to fine-tuning and is not used here.
    """

    trained: frozenset[str]
    """The parts that this stage trains; all others keep their weights."""

    def __init__(self, country: Mapping[str, Any], learnt: Sequence[str] = (), **recogniser: Any) -> None:
        super().__init__(country, **recogniser)
        self.learnt = sorted(set(learnt) | self.trained)

    @property
    def learnt(self) -> list[str]:
        """The parts whose weights are worth carrying on."""
        return list(self.hparams["learnt"])

    @learnt.setter
    def learnt(self, parts: list[str]) -> None:
        self.hparams["learnt"] = parts

    def prepare(self, data: Any, config: Mapping[str, Any]) -> None:
        """Nothing: no text is read."""

    def finish(self, folder: Path, data: Any, config: Mapping[str, Any]) -> list[Result]:
        """Nothing: there are no scores to calibrate."""
        return []

    def began_with(self, parts: set[str]) -> None:
        self.learnt = sorted(parts | self.trained)

    def freeze_others(self) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(part_of(name) in self.trained)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.learnt = list(checkpoint["hyper_parameters"]["learnt"])  # of a resumed run, which copies no weights again

    def training_step(self, batch: tuple[Any, list[str]], batch_idx: int) -> Tensor:
        self.report_unreadable(batch[1])
        losses = self.losses(batch)
        total = losses[0]
        self.refuse_non_finite(total)
        for name, value in losses._asdict().items():
            self.log(f"train/{name}", value, prog_bar=name == "total", batch_size=len(batch[0]))
        return total


class EncoderPretraining(PretrainingModule):
    """Stage 1, masked image modelling of the encoder on crops without texts.

    Args:
        masked_image: see `MaskedImageSettings`.
    """

    network: MaskedImageModel
    kind = FIRST_STAGE
    monitor = "val/pixels_explained"
    shown = ("val/pixel_mse", "val/representation_variance")
    trained = frozenset({"encoder", "pretext"})

    def __init__(
        self, country: Mapping[str, Any], masked_image: Mapping[str, Any] | None = None, **recogniser: Any
    ) -> None:
        super().__init__(country, **recogniser)
        self.save_hyperparameters({"masked_image": dict(masked_image or {})})
        self.settings = MaskedImageSettings(**(masked_image or {}))
        self.network = MaskedImageModel(self.network.settings, self.settings)
        self.freeze_others()
        self.reconstruction = ReconstructionMetrics()

    def configure_callbacks(self) -> list[Callback]:
        return [ReconstructionSheet()]

    def masks(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Hidden tokens (count, T) on the module's device."""
        drawn = token_masks(count, self.network.settings.token_grid, self.settings, generator)
        return drawn.to(self.network.positions.device)

    def losses(self, batch: tuple[Tensor, list[str]]) -> MaskedImageLosses:  # type: ignore[override]
        crops = batch[0]
        return self._losses_of(crops, self.masks(len(crops)))

    def _losses_of(self, crops: Tensor, hidden: Tensor) -> MaskedImageLosses:
        targets = self.network.representations(crops, hidden)
        found = self.network.reconstruct(crops, hidden)
        pixels = token_pixels(crops, self.network.settings.token_grid)[hidden].view(found.pixels.shape)
        return masked_image_losses(found, pixels, targets, self.settings.alignment_weight)

    def on_validation_epoch_start(self) -> None:
        self.reconstruction = ReconstructionMetrics()

    @torch.no_grad()
    def validation_step(self, batch: tuple[Tensor, list[str]], batch_idx: int) -> None:  # type: ignore[override]
        self.report_unreadable(batch[1])
        crops = batch[0].to(self.network.positions.device)
        hidden = self.masks(len(crops), torch.Generator().manual_seed(batch_idx))
        found = self.network.reconstruct(crops, hidden)
        pixels = token_pixels(crops, self.network.settings.token_grid)
        self.reconstruction.update(found.pixels, pixels, hidden, self.network.encode(crops).float())

    def on_validation_epoch_end(self) -> None:
        merged = ReconstructionMetrics()
        for metrics in self.gathered(self.reconstruction):
            merged = merged.merge(metrics)
        for name, value in merged.compute()._asdict().items():
            self.log(f"val/{name}", value)

    @torch.no_grad()
    def pictures(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """The crops (B, H, W, 3) with their hidden tokens grey, and with these reconstructed."""
        grid, size = self.network.settings.token_grid, self.network.settings.size
        crops = crops.to(self.network.positions.device)
        hidden = self.masks(len(crops), torch.Generator().manual_seed(0))
        pixels = token_pixels(crops, grid)
        found = self.network.reconstruct(crops, hidden)
        pixels[hidden] = found.pixels.flatten(0, 1)
        filled = torch.where(cells(hidden, grid, size)[..., None], crops_of_pixels(pixels, grid, size), crops)
        return blanked(crops, hidden, grid).cpu(), filled.cpu()


class DecoderPretraining(PretrainingModule):
    """Stage 2, masked language modelling of the decoder on rendered plates; the encoder stays as it is.

    Args:
        masked_language: see `MaskedLanguageSettings`.
    """

    network: MaskOcr
    kind = SECOND_STAGE
    monitor = "val/hidden_accuracy"
    shown = ("val/hidden_accuracy_of_frequencies", "val/visible_accuracy")
    trained = frozenset({"decoder"})

    def __init__(
        self, country: Mapping[str, Any], masked_language: Mapping[str, Any] | None = None, **recogniser: Any
    ) -> None:
        super().__init__(country, **recogniser)
        self.save_hyperparameters({"masked_language": dict(masked_language or {})})
        self.settings = MaskedLanguageSettings(**(masked_language or {}))
        self.freeze_others()
        self.train()  # Lightning keeps the modes that it finds
        self.characters = MaskedCharacterMetrics(self.pack.slots, len(self.charset))

    def train(self, mode: bool = True) -> DecoderPretraining:
        """The encoder never trains: no dropout, and batch normalisation keeps its statistics."""
        super().train(mode)
        for name, child in self.network.named_children():
            if part_of(name) == "encoder":
                child.eval()
        return self

    def _logits(self, batch: PlacedBatch, chosen: Tensor) -> Tensor:
        hidden = hidden_tokens(batch.places, chosen, self.network.settings.token_grid)
        with torch.no_grad():
            tokens = encoded_visible(self.network, batch.crops, hidden)
        return self.network.decode(tokens).float()

    def losses(self, batch: tuple[PlacedBatch, list[str]]) -> MaskedLanguageLosses:  # type: ignore[override]
        slots = batch[0].slots
        chosen = hidden_characters(slots, self.settings.most_hidden)
        return masked_language_losses(self._logits(batch[0], chosen), slots, chosen, self.settings.visible_weight)

    def on_validation_epoch_start(self) -> None:
        self.characters = MaskedCharacterMetrics(self.pack.slots, len(self.charset))

    @torch.no_grad()
    def validation_step(  # type: ignore[override]
        self, batch: tuple[PlacedBatch, list[str]], batch_idx: int
    ) -> None:
        placed = PlacedBatch(*(tensor.to(self.network.positions.device) for tensor in batch[0]))
        chosen = hidden_characters(placed.slots, self.settings.most_hidden, torch.Generator().manual_seed(batch_idx))
        self.characters.update(self._logits(placed, chosen), placed.slots, chosen)

    def on_validation_epoch_end(self) -> None:
        merged = MaskedCharacterMetrics(self.pack.slots, len(self.charset))
        for metrics in self.gathered(self.characters):
            merged = merged.merge(metrics)
        for name, value in merged.compute()._asdict().items():
            self.log(f"val/{name}", value)

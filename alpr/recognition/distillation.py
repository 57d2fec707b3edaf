"""Distillation: a small recogniser also learns the probabilities of a larger one, its teacher.

Source: Hinton et al. 2015 (1503.02531). The teacher is no part of the module: neither checkpoints nor weights hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from alpr.recognition.ctc import CtcReader
from alpr.recognition.losses import recognition_losses
from alpr.recognition.model import MaskOcr, ReadingLogits
from alpr.recognition.module import RecogniserModule
from alpr.recognition.targets import RecognitionBatch
from alpr.runs.checkpoints import load

Teacher = Callable[[Tensor], ReadingLogits]


@dataclass(frozen=True)
class DistillationSettings:
    """How much the teacher counts beside the labels.

    Attributes:
        weight: of the slots' divergence.
        temperature: by which both networks' logits are divided.
        ctc_weight: of the CTC heads' divergence; above 0 both need equal grids of tokens.

    Raises:
        ValueError: a setting out of its range.
    """

    weight: float = 1.0
    temperature: float = 2.0
    ctc_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or min(self.weight, self.ctc_weight) < 0 or self.weight + self.ctc_weight == 0:
            raise ValueError(
                f"distillation: weight {self.weight}, temperature {self.temperature}, ctc_weight {self.ctc_weight}; "
                "expected weights of 0 or more, one of them above 0, and a temperature above 0."
            )


class DistillationLosses(NamedTuple):
    """Scalars: the sum that is minimised, the labels' terms as in `RecognitionLosses`, and the weighted teacher's."""

    total: Tensor
    slots: Tensor
    ctc: Tensor
    country: Tensor | None
    kind: Tensor | None
    rows: Tensor | None
    places: Tensor | None
    teacher: Tensor


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of softened probabilities: two (B, N, K+1) -> scalar in nats, the mean over B and N.

    The factor T^2 keeps the gradient's size whatever the temperature (section 2 of the paper).
    """
    ours, theirs = ((logits / temperature).log_softmax(-1) for logits in (student, teacher))
    divergences = functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)
    return temperature**2 * divergences.mean()


def frozen(network: MaskOcr) -> Teacher:
    """A network's training logits without gradient and dropout, on the crops' device.

    A function, so that a module that has it neither owns, saves, copies nor averages the network's weights.
    """
    network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def teach(crops: Tensor) -> ReadingLogits:
        return network.to(crops.device).training_logits(crops)

    return teach


class DistilledRecogniser(RecogniserModule):
    """A recogniser that learns from labels and from a teacher; what it leaves is a recogniser like any other.

    Args:
        teacher: a run folder or file of weights, which `prepare` loads.
        distillation: see `DistillationSettings`.
        recogniser: see `RecogniserModule`.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        teacher: str,
        distillation: Mapping[str, Any] | None = None,
        **recogniser: Any,
    ) -> None:
        super().__init__(country, **recogniser)
        for name in ("teacher", "distillation"):  # a checkpoint rebuilds a plain recogniser
            self.hparams.pop(name, None)
        self.teacher_path = teacher
        self.settings = DistillationSettings(**(distillation or {}))
        self._teach: Teacher | None = None

    def prepare(self, data: Any, config: Mapping[str, Any]) -> None:
        """Loads the teacher besides.

        Raises:
            RunError: nothing there, or another kind of network.
            ValueError: a teacher that does not fit, see `learn_from`.
        """
        assert self.teacher_path is not None
        self.learn_from(load(self.teacher_path, RecogniserModule))
        super().prepare(data, config)

    def learn_from(self, teacher: RecogniserModule) -> None:
        """Takes a teacher, whose network is frozen and no longer for other uses.

        Raises:
            ValueError: a teacher that sees other crops or names other characters.
        """
        _expect_slots("student", self.network)
        of_teacher = _expect_slots("teacher", teacher.network)
        ours, theirs = self.network.settings, teacher.network.settings
        compared: list[tuple[str, object, object]] = [
            ("crop size (height, width)", ours.size, theirs.size),
            ("crop margin", self.predictor.margin, teacher.predictor.margin),
            ("number of slots", ours.slots, theirs.slots),
            ("alphabet", self.charset.symbols, teacher.charset.symbols),
        ]
        if self.settings.ctc_weight:
            compared.append(("grid of tokens (rows, columns)", ours.token_grid, theirs.token_grid))
            compared.append(("rows of text", ours.text_rows, theirs.text_rows))
            if teacher.loss.ctc_weight == 0:
                raise ValueError(
                    f"The teacher {self.teacher_path} was trained without a CTC term, so its CTC head knows nothing; "
                    f"distillation.ctc_weight is {self.settings.ctc_weight}, expected 0."
                )
        for what, here, there in compared:
            if here != there:
                raise ValueError(
                    f"The {what} of the teacher {self.teacher_path} is {there}; the student's is {here}. "
                    "Expected the same, since both see the same crops and name the same symbols."
                )
        self._teach = frozen(of_teacher)

    def losses(  # type: ignore[override]
        self, batch: tuple[RecognitionBatch, list[str]]
    ) -> DistillationLosses:
        if self._teach is None:
            raise RuntimeError(f"The teacher {self.teacher_path} was not loaded; expected a call of prepare before.")
        student, teacher = self.network.training_logits(batch[0].crops), self._teach(batch[0].crops)
        labels = recognition_losses(student, batch[0], self.loss)
        s = self.settings
        assert student.slots is not None and teacher.slots is not None  # `learn_from` refuses others
        taught = s.weight * divergence(student.slots, teacher.slots, s.temperature)
        if s.ctc_weight:
            taught = taught + s.ctc_weight * divergence(student.ctc, teacher.ctc, s.temperature)
        return DistillationLosses(labels.total + taught, *labels[1:], taught)


def _expect_slots(who: str, network: nn.Module) -> MaskOcr:
    if not isinstance(network, MaskOcr) or isinstance(network, CtcReader):
        raise ValueError(f"The {who} is a {type(network).__name__}, which has no slots; expected a MaskOcr.")
    return network

"""The window network: three convolutions and two fully connected layers that tell presence and every character at once.

Source: deep-anpr, see `windows`. The fully connected layers are convolutions as large as the window's map, so that the
same weights read one window or slide over a photograph. Deviations: L slots of K symbols and a padding instead of seven
of 36, for texts of any length; PyTorch's initial weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from alpr.baselines.window.windows import SIZE

STRIDE = (8, 4)
"""(vertical, horizontal) px of a photograph between two windows."""
_MAP = (SIZE[0] // STRIDE[0], SIZE[1] // STRIDE[1])


@dataclass(frozen=True)
class WindowSettings:
    """The shape of the network.

    Attributes:
        slots: the most characters of a plate.
        classes: the symbols and the padding.
        units: of the fully connected layer, 2,048 as published.
        widths: channels of the convolutions.
    """

    slots: int
    classes: int
    units: int = 2048
    widths: tuple[int, int, int] = (48, 64, 128)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if min(self.slots, self.units, *self.widths) < 1 or self.classes < 2:
            raise ValueError(
                f"{self.slots} slots, {self.classes} classes, {self.units} units, widths {list(self.widths)}; "
                "expected at least 1, 2, 1 and 1."
            )


class WindowLogits(NamedTuple):
    """Of N windows: the logit of presence (N,), and of every slot (N, L, K+1)."""

    presence: Tensor
    slots: Tensor


class WindowNetwork(nn.Module):
    """Grey pictures (B, H, W) uint8, 64 by 128 px or more -> (B, 1 + L * (K+1), rows, columns), see `STRIDE`."""

    def __init__(self, settings: WindowSettings) -> None:
        super().__init__()
        s = self.settings = settings
        first, second, third = s.widths
        self.features = nn.Sequential(
            nn.Conv2d(1, first, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d((2, 1)),
            nn.Conv2d(second, third, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        )  # fmt: skip
        self.hidden = nn.Conv2d(third, s.units, _MAP)
        self.output = nn.Conv2d(s.units, 1 + s.slots * s.classes, 1)

    def forward(self, grey: Tensor, step: tuple[int, int] = (1, 1)) -> Tensor:
        """`step` leaves out windows: only every so many rows and columns of them are looked at."""
        seen = self.features(grey[:, None].to(self.output.weight.dtype) / 255)
        hidden = functional.conv2d(seen, self.hidden.weight, self.hidden.bias, stride=step)
        outputs: Tensor = self.output(hidden.relu())
        return outputs

    def windows(self, grey: Tensor) -> WindowLogits:
        """The logits of windows (N, 64, 128) uint8."""
        return split(self(grey).flatten(1), self.settings)


def split(outputs: Tensor, settings: WindowSettings) -> WindowLogits:
    """Outputs (N, 1 + L * (K+1)) as presence and slots."""
    return WindowLogits(outputs[:, 0], outputs[:, 1:].reshape(-1, settings.slots, settings.classes))


class WindowLosses(NamedTuple):
    """Scalars in nats: their sum, presence times the slots, and the slots' cross-entropy summed over a plate."""

    total: Tensor
    presence: Tensor
    characters: Tensor


def window_losses(logits: WindowLogits, present: Tensor, slots: Tensor) -> WindowLosses:
    """The loss as published: L times the presence, and every slot of the windows that show a plate.

    Args:
        present: (N,) 0 or 1. slots: (N, L), padded.
    """
    presence = slots.shape[1] * functional.binary_cross_entropy_with_logits(logits.presence, present)
    each = functional.cross_entropy(logits.slots.transpose(1, 2), slots, reduction="none").sum(1)  # (N,)
    characters = (each * present).mean()
    return WindowLosses(presence + characters, presence, characters)


def right(logits: WindowLogits, present: Tensor, slots: Tensor) -> Tensor:
    """(N,) whether both say absent, or both say present and every slot is right: as published."""
    said, there = logits.presence > 0, present > 0.5
    return torch.where(there, said & (logits.slots.argmax(-1) == slots).all(1), ~said)

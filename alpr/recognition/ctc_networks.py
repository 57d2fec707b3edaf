"""Two readers of plates and words from before the transformers: LPRNet and CRNN."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpr.layers import normalised_input
from alpr.recognition.ctc import CtcReader, expect_one_row


@dataclass(frozen=True)
class CtcSettings:
    """What every such network is told.

    Attributes:
        slots: the most characters of a plate.
        classes: the symbols and the blank.
        size: (height, width) of a crop in px.
        text_rows: the most rows of text on a plate; 1.
        countries, kinds, row_cuts: of heads that these networks have not; empty.

    Raises:
        ValueError: a crop that the network cannot divide, fewer tokens than slots, or what it has not.
    """

    slots: int
    classes: int
    size: tuple[int, int]
    text_rows: int = 1
    countries: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    row_cuts: tuple[float, ...] = ()
    stem = "conv"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))
        if self.slots < 1 or self.classes < 2:
            raise ValueError(f"{self.slots} slots and {self.classes} classes; expected at least 1 and 2.")
        expect_one_row(self)

    def _expect_tokens(self) -> None:
        if self.tokens < self.slots:
            raise ValueError(
                f"A crop of {self.size[1]}x{self.size[0]} px gives {max(0, self.tokens)} tokens; "
                f"expected at least {self.slots}, one per character."
            )

    @property
    def token_grid(self) -> tuple[int, int]:
        """(rows, columns) of the tokens: one row."""
        return 1, self.tokens

    @property
    def tokens(self) -> int:
        raise NotImplementedError


def _conv(
    channels_in: int, channels_out: int, kernel: tuple[int, int], padding: tuple[int, int] | str = (0, 0)
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


@dataclass(frozen=True)
class LprNetSettings(CtcSettings):
    """LPRNet's shape; the defaults are the paper's.

    Attributes:
        size: (height, width) of a crop in px; the height ends as one row of tokens, at least 10 px.
        widths: channels of the stem, of the first block and of all that follow.
        dropout: in front of the last two convolutions.
    """

    size: tuple[int, int] = (24, 94)
    widths: tuple[int, int, int] = (64, 128, 256)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.last_height < 1:
            raise ValueError(f"A crop {self.size[0]} px high leaves LPRNet no row of tokens; expected 10 px or more.")
        self._expect_tokens()

    @property
    def last_height(self) -> int:
        """Rows of the last pool's map, which one convolution spans: 4 of the paper's 24 px."""
        return ((self.size[0] - 2 - 3) // 2 + 1 - 3) // 2 + 1

    @property
    def tokens(self) -> int:
        return self.size[1] - 6


class LprNet(CtcReader):
    """LPRNet: convolutions alone, a wide one in place of a recurrent layer, and a context of the whole plate.

    Source: Zherzdev and Gruzdev, "LPRNet: license plate recognition via deep neural networks", arXiv 1806.10447, table
    3, with the strides and the padding of the network that its authors released: pools halve the height, never the
    width. Deviations: the context is a fully connected layer of the mean over the plate instead of one of the whole
    map, so that the crop may have any width; there is no spatial transformer, since the crops are rectified.
    """

    def __init__(self, settings: LprNetSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.slots = s.slots
        first, second, third = s.widths
        self.backbone = nn.Sequential(
            _conv(3, first, (3, 3), (1, 1)),
            nn.MaxPool2d(3, 1),
            _small_basic_block(first, second),
            nn.MaxPool2d(3, (2, 1)),
            _small_basic_block(second, third),
            _small_basic_block(third, third),
            nn.MaxPool2d(3, (2, 1)),
            nn.Dropout(s.dropout),
            _conv(third, third, (s.last_height, 1)),
            nn.Dropout(s.dropout),
            _conv(third, s.classes, (1, 13), (0, 6)),
        )
        self.context = nn.Linear(s.classes, s.classes)
        self.classifier = nn.Conv2d(2 * s.classes, s.classes, 1)

    def token_logits(self, crops: Tensor) -> Tensor:
        seen: Tensor = self.backbone(normalised_input(crops, self.context.weight.dtype))  # (B, K+1, 1, T)
        context = self.context(seen.mean((2, 3)))[:, :, None, None].expand_as(seen)
        logits: Tensor = self.classifier(torch.cat([seen, context], 1))
        return logits[:, :, 0].transpose(1, 2)


def _small_basic_block(channels_in: int, channels_out: int) -> nn.Module:
    """Table 2 of LPRNet: a quarter of the channels in the middle, the 3x3 convolution as 3x1 and 1x3."""
    quarter = channels_out // 4
    return nn.Sequential(
        _conv(channels_in, quarter, (1, 1)),
        _conv(quarter, quarter, (3, 1), (1, 0)),
        _conv(quarter, quarter, (1, 3), (0, 1)),
        _conv(quarter, channels_out, (1, 1)),
    )


@dataclass(frozen=True)
class CrnnSettings(CtcSettings):
    """CRNN's shape; the defaults are the paper's.

    Attributes:
        size: (height, width) of a crop in px; the height a multiple of 16, at least 32.
        widths: channels of the convolutions in front of the four pools, and of the last ones.
        hidden: units of each direction of each recurrent layer.
    """

    size: tuple[int, int] = (32, 100)
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    hidden: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.size[0] % 16 or self.size[0] < 32:
            raise ValueError(f"A crop {self.size[0]} px high; CRNN expects a multiple of 16 px, at least 32.")
        self._expect_tokens()

    @property
    def tokens(self) -> int:
        return self.size[1] // 4 + 1


class Crnn(CtcReader):
    """CRNN: convolutions, then two bidirectional LSTM layers along the width.

    Source: Shi et al., "An end-to-end trainable neural network for image-based sequence recognition", arXiv
    1507.05717, table 1. It sees the crop in grey, as there. Deviation: the crop is stretched to one size.
    """

    def __init__(self, settings: CrnnSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.slots = s.slots
        first, second, third, fourth = s.widths
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(second, third, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(third, third, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, (2, 1), (0, 1)),
            _conv(third, fourth, (3, 3), (1, 1)),
            _conv(fourth, fourth, (3, 3), (1, 1)), nn.MaxPool2d(2, (2, 1), (0, 1)),
            nn.Conv2d(fourth, fourth, (s.size[0] // 16, 2)), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.recurrent = nn.LSTM(fourth, s.hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.classifier = nn.Linear(2 * s.hidden, s.classes)

    def token_logits(self, crops: Tensor) -> Tensor:
        grey = normalised_input(crops, self.classifier.weight.dtype).mean(1, keepdim=True)
        columns = self.convolutions(grey)[:, :, 0].transpose(1, 2)  # (B, T, 512)
        logits: Tensor = self.classifier(self.recurrent(columns)[0])
        return logits

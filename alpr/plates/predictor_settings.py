"""What a detector and a recogniser need around their networks, in training, in a bundle's card and when they read."""

from __future__ import annotations

import math
from dataclasses import dataclass

PRECISIONS = ("99", "99.9")
"""The precisions in per cent for which there may be thresholds."""
MOST_PX = 16384
"""Of a side of a network's input; a card that asks for more would only fill the memory."""


@dataclass(frozen=True)
class DetectorSettings:
    """What a detector needs around its network.

    Attributes:
        input_px: the long side of the network input, a multiple of `multiple`.
        multiple: both sides of the network input are padded to it.
        score_threshold: a candidate below it is dropped, 0..1.
        nms_iou: of two candidates that overlap by more, the better one stays, 0..1.
        max_plates: the most plates returned for an image.
        corner_vote: a plate's corners are the mean, weighted by score, of all candidates whose hull overlaps the best
            one's by more, 0..1; None takes the best one's own.
        fine_px: the long side of the input for a second, finer look at images that the first leaves in doubt; None for
            no second look.
        sure_score: an image whose best plate scores less is in doubt, 0..1.
        small_px: an image with a plate narrower than this in the first look's input is in doubt. The second look adds
            plates up to twice as wide in its own input; of wider ones, which the first sees better, those that the
            first suspected, with half of the threshold or more.
        fine_weight: the second look's scores are multiplied by it, above 0 to 1: it sees more that only looks like a
            plate.

    Raises:
        ValueError: a value out of its range.
    """

    input_px: int = 448
    multiple: int = 32
    score_threshold: float = 0.3
    nms_iou: float = 0.45
    max_plates: int = 50
    corner_vote: float | None = 0.7
    fine_px: int | None = None
    sure_score: float = 0.6
    small_px: float = 64.0
    fine_weight: float = 1.0

    def __post_init__(self) -> None:
        _expect(self.multiple >= 1, "multiple", self.multiple, "at least 1")
        for key, px in (("input_px", self.input_px), ("fine_px", self.fine_px)):
            fits = px is None or (px >= self.multiple and px % self.multiple == 0)
            _expect(fits, key, px, f"a multiple of {self.multiple}")
            _expect(px is None or px <= MOST_PX, key, px, f"at most {MOST_PX}")
        _expect(0 <= self.sure_score <= 1, "sure_score", self.sure_score, "0 to 1")
        _expect(0 <= self.small_px < math.inf, "small_px", self.small_px, "a number of px, 0 or more")
        _expect(0 < self.fine_weight <= 1, "fine_weight", self.fine_weight, "above 0 to 1")
        _expect(0 <= self.score_threshold <= 1, "score_threshold", self.score_threshold, "0 to 1")
        _expect(0 <= self.nms_iou <= 1, "nms_iou", self.nms_iou, "0 to 1")
        _expect(self.max_plates >= 1, "max_plates", self.max_plates, "at least 1")
        vote = self.corner_vote
        _expect(vote is None or 0 <= vote <= 1, "corner_vote", vote, "0 to 1, or null for no vote")


@dataclass(frozen=True)
class RecogniserSettings:
    """What a recogniser needs around its network.

    Attributes:
        size: (height, width) of the crop in px.
        margin: the fraction of the crop's height and width left around a rectified plate on every side.
        slots: the number of character slots L.
        temperature: the logits are divided by it before the softmax (calibration).
        threshold_99: the lowest score of a reading above which 99 % were right on held-back plates; None where no
            score was found, or none was looked for.
        threshold_999: the same for 99.9 %.
        read_again_below: crops that read with a lower score are read twice more, moved to both sides.
        countries, kinds: what the network's heads for the plate's country and kind tell apart, in the order of their
            outputs; empty where it has no such head.

    Raises:
        ValueError: a value out of its range.
    """

    size: tuple[int, int] = (48, 192)
    margin: float = 0.04
    slots: int = 8
    temperature: float = 1.0
    threshold_99: float | None = None
    threshold_999: float | None = None
    read_again_below: float = 0.0
    countries: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def outputs(self) -> dict[str, int]:
        """The network's outputs behind the logits, in their order: the name of each and its number of classes."""
        heads = {"countries": len(self.countries), "kinds": len(self.kinds)}
        return {name: classes for name, classes in heads.items() if classes}

    def __post_init__(self) -> None:
        _expect(len(self.size) == 2 and min(self.size) >= 1, "size", self.size, "[height, width], at least 1 px each")
        _expect(max(self.size) <= MOST_PX, "size", self.size, f"at most {MOST_PX} px each")
        _expect(0 <= self.margin < 0.5, "margin", self.margin, "0 to below 0.5")
        _expect(self.slots >= 1, "slots", self.slots, "at least 1")
        _expect(0 < self.temperature < math.inf, "temperature", self.temperature, "a number above 0")
        for key in ("threshold_99", "threshold_999"):
            value = getattr(self, key)
            _expect(value is None or 0 <= value <= 1, key, value, "0 to 1, or null for none")
        _expect(0 <= self.read_again_below <= 1, "read_again_below", self.read_again_below, "0 to 1")
        for key in ("countries", "kinds"):
            names = getattr(self, key)
            _expect(len(set(names)) == len(names), key, list(names), "different names")

    def min_score(self, precision: str) -> float:
        """The threshold for a precision in per cent, "99" or "99.9".

        Raises:
            ValueError: another precision, or one for which no threshold is known.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"The precision {precision!r} has no threshold; expected {' or '.join(PRECISIONS)}.")
        found = self.threshold_99 if precision == PRECISIONS[0] else self.threshold_999
        if found is None:
            raise ValueError(
                f"No score is known above which {precision} % of the readings are right; calibrate the recogniser "
                f"(scripts/calibrate.py) and export it again, or give the lowest score as a number from 0 to 1."
            )
        return found


def _expect(holds: bool, key: str, found: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{key} is {found!r}; expected {expected}.")

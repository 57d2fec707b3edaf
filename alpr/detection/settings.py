"""What a detector needs around its network, in training, in a bundle's card and when it looks for plates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alpr.plates.values import MOST_PX, expect

FIRST_LOOK = 1.5
"""The first look is at a photograph decoded at a fraction that leaves this many times its long side."""
CLOSEST_LOOK = 3
"""A second look and small plates get this many times the longest look's side: the smallest plates that are found, 24 px
wide in its input, are 72 px wide then."""


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
        expect(self.multiple >= 1, "multiple", self.multiple, "at least 1")
        for key, px in (("input_px", self.input_px), ("fine_px", self.fine_px)):
            fits = px is None or (px >= self.multiple and px % self.multiple == 0)
            expect(fits, key, px, f"a multiple of {self.multiple}")
            expect(px is None or px <= MOST_PX, key, px, f"at most {MOST_PX}")
        expect(0 <= self.sure_score <= 1, "sure_score", self.sure_score, "0 to 1")
        expect(0 <= self.small_px < math.inf, "small_px", self.small_px, "a number of px, 0 or more")
        expect(0 < self.fine_weight <= 1, "fine_weight", self.fine_weight, "above 0 to 1")
        expect(0 <= self.score_threshold <= 1, "score_threshold", self.score_threshold, "0 to 1")
        expect(0 <= self.nms_iou <= 1, "nms_iou", self.nms_iou, "0 to 1")
        expect(self.max_plates >= 1, "max_plates", self.max_plates, "at least 1")
        vote = self.corner_vote
        expect(vote is None or 0 <= vote <= 1, "corner_vote", vote, "0 to 1, or null for no vote")

    @property
    def first_px(self) -> float:
        """The long side that a photograph has at least in the first look."""
        return FIRST_LOOK * self.input_px

    @property
    def closest_px(self) -> float:
        """The long side that a photograph has at least where the second look or a small plate needs more pixels."""
        return float(CLOSEST_LOOK * max(self.input_px, self.fine_px or 0))

"""What a detector needs around its network, in training, in a bundle's card and when it looks for plates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from alpr.plates.values import MOST_PX, expect

FIRST_LOOK = 1.5
"""The first look is at a photograph decoded at a fraction that leaves this many times its long side."""
CLOSEST_LOOK = 3
"""The finest look and small plates get this many times its side: the smallest plates that are found, 24 px wide in its
input, are 72 px wide then."""


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
        small_px: an image with a plate narrower than this in a look's input is in doubt after it. A finer look adds
            plates up to `widest_fine` times as wide in its own input; of wider ones, which a coarser look sees better,
            those that an earlier look suspected, with half of the threshold or more.
        fine_weight: the scores of every look but the first are multiplied by it, above 0 to 1: it sees more that only
            looks like a plate.
        middle_px: the long side of the input for a look between the two; the finest is taken where doubt remains. None
            for no such look.
        finer_corners: of a plate that two looks see, the finer one's corners count and the better score; else the
            corners of the better score.
        widest_fine: see `small_px`.
        wide_score: wider plates that only a finer look sees are kept from this score on, 0..1; None for never.
        others_score: an image is in doubt as well where the first look sees something else with this score or more,
            below the threshold, 0..1; None for never.
        credible_from: a plate with a lower score than the threshold, but this or more, is kept when its text is
            credible, 0..1; None for never.
        credible_text: a text is credible from this score on, 0..1.
        crops_below: the plate is looked for in a ready-made crop that reads with a lower text score, 0..1; 0 for never.

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
    middle_px: int | None = None
    finer_corners: bool = False
    widest_fine: float = 2.0
    wide_score: float | None = None
    others_score: float | None = None
    credible_from: float | None = None
    credible_text: float = 0.0
    crops_below: float = 0.0

    def __post_init__(self) -> None:
        expect(self.multiple >= 1, "multiple", self.multiple, "at least 1")
        for key, px in (("input_px", self.input_px), ("middle_px", self.middle_px), ("fine_px", self.fine_px)):
            fits = px is None or (px >= self.multiple and px % self.multiple == 0)
            expect(fits, key, px, f"a multiple of {self.multiple}")
            expect(px is None or px <= MOST_PX, key, px, f"at most {MOST_PX}")
        expect(self.middle_px is None or self.fine_px is not None, "fine_px", None, "a size beside middle_px")
        expect(0 <= self.small_px < math.inf, "small_px", self.small_px, "a number of px, 0 or more")
        expect(0 < self.fine_weight <= 1, "fine_weight", self.fine_weight, "above 0 to 1")
        expect(0 <= self.widest_fine < math.inf, "widest_fine", self.widest_fine, "a number, 0 or more")
        for key in ("sure_score", "score_threshold", "nms_iou", "credible_text", "crops_below"):
            expect(0 <= getattr(self, key) <= 1, key, getattr(self, key), "0 to 1")
        for key in ("wide_score", "others_score", "credible_from"):
            value = getattr(self, key)
            expect(value is None or 0 <= value <= 1, key, value, "0 to 1, or null for never")
        expect(self.max_plates >= 1, "max_plates", self.max_plates, "at least 1")
        vote = self.corner_vote
        expect(vote is None or 0 <= vote <= 1, "corner_vote", vote, "0 to 1, or null for no vote")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The long sides of the input of all looks, in their order."""
        return tuple(px for px in (self.input_px, self.middle_px, self.fine_px) if px is not None)

    @property
    def once(self) -> DetectorSettings:
        """These settings with one look, whose plates all count or not by their own score."""
        return replace(self, middle_px=None, fine_px=None, credible_from=None)

    def least_px(self, look: int) -> float:
        """The long side that a photograph has at least in a look: 0 is the first one."""
        last = len(self.sizes) - 1
        return self.closest_px if 0 < look == last else FIRST_LOOK * self.sizes[look]

    @property
    def first_px(self) -> float:
        """The long side that a photograph has at least in the first look."""
        return FIRST_LOOK * self.input_px

    @property
    def closest_px(self) -> float:
        """The long side that a photograph has at least where the second look or a small plate needs more pixels."""
        return float(CLOSEST_LOOK * max(self.sizes))

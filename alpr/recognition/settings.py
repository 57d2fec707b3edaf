"""What a recogniser needs around its network, in training, in a bundle's card and when it reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alpr.plates.values import MOST_PX, expect

PRECISIONS = ("99", "99.9")
"""The precisions in per cent for which there may be thresholds."""


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
        row_cuts: where plates of two rows may be cut to be read unfolded, as fractions of the crop's height; a head
            tells these and plates of one row apart. Empty where every plate is read as it is.
        unread: those of the countries whose script it does not know: their plates have no text.
        unreadable_below: readings with a lower score have the state `unreadable`; they keep their text.

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
    row_cuts: tuple[float, ...] = ()
    unread: tuple[str, ...] = ()
    unreadable_below: float = 0.0

    @property
    def outputs(self) -> dict[str, int]:
        """The network's outputs behind the logits, in their order: the name of each and its number of classes."""
        heads = {"countries": len(self.countries), "kinds": len(self.kinds)}
        if self.row_cuts:
            heads["rows"] = 1 + len(self.row_cuts)
        return {name: classes for name, classes in heads.items() if classes}

    def __post_init__(self) -> None:
        for key in ("countries", "kinds", "row_cuts", "unread"):  # a stored run gives lists
            object.__setattr__(self, key, tuple(getattr(self, key)))
        expect(len(self.size) == 2 and min(self.size) >= 1, "size", self.size, "[height, width], at least 1 px each")
        expect(max(self.size) <= MOST_PX, "size", self.size, f"at most {MOST_PX} px each")
        expect(0 <= self.margin < 0.5, "margin", self.margin, "0 to below 0.5")
        expect(self.slots >= 1, "slots", self.slots, "at least 1")
        expect(0 < self.temperature < math.inf, "temperature", self.temperature, "a number above 0")
        for key in ("threshold_99", "threshold_999"):
            value = getattr(self, key)
            expect(value is None or 0 <= value <= 1, key, value, "0 to 1, or null for none")
        for key in ("read_again_below", "unreadable_below"):
            expect(0 <= getattr(self, key) <= 1, key, getattr(self, key), "0 to 1")
        strange = [code for code in self.unread if code not in self.countries]
        expect(not strange, "unread", list(self.unread), f"some of the countries that it tells apart, {self.countries}")
        for key in ("countries", "kinds"):
            names = getattr(self, key)
            expect(len(set(names)) == len(names), key, list(names), "different names")
        cuts = list(self.row_cuts)
        expect(all(0 < cut < 1 for cut in cuts), "row_cuts", cuts, "fractions between 0 and 1")
        expect(not cuts or self.size[1] % 2 == 0, "size", self.size, "an even width where plates are unfolded")

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
                f"(alpr calibrate) and export it again, or give the lowest score as a number from 0 to 1."
            )
        return found

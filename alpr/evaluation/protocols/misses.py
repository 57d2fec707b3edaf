"""Why plates were missed: every miss has exactly one cause, so the counts sum to the misses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from alpr.evaluation.figures import overall_of
from alpr.evaluation.outcomes import PlateRecord
from alpr.evaluation.protocols.matching import is_found, is_right, reading_of
from alpr.evaluation.protocols.rules import Protocol
from alpr.plates.records import Reading
from alpr.recognition.metrics import edit_distance

SURE = 0.99
"""A reading with at least this score may put the label in doubt."""
WELL_FOUND = 0.7
FEW_EDITS = 2


class Cause(StrEnum):
    """Why a plate was missed; a miss has the first cause that fits, in the order of `cause_of`."""

    NOT_FOUND = "not found"
    CORNERS_OFF = "corners off"
    READ_WRONG = "read wrong"
    GRAMMAR_WRONG = "grammar wrong"
    LABEL_SUSPECT = "label suspect"


MEANINGS: Mapping[Cause, str] = {
    Cause.NOT_FOUND: "no detection overlaps the plate enough (the protocol's IoU for reading, else 0.5)",
    Cause.CORNERS_OFF: "found; wrong from the detector's corners, right from the labelled ones",
    Cause.READ_WRONG: "found; wrong, and not right from the labelled corners",
    Cause.GRAMMAR_WRONG: "the network's text was right, the grammar changed it",
    Cause.LABEL_SUSPECT: (
        f"the label is in the table of corrections; or a reading of score {SURE} or more, of a plate found at IoU "
        f"{WELL_FOUND} or more, differs from it in {FEW_EDITS} characters or fewer, and the labelled corners give no "
        f"other text"
    ),
}


def cause_of(record: PlateRecord, protocol: Protocol) -> Cause | None:
    """Why a plate was missed; None for one that was read, or that does not count.

    In this order: a label that is known to be wrong, not found, grammar wrong, corners off, a label in doubt, and
    read wrong for the rest.
    """
    reading, given = reading_of(protocol, record), record.on_true_corners
    if is_right(protocol, record) is not False or reading is None:
        return None
    of_detection = protocol.recognition.crop == "detection"
    if record.audited is not None:
        return Cause.LABEL_SUSPECT
    if not is_found(protocol, record):
        return Cause.NOT_FOUND
    if reading.raw_text == record.text:
        return Cause.GRAMMAR_WRONG
    if of_detection and given is not None and given.text == record.text:
        return Cause.CORNERS_OFF
    if _doubts(record, reading, of_detection):
        return Cause.LABEL_SUSPECT
    return Cause.READ_WRONG


def _doubts(record: PlateRecord, reading: Reading, of_detection: bool) -> bool:
    """Whether a wrong reading is sure enough to put the label in doubt."""
    given = record.on_true_corners
    well_found = not of_detection or (record.iou or 0.0) >= WELL_FOUND
    agreed = given is None or given.text == reading.text
    near = edit_distance(record.text or "", reading.text) <= FEW_EDITS
    return reading.score >= SURE and well_found and agreed and near


def budget_of(protocol: Protocol, records: Sequence[PlateRecord]) -> dict[Cause, int]:
    """How many of the misses overall have each cause."""
    counts = Counter(cause_of(record, protocol) for record in overall_of(protocol, records))
    return {cause: counts[cause] for cause in Cause}

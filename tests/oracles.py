"""Slow, plain versions of what the package computes at once, written from the papers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import product

Box = Sequence[float]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def atss_positives(levels: Sequence[Sequence[Box]], plate: Box, later_first: Sequence[bool]) -> list[dict[int, float]]:
    """The anchors that one plate would have on its own, with their overlaps: every answer that ties allow.

    Args:
        levels: anchor boxes level by level; anchors are numbered through.
        later_first: per level, which of two equally near anchors comes first. The paper does not say, and the two
            anchors of a cell are always equally near.
    """
    centre = ((plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2)
    candidates: list[tuple[int, Box]] = []
    first = 0
    for level, reverse in zip(levels, later_first, strict=True):
        ranked = []
        for i, box in enumerate(level):
            dx, dy = (box[0] + box[2]) / 2 - centre[0], (box[1] + box[3]) / 2 - centre[1]
            ranked.append((dx * dx + dy * dy, -i if reverse else i, first + i, box))
        candidates += [(number, box) for _, _, number, box in sorted(ranked)[:9]]
        first += len(level)
    overlaps = {number: overlap(plate, box) for number, box in candidates}
    threshold = statistics.mean(overlaps.values()) + statistics.stdev(overlaps.values())
    reach = 0.001 * ((plate[2] - plate[0]) * (plate[3] - plate[1])) ** 0.5
    positives = {}
    for number, box in candidates:
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        inside = min(x - plate[0], y - plate[1], plate[2] - x, plate[3] - y) > reach
        if inside and overlaps[number] >= threshold:
            positives[number] = overlaps[number]
    if not positives:  # our own rule: a plate flatter than a stride gets its best anchor
        best = max(overlaps.values())  # anchors around a whole small plate overlap it equally
        return [{number: iou} for number, iou in overlaps.items() if iou > best * (1 - 1e-5)]
    return [positives]


def atss(levels: Sequence[Sequence[Box]], plates: Sequence[Box]) -> list[dict[int, int]]:
    """Every assignment, anchor to plate, that the paper allows; they differ in how equally near anchors are ordered."""
    options = []
    for plate in plates:
        distinct: list[dict[int, float]] = []
        for order in product((False, True), repeat=len(levels)):
            distinct += [p for p in atss_positives(levels, plate, order) if p not in distinct]
        options.append(distinct)
    assignments = []
    for choice in product(*options):
        owner: dict[int, int] = {}
        for plate_number, positives in enumerate(choice):
            for anchor, iou in positives.items():
                if anchor not in owner or iou > choice[owner[anchor]][anchor]:
                    owner[anchor] = plate_number
        assignments.append(owner)
    return assignments


def overlap_assignment(levels: Sequence[Sequence[Box]], plates: Sequence[Box], least: float = 0.35) -> dict[int, int]:
    """Which anchor learns which plate by overlap alone: a plate's own best anchor first, then the largest overlap."""
    anchors = [box for level in levels for box in level]
    claims: dict[int, list[tuple[bool, float, int]]] = {}
    for number, plate in enumerate(plates):
        x, y = (plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2
        overlaps = [overlap(plate, box) for box in anchors]
        equals = [i for i, iou in enumerate(overlaps) if iou >= max(overlaps) * (1 - 1e-5)]
        best = min(
            equals,
            key=lambda i: (
                ((anchors[i][0] + anchors[i][2]) / 2 - x) ** 2 + ((anchors[i][1] + anchors[i][3]) / 2 - y) ** 2
            ),
        )
        for i, iou in enumerate(overlaps):
            if i == best or iou >= least:
                claims.setdefault(i, []).append((i == best, iou, -number))
    return {i: -max(claimed)[2] for i, claimed in claims.items()}


def box_losses(a: Box, b: Box) -> tuple[float, float]:
    """DIoU and GIoU loss of two boxes."""
    iou = overlap(a, b)
    width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    distance = (dx * dx + dy * dy) / (width * width + height * height)
    return 1 - iou + distance, 1 - iou + (width * height - (areas - shared)) / (width * height)


def distribution_focal(logits: Sequence[Sequence[float]], distances: Sequence[float]) -> float:
    """Distribution focal loss of one box: logits of four sides, four distances in strides."""
    total = 0.0
    for side, distance in zip(logits, distances, strict=True):
        distance = min(max(distance, 0.0), len(side) - 1.0)
        whole = sum(math.exp(z) for z in side)
        for i, z in enumerate(side):  # a hat about the distance: 0 for all but the two bins beside it
            total -= max(0.0, 1 - abs(i - distance)) * math.log(math.exp(z) / whole)
    return total / 4


def near_groups(hashes: Sequence[int], distance: int) -> list[int]:
    """The first member of every hash's group, all compared with all: pairs within a distance, and chains of them."""
    group = list(range(len(hashes)))
    for i, j in product(range(len(hashes)), repeat=2):
        if i < j and bin(hashes[i] ^ hashes[j]).count("1") <= distance and group[i] != group[j]:
            kept, gone = sorted((group[i], group[j]))
            group = [kept if g == gone else g for g in group]
    return group


def risk_curve(scores: Sequence[float], right: Sequence[bool]) -> list[tuple[float, float]]:
    """(coverage, risk) of every threshold, the highest first."""
    curve = []
    for threshold in sorted(set(scores), reverse=True):
        kept = [r for s, r in zip(scores, right, strict=True) if s >= threshold]
        curve.append((len(kept) / len(scores), kept.count(False) / len(kept)))
    return curve


def area_under_risk(scores: Sequence[float], right: Sequence[bool]) -> float:
    """The mean over readings of the risk at the threshold that keeps just them and the surer ones."""
    total = 0.0
    for own in scores:
        kept = [r for s, r in zip(scores, right, strict=True) if s >= own]
        total += kept.count(False) / len(kept)
    return total / len(scores)


def coverage_at(scores: Sequence[float], right: Sequence[bool], precision: float) -> float:
    """The largest coverage of a threshold with at least this precision."""
    return max((c for c, risk in risk_curve(scores, right) if 1 - risk >= precision - 1e-9), default=0.0)


def macro_accuracy(pairs: Sequence[tuple[str, str]]) -> float:
    """The mean over first characters of the share of texts (true, read) that are equal."""
    firsts = {true[0] for true, _ in pairs}
    return statistics.mean(statistics.mean(t == r for t, r in pairs if t[0] == first) for first in firsts)


def string_probabilities(slots: Sequence[Sequence[float]]) -> dict[tuple[int, ...], float]:
    """The probability of every string: its classes in the first slots, class 0 in all others."""
    found = {}
    for length in range(len(slots) + 1):
        for string in product(*(range(1, len(row)) for row in slots[:length])):
            whole = [*string, *[0] * (len(slots) - length)]
            found[string] = math.prod(row[i] for row, i in zip(slots, whole, strict=True))
    return found


def threshold(scores: Sequence[float], right: Sequence[bool], precision: float) -> float | None:
    """The lowest score from which at least this share is right, by trying them all."""
    for limit in sorted(set(scores)):
        kept = [r for s, r in zip(scores, right, strict=True) if s >= limit]
        if sum(kept) >= precision * len(kept) - 1e-9:
            return limit
    return None

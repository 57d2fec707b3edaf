"""A small detector and batches for it."""

from __future__ import annotations

from typing import Any

import torch

from alpr.detection.targets import ABSENT, PLATE, DetectionBatch

SMALL: dict[str, Any] = {
    "stem": (8, 8),
    "stage_blocks": (1, 1, 1, 1),
    "stage_widths": (8, 12, 16, 24),
    "neck_width": 8,
    "head_convs": 1,
    "head_width": 8,
}
A, B, C = (10.0, 10.0, 50.0, 24.0), (60.0, 30.0, 92.0, 42.0), (14.0, 40.0, 44.0, 50.0)


def batch_of(*images: list[tuple[float, ...]], kinds: list[list[int]] | None = None) -> DetectionBatch:
    """Images of 64x96 px with plates; a plate's corners are its box leaning by 2 px."""
    n = max(len(plates) for plates in images)
    boxes = torch.zeros(len(images), n, 4)
    corners = torch.zeros(len(images), n, 4, 2)
    listed = torch.full((len(images), n), ABSENT)
    for i, plates in enumerate(images):
        for j, (x1, y1, x2, y2) in enumerate(plates):
            boxes[i, j] = torch.tensor([x1, y1, x2, y2])
            corners[i, j] = torch.tensor([[x1 + 2, y1], [x2, y1], [x2 - 2, y2], [x1, y2]])
            listed[i, j] = PLATE if kinds is None else kinds[i][j]
    pixels = torch.randint(0, 256, (len(images), 64, 96, 3), dtype=torch.uint8, generator=torch.manual_seed(1))
    return DetectionBatch(pixels, boxes, corners, listed == PLATE, listed, torch.ones(len(boxes), dtype=torch.bool))

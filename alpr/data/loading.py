"""What every loader process does first."""

from __future__ import annotations

import cv2
import torch


def single_thread(worker: int) -> None:
    """One thread per loader process: OpenCV's and torch's pools would fight the training for the cores."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

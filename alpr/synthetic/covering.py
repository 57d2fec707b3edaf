"""A place in a photograph covered with what is around it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.geometry import homography, pixel_centre_matrix, plate_height, plate_width
from alpr.plates.records import FloatArray, ImageArray

_Gray = npt.NDArray[np.uint8]
_Weights = npt.NDArray[np.float32]


def covered(patch: ImageArray, quad: FloatArray) -> tuple[ImageArray, _Weights]:
    """A patch (H, W, 3) without what is inside a quad (4, 2) px, and where (H, W) it was changed, 0..1.

    What is left and right of a plate mostly goes on behind it (bumpers, slats): where both sides agree, their rows are
    continued; elsewhere the surroundings flow in from everywhere.
    """
    hole = quad_mask((patch.shape[0], patch.shape[1]), quad)
    smooth = filled(patch.astype(np.float32), (hole == 0).astype(np.float32))
    rows, agreement = _rows_across(patch, quad)
    agreement = np.where(hole > 0, agreement, 0).astype(np.float32)
    ground = smooth + agreement[..., None] * (rows - smooth)
    changed = cv2.GaussianBlur(hole, (0, 0), 0.8).astype(np.float32) * np.float32(1 / 255)
    return np.asarray(np.clip(ground, 0, 255), np.uint8), changed


def quad_mask(size: tuple[int, int], corners: FloatArray) -> _Gray:
    """255 inside a quad (4, 2) px of a picture (height, width)."""
    mask = np.zeros(size, np.uint8)
    cv2.fillConvexPoly(mask, np.round((corners - 0.5) * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    return mask


def _rows_across(patch: ImageArray, quad: FloatArray) -> tuple[npt.NDArray[np.float32], _Weights]:
    """Each row of the quad drawn from what is left of it to what is right of it, on the patch, and how much both agree.

    Gives (H, W, 3) and (H, W), of use inside the quad only.
    """
    h, w = max(4, round(float(plate_height(quad)))), max(8, round(float(plate_width(quad))))
    side = max(2, w // 16)
    flat = np.array([[side, 0], [side + w, 0], [side + w, h], [side, h]], np.float32)
    matrix = pixel_centre_matrix(homography(quad, flat))
    size = (w + 2 * side, h)
    seen = cv2.warpPerspective(patch, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left, right = (seen[:, part].astype(np.float32).mean(axis=1) for part in (slice(0, side), slice(-side, None)))
    agreement = np.exp(-((np.abs(left - right).mean(axis=1) / 40) ** 2)).astype(np.float32)
    agreement = np.asarray(cv2.blur(agreement[:, None], (1, 2 * (h // 16) + 1)), np.float32)
    share = np.linspace(0, 1, size[0], dtype=np.float32)[None, :, None]
    rows = left[:, None] * (1 - share) + right[:, None] * share
    drawn = np.concatenate([rows, np.repeat(agreement, size[0], axis=1)[..., None]], axis=2)
    back = cv2.warpPerspective(
        drawn,
        matrix,
        (patch.shape[1], patch.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(back[..., :3], np.float32), np.asarray(back[..., 3], np.float32)


def filled(patch: npt.NDArray[np.float32], known: _Weights) -> npt.NDArray[np.float32]:
    """A picture (H, W, 3) whose unknown parts (weight 0 of (H, W)) go on smoothly from the known ones.

    Source: Gortler et al., "The Lumigraph" (1996), section 3.4: pull-push.
    """
    if min(patch.shape[:2]) < 3 or float(known.min()) > 0.99:
        weight = float(known.sum())
        mean = (patch * known[..., None]).sum(axis=(0, 1)) / max(weight, 1e-6)
        return np.asarray(patch * known[..., None] + mean * (1 - known[..., None]), np.float32)
    weights = cv2.pyrDown(known)
    colours = cv2.pyrDown(patch * known[..., None]) / np.maximum(weights, 1e-4)[..., None]
    coarse = filled(np.asarray(colours, np.float32), np.minimum(weights * 2, 1).astype(np.float32))
    smooth = cv2.pyrUp(coarse, dstsize=(patch.shape[1], patch.shape[0]))
    return np.asarray(smooth + known[..., None] * (patch - smooth), np.float32)

"""Polygons in which plates count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from alpr.plates.records import FloatArray

_ZONE = re.compile(r"(?:(?P<source>[\w.\-]+)/)?(?P<name>[\w.\-]+)=(?P<points>[\d.,;\s\-]+)")


@dataclass(frozen=True)
class Zone:
    """A polygon in a camera's picture.

    Attributes:
        points: (P, 2) px, P >= 3.
        source: the camera's name; None for every one.
    """

    name: str
    points: FloatArray
    source: str | None = None

    @classmethod
    def parse(cls, text: str) -> Zone:
        """A zone from its words, such as `gate=100,200 500,200 500,700` or `north/gate=...` for one source.

        Raises:
            ValueError: other words.
        """
        found = _ZONE.fullmatch(text.strip())
        points = [] if found is None else [p.split(",") for p in re.split(r"[;\s]+", found["points"].strip())]
        try:
            polygon = np.array([[float(v) for v in point] for point in points], np.float32)
        except ValueError:
            polygon = np.zeros(0, np.float32)
        if found is None or polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
            raise ValueError(f"The zone {text!r} is none; expected NAME=x,y x,y x,y with at least three corners in px.")
        return cls(found["name"], polygon, found["source"])

    def holds(self, point: FloatArray) -> bool:
        """Whether a point (2,) px lies inside."""
        return cv2.pointPolygonTest(self.points, (float(point[0]), float(point[1])), False) >= 0


def zones_of(zones: Sequence[Zone], source: str) -> list[Zone]:
    """The zones of a source."""
    return [zone for zone in zones if zone.source in (None, source)]

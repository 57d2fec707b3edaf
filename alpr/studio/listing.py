"""Which photographs a list shows, in which order, and what it says of each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from alpr.studio.project import Photo, Project
from alpr.studio.readings import Summary

STATES = ("", "reviewed", "draft", "unlabelled", "no plate", "nothing found", "several", "not read", "unreadable")
ORDERS = ("doubt", "name", "score")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Query:
    """What a list is narrowed to; "" and None narrow nothing.

    Attributes:
        text: a part of a label's or a reading's text, or of the path.
        source: a folder, or a split, as `sources` names them.
        state: one of `STATES`.
        low, high: of the lowest score of a text in the photograph, 0..1.
        order: one of `ORDERS`.
    """

    text: str = ""
    country: str = ""
    source: str = ""
    state: str = ""
    low: float | None = None
    high: float | None = None
    order: str = "name"

    def __post_init__(self) -> None:
        for value, known in ((self.state, STATES), (self.order, ORDERS)):
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(filter(None, known))}.")


def listed(project: Project, summaries: Mapping[int, Summary], query: Query) -> list[int]:
    """The numbers of the photographs that a query asks for, in its order."""
    photos = [p for p in project.photos if _shown(p, summaries.get(p.number), query)]
    if query.order == "name":
        photos.sort(key=lambda p: _natural(p.image))
    elif query.order == "doubt":
        photos.sort(key=lambda p: (bool(p.reviewed), -_doubt(p, summaries.get(p.number)), p.number))
    else:
        photos.sort(key=lambda p: _score(summaries.get(p.number)))
    return [p.number for p in photos]


def _shown(photo: Photo, summary: Summary | None, query: Query) -> bool:
    if query.state and not _in_state(photo, summary, query.state):
        return False
    if query.source and query.source not in sources_of(photo):
        return False
    if query.country and query.country not in {label.country for label in photo.labels}.union(
        summary.countries if summary else ()
    ):
        return False
    if query.text:
        asked = query.text.casefold()
        texts = (photo.image, *(label.text for label in photo.labels), *(summary.texts if summary else ()))
        if not any(asked in text.casefold() for text in texts):
            return False
    if query.low is not None or query.high is not None:
        score = math.nan if summary is None else summary.score
        return (query.low or 0) <= score <= (1 if query.high is None else query.high)  # NaN: never
    return True


def _in_state(photo: Photo, summary: Summary | None, state: str) -> bool:
    return {
        "reviewed": bool(photo.reviewed),
        "draft": photo.known and not photo.reviewed,
        "unlabelled": not photo.known,
        "no plate": photo.known and not photo.labels,
        "nothing found": summary is not None and not summary.error and not summary.texts,
        "several": len(photo.labels) > 1 or (summary is not None and len(summary.texts) > 1),
        "not read": summary is None,
        "unreadable": summary is not None and bool(summary.error),
    }[state]


def sources_of(photo: Photo) -> tuple[str, ...]:
    """The folder and the splits that a photograph belongs to."""
    splits = {label.rest.get("split", "") for label in photo.labels} or {photo.rest.get("split", "")}
    return (f"folder {PurePath(photo.image).parent.as_posix()}", *(f"split {s}" for s in sorted(splits) if s))


def choices(project: Project, summaries: Mapping[int, Summary]) -> dict[str, list[str]]:
    """The sources and countries there are."""
    sources, countries = dict[str, None](), set[str]()
    for photo in project.photos:
        sources.update(dict.fromkeys(sources_of(photo)))
        countries.update(label.country for label in photo.labels)
    countries.update(c for s in list(summaries.values()) for c in s.countries)
    return {"sources": sorted(sources)[:500], "countries": sorted(countries - {""})}


def row_of(photo: Photo, summary: Summary | None) -> dict[str, Any]:
    """What a list says of a photograph."""
    doubt = _doubt(photo, summary)
    score = math.nan if summary is None else summary.score
    return {
        "number": photo.number,
        "image": photo.image,
        "texts": [label.text for label in photo.labels][:6],
        "plates": len(photo.labels),
        "known": photo.known,
        "reviewed": photo.reviewed,
        "doubt": None if doubt < 0 else round(doubt, 3),
        "score": None if math.isnan(score) else round(score, 3),
        "read": None if summary is None else list(summary.texts[:6]),
        "error": summary.error if summary else "",
        "revision": photo.revision,
    }


def _doubt(photo: Photo, summary: Summary | None) -> float:
    for doubt in (photo.doubt, summary.doubt if summary else math.nan):
        if not math.isnan(doubt):
            return doubt
    return -1.0


def _score(summary: Summary | None) -> float:
    return 2.0 if summary is None or math.isnan(summary.score) else summary.score


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]

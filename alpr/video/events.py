"""One event per vehicle: what a track was, once it has ended, or why it is none."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from alpr.plates.geometry import plate_width
from alpr.plates.records import FloatArray, ImageArray, PlateReading
from alpr.plates.slots import Alternative
from alpr.recognition.grammar import Grammar
from alpr.video.frames import Frame
from alpr.video.fusion import TEMPERATURE, Fused, Fusion
from alpr.video.plate_lists import Listed, PlateList
from alpr.video.tracks import Track, Tracker, TrackSettings
from alpr.video.zones import Zone, zones_of

READ, UNREADABLE = "read", "unreadable"
REASONS = ("too small", "outside the zones", "nothing read", "below threshold", "grammar", "merged")
"""Why a track is no event."""
_REMEMBERED = 500


@dataclass(frozen=True)
class WatchSettings:
    """What becomes an event.

    Attributes:
        min_score: a fused text with a lower score is none.
        min_frames: nor is one of fewer frames.
        min_width_px: narrower plates are followed, but not read from.
        quiet_s: a text that comes again within so many seconds is the same event.
        after_s: an event comes when its track is so old, and may be corrected; None waits for the track's end.
        only_grammar: a text that fits no layout of the grammar is no event.
        unread: tracks that could not be read are events, too, with the state `unreadable`.
        alternatives: how many texts an event gives beside its own.
        temperature: of the fused text's score.
        zones: polygons; where a source has any, plates outside are followed, but not read from.
    """

    tracks: TrackSettings = field(default_factory=TrackSettings)
    min_score: float = 0.5
    min_frames: int = 1
    min_width_px: float = 0.0
    quiet_s: float = 10.0
    after_s: float | None = None
    only_grammar: bool = False
    unread: bool = False
    alternatives: int = 3
    temperature: float = TEMPERATURE
    zones: tuple[Zone, ...] = ()


@dataclass(frozen=True)
class Event:
    """A vehicle that passed.

    Attributes:
        event: its name; of several revisions the same.
        revision: 0, and one more whenever it is corrected.
        final: whether its track has ended.
        source, track: the camera's name and the track's number.
        text, score: of all frames together; the score is the calibrated probability of exactly this text.
        state: `read`, or `unreadable` where `reason` says why.
        agreed, frames: how many of the frames that were read gave this text by themselves.
        seen: frames in which the plate was found.
        first_s, last_s: seconds since the source began; `started` is the first one's time of day of a camera, UTC.
        direction: towards, away, left or right; None where the plate hardly moved.
        corners: (4, 2) px in `best_frame`, from which the text was read best.
        picture: that frame, and `crop` the upright plate in it; None where they are not kept.
        listed: the entry of a list that the text is near to.
        frame_file, crop_file: where they were written.
    """

    event: str
    source: str
    track: int
    text: str
    score: float
    first_s: float
    last_s: float
    frames: int
    revision: int = 0
    final: bool = True
    state: str = READ
    reason: str | None = None
    agreed: int = 0
    seen: int = 0
    first_frame: int = 0
    last_frame: int = 0
    started: str | None = None
    country: str | None = None
    kind: str | None = None
    rule: str | None = None
    raw_text: str | None = None
    direction: str | None = None
    width_px: float = 0.0
    best_frame: int | None = None
    corners: FloatArray | None = None
    alternatives: tuple[Alternative, ...] = ()
    zones: tuple[str, ...] = ()
    listed: Listed | None = None
    picture: ImageArray | None = field(default=None, repr=False, compare=False)
    crop: ImageArray | None = field(default=None, repr=False, compare=False)
    frame_file: str | None = None
    crop_file: str | None = None

    @property
    def key(self) -> str:
        """What no other line has: the event and its revision."""
        return f"{self.event}/{self.revision}"

    def to_record(self) -> dict[str, Any]:
        """Plain values as they stand in a JSON line; keys of what was not asked for are left out."""
        always = {
            "event": self.event, "revision": self.revision, "final": self.final, "source": self.source,
            "track": self.track, "text": self.text, "score": round(self.score, 4), "state": self.state,
            "agreed": self.agreed, "frames": self.frames, "seen": self.seen,
            "first_s": round(self.first_s, 3), "last_s": round(self.last_s, 3),
            "dwell_s": round(self.last_s - self.first_s, 3),
            "first_frame": self.first_frame, "last_frame": self.last_frame, "best_frame": self.best_frame,
            "corners": None if self.corners is None else np.round(self.corners.astype(np.float64), 2).tolist(),
            "width_px": round(self.width_px, 1), "direction": self.direction, "country": self.country,
            "alternatives": [{"text": a.text, "score": round(a.score, 4)} for a in self.alternatives],
        }  # fmt: skip
        listed = None if self.listed is None else {
            "text": self.listed.text, "list": self.listed.list, "note": self.listed.note,
        }  # fmt: skip
        further = {
            "started": self.started, "reason": self.reason, "kind": self.kind, "rule": self.rule,
            "raw_text": self.raw_text, "zones": list(self.zones) or None, "listed": True if listed else None,
            "list": listed, "frame_file": self.frame_file, "crop_file": self.crop_file,
        }  # fmt: skip
        return always | {key: value for key, value in further.items() if value is not None}


@dataclass
class _Told:
    """What was told of a track that is still in view."""

    fused: Fused
    revision: int
    at_s: float


class Watcher:
    """Frames of one source to events. Who has frames and readings of his own feeds them here.

    Args:
        source: the camera's name.
        began: seconds since the epoch when a camera's watch began, which makes its events' names unlike those of
            yesterday; None of a file, whose events have the same names whenever it is read.
        grammar: of the country, for the fused texts.
        lists: known plates.
        keep_frames: whether events bring their picture.
        first_track: the number of the first track.
    """

    def __init__(
        self,
        source: str,
        settings: WatchSettings | None = None,
        *,
        began: float | None = None,
        grammar: Grammar | None = None,
        lists: PlateList | None = None,
        keep_frames: bool = False,
        first_track: int = 1,
    ) -> None:
        self.source, self.settings, self.lists, self.began = source, settings or WatchSettings(), lists, began
        self.grammar = grammar
        self.counts: Counter[str] = Counter()
        self.why: deque[str] = deque(maxlen=_REMEMBERED)
        """A sentence for each of the last tracks that ended."""
        self._zones = zones_of(self.settings.zones, source)
        fusion = partial(Fusion, self.settings.temperature, grammar)
        self.tracker = Tracker(self.settings.tracks, fusion, keep_frames=keep_frames, first=first_track)
        self._texts: dict[str, float] = {}  # when a text was seen last, of those that became events
        self._told: dict[int, _Told] = {}

    @property
    def empty(self) -> bool:
        """Whether no vehicle is in view: a file may be read again from here."""
        return not self.tracker.tracks

    @property
    def texts(self) -> dict[str, float]:
        """When the texts of events were seen last, s."""
        return dict(self._texts)

    def remember(self, text: str, last_s: float) -> None:
        """An event of an earlier run over the same file, for `quiet_s`."""
        self._texts[text] = last_s

    def feed(self, frame: Frame, plates: Sequence[PlateReading], *, again: bool = False) -> list[Event]:
        """One frame with its plates; gives the events that are ready now.

        Args:
            frame: later than those before.
            again: the picture has not changed since the one before it; its readings say nothing new.
        """
        self.counts["frames"] += 1
        self.counts["frames without a plate"] += not plates
        self.counts["plates"] += len(plates)
        events = self._ended(self.tracker.ended(frame.time_s))
        inside = [self._zones_at(plate) for plate in plates]
        counted = [not again and self._counts(plate, here) for plate, here in zip(plates, inside, strict=True)]
        tracks = self.tracker.feed(plates, frame.number, frame.time_s, frame.image, counted, frame.image.shape[:2])
        for track, here in zip(tracks, inside, strict=True):
            track.zones.update(dict.fromkeys(here))
        if self.settings.after_s is not None:
            events += [event for track in tracks if (event := self._early(track, frame.time_s)) is not None]
        return events

    def end(self) -> list[Event]:
        """The events of the vehicles that are still in view, at the end of the frames."""
        return self._ended(self.tracker.end())

    def _zones_at(self, plate: PlateReading) -> list[str]:
        centre = plate.detection.corners.mean(axis=0)
        return [zone.name for zone in self._zones if zone.holds(centre)]

    def _counts(self, plate: PlateReading, here: Sequence[str]) -> bool:
        """Whether a plate may be read from."""
        small = plate_width(plate.detection.corners) < self.settings.min_width_px
        outside = bool(self._zones) and not here
        self.counts["plates too small"] += bool(small)
        self.counts["plates outside the zones"] += outside and not small
        return not small and not outside

    def _ended(self, tracks: Sequence[Track]) -> list[Event]:
        events = []
        for track in tracks:
            self.counts["tracks"] += 1
            fused = track.result(self.settings.alternatives)
            told = self._told.pop(track.number, None)
            reason = self._reason(track, fused, told is not None)
            if reason is not None:
                self.counts[reason] += 1
            if reason is None or told is not None or (self.settings.unread and reason != "merged"):
                revision = 0 if told is None else told.revision + 1
                events.append(self._event(track, fused, revision, final=True, reason=reason))
                self.counts["events"] += reason is None
            if fused.text and (reason is None or reason == "merged"):
                self._texts[fused.text] = max(track.last_s, self._texts.get(fused.text, track.last_s))
                if len(self._texts) > _REMEMBERED:
                    self._texts.pop(next(iter(self._texts)))
            self._explain(track, fused, reason)
        return events

    def _reason(self, track: Track, fused: Fused, told: bool) -> str | None:
        """Why a track is no event; None where it is one."""
        s = self.settings
        if not fused.frames:
            return "too small" if track.widest < s.min_width_px else "outside the zones"
        if not fused.text:
            return "nothing read"
        if fused.score < s.min_score or fused.frames < s.min_frames:
            return "below threshold"
        if s.only_grammar and self.grammar is not None and fused.rule is None:
            return "grammar"
        before = self._texts.get(fused.text)
        if not told and before is not None and track.first_s - before <= s.quiet_s:
            return "merged"
        return None

    def _early(self, track: Track, time_s: float) -> Event | None:
        """An event of a track that goes on: first when it is old enough, then when its text changes."""
        after_s = self.settings.after_s or 0.0
        told = self._told.get(track.number)
        if time_s - (track.first_s if told is None else told.at_s) < after_s:
            return None
        fused = track.result(self.settings.alternatives)
        if self._reason(track, fused, told is not None) is not None:
            return None
        if told is not None and told.fused.text == fused.text:
            return None
        revision = 0 if told is None else told.revision + 1
        self._told[track.number] = _Told(fused, revision, time_s)
        return self._event(track, fused, revision, final=False, reason=None)

    def _event(self, track: Track, fused: Fused, revision: int, *, final: bool, reason: str | None) -> Event:
        best = track.sighting(fused.text)
        started = None if self.began is None else datetime.fromtimestamp(self.began + track.first_s, UTC)
        since = "" if self.began is None else f"-{datetime.fromtimestamp(self.began, UTC):%Y%m%dT%H%M%S}"
        return Event(
            event=f"{self.source}{since}-{track.number}",
            source=self.source,
            track=track.number,
            text=fused.text,
            score=fused.score,
            first_s=track.first_s,
            last_s=track.last_s,
            frames=fused.frames,
            revision=revision,
            final=final,
            state=READ if reason is None else UNREADABLE,
            reason=reason,
            agreed=fused.agreed,
            seen=track.seen,
            first_frame=track.first_frame,
            last_frame=track.last_frame,
            started=None if started is None else started.isoformat(timespec="milliseconds"),
            country=fused.country,
            kind=fused.kind,
            rule=fused.rule,
            raw_text=fused.raw_text,
            direction=track.direction,
            width_px=track.widest,
            best_frame=None if best is None else best.frame,
            corners=None if best is None else best.corners,
            alternatives=fused.alternatives,
            zones=tuple(track.zones),
            listed=None if self.lists is None else self.lists.find(fused.text),
            picture=None if best is None else best.image,
        )

    def _explain(self, track: Track, fused: Fused, reason: str | None) -> None:
        what = f"{fused.text!r}, score {fused.score:.2f}, agreed by {fused.agreed} of {fused.frames} frames"
        texts = ", ".join(f"{text} {n}" for text, n in track.fusion.texts.most_common(4))
        self.why.append(
            f"{self.source}, track {track.number}, {track.first_s:.1f} to {track.last_s:.1f} s, {track.seen} frames, "
            f"up to {track.widest:.0f} px: {'an event' if reason is None else reason}; {what}"
            f"{f' ({texts})' if texts else ''}."
        )

    def summary(self) -> str:
        """What was not read and why, in a sentence."""
        c = self.counts
        why = [f"{c[reason]} {reason}" for reason in REASONS if c[reason]]
        plates = [f"{c[key]} {key}" for key in ("plates too small", "plates outside the zones") if c[key]]
        return (
            f"{self.source}: {c['frames']:,} frames, no plate found in {c['frames without a plate']:,} of them; "
            f"{c['tracks']} tracks, {c['events']} events{', ' if why else ''}{', '.join(why)}"
            f"{'; ' if plates else ''}{', '.join(plates)}."
        )


def with_files(event: Event, frame_file: str | None, crop_file: str | None) -> Event:
    """The event with the paths of its pictures."""
    return replace(event, frame_file=frame_file, crop_file=crop_file)

"""Cameras of the server's own: their frames go through its queue, the events of their tracks to whoever wants them.

A camera is one client of the queue among the others and has one frame under way, so it takes its turn and no more; the
next frame is the newest that the camera has by then.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from alpr.plates.records import ImageArray
from alpr.reader.reader import Reader
from alpr.recognition.grammar import Grammar
from alpr.serving.event_stream import EventStream
from alpr.serving.frames import Ended, Frame, Outcome
from alpr.serving.queue import FrameQueue
from alpr.video import frames as video
from alpr.video.camera import Camera
from alpr.video.event_files import EventLines, write_evidence
from alpr.video.events import Event, Watcher, WatchSettings
from alpr.video.looks import Looks
from alpr.video.plate_lists import PlateList
from alpr.video.sources import open_source
from alpr.video.watch import Still, finished, silent, temperature_of
from alpr.video.webhook import Webhook

log = logging.getLogger("alpr.serving")

AGAIN_S = 0.2
"""Between attempts to have a frame of a file read."""


@dataclass(frozen=True)
class LiveSettings:
    """What is watched.

    Attributes:
        sources: as `alpr watch` takes them, such as `gate=rtsp://...`.
        every: only every n-th frame is read.
        events: JSON lines are added to this file; None for stdout.
        evidence: a folder for every event's best frame and crop.
        lists: files of known plates, and `list_distance` the edits allowed where a line names none.
        grammar: whether fused texts are bent to the country's layouts.
        picture: whether the webhook gets the crop.
    """

    sources: tuple[str, ...]
    every: int = 1
    events: Path | None = None
    evidence: Path | None = None
    watch: WatchSettings = field(default_factory=WatchSettings)
    lists: tuple[Path, ...] = ()
    list_distance: int = 0
    grammar: bool = False
    picture: bool = False


class Live:
    """All sources of a server, each with a thread.

    Args:
        hook: gets every event, beside its file and the stream.

    Raises:
        ValueError: a source, a list or a file that cannot be opened.
    """

    def __init__(
        self, settings: LiveSettings, reader: Reader, queue: FrameQueue, stream: EventStream, hook: Webhook | None
    ) -> None:
        self.settings, self.queue, self.stream, self.hook = settings, queue, stream, hook
        self.lists = PlateList(settings.lists, settings.list_distance) if settings.lists else None
        self._list_error = ""
        self._telling = threading.Lock()
        self._stopping = threading.Event()
        card = reader.card
        rules = Grammar(card.country, reader.recogniser.charset) if settings.grammar and card is not None else None
        watch = replace(settings.watch, temperature=temperature_of(reader))
        try:
            self.lines = EventLines(settings.events, append=True)
        except OSError as error:
            raise ValueError(f"{settings.events} cannot be written: {error.strerror}.") from error
        self.watched: list[_Watched] = []
        for text in settings.sources:
            taken = {one.source.name for one in self.watched}
            source = open_source(text, every=settings.every, taken=taken)
            source.told = lambda sentence, name=source.name: log.warning(sentence, extra={"source": name})  # type: ignore[misc]
            watcher = Watcher(
                source.name, watch, began=time.time(), grammar=rules, lists=self.lists, keep_frames=True
            )  # fmt: skip
            self.watched.append(_Watched(source, watcher, queue, self._tell, self._stopping, self._refresh))

    @property
    def names(self) -> list[str]:
        """Of the sources."""
        return [one.source.name for one in self.watched]

    @property
    def alive(self) -> bool:
        """Whether every source that has not come to its end is watched."""
        return all(one.thread.is_alive() or one.source.ended for one in self.watched)

    def start(self) -> None:
        """Begins to watch."""
        for one in self.watched:
            one.thread.start()

    def ask_to_stop(self) -> None:
        """Takes no more frames; `stop` waits for the last events."""
        self._stopping.set()

    def stop(self) -> None:
        """Ends: the events of the vehicles in view are written."""
        self.ask_to_stop()
        for one in self.watched:
            if one.thread.ident is not None:
                one.thread.join()
        self.lines.close()

    def _refresh(self) -> None:
        """Reads lists that have changed; one that cannot be read is said once, and the old one stays."""
        if self.lists is None:
            return
        with self._telling:
            try:
                self.lists.refresh()
                self._list_error = ""
            except (OSError, ValueError) as error:
                if str(error) != self._list_error:
                    log.warning("%s", error)
                self._list_error = str(error)

    def _tell(self, events: Sequence[Event]) -> None:
        for event in finished(events):
            self.queue.tally.note("events of vehicles")
            with self._telling:
                self._give(event)

    def _give(self, event: Event) -> None:
        """Writes an event everywhere; what fails in one place is logged, and the others get it all the same."""
        if self.settings.evidence is not None:
            try:
                event = write_evidence(event, self.settings.evidence)
            except OSError as error:
                self._failed(event, error)
        record = event.to_record()
        pictured = record if event.crop is None else {**record, "picture": _base64(event.crop)}
        if self.hook is not None:
            try:
                if not self.hook.put(event.key, pictured if self.settings.picture else record):
                    self.queue.tally.note("webhook records dropped")
            except OSError as error:
                self._failed(event, error)
        try:
            self.lines.write(event)
        except OSError as error:
            self._failed(event, error)
        self.stream.put(pictured)

    def _failed(self, event: Event, error: OSError) -> None:
        self.queue.tally.note("events not written")
        log.error("an event could not be written: %s", error, extra={"source": event.source, "vehicle": event.key})


@dataclass
class _Watched:
    """A source, and the thread that hands its frames to the queue one after the other."""

    source: video.Source
    watcher: Watcher
    queue: FrameQueue
    tell: Callable[[Sequence[Event]], None]
    stopping: threading.Event
    refresh: Callable[[], None]

    def __post_init__(self) -> None:
        self.client = f"watch/{self.source.name}"
        self.looks = Looks()
        self.still = Still() if isinstance(self.source, Camera) else None
        self.thread = threading.Thread(target=self._run, name=self.client, daemon=True)

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                try:
                    if self._step():
                        break
                except Exception:  # whatever one frame brings must not end the watch
                    log.exception("a frame could not be followed", extra={"source": self.source.name})
        finally:
            self.tell(self.watcher.end())
            self.source.stop()
            summary = self.watcher.summary()
            log.info("watched", extra={"source": self.source.name, "summary": summary, "error": self.source.error})

    def _step(self) -> bool:
        """Takes a frame, if there is one; whether the source has come to its end."""
        frame = self.source.take()
        if frame is None:
            if silent(self.source, self.watcher):
                self.tell(self.watcher.end())
            return self.source.ended
        self.refresh()
        plates = None if self.still is None else self.still.plates_of(frame)
        again = plates is not None
        if plates is None:
            ended = self._read(frame, one_look=not self.looks.twice())
            if ended.read is None:
                return False
            plates = ended.read.plates
            if self.still is not None:
                self.still.read(frame, plates)
        self.tell(self.watcher.feed(frame, plates, again=again))
        self.looks.followed(frame.number, self.watcher.tracker.tracks)
        return False

    def _read(self, frame: video.Frame, *, one_look: bool) -> Ended:
        """Has a frame read; one of a file is offered until it was."""
        while True:
            over = threading.Event()
            kept: list[Ended] = []

            def told(_: Frame, ended: Ended, kept: list[Ended] = kept, over: threading.Event = over) -> None:
                kept.append(ended)
                over.set()

            name = f"{self.source.name}#{frame.number}"
            self.queue.offer(Frame(self.client, name, frame.image, told, own=True, one_look=one_look))
            over.wait()
            (ended,) = kept
            self.source.counts.broken += ended.outcome is Outcome.UNREADABLE
            missed = ended.outcome in (Outcome.REFUSED, Outcome.LATE)
            self.source.counts.dropped += missed
            if self.source.live or not missed or self.stopping.wait(AGAIN_S):
                return ended


def _base64(crop: ImageArray) -> str:
    return base64.b64encode(cv2.imencode(".jpg", crop)[1].tobytes()).decode()

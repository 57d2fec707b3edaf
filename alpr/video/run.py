"""A whole `alpr watch`: sources opened, events written and sent, and what is said at the end."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console

from alpr.reader.reader import Reader
from alpr.recognition.grammar import Grammar
from alpr.reports.progress import progress_bar
from alpr.video.annotated import AnnotatedVideo, annotated_path
from alpr.video.event_files import EventLines, EventTable, Resumption, write_evidence
from alpr.video.events import Event, WatchSettings
from alpr.video.frames import Source, SourceError
from alpr.video.looks import EVERY
from alpr.video.plate_lists import PlateList
from alpr.video.sources import ImageFolder, VideoFile, open_source
from alpr.video.watch import Seen, Watch, temperature_of
from alpr.video.webhook import Webhook, spool_beside


@dataclass(frozen=True)
class Outputs:
    """Where events go; see the options of `alpr watch`."""

    lines: Path | None = None
    resume: bool = False
    csv: Path | None = None
    annotate: Path | None = None
    blur: bool = False
    evidence: Path | None = None
    webhook: str | None = None
    webhook_picture: bool = False
    spool: Path | None = None
    webhook_wait_s: float = 60.0
    explain: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.lines is None:
            raise ValueError("--resume goes on with JSON lines in a file; expected --output.")
        if self.blur and self.annotate is None:
            raise ValueError("--blur covers the plates of the video of --annotate; expected both.")
        if self.webhook_picture and self.webhook is None:
            raise ValueError("--webhook-picture goes with --webhook; expected both.")


@dataclass
class Run:
    """Watches sources to their end, or until it is stopped.

    Raises:
        ValueError: no source that can be opened, or outputs that cannot be.
        OSError: a file that cannot be written.
    """

    given: Sequence[str]
    reader: Reader
    settings: WatchSettings
    outputs: Outputs
    grammar: bool = False
    lists: PlateList | None = None
    every: int = 1
    fps: float | None = None
    give_up_s: float | None = None
    looks: int = EVERY
    failed: int = 0
    _explained: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sources = self._opened()
        self.settings = replace(self.settings, temperature=temperature_of(self.reader))
        card, charset = self.reader.card, self.reader.recogniser.charset
        rules = Grammar(card.country, charset) if self.grammar and card is not None else None
        keep = self.outputs.evidence is not None or self.outputs.webhook_picture
        self.watch = Watch(sources, self.reader, self.settings, rules, self.lists, keep, self._seen, self.looks)
        self._videos = {} if self.outputs.annotate is None else {
            source.name: AnnotatedVideo(
                annotated_path(self.outputs.annotate, source.name, len(sources) > 1), blur=self.outputs.blur
            )
            for source in sources
        }  # fmt: skip

    def __call__(self) -> int:
        """Runs to the end; gives the exit code."""
        out, live = self.outputs, any(source.live for source in self.watch.sources)
        with ExitStack() as ending:
            self._lines = EventLines(out.lines, append=live or out.resume, know=out.resume)
            ending.callback(self._lines.close)
            self._note = None if out.lines is None or live else Resumption(out.lines, self._identity())
            if out.resume and self._note is not None:
                for name, frame in self._note.take_up(self.watch, self._lines.known).items():
                    self._say(f"{name} goes on from frame {frame:,}.")
            elif self._note is not None:
                self._note.remove()
            table = None
            if out.csv is not None:
                table = EventTable(out.csv, self._lines.known.values(), append=live)
                ending.callback(table.close)
            hook = None
            if out.webhook is not None:
                spool = out.spool or spool_beside(out.lines)
                hook = Webhook(out.webhook, spool, fresh=not out.resume, told=self._say)
                ending.callback(hook.close)
            for video in self._videos.values():
                ending.callback(video.close)
            with self._progress():
                try:
                    for event in self.watch:
                        self._put(event, table, hook)
                except KeyboardInterrupt:
                    self.watch.stop()
                    if not live:
                        raise
                    for event in self.watch.close():
                        self._put(event, table, hook)
            if self._note is not None:
                self._note.remove()
            if hook is not None and (left := hook.wait(out.webhook_wait_s)):
                self._say(f"{left} events are not sent yet; they stand in {hook.path} and go out with the next watch.")
                self.failed += 1
        self._explain()
        for source in self.watch.sources:
            self._say(self.watch.watchers[source.name].summary() + self._lost(source))
            if source.error:
                self._say(source.error)
                self.failed += 1
        return 1 if self.failed else 0

    def stop(self) -> None:
        """Ends the watch after the frame at hand."""
        self.watch.stop()

    def _opened(self) -> list[Source]:
        sources: list[Source] = []
        for text in self.given:
            try:
                source = open_source(
                    text,
                    every=self.every,
                    fps=self.fps,
                    give_up_s=self.give_up_s,
                    taken={one.name for one in sources},
                )
            except (SourceError, OSError) as error:
                if len(self.given) == 1:
                    raise ValueError(str(error)) from error
                self._say(str(error))
                self.failed += 1
                continue
            source.told = self._say
            sources.append(source)
        if not sources:
            raise ValueError("None of the sources could be opened.")
        return sources

    def _put(self, event: Event, table: EventTable | None, hook: Webhook | None) -> None:
        """Writes one event everywhere; its line comes last, so that what has a line is everywhere."""
        if event.key in self._lines.known:
            return
        if self.outputs.evidence is not None:
            event = write_evidence(event, self.outputs.evidence)
        if hook is not None:
            hook.put(event.key, self._body(event))
        if table is not None:
            table.write(event)
        self._lines.write(event)
        self._explain()

    def _body(self, event: Event) -> dict[str, Any]:
        record = event.to_record()
        if self.outputs.webhook_picture and event.crop is not None:
            _, data = cv2.imencode(".jpg", event.crop)
            record["picture"] = base64.b64encode(data.tobytes()).decode()
        return record

    def _seen(self, seen: Seen) -> None:
        if seen.source.name in self._videos:
            self._videos[seen.source.name].seen(seen)
        if self._note is not None:
            self._note.seen(seen)
        if self._bar is not None:
            self._bar()

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """A bar over the frames of files, on stderr where that is a terminal and stdout is no other one."""
        self._bar = None
        lengths = [
            source.length if isinstance(source, VideoFile) else len(source.paths)
            for source in self.watch.sources
            if isinstance(source, VideoFile | ImageFolder)
        ]
        console = Console(stderr=True)
        shown = console.is_terminal and len(lengths) == len(self.watch.sources)
        shown = shown and (self.outputs.lines is not None or not sys.stdout.isatty())
        with progress_bar("frames", console, shown=shown) as bar:
            task = bar.add_task("watching", total=sum(-(-length // self.every) for length in lengths) or None)
            if shown:
                self._bar = lambda: bar.advance(task)
            yield

    def _explain(self) -> None:
        """A sentence for every track that ended since the last time."""
        for watcher in self.watch.watchers.values():
            while watcher.why:
                sentence = watcher.why.popleft()
                if self.outputs.explain:
                    self._say(sentence)

    def _identity(self) -> dict[str, Any]:
        """What the events depend on."""
        settings = asdict(self.settings)
        settings["zones"] = [[zone.name, zone.source, zone.points.tolist()] for zone in self.settings.zones]
        card = self.reader.card
        files = {} if card is None else {key: entry.sha256 for key, entry in card.files.items()}
        return {
            "settings": settings, "grammar": self.grammar, "every": self.every, "looks": self.looks, "fps": self.fps,
            "bundle": files,
            "sources": [source.name for source in self.watch.sources],
        }  # fmt: skip

    def _lost(self, source: Source) -> str:
        c = source.counts
        parts = [f"{n:,} {what}" for n, what in (
            (c.dropped, "frames dropped, as newer ones came"), (c.broken, "frames that could not be read"),
            (c.reconnects, "times reached again"),
        ) if n]  # fmt: skip
        return f" {', '.join(parts)}." if parts else ""

    def _say(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

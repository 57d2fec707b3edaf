"""Where events go: JSON lines, a CSV, and pictures; and the note by which an interrupted watch of files goes on.

A line is written at once and whole, before the next frame is read. The note is renewed when no vehicle is in view: a
file that is read again from there gives the same events with the same names, and those that are written are known.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import cv2

from alpr.files import LIST_BYTES, SMALL_BYTES, open_regular, read_regular, write_atomically
from alpr.plates.values import strict_json
from alpr.video.events import Event, with_files
from alpr.video.watch import Seen, Watch

COLUMNS = (
    "event", "revision", "final", "source", "track", "text", "score", "state", "reason", "agreed", "frames", "seen",
    "first_s", "last_s", "dwell_s", "started", "direction", "country", "kind", "rule", "width_px", "best_frame",
    "alternatives", "zones", "listed", "list", "frame_file", "crop_file",
)  # fmt: skip
"""Of the CSV."""
NOTE_EVERY_S = 1.0


class EventLines:
    """JSON lines, one an event, on stdout or at the end of a file.

    Args:
        path: None for stdout.
        append: whether the lines that stand there stay.
        know: whether they are read, so that none is written twice.

    Raises:
        OSError: a file that cannot be written.
        ValueError: kept lines that are no events.
    """

    def __init__(self, path: Path | None, *, append: bool = False, know: bool = False) -> None:
        self.path = path
        self.known: dict[str, dict[str, Any]] = {}
        self._file: BinaryIO | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        special = path.exists() and not path.is_file()
        if know and path.is_file():
            whole = 0
            for line, record in whole_lines(path):
                self.known[f"{record['event']}/{record['revision']}"] = record
                whole += len(line)
            os.truncate(path, whole)
        elif not special and not append:
            write_atomically(path, [])
        self._file = path.open("ab", buffering=0)

    def write(self, event: Event) -> bool:
        """Writes one event; False where it stands there already."""
        if event.key in self.known:
            return False
        line = json.dumps(event.to_record(), ensure_ascii=False, allow_nan=False) + "\n"
        if self._file is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            self._file.write(line.encode())  # unbuffered: a kill leaves it whole or not there
        return True

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def whole_lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The lines of a file of events that were written to their end, with their records.

    Raises:
        ValueError: a first line that is no event.
    """
    with open_regular(path, LIST_BYTES) as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            fits = isinstance(record, dict) and isinstance(record.get("event"), str) and "revision" in record
            if not fits or not line.endswith(b"\n"):
                if number == 1 and line.endswith(b"\n"):
                    raise ValueError(f"{path}, line 1 is no event of alpr watch; choose another file.")
                return
            yield line, record


class EventTable:
    """A CSV, one row an event.

    Args:
        known: records that it holds from the beginning, of an earlier run.
        append: whether the rows that stand there stay.

    Raises:
        OSError: a file that cannot be written.
    """

    def __init__(self, path: Path, known: Iterable[Mapping[str, Any]] = (), *, append: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        there = append and path.is_file() and path.stat().st_size > 0
        self._file = path.open("ab" if there else "wb", buffering=0)
        if not there:
            self._file.write("\ufeff".encode() + _row(COLUMNS))  # Excel takes a CSV without the mark for Latin-1
        for record in known:
            self._write(record)

    def write(self, event: Event) -> None:
        """Writes one event."""
        self._write(event.to_record())

    def _write(self, record: Mapping[str, Any]) -> None:
        cells = dict(record) | {
            "alternatives": " ".join(f"{a['text']} {a['score']}" for a in record["alternatives"]),
            "zones": " ".join(record.get("zones", ())),
            "list": record.get("list", {}).get("list", ""),
        }
        self._file.write(_row([_plain(cells.get(key)) for key in COLUMNS]))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _row(values: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    """A cell that a spreadsheet takes for text: it runs what begins with one of these."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def write_evidence(event: Event, folder: Path) -> Event:
    """Writes the frame and the crop that weighed most for an event's text; gives the event with their paths.

    Raises:
        OSError: a folder that cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[str | None] = []
    for image, ending in ((event.picture, "jpg"), (event.crop, "crop.jpg")):
        path = folder / f"{event.event}.{ending}"
        if image is not None:
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])
            write_atomically(path, [data.tobytes()], sync=False)
        paths.append(None if image is None else str(path))
    return with_files(event, paths[0], paths[1])


class Resumption:
    """The note beside the events that says from where each file is read again.

    Args:
        output: the events' file.
        settings: what the events depend on; a note of another watch is not taken.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        self.path = output.with_name(f"{output.name}.resume")
        self.settings = json.loads(json.dumps(settings))
        self._places: dict[str, dict[str, Any]] = {}
        self._written = 0.0

    def take_up(self, watch: Watch, known: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """Sets the watch to where the note says; gives by source the frame from which it goes on.

        Raises:
            ValueError: a note of a watch with other sources or settings.
        """
        note: Any = {"settings": self.settings, "sources": {}}
        if self.path.exists():
            try:
                note = strict_json(read_regular(self.path, SMALL_BYTES))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{self.path} is no note of alpr watch ({error}); run without --resume.") from error
        if not isinstance(note, dict) or note.get("settings") != self.settings:
            raise ValueError(f"{self.path} is of a watch with other sources or options; give the same, or no --resume.")
        self._places = note["sources"]
        for source in watch.sources:
            place = self._places.get(source.name)
            if source.live or place is None:
                continue
            source.skip_to(place["frame"])
            watcher = watch.watchers[source.name] = watch.watcher(source, place["track"])
            watcher.counts.update(place["counts"])
            for text, last_s in place["texts"].items():
                watcher.remember(text, last_s)
        return {source.name: self._places.get(source.name, {}).get("frame", 0) for source in watch.sources}

    def seen(self, seen: Seen) -> None:
        """Renews the note where a source has no vehicle in view; call it when its events are written."""
        if seen.source.live or not seen.watcher.empty:
            return
        self._places[seen.source.name] = {
            "frame": seen.frame.number + 1,
            "track": seen.watcher.tracker.next,
            "counts": dict(seen.watcher.counts),
            "texts": seen.watcher.texts,
        }
        if time.monotonic() - self._written >= NOTE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Writes the note."""
        values = {"settings": self.settings, "sources": self._places}
        write_atomically(self.path, [json.dumps(values, ensure_ascii=False).encode()], sync=False)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Takes the note away when everything is read."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

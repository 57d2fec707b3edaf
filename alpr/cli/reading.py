"""What `alpr predict` and `alpr read` share: a reader over many images, the results, the copies, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple, NoReturn

import cv2
import typer

from alpr.cli.options import stop
from alpr.data.processes import spread
from alpr.images.photograph import Photograph
from alpr.images.read_ahead import ahead
from alpr.plates.records import ImageArray
from alpr.reader.image_records import UNREAD, failure
from alpr.reader.many_images import (
    InputError,
    Item,
    PassedOver,
    collect_images,
    listed,
    progress,
    refuse_overwriting,
    save_image,
)
from alpr.reader.parquet import need_parquet
from alpr.reader.predictions import head_keys
from alpr.reader.reader import Reader, find_bundle
from alpr.reader.results import Results
from alpr.reader.shares import Share

_CHUNK = 8
"""Images that are handed to a process at once."""


class Precision(str, Enum):
    """The precisions in per cent for which a card may hold thresholds."""

    P99 = "99"
    P999 = "99.9"


class Format(str, Enum):
    """The forms of the results."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Where the results go; else stdout.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted run with the same options and --output.")
]
Form = Annotated[Format, typer.Option("--format", help="One JSON object or row per image, or (csv) one row per plate.")]
Texts = Annotated[
    Path | None,
    typer.Option("--texts", metavar="FILE", help="Write only the texts here, one to a line, without uncertain ones."),
]
Annotate = Annotated[
    Path | None, typer.Option("--annotate", metavar="DIR", help="Write the images with the results drawn on them here.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, help="Threads per network; else one per core.")
]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=0, help="Threads that decode the next images meanwhile; 0: none.")
]
Providers = Annotated[
    list[str] | None,
    typer.Option("--provider", metavar="NAME", help="An ONNX Runtime provider, best first; may be given again."),
]
Grammar = Annotated[
    bool,
    typer.Option(
        "--grammar", help="Replace a text that fits no layout of the country by one that does; the rule is named."
    ),
]
Top = Annotated[int, typer.Option("--top", metavar="N", min=0, help="Give the N most probable strings of each plate.")]
AtPrecision = Annotated[
    Precision | None,
    typer.Option("--precision", help="Flag readings below the bundle's threshold for this precision in per cent."),
]
MinScore = Annotated[
    float | None, typer.Option("--min-score", metavar="S", min=0, max=1, help="Flag readings with a lower score.")
]


@dataclass(frozen=True)
class Wanted:
    """What a reading's record holds beyond text and scores; each option adds its own keys."""

    grammar: bool = False
    top: int = 0
    precision: Precision | None = None
    min_score: float | None = None

    @property
    def lowest(self) -> float | str | None:
        """The lowest score of a certain reading, as `Reader` takes it.

        Raises:
            InputError: it is given in two ways.
        """
        if self.precision is None:
            return self.min_score
        if self.min_score is not None:
            raise InputError("--precision and --min-score are both given; expected one of them.")
        return self.precision.value

    @property
    def keys(self) -> tuple[str, ...]:
        """The record's further keys, which are a CSV's further columns."""
        chosen = {
            ("rule", "raw_text"): self.grammar,
            ("certain",): self.precision is not None or self.min_score is not None,
            ("alternatives",): self.top > 0,
        }
        return tuple(key for keys, wanted in chosen.items() if wanted for key in keys)


class Opened(NamedTuple):
    """An image, decoded, and the milliseconds that took."""

    photograph: Photograph
    ms: float


class Outcome(NamedTuple):
    """An image's record, and pictures to write below folders."""

    record: Mapping[str, Any]
    copies: Sequence[tuple[Path, ImageArray]] = ()


@dataclass
class Run:
    """One call of a command over images.

    Attributes:
        results: where records go; the first is what the command was called for.
        folders: of copies, which must not hold the images themselves.
        workers: threads that decode ahead.
        whole: decode every pixel, as copies and crops need.
        threshold: from which score on plates are found; None for the bundle's.
        resume: go on after the lines that an interrupted run left in the part file.
        prepare: is called with the reader before the first image.
        finish: is called with the failed records after the last one; gives lines for stderr.
        listed: a file of further inputs, one to a line.
        share: the part of the images that is read; None for all.
        processes: that call `in_process` with an image's path for its record; 0 reads in this one.
    """

    inputs: list[str]
    bundle: str | None
    results: list[Results]
    wanted: Wanted
    threads: int | None = None
    providers: list[str] | None = None
    workers: int = 1
    input_px: int | None = None
    folders: Sequence[Path] = ()
    whole: bool = False
    threshold: float | None = None
    prepare: Callable[[Reader], None] = lambda reader: None
    finish: Callable[[Sequence[Mapping[str, Any]]], Sequence[str]] = lambda failed: ()
    resume: bool = False
    listed: Path | None = None
    share: Share | None = None
    processes: int = 0
    in_process: Callable[[str], Mapping[str, Any]] | None = None
    failed: list[Mapping[str, Any]] = field(default_factory=list)
    damaged: int = 0
    passed_over: PassedOver = field(default_factory=PassedOver)

    def over(self, read: Callable[[Reader, Item, Opened], Outcome]) -> None:
        """Reads every image into the results: exit code 0, 1 where an image failed, 2 where nothing could begin."""
        first = self.results[0]
        try:
            items = self._items()
            if self._finished(items):
                self._end(len(items))
                return
            reader = self._begin(items)
        except (InputError, ModuleNotFoundError, OSError, ValueError) as error:
            stop(str(error), 2)
        left = self._left(items)
        try:
            shown, lines = first.path is not None or not sys.stdout.isatty(), self.share is not None
            with progress(len(left), shown=shown, lines=lines) as advance:
                for record in self._records(reader, left, read):
                    self._note(record)
                    for results in self.results:
                        results.write(record)
                    advance()
            for results in self.results:
                results.close()
            for line in self.finish(self.failed):
                typer.echo(line, err=True)
        except KeyboardInterrupt:
            stop(f"Interrupted after {first.written} of {len(items)} images.{self._kept()}", 130)
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            self._kept()
            end_at_a_closed_pipe()
        except (OSError, RuntimeError) as error:
            told = str(error).rstrip(".")
            stop(f"Stopped after {first.written} of {len(items)} images: {told}.{self._kept()}", 1)
        self._end(len(items))

    def _records(
        self, reader: Reader, items: Sequence[Item], read: Callable[[Reader, Item, Opened], Outcome]
    ) -> Iterator[Mapping[str, Any]]:
        if self.processes and self.in_process is not None:
            paths = [str(item.path) for item in items]
            for records in spread(self.in_process, paths, self.processes, _CHUNK):
                yield from records
            return

        def opened(item: Item) -> Opened:
            started = perf_counter()
            photograph = reader.open(str(item.path), whole=self.whole or bool(self.folders))
            return Opened(photograph, 1000 * (perf_counter() - started))

        for item, get in ahead(items, opened, self.workers):
            yield _read_one(reader, item, get, read)

    def _note(self, record: Mapping[str, Any]) -> None:
        self.failed += [record] if "error" in record else []
        self.damaged += "damaged" in record

    def _end(self, images: int) -> None:
        for sentence in self.passed_over.sentences():
            typer.echo(sentence, err=True)
        if self.damaged:
            typer.echo(f"Of {self.damaged} of {images} images a part is missing; their lines say damaged.", err=True)
        if self.failed:
            stop(f"{len(self.failed)} of {images} images could not be read; their lines hold the error.", 1)
        if self.passed_over.folders or self.passed_over.tars:
            raise typer.Exit(1)

    def _left(self, items: Sequence[Item]) -> Sequence[Item]:
        """The images that no line of an interrupted run stands for; its lines go into the other results as well."""
        if not self.resume:
            return items
        done, (first, *others) = set(), self.results
        for record in first.kept():
            done.add(record["image"])
            self._note(record)
            first.written += 1
            for results in others:
                results.write(record)
        typer.echo(f"Goes on after {len(done)} images that were read before.", err=True)
        return [item for item in items if str(item.path) not in done]

    def _items(self) -> list[Item]:
        first = self.results[0]
        if self.resume and (first.path is None or first.form not in ("jsonl", "parquet")):
            raise InputError(
                "--resume goes on with JSON lines in a file; expected --output and --format jsonl or parquet."
            )
        if first.form == "parquet":
            if first.path is None:
                raise InputError("--format parquet writes a file; expected --output.")
            need_parquet()
        if not self.inputs and self.listed is None:
            raise InputError("There is no INPUT; expected images, folders, globs, tar files or --files-from.")
        inputs = chain(self.inputs, () if self.listed is None else listed(self.listed))
        wanted = (lambda image: True) if self.share is None else self.share.holds
        return collect_images(inputs, self.passed_over, wanted)

    def _finished(self, items: Sequence[Item]) -> bool:
        """Whether the file of a run that has ended holds every image already; nothing is opened then."""
        first = self.results[0]
        if not self.resume or first.path is None:
            return False
        left = {str(item.path) for item in items}
        records = list(first.finished())
        if not records or left - {record["image"] for record in records}:
            return False
        for record in records:
            self._note(record)
        typer.echo(f"{first.path} is finished: it holds all {len(items)} images.", err=True)
        return True

    def _begin(self, items: Sequence[Item]) -> Reader:
        first = self.results[0]
        for folder in self.folders:
            refuse_overwriting(items, folder)
        reader = Reader(
            find_bundle(self.bundle),
            threads=self.threads,
            providers=self.providers or None,
            input_px=self.input_px,
            threshold=self.threshold,
            grammar=self.wanted.grammar,
            min_score=self.wanted.lowest,
        )
        if self.providers:
            typer.echo(f"Networks run on {', '.join(reader.providers)}.", err=True)
        if self.threads is not None:
            cv2.setNumThreads(self.threads)
        self.prepare(reader)
        for results in self.results:
            results.columns = (*results.columns, *head_keys(reader))
            results.open(resume=self.resume and results is first)
        return reader

    def _kept(self) -> str:
        return "".join(results.keep() for results in self.results)


def end_at_a_closed_pipe() -> NoReturn:
    """Ends as a tool that is told by a signal that nobody reads its output."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes out what is left at its end
    raise typer.Exit(128 + 13)


def _read_one(
    reader: Reader, item: Item, get: Callable[[], Opened], read: Callable[[Reader, Item, Opened], Outcome]
) -> Mapping[str, Any]:
    try:
        record, copies = read(reader, item, get())
        for folder, picture in copies:
            save_image(folder / item.name, picture, source=item.path)
    except UNREAD as error:
        return failure(item.path, error)
    return record


def results_of(output: Path | None, form: Format, columns: Sequence[str], texts: Path | None) -> list[Results]:
    """Where records go: the results, and where asked for the texts alone."""
    results = [Results(output, form.value, columns)]
    return results if texts is None else [*results, Results(texts, "texts", ())]

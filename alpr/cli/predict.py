"""What `alpr predict` and `alpr read` share: a reader over many images, the results, the copies, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, NoReturn

import cv2
import typer

from alpr.images.prepare import Photograph
from alpr.images.read_ahead import ahead
from alpr.plates.records import ImageArray
from alpr.reader.many_images import InputError, Item, Results, collect_images, progress, refuse_overwriting, save_image
from alpr.reader.reader import Reader


class Precision(str, Enum):
    """The precisions in per cent for which a card may hold thresholds."""

    P99 = "99"
    P999 = "99.9"


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
        prepare: is called with the reader before the first image.
        finish: is called with the failed records after the last one; gives lines for stderr.
    """

    inputs: list[str]
    model: Path | None
    results: list[Results]
    wanted: Wanted
    threads: int | None = None
    providers: list[str] | None = None
    workers: int = 1
    input_px: int | None = None
    folders: Sequence[Path] = ()
    whole: bool = False
    prepare: Callable[[Reader], None] = lambda reader: None
    finish: Callable[[Sequence[Mapping[str, Any]]], Sequence[str]] = lambda failed: ()
    failed: list[Mapping[str, Any]] = field(default_factory=list)

    def over(self, read: Callable[[Reader, Item, Opened], Outcome]) -> None:
        """Reads every image into the results: exit code 0, 1 where an image failed, 2 where nothing could begin."""
        try:
            items, reader = self._begin()
        except (InputError, OSError, ValueError) as error:
            stop(str(error), 2)
        first = self.results[0]
        try:
            with progress(len(items), shown=first.path is not None or not sys.stdout.isatty()) as advance:

                def opened(item: Item) -> Opened:
                    started = perf_counter()
                    photograph = reader.open(str(item.path), whole=self.whole or bool(self.folders))
                    return Opened(photograph, 1000 * (perf_counter() - started))

                for item, get in ahead(items, opened, self.workers):
                    record = _read_one(reader, item, get, read)
                    self.failed += [record] if "error" in record else []
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
            raise
        except OSError as error:
            stop(f"Stopped after {first.written} of {len(items)} images: {error}.{self._kept()}", 1)
        if self.failed:
            stop(f"{len(self.failed)} of {len(items)} images could not be read; their lines hold the error.", 1)

    def _begin(self) -> tuple[list[Item], Reader]:
        items = collect_images(self.inputs)
        for folder in self.folders:
            refuse_overwriting(items, folder)
        reader = Reader(
            self.model,
            threads=self.threads,
            providers=self.providers or None,
            input_px=self.input_px,
            grammar=self.wanted.grammar,
            alternatives=self.wanted.top,
            min_score=self.wanted.lowest,
        )
        if self.providers:
            typer.echo(f"Networks run on {', '.join(reader.providers)}.", err=True)
        if self.threads is not None:
            cv2.setNumThreads(self.threads)
        self.prepare(reader)
        for results in self.results:
            results.columns = (*results.columns, *head_keys(reader))
            results.open()
        return items, reader

    def _kept(self) -> str:
        return "".join(results.keep() for results in self.results)


def head_keys(reader: Reader) -> tuple[str, ...]:
    """The record's further keys where the recogniser has heads for country and kind."""
    keys = {"countries": ("country", "country_score"), "kinds": ("kind", "kind_score")}
    return tuple(key for output in reader.recogniser.settings.outputs for key in keys[output])


def _read_one(
    reader: Reader, item: Item, get: Callable[[], Opened], read: Callable[[Reader, Item, Opened], Outcome]
) -> Mapping[str, Any]:
    try:
        record, copies = read(reader, item, get())
        for folder, picture in copies:
            save_image(folder / item.name, picture, source=item.path)
    except (ValueError, MemoryError, cv2.error) as error:  # UnreadableImage, or an image too large for a step
        return {"image": str(item.path), "error": str(error).strip()}
    return record


def stop(message: str, code: int) -> NoReturn:
    """Ends the command with a sentence on stderr."""
    with suppress(BrokenPipeError):
        typer.echo(message, err=True)
    raise typer.Exit(code)

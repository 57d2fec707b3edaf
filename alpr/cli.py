"""The command `alpr`: read plates in images (`predict`) or in ready-made crops (`read`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import cv2
import typer

from alpr import __version__
from alpr.annotate import annotate as draw_plates
from alpr.annotate import annotate_crop
from alpr.batch import CROP_COLUMNS, PLATE_COLUMNS, InputError, Item, Results, collect_images, progress, save_image
from alpr.country import CountryPack
from alpr.imaging import read_image
from alpr.predictions import plate_record, reading_record
from alpr.predictor import Reader
from alpr.records import ImageArray

if TYPE_CHECKING:  # it reads and writes every labelling format: a tenth of a second that plain reading spares
    from alpr.drafts import Drafting

app = typer.Typer(
    name="alpr",
    help="Read licence plates in images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(str, Enum):
    """The forms of the results."""

    JSONL = "jsonl"
    CSV = "csv"


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


class DraftFormat(str, Enum):
    """The labelling tools that drafts are written for."""

    LABELME = "labelme"
    CVAT = "cvat"
    COCO = "coco"


Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT...", help="Images, folders (searched with their subfolders) or globs.")
]
Model = Annotated[Path | None, typer.Option("--model", metavar="DIR", help="A bundle's folder; else the default one.")]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Where the results go; else stdout.")]
Form = Annotated[Format, typer.Option("--format", help="One JSON object per image, or one row per plate.")]
Annotate = Annotated[
    Path | None, typer.Option("--annotate", metavar="DIR", help="Write the images with the results drawn on them here.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, help="Threads per network; else one per core.")
]
Grammar = Annotated[
    bool,
    typer.Option("--grammar", help="A text that fits no layout of the country gives way to one that does; says which."),
]
Top = Annotated[int, typer.Option("--top", metavar="N", min=0, help="Give the N most probable strings of each plate.")]
AtPrecision = Annotated[
    Precision | None,
    typer.Option("--precision", help="Flag readings below the bundle's threshold for this precision in per cent."),
]
MinScore = Annotated[
    float | None, typer.Option("--min-score", metavar="S", min=0, max=1, help="Flag readings with a lower score.")
]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"alpr {__version__}")
        raise typer.Exit


@app.command()
def predict(
    inputs: Inputs,
    model: Model = None,
    output: Output = None,
    form: Form = Format.JSONL,
    annotate: Annotate = None,
    threads: Threads = None,
    input_px: Annotated[
        int | None,
        typer.Option("--input-px", metavar="PX", help="Long side at which plates are looked for; else the bundle's."),
    ] = None,
    grammar: Grammar = False,
    top: Top = 0,
    precision: AtPrecision = None,
    min_score: MinScore = None,
    drafts: Annotated[
        DraftFormat | None,
        typer.Option("--drafts", help="Write drafts for a labelling tool, the most doubtful photographs first."),
    ] = None,
    drafts_folder: Annotated[
        Path,
        typer.Option("--drafts-folder", metavar="DIR", help="Where drafts go; their order: review.csv."),
    ] = Path("drafts"),
    country: Annotated[
        Path | None,
        typer.Option("--country", metavar="YAML", help="The pack that drafts should fit; else the bundle's."),
    ] = None,
) -> None:
    """Find and read the plates in images.

    Corners are top left, top right, bottom right, bottom left as the text is read, in pixels of the image. An
    unreadable image gives its name and an error; the others are read and the exit code is 1.
    """
    wanted = Wanted(grammar, top, precision, min_score)

    drafting = _drafting(drafts, drafts_folder, country)

    def read(reader: Reader, item: Item) -> tuple[dict[str, Any], ImageArray]:
        if drafting is not None:
            drafting.prepare(reader)
        found = reader.read_timed(str(item.path))
        if drafting is not None:
            found = found._replace(plates=drafting.add(item.path, found.plates))
        height, width = found.image.shape[:2]
        record = {
            "image": str(item.path),
            "width": width,
            "height": height,
            "plates": [plate_record(plate, (*wanted.keys, *head_keys(reader))) for plate in found.plates],
            "ms": {stage: round(ms, 2) for stage, ms in found.ms._asdict().items()},
        }
        return record, draw_plates(found.image, found.plates) if annotate else found.image

    results = Results(output, form.value, (*PLATE_COLUMNS, *wanted.keys))
    _run(inputs, model, results, annotate, threads, read, wanted, input_px, drafting)


def _drafting(form: DraftFormat | None, folder: Path, country: Path | None) -> Drafting | None:
    if form is None:
        return None
    from alpr.drafts import Drafting

    try:
        return Drafting(form.value, folder, CountryPack.read(country) if country is not None else None)
    except (OSError, ValueError) as error:
        _stop(str(error), 2)


@app.command("read")
def read_crops(
    inputs: Annotated[list[str], typer.Argument(metavar="CROP...", help="Crops of plates, folders or globs.")],
    model: Model = None,
    output: Output = None,
    form: Form = Format.JSONL,
    annotate: Annotate = None,
    threads: Threads = None,
    grammar: Grammar = False,
    top: Top = 0,
    precision: AtPrecision = None,
    min_score: MinScore = None,
) -> None:
    """Read ready-made crops, each filled by one upright plate."""
    wanted = Wanted(grammar, top, precision, min_score)

    def read(reader: Reader, item: Item) -> tuple[dict[str, Any], ImageArray]:
        crop = read_image(item.path)
        reading = reader.recogniser.read([crop])[0]
        record = {"image": str(item.path), **reading_record(reading, (*wanted.keys, *head_keys(reader)))}
        return record, annotate_crop(crop, reading) if annotate else crop

    results = Results(output, form.value, (*CROP_COLUMNS, *wanted.keys))
    _run(inputs, model, results, annotate, threads, read, wanted)


def head_keys(reader: Reader) -> tuple[str, ...]:
    """The record's further keys where the recogniser has heads for country and kind."""
    keys = {"countries": ("country", "country_score"), "kinds": ("kind", "kind_score")}
    return tuple(key for output in reader.recogniser.settings.outputs for key in keys[output])


def _run(
    inputs: list[str],
    model: Path | None,
    results: Results,
    annotate: Path | None,
    threads: int | None,
    read: Callable[[Reader, Item], tuple[dict[str, Any], ImageArray]],
    wanted: Wanted,
    input_px: int | None = None,
    drafting: Drafting | None = None,
) -> None:
    """Reads every image into the results: exit code 0, 1 where an image failed, 2 where nothing could begin."""
    try:
        items = collect_images(inputs)
        reader = Reader(
            model,
            threads=threads,
            input_px=input_px,
            grammar=wanted.grammar,
            alternatives=wanted.top,
            min_score=wanted.lowest,
        )
        if threads is not None:
            cv2.setNumThreads(threads)
        results.columns = (*results.columns, *head_keys(reader))
        results.open()
    except (InputError, OSError, ValueError) as error:
        _stop(str(error), 2)
    failed: list[Mapping[str, Any]] = []
    try:
        with progress(len(items), shown=results.path is not None or not sys.stdout.isatty()) as advance:
            for item in items:
                record = _read_one(reader, item, annotate, read)
                failed += [record] if "error" in record else []
                results.write(record)
                advance()
        results.close()
        if drafting is not None:
            for line in drafting.write(failed):
                typer.echo(f"{drafting.form} could not hold everything: {line}", err=True)
            typer.echo(f"{len(drafting.drafts)} drafts: {drafting.folder}", err=True)
    except KeyboardInterrupt:
        _stop(f"Interrupted after {results.written} of {len(items)} images.{results.keep()}", 130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        raise
    except OSError as error:
        _stop(f"Stopped after {results.written} of {len(items)} images: {error}.{results.keep()}", 1)
    if failed:
        _stop(f"{len(failed)} of {len(items)} images could not be read; their lines hold the error.", 1)


def _read_one(
    reader: Reader,
    item: Item,
    annotate: Path | None,
    read: Callable[[Reader, Item], tuple[dict[str, Any], ImageArray]],
) -> Mapping[str, Any]:
    try:
        record, drawn = read(reader, item)
        if annotate is not None:
            save_image(annotate / item.name, drawn, source=item.path)
    except (ValueError, MemoryError, cv2.error) as error:  # UnreadableImage, or an image too large for a step
        return {"image": str(item.path), "error": str(error).strip()}
    return record


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def main() -> None:
    """The entry point of the command `alpr`."""
    for stream in (sys.stdout, sys.stderr):
        # Plates print characters that a C locale cannot; what UTF-8 cannot hold is written as \\udcxx, as JSON does.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()

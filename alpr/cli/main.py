"""The command `alpr`: read plates in images (`predict`) or ready-made crops (`read`); `info` and `bench` a bundle."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alpr import __version__
from alpr.cli.bundle import bench, info
from alpr.cli.predict import Opened, Outcome, Precision, Run, Wanted, head_keys, stop
from alpr.plates.country import CountryPack
from alpr.plates.records import PlateReading
from alpr.reader.blur import blur_plates
from alpr.reader.many_images import CROP_COLUMNS, PLATE_COLUMNS, Item, Results
from alpr.reader.predictions import plate_record, reading_record
from alpr.reader.reader import Reader
from alpr.reports.drawing import annotate as draw_plates
from alpr.reports.drawing import annotate_crop

if TYPE_CHECKING:  # it reads and writes every labelling format: a tenth of a second that plain reading spares
    from alpr.reader.label_drafts import Drafting

app = typer.Typer(
    name="alpr",
    help="Read licence plates in images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("info")(info)
app.command("bench")(bench)


class Format(str, Enum):
    """The forms of the results."""

    JSONL = "jsonl"
    CSV = "csv"


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
Texts = Annotated[
    Path | None,
    typer.Option(
        "--texts", metavar="FILE", help="Write the plates' texts alone here, one to a line; no uncertain one."
    ),
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
    texts: Texts = None,
    annotate: Annotate = None,
    blur: Annotated[
        Path | None,
        typer.Option("--blur", metavar="DIR", help="Write copies in which no plate can be read, without metadata."),
    ] = None,
    blur_threshold: Annotated[
        float | None,
        typer.Option(
            "--blur-threshold", metavar="S", min=0, max=1, help="Blur from this score on; else half of usual."
        ),
    ] = None,
    threads: Threads = None,
    workers: Workers = 1,
    provider: Providers = None,
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
    unreadable image gives its name and an error; the others are read and the exit code is 1. Copies hold pixels alone:
    an orientation in the metadata is applied, and no metadata is copied, such as where a photograph was taken.
    """
    wanted = Wanted(grammar, top, precision, min_score)
    drafting = _drafting(drafts, drafts_folder, country)
    if blur is not None and drafting is not None:
        stop("--blur and --drafts are both given; expected one of them, as each looks for fainter plates.", 2)
    if blur is not None and blur == annotate:
        stop(f"--blur and --annotate are both {blur}; expected different folders.", 2)
    least = _Least(blur_threshold)

    def prepare(reader: Reader) -> None:
        if drafting is not None:
            drafting.prepare(reader)
        if blur is not None:
            least.lower(reader)

    def read(reader: Reader, item: Item, opened: Opened) -> Outcome:
        found = reader.read_timed(opened.photograph)
        plates = least.sure(found.plates) if blur is not None else found.plates
        if drafting is not None:
            plates = drafting.add(item.path, plates)
        height, width = found.photograph.size
        ms = found.ms._replace(decode=opened.ms)
        record = {
            "image": str(item.path),
            "width": width,
            "height": height,
            "plates": [plate_record(plate, (*wanted.keys, *head_keys(reader))) for plate in plates],
            "ms": {stage: round(spent, 2) for stage, spent in ms._asdict().items()},
        }
        copies = []
        if annotate is not None:
            copies.append((annotate, draw_plates(found.photograph.pixels, plates)))
        if blur is not None:
            copies.append(
                (blur, blur_plates(found.photograph.pixels, [plate.detection.corners for plate in found.plates]))
            )
        return Outcome(record, copies)

    def finish(failed: Sequence[Mapping[str, Any]]) -> list[str]:
        if drafting is None:
            return []
        lost = [f"{drafting.form} could not hold everything: {line}" for line in drafting.write(failed)]
        return [*lost, f"{len(drafting.drafts)} drafts: {drafting.folder}"]

    Run(
        inputs,
        model,
        _results(output, form, (*PLATE_COLUMNS, *wanted.keys), texts),
        wanted,
        threads,
        provider,
        workers,
        input_px,
        [folder for folder in (annotate, blur) if folder is not None],
        prepare=prepare,
        finish=finish,
    ).over(read)


class _Least:
    """Lets a reader find fainter plates for blurring, and tells them from those it would have found by itself.

    Args:
        score: from which plates are found; None for half of the bundle's threshold. Of 205 labelled plates of streets
            and of the world that covered 93.7 % in place of 89.7 %, with 0.7 areas per image that are no plate in place
            of 0.1; a quarter of the threshold covered 94.6 %, with 3.2.
    """

    MOST_PLATES = 300

    def __init__(self, score: float | None) -> None:
        self.score = score

    def lower(self, reader: Reader) -> None:
        self.detector = reader.detector
        settings = reader.detector.settings
        usual = settings.score_threshold
        score = usual / 2 if self.score is None else min(self.score, usual)
        reader.detector = reader.detector.down_to(score, max(self.MOST_PLATES, settings.max_plates))

    def sure(self, plates: Sequence[PlateReading]) -> list[PlateReading]:
        kept = {id(detection) for detection in self.detector.sure([plate.detection for plate in plates])}
        return [plate for plate in plates if id(plate.detection) in kept]


def _drafting(form: DraftFormat | None, folder: Path, country: Path | None) -> Drafting | None:
    if form is None:
        return None
    from alpr.reader.label_drafts import Drafting

    try:
        return Drafting(form.value, folder, CountryPack.read(country) if country is not None else None)
    except (OSError, ValueError) as error:
        stop(str(error), 2)


def _results(output: Path | None, form: Format, columns: Sequence[str], texts: Path | None) -> list[Results]:
    results = [Results(output, form.value, columns)]
    return results if texts is None else [*results, Results(texts, "texts", ())]


@app.command("read")
def read_crops(
    inputs: Annotated[list[str], typer.Argument(metavar="CROP...", help="Crops of plates, folders or globs.")],
    model: Model = None,
    output: Output = None,
    form: Form = Format.JSONL,
    texts: Texts = None,
    annotate: Annotate = None,
    threads: Threads = None,
    workers: Workers = 1,
    provider: Providers = None,
    grammar: Grammar = False,
    top: Top = 0,
    precision: AtPrecision = None,
    min_score: MinScore = None,
) -> None:
    """Read ready-made crops, each filled by one upright plate."""
    wanted = Wanted(grammar, top, precision, min_score)

    def read(reader: Reader, item: Item, opened: Opened) -> Outcome:
        crop = opened.photograph.pixels
        reading = reader.recogniser.read([crop])[0]
        record = {"image": str(item.path), **reading_record(reading, (*wanted.keys, *head_keys(reader)))}
        return Outcome(record, [(annotate, annotate_crop(crop, reading))] if annotate else ())

    results = _results(output, form, (*CROP_COLUMNS, *wanted.keys), texts)
    folders = [annotate] if annotate is not None else []
    Run(inputs, model, results, wanted, threads, provider, workers, folders=folders, whole=True).over(read)


def main() -> None:
    """The entry point of the command `alpr`."""
    for stream in (sys.stdout, sys.stderr):
        # Plates print characters that a C locale cannot; what UTF-8 cannot hold is written as \\udcxx, as JSON does.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()

"""`alpr predict`: find and read the plates in images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alpr.cli.options import BundleOption, stop
from alpr.cli.reading import (
    Annotate,
    AtPrecision,
    Form,
    Format,
    Grammar,
    MinScore,
    Opened,
    Outcome,
    Output,
    Providers,
    Resume,
    Run,
    Texts,
    Threads,
    Top,
    Wanted,
    Workers,
    results_of,
)
from alpr.plates.country import CountryPack
from alpr.plates.records import PlateReading
from alpr.reader.blur import blur_plates
from alpr.reader.image_records import read_images
from alpr.reader.many_images import InputError, Item
from alpr.reader.predictions import head_keys, image_record
from alpr.reader.reader import Reader
from alpr.reader.results import PLATE_COLUMNS
from alpr.reader.shares import Share, ShareError
from alpr.reports.drawing import annotate as draw_plates

if TYPE_CHECKING:  # it reads and writes every labelling format: a tenth of a second that plain reading spares
    from alpr.reader.label_drafts import Drafting


class DraftFormat(str, Enum):
    """The labelling tools that drafts are written for."""

    LABELME = "labelme"
    CVAT = "cvat"
    COCO = "coco"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT", help="Images, folders (searched with their subfolders), globs or tar files."),
]


def predict(
    inputs: Inputs = None,
    bundle: BundleOption = None,
    output: Output = None,
    resume: Resume = False,
    form: Form = Format.JSONL,
    files_from: Annotated[
        Path | None,
        typer.Option("--files-from", metavar="LIST", help="A file of further inputs, one to a line; - is stdin."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="K/N", help="Read the K-th of N parts, into a file of its own; see alpr merge."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", min=0, help="Read in N processes, a thread each; 0: in this one.")
    ] = 0,
    texts: Texts = None,
    annotate: Annotate = None,
    blur: Annotated[
        Path | None,
        typer.Option("--blur", metavar="DIR", help="Write copies with unreadable plates and no metadata."),
    ] = None,
    blur_threshold: Annotated[
        float | None,
        typer.Option(
            "--blur-threshold",
            metavar="S",
            min=0,
            max=1,
            help="Blur from this score on; by default half of the usual one.",
        ),
    ] = None,
    threads: Threads = None,
    workers: Workers = 1,
    provider: Providers = None,
    input_px: Annotated[
        int | None,
        typer.Option("--input-px", metavar="PX", help="Long side at which plates are looked for; else the bundle's."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", metavar="S", min=0, max=1, help="Find plates from this score on; else the bundle's."
        ),
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
        str | None,
        typer.Option(
            "--country", metavar="XX", help="The pack that drafts fit, a code or a YAML file; else the bundle's."
        ),
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
    if resume and drafting is not None:
        stop("--resume and --drafts are both given; expected one of them, as drafts are written at the end.", 2)
    if blur is not None and blur == annotate:
        stop(f"--blur and --annotate are both {blur}; expected different folders.", 2)
    share = _share(shard, output)
    try:
        lowest = wanted.lowest
    except InputError as error:
        stop(str(error), 2)
    if processes and (annotate is not None or blur is not None or drafting is not None):
        stop("--processes is given with --annotate, --blur or --drafts; expected records alone.", 2)
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
        read = found._replace(plates=plates, ms=found.ms._replace(decode=opened.ms))
        record = image_record(str(item.path), read, (*wanted.keys, *head_keys(reader)), wanted.top)
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

    if share is not None:
        output, texts = (None if path is None else share.file(path) for path in (output, texts))
    options: dict[str, Any] = {"input_px": input_px, "threshold": threshold, "grammar": grammar, "providers": provider}
    Run(
        inputs or [],
        bundle,
        results_of(output, form, (*PLATE_COLUMNS, *wanted.keys), texts),
        wanted,
        threads,
        provider,
        workers,
        input_px,
        [folder for folder in (annotate, blur) if folder is not None],
        threshold=threshold,
        resume=resume,
        listed=files_from,
        share=share,
        processes=processes,
        in_process=partial(_read_alone, bundle=bundle, keys=wanted.keys, top=top, min_score=lowest, **options),
        prepare=prepare,
        finish=finish,
    ).over(read)


def _read_alone(path: str, **options: Any) -> Mapping[str, Any]:
    """The record of one image in a process of its own."""
    return read_images([path], **options)[0]


def _share(text: str | None, output: Path | None) -> Share | None:
    if text is None:
        return None
    if output is None:
        stop("--shard is given without --output; expected the file of whose name each part makes its own.", 2)
    try:
        return Share.parse(text)
    except ShareError as error:
        stop(str(error), 2)


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
        score = settings.score_threshold / 2 if self.score is None else self.score
        score = min(score, reader.detector.lowest)
        reader.detector = reader.detector.down_to(score, max(self.MOST_PLATES, settings.max_plates))

    def sure(self, plates: Sequence[PlateReading]) -> list[PlateReading]:
        return self.detector.kept(plates)


def _drafting(form: DraftFormat | None, folder: Path, country: str | None) -> Drafting | None:
    if form is None:
        return None
    from alpr.reader.label_drafts import Drafting

    try:
        return Drafting(form.value, folder, CountryPack.find(country) if country is not None else None)
    except (OSError, ValueError) as error:
        stop(str(error), 2)

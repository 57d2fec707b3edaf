"""`alpr read`: read ready-made crops of plates."""

from __future__ import annotations

from typing import Annotated

import typer

from alpr.cli.options import BundleOption
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
from alpr.reader.many_images import Item
from alpr.reader.predictions import crop_record, head_keys
from alpr.reader.reader import Reader
from alpr.reader.results import CROP_COLUMNS
from alpr.reports.drawing import annotate_crop


def read(
    inputs: Annotated[list[str], typer.Argument(metavar="CROP", help="Crops of plates, folders or globs.")],
    bundle: BundleOption = None,
    output: Output = None,
    resume: Resume = False,
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
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Read every crop as it is; by default doubtful crops are searched.")
    ] = False,
) -> None:
    """Read ready-made crops of one plate each.

    Where a reading is in doubt, the bundle's detector looks for the plate inside the crop, which may be loose or
    tilted, and the reading with the higher score stays. Its card says what is in doubt.
    """
    wanted = Wanted(grammar, top, precision, min_score)

    def read_one(reader: Reader, item: Item, opened: Opened) -> Outcome:
        crop = opened.photograph.pixels
        reading = reader.read_crops([crop], as_is=as_is)[0]
        keys = (*wanted.keys, *head_keys(reader))
        record = crop_record(str(item.path), opened.photograph, reading, keys, wanted.top)
        return Outcome(record, [(annotate, annotate_crop(crop, reading))] if annotate else ())

    results = results_of(output, form, (*CROP_COLUMNS, *wanted.keys), texts)
    folders = [annotate] if annotate is not None else []
    run = Run(inputs, bundle, results, wanted, threads, provider, workers, folders=folders, whole=True, resume=resume)
    run.over(read_one)

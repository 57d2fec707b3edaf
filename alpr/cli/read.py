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
from alpr.reader.image_records import damage, head_keys
from alpr.reader.many_images import Item
from alpr.reader.predictions import reading_record
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
) -> None:
    """Read ready-made crops, each filled by one upright plate."""
    wanted = Wanted(grammar, top, precision, min_score)

    def read_one(reader: Reader, item: Item, opened: Opened) -> Outcome:
        crop = opened.photograph.pixels
        reading = reader.recogniser.read([crop])[0]
        read = reading_record(reading, (*wanted.keys, *head_keys(reader)), wanted.top)
        record = {"image": str(item.path), **damage(opened.photograph), **read}
        return Outcome(record, [(annotate, annotate_crop(crop, reading))] if annotate else ())

    results = results_of(output, form, (*CROP_COLUMNS, *wanted.keys), texts)
    folders = [annotate] if annotate is not None else []
    run = Run(inputs, bundle, results, wanted, threads, provider, workers, folders=folders, whole=True, resume=resume)
    run.over(read_one)

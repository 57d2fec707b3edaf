"""The command `alpr`: every verb, one file each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from alpr import __version__
from alpr.cli.average import average
from alpr.cli.bench import bench
from alpr.cli.calibrate import calibrate
from alpr.cli.compare import compare
from alpr.cli.convert import convert
from alpr.cli.country.listing import packs
from alpr.cli.country.new import new
from alpr.cli.country.preview import preview_plates
from alpr.cli.data.ccpd import ccpd
from alpr.cli.data.check import check
from alpr.cli.data.convert import convert_data
from alpr.cli.data.crops import crops
from alpr.cli.data.overlap import overlap
from alpr.cli.data.preview import preview
from alpr.cli.data.report import report
from alpr.cli.data.shards import shards
from alpr.cli.data.sheet import sheet
from alpr.cli.data.split import split
from alpr.cli.evaluate import evaluate
from alpr.cli.export import export
from alpr.cli.info import info
from alpr.cli.overrides import HydraVerb
from alpr.cli.predict import predict
from alpr.cli.read import read
from alpr.cli.sentences import Verb, Verbs
from alpr.cli.synth.ccpd import synth_ccpd
from alpr.cli.synth.glyphs import glyphs
from alpr.cli.synth.plant import plant
from alpr.cli.synth.plates import plates
from alpr.cli.train import train

Functions = dict[str, Callable[..., Any]]
READING: Functions = {"predict": predict, "read": read, "info": info, "bench": bench}
TRAINING: Functions = {"train": train, "evaluate": evaluate, "export": export, "calibrate": calibrate}
BESIDE: Functions = {"convert": convert, "average": average, "compare": compare}
GROUPS: dict[str, tuple[str, Functions]] = {
    "data": (
        "Tables of labelled plates: make, check, split, look at them.",
        {
            "convert": convert_data,
            "check": check,
            "split": split,
            "report": report,
            "ccpd": ccpd,
            "crops": crops,
            "shards": shards,
            "overlap": overlap,
            "preview": preview,
            "sheet": sheet,
        },
    ),
    "country": ("Country packs: list, begin, draw them.", {"new": new, "preview": preview_plates, "list": packs}),
    "synth": (
        "Synthetic plates, scenes and glyphs.",
        {"ccpd": synth_ccpd, "plates": plates, "plant": plant, "glyphs": glyphs},
    ),
}
OVERRIDES = {train, evaluate, export, calibrate, preview}
"""Verbs that take key=value, as Hydra does."""


def verbs(help_text: str, functions: Functions) -> typer.Typer:
    """A group of verbs."""
    group = typer.Typer(
        cls=Verbs, help=help_text, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    for name, function in functions.items():
        group.command(name, cls=HydraVerb if function in OVERRIDES else Verb)(function)
    return group


app = verbs("Read licence plates in images; train, evaluate and deploy readers.", READING | TRAINING | BESIDE)
app.info.name = "alpr"
for _name, (_help, _functions) in GROUPS.items():
    app.add_typer(verbs(_help, _functions), name=_name)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"alpr {__version__}")
        raise typer.Exit


def main(words: Sequence[str] | None = None) -> None:
    """The entry point of the command `alpr`; with words, those are the command line."""
    for stream in (sys.stdout, sys.stderr):
        # Plates print characters that a C locale cannot; what UTF-8 cannot hold is written as \\udcxx, as JSON does.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app(args=None if words is None else list(words), prog_name="alpr")

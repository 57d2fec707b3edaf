"""The command `alpr`: every verb, one file each, which is imported when the verb is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

from alpr import __version__
from alpr.cli.overrides import HydraVerb
from alpr.cli.sentences import Verb, Verbs

Table = Mapping[str, "str | tuple[str, Table]"]
VERBS: Table = {  # word -> file of alpr/cli and function, or what a group is for and its verbs
    "predict": "predict:predict",
    "read": "read:read",
    "merge": "merge:merge_shards",
    "watch": "watch:watch",
    "info": "info:info",
    "bench": "bench:bench",
    "serve": "serve:serve",
    "send": "send:send",
    "studio": "studio:studio",
    "train": "train:train",
    "evaluate": "evaluate:evaluate",
    "export": "export:export",
    "calibrate": "calibrate:calibrate",
    "convert": "convert:convert",
    "average": "average:average",
    "compare": "compare:compare",
    "data": (
        "Tables of labelled plates: make, check, split, look at them.",
        {
            "list": "data.list:list_images",
            "convert": "data.convert:convert_data",
            "check": "data.check:check",
            "split": "data.split:split",
            "report": "data.report:report",
            "ccpd": "data.ccpd:ccpd",
            "crops": "data.crops:crops",
            "shards": "data.shards:shards",
            "overlap": "data.overlap:overlap",
            "preview": "data.preview:preview",
            "sheet": "data.sheet:sheet",
        },
    ),
    "country": (
        "Country packs: list, begin, draw them.",
        {"new": "country.new:new", "preview": "country.preview:preview_plates", "list": "country.listing:packs"},
    ),
    "synth": (
        "Synthetic plates, scenes, glyphs and video clips.",
        {
            "ccpd": "synth.ccpd:synth_ccpd",
            "plates": "synth.plates:plates",
            "plant": "synth.plant:plant",
            "glyphs": "synth.glyphs:glyphs",
            "clip": "synth.clip:clip",
        },
    ),
}
OVERRIDES = {"train", "evaluate", "export", "calibrate", "data.preview"}
"""The files of verbs that take key=value, as Hydra does."""
PLAIN: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}


class Commands(Mapping[str, Any]):
    """The verbs of a table by their words; each is imported when it is first asked for."""

    def __init__(self, table: Table) -> None:
        self.table, self._made = table, dict[str, Any]()

    def __getitem__(self, word: str) -> Any:
        if word not in self._made:
            place = self.table[word]
            self._made[word] = _verb(word, place) if isinstance(place, str) else get_command(_group(word, *place))
        return self._made[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


def _verb(word: str, place: str) -> Any:
    file, _, function = place.partition(":")
    alone = typer.Typer(**PLAIN)
    alone.command(word, cls=HydraVerb if file in OVERRIDES else Verb)(
        getattr(import_module(f"alpr.cli.{file}"), function)
    )
    return get_command(alone)


def _group(word: str, about: str, table: Table) -> typer.Typer:
    class Group(Verbs):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.commands = Commands(table)  # type: ignore[assignment]  # it is only looked up

    group = typer.Typer(name=word, cls=Group, help=about, **PLAIN)
    group.callback()(lambda: None)
    return group


app = _group("alpr", "Read licence plates in images; train, evaluate and deploy readers.", VERBS)


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

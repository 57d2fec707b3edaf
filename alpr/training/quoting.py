"""Words of a command line as Hydra's grammar takes them: paths beyond ASCII, with `=`, quotes or brackets in quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from alpr.training.pack_source import GROUP, SUFFIXES

SWEEP = ("-m", "--multirun")
_WORD = re.compile(r"(\+{0,2}[A-Za-z_][\w./@-]*)=(.*)", re.DOTALL)
_QUOTED = re.compile(r"('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")")


def quoted_paths(arguments: Sequence[str]) -> list[str]:
    """The same words, with quotes round values that Hydra cannot read; what it can read stays as it is.

    The path of a country pack, and a value that begins with `~/`, is expanded. Of lists, mappings and the choices of a
    sweep the entries are quoted.
    """
    sweeps = any(argument in SWEEP for argument in arguments)
    return [_quoted_word(argument, sweeps) for argument in arguments]


def _quoted_word(argument: str, sweeps: bool) -> str:
    match = _WORD.fullmatch(argument)
    if match is None:
        return argument
    key, value = match[1], match[2]
    if key == GROUP and value.endswith(SUFFIXES) and not set(value) & set("\"',"):
        return f"{key}={_quoted(value)}"
    if _reads(argument):
        return argument
    if value[:1] in "[{":
        better = _entries(value, r"[^\[\]{},:]+" if "{" in value else r"[^\[\],]+")
    elif sweeps and "," in value:
        better = _entries(value, "[^,]+")
    else:
        better = _quoted(value)
    return f"{key}={better}" if _reads(f"{key}={better}") else argument


def _entries(value: str, entry: str) -> str:
    """A list, a mapping or choices with quotes round the entries that need them."""
    pieces = _QUOTED.split(value)
    pieces[::2] = [re.sub(entry, _if_needed, piece) for piece in pieces[::2]]
    return "".join(pieces)


def _if_needed(match: re.Match[str]) -> str:
    return match[0] if _reads(f"x={match[0]}") else _quoted(match[0].strip())


def _quoted(value: str) -> str:
    if value.startswith("~/"):
        value = str(Path(value).expanduser())
    inside = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"'{inside}'"


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _reads(word: str) -> bool:
    try:
        _parser().parse_override(word)
    except HydraException:
        return False
    return True

"""Options that mean the same in every verb, how a verb ends, and the bundles there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

BundleOption = Annotated[
    str | None, typer.Option("--bundle", metavar="BUNDLE", help="A bundle's folder or name; else the default one.")
]
WorkersOption = Annotated[int, typer.Option("--workers", metavar="N", min=0, help="Processes.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same result.")]
CountryOption = Annotated[
    str, typer.Option("--country", metavar="XX", help="A country pack: a code of `alpr country list`, or a YAML file.")
]
FolderOption = Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder of the data set.")]


def plain_console(*, stderr: bool = False) -> Console:
    """A console that prints sentences as they are."""
    return Console(highlight=False, soft_wrap=True, markup=False, stderr=stderr)


def stop(message: str, code: int) -> NoReturn:
    """Ends a verb with a sentence on stderr."""
    with suppress(BrokenPipeError):
        typer.echo(message, err=True)
    raise typer.Exit(code)


@contextmanager
def complaints(interrupted: str = "Interrupted; nothing was written.") -> Iterator[None]:
    """Turns what the work raises into a sentence on stderr and exit code 2; Ctrl-C into one with 130."""
    try:
        yield
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        raise
    except (OSError, RuntimeError, ValueError, ModuleNotFoundError) as error:
        if isinstance(error, typer.Exit):
            raise
        stop(str(error), 2)
    except KeyboardInterrupt:
        stop(interrupted, 130)

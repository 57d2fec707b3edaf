"""Verbs that take overrides: a help of one screen, a sentence about a wrong override, then Hydra."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from alpr.files import packaged

if TYPE_CHECKING:
    from omegaconf import DictConfig

OverridesArgument = Annotated[list[str] | None, typer.Argument(metavar="[OVERRIDES]...")]
WIDTH = 100


class HydraVerb(TyperCommand):
    """A verb whose words are taken as they are."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.params = {"overrides": list(args)}
        ctx.args = []
        return []


def choices(group: str) -> list[str]:
    """The names that a group of the configuration offers."""
    return sorted(path.stem for path in (packaged("configs") / group).glob("*.yaml"))


def listed(title: str, names: Sequence[str]) -> str:
    """A title and names, wrapped."""
    return textwrap.fill(f"{title}: {', '.join(names)}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def wants_help(words: Sequence[str]) -> bool:
    """Whether our own help is asked for."""
    return any(word in ("--help", "-h") for word in words)


def through_hydra(verb: str, run: Callable[[DictConfig], Any], words: Sequence[str], *, config: str = "") -> None:
    """Runs a verb's configuration with overrides. Leaves with 1 after a complaint.

    Args:
        run: the work; what it gives, a sweep sees.
        config: the root's name in `configs/`; empty for the verb's.
    """
    import hydra

    from alpr.training.configuration import complaint_about, hydra_words, options_first, root_of

    name = config or verb
    complaint = complaint_about(words, name)
    if complaint is not None:
        typer.echo(f"alpr {verb}: {complaint}", err=True)
        raise typer.Exit(1)
    folder, root = root_of(name)
    sys.argv = [f"alpr {verb}", *options_first(hydra_words(words))]  # what Hydra reads
    # A training on several devices starts its other processes as `python -m` this module, with the same words.
    sys.modules["__main__"].__spec__ = find_spec(f"alpr.cli.{verb}")
    hydra.main(version_base="1.3", config_path=str(folder), config_name=root)(job_of(run))()


def job_of(run: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """The work as a function of this module: Hydra asks for its name and place."""

    def job(config: DictConfig) -> Any:
        return run(config)

    return job

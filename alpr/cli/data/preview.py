"""`alpr data preview`: what a detector or a recogniser would be taught."""

from __future__ import annotations

from pathlib import Path

import typer

from alpr.cli.options import stop
from alpr.cli.overrides import OverridesArgument, choices, listed, wants_help

HELP = """\
alpr data preview [OVERRIDES]: draw what a training would be taught, on one sheet: augmented canvases or crops.

  alpr data preview experiment=ccpd_green_detector n=36 output=preview.jpg augment=scenes_scrfd
  alpr data preview experiment=ccpd_green_recogniser n=60 output=preview.jpg augment=plates_strong

Around plates, green: four corners, a dot on the first; light blue: a box only; grey: ignored. Under crops: the text.

  n=N                           how many are drawn (36)
  output=FILE                   the JPEG (preview.jpg)

{choices}

Other overrides are those of `alpr train`; alpr train experiment=NAME --cfg job shows them all."""


def preview(overrides: OverridesArgument = None) -> None:
    """Draw what a training would be taught."""
    words = overrides or []
    if not words or wants_help(words):
        typer.echo(HELP.format(choices="\n".join(listed(group, choices(group)) for group in ("experiment", "augment"))))
        return
    from alpr.training.preview import preview_sheet

    own = {key: value for key, _, value in (a.partition("=") for a in words) if key in ("n", "output")}
    count = own.get("n", "36")
    try:
        option = next((word for word in words if word.startswith("-")), None)
        if option is not None:
            raise ValueError(f"Unknown option {option}; expected key=value, or --help.")
        if not (count.isdecimal() and int(count)):
            raise ValueError(f"n is {count!r}; expected how many to draw, at least 1.")
        output = Path(own.get("output", "preview.jpg"))
        typer.echo(preview_sheet([a for a in words if a.partition("=")[0] not in own], int(count), output))
    except (ValueError, OSError) as error:
        stop(f"alpr data preview: {error}", 1)

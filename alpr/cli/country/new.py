"""`alpr country new`: a commented country pack."""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase, digits
from typing import Annotated

import typer

from alpr.cli.country import questions
from alpr.cli.options import complaints
from alpr.plates.fonts import FACES

NEXT = """\
Written to {file}. Next:
0. Measure the default bundle on ten of your photographs: correct its drafts in labelme, then score it:
   alpr predict ten/ --bundle {bundle} --drafts labelme --drafts-folder ten_drafts > ten.jsonl
   alpr data convert ten_drafts --output ten.csv
   alpr evaluate bundle={bundle} data.manifest=ten.csv data.root=. output=runs/{name}_before
1. Whether the plates look like yours; if not, change the file:
   alpr country preview --country {path} --output {name}.png
2. A reader from rendered plates, which begins with that bundle's encoder:
   alpr synth plates --country {path} --crops 2000 --seed 99 --output datasets/rendered/{name}
   alpr train experiment=synthetic_recogniser country={path} name={name}_synthetic \
data.manifest=rendered/{name}/labels.csv warm_start={bundle} warm_start_parts=[encoder]
3. Your photographs: docs/train-your-country.md"""
BEGIN = "world"
"""The bundle whose encoder a new country begins with."""


def new(
    code: Annotated[str, typer.Argument(metavar="XX", help="ISO 3166 alpha-2.")],
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The country's name.")] = None,
    alphabet: Annotated[
        str | None, typer.Option("--alphabet", metavar="TEXT", help="Every symbol a plate may print; else A-Z, 0-9.")
    ] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            "--pattern",
            metavar="TEXT",
            help="Of L letter, D digit, A either, / between rows; again for every layout.",
        ),
    ] = None,
    size: Annotated[
        tuple[float, float] | None, typer.Option("--size", metavar="H W", help="A plate's height and width in mm.")
    ] = None,
    background: Annotated[
        str | None, typer.Option("--background", metavar="#RRGGBB", help="Its colour; else #e9eaea.")
    ] = None,
    foreground: Annotated[
        str | None, typer.Option("--foreground", metavar="#RRGGBB", help="The characters'; else #15171a.")
    ] = None,
    font: Annotated[
        list[str] | None,
        typer.Option("--font", metavar="NAME", help=f"One of {', '.join(FACES)}, or a font file; again for another."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The YAML file; else XX.yaml beside the packs.")
    ] = None,
) -> None:
    """Write a commented country pack that validates.

    What no option says is asked for; a wrong answer is asked for again.
    """
    from alpr.plates.country import PACKS
    from alpr.plates.new_pack import NewPack, write_pack

    path = output or PACKS / f"{code.lower()}.yaml"
    with complaints():
        if path.exists():
            raise ValueError(f"{path} is there already; edit it, or give another --output.")
        called = questions.name(name, code)
        symbols = questions.alphabet(alphabet, ascii_uppercase + digits)
        plates = questions.plates(pattern, size, symbols)
        paint = questions.colour(background, "Colour of the plate", "#e9eaea")
        ink = questions.colour(foreground, "Colour of the characters", "#15171a")
        fonts = questions.fonts(font, symbols)
        write_pack(NewPack(code, called, symbols, plates, paint, ink, fonts).text(path), path)
    country = path if output else code.lower()
    typer.echo(NEXT.format(file=path, path=country, name=path.stem, bundle=BEGIN))

"""`alpr synth glyphs`: a glyph bank from your own plates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import CountryOption, WorkersOption, complaints


def glyphs(
    tables: Annotated[list[Path], typer.Argument(metavar="TABLE", help="CSV tables of labelled plates.")],
    country: CountryOption,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The bank, a .npz file.")],
    sheet: Annotated[bool, typer.Option("--sheet", help="Draw the glyphs on a .png beside the bank.")] = False,
    replace: Annotated[
        list[str] | None,
        typer.Option("--replace", metavar="O=0", help="Plates print the first like the second; may be given again."),
    ] = None,
    free_gaps: Annotated[bool, typer.Option("--free-gaps", help="The spacing differs from issuer to issuer.")] = False,
    holdout_fold: Annotated[
        int, typer.Option("--holdout-fold", metavar="N", help="The tenth of the plates that is held back.")
    ] = 0,
    workers: WorkersOption = 1,
) -> None:
    """Make a glyph bank from your own training plates.

    Rendered plates then have your country's true typeface.

    Rows need a text; plates are cut by their corners, and an image without corners is taken as a ready-made crop. Only
    rows of the split `train` are used, without the fold that is held back. Look at the sheet before you train with the
    bank, and keep the bank where version control does not see it: it is made of your photographs.
    """
    with complaints():
        from alpr.data.several_tables import read_manifest
        from alpr.plates.country import CountryPack
        from alpr.synthetic.glyph_making import MakingSettings, make_bank
        from alpr.synthetic.glyph_sheet import report, write_sheet

        pack = CountryPack.find(country)
        wrong = [pair for pair in replace or [] if len(pair) != 3 or pair[1] != "="]
        if wrong:
            raise ValueError(f"--replace {wrong[0]!r}; expected two characters with = between them, such as O=0.")
        if output.suffix != ".npz":
            raise ValueError(f"--output {output}; expected a file that ends in .npz.")
        made = make_bank(
            read_manifest(tables),
            pack,
            MakingSettings(free_gaps=free_gaps),
            sources={str(path): read_manifest(path).sha256 for path in tables},
            replaced={pair[0]: pair[2] for pair in replace or []},
            holdout_fold=holdout_fold,
            workers=workers,
        )
        made.bank.write(output)
        typer.echo(report(made, pack))
        if sheet:
            typer.echo(f"Look at {write_sheet(made.bank, output)}.")
        typer.echo(f"Train with it: data.rendered.own.glyph_bank={output}")

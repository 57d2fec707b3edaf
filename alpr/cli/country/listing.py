"""`alpr country list`: the country packs there are."""

from __future__ import annotations

import typer

from alpr.cli.options import complaints


def packs() -> None:
    """List the country packs: code, name, characters and kinds of plates."""
    from alpr.plates.country import PACKS, CountryPack

    with complaints():
        for path in sorted(PACKS.glob("*.yaml")):
            pack = CountryPack.read(path)
            layouts = ", ".join(layout.name for layout in pack.layouts)
            typer.echo(f"{path.stem:<6} {pack.name}: {len(pack.alphabet)} characters; {layouts}")

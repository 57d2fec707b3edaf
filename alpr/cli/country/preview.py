"""`alpr country preview`: a sheet of a country's rendered plates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import CountryOption, SeedOption, complaints


def preview_plates(
    country: CountryOption,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The PNG to write.")],
    plates: Annotated[
        int, typer.Option("--plates", metavar="N", min=0, help="Plates per layout seen from the front.")
    ] = 2,
    crops: Annotated[int, typer.Option("--crops", metavar="N", min=0, help="Finished crops per layout.")] = 4,
    seed: SeedOption = 0,
    glyph_bank: Annotated[
        Path | None,
        typer.Option("--glyph-bank", metavar="FILE", help="Glyphs of your own plates, see `alpr synth glyphs`."),
    ] = None,
    speed: Annotated[bool, typer.Option("--speed", help="Also measure how fast one process renders crops.")] = False,
) -> None:
    """Draw a country's plates.

    Every layout from the front, and the crops that training sees of it.
    """
    with complaints():
        import cv2

        from alpr.files import write_atomically
        from alpr.plates.country import CountryPack
        from alpr.synthetic.glyph_bank import GlyphBank
        from alpr.synthetic.pack_preview import preview
        from alpr.synthetic.renderer import PlateRenderer, crops_per_second

        pack = CountryPack.find(country)
        bank = None if glyph_bank is None else GlyphBank.read(glyph_bank, pack)
        renderer = PlateRenderer(pack, bank=bank)
        renderer.check_fonts()
        _, data = cv2.imencode(".png", preview(renderer, plates, crops, seed))
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, [data.tobytes()], sync=False)
        typer.echo(f"Written to {output}")
        if speed:
            cv2.setNumThreads(1)
            plain = PlateRenderer(pack, bank=bank, without=["sensor"])
            typer.echo(
                f"One process renders {crops_per_second(renderer):,.0f} crops/s, {crops_per_second(plain):,.0f} "
                "without what lens, light, sensor and file do to them."
            )

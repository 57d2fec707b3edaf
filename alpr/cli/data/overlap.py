"""`alpr data overlap`: what the parts of a data set share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints


def overlap(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Official lists (.txt), one part each, and tables (.csv).")
    ],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    output: Annotated[Path | None, typer.Option("--output", metavar="PAGE", help="Also write a page.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures.")] = None,
) -> None:
    """Say what train, val and test subsets share.

    Images and plates, from names and tables; no image is opened.
    """
    from alpr.data.overlap import as_markdown, as_text, overlap_of, parts_of_files
    from alpr.data.overlap_page import figures_of, page_of
    from alpr.files import write_json

    with complaints():
        found = overlap_of(parts_of_files(files))
        if output:
            page_of(found).write(output)
        if json:
            write_json(json, figures_of(found))
    typer.echo((as_markdown if markdown else as_text)(found), nl=False)

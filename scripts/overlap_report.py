"""Says which images and plates train, val and the test subsets share, from file names and tables; opens no image."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from alpr.data.columns import ManifestError
from alpr.data.overlap import TITLES, Overlap, as_markdown, as_text, matrix_rows, overlap_of, parts_of_files
from alpr.reports.html import Page, table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="official lists (.txt), one part each, and tables (.csv)"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--output", type=Path, metavar="REPORT.html", help="also write a page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    return parser.parse_args()


def page_of(overlap: Overlap) -> Page:
    """The report as a page."""
    page = Page("What the parts share", overlap.sentence())
    names = [part.name for part in overlap.parts]
    columns = range(1, len(names) + 1)
    for what, title in TITLES.items():
        caption = f"Of the row's {what} so many are in the column's part too."
        page.add(title.capitalize(), table(["", *names], matrix_rows(overlap, what), caption=caption, right=columns))
    rows = [(p.name, p.entries, len(p.images), len(p.plates), p.unlabelled) for p in overlap.parts]
    page.add("The parts", table(["part", "entries", "images", "plates", "without a plate's text"], rows))
    return page


def figures_of(overlap: Overlap) -> dict[str, object]:
    """The figures for a JSON file."""
    return {
        "entries": overlap.entries,
        "distinct_images": overlap.distinct_images,
        "distinct_plates": overlap.distinct_plates,
        "images_in_parts": list(overlap.images_in),
        "parts": [part.name for part in overlap.parts],
        "images": overlap.images.tolist(),
        "plates": overlap.plates.tolist(),
    }


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 a file cannot be used."""
    arguments = parse_arguments()
    try:
        overlap = overlap_of(parts_of_files(arguments.files))
        if arguments.output:
            page_of(overlap).write(arguments.output)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures_of(overlap), indent=1) + "\n", encoding="utf-8")
    except (ManifestError, OSError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), style="red")
        return 1
    print((as_markdown if arguments.markdown else as_text)(overlap), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

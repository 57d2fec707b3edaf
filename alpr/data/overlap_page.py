"""What the parts of a data set share, as a page and as figures."""

from __future__ import annotations

from alpr.data.overlap import TITLES, Overlap, matrix_rows
from alpr.reports.html import Page, table


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

"""Reports as one HTML file that opens without a network: text, key figures, tables and sheets of pictures.

Everything that is not `Html` is escaped: plates' texts and file names come from strangers. Charts are in
`alpr.reports.charts`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from alpr.files import write_atomically
from alpr.plates.records import ImageArray

PICTURE_PX = 320
"""The longer side of a picture on a sheet."""
_QUALITY = 80
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Html(str):
    """Markup that is put into a page as it stands. Make it with this file's functions, which escape."""

    __slots__ = ()


Cell: TypeAlias = "str | int | float | None"
"""Of a table: numbers are formatted and stand to the right; None is a dash; `Html` is kept."""


class Figure(NamedTuple):
    """A key figure: its value, what it is, and an optional remark."""

    value: Cell
    label: str
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a sheet: (H, W, 3) uint8 BGR, or (H, W) grey, with its caption and, in small type, a remark."""

    image: ImageArray
    caption: str
    remark: str = ""


@dataclass
class Page:
    """A report: sections below a title, with a table of contents.

    Attributes:
        lead: a sentence or two below the title.
        script: what the page runs, which is all that it may run; mostly nothing.
        style: rules beside those of all pages.
    """

    title: str
    lead: str = ""
    script: str = ""
    style: str = ""
    _sections: list[tuple[str, list[Html]]] = field(default_factory=list)

    def add(self, heading: str, *parts: str) -> None:
        """Adds a section; plain text becomes a paragraph."""
        self._sections.append((heading, [p if isinstance(p, Html) else paragraph(p) for p in parts]))

    def render(self) -> str:
        """The whole file. Its policy forbids every request to another place, and all scripts but its own."""
        links = "".join(f'<li><a href="#s{i}">{escape(h)}</a></li>' for i, (h, _) in enumerate(self._sections, 1))
        body = "\n".join(
            f'<section id="s{i}"><h2>{escape(heading)}</h2>\n{"".join(parts)}</section>'
            for i, (heading, parts) in enumerate(self._sections, 1)
        )
        policy, run = _POLICY, ""
        if self.script:
            digest = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
            policy, run = f"{_POLICY}; script-src 'sha256-{digest}'", f"<script>{self.script}</script>\n"
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f"<title>{escape(self.title)}</title>\n<style>{_STYLE}{self.style}</style>\n</head>\n<body>\n"
            f"<header><h1>{escape(self.title)}</h1>{paragraph(self.lead) if self.lead else ''}</header>\n"
            f'<nav aria-label="Contents"><ol>{links}</ol></nav>\n<main>\n{body}\n</main>\n{run}</body>\n</html>\n'
        )

    def write(self, path: Path) -> None:
        """Writes the page, whole or not at all.

        Raises:
            NotWritten: a full disk or a folder that cannot be written to.
        """
        write_atomically(path, [self.render().encode()])


def printable(text: str) -> str:
    """Text with the replacement character in place of control, direction-changing and half characters.

    Tabs and ends of lines stay. A terminal obeys what follows an escape character.
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def escape(text: str) -> Html:
    """Printable text as markup."""
    return text if isinstance(text, Html) else Html(html.escape(printable(text)))


def paragraph(text: str) -> Html:
    """A paragraph."""
    return Html(f"<p>{escape(text)}</p>\n")


def subheading(text: str) -> Html:
    """A heading inside a section."""
    return Html(f"<h3>{escape(text)}</h3>\n")


def marked(parts: Iterable[tuple[str, bool]]) -> Html:
    """Text in which the parts that are true are marked."""
    return Html("".join(f"<mark>{escape(text)}</mark>" if mark else escape(text) for text, mark in parts))


def lines(*parts: str) -> Html:
    """Parts below each other."""
    return Html("<br>".join(map(escape, parts)))


def details(summary: str, *parts: str) -> Html:
    """Parts that are shown when the summary is clicked."""
    inside = "".join(p if isinstance(p, Html) else paragraph(p) for p in parts)
    return Html(f"<details><summary>{escape(summary)}</summary>\n{inside}</details>\n")


def side_by_side(*parts: Html) -> Html:
    """Parts beside each other where the screen is wide enough, below each other where it is not."""
    return Html(f'<div class="grid">{"".join(f"<div>{part}</div>" for part in parts)}</div>\n')


def key_figures(figures: Iterable[Figure]) -> Html:
    """Large numbers with what they are."""
    boxes = "".join(
        f"<div><dd>{escape(show(f.value))}</dd><dt>{escape(f.label)}"
        f"{f'<small>{escape(f.remark)}</small>' if f.remark else ''}</dt></div>"
        for f in figures
    )
    return Html(f'<dl class="key">{boxes}</dl>\n')


def table(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str = "", right: Iterable[int] = ()
) -> Html:
    """A table; a column of numbers stands to the right.

    Args:
        right: columns of text that stand to the right too, counted from 0.

    Raises:
        ValueError: a row with another number of cells than the header.
    """
    listed = [tuple(row) for row in rows]
    for i, row in enumerate(listed):
        if len(row) != len(header):
            raise ValueError(f"Row {i} of the table has {len(row)} cells; the header has {len(header)}.")
    numeric = {
        c
        for c in range(len(header))
        if listed and all(not isinstance(row[c], str) for row in listed) and any(row[c] is not None for row in listed)
    } | set(right)
    kind = ['<{0} class="n">' if c in numeric else "<{0}>" for c in range(len(header))]
    head = "".join(f"{kind[c].format('th')}{escape(h)}</th>" for c, h in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"{kind[c].format('td')}{escape(show(cell))}</td>" for c, cell in enumerate(row)) + "</tr>\n"
        for row in listed
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return Html(
        f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'
    )


def show(value: Cell) -> str:
    """A cell as text: thousands apart, three figures of a fraction, a dash for None and for NaN."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "–"
    if isinstance(value, float) and not value.is_integer() and abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def percent(share: float, digits: int = 1) -> str:
    """A share 0..1 as a percentage; NaN is a dash."""
    return "–" if share != share else f"{100 * share:.{digits}f} %"


def picture_sheet(pictures: Iterable[Picture], *, limit: int = 48, longer_px: int = PICTURE_PX) -> Html:
    """Pictures in rows with captions; how many were left out beyond the limit is said.

    Args:
        limit: the most pictures that are shown.
        longer_px: larger pictures are scaled down to this longer side.
    """
    shown: list[str] = []
    left_out = 0
    for picture in pictures:
        if len(shown) == limit:
            left_out += 1
            continue
        shown.append(figure(picture, longer_px=longer_px))
    more = paragraph(f"Not shown: {left_out:,} more.") if left_out else ""
    return Html(f'<div class="sheet">{"".join(shown)}</div>\n{more}')


def figure(picture: Picture, *, longer_px: int = PICTURE_PX) -> Html:
    """One picture with its caption.

    Args:
        longer_px: a larger one is scaled down to this longer side.
    """
    remark = f"<small>{escape(picture.remark)}</small>" if picture.remark else ""
    return Html(
        f'<figure><img loading="lazy" alt="{_plain(picture.caption)}" src="{_data_uri(picture.image, longer_px)}">'
        f"<figcaption>{escape(picture.caption)}{remark}</figcaption></figure>\n"
    )


def _plain(caption: str) -> str:
    """A caption without markup, for an attribute."""
    return re.sub("<[^>]*>", " ", caption) if isinstance(caption, Html) else escape(caption)


def _data_uri(image: ImageArray, longer_px: int) -> str:
    scale = longer_px / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
DAY = {
    "ink": "#1c2024", "soft": "#5d6670", "line": "#d9dee3", "back": "#ffffff", "box": "#f4f6f8", "link": "#0b5cad",
    "c0": "#2f6fb3", "c1": "#d9731a", "c2": "#2b9a66", "c3": "#a1529b", "c4": "#8a7a1f", "c5": "#c0435c",
}  # fmt: skip
"""The colours of a page, and of a picture of a chart; c0 to c5 are those of the series."""
_NIGHT = {
    "ink": "#e6e9ec", "soft": "#a2abb5", "line": "#363d45", "back": "#14171a", "box": "#1e2328", "link": "#7db7f2",
    "c0": "#6aa9ea", "c1": "#f29a4c", "c2": "#57c793", "c3": "#cf8ac9", "c4": "#cdbb52", "c5": "#ef7f95",
}  # fmt: skip


def _declared(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


CHART_STYLE = """.chart text { fill: var(--soft); }
.chart .axis { stroke: var(--line); stroke-width: 1; fill: none; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .bar { stroke-width: 1.2; stroke-opacity: .6; }
.chart .area { fill-opacity: .12; stroke-width: 1.6; }
""" + "".join(f".chart .f{i} {{ fill: var(--c{i}); }} .chart .l{i} {{ stroke: var(--c{i}); }}\n" for i in range(6))
_STYLE = (
    f""":root {{ color-scheme: light dark; {_declared(DAY)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_declared(_NIGHT)} }} }}
"""
    + """* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 4rem; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0; max-width: 48rem; overflow-wrap: anywhere; }
a { color: var(--link); }
nav ol { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .8rem 0; padding: 0; }
.key { display: flex; flex-wrap: wrap; gap: .6rem; margin: .8rem 0; }
.key div { background: var(--box); border-radius: 6px; padding: .5rem .9rem; min-width: 8rem; }
.key dd { margin: 0; font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.key dt { color: var(--soft); font-size: .85rem; }
small { display: block; color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
mark { background: var(--c1); color: var(--back); border-radius: 2px; padding: 0 .1em; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  unicode-bidi: isolate; }
td { max-width: 32rem; overflow-wrap: break-word; }
th { font-weight: 600; white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem 2rem; }
.grid > div { min-width: 0; }
.sheet { display: flex; flex-wrap: wrap; gap: .8rem; margin: .6rem 0; align-items: flex-start; }
.sheet figure { margin: 0; min-width: 7rem; max-width: min(20rem, 100%); }
.sheet img { display: block; max-width: 100%; height: auto; border-radius: 3px; background: var(--box); }
.sheet figcaption { font-size: .85rem; width: 0; min-width: 100%; overflow-wrap: anywhere; unicode-bidi: isolate; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--link); }
.chart { margin: .6rem 0; overflow-x: auto; }
.chart figcaption { font-weight: 600; font-size: .9rem; position: sticky; left: 0; }
.chart svg { display: block; width: 100%; max-width: 36rem; height: auto;
  font: 12px system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
.chart svg.wide { width: auto; max-width: none; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: .85rem; color: var(--soft);
  position: sticky; left: 0; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
@media (max-width: 40rem) { body { padding: .5rem .75rem 3rem; } .key div { min-width: 6.5rem; flex: 1 1 6.5rem; }
  .key dd { font-size: 1.15rem; } .sheet figure { max-width: calc(50% - .4rem); } }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
"""
    + CHART_STYLE
    + "".join(f".legend .f{i} {{ background: var(--c{i}); }}\n" for i in range(6))
)

"""The report of a data set: its statistics per split side by side, with sheets of sample plates, as one page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alpr.data.manifest import Manifest
from alpr.data.splitting import leaks, plate_groups
from alpr.data.statistics import Geometry, Labels, Look, SplitStatistics
from alpr.reports.charts import bar_chart, histogram
from alpr.reports.html import (
    Cell,
    Figure,
    Html,
    Page,
    Picture,
    details,
    key_figures,
    percent,
    picture_sheet,
    side_by_side,
    subheading,
    table,
)

QUANTITIES = {
    "width": ("Width", "px"),
    "height": ("Height", "px"),
    "tilt": ("Tilt", "degrees, clockwise"),
    "share": ("Share of the image", "%"),
    "brightness": ("Brightness", "mean grey value"),
    "sharpness": ("Sharpness", "variance of the Laplacian"),
}
_LABELS = {
    "whole": "corners and text",
    "box_and_text": "box and text, no corners",
    "corners_only": "corners, no text",
    "box_only": "box only",
    "text_only": "text only (a crop)",
    "ignored": "region to ignore",
    "no_plate": "no plate in the image",
}
_SMALL_PX = 12
_MOST_BARS = 120
_REJECTED_SHOWN = 20


def dataset_page(
    title: str, manifest: Manifest, geometry: Geometry, splits: Sequence[SplitStatistics], sheets: Mapping[str, Html]
) -> Page:
    """The page of a data set.

    Args:
        sheets: markup of sample sheets by heading; see `plate_sheet`.
    """
    sampled = sum(s.spreads["brightness"].n for s in splits)
    lead = "What the table holds, split by split. Shares are of the split."
    page = Page(title, lead + (f" {sampled:,} plates, drawn at random, were looked at." if sampled else ""))
    page.add("Overview", _overview(manifest, splits), _split_table(splits), *_warnings(manifest, geometry, splits))
    page.add("Labels", *_label_parts(splits))
    page.add("Characters", *_text_parts(splits))
    page.add("Sizes and tilt", *_quantity_parts(splits, ("width", "height", "tilt", "share")))
    if sampled:
        page.add("Light and sharpness", *_quantity_parts(splits, ("brightness", "sharpness")))
    if sheets:
        page.add("Plates", *(part for heading, sheet in sheets.items() for part in (subheading(heading), sheet)))
    if manifest.rejected:
        page.add("Rows left out", *_rejected(manifest))
    return page


def plate_sheet(manifest: Manifest, geometry: Geometry, looks: Iterable[Look], limit: int = 48) -> Html:
    """Rectified plates with their texts."""
    return picture_sheet([_picture(manifest, geometry, look) for look in looks], limit=limit)


def name_of(split: str) -> str:
    """A split's name for people."""
    return split or "(none)"


def as_json(splits: Sequence[SplitStatistics]) -> list[dict[str, Any]]:
    """The statistics as plain values; what is unknown is null."""
    return [_plain({**vars(s), "labels": vars(s.labels)}) for s in splits]


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _picture(manifest: Manifest, geometry: Geometry, look: Look) -> Picture:
    width, height, tilt = (float(v[look.row]) for v in (geometry.width, geometry.height, geometry.tilt))
    facts = [f"{width:.0f}x{height:.0f} px"] if width == width else []
    facts += [f"{round(tilt):+d}°"] if tilt == tilt else []
    return Picture(look.crop, manifest.text[look.row] or "no text", " ".join([*facts, f"grey {look.brightness:.0f}"]))


def _overview(manifest: Manifest, splits: Sequence[SplitStatistics]) -> Html:
    rows, texts = sum(s.rows for s in splits), len(set(manifest.text) - {""})
    countries = sorted({c for s in splits for c in s.countries})
    return key_figures(
        [
            Figure(rows, "rows"),
            Figure(sum(s.images for s in splits), "images"),
            Figure(texts, "distinct texts"),
            Figure(len({c for s in splits for c in s.characters}), "distinct characters"),
            Figure(len(countries), "countries", ", ".join(countries[:12])),
            Figure(len(manifest.rejected), "rows left out"),
        ]
    )


def _split_table(splits: Sequence[SplitStatistics]) -> Html:
    header = ["split", "rows", "share", "images", "rows per image", "distinct texts", "repeated texts"]
    total = sum(s.rows for s in splits)
    rows: list[list[Cell]] = [
        [name_of(s.name), s.rows, percent(s.rows / total), s.images, s.rows / s.images, s.texts, s.repeated]
        for s in splits
    ]
    return table(header, rows, right=[2])


def _warnings(manifest: Manifest, geometry: Geometry, splits: Sequence[SplitStatistics]) -> list[str]:
    """What a person should look at first, in sentences."""
    found = leaks(manifest, {"text": plate_groups(manifest)})
    said = []
    for what in ("image", "text"):
        these = [leak for leak in found if leak.what == what]
        if these:
            said.append(f"{what.capitalize()}s that stand in several splits: {len(these):,}, e.g. {these[0].name}.")
    small = int((geometry.height < _SMALL_PX).sum())
    if small:
        said.append(f"Plates lower than {_SMALL_PX} px: {small:,}, which hardly anybody can read.")
    trained = next((s for s in splits if s.name == "train"), None)
    if trained:
        missing = sorted({c for s in splits for c in s.characters} - set(trained.characters))
        if missing:
            said.append(f"Characters that other splits hold and train does not: {' '.join(missing)}.")
    return said


def _label_parts(splits: Sequence[SplitStatistics]) -> list[Html]:
    used = [k for k in _LABELS if any(getattr(s.labels, k) for s in splits)]
    header = ["split", *(_LABELS[k] for k in used)]
    rows: list[list[Cell]] = [[name_of(s.name), *(_counted(s.labels, k, s.rows) for k in used)] for s in splits]
    return [table(header, rows, right=range(1, len(header)))]


def _counted(labels: Labels, kind: str, rows: int) -> str:
    count = getattr(labels, kind)
    return f"{count:,} ({percent(count / rows)})" if count else "0"


def _text_parts(splits: Sequence[SplitStatistics]) -> list[Html]:
    if not any(s.texts for s in splits):
        return [Html("<p>No row has a text.</p>")]
    parts = [
        _shares_chart("Lengths", {s.name: {str(k): n for k, n in s.lengths.items()} for s in splits}, by_label=True),
        _shares_chart("Regions: first characters", {s.name: s.regions for s in splits}),
        _shares_chart("Countries", {s.name: s.countries for s in splits}),
    ]
    everywhere = sorted({c for s in splits for c in s.characters}, key=lambda c: -sum(_of(s, c) for s in splits))
    rows: list[list[Cell]] = [[c, f"U+{ord(c):04X}", *(_of(s, c) for s in splits)] for c in everywhere]
    counts = table(["character", "code", *(name_of(s.name) for s in splits)], rows)
    characters = _shares_chart("Characters", {s.name: s.characters for s in splits}, by_label=True)
    return [side_by_side(*(p for p in parts if p)), characters, details("Characters, counted", counts)]


def _of(split: SplitStatistics, character: str) -> int:
    return split.characters.get(character, 0)


def _shares_chart(title: str, counted: Mapping[str, Mapping[str, int]], *, by_label: bool = False) -> Html:
    """Shares of each split in %, by label or the most frequent first; nothing without any count."""
    totals = {label: sum(c.get(label, 0) for c in counted.values()) for c in counted.values() for label in c}
    if not totals:
        return Html("")
    ranked = sorted(totals, key=lambda label: (-totals[label], label))[:_MOST_BARS]
    labels = sorted(ranked, key=lambda label: (len(label), label)) if by_label else ranked
    series = {
        name_of(split): [100 * counts.get(label, 0) / (sum(counts.values()) or 1) for label in labels]
        for split, counts in counted.items()
        if counts
    }
    left_out = len(totals) - len(labels)
    return bar_chart(labels, series, title=title + (f" (the {_MOST_BARS} most frequent)" if left_out else ""), unit="%")


def _quantity_parts(splits: Sequence[SplitStatistics], names: Sequence[str]) -> list[Html]:
    charts: list[Html] = []
    rows: list[list[Cell]] = []
    for quantity in names:
        known = [s for s in splits if s.spreads[quantity].n]
        if not known:
            continue
        title, unit = QUANTITIES[quantity]
        factor = 100 if quantity == "share" else 1
        edges = [factor * edge for edge in known[0].bins[quantity].edges]
        series = {name_of(s.name): s.bins[quantity].percentages for s in known}
        charts.append(histogram(edges, series, title=title, unit="%", x_label=unit))
        for s in known:
            spread = s.spreads[quantity]
            figures = [_figure(factor * value) for value in spread[1:]]
            rows.append([f"{title}, {unit}", name_of(s.name), spread.n, *figures])
    if not rows:
        return [Html("<p>No row says where its plate is.</p>")]
    header = ["", "split", "plates", "mean", "least", "5 %", "median", "95 %", "most"]
    note = Html("<p>The outer bins also hold what lies beyond them.</p>")
    return [side_by_side(*charts), note, table(header, rows, right=range(3, 9))]


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def _rejected(manifest: Manifest) -> list[str]:
    rows: list[list[Cell]] = [[r.file, r.row, r.image, r.reason] for r in manifest.rejected[:_REJECTED_SHOWN]]
    more = len(manifest.rejected) - len(rows)
    said = [f"Not shown: {more:,} more."] if more else []
    return [table(["table", "row", "image", "reason"], rows), *said]

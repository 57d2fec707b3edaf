"""Reports in HTML: one file, nothing from outside, nothing unescaped, and charts that show the values."""

from __future__ import annotations

import base64
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest
from balanced_html import Balanced

from alpr.reports.charts import Line, bar_chart, histogram, line_chart, ticks
from alpr.reports.html import (
    Figure,
    Page,
    Picture,
    details,
    key_figures,
    percent,
    picture_sheet,
    show,
    side_by_side,
    table,
)

NASTY = "<script>alert(1)</script>\"'&\u202etxt\x00\udcff"


def page() -> Page:
    page = Page(NASTY, NASTY)
    image = np.full((40, 120, 3), 90, np.uint8)
    page.add(NASTY, NASTY, key_figures([Figure(3, NASTY, NASTY)]), details(NASTY, NASTY))
    page.add(
        "Charts",
        side_by_side(
            bar_chart([NASTY, "b"], {NASTY: [1, 2]}, title=NASTY, x_label=NASTY),
            histogram([0, 1, 2], {NASTY: [1, 2], "other": [2, 0]}, title=NASTY),
            line_chart({NASTY: Line([0, 1], [1, 2], [(0.5, 1.5), (1.5, 2.5)])}, title=NASTY),
        ),
        table([NASTY], [[NASTY], ["x"]], caption=NASTY),
        picture_sheet([Picture(image, NASTY, NASTY)]),
    )
    return page


def test_nothing_comes_from_outside_and_nothing_is_unescaped(tmp_path: Path) -> None:
    page().write(tmp_path / "report.html")
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(written)
    assert not parser.open
    assert all(a.startswith(("#s", "data:image/jpeg;base64,")) for a in parser.addresses) and len(parser.addresses) == 3
    assert "http:" not in written and "https:" not in written and "url(" not in written and "@import" not in written
    assert "alert(1)" in written and not re.search("[\x00\u202e\udcff]", written)
    assert "default-src 'none'" in written and "prefers-color-scheme: dark" in written


def test_numbers_stand_to_the_right_and_text_does_not() -> None:
    shown = table(["name", "count", "share"], [["a", 12345, "3 %"], ["b", None, "4 %"]], right=[2])
    cells = re.findall(r"<td( class=\"n\")?>(.*?)</td>", shown)
    assert cells == [
        ("", "a"),
        (' class="n"', "12,345"),
        (' class="n"', "3 %"),
        ("", "b"),
        (' class="n"', "–"),
        (' class="n"', "4 %"),
    ]
    with pytest.raises(ValueError, match="Row 1 of the table has 1 cells; the header has 2"):
        table(["a", "b"], [[1, 2], [1]])
    assert [show(v) for v in (0.123456, 1e6, 2.0, math.nan, 1234.5, -3)] == [
        "0.123",
        "1,000,000",
        "2",
        "–",
        "1,234",
        "-3",
    ]
    assert percent(0.1234) == "12.3 %" and percent(math.nan) == "–"


def test_a_sheet_is_limited_in_number_and_size() -> None:
    pictures = [Picture(np.full((400, 1000, 3), i, np.uint8), f"p{i}") for i in range(5)]
    shown = picture_sheet(pictures, limit=2, longer_px=100)
    assert "Not shown: 3 more." in shown and "p1" in shown and "p2" not in shown
    first = base64.b64decode(re.findall(r"base64,([^\"]+)", shown)[0])
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (40, 100, 3)


def drawing(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", chart, re.S)[0])  # type: ignore[index]


def test_bars_are_as_high_as_their_values() -> None:
    root = drawing(bar_chart(["a", "b", "c"], {"x": [10, 20, 0], "y": [5, 0, 20]}, title="t"))
    bars = root.findall("rect")
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert [round(h / heights[0], 2) for h in heights] == [1, 2, 0.5, 2]
    assert len({float(b.attrib["y"]) + h for b, h in zip(bars, heights, strict=True)}) == 1  # one ground line
    assert "a: 10" in str(bars[0].findtext("title"))
    wide = drawing(bar_chart([str(i) for i in range(100)], {"": [1] * 100}, title="t"))
    assert float(wide.attrib["width"]) > 1000  # labels that would lie over each other
    with pytest.raises(ValueError, match="'x' has 1 values for 2 labels"):
        bar_chart(["a", "b"], {"x": [1]}, title="t")
    with pytest.raises(ValueError, match="'x' has 3 values for 2 bins"):
        histogram([0, 1, 2], {"x": [1, 2, 3]}, title="t")


def test_a_line_has_its_gaps_and_errors() -> None:
    line = Line([0, 1, 2, 3], [1, 2, math.nan, 4], [(0.5, 2), (2, 2), (0, 0), (3, 5)])
    root = drawing(line_chart({"a": line}, title="t"))
    assert len(root.findall("polyline")) == 2 and len(root.findall("circle")) == 3 and len(root.findall("line")) == 2
    with pytest.raises(ValueError, match="has no point"):
        line_chart({"a": Line([1], [math.nan])}, title="t")
    with pytest.raises(ValueError, match=r"the lengths \[1, 2\]"):
        Line([1], [1, 2])


def test_charts_of_nothing_are_drawn() -> None:
    for chart in (
        bar_chart([], {"a": []}, title="t"),
        bar_chart(["a"], {"a": [0]}, title="t"),
        histogram([0, 1], {"a": [0]}, title="t"),
        line_chart({"a": Line([1], [0])}, title="t"),
    ):
        assert "nan" not in chart and drawing(chart) is not None


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100] and ticks(-7, 7, 4) == [-5, 0, 5] and ticks(3, 3) == [3]
    assert ticks(0, 0.31) == pytest.approx([0, 0.1, 0.2, 0.3])

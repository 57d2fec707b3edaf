"""Tables as text: separators, headers in capitals, quotes that stay open, line numbers of an editor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alpr.data.columns import BOX_COLUMNS, COLUMNS
from alpr.data.manifest import Manifest
from alpr.data.separated_text import separated_text
from alpr.data.several_tables import read_manifest
from alpr.doctor.mending import write_mended
from alpr.doctor.table import read_rows

HEADER = ",".join(COLUMNS)


def line(image: str, text: str, note: str = "", separator: str = ",") -> str:
    return separator.join([image, text, "", "10", "20", "110", "50", *[""] * 8, "train", note])


def written(folder: Path, *lines: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("first", ["", "\ufeff", "sep"])
def test_tables_of_spreadsheets_are_read_by_their_header(tmp_path: Path, separator: str, first: str) -> None:
    """Semicolons or tabs, capitals, decimal commas, a mark or a line that names the separator."""
    header = separator.join(name.upper() for name in (*COLUMNS, "Camera"))
    row = f"{line('a.jpg', 'AB123CD', 'a, b', separator)}{separator}x".replace("110", "110,5")
    above = [f"sep={separator}"] if first == "sep" else []
    path = tmp_path / "t.csv"
    path.write_text("\r\n".join([*above, (first if first != "sep" else "") + header, row]), encoding="utf-8")
    table = read_manifest(path)
    assert (table.image, table.text, table.note, table.split) == (["a.jpg"], ["AB123CD"], ["a, b"], ["train"])
    assert table.box[0].tolist() == [10, 20, 110.5, 50] and table.extra == {"CAMERA": ["x"]}
    assert table.line.tolist() == [3 if above else 2]
    rows = read_rows([path])
    assert (rows.text, rows.line.tolist()) == (["AB123CD"], table.line.tolist())
    write_mended(path, tmp_path / "clean.csv", [])
    again = read_manifest(tmp_path / "clean.csv")
    assert again.box.tolist() == table.box.tolist() and again.note == table.note


def test_an_open_quote_costs_its_own_row(tmp_path: Path) -> None:
    rows = [line(f"{i}.jpg", f"AB{i:03d}CD") for i in range(1000)]
    rows[5] = line("5.jpg", '"AB005CD')
    rows[700] = line("700.jpg", "AB700CD", '"a note, quoted"')
    table = read_manifest(written(tmp_path, HEADER, *rows))
    assert table.rows == 999 and table.note[699] == "a note, quoted"
    assert [(r.row, r.image) for r in table.rejected] == [(7, "5.jpg")]
    assert "quote" in table.rejected[0].reason
    assert read_rows([tmp_path / "t.csv"]).rows == 999


def test_two_open_quotes_do_not_close_each_other(tmp_path: Path) -> None:
    rows = [line(f"{i}.jpg", f'"AB{i:03d}CD' if i in (3, 4, 9) else f"AB{i:03d}CD") for i in range(20)]
    table = read_manifest(written(tmp_path, HEADER, *rows))
    assert table.rows == 17 and [r.row for r in table.rejected] == [5, 6, 11]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_numbers_are_an_editors_behind_cells_with_line_breaks(tmp_path: Path, end: str) -> None:
    rows = [
        line("a.jpg", "AB001CD", '"first\nsecond ""quoted""\n\nfourth"'),
        "",
        line("b.jpg", "AB002CD").replace("110", "x"),
        line("c.jpg", "AB003CD", '"another\nbreak"'),
        line("d.jpg", "AB004CD"),
    ]
    text = "\n".join([HEADER, *rows])
    path = tmp_path / "t.csv"
    path.write_bytes(text.replace("\n", end).encode())
    table = read_manifest(path)
    numbered = {image: n for n, found in enumerate(text.split("\n"), 1) for image in "abcd" if f"{image}.jpg" in found}
    assert numbered == {"a": 2, "b": 7, "c": 8, "d": 10}
    assert dict(zip(table.image, table.line.tolist(), strict=True)) == {"a.jpg": 2, "c.jpg": 8, "d.jpg": 10}
    assert [r.row for r in table.rejected] == [7] and table.note[0] == f'first{end}second "quoted"{end}{end}fourth'
    assert read_rows([path]).line.tolist() == [2, 7, 8, 10]


def test_quotes_that_are_closed_read_as_the_csv_module_reads_them() -> None:
    lines = ["a,b,c\n", '"x, y",2,3\n', 'x"y,2,"z"\n', '"ab"c,2,3\n', '"say ""so""",,\n', "1,2\n", "\u2028,\x0b,\x85\n"]
    table = separated_text(lines, known=("a", "b", "c"))
    rows = list(table.rows)
    assert [row.cells for row in rows] == [
        ["x, y", "2", "3"],
        ['x"y', "2", "z"],
        ["abc", "2", "3"],
        ['say "so"', "", ""],
        ["1", "2"],
        ["\u2028", "\x0b", "\x85"],
    ]
    assert [bool(row.fault) for row in rows] == [False, False, False, False, True, False]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Cells with every kind of character survive writing and reading."""
    rng = np.random.default_rng(0)
    letters = list("ab\",;\t\n'|皖 ")
    notes = ["".join(rng.choice(letters, 6)).strip() for _ in range(300)]
    table = Manifest.of(tmp_path, [f"{i}.jpg" for i in range(300)], text="AB1", note=notes, box=[[1, 2, 30, 14]] * 300)
    table.write(tmp_path / "t.csv")
    again = read_manifest(tmp_path / "t.csv")
    assert again.note == notes and not again.rejected
    assert set(BOX_COLUMNS) <= set((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[0].split(","))

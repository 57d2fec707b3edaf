"""Decisions about findings: the page takes one a key, corrections.csv carries them, a new table follows them."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.data.corrections import read_corrections, read_decisions
from alpr.data.manifest import Manifest
from alpr.doctor.decision_cards import CARDS
from alpr.doctor.decisions import decided
from alpr.doctor.findings import Finding, finding
from alpr.doctor.page import write_page
from alpr.doctor.table import DoctorTable, read_rows

HEAD = "image,text,correction,reason,decision\n"
NAMES = ["s/a.png", "t/a.png", "b.png", "c.png"]
TEXTS = ["AB1", "AB1", "</script>\u200b<b>\"'", "AB4"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for i, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.random.default_rng(i).integers(0, 255, (20, 60, 3), np.uint8))
    Manifest.of(tmp_path, NAMES, text=TEXTS, split="train").write(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def doubts(rows: DoctorTable) -> list[Finding]:
    """A contradiction of every row; the last is compared with the first."""
    found = [finding(rows, i, "fold-text", f"Reads X{i}.", reading=f"X{i}", score=1 - i / 10) for i in range(3)]
    return [*found, finding(rows, 3, "texts-alike", "Look alike.", other=0, reading="AB1")]


def decisions(folder: Path, *lines: str) -> Path:
    path = folder / "corrections.csv"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def invoke(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["data", "check", *map(str, words), "--no-images"])
    return done.exit_code, done.output


def test_decisions_write_a_new_table_and_leave_the_old_one(table: Path, tmp_path: Path) -> None:
    before = table.read_bytes()
    made = decisions(
        tmp_path, "t/a.png,AB1,CD2,seen,correct", "c.png,AB4,unreadable,seen,drop", "s/a.png,AB1,AB1,seen,keep",
        "z.png,AB9,AB8,seen,correct",
    )  # fmt: skip
    _, said = invoke(table, "--corrections", made, "--fix", tmp_path / "new.csv")
    assert "1 texts corrected, 1 rows dropped, 1 kept; 1 decisions name no row" in said
    with (tmp_path / "new.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["image"]: row["text"] for row in csv.DictReader(file)}
    assert table.read_bytes() == before
    assert rows["s/a.png"] == "AB1" and rows["t/a.png"] == "CD2" and "c.png" not in rows
    assert (tmp_path / "new.changes.csv").read_text(encoding="utf-8").count("decided") == 2
    code, said = invoke(table, "--corrections", made, "--fix", table)
    assert code == 2 and table.read_bytes() == before


def test_what_was_decided_is_not_asked_again(table: Path, tmp_path: Path) -> None:
    rows = read_rows([table])
    made = decisions(tmp_path, "s/a.png,AB1,AB1,seen,keep", "b.png,,CD3,seen,correct")
    left = decided(rows, [*doubts(rows), finding(rows, 0, "image-grey", "Grey.")], made).findings
    assert [(f.rule, f.index) for f in left] == [
        ("decided", 2), ("fold-text", 1), ("texts-alike", 3), ("image-grey", 0),
    ]  # fmt: skip
    assert left[0].mending == (("text", "CD3"),)


def test_a_bare_name_and_a_text_alone_name_rows_too(table: Path, tmp_path: Path) -> None:
    rows = read_rows([table])
    by_name = decided(rows, [], decisions(tmp_path, "a.png,AB1,CD2,seen,correct")).findings
    by_text = decided(rows, [], decisions(tmp_path, ",AB1,CD2,seen,")).findings
    assert [f.index for f in by_name] == [f.index for f in by_text] == [0, 1]


def test_an_evaluation_takes_the_same_file(tmp_path: Path) -> None:
    made = decisions(tmp_path, "a.png,A1,A1,seen,keep", "b.png,A2,B2,seen,correct", "c.png,A3,unreadable,seen,drop")
    assert [(c.text, c.correction) for c in read_corrections(made)] == [("A2", "B2"), ("A3", "")]
    assert [c.decision for c in read_decisions(made)] == ["keep", "correct", "drop"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a.png,A1,B1,seen,maybe", "the decision is 'maybe'"),
        ("a.png,A1,B1,seen,drop", "drop with unreadable"),
        ("a.png,A1,unreadable,seen,correct", "expected keep, correct with a text"),
        ("a.png,A1,A1,seen,correct", "the label's own text"),
    ],
)
def test_a_decision_that_is_none_is_refused(table: Path, tmp_path: Path, line: str, sentence: str) -> None:
    code, said = invoke(table, "--corrections", decisions(tmp_path, line))
    assert code == 2 and sentence in said and "row 2" in said


def test_the_page_runs_its_own_script_alone_and_hands_texts_on_as_they_are(table: Path, tmp_path: Path) -> None:
    rows = read_rows([table])
    write_page(rows, doubts(rows), {}, tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    (run,) = re.findall("<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(run.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "default-src 'none'" in page
    cards = [json.loads(html.unescape(v)) for v in re.findall('data-rows="(.*?)"', page)]
    assert [c[0]["text"] for c in cards] == TEXTS and [c[0]["proposal"] for c in cards] == ["X0", "X1", "X2", "AB1"]
    assert [len(c) for c in cards] == [1, 1, 1, 2] and cards[3][1]["proposal"] == "AB4"


def test_a_page_without_doubts_runs_nothing(table: Path, tmp_path: Path) -> None:
    rows = read_rows([table])
    write_page(rows, [finding(rows, 0, "image-grey", "Grey.")], {}, tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script" not in page and "script-src" not in page


def test_of_many_doubts_the_first_are_shown(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 24, 3), np.uint8))
    count = CARDS + 5
    Manifest.of(tmp_path, ["a.png"] * count, text=[f"AB{i}" for i in range(count)]).write(tmp_path / "t.csv")
    rows = read_rows([tmp_path / "t.csv"])
    write_page(rows, [finding(rows, i, "fold-text", "No.") for i in range(count)], {}, tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count('class="card"') == CARDS and f"The first {CARDS} of {count} rows" in page


KEYS = ["k", "c", "CD,2", "Enter", "d", "o", "c", "Enter", "ArrowLeft", "u", "d", "s"]
"""Keeps the first, corrects the second, drops the third, corrects the other row of the last, which is the first;
goes back, undoes the third and drops it again."""
PRESSED = """
window.showSaveFilePicker = undefined;
URL.createObjectURL = (blob) => { blob.text().then((text) => { document.title = JSON.stringify(text); }); return "#"; };
const field = document.querySelector(".correction");
for (const key of KEYS) {
  if (key.length > 1 && key.includes(",")) { field.value = key; continue; }
  const at = document.activeElement === field ? field : document.body;
  at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}
"""


def test_keys_decide_and_the_table_is_saved(table: Path, tmp_path: Path) -> None:
    """In a browser, where there is one; the page's policy forbids a second script and is taken out here."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("No Chromium here to press keys in.")
    rows = read_rows([table])
    write_page(rows, doubts(rows), {}, tmp_path / "p.html")
    page = re.sub("<meta http-equiv.*?>", "", (tmp_path / "p.html").read_text(encoding="utf-8"))
    keys = PRESSED.replace("KEYS", json.dumps(KEYS))
    (tmp_path / "q.html").write_text(page.replace("</body>", f"<script>{keys}</script></body>"), encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "q.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    title = re.search("<title>(.*?)</title>", done.stdout, re.S)
    assert title is not None, done.stderr[-500:]
    saved = tmp_path / "corrections.csv"
    saved.write_text(json.loads(html.unescape(title.group(1))), encoding="utf-8")
    found = [(one.image, one.text, one.correction, one.decision) for one in read_decisions(saved)]
    assert found == [
        ("s/a.png", "AB1", "AB4", "correct"), ("t/a.png", "AB1", "CD,2", "correct"), ("b.png", TEXTS[2], "", "drop"),
    ]  # fmt: skip

"""`alpr country`: packs are listed, begun and drawn."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import cv2
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.plates.country import PACKS, CountryPack


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["country", *map(str, words)])


def test_packs_are_listed() -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in PACKS.glob("*.yaml"))
    assert any("Brazil" in line and "Mercosur" in line for line in lines)


def test_a_pack_is_begun_and_drawn(tmp_path: Path) -> None:
    path, picture = tmp_path / "xx.yaml", tmp_path / "sheet.png"
    made = run("new", "XX", "--name", "Freedonia", "--pattern", "LLDDDD", "--size", 110, 520, "--output", path)
    assert made.exit_code == 0 and "alpr country preview" in made.stdout, made.output
    assert CountryPack.read(path).name == "Freedonia"
    drawn = run("preview", "--country", path, "--plates", 1, "--crops", 1, "--output", picture)
    assert drawn.exit_code == 0 and cv2.imread(str(picture)) is not None, drawn.output
    assert run("new", "XX", "--output", path).exit_code == 2


def answered(path: Path, *answers: str) -> tuple[int, str]:
    """The dialogue at a terminal: the exit code, and what it said."""
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "alpr", "country", "new", "xx", "--output", str(path)]
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as asked:
        os.close(terminal)
        os.write(master, "".join(f"{answer}\n" for answer in answers).encode())
        said, _ = asked.communicate(timeout=120)
    os.close(master)
    return asked.returncode, said


def test_a_wrong_answer_is_asked_again_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "xx.yaml"
    code, said = answered(
        path, "Freedonia", "ABBC", "ABCDEF0123456789", "3", "12", "LLQ", "LLDDDD? LLLDD", "LL/DD/D", "LL/DDDD", "tall",
        "112 520", "200 280", "red", "#17181b", "#eeeeee", "comic", "latin, barlow",
    )  # fmt: skip
    assert code == 0, said
    for complaint in ("'B' more than once", "rows are '3'", "uses 'Q'", "has 3 rows", "'tall'", "'red'", "'comic'"):
        assert complaint in said, said
    pack = CountryPack.read(path)
    assert (pack.name, pack.alphabet) == ("Freedonia", "ABCDEF0123456789")
    assert [(each.pattern, each.size_mm) for each in pack.layouts] == [
        ("LLDDDD?", (112, 520)), ("LLLDD", (112, 520)), ("LL/DDDD", (200, 280)),
    ]  # fmt: skip
    first = pack.layouts[0]
    assert (first.background, first.foreground, [f.name for f in first.fonts]) == (
        ("#17181b",), "#eeeeee", ["latin", "barlow"],
    )  # fmt: skip
    assert said.index("alpr evaluate bundle=world") < said.index("alpr country preview") < said.index("alpr train")
    assert "warm_start=world warm_start_parts=[encoder]" in said


def test_a_font_with_the_glyphs_is_proposed_and_one_without_is_refused(tmp_path: Path) -> None:
    code, said = answered(tmp_path / "xx.yaml", "", "ابجد۰۱۲۳", "", "", "", "", "", "barlow", "")
    assert code == 0 and "barlow cannot draw ابجد" in said, said
    layout = CountryPack.read(tmp_path / "xx.yaml").layouts[0]
    assert [face.name for face in layout.fonts] == ["noto-arabic"] and layout.pattern == "LLLDDDD"


def test_the_end_of_the_answers_writes_nothing(tmp_path: Path) -> None:
    code, said = answered(tmp_path / "xx.yaml", "Freedonia", "\x04")
    assert code == 2 and "The input ended at the question" in said and not (tmp_path / "xx.yaml").exists(), said

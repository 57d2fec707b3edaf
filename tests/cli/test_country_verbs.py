"""`alpr country`: packs are listed, begun and drawn."""

from __future__ import annotations

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

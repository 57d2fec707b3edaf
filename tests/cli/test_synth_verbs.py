"""`alpr synth`: sets of plates, scenes and photographs with other plates."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.data.several_tables import read_manifest


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def test_scenes_get_tables_and_other_plates(tmp_path: Path) -> None:
    made = run("synth", "ccpd", "--output", tmp_path / "ccpd", "--scenes", 4, "--green-share", 0, "--workers", 0)
    assert made.exit_code == 0 and "4 scenes written, 0 were there" in made.stdout, made.output
    tables = run("data", "ccpd", "--dataset_path", tmp_path / "ccpd", "--categories", "ccpd_base")
    assert tables.exit_code == 0, tables.output
    source = tmp_path / "ccpd" / "ccpd_base" / "alpr_dataset.csv"
    planted = run("synth", "plant", source, "--country", "br", "--output", tmp_path / "br", "--workers", 0)
    assert planted.exit_code == 0 and set(read_manifest(tmp_path / "br" / "labels.csv").country) == {"BR"}
    crops = run("data", "crops", "--dataset-path", tmp_path / "ccpd", "--categories", "ccpd_base", "--workers", 1)
    assert crops.exit_code == 0 and "4 cut" in crops.stdout, crops.output


def test_crops_are_rendered_and_taken_up_again(tmp_path: Path) -> None:
    words = ("synth", "plates", "--country", "br", "--crops", 3, "--workers", 0, "--output", tmp_path)
    assert "3 crops written, 0 were there" in run(*words).stdout
    assert "0 crops written, 3 were there" in run(*words).stdout


def test_a_glyph_bank_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for words in (("--output", tmp_path / "a.png"), ("--output", tmp_path / "a.npz", "--replace", "OO")):
        done = run("synth", "glyphs", tmp_path / "none.csv", "--country", "br", *words)
        assert done.exit_code == 2 and "expected" in done.stderr and len(done.stderr.splitlines()) == 1

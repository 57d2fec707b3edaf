"""What other tools rely on: verbs, their options, a help of one screen, and one sentence about what is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import ENVIRONMENT, REPOSITORY
from typer.main import get_command
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.cli.sentences import Verbs
from alpr.data.manifest import Manifest

LINES, COLUMNS = 60, 100
RELIED_ON = {
    "train": [],
    "evaluate": [],
    "export": [],
    "convert": ["--bundle", "--to", "--score", "--output"],
    "calibrate": [],
    "predict": ["--bundle", "--output", "--workers", "--country", "--files-from", "--shard", "--resume", "--processes"],
    "merge": [],
    "read": ["--bundle", "--output", "--workers"],
    "watch": ["--bundle", "--output", "--resume", "--webhook", "--explain"],
    "info": ["--list", "--json"],
    "bench": ["--bundle", "--output"],
    "data list": ["--output"],
    "serve": ["--http", "--udp", "--tcp", "--bundle", "--token-file", "--udp-output", "--webhook"],
    "send": ["--to", "--old", "--rate"],
    "studio": ["--bundle", "--no-browser", "--table", "--country"],
    "data convert": ["--from", "--to", "--output", "--country"],
    "data check": ["--output", "--bundle", "--country", "--workers"],
    "data split": ["--by", "--output", "--workers"],
    "data report": ["--output", "--workers"],
    "data ccpd": ["--dataset-path", "--workers", "--output"],
    "data crops": ["--dataset-path", "--workers", "--output"],
    "data shards": ["--output"],
    "data overlap": ["--output"],
    "country new": ["--output"],
    "country preview": ["--country", "--output"],
    "country list": [],
    "synth ccpd": ["--output", "--scenes", "--country", "--workers"],
    "synth plates": ["--output", "--country", "--workers"],
    "synth plant": ["--output", "--country", "--workers"],
    "synth glyphs": ["--output", "--country", "--workers"],
    "synth clip": ["--output", "--country"],
    "compare": [],
}
OVERRIDDEN = ("train", "evaluate", "export", "calibrate", "data preview")


def verbs(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every verb with its words."""
    for name, command in (group or get_command(app)).commands.items():
        if isinstance(command, Verbs):
            yield from verbs(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(verbs())


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": str(COLUMNS)}, terminal_width=COLUMNS)


@pytest.mark.parametrize("verb", RELIED_ON)
def test_a_verb_and_its_options_are_there(verb: str) -> None:
    assert verb in ALL, f"there is no {verb}; there are {', '.join(ALL)}"
    options = [option for parameter in ALL[verb].params for option in parameter.opts]
    assert not set(RELIED_ON[verb]) - set(options)


@pytest.mark.parametrize("words", ["", "data", "country", "synth", *ALL])
def test_a_help_fits_a_screen(words: str) -> None:
    told = run(*words.split(), "--help")
    assert told.exit_code == 0 and told.output.strip()
    assert len(told.output.splitlines()) <= LINES
    if words in OVERRIDDEN[:-1]:
        assert "--cfg job" in told.output and "--hydra-help" in told.output


@pytest.mark.parametrize("verb", [verb for verb in ALL if verb not in OVERRIDDEN])
def test_options_are_spelled_alike(verb: str) -> None:
    options = [option for p in ALL[verb].params for option in (*p.opts, *p.secondary_opts) if option.startswith("-")]
    assert all(option == option.lower() and "_" not in option for option in options)
    assert not {"--model", "--num-workers", "--out", "--jobs"} & set(options)


@pytest.mark.parametrize(
    ("words", "code", "there"),
    [
        ("fly", 2, "predict"),
        ("data fly", 2, "split"),
        ("predict a.jpg --fly", 2, "--bundle"),
        ("train --fly", 1, "--cfg"),
        ("predict a.jpg --bundle nowhere", 2, "world"),
        ("read a.jpg --bundle nowhere", 2, "world"),
        ("info nowhere", 2, "world"),
        ("bench --bundle nowhere", 2, "world"),
        ("serve", 2, "--http"),
        ("serve --udp 127.0.0.1:0 --bundle nowhere", 2, "world"),
        ("serve --udp nowhere", 2, "HOST:PORT"),
        ("serve --udp 127.0.0.1:0 --token-file {folder}/none", 2, "token file"),
        ("send {folder} --to 127.0.0.1:6112", 2, "holds no image"),
        ("data check {table} --bundle nowhere", 2, "world"),
        ("evaluate bundle=nowhere data.manifest={table} output={folder}", 1, "world"),
        ("synth plates --country zz --output {folder}", 2, "br"),
        ("synth ccpd --country zz --output {folder}", 2, "br"),
        ("country preview --country zz --output {folder}/a.png", 2, "br"),
        ("data check {table} --country zz", 2, "br"),
        ("predict a.jpg --drafts cvat --country zz --drafts-folder {folder}", 2, "br"),
        ("data convert {table} --from fly --output {folder}/b.csv", 2, "coco"),
        ("data split {table} --by fly --output {folder}/b.csv", 2, "near-duplicate"),
        ("data split", 2, "TABLE"),
        ("train experiment=fly", 1, "ccpd_green_detector"),
        ("train experiment=ccpd_green_detector optim.speed=1", 1, "lr"),
        ("evaluate flies=1 data.manifest={table}", 1, "bundle"),
        ("data preview experiment=fly", 1, "ccpd_green_detector"),
        ("data preview --fly", 1, "--help"),
    ],
)
def test_what_is_not_there_gets_one_sentence(words: str, code: int, there: str, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    Manifest.of(tmp_path, ["a.jpg"], text=["AB"]).write(table)
    (tmp_path / "out").mkdir()
    filled = words.format(table=table, folder=tmp_path / "out").split()
    if filled[0] in ("train", "evaluate"):
        command = [sys.executable, "-m", "alpr", *filled]
        done = subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True)
        found, said, shown = done.returncode, done.stderr, done.stdout
    else:
        result = run(*filled)
        found, said, shown = result.exit_code, result.stderr, result.stdout
    assert found == code and there in said and len(said.splitlines()) == 1, said
    assert "Traceback" not in said and not shown


def test_old_spellings_are_taken(tmp_path: Path) -> None:
    old = run("synth", "ccpd", "--output", str(tmp_path), "--scenes", "0", "--num_workers", "0", "--green_share=0.5")
    assert old.exit_code == 2 and "scenes" in old.stderr and "option" not in old.stderr
    noted = run("predict", str(tmp_path / "a.jpg"), "--model", "nowhere")
    assert noted.stderr.splitlines()[0] == "Note: --model is called --bundle now."


def test_python_m_alpr_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alpr", "--version"], cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("alpr ")


def test_help_and_ordinary_verbs_load_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from alpr.cli.main import app\n"
        "for words in (['--help'], ['train', '--help'], ['info', '--list'], ['country', 'list'],\n"
        "              ['data', 'split', 'none.csv', '--output', 'b.csv'], ['data', 'check', 'none.csv'],\n"
        "              ['data', 'convert', 'none', '--output', 'b.csv'], ['data', 'report', 'none.csv'],\n"
        "              ['data', 'ccpd', '--dataset-path', 'none'], ['data', 'overlap', 'none.csv'],\n"
        "              ['data', 'shards', 'none.csv', '--output', 'b'],\n"
        "              ['data', 'sheet', 'none.csv', '--output', 'b'],\n"
        "              ['data', 'crops', '--dataset-path', 'none', '--categories', 'ccpd_base']):\n"
        "    done = CliRunner().invoke(app, words)\n"
        "    assert done.exit_code in (0, 2), (words, done.output, done.exception)\n"
        "    found = {'torch', 'lightning', 'hydra', 'albumentations', 'timm'} & set(sys.modules)\n"
        "    assert not found, (words, found)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_verb_starts_without_the_others(tmp_path: Path) -> None:
    code = (
        "import sys; from alpr.cli.main import main\n"
        "try: main(['predict', 'none.jpg'])\n"
        "except SystemExit as left: assert left.code == 1, left.code\n"
        "found = {m for m in sys.modules if m.startswith(('alpr.synthetic', 'alpr.doctor', 'alpr.export', "
        "'alpr.evaluation', 'alpr.data.importers', 'alpr.cli.synth', 'alpr.cli.data', 'alpr.cli.bench'))}\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", ["train experiment=demo_detector", "export bundle=cn", "calibrate recogniser=runs/x", "data preview t.csv"]
)
def test_a_verb_of_an_extra_names_the_extra(words: str, tmp_path: Path) -> None:
    absent = "class Absent:\n def find_spec(self, name, *_):\n  if name in ('hydra', 'torch', 'lightning', 'onnx'):\n"
    absent += "   raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    code = f"import sys\n{absent}sys.meta_path.insert(0, Absent())\n"
    code += f"from alpr.cli.main import main; main({words.split()!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'alpr-train[train]'.")
    assert "Traceback" not in done.stderr

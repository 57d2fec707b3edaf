"""The documents' commands name what exists: verbs, scripts, configuration keys, options, files and links."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from alpr.cli.main import app
from alpr.cli.sentences import Verbs
from alpr.training.configuration import OPTIONS, complaint_about

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *(REPOSITORY / "datasets").glob("*.md"),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
OVERRIDDEN = ("train", "evaluate", "export", "calibrate")
"""Verbs that take key=value."""
FOREIGN = ("pip", "uv", ".", "unzip", "tar", "cd", "mkdir", "trtexec", "curl", "docker", "sudo", "sbatch", "seq")


def commands() -> list[tuple[str, list[str]]]:
    """Every command line of the documents' code blocks, without its comment.

    A country whose pack a document writes itself is one that is there.
    """
    found = []
    for document in DOCUMENTS:
        for language, block in FENCE.findall(document.read_text(encoding="utf-8")):
            if language not in ("", "bash", "sh", "console"):
                continue
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    found.append((document.name, words))
    made = {
        Path(w).stem for _, words in found if words[1:3] == ["country", "new"] for w in words if w.endswith(".yaml")
    }
    return [(name, ["country=br" if w.removeprefix("country=") in made else w for w in words]) for name, words in found]


def test_the_readme_has_commands() -> None:
    assert sum(document == "README.md" for document, _ in commands()) >= 8


def complaint_of(words: list[str]) -> str | None:
    """What is wrong with the words after `alpr`: a verb, an option or an override that there is not."""
    if words[0] in OVERRIDDEN:
        options = [a for a in words[1:] if a.startswith("-") and a.partition("=")[0] not in OPTIONS]
        return f"{options}" if options else complaint_about([a for a in words[1:] if "=" in a], words[0])
    group = get_command(app)
    path = []
    while isinstance(group, Verbs) and words and not words[0].startswith("-"):
        if words[0] not in group.commands:
            return f"{words[0]} is none of {', '.join(group.commands)}"
        path.append(words[0])
        group, words = group.commands[words[0]], words[1:]
    there = [o for p in group.params for o in (*p.opts, *p.secondary_opts)] + ["--help"]
    unknown = [a for a in words if a.startswith("--") and a.partition("=")[0] not in there]
    return f"alpr {' '.join(path)} has no {', '.join(unknown)}" if unknown else None


def test_the_check_notices() -> None:
    assert complaint_of(["data", "splits"]) and complaint_of(["data", "split", "a.csv", "--bye", "plate"])
    assert complaint_of(["train", "experiment=nothing"]) and complaint_of(["predict", "a.jpg", "--models", "cn"])
    assert complaint_of(["data", "split", "a.csv", "--by", "plate", "--output", "b.csv"]) is None


@pytest.mark.parametrize(("document", "words"), commands())
def test_a_command_names_what_exists(document: str, words: list[str]) -> None:
    program, arguments = words[0], words[1:]
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
        assert set(arguments) <= targets
    elif program in ("python", "python3") and arguments[0] != "-m":
        script = arguments[0]
        assert (REPOSITORY / script).is_file()
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "NO_COLOR": "1"}
        shown = subprocess.run(
            [sys.executable, script, "--help"], cwd=REPOSITORY, env=environment, capture_output=True, text=True
        )
        assert shown.returncode == 0, shown.stderr
        assert [a for a in arguments[1:] if a.startswith("--") and a not in shown.stdout] == []
    elif program == "alpr":
        assert complaint_of(arguments) is None
    else:
        assert program in FOREIGN, f"{document}: what is {program}?"


RUN = (
    "info", "read crops/", "predict photos/", "bench photos/", "country new", "country preview --country br",
    "data check mine.csv --output check.html", "data split mine.csv --by plate", "data report split.csv",
)  # fmt: skip
"""How commands begin that need nothing but a few pictures and a table, and take seconds."""


@pytest.mark.timeout(900)  # a dozen processes, one after the other
def test_commands_that_take_seconds_are_run(repository: Path, tmp_path: Path) -> None:
    scenes = drawn_scenes(tmp_path)
    (tmp_path / "photos").mkdir()
    shutil.copytree(repository / "configs" / "country", tmp_path / "configs" / "country")
    shutil.copy(scenes[0], tmp_path / "photos")
    alpr(tmp_path, "synth", "plates", "--country", "br", "--crops", "2", "--output", "rendered", "--workers", "1")
    (tmp_path / "rendered" / "images").rename(tmp_path / "crops")
    alpr(tmp_path, "data", "ccpd", "--dataset-path", "scenes", "--categories", "ccpd_base")
    table = (tmp_path / "scenes" / "ccpd_base" / "alpr_dataset.csv").read_text(encoding="utf-8")
    rows = re.sub(r"^(?=0)", "scenes/ccpd_base/", table, flags=re.M)  # names begin with the plate's share of the area
    (tmp_path / "mine.csv").write_text(rows, encoding="utf-8")
    plain = (shlex.join(words[1:]) for _, words in commands() if words[0] == "alpr")
    chosen = dict.fromkeys(c for c in plain if c.startswith(RUN) and "model_bin/" not in c)  # a bundle of one's own
    assert len(chosen) >= 9 and all(any(command.startswith(begin) for command in chosen) for begin in RUN[:5])
    for command in chosen:
        alpr(tmp_path, *shlex.split(command))


def test_the_readmes_python_prints_what_the_readme_shows(tmp_path: Path) -> None:
    blocks = FENCE.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    at = next(i for i, (language, _) in enumerate(blocks) if language == "python")
    shutil.copy(drawn_scenes(tmp_path)[0], tmp_path / "car.jpg")
    printed = started(tmp_path, [sys.executable, "-c", blocks[at][1]])
    (text, score, *corners), (text_there, score_there, *corners_there) = (
        re.findall(r"[^\s,\[\]]+", words) for words in (printed, blocks[at + 1][1])
    )
    assert (text, len(corners)) == (text_there, 8) and abs(float(score) - float(score_there)) < 0.01
    assert max(abs(float(a) - float(b)) for a, b in zip(corners, corners_there, strict=True)) <= 2  # px; CPUs differ


def drawn_scenes(folder: Path) -> list[Path]:
    """The scenes of tools/draw_readme.py, in the order of the README's picture."""
    alpr(folder, "synth", "ccpd", "--output", "scenes", "--scenes", "6", "--seed", "5", "--workers", "1")
    return sorted((folder / "scenes").rglob("*.jpg"))


def alpr(folder: Path, *words: str) -> str:
    """What a command prints, run in a folder."""
    return started(folder, [sys.executable, "-m", "alpr", *words])


def started(folder: Path, words: list[str]) -> str:
    """What a process prints, run in a folder with this checkout's package; it must not fail."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ended.returncode == 0, f"{shlex.join(words)}: {ended.stderr[-800:]}"
    return ended.stdout


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").split()) <= 700

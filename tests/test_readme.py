"""The documents' commands name what exists: verbs, scripts, configuration keys, options, files and links."""

from __future__ import annotations

import os
import re
import shlex
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
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *(REPOSITORY / "datasets").glob("*.md"),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
OVERRIDDEN = ("train", "evaluate", "export", "calibrate")
"""Verbs that take key=value."""
FOREIGN = ("pip", "uv", ".", "unzip", "tar", "cd", "mkdir", "trtexec", "curl", "docker", "sudo", "sbatch", "seq")


def commands() -> list[tuple[str, list[str]]]:
    """Every command line of the documents' code blocks, without its comment."""
    found = []
    for document in DOCUMENTS:
        for language, block in FENCE.findall(document.read_text(encoding="utf-8")):
            if language not in ("", "bash", "sh"):
                continue
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    found.append((document.name, words))
    return found


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_a_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    assert [t for t in targets if not (document.parent / t).exists()] == []

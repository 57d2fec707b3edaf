"""The README's commands name what exists: scripts, configuration keys, options, files and links."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.training.configuration import complaint_about

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *(REPOSITORY / "datasets").glob("*.md"),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
ROOTS = {"train.py": "train", "evaluate.py": "evaluate", "scripts/export_onnx.py": "export"}
FOREIGN = ("pip", "uv", ".", "unzip", "tar", "cd", "mkdir", "trtexec")


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


@pytest.mark.parametrize(("document", "words"), commands())
def test_a_command_names_what_exists(document: str, words: list[str]) -> None:
    program, arguments = words[0], words[1:]
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
        assert set(arguments) <= targets
    elif program in ("python", "python3") and arguments[0] != "-m":
        script = arguments[0]
        assert (REPOSITORY / script).is_file()
        if script in ROOTS:
            assert complaint_about([a for a in arguments[1:] if "=" in a], ROOTS[script]) is None
        else:
            environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "NO_COLOR": "1"}
            shown = subprocess.run(
                [sys.executable, script, "--help"], cwd=REPOSITORY, env=environment, capture_output=True, text=True
            )
            assert shown.returncode == 0, shown.stderr
            assert [a for a in arguments[1:] if a.startswith("--") and a not in shown.stdout] == []
    elif program == "alpr":
        told = CliRunner().invoke(app, [arguments[0], "--help"], terminal_width=200)
        assert told.exit_code == 0
        assert [a for a in arguments if a.startswith("--") and a not in told.output] == []
    else:
        assert program in FOREIGN, f"{document}: what is {program}?"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_a_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    assert [t for t in targets if not (document.parent / t).exists()] == []

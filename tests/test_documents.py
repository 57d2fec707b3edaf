"""The site has all pages, and the checks of links and spelling notice what is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml


@pytest.fixture(scope="module")
def tool(repository: Path):  # type: ignore[no-untyped-def]
    def loaded(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, repository / "tools" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded


def test_links_of_all_documents_lead_somewhere(tool, repository: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    check = tool("check_documents")
    for path in check.documents(repository):
        assert list(check.broken_links(path, path.read_text(encoding="utf-8"))) == [], path
    page = tmp_path / "page.md"
    page.write_text("# One `word`\n[a](#one-word) [b](#two) [c](gone.md) `[d](e)`\n", encoding="utf-8")
    assert list(check.broken_links(page, page.read_text())) == [
        "#two: page.md has no such heading",
        "gone.md leads to no file",
    ]


def test_spelling_leaves_code_alone(tool) -> None:  # type: ignore[no-untyped-def]
    check = tool("check_documents")
    text = "The color of `color`, COLOR and [words](color.md).\n```\ncolor\n```\n"
    assert list(check.misspelt(text, {"color": "colour"})) == ["color -> colour"]


def test_every_page_has_a_place_in_the_navigation(tool, repository: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make = tool("make_pages")
    pages = tmp_path / "pages"
    pages.mkdir()
    make.copy_documents(pages)
    make.commands(pages)
    make.configuration(pages)
    make.api(pages)
    assert make.navigation(pages, tmp_path) == []
    (pages / "lost.md").write_text("# Lost\n", encoding="utf-8")
    assert make.navigation(pages, tmp_path) == ["lost.md"]
    settings = yaml.safe_load((tmp_path / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False and "examples/gone.md" not in str(settings["nav"])
    deploy = (pages / "deploy.md").read_text(encoding="utf-8")
    assert "](licences.md)" in deploy
    assert "](datasets/ccpd.md)" in (pages / "reproduce-ccpd.md").read_text(encoding="utf-8")  # it lies in ../datasets
    predict = (pages / "commands" / "predict.md").read_text(encoding="utf-8")
    assert "--annotate DIR" in predict and "Usage: alpr predict" in predict
    train = (pages / "configuration" / "train.md").read_text(encoding="utf-8")
    assert "| `watch.patience` | `20` | validations without a better figure before the run stops |" in train
    reader = (pages / "api" / "reader.md").read_text(encoding="utf-8")
    assert "- `threads`: threads per network; by default one per core this process may use." in reader


def test_a_comment_of_several_lines_is_one_and_a_block_gives_its_path(tool) -> None:  # type: ignore[no-untyped-def]
    text = "watch:\n  patience: 20   # validations\n                 # without gain\n  plain: 1\nempty:   # all\n"
    assert list(tool("make_pages").keys_of(text)) == [
        ("watch.patience", "20", "validations without gain"),
        ("empty", "", "all"),
    ]

"""The ranks of the folders hold, nothing imports in a circle, and the reader loads without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import ENVIRONMENT, REPOSITORY

PACKAGE = REPOSITORY / "alpr"
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER = (
    "torchvision_hook", "files", "provenance", "plates", "images", "reports", "data", "synthetic",
    "layers", "optim", "task", "runs", "detection", "recognition",
    "reader", "doctor", "training", "evaluation", "export", "benchmark",
    "video", "serving", "baselines", "studio", "cli", "__main__",
)  # fmt: skip
"""The folders and the loose files of the package; each imports only from those before it."""
PUBLIC = (PACKAGE, PACKAGE / "video")
"""Packages whose own names are for users."""
LOOSE = {"__init__", "__main__", "files", "provenance", "torchvision_hook", "layers", "optim", "task"}
TORCH_FREE = (
    "files", "provenance", "plates", "images", "reports", "synthetic", "reader", "doctor", "evaluation",
    "benchmark", "video", "serving", "studio", "cli",
)  # fmt: skip
"""What a computer without torch can import, whole."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def rank_of(module: str) -> int:
    """The place in the order of the folder, or of the loose file, that a module of the package is in."""
    return ORDER.index(module.split(".")[1])


def imported(path: Path, *, at_import: bool = False) -> set[str]:
    """The package's modules that a file imports; with `at_import` only those that its own import brings."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in NAMES else str(node.module))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return {name for name in found if name.split(".")[0] == "alpr"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_folder_imports_only_from_folders_above_it(path: Path) -> None:
    module = name_of(path)
    if module == "alpr":
        return  # it gives Reader lazily
    for other in imported(path) - {"alpr"}:
        assert other in NAMES, f"{module} imports {other}, which is not there"
        assert rank_of(other) <= rank_of(module), f"{module} imports {other}"


def test_loose_files_are_few() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} <= LOOSE


def test_the_tasks_never_import_each_other() -> None:
    for path in FILES:
        module = name_of(path)
        for one, another in (("alpr.detection", "alpr.recognition"), ("alpr.recognition", "alpr.detection")):
            if module.startswith(one):
                assert not [m for m in imported(path) if m.startswith(another)], module


def test_no_circle_of_imports() -> None:
    graph = {name_of(path): imported(path, at_import=True) & NAMES for path in FILES}
    done: set[str] = set()

    def follow(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for other in graph[module] - {"alpr"}:
                follow(other, (*trail, module))
            done.add(module)

    for module in graph:
        follow(module, ())
    assert done == NAMES


def test_the_count_of_rooms_agrees() -> None:
    command = [sys.executable, str(REPOSITORY / "tools" / "count_rooms.py"), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "upward none\ncircles none\nlargest " in done.stdout, done.stdout + done.stderr


def test_no_file_named_after_nothing() -> None:
    empty = {"utils", "util", "common", "core", "helpers", "helper", "misc", "base"}
    assert not [str(path) for path in FILES if path.stem in empty or empty & set(path.parts)]


def test_only_the_package_itself_has_a_face() -> None:
    assert not [name_of(p) for p in FILES if p.name == "__init__.py" and p.parent not in PUBLIC and p.stat().st_size]


def test_the_ranks_would_notice() -> None:
    modules = (
        "alpr.plates.geometry",
        "alpr.data.manifest",
        "alpr.detection.model",
        "alpr.training.runs",
        "alpr.cli.main",
    )
    ranks = [rank_of(module) for module in modules]
    assert ranks == sorted(ranks) and len(set(ranks)) == len(ranks)
    assert "alpr.task" in imported(PACKAGE / "detection" / "module.py")


@pytest.mark.parametrize("folder", TORCH_FREE)
def test_torch_stays_unloaded(folder: str) -> None:
    modules = ", ".join(sorted({"alpr"} | {name for name in NAMES if name.split(".")[1:2] == [folder]}))
    heavy = "{m for m in ('torch', 'lightning', 'timm', 'albumentations', 'hydra') if m in sys.modules}"
    code = f"import sys, {modules}; found = {heavy}; assert not found, found"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Counts the rooms of the package and the arrows between them, from the imports alone; for whoever moves a file.

python tools/count_rooms.py [CHECKOUT]

A box is a folder of `alpr/`, with all below it, or a file that stands loose there; `__init__` is the package's face and
no box. An arrow is an import, also one inside a function or for types only. It runs upward where it breaks `ORDER` of
`tests/test_layers.py`. A line of code holds more than blanks, a comment or a docstring.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def main(checkout: Path) -> None:
    """Prints a line for each box, then the sums."""
    package = checkout / "alpr"
    files = [path for path in sorted(package.rglob("*.py")) if path != package / "__init__.py"]
    if not files:
        sys.exit(f"{package} holds no Python file; expected a checkout of this project.")
    box_of = {module_of(path, checkout): box(path, package) for path in files}
    lines: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    arrows: set[tuple[str, str]] = set()
    for path in files:
        here, tree = box(path, package), ast.parse(path.read_text(encoding="utf-8"))
        lines[here] += len(code_lines(tree))
        counts[here] += path.name != "__init__.py"
        arrows |= {(here, box_of[name]) for name in imported(tree, set(box_of)) if box_of[name] != here}
    total, order = sum(lines.values()), order_of(checkout / "tests" / "test_layers.py")
    rank = {name: place for place, name in enumerate(order)}
    print(f"{'box':<22}{'files':>6}{'lines':>7}{'share':>8}{'in':>5}{'out':>5}")
    for name in sorted(lines, key=lambda name: (rank.get(name, len(rank)), name)):
        into, out = (sum(arrow[end] == name for arrow in arrows) for end in (1, 0))
        print(f"{name:<22}{counts[name]:>6}{lines[name]:>7}{100 * lines[name] / total:>6.1f} %{into:>5}{out:>5}")
    largest = max(lines, key=lines.__getitem__)
    known = bool(rank) and all(name in rank for name in lines)
    upward = sorted(f"{a} -> {b}" for a, b in arrows if known and rank[a] < rank[b])
    loose = sum((package / f"{name}.py").is_file() for name in lines)
    print(f"\nboxes {len(lines)}, {loose} of them loose files; arrows {len(arrows)}")
    print("upward", ", ".join(upward) or ("none" if known else "unknown: no ORDER"))
    print("circles", ", ".join(map(" ".join, circles(set(lines), arrows))) or "none")
    print(f"largest {largest}, {100 * lines[largest] / total:.1f} % of {total:,} lines of code")


def module_of(path: Path, checkout: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(checkout).with_suffix("").parts).removesuffix(".__init__")


def box(path: Path, package: Path) -> str:
    """The folder of the package that a file lies in, or the file's own name where it stands loose."""
    return path.relative_to(package).with_suffix("").parts[0]


def imported(tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """The package's modules that a file imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in modules or node.module in modules:
                    yield inner if inner in modules else str(node.module)


def code_lines(tree: ast.Module) -> set[int]:
    """The numbers of the lines on which something of the syntax tree stands that is no docstring."""
    code: set[int] = set()
    words: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            words |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        elif isinstance(node, ast.stmt | ast.expr | ast.arg | ast.alias | ast.keyword):
            code |= {node.lineno, node.end_lineno or node.lineno}
    return code - words


def order_of(test: Path) -> tuple[str, ...]:
    """`ORDER` of the rank test; empty where it has none."""
    for node in ast.parse(test.read_text(encoding="utf-8")).body if test.is_file() else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            return tuple(ast.literal_eval(node.value))
    return ()


def circles(names: set[str], arrows: set[tuple[str, str]]) -> list[list[str]]:
    """The groups of boxes of which each reaches every other by arrows."""
    reach = {name: {b for a, b in arrows if a == name} for name in names}
    for middle in names:
        for name in names:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    groups = {frozenset(b for b in reach[a] if a in reach[b]) for a in names}
    return sorted(sorted(group) for group in groups if group)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)

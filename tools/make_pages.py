"""Writes the pages of the site into build/pages: the documents, and what is read off the code.

python tools/make_pages.py

The documents are docs/, datasets/*.md and three files of the root. A page for each verb comes from its --help, a page
for each group of settings from the comments in configs/, a page for each room from its docstrings. build/mkdocs.yml is
mkdocs.yml without the pages that this checkout does not have. `make docs` makes the site of both.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import cleandoc, getmembers, isclass, isfunction, signature
from pathlib import Path
from typing import Any, NamedTuple

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
ROOT_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
SHOWN = (".md", ".jpg", ".png", ".svg", ".html", ".js", ".css", ".json")
LINK = re.compile(r"(!?)\[((?:[^\]\[]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
WITH_KEYS = ("train", "data", "model", "augment", "optim", "trainer", "logger", "evaluate", "export", "calibrate")
"""Groups of settings whose keys are listed; of the others a file is named with its first comment."""
MODULES: dict[str, tuple[str, ...]] = {
    "reader": (
        "alpr.reader.reader", "alpr.plates.records", "alpr.reader.card", "alpr.reader.parts", "alpr.reader.predictions",
    ),
    "plates": ("alpr.plates.country", "alpr.plates.layout", "alpr.plates.charset", "alpr.plates.geometry"),
    "images": ("alpr.images.photograph", "alpr.images.prepare", "alpr.images.read_ahead"),
    "data": ("alpr.data.manifest", "alpr.data.columns", "alpr.data.splitting", "alpr.data.ccpd"),
    "video": ("alpr.video.watch", "alpr.video.events", "alpr.video.fusion", "alpr.video.sources"),
    "evaluation": ("alpr.evaluation.evaluate", "alpr.evaluation.intervals", "alpr.evaluation.comparison"),
}  # fmt: skip
"""The rooms of the API reference, and their modules that others may call; without torch."""


def copy_documents(pages: Path) -> None:
    """The documents, with links to other pages as they lie in the site; a link to another file becomes its name."""
    sources = {p: pages / p.relative_to(REPOSITORY / "docs") for p in sorted((REPOSITORY / "docs").rglob("*"))}
    sources |= {p: pages / "datasets" / p.name for p in sorted((REPOSITORY / "datasets").glob("*.md"))}
    sources |= {REPOSITORY / name: pages / name for name in ROOT_PAGES}
    for room in ("examples", "notebooks"):
        sources |= {p: pages / p.relative_to(REPOSITORY) for p in sorted((REPOSITORY / room).rglob("*.md"))}
    shown = {s: t for s, t in sources.items() if s.is_file() and s.suffix in SHOWN and "results" not in s.parent.name}
    sources = {s: t.with_name("index.md") if t.name == "README.md" else t for s, t in shown.items()}
    sources |= {p: pages / "results" / p.name for p in sorted((REPOSITORY / "docs" / "results").glob("*.svg"))}
    for source, target in sources.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(with_links(source, target, sources), encoding="utf-8")
        else:
            shutil.copyfile(source, target)


def with_links(source: Path, target: Path, places: Mapping[Path, Path]) -> str:
    """A document with its links as they are at its place in the site."""

    def link(match: re.Match[str]) -> str:
        mark, words, address = match.groups()
        path, _, part = address.partition("#")
        if "://" in address or not path:
            return match[0]
        found = Path(os.path.normpath(source.parent / path))
        if found not in places:
            generated = found.relative_to(REPOSITORY).parts
            return match[0] if generated[:2] in GENERATED else words if words.startswith("`") else f"`{generated[-1]}`"
        there = os.path.relpath(places[found], target.parent)
        return f"{mark}[{words}]({there}{'#' if part else ''}{part})"

    return outside_fences(lambda text: LINK.sub(link, text), source.read_text(encoding="utf-8"))


GENERATED = {("docs", "commands"), ("docs", "configuration"), ("docs", "api")}


def outside_fences(change: Any, text: str) -> str:
    """A Markdown text, changed where it is no block of code."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.M | re.S)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


def commands(pages: Path) -> None:
    """A page for each verb, or group of verbs: what its --help prints."""
    from typer.testing import CliRunner

    from alpr.cli.main import VERBS, app

    def helped(*words: str) -> str:
        shown = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}).invoke(
            app, [*words, "--help"], prog_name="alpr"
        )
        if shown.exit_code:
            raise SystemExit(f"alpr {' '.join(words)} --help ended with {shown.exit_code}: {shown.output}")
        return f"```text\n{shown.output.strip()}\n```\n"

    index = ["# Commands", "", "For whoever wants to know what a verb can do: each page is what `--help` prints.", ""]
    index += ["| verb | what it does |", "|---|---|"]
    folder = pages / "commands"
    folder.mkdir()
    for word, place in VERBS.items():
        text = [f"# alpr {word}", "", helped(word)]
        if not isinstance(place, str):
            for verb in place[1]:
                text += [f"## alpr {word} {verb}", "", helped(word, verb)]
        (folder / f"{word}.md").write_text("\n".join(text), encoding="utf-8")
        about = next(line.strip() for line in text[2].splitlines()[2:] if line.strip())
        index.append(f"| [`alpr {word}`]({word}.md) | {about.partition(']: ')[2] or about} |")
    (folder / "index.md").write_text("\n".join([*index, ""]), encoding="utf-8")


class Key(NamedTuple):
    """A setting: its path, the default as it is written, and its comment."""

    path: str
    value: str
    comment: str


def keys_of(text: str) -> Iterator[Key]:
    """The settings of a YAML file that have a comment, or whose block's first line has one."""
    lines = text.splitlines()
    above: list[tuple[int, str]] = []
    found: list[list[str]] = []
    for line in lines:
        more = re.fullmatch(r"\s+# ?(.*)", line)
        if more and found and found[-1][2] and line.index("#") > 8:
            found[-1][2] += f" {more[1].strip()}"
            continue
        key = re.fullmatch(r"( *)([\w.]+):(?:\s+(.*?))?(?:\s+# ?(.*))?", line)
        if key is None:
            continue
        depth = len(key[1])
        above = [(d, name) for d, name in above if d < depth]
        path = ".".join([*(name for _, name in above), key[2]])
        above.append((depth, key[2]))
        value, comment = key[3] or "", key[4] or ""
        if value.startswith("# "):
            value, comment = "", value[2:]
        found.append([path, value, comment])
    return (Key(*entry) for entry in found if entry[2])


def head_of(text: str) -> str:
    """The comment that a YAML file begins with, as one paragraph."""
    head = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("# @package"):
            continue
        head.append(line.removeprefix("#").strip())
    return " ".join(head)


def cell(text: str) -> str:
    """A text for a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def configuration(pages: Path) -> None:
    """A page for each group of settings, from the comments of its YAML files."""
    configs = REPOSITORY / "configs"
    groups: dict[str, list[Path]] = {}
    for path in sorted(configs.rglob("*.yaml")):
        place = path.relative_to(configs)
        groups.setdefault(place.parts[0] if len(place.parts) > 1 else place.stem, []).append(path)
    folder = pages / "configuration"
    folder.mkdir()
    index = [
        "# Configuration",
        "",
        "For whoever changes a setting: every commented key of `configs/`. `group=file` chooses a file, ",
    ]
    index += ["`key=value` changes one value, and `alpr train experiment=NAME --cfg job` prints all of them.", ""]
    index += ["| group | files |", "|---|---|"]
    for group, files in groups.items():
        names = ", ".join(f"`{path.stem}`" for path in files)
        index.append(f"| [{group}]({group}.md) | {names} |")
        text = [f"# Settings: {group}", ""]
        for path in files:
            yaml_text = path.read_text(encoding="utf-8")
            text += [f"## {path.relative_to(configs).as_posix()}", "", cell(head_of(yaml_text)), ""]
            keys = list(keys_of(yaml_text)) if group in WITH_KEYS else []
            if keys:
                text += ["| key | default | what it is |", "|---|---|---|"]
                text += [
                    f"| `{k.path}` | {f'`{cell(k.value)}`' if k.value else ''} | {cell(k.comment)} |" for k in keys
                ]
                text.append("")
        (folder / f"{group}.md").write_text("\n".join(text), encoding="utf-8")
    (folder / "index.md").write_text("\n".join([*index, ""]), encoding="utf-8")


def api(pages: Path) -> None:
    """A page for each room: the public classes and functions of its modules, with their docstrings."""
    folder = pages / "api"
    folder.mkdir()
    index = [
        "# API",
        "",
        "For whoever calls `alpr` from Python. `from alpr import Reader` reads plates; the rest is listed by room.",
        "",
    ]
    index += ["| room | modules |", "|---|---|"]
    for room, modules in MODULES.items():
        index.append(f"| [{room}]({room}.md) | {', '.join(f'`{m}`' for m in modules)} |")
        text = [f"# {room}", ""]
        for name in modules:
            module = import_module(name)
            text += [f"## {name}", "", docstring(module).partition("\n\n")[0], ""]
            for word, thing in getmembers(module, lambda m: isclass(m) or isfunction(m)):
                if not word.startswith("_") and thing.__module__ == name:
                    text += members(word, thing)
        (folder / f"{room}.md").write_text("\n".join(text), encoding="utf-8")
    (folder / "index.md").write_text("\n".join([*index, ""]), encoding="utf-8")


def members(word: str, thing: Any) -> Iterator[str]:
    """A class with its public methods, or a function: signature and docstring."""
    kind = "class" if isclass(thing) else "def"
    yield from (f"### {word}", "", "```python", f"{kind} {word}{signed(thing)}", "```", "", docstring(thing), "")
    for name, value in vars(thing).items() if isclass(thing) else ():
        method = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        shown = not name.startswith("_") or name == "__call__"
        if shown and isfunction(method) and method.__doc__ and "<lambda>" not in method.__qualname__:
            yield from ("```python", f"def {word}.{name}{signed(method)}", "```", "", docstring(method), "")
        elif shown and isinstance(method, property) and method.__doc__:
            yield from (f"`{word}.{name}`: {docstring(method)}", "")


def signed(thing: Any) -> str:
    """A signature without quotes around types and without `self`."""
    try:
        found = signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    kept = [p for name, p in found.parameters.items() if name not in ("self", "cls")]
    if isclass(thing) and not kept:
        return "()"
    line = str(found.replace(parameters=kept)).replace("'", "")
    if len(line) <= 70:
        return line
    marked = ["*", *kept] if kept and kept[0].kind is kept[0].KEYWORD_ONLY else list(kept)
    for i, p in enumerate(kept[1:], 1):
        if p.kind is p.KEYWORD_ONLY and kept[i - 1].kind is p.POSITIONAL_OR_KEYWORD:
            marked.insert(i, "*")
    end = line.rpartition(")")[2] if isfunction(thing) else ""
    return "(\n" + "".join(f"    {str(p).replace(chr(39), '')},\n" for p in marked) + f"){end}"


def docstring(thing: Any) -> str:
    """A docstring as Markdown: its sections (Args, Returns, Raises, ...) as lists."""
    text, made, inside = cleandoc(thing.__doc__ or ""), [], False
    if text.startswith(f"{getattr(thing, '__name__', '')}("):
        return ""  # a dataclass without a docstring has its signature there
    for line in text.splitlines():
        section = re.fullmatch(r"(Args|Attributes|Returns|Raises|Yields|Source|Example):", line)
        entry = re.fullmatch(r" {4}(\S[^:]*): (.*)", line)
        if section:
            made += ["", f"**{section[1]}**", ""]
            inside = True
        elif inside and entry:
            made.append(f"- `{entry[1]}`: {entry[2]}")
        elif inside and line.startswith("     "):
            made.append(f"  {line.strip()}")
        else:
            inside = inside and line.startswith("    ")
            made.append(line.strip() if inside else line.replace("<", "&lt;"))
    return "\n".join(made)


def navigation(pages: Path, build: Path) -> list[str]:
    """Writes build/mkdocs.yml, and gives the pages that the navigation of mkdocs.yml lacks."""
    settings = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))
    named: list[str] = []

    def there(entry: Any) -> Any:
        if isinstance(entry, str):
            named.append(entry)
            return entry if (pages / entry).is_file() else None
        ((title, inner),) = entry.items()
        kept = [e for e in map(there, inner) if e] if isinstance(inner, list) else there(inner)
        return {title: kept} if kept else None

    settings["nav"] = [e for e in map(there, settings["nav"]) if e]
    settings |= {"docs_dir": "pages", "site_dir": "site"}  # within build/: Zensical writes nowhere else
    (build / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return sorted(p for p in (f.relative_to(pages).as_posix() for f in pages.rglob("*.md")) if p not in named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build", help="the folder to write into")
    build = parser.parse_args().build.resolve()
    pages = build / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    copy_documents(pages)
    for part in (commands, configuration, api):
        part(pages)
    lost = navigation(pages, build)
    if lost:
        sys.exit(f"mkdocs.yml names no place for {', '.join(lost)}.")
    print(f"{len(list(pages.rglob('*.md')))} pages in {pages}")


if __name__ == "__main__":
    main()

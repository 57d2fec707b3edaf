"""Checks the documents: every link and anchor leads somewhere, words are spelt as in Britain.

python tools/check_documents.py

Words come from codespell's lists: its common misspellings, and its American spellings read from British to American.
Code, links and names in backquotes are left out. Links to other hosts are not opened.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CODE = re.compile(r"^```.*?^```|`[^`\n]*`|<!--.*?-->|https?://\S+", re.M | re.S)
TARGET = re.compile(r"\]\(([^)\s]+)\)")
SHARED = {
    "license",
    "licensed",
    "practice",
    "program",
    "programs",
    "meter",
    "meters",
    "check",
    "checks",
    "disk",
    "tire",
}
"""British words too, with another meaning or as a verb."""
GENERATED = ("commands", "configuration", "api")
"""Folders of the site that tools/make_pages.py writes."""
OWN = {"writable", "thru"}
"""Words that a list calls wrong and that are right here."""


def documents(repository: Path) -> list[Path]:
    """All documents: the root's, docs/ with its folders, datasets/, examples/ and notebooks/."""
    folders = ("docs", "datasets", "examples", "notebooks")
    return [*sorted(repository.glob("*.md")), *(p for f in folders for p in sorted((repository / f).rglob("*.md")))]


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub and Python-Markdown both make them of plain words."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    plain = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", head) for head in heads]
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in plain}


def broken_links(path: Path, text: str) -> Iterator[str]:
    """The links of a document that lead to no file, or to no heading of one."""
    for target in TARGET.findall(CODE.sub("", text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        if place.parent.parent.name == "docs" and place.parent.name in GENERATED:
            continue  # make_pages refuses a site without it
        if not place.exists():
            yield f"{target} leads to no file"
        elif anchor and place.suffix == ".md" and anchor not in anchors(place.read_text(encoding="utf-8")):
            yield f"{target}: {place.name} has no such heading"


def spellings() -> dict[str, str]:
    """Wrong words and what they should be: misspellings, and American words by the British ones.

    Raises:
        ModuleNotFoundError: codespell is not installed.
    """
    from codespell_lib import __file__ as package

    data = Path(package).parent / "data"
    found = {}
    for line in (data / "dictionary.txt").read_text(encoding="utf-8").splitlines():
        wrong, _, right = line.partition("->")
        found[wrong] = right.split(",")[0]
    for line in (data / "dictionary_en-GB_to_en-US.txt").read_text(encoding="utf-8").splitlines():
        british, _, american = line.partition("->")
        for word in american.split(","):
            if word.strip() and word.strip() not in SHARED:
                found[word.strip()] = british
    return {wrong: right for wrong, right in found.items() if wrong not in OWN}


def misspelt(text: str, wrong: dict[str, str]) -> Iterator[str]:
    """The words of a document that are spelt otherwise, each once."""
    plain = TARGET.sub("]", CODE.sub(" ", text))
    for word in dict.fromkeys(re.findall(r"[A-Za-z]+(?:'[a-z]+)?", plain)):
        if word.lower() in wrong and not word.isupper():
            yield f"{word} -> {wrong[word.lower()]}"


def main() -> None:
    wrong, faults, paths = spellings(), 0, documents(REPOSITORY)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for fault in (*broken_links(path, text), *misspelt(text, wrong)):
            faults += 1
            print(f"{path.relative_to(REPOSITORY)}: {fault}")
    if faults:
        sys.exit(f"{faults} faults in {len(paths)} documents.")
    print(f"{len(paths)} documents: links and spelling are right.")


if __name__ == "__main__":
    main()

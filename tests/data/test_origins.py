"""A file of sources says where tables come from; what it does not say is refused by its key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alpr.data.origins import KNOWN, NONE_STATED, Origin, OriginError, origin_beside, read_origins, write_origin


def test_the_longest_folder_that_a_table_lies_in_gives_its_entry(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("crops/br: {licence: A}\nbr: {licence: B}\ncrops/br/new: {licence: C}\n")
    origins = read_origins(path)
    for table, licence in (("x/crops/br/labels.csv", "A"), ("/y/br/a.csv", "B"), ("crops/br/new/l.csv", "C")):
        found = origins.find(table)
        assert found is not None and found.licence == licence
    assert origins.find("crops/brazil/labels.csv") is None


def test_one_line_is_an_entry_for_what_nothing_else_knows(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("licence: own\n")
    origins = read_origins(path)
    assert origins.find("crops/br/labels.csv") is None and origins.entries[""] == Origin("own")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no entry; expected `licence: own`"),
        (
            "crops/br: {licence: A, licens: B}",
            "own.yaml, line 1: unknown crops/br.licens; expected the keys licence, origin",
        ),
        ("crops/br: {licence: 3}", "crops/br.licence is 3; expected a text"),
        ("crops/br: {licence: A, made_from: font}", "crops/br.made_from is 'font'; expected a list"),
        ("crops/br: {origin: somewhere}", "an entry has no licence"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(OriginError, match=re.escape(said)):
        read_origins(path)


def test_a_set_carries_its_own_entry(tmp_path: Path) -> None:
    entry = Origin("Apache-2.0", "alpr synth", made_from=("font a",), photographs_of=("crops/br/labels.csv",))
    assert origin_beside(tmp_path / "labels.csv") is None
    write_origin(tmp_path, entry)
    assert origin_beside(tmp_path / "labels.csv") == entry
    assert origin_beside(tmp_path / "below" / "labels.csv") is None  # only that of its own folder


def test_every_set_that_a_document_or_a_configuration_names_has_an_entry(repository: Path) -> None:
    known = read_origins(KNOWN)
    text = "".join(path.read_text(encoding="utf-8") for path in (repository / "configs").rglob("*.yaml"))
    text += "".join(path.read_text(encoding="utf-8") for path in (repository / "docs").glob("*.md"))
    named = set(re.findall(r"\b((?:crops|scenes)/\w+)/(?:labels\.csv|images)", text))
    assert len(named) >= 10 and not [name for name in named if known.find(f"{name}/labels.csv") is None]
    scenes = (repository / "datasets" / "scenes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` .* (\S+) \((.+?)\) \|$", scenes, re.M)
    assert len(rows) == 6
    for name, origin, licence in rows:
        found = known.find(f"scenes/{name}/labels.csv")
        assert found is not None and found.origin == origin
        assert found.licence == (NONE_STATED if licence == "none" else licence)

"""docs/results.md and the notebook are what their kept JSON says, and new runs get in by one command."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def collect_results(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("collect_results", repository / "tools" / "collect_results.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_document_is_up_to_date_with_its_kept_json(collect_results: ModuleType, repository: Path) -> None:
    kept, texts = repository / "docs" / "results", collect_results.documents(repository / "docs")
    tables = collect_results.read_tables(kept / "tables.yaml")
    assert collect_results.filled(texts, tables, kept) == texts, "run tools/collect_results.py"
    assert len(texts[repository / "docs" / "results.md"].split()) < 900  # one screen or two; the rest is the notebook's
    scored = (repository / "datasets" / "scored.csv").read_text(encoding="utf-8")
    assert collect_results.scored_csv(kept, list((repository / "model_bin").glob("*/card.json"))) == scored
    assert {p.stem for p in kept.glob("*.json")} == {row.keep for table in tables for row in table.rows}
    for table in tables:
        for row in table.rows:
            assert ': "/' not in (kept / f"{row.keep}.json").read_text(encoding="utf-8")


RUN = {
    "name": "base", "config": {"data": {"batch_size": 16, "root": "/home/me/datasets"}, "country": {"code": "CN"}},
    "seed": 3, "manifests": {"/home/me/ccpd/labels.csv": "0" * 64}, "split": "train", "fold": 0, "status": "finished",
    "started": "2026-01-01T00:00:00+00:00", "seconds": 90.0, "resumed": 0, "steps": 100, "commit": "a" * 40,
    "versions": {}, "device": "a CPU", "precision": "32-true", "result": {"val/recall_hull_70": 0.5, "best": None},
}  # fmt: skip
TABLES = """
runs:
  title: run
  columns:
    - {title: images, key: images_seen, format: ",d"}
    - {title: found, key: result.val/recall_hull_70, format: .1%}
    - {title: best, key: result.best, format: .3f}
  rows:
    - {label: base, keep: base, folder: FOLDER, command: alpr train experiment=base}
"""


def test_a_run_is_kept_without_places_and_the_table_survives_the_run(
    collect_results: ModuleType, tmp_path: Path
) -> None:
    run, kept = tmp_path / "run", tmp_path / "kept"
    run.mkdir()
    kept.mkdir()
    (run / "run.json").write_text(json.dumps(RUN), encoding="utf-8")
    (kept / "tables.yaml").write_text(TABLES.replace("FOLDER", str(run)), encoding="utf-8")
    (tables,) = collect_results.read_tables(kept / "tables.yaml")
    collect_results.collect([tables], kept)
    data = json.loads((kept / "base.json").read_text(encoding="utf-8"))
    assert "country" not in data["config"] and data["config"]["data"]["root"] == "me/datasets"
    assert list(data["manifests"]) == ["ccpd/labels.csv"] and data["minutes"] == 1.5
    page = Path("r.md")
    before = {page: "# R\n<!-- table runs -->\nold\n<!-- end -->\ntext\n", Path("other.md"): "# Other\n"}
    texts = collect_results.filled(before, [tables], kept)
    text = texts[page]
    assert texts[Path("other.md")] == "# Other\n"
    assert "| base | 1,600 | 50.0% | - |\n" in text and "Device: a CPU. Commit: aaaaaaa.\n" in text
    assert "alpr train experiment=base\n" in text and "old" not in text and text.endswith("<!-- end -->\ntext\n")
    shutil.rmtree(run)
    collect_results.collect([tables], kept)
    assert collect_results.filled(texts, [tables], kept) == texts
    (kept / "base.json").unlink()
    with pytest.raises(collect_results.ResultError, match="base: neither the folder"):
        collect_results.collect([tables], kept)


def test_the_crops_of_a_recognisers_run_are_counted(collect_results: ModuleType, tmp_path: Path) -> None:
    sources = [{"samples": 12}, {"samples": 14}]
    for data, per_step in (
        ({"synthetic": 32, "real": 16, "sources": None, "negatives": 0}, 48),
        ({"synthetic": 20, "real": 32, "sources": sources, "negatives": 4}, 50),
    ):
        run = {**RUN, "config": {"data": data}, "result": {"crops_to_half": 30_000}}
        (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
        kept = collect_results.kept_of(tmp_path)
        assert kept["images_seen"] == 100 * per_step
        assert collect_results.value_at(kept, "result.crops_to_half") == 30_000


def tables_of(folder: Path, command: str) -> Path:
    """A file of one table, whose row has this command and no folder."""
    path = folder / "shown.yaml"
    path.write_text(TABLES.replace("folder: FOLDER, command: alpr train experiment=base", f"command: '{command}'"))
    return path


def test_what_cannot_be_made_is_named(collect_results: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(collect_results.ResultError, match=r"there is no 'vall'; found val/a"):
        collect_results.value_at({"result": {"val/a": 1}}, "result.vall")
    with pytest.raises(collect_results.ResultError, match=r"places for \['gone'\]"):
        collect_results.filled({Path("r.md"): "<!-- table gone -->\n<!-- end -->"}, [], tmp_path)
    (shown,) = collect_results.read_tables(tables_of(tmp_path, command=""))
    (tmp_path / "base.json").write_text(json.dumps(RUN | {"images_seen": 1}), encoding="utf-8")
    assert collect_results.markdown(shown, tmp_path).endswith("| base | 1 | 50.0% | - |\n")  # no commands, no machine
    with pytest.raises(collect_results.ResultError, match=r"holds none of run\.json"):
        collect_results.kept_of(tmp_path)
    path = tmp_path / "tables.yaml"
    path.write_text("t: {title: x, colums: [], rows: []}", encoding="utf-8")
    with pytest.raises(collect_results.ResultError, match=r"table t: .*colums"):
        collect_results.read_tables(path)


def test_a_source_that_an_evaluation_did_not_have_is_a_dash(collect_results: ModuleType, tmp_path: Path) -> None:
    report = {key: {} for key in collect_results.REPORT_KEYS} | {"figures": [], "slices": []}
    report |= {"on_crops": {"accuracy": 0.5, "risk_coverage": [1, 2]}, "on_box": None}
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    kept = collect_results.kept_of(tmp_path)
    assert kept["reading"]["on_crops"] == {"accuracy": 0.5}
    assert collect_results.value_at(kept, "reading.on_crops.accuracy") == 0.5
    assert collect_results.value_at(kept, "reading.on_box.accuracy") is None
    assert collect_results.value_at(kept, "reading.end_to_end.accuracy") is None  # an older report


def test_every_kept_evaluation_of_a_table_is_a_scoring_of_it(collect_results: ModuleType, tmp_path: Path) -> None:
    kept = {
        "one": {"manifests": {"a/l.csv": "1"}}, "two": {"manifests": {"a/l.csv, b/l.csv": "2"}}, "curve": {},
        "run": {"config": {}, "manifests": {"a/l.csv": "1"}}, "conversion_int8": {"scores": {"a": {}}},
    }  # fmt: skip
    for name, data in kept.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    (tmp_path / "card").write_text(json.dumps({"metrics": {"manifests": {"b/l.csv": "3"}}}), encoding="utf-8")
    assert collect_results.scorings(tmp_path) == {"a/l.csv": 3, "b/l.csv": 1}
    csv = collect_results.scored_csv(tmp_path, [tmp_path / "card"])
    assert csv == "table,sha256,at_least\na/l.csv,1,3\nb/l.csv,3,1\n"
    said = collect_results._scored([kept["two"], kept["run"]], {"a/l.csv": 3, "b/l.csv": 1})
    assert said == "\nHow often these rows were scored, at least: a 3, b 1.\n"

"""The benchmark: it measures every stage, and refuses to say nothing of the machine or the commit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle

from alpr import provenance
from alpr.benchmark import reader_speed, recogniser_speed
from alpr.benchmark.reader_speed import BenchmarkError, run_benchmark, write_report
from alpr.provenance import UnknownProvenance, source_commit

COMMIT = "a" * 40
HALVES = (("detector", "detect"), ("recogniser", "read"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "tiny")
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), scene("A1"))
    (tmp_path / "bad.jpg").write_text("x")
    return tmp_path


def test_a_report_has_every_figure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "source_commit", lambda: (COMMIT, False))
    done: list[None] = []
    images = [*sorted(folder.glob("*.png")), folder / "bad.jpg"]
    report = run_benchmark(folder / "tiny", images, repeats=2, advance=lambda: done.append(None))
    assert len(done) == 6 and report.images == 3 and report.unreadable == (str(folder / "bad.jpg"),)
    assert report.plates_per_image == 1.0 and report.threads == 1 and report.providers == ("CPUExecutionProvider",)
    stages = report.stages
    assert list(stages) == ["decode", "detect", "detector network", "read", "recogniser network", "whole"]
    assert all(0 < s.p50_ms <= s.p95_ms for s in stages.values())
    assert all(stages[f"{half} network"].mean_ms < stages[stage].mean_ms for half, stage in HALVES)
    assert report.looked_again == 0 and report.whole_once == stages["whole"] and report.whole_twice is None
    assert report.floor is not None and 0 < report.floor.ms < stages["whole"].p50_ms
    parts = sum(stages[name].mean_ms for name in ("decode", "detect", "read"))
    assert parts == pytest.approx(stages["whole"].mean_ms, rel=0.2)
    assert report.images_per_s == pytest.approx(1000 / stages["whole"].mean_ms, rel=0.01)
    assert report.peak_memory_mb is not None and report.peak_memory_mb > 20
    write_report(report, folder / "out" / "report.json")
    written = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert written["environment"]["commit"] == COMMIT and all(written["environment"][k] for k in ("cpu", "cores"))
    assert [p.name for p in (folder / "out").iterdir()] == ["report.json"]


def test_without_a_commit_or_an_image_nothing_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownProvenance, match=r"The commit of .* is not known"):
        source_commit(folder)
    monkeypatch.setattr(provenance, "source_commit", lambda: (COMMIT, False))
    with pytest.raises(BenchmarkError, match="None of 1 images can be read"):
        run_benchmark(folder / "tiny", [folder / "bad.jpg"])


def test_a_record_that_need_not_be_whole_says_what_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> None:
        raise UnknownProvenance("The memory is not known.")

    monkeypatch.setattr(provenance, "source_commit", lambda: (COMMIT, True))
    monkeypatch.setattr(provenance, "memory_bytes", nowhere)
    found = provenance.provenance("a GPU")
    assert (found.commit, found.device, found.memory_gb) == (f"{COMMIT}+changes", "a GPU", None)
    assert list(found.versions) == ["alpr", "python", *provenance.DEPLOYED_WITH]
    with pytest.raises(UnknownProvenance, match="The memory is not known"):
        provenance.provenance(whole=True)
    with pytest.raises(UnknownProvenance, match="The version of no-such-package is not known"):
        provenance.provenance(packages=["no-such-package"])


def test_recognisers_are_timed_beside_the_reference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, calls, clock = {"maskocr_slow": 0.008, recogniser_speed.REFERENCE: 0.002}, [], [0.0]

    def taking(name: str, folder: Path, threads: int) -> recogniser_speed._Candidate:
        def network(crops: np.ndarray) -> np.ndarray:
            calls.append((name, len(crops)))
            clock[0] += seconds[name] * len(crops)
            return crops

        return recogniser_speed._Candidate(name, network, (48, 192), (1, 24), 7, 9)  # type: ignore[arg-type]

    monkeypatch.setattr(recogniser_speed, "_exported", taking)
    monkeypatch.setattr(recogniser_speed, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(provenance, "source_commit", lambda: (COMMIT, False))
    report = reader_speed.latency_report(["maskocr_slow"], rounds=2)
    slow, reference = report.recognisers
    assert calls == [(name, batch) for name in seconds for batch in (1, 8)] * 3  # in turns, the first not counted
    assert slow.min_ms == pytest.approx((8, 8)) and reference.times_reference == (1, 1)
    assert slow.times_reference == pytest.approx((0.25, 0.25))
    write_report(report, folder / "latency.json")
    written = json.loads((folder / "latency.json").read_text(encoding="utf-8"))
    assert written["environment"]["commit"] == COMMIT and written["recognisers"][0]["token_grid"] == [1, 24]
    monkeypatch.undo()
    bundled = recogniser_speed.time_recognisers([], bundle=folder / "tiny", rounds=1)
    assert [r.name for r in bundled] == ["tiny", recogniser_speed.REFERENCE] and bundled[0].parameters is None
    with pytest.raises(
        ValueError, match=r"scrfd_500m is no recogniser .* expected one of crnn, lprnet, maskocr_base, maskocr_ctc"
    ):
        reader_speed.latency_report(["scrfd_500m"])


def test_the_script_explains_itself(repository: Path) -> None:
    script = repository / "scripts" / "benchmark.py"
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0 and "--images" in done.stdout and "--recognisers" in done.stdout, done.stderr

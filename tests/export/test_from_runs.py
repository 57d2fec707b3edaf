"""From two trained networks to a bundle: what was chosen after training is in the card and in the weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_bundle import write_bundle

from alpr.detection.module import DetectorModule
from alpr.detection.settings import DetectorSettings
from alpr.evaluation.outcomes import PlateRecord
from alpr.export import from_runs
from alpr.export.from_runs import bundle_runs, reported_figures
from alpr.export.parity import DetectorParity, ParityReport, ReaderParity, RecogniserParity
from alpr.plates.records import Reading
from alpr.provenance import UnknownProvenance
from alpr.reader.card import ModelCard
from alpr.recognition.module import RecogniserModule
from alpr.runs.checkpoints import RunError
from alpr.runs.weights import read_weights, write_weights
from alpr.training.configuration import composed

TINY_DETECTOR = {
    "stem": (8, 8), "stage_blocks": (1, 1, 1, 1), "stage_widths": (8, 8, 8, 8), "neck_width": 8, "head_convs": 1,
    "head_width": 8,
}  # fmt: skip
TINY_RECOGNISER = {"stem_widths": (4, 8, 16), "width": 16, "heads": 2, "encoder_layers": 1}


def test_a_bundle_gets_the_figures_of_its_own_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    (tmp_path / "report.json").write_text('{"manifests": {"a.csv": "00"}, "figures": [], "plates": []}')
    config = composed("export", [f"output={bundle}", f"report={tmp_path / 'report.json'}"])
    bundle_runs(config)
    card = ModelCard.read(bundle)
    assert card.metrics["manifests"] == {"a.csv": "00"} and card.other_files == ()
    for page in ("one", "two"):
        (tmp_path / "report.html").write_text(page)
        bundle_runs(config)
        card = ModelCard.read(bundle)
        card.verify(bundle)
        assert [entry.file for entry in card.other_files] == ["report.html"]
        assert (bundle / "report.html").read_text() == page
    assert "holds the figures of" in capsys.readouterr().out
    with pytest.raises(RunError, match="detector is not given"):
        bundle_runs(composed("export", [f"output={bundle}"]))


def test_an_input_size_and_a_threshold_chosen_after_training_travel(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exported(*given: Any, beside: Callable[[Path], object], reader: bool, **_: Any) -> ParityReport:
        (tmp_path / "tiny").mkdir()
        beside(tmp_path / "tiny")
        settings.append(given[1])
        readers.append(reader)
        found = DetectorParity(1e-6, 3e-6, 2e-6, plates=5, plate_corners_px=0.0125, threshold=0.3)
        return ParityReport(found, RecogniserParity(2.5e-6, texts=18), ReaderParity(4, 0.25, 0.75, 3, 0.3))

    settings: list[DetectorSettings] = []
    readers: list[bool] = []
    monkeypatch.setattr(from_runs, "export_bundle", exported)
    detector, recogniser = tmp_path / "detector.safetensors", tmp_path / "recogniser.safetensors"
    pack = yaml.safe_load((repository / "configs" / "country" / "cn.yaml").read_text(encoding="utf-8"))
    write_weights(DetectorModule(TINY_DETECTOR, predictor={"input_px": 128, "max_plates": 7}), detector)
    write_weights(RecogniserModule(country=pack, network=TINY_RECOGNISER, predictor={"size": (16, 64)}), recogniser)
    given = [f"detector={detector}", f"recogniser={recogniser}", f"output={tmp_path / 'tiny'}"]
    with pytest.raises(ValueError, match="input_px is 130; expected a multiple of 32"):
        bundle_runs(composed("export", [*given, "input_px=130"]))
    with pytest.raises(ValueError, match="widest"):
        bundle_runs(composed("export", [*given, "detector_settings={widest: 3}"]))
    assert not (tmp_path / "tiny").exists()
    (tmp_path / "report.json").write_text('{"manifests": {}, "figures": [], "plates": []}')
    (tmp_path / "report.html").write_text("page")
    chosen = [
        "input_px=160",
        "fine_px=320",
        "small_px=48",
        "score_threshold=0.45",
        "detector_settings={middle_px: 192, finer_corners: true}",
        "reader=true",
        f"report={tmp_path / 'report.json'}",
    ]
    bundle_runs(composed("export", [*given, *chosen]))
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Parity held: largest raw difference 3.0e-06, largest corner difference 0.0125 px, 18 of 18 texts equal.",
        "Parity held for reader.onnx: largest corner difference 0.2500 px, 3 of 4 texts equal.",
    ]
    assert readers == [True] and (tmp_path / "tiny" / "report.html").read_text() == "page"
    assert [(s.input_px, s.fine_px, s.small_px, s.score_threshold, s.max_plates) for s in settings] == [
        (160, 320, 48, 0.45, 7)
    ]
    kept = read_weights(tmp_path / "tiny" / "detector.safetensors")["hyper_parameters"]["predictor"]
    assert (kept["input_px"], kept["fine_px"], kept["score_threshold"]) == (160, 320, 0.45)
    assert (kept["middle_px"], kept["finer_corners"]) == (192, True)


def test_a_reports_figures_and_its_smallest_readable_plate_go_into_the_card(tmp_path: Path) -> None:
    plates = [
        PlateRecord(f"{i}.jpg", 0, ".", text="B1", width_px=100.0, iou=0.9, on_predicted_corners=Reading("B1", 0.9, ()))
        for i in range(10)
    ]
    report = {"manifests": {"val.csv": "0"}, "figures": [], "plates": [asdict(plate) for plate in plates]}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    found = reported_figures(path)
    assert found["manifests"] == {"val.csv": "0"} and found["readable"]["image"]["width_px"] == 96
    for broken in ({"figures": []}, {**report, "plates": [{"unknown": 1}]}, []):
        path.write_text(json.dumps(broken))
        with pytest.raises(RunError, match=r"report\.json is no report of alpr evaluate"):
            reported_figures(path)


@pytest.mark.parametrize("name", ["cn", "world"])
def test_a_released_bundle_has_the_settings_of_its_configuration(name: str, repository: Path) -> None:
    config, card = composed("export", [f"bundle={name}"]), ModelCard.read(repository / "model_bin" / name)
    for key in ("input_px", "score_threshold", "small_px", "fine_px", "fine_weight"):
        assert getattr(card.detector, key) == config[key], key
    assert card.recogniser.read_again_below == config.read_again_below


def test_a_release_refuses_a_working_copy_with_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [composed("export", [f"bundle={name}"]).release for name in ("cn", "world")] == [True, True]
    monkeypatch.setattr(from_runs, "installed_source", lambda: None)
    monkeypatch.setattr(from_runs, "source_commit", lambda: ("0123456789abcdef", True))
    given = ["bundle=cn", f"detector={tmp_path / 'none'}", f"output={tmp_path / 'cn'}", "images=null"]
    with pytest.raises(RunError, match=r"tracked files differ from 0123456789ab: commit them, or give release=false"):
        bundle_runs(composed("export", given))
    for state, overrides in (("changed", ["release=false"]), ("clean", [])):
        monkeypatch.setattr(from_runs, "source_commit", lambda state=state: ("0123", state == "changed"))
        with pytest.raises(RunError, match="is no checkpoint and no run folder"):
            bundle_runs(composed("export", [*given, *overrides]))

    def unknown() -> tuple[str, bool]:
        raise UnknownProvenance("There is no git.")

    monkeypatch.setattr(from_runs, "source_commit", unknown)
    with pytest.raises(RunError, match=r"names the commit that made it\. There is no git\."):
        bundle_runs(composed("export", given))

"""Runs from before the files of the package had folders of their own go on: their configuration names old places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf
from tiny_runs import DECODER_PRETRAINING, ENCODER_PRETRAINING, Scripts, overrides

from alpr.runs.checkpoints import RunError, kind_of
from alpr.runs.weights import read_weights, write_weights
from alpr.training.configuration import composed
from alpr.training.fit import FREE_KEYS, resumption
from alpr.training.record import MOVED_CLASSES, RUN_FILE, RunRecord
from alpr.training.runs import OWN, load_module


def made_old(run: Path) -> None:
    """Gives a run's record the names that its classes had."""
    text = (run / RUN_FILE).read_text(encoding="utf-8")
    for old, new in MOVED_CLASSES.items():
        text = text.replace(f'"{new}"', f'"{old}"')
    (run / RUN_FILE).write_text(text, encoding="utf-8")


def _there(path: str) -> bool:
    try:
        get_object(path)
    except ImportError:
        return False
    return True


def test_every_class_is_where_the_table_says() -> None:
    for old, new in MOVED_CLASSES.items():
        made = get_object(new)  # a class, or the function of the same words that makes it
        assert made.__name__.replace("_", "").lower() == old.rpartition(".")[2].lower()
        assert new == old.replace("RecognitionData", "recognition_data") or not _there(old)


@pytest.mark.parametrize("settings", [ENCODER_PRETRAINING, DECODER_PRETRAINING])
def test_an_old_record_is_one_of_the_same_configuration(settings: tuple[str, ...], tmp_path: Path) -> None:
    config = OmegaConf.to_container(composed("train", overrides(settings, tmp_path, tmp_path / "run", "logger=csv")))
    RunRecord("old", config, 1, {}, commit=None, versions={}, device="").write(tmp_path)
    before = RunRecord.read(tmp_path)
    made_old(tmp_path)
    assert "alpr.recognition.pretrain_module." in (tmp_path / RUN_FILE).read_text(encoding="utf-8")
    assert "alpr.metrics_csv." in (tmp_path / RUN_FILE).read_text(encoding="utf-8")
    assert RunRecord.read(tmp_path) == before
    record, checkpoint = resumption(tmp_path, "auto", config)
    assert record == before and checkpoint is None
    with pytest.raises(RunError, match="another configuration"):
        resumption(tmp_path, "auto", config | {"seed": 2026})
    assert "seed" not in FREE_KEYS


def test_an_old_run_goes_on(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = overrides(ENCODER_PRETRAINING, tiny_data, run, "logger=csv")
    done = scripts.run("train.py", [*arguments, "trainer.max_epochs=1"])
    assert done.code == 0, done.text
    made_old(run)
    done = scripts.run("train.py", [*arguments, "trainer.max_epochs=2"])
    assert done.code == 0 and "it goes on from step" in done.text, done.text
    record = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    assert record["resumed"] == 1 and record["config"]["model"]["_target_"] in MOVED_CLASSES.values()
    assert load_module(run).network is not None


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"masked_image": {}, "country": {}}, "pretrained encoder"), ({"masked_language": {}, "country": {}}, "pretrained "
     "decoder"), ({"country": {}}, "recogniser"), ({"network": {}}, "detector")],
)  # fmt: skip
def test_a_checkpoint_from_before_its_kind_was_written_is_known(settings: dict[str, Any], kind: str) -> None:
    assert kind_of({"state_dict": {}, "hyper_parameters": settings}) == kind
    assert kind_of({"state_dict": {}, "hyper_parameters": settings, "kind": "another"}) == "another"
    assert [task.kind for task in OWN].count(kind) == 1


def test_a_kind_is_written(tmp_path: Path, repository: Path) -> None:
    module, checkpoint = load_module(repository / "model_bin" / "cn" / "detector.safetensors"), dict[str, Any]()
    module.on_save_checkpoint(checkpoint)
    write_weights(module, tmp_path / "detector.safetensors")
    assert checkpoint["kind"] == read_weights(tmp_path / "detector.safetensors")["kind"] == "detector"

"""Every file of configs composes, every experiment takes a step, and an unknown key is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tiny_runs import (
    DECODER_PRETRAINING,
    DETECTOR,
    DISTILLATION,
    ENCODER_PRETRAINING,
    RECOGNISER,
    REPOSITORY,
    WINDOW,
    Scripts,
    make_teacher,
    overrides,
)

from alpr.training.configuration import complaint_about, composed
from alpr.training.one_pass import is_one_pass

CONFIGS = REPOSITORY / "configs"
OTHER_FOLDERS = {"bundle", "experiment", "evaluate", "protocol"}
GROUPS = sorted(
    f"{path.parent.name}={path.stem}" for path in CONFIGS.glob("*/*.yaml") if path.parent.name not in OTHER_FOLDERS
)
ALL_EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
ONE_PASS = {"hog_detector", "hog_world", "segment_characters"}
"""Fitted as a whole, without steps; tests/baselines trains them."""
EXPERIMENTS = [name for name in ALL_EXPERIMENTS if name not in ONE_PASS]
TASKS = {
    "alpr.detection.module.DetectorModule": DETECTOR,
    "alpr.recognition.module.RecogniserModule": RECOGNISER,
    "alpr.recognition.distillation.DistilledRecogniser": DISTILLATION,
    "alpr.recognition.pretraining.module.EncoderPretraining": ENCODER_PRETRAINING,
    "alpr.recognition.pretraining.module.DecoderPretraining": DECODER_PRETRAINING,
    "alpr.baselines.window.module.WindowModule": WINDOW,
}
PHOTOGRAPHED = [  # green plates of the small data, whatever the experiment reads
    "data.sources=null", "~data.rendered", "data.batch_size=4", "country=cn",
    "model.network.countries=[]", "model.network.kinds=[]", "model.network.row_cuts=[]",
]  # fmt: skip
SMALL_BATCH = {
    DETECTOR: ["data.batch_size=2", "data.canvas=[128,96]", "data.sources=null"],
    RECOGNISER: PHOTOGRAPHED,
    DISTILLATION: ["data.batch_size=4"],
    ENCODER_PRETRAINING: ["data.real=2", "data.synthetic=2"],
    DECODER_PRETRAINING: ["data.batch_size=4", "data.val_samples=4"],
    WINDOW: ["data.batch_size=4", "data.val_samples=8"],
}


def task_of(experiment: str) -> tuple[str, ...]:
    return TASKS[composed("train", [f"experiment={experiment}"]).model._target_]


def test_there_are_experiments_and_groups() -> None:
    assert {"ccpd_green_detector", "ccpd_green_recogniser"} <= set(EXPERIMENTS)
    groups = {g.split("=")[0] for g in GROUPS}
    assert {path.name for path in CONFIGS.iterdir() if path.is_dir()} == groups | OTHER_FOLDERS


@pytest.mark.parametrize("choice", GROUPS)
def test_every_choice_composes(choice: str) -> None:
    recognition = choice.startswith(("model=maskocr", "model=lprnet", "model=crnn", "augment=plates")) or choice in (
        "data=plates",
        "data=unlabelled",
        "data=placed",
    )
    together = ["model=maskocr_fast", "data=plates", "augment=plates"] if recognition else []
    together += ["data=window"] if choice.startswith("model=window") else []
    manifest = [] if choice in ("data=placed", "data=rendered") else ["data.manifest=b.csv"]
    config = composed("train", [*[t for t in together if t[:5] != choice[:5]], choice, "name=a", *manifest])
    assert OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


def test_the_roots_compose() -> None:
    roots = {path.stem for path in CONFIGS.glob("*.yaml")} | {p.parent.name for p in CONFIGS.glob("*/config.yaml")}
    assert roots == {"train", "evaluate", "export", "calibrate"}
    for root in roots:
        assert composed(root)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_short_says_its_command_and_takes_a_step(
    experiment: str, scripts: Scripts, tiny_data: Path, tmp_path: Path
) -> None:
    text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    assert f"alpr train experiment={experiment}" in text and len(text.splitlines()) < 40
    # The networks, optimiser and precision are the experiment's own; only the amount of data is small.
    small = [s for s in task_of(experiment) if s.startswith(("data.manifest", "data.workers", "trainer.accelerator"))]
    batch = SMALL_BATCH[task_of(experiment)]
    limits = ["trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.max_epochs=1"]
    arguments = overrides([f"experiment={experiment}", *small], tiny_data, tmp_path, *batch, *limits)
    if task_of(experiment) is DECODER_PRETRAINING:  # everything is rendered
        arguments = [a for a in arguments if not a.startswith("data.root=")]
    if task_of(experiment) is DISTILLATION:
        arguments.append(f"model.teacher={make_teacher(tmp_path / 'teacher.safetensors', (48, 192))}")
    done = scripts.run("train.py", arguments)
    assert done.code == 0, done.text
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["steps"], record["name"]) == ("finished", 1, experiment)


@pytest.mark.parametrize("experiment", sorted(ONE_PASS))
def test_a_model_that_is_fitted_as_a_whole_says_its_command_and_names_unknown_keys(experiment: str) -> None:
    text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    assert f"alpr train experiment={experiment}" in text and len(text.splitlines()) < 40
    assert is_one_pass(composed("train", [f"experiment={experiment}"]))
    complaint = complaint_about([f"experiment={experiment}", "model.sede=1"], "train")
    assert complaint is not None and "'sede'" in complaint


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("key", ["model.network.dpeth", "data.wrokers", "optim.momentum", "trainer.epochs", "nmae"])
def test_an_unknown_key_is_named(experiment: str, key: str) -> None:
    complaint = complaint_about([f"experiment={experiment}", f"{key}=1"], "train")
    assert complaint is not None and repr(key.split(".")[-1]) in complaint


def test_values_that_stand_twice_are_the_same() -> None:
    """What the data and the network must agree on is written once."""
    config = composed("train", ["experiment=ccpd_green_recogniser", "model.predictor.size=[32,128]", "seed=7"])
    plain = OmegaConf.to_container(config, resolve=True)
    assert plain["data"]["crop"]["size"] == [32, 128] and plain["model"]["seed"] == plain["data"]["seed"] == 7
    assert plain["model"]["country"] == plain["data"]["country"] == plain["country"]


def test_a_bundle_is_no_choice_of_the_group_of_models(tmp_path: Path) -> None:
    """`bundle=` names a bundle in evaluation, and the settings of a released one in export."""
    arguments = [f"bundle={tmp_path}", "data.manifest=a.csv"]
    assert complaint_about(arguments, "evaluate") is None
    assert composed("evaluate", arguments).bundle == str(tmp_path)
    assert "Did you mean data.manifest?" in str(complaint_about(["data.manifst=a.csv"], "evaluate"))

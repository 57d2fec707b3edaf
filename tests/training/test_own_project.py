"""A project of one's own beside the framework: experiments and country packs in a folder that is not the package's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_runs import RECOGNISER, REPOSITORY, Scripts, overrides

from alpr.plates.country import CountryPack
from alpr.training.configuration import complaint_about, composed, options_first

PACKS = REPOSITORY / "configs" / "country"
MINE = """
# @package _global_
defaults:
  - ccpd_green_recogniser
  - override /country: xx
  - _self_

name: mine
data:
  sources: null
"""
GREEN = ["experiment=ccpd_green_recogniser", "data.manifest=a.csv"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `experiment/mine.yaml`, and `country/xx.yaml`: China's pack under another name."""
    folder = tmp_path_factory.mktemp("项目") / "own configs"
    for group in ("experiment", "country"):
        (folder / group).mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(MINE, encoding="utf-8")
    pack = (PACKS / "cn.yaml").read_text(encoding="utf-8").replace("name: China", "name: Testland")
    (folder / "country" / "xx.yaml").write_text(pack, encoding="utf-8")
    assert CountryPack.find(folder / "country" / "xx.yaml").name == "Testland"
    return folder


def test_an_experiment_of_ones_own_trains(scripts: Scripts, project: Path, tiny_data: Path, tmp_path: Path) -> None:
    settings = ["experiment=mine", *RECOGNISER[1:], "trainer.max_epochs=1"]
    done = scripts.run(
        "train.py", [settings[0], "--config-dir", str(project), *overrides(settings[1:], tiny_data, tmp_path / "run")]
    )
    assert done.code == 0, done.text  # Hydra alone takes no settings on both sides of an option
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert (record["name"], record["status"]) == ("mine", "finished")
    pack = yaml.safe_load((project / "country" / "xx.yaml").read_text(encoding="utf-8"))
    assert record["config"]["country"] == record["config"]["data"]["country"] == pack


def test_a_pack_is_named_by_its_path(
    scripts: Scripts, project: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*RECOGNISER, "country=~/country/xx.yaml", "trainer.max_epochs=1", "trainer.limit_train_batches=1"]
    done = scripts.run("train.py", overrides(settings, tiny_data, tmp_path), HOME=str(project))
    assert done.code == 0, done.text
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    pack = yaml.safe_load((project / "country" / "xx.yaml").read_text(encoding="utf-8"))
    assert record["config"]["country"] == pack
    monkeypatch.chdir(project.parent)
    monkeypatch.setenv("HOME", str(project))
    path = project / "country" / "xx.yaml"
    for name in (path, path.relative_to(project.parent), Path("~/country/xx.yaml")):
        assert complaint_about([*GREEN, f"country={name}"], "train") is None
        assert composed("train", [*GREEN, f"country={name}"]).country == pack


@pytest.mark.parametrize(
    "option",
    [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"], ["hydra.searchpath=[file://{}]"],
     ["hydra.searchpath=['{}']"], ["-m", "--config-dir", "{}", "optim.lr=0.1,0.2"]],
)  # fmt: skip
def test_a_folder_of_ones_own_is_known(option: list[str], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["experiment=mine", "data.manifest=a.csv", *(part.format("own configs") for part in option)]
    monkeypatch.chdir(project.parent)
    assert complaint_about(arguments, "train") is None
    assert "'data.mainfest=b'" in str(complaint_about([*arguments, "data.mainfest=b"], "train"))
    there = str(complaint_about(["experiment=nine", *arguments[1:]], "train"))
    assert there.startswith("There is no experiment/nine; expected one of br_recogniser, ") and " mine," in there


def test_options_come_before_settings() -> None:
    words = ["a=1", "--config-dir", "own", "b=2", "-m", "c=1,2", "--cfg", "job", "~d", "--config-dir=x"]
    expected = ["--config-dir", "own", "-m", "--cfg", "job", "--config-dir=x", "a=1", "b=2", "c=1,2", "~d"]
    assert options_first(words) == expected
    assert options_first(["-m", "a=1"]) == ["-m", "a=1"]


def test_what_does_not_fit_is_one_sentence(project: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("code: XX\n")
    taken = tmp_path / "taken" / "country" / "br.yaml"
    taken.parent.mkdir(parents=True)
    taken.write_bytes((PACKS / "br.yaml").read_bytes())
    assert complaint_about([*GREEN, f"--config-dir={tmp_path / 'taken'}"], "train") is None  # the same file
    taken.write_text("code: BR\n")
    for arguments, expected in (
        (["experiment=mine"], "There is no experiment/mine; expected one of br_recogniser, "),
        ([*GREEN, "country=zz"], "There is no country/zz; expected one of ar, at, br, "),
        ([*GREEN, "country=nowhere.yaml"], "There is no country/nowhere.yaml; expected one of ar, at, br, "),
        ([*GREEN, f"country={tmp_path / 'wrong.yaml'}"], f"{tmp_path / 'wrong.yaml'}, line 1: "),
        ([*GREEN, "--config-dir", "nowhere"], "'nowhere' is no folder; expected one of configurations"),
        ([*GREEN, "hydra.searchpath=[file://nowhere]"], "'nowhere' is no folder"),
        ([*GREEN, f"--config-dir={tmp_path / 'taken'}"], f"{taken}: alpr has a country=br of its own"),
        ([*GREEN, "--epochs", "3"], "Unknown option --epochs; expected --config-dir DIR, "),
    ):
        complaint = str(complaint_about(arguments, "train"))
        assert complaint.startswith(expected) and "\n" not in complaint

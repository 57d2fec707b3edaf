"""Data sources have one form: older and short words say the same in it, to the last pixel, and wrong ones are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from training_streams import make_tables, stream

from alpr.data.source_settings import named
from alpr.plates.country import PACKS, CountryPack
from alpr.recognition.datamodule import RecognitionData, recognition_data
from alpr.recognition.mixture.one_form import one_form
from alpr.training.configuration import complaint_about, composed
from alpr.training.record import RunRecord, as_spelt_now, differences

OLDER = yaml.safe_load((Path(__file__).parent / "older_data.yaml").read_text(encoding="utf-8"))
EXPERIMENTS = sorted(OLDER["experiments"])
ONE = {"manifest": "crops/br/labels.csv"}
BR = {"sources": {"br": ONE}}
TWO = {"br": ONE, "us": {"manifest": "crops/us/labels.csv"}}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def brazil() -> dict[str, Any]:
    return CountryPack.find("br").to_dict()


def plain(words: str, *more: str) -> dict[str, Any]:
    """The configuration of an experiment, as a run stores it."""
    container: Any = OmegaConf.to_container(
        composed("train", [*f"experiment={words}".split(), *more, *distilled(words)]), resolve=True
    )
    return dict(container)


def distilled(words: str) -> list[str]:
    return ["model.teacher=teacher.safetensors"] if words.startswith("distil") else []


def older(words: str, now: dict[str, Any]) -> dict[str, Any]:
    """The same data as a run stored them before, the packs with their values."""
    said = {**OLDER["defaults"], **OLDER["experiments"][words]}
    rendered = {
        name: {"pack": yaml.safe_load((PACKS / f"{name}.yaml").read_text(encoding="utf-8")), **entry}
        for name, entry in said.pop("rendered").items()
    }
    kept = ("root", "country", "epoch_samples", "holdout_fold", "workers", "cache_mb", "strict", "seed")
    return {
        "_target_": "alpr.recognition.datamodule.RecognitionData",
        **{key: now[key] for key in kept},
        **now["crop"],
        **now["augment"],
        **{key: now["heads"][key] for key in ("countries", "kinds")},
        **({"heads": {"row_cuts": cuts}} if (cuts := now["heads"]["row_cuts"]) else {}),  # younger than the one form
        **said,
        "rendered": rendered,
    }


@pytest.mark.parametrize("words", EXPERIMENTS)
def test_a_run_of_older_words_is_the_same_run(words: str, tmp_path: Path) -> None:
    now = plain(words)
    stored = json.loads(json.dumps({**now, "data": older(words, now["data"])}, default=list))
    RunRecord("a", stored, 1, {}).write(tmp_path)
    record = RunRecord.read(tmp_path)
    assert record is not None and differences(record.config, as_spelt_now(now), frozenset()) == []
    written = json.loads(json.dumps(record.config, default=list))
    assert differences(as_spelt_now(written), as_spelt_now(now), frozenset()) == [], "the one form is not its own"
    assert set(as_spelt_now(now)["data"]) == set(plain(words)["data"]) - {"manifest", "split"}


@pytest.mark.parametrize("words", [w for w in EXPERIMENTS if w.startswith(("country", "demo", "cn", "us"))])
def test_older_words_train_on_the_same_pixels(words: str, tables: Path) -> None:
    config = composed("train", [*f"experiment={words}".split(), f"data.root={tables}"])
    now = OmegaConf.to_container(config.data, resolve=True)
    said = {key: value for key, value in older(words, now).items() if key != "_target_"}  # type: ignore[arg-type]
    assert stream(instantiate(config.data, _convert_="all"), 1) == stream(recognition_data(**said), 1)


def test_short_and_older_words_of_a_command_line(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["data.real=3", "data.synthetic=2", "data.plates=30", "data.glyph_bank=glyphs/br.npz"]
    words = ["experiment=country_recogniser", "country=br", "name=a", f"data.root={tables}",
             "data.manifest=crops/br/labels.csv", *more]  # fmt: skip
    assert complaint_about(words, "train") is None
    data = instantiate(composed("train", words).data, _convert_="all")
    assert data.counts == [2, 3, 4] and [s.settings.name for s in data.sources] == ["br"]
    assert data.sources[0].settings.plates == 30 and data.sources[0].settings.balance == 0.3
    assert "Note: data.plates is data.sources.br.plates" in capsys.readouterr().err
    long = [*words[:-4], "data.sources.yours.share=3", "data.sources.yours.plates=30", "data.rendered.own.share=2",
            "data.rendered.own.glyph_bank=glyphs/br.npz"]  # fmt: skip
    assert complaint_about(long, "train") is None
    assert stream(instantiate(composed("train", long).data, _convert_="all"), 1) == stream(data, 1)
    assert not capsys.readouterr().err
    assert "Unknown key 'real'" in str(complaint_about(["experiment=ccpd_green_detector", "data.real=3"], "train"))


@pytest.mark.parametrize("experiment", ["cn_recogniser", "world_detector"])
def test_an_older_list_takes_the_place_of_the_sources(experiment: str, tmp_path: Path) -> None:
    older = "[{manifest: a/labels.csv, samples: 3}, {manifest: b/labels.csv, name: c}]"
    words = [f"experiment={experiment}", f"data.sources={older}"]
    assert complaint_about(words, "train") is None
    (tmp_path / "experiment").mkdir()
    for group in ("data: plates", "data: scenes"):
        text = f"# @package _global_\ndefaults: [override /{group}]\ndata: {{manifest: null, sources: {older}}}\n"
        (tmp_path / "experiment" / "mine.yaml").write_text(text, encoding="utf-8")
        mine = ["experiment=mine", f"hydra.searchpath=[{tmp_path}]"]
        for given in (words, mine):
            sources = OmegaConf.to_container(composed("train", given).data.sources)
            assert list(named(sources, [])) == ["a", "c"]


def test_guessing_is_measured_on_texts_as_they_are_taught(tables: Path) -> None:
    rendered = {"de": {"share": 40, "replace": {"Ä": "A", "Ö": "O", "Ü": "U"}}}
    latin = CountryPack.find("latin").to_dict()
    data = RecognitionData(latin, {"br": {**ONE, "share": 1}}, root=str(tables), rendered=rendered)
    data.setup("fit")
    assert 0 < data.kind_entropy() < data.label_entropy()


def test_shares_are_crops_or_parts_of_a_batch(tables: Path, brazil: dict[str, Any]) -> None:
    def data(**more: Any) -> RecognitionData:
        sources = {
            name: {**entry, "share": share} for (name, entry), share in zip(TWO.items(), more.pop("of"), strict=True)
        }
        return RecognitionData(brazil, sources, root=str(tables), **more)

    whole = data(of=(12, 24), rendered={"own": {"share": 24}}, negatives=4)
    assert whole.counts == [24, 12, 24, 4]
    assert "a mixture of 2 sources; a batch holds 24 rendered and 36 real crops, and 4 crops" in whole.describe()
    assert "\n  rendered own (Brazil), 24 of 64\n  br, 12 of 64 (corners): " in whole.describe()
    assert data(of=(12, 24), rendered={"own": {"share": 24}}, negatives=4, batch_size=16).counts == [6, 3, 6, 1]
    assert data(of=(0.25, 0.25), rendered={"own": {"share": 0.5}}, batch_size=8).counts == [4, 2, 2, 0]
    assert data(of=(0, 3), rendered={"ar": {"share": 1, "layouts": None}}).counts[2:] == [0, 3, 0]
    for wrong, says in (
        ({"of": (0.5, 0.25), "batch_size": 8, "rendered": {"own": {"share": 0}}}, r"come to 0\.75 \(.*\.br 0\.5"),
        ({"of": (0.5, 0.5), "rendered": {"own": {"share": 0}}}, r"no data\.batch_size; expected whole numbers"),
        ({"of": (-1, 2)}, r"data\.sources\.br\.share is -1; expected a number of 0 or more"),
        ({"of": (1, True)}, r"data\.sources\.us\.share is True"),
        ({"of": (0, 0), "rendered": {"own": {"share": 0}}}, "The shares are all 0"),
        ({"of": (1, 1), "negatives": -2}, r"data\.negatives is -2"),
        ({"of": (1, 1), "batch_size": 2}, "A batch of 2 cannot hold a sample of each of 3 sources"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            data(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sources": {"br": {**ONE, "shaer": 3}}}, r"data\.sources\.br has the unknown key 'shaer'; .* mean share\?"),
        ({"sources": {"br": {"share": 3}}}, r"data\.sources\.br has no manifest; expected a CSV table"),
        ({"sources": {"br": "labels.csv"}}, r"data\.sources\.br is 'labels\.csv'; expected a mapping of"),
        ({"sources": "labels.csv"}, r"data\.sources is 'labels\.csv'; expected a mapping"),
        ({"sources": [{"samples": 3}]}, r"data\.sources\[0\] has no manifest"),
        ({"sources": [ONE, ONE]}, "called br; give one of them"),
        ({}, r"Nothing gives the plates to train on; expected data\.manifest=TABLE"),
        ({"split": "train"}, r"Nothing gives the plates to train on"),
        ({"sources": TWO, "manifest": "a.csv"}, r"data\.manifest \('a\.csv'\) is short .* has 2 \(br, us\)"),
        ({"sources": TWO, "split": None}, r"data\.split \(None\) is short for a single source"),
        ({"sources": list(TWO.values()), "manifest": "a.csv"}, r"data\.manifest \('a\.csv'\) is short"),
        ({**BR, "rendered": {"xx": {"share": 1}}}, r"data\.rendered\.xx: There is no .* 'xx'; .* br,"),
        ({**BR, "rendered": {"br": {"shares": 1}}}, r"data\.rendered\.br has the unknown key 'shares'"),
        ({**BR, "rendered": {"own": {"pack": "br"}}}, r"data\.rendered\.own is the run's own country"),
        ({**BR, "rendered": ["br"]}, r"data\.rendered is \['br'\]; expected country packs"),
        ({**BR, "crop": {"sise": 3}}, r"data\.crop has the unknown key 'sise'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(settings: dict[str, Any], sentence: str, tables: Path, brazil: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        recognition_data(country=brazil, root=str(tables), **settings)
    assert "\n" not in str(caught.value)


def test_one_form_is_its_own_and_has_no_notes() -> None:
    found = one_form({**BR, "rendered": {"ar": {}}})
    again = one_form(found.settings)
    assert found.settings == again.settings and not found.notes and not again.notes
    assert list(found.settings["rendered"]) == ["own", "ar"] and found.settings["rendered"]["own"]["share"] == 0
    assert found.settings["rendered"]["ar"]["pack"]["code"] == "AR"

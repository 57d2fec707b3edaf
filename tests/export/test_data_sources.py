"""Every source of a bundle has its origin and licence, those of earlier trainings too; what has none is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import pack, write_bundle

from alpr.data.manifest import Manifest
from alpr.data.origins import KNOWN, NONE_STATED, OriginError, read_origins
from alpr.export.data_sources import Network, data_sources
from alpr.files import file_sha256
from alpr.plates.country import CountryPack
from alpr.reader.card import DataSource, EarlierRun, ModelCard, TrainingRun, WeightFile
from alpr.synthetic.ccpd_set import SyntheticPlan, synthesize
from alpr.synthetic.crop_set import CropPlan, synthesize_crops
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.planted_set import PlantedPlan, plant_set
from alpr.training.lineage import line_of
from alpr.training.record import RunRecord


def write_run(folder: Path, manifests: Mapping[str, str], data: Mapping[str, Any], **more: Any) -> str:
    """A run folder of which nothing but its record can be read."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").write_text(folder.name)
    config = {"data": data}
    RunRecord(folder.name, config, 1, manifests, versions={}, device="", commit=None, **more).write(folder)
    return str(folder)


def by_name(sources: tuple[DataSource, ...]) -> dict[str, DataSource]:
    return {source.name: source for source in sources}


def test_known_sets_have_their_own_licence_and_own_ones_that_of_the_user(tmp_path: Path) -> None:
    tables = {"crops/br/labels.csv": "1", "mine/labels.csv": "2", "crops/us/labels.csv, scenes/tn/labels.csv": "3"}
    network = Network(write_run(tmp_path / "run", tables, {"root": str(tmp_path)}))
    with pytest.raises(OriginError, match=r"known of mine/labels\.csv: add an entry to .* give sources=FILE\.yaml"):
        data_sources([network])
    (tmp_path / "own.yaml").write_text("licence: own\nphotographs: ours\n")
    for found in (data_sources([network], str(tmp_path / "own.yaml")), data_sources([network], licence="own")):
        sources = by_name(found)
        assert sources["mine/labels.csv"].licence == "own"
        assert sources["crops/br/labels.csv"].licence == "AGPL-3.0"
        assert sources["crops/br/labels.csv"].origin == "openalpr/train-detector"
        assert sources["crops/us/labels.csv, scenes/tn/labels.csv"].licence == f"AGPL-3.0; {NONE_STATED}"
    (tmp_path / "own.yaml").write_text("mine: {licence: own}\ncrops/br: {licence: bought}\n")
    assert by_name(data_sources([network], str(tmp_path / "own.yaml")))["crops/br/labels.csv"].licence == "bought"


def test_what_was_rendered_says_what_it_was_made_from(tmp_path: Path, china: CountryPack) -> None:
    ccpd = tmp_path / "ccpd"
    synthesize(ccpd, SyntheticPlan(2, green_share=0.5, val_share=0, test_share=0), china, workers=0)
    bank = GlyphBank(
        "CN", {("plate", "A"): np.full((1, 90, 45), 255, np.uint8)}, {}, {"datasets/crops/br/labels.csv": "0"}
    )
    bank.write(tmp_path / "glyphs" / "mine.npz")
    synthesize_crops(
        tmp_path / "crops", CropPlan(1, glyph_bank=str(tmp_path / "glyphs" / "mine.npz")), china, workers=0
    )
    tables = {"ccpd/ccpd_green/alpr_dataset.csv": "1", "crops/labels.csv": "2", "mine.npz": "3"}
    data = {
        "root": str(tmp_path), "sources": {"planted": {"plant": {"country": "br"}}},
        "rendered": {
            "own": {"share": 8, "glyph_bank": "glyphs/mine.npz"}, "us": {"pack": pack().to_dict(), "share": 1}
        },
    }  # fmt: skip
    sources = by_name(data_sources([Network(write_run(tmp_path / "run", tables, data), china)]))
    green = sources["ccpd/ccpd_green/alpr_dataset.csv"]
    assert (green.origin, green.licence, green.photographs) == ("alpr synth ccpd", "Apache-2.0; OFL-1.1", "none")
    assert "font noto-cjk (OFL-1.1)" in green.made_from and green.made_from[0] == "country pack CN"
    for name in ("crops/labels.csv", "mine.npz"):
        assert "AGPL-3.0" in sources[name].licence and "photographs of crops/br" in sources[name].made_from
    assert "glyph bank mine.npz" in sources["crops/labels.csv"].made_from
    drawn = [name for name in sources if "plates of" in name]
    assert drawn == ["rendered plates of CN", "plates of BR in photographs of others"]


def test_a_planted_set_has_the_licence_of_its_photographs(tmp_path: Path, china: CountryPack) -> None:
    from tiny_weights import write_scenes

    from alpr.data.several_tables import read_manifest

    write_scenes(tmp_path / "crops" / "br", ["皖A12"]).write(tmp_path / "crops" / "br" / "labels.csv")
    manifest: Manifest = read_manifest(tmp_path / "crops" / "br" / "labels.csv")
    plant_set(tmp_path / "planted", PlantedPlan(blank=True), manifest, china, workers=0)
    run = write_run(tmp_path / "run", {"planted/labels.csv": "1"}, {"root": str(tmp_path)})
    (source,) = data_sources([Network(run)])
    assert "AGPL-3.0" in source.licence and "photographs of crops/br" in source.made_from


def test_the_line_of_earlier_trainings_counts(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", {"crops/br/labels.csv": "1"}, {})
    second = write_run(tmp_path / "second", {"crops/us/labels.csv": "2"}, {}, started_from=line_of(first))
    line = line_of(second)
    assert [entry["name"] for entry in line] == ["second", "first"]
    assert line[1] == {
        "name": "first",
        "sha256": file_sha256(tmp_path / "first" / "checkpoints" / "best.ckpt"),
        "data": {"crops/br/labels.csv": "1"},
    }
    assert line_of(write_run(tmp_path / "third", {}, {}, started_from=line))[1:] == line
    assert set(by_name(data_sources([Network(second)]))) == {"crops/us/labels.csv", "crops/br/labels.csv"}


def test_weights_of_a_bundle_bring_what_its_card_says_of_them(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    weights = [folder / f"{network}.safetensors" for network in ("detector", "recogniser")]
    for path in weights:
        path.write_text(path.name)
    runs = (
        TrainingRun("d", 1, {"data": {"manifest": "a/labels.csv"}}),
        TrainingRun("r", 1, {"data": {"manifest": "b/labels.csv"}}, (EarlierRun("e", "0", {"c.csv": "3"}),)),
    )
    data = (DataSource("a/labels.csv", "1", "MIT", "x/a"), DataSource("b/labels.csv", "2", "own", "y/b"))
    others = tuple(map(WeightFile.of, weights))
    replace(ModelCard.read(folder), data=data, training=runs, other_files=others).write(folder)
    assert ModelCard.read(folder).training == runs and ModelCard.read(folder).data == data
    assert data_sources([Network(str(weights[0]))]) == data[:1]
    line = line_of(weights[1])
    assert [(entry["name"], entry["data"]) for entry in line] == [("r", {"b/labels.csv": "2"}), ("e", {"c.csv": "3"})]
    assert data_sources([Network(str(weights[1]))], licence="own")[0] == data[1]
    weights[0].write_text("other weights")
    assert line_of(weights[0])[0]["data"] == {}


@pytest.mark.parametrize("name", ["cn", "world"])
def test_each_source_of_a_shipped_bundle_has_its_origin_and_its_licence(name: str, repository: Path) -> None:
    card, known = ModelCard.read(repository / "model_bin" / name), read_origins(KNOWN)
    assert all(source.origin and source.licence and source.photographs for source in card.data)
    for source in card.data:
        entry = known.find(source.name)
        if source.name.endswith(".csv"):
            assert entry is not None and (source.licence, source.origin) == (entry.licence, entry.origin)
        else:
            assert source.made_from, source.name
    config = json.dumps([[dict(run.config), [dict(e.data) for e in run.started_from]] for run in card.training])
    assert all(source.name in config for source in card.data if source.name.endswith(".csv"))

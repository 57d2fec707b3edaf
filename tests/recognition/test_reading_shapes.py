"""What every experiment of a reader reads, recorded: a change of a pack or a default that changes it is told here.

Rows of text and tokens decide what a training costs and how many crops it takes; slots decide which bundles it can
begin with. Whoever changes one of them on purpose changes the record.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from alpr.plates.country import CountryPack
from alpr.recognition.mixture.sources import OWN, RenderedPlates
from alpr.training.configuration import composed

EXPERIMENTS = Path(__file__).resolve().parents[2] / "configs" / "experiment"
ONE_ROW_OF_CHINA = (
    "blue, green small, green large, yellow, yellow learner, police, Hong Kong and Macao, embassy, consulate"
)
EVERY_AMERICAN = "three and four, dashed, dotted, with arms, with a round mark, plain, of any length"
EVERY_LATIN = (
    "one row, long, narrow, short, arms after two, seals after three, a round mark after three, a star after three, "
    "a dash after two, spaces, two rows, two rows, the upper one smaller, two rows, the lower one smaller"
)
OTHERS = {  # rendered beside the experiment's own country
    "world_recogniser": {
        "br": (7, 5), "us": (8, 7), "ar": (7, 3), "gb": (7, 6), "sk": (7, 3), "ua": (8, 3), "tr": (8, 2), "in": (11, 3),
        "vn": (9, 5), "uz": (9, 4), "tn": (8, 5), "dz": (11, 6), "cl": (7, 3), "fr": (9, 7), "de": (8, 3), "it": (8, 6),
        "es": (8, 4), "pl": (8, 5), "ro": (8, 3), "no": (7, 3), "at": (8, 2), "gr": (7, 4), "cn": (8, 11), "eg": (7, 4),
        "kr": (9, 4),
    }
}  # fmt: skip
"""(slots, layouts) of the packs that an experiment names beside its country."""
RECORDED = {  # country, rows of text, (rows, columns) of tokens, slots, layouts
    "demo_recogniser": ("CN", 1, (1, 24), 8, "blue, green small, green large"),
    "br_recogniser": ("BR", 1, (1, 24), 7, "old, old commercial, Mercosur"),
    "us_recogniser": ("US", 1, (1, 24), 8, EVERY_AMERICAN),
    "world_recogniser": ("ZZ", 1, (1, 24), 12, EVERY_LATIN),
    **dict.fromkeys(
        (
            "ccpd_recogniser", "ccpd_green_recogniser",
            "cn_recogniser", "country_recogniser", "distil_fast", "fold_recogniser", "pretrain_decoder",
            "pretrain_encoder", "readers", "synthetic_recogniser",
        ),
        ("CN", 1, (1, 24), 8, ONE_ROW_OF_CHINA),
    ),
}  # fmt: skip


def composed_reader(experiment: str) -> dict[str, Any] | None:
    """The configuration of an experiment of a reader, as plain values; None of another network's."""
    config = composed("train", [f"experiment={experiment}", "++data.manifest=a.csv"])
    if "recognition" not in config.model._target_:
        return None
    if experiment == "distil_fast":
        config.model.teacher = "runs/another"
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


NAMES = [path.stem for path in sorted(EXPERIMENTS.glob("*.yaml"))]


def test_every_reader_is_recorded() -> None:
    assert {name for name in NAMES if composed_reader(name) is not None} == set(RECORDED)


@pytest.mark.parametrize("experiment", RECORDED)
def test_an_experiment_reads_what_is_recorded(experiment: str) -> None:
    config = composed_reader(experiment)
    assert config is not None
    module = instantiate(config["model"], _convert_="all")
    shape, layouts = module.network.settings, ", ".join(layout.name for layout in module.pack.layouts)
    assert (module.pack.code, shape.text_rows, shape.token_grid, shape.slots, layouts) == RECORDED[experiment]
    others = {}
    for entry in RenderedPlates.each(config["data"].get("rendered")):
        if entry.name != OWN:
            pack = replace(entry, glyph_bank=None).renderer(Path(), entry.whole_pack(), module.pack).pack
            others[entry.name] = pack.slots, len(pack.layouts)
    assert others == OTHERS.get(experiment, {})


@pytest.mark.parametrize("experiment", [name for name in RECORDED if not name.startswith("pretrain")])
def test_a_reader_states_when_it_has_begun_to_read(experiment: str) -> None:
    config = composed_reader(experiment)
    assert config is not None
    expected = config["watch"]["expected"]
    assert 0 < expected["left_chance_after"] < expected["crops_to_half"]


def test_a_pack_with_a_wider_layout_changes_no_run_that_does_not_read_it(china: CountryPack) -> None:
    assert china.rows == 2 and china.reading(None).rows == 1

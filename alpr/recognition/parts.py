"""The parts of a recogniser's network, and how those of another alphabet become this run's own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

RECOGNISER, FIRST_STAGE, SECOND_STAGE = "recogniser", "pretrained encoder", "pretrained decoder"
"""The kinds of networks that have these parts."""
ENCODER = frozenset({"stem", "positions", "encoder"})
"""The parts of a recogniser that `encode` uses."""
DECODER = frozenset({"queries", "decoder", "norm", "classifier"})
"""The parts that `decode` uses."""
LABELS = {"country_head": "country classes", "kind_head": "kind classes", "row_head": "row classes"}
"""The optional heads, each a part of its own."""
PRETEXT = frozenset({"mask_query", "regressor", "regressor_norm", "image_decoder"})
"""What stage 1 adds."""
CLASS_LAYERS = ("classifier", "ctc")
"""Layers whose outputs are the padding and the symbols of the alphabet."""


def part_of(name: str) -> str:
    """The part of a weight of a recogniser, by its name: encoder, decoder, pretext, a label's classes or heads."""
    top = name.removeprefix("network.").partition(".")[0]
    if top in LABELS:
        return LABELS[top]
    for part, names in (("encoder", ENCODER), ("decoder", DECODER), ("pretext", PRETEXT)):
        if top in names:
            return part
    return "heads"


def grown(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Weights whose classes stand where this run's alphabet has them; a symbol they do not know keeps the own ones."""
    rows = [0, *(ours.index(symbol) + 1 for symbol in theirs)]
    result = dict(weights)
    for name, value in weights.items():
        if name.split(".")[1] in CLASS_LAYERS and theirs != ours:
            result[name] = own[name].clone()
            result[name][rows] = value.to(own[name])
    return result


def difference(theirs: str, ours: str) -> str:
    """In which symbols two alphabets differ."""
    lacking, more = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    return f"Only the weights have {' '.join(lacking)}" + (f"; only this run has {' '.join(more)}." if more else ".")

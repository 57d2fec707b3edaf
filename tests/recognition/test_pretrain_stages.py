"""The stages as runs: each starts from the other's checkpoint, keeps what it should, and says what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import DECODER_PRETRAINING, ENCODER_PRETRAINING, RECOGNISER, REPOSITORY, Scripts, overrides

from alpr.plates.country import CountryPack
from alpr.recognition.module import RecogniserModule
from alpr.recognition.parts import part_of
from alpr.recognition.pretraining.module import DecoderPretraining, EncoderPretraining, PretrainingModule
from alpr.runs.checkpoints import RunError, warm_start
from alpr.runs.weights import write_weights
from alpr.training.runs import load_recogniser

SHAPE = {"stem_widths": (4, 8, 16), "width": 16, "heads": 2, "encoder_layers": 1}


def state(run: Path, name: str = "best") -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return loaded


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], part: str) -> bool:
    names = [name for name in one if part_of(name) == part]
    assert names
    return all(torch.equal(one[name], other[name]) for name in names)


def test_each_stage_begins_where_the_last_one_ended(scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    done = scripts.run("train.py", overrides(ENCODER_PRETRAINING, tiny_data, first))
    assert done.code == 0 and "crops without texts train" in done.text, done.text
    assert len(list((first / "reconstructions").glob("*.jpg"))) == 3

    # Stage 2 is no user of data.root.
    settings = [s for s in overrides(DECODER_PRETRAINING, tiny_data, second) if not s.startswith("data.root")]
    done = scripts.run("train.py", [*settings, f"warm_start={first}"])
    assert done.code == 0, done.text
    assert f"It begins with the encoder of {first}" in done.text and "decoder and heads begin anew." in done.text
    for name in ("best", "last"):
        assert same(state(first), state(second, name), "encoder"), name
    assert not same(state(second, "last"), state(first), "decoder")
    assert not [name for name in state(second) if part_of(name) == "pretext"]

    more = ("trainer.max_epochs=1", "optim.lr=0.0", f"warm_start={second}")
    done = scripts.run("train.py", overrides(RECOGNISER, tiny_data, third, *more))
    assert done.code == 0, done.text
    assert f"It begins with the decoder and encoder of {second}" in done.text and "heads begin anew." in done.text
    for name, value in load_recogniser(third).named_parameters():
        if part_of(name) in ("encoder", "decoder"):
            assert torch.equal(value, state(second)[name]), name
    with pytest.raises(RunError, match="holds the weights of a pretrained encoder; expected those of a recogniser"):
        load_recogniser(first)


def test_a_resumed_stage_remembers_what_it_took(china: CountryPack) -> None:
    """Resuming copies no weights again, so what was taken is known from the checkpoint alone."""
    first = module(EncoderPretraining, china)
    assert isinstance(first, PretrainingModule) and first.learnt == ["encoder", "pretext"]
    first.on_load_checkpoint({"hyper_parameters": {"learnt": ["decoder", "encoder", "pretext"]}})
    assert dict(first.hparams)["learnt"] == ["decoder", "encoder", "pretext"]
    assert type(first)(**dict(first.hparams)).learnt == ["decoder", "encoder", "pretext"]


def module(kind: type[RecogniserModule], china: CountryPack, **more: Any) -> RecogniserModule:
    return kind(china.to_dict(), network=more.pop("network", SHAPE), predictor={"size": (16, 64)}, **more)


def saved(of: RecogniserModule, path: Path) -> Path:
    torch.save({"state_dict": of.state_dict(), "hyper_parameters": dict(of.hparams)}, path)
    return path


def test_a_recogniser_keeps_encoder_and_positions_of_stage_1(tmp_path: Path, china: CountryPack) -> None:
    first = module(EncoderPretraining, china)
    path = saved(first, tmp_path / "first.ckpt")
    fresh = module(RecogniserModule, china)
    queries = fresh.network.queries.clone()
    sentence = warm_start(fresh, path)
    assert torch.equal(fresh.network.positions, first.network.positions)
    crops = torch.randint(0, 256, (2, 16, 64, 3), dtype=torch.uint8)
    assert torch.equal(fresh.eval().network.encode(crops), first.eval().network.encode(crops))
    assert torch.equal(fresh.network.queries, queries) and not torch.equal(first.network.queries, queries)
    assert "begins with the encoder of" in sentence and "decoder and heads begin anew" in sentence
    wider = module(RecogniserModule, china, network={**SHAPE, "width": 24})
    with pytest.raises(RunError, match="do not fit this network"):
        warm_start(wider, path)
    deeper = module(RecogniserModule, china, network={**SHAPE, "encoder_layers": 2})
    with pytest.raises(RunError, match=r"do not fit this network(.|\n)*encoder\.1"):
        warm_start(deeper, path)
    write_weights(first, tmp_path / "first.safetensors")
    warm_start(fresh, tmp_path / "first.safetensors")
    assert torch.allclose(fresh.network.positions, first.network.positions, atol=1e-4)


def test_only_an_encoder_goes_to_another_alphabet(tmp_path: Path, china: CountryPack) -> None:
    other = CountryPack.from_dict({**china.to_dict(), "alphabet": china.alphabet + "Ä"})
    fresh = module(RecogniserModule, china)
    warm_start(fresh, saved(module(EncoderPretraining, other), tmp_path / "a.ckpt"))
    with pytest.raises(RunError, match="has the alphabet"):
        warm_start(fresh, saved(module(DecoderPretraining, other), tmp_path / "b.ckpt"))


def test_parts_are_chosen(tmp_path: Path, china: CountryPack) -> None:
    """The encoder of one country begins the reader of another."""
    path = saved(module(RecogniserModule, china), tmp_path / "r.ckpt")
    fresh = module(RecogniserModule, CountryPack.read(REPOSITORY / "configs" / "country" / "br.yaml"))
    before = fresh.network.queries.clone()
    assert "decoder and heads begin anew" in warm_start(fresh, path, ["encoder"])
    assert torch.equal(fresh.network.queries, before)
    with pytest.raises(RunError, match=r"has the parts .* expected those of \['stem'\]"):
        warm_start(fresh, path, ["stem"])


def test_what_a_stage_was_given_is_carried_on(tmp_path: Path, china: CountryPack) -> None:
    """A recogniser's decoder goes through stage 1, which does not train it, and begins stage 3."""
    trained = module(RecogniserModule, china)
    first = module(EncoderPretraining, china)
    assert "pretext begin anew" in warm_start(first, saved(trained, tmp_path / "r.ckpt"))
    assert isinstance(first, PretrainingModule) and first.learnt == ["decoder", "encoder", "heads", "pretext"]
    last = module(RecogniserModule, china)
    assert "begin anew" not in warm_start(last, saved(first, tmp_path / "s.ckpt"))
    assert all(torch.equal(a, b) for a, b in zip(last.parameters(), trained.parameters(), strict=True))


def test_each_stage_trains_its_parts_only(china: CountryPack) -> None:
    for kind, parts in ((EncoderPretraining, {"encoder", "pretext"}), (DecoderPretraining, {"decoder"})):
        stage = module(kind, china)
        trained = {part_of(name) for name, p in stage.named_parameters() if p.requires_grad}
        assert trained == parts
    for mode in (stage, stage.train(), stage.eval().train()):
        assert not mode.network.stem.training and not mode.network.encoder.training and mode.network.decoder.training

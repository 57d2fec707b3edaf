"""Training says whether it has begun to read, and remembers when, also over a resumption."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from alpr.recognition.plateau import ExpectedCurve, PlateauWatch

LOGGED = SimpleNamespace(log=lambda *_: None)


CURVE = ExpectedCurve(left_chance_after=20_000)


def watch(patches: bool = False, expected: ExpectedCurve | None = CURVE) -> PlateauWatch:
    return PlateauWatch(3.0, 2.0, 50, patches, expected)


def run(of: PlateauWatch, losses: list[float], first_step: int = 0, accumulated: int = 1) -> None:
    """Steps of 50 crops per batch, numbered on from `first_step`."""
    trainer: Any = SimpleNamespace(
        accumulate_grad_batches=accumulated, world_size=1, is_global_zero=True, is_last_batch=False, global_step=0
    )
    for i, loss in enumerate(losses):
        trainer.global_step = first_step + (i + 1) // accumulated
        trainer.callback_metrics = {"train/slots": loss}
        of.on_train_batch_end(trainer, LOGGED, None, None, i)  # type: ignore[arg-type]


def validated(of: PlateauWatch, step: int, accuracy: float, sanity: bool = False) -> None:
    trainer: Any = SimpleNamespace(
        accumulate_grad_batches=1, world_size=1, is_global_zero=True, global_step=step, sanity_checking=sanity,
        callback_metrics={"val/accuracy": accuracy},
    )  # fmt: skip
    of.on_validation_end(trainer, LOGGED)  # type: ignore[arg-type]


def test_a_late_run_is_told_every_20000_crops_until_it_has_left_chance(capsys: pytest.CaptureFixture[str]) -> None:
    of = watch()
    run(of, [1.95] * 1000 + [1.0] * 1000)  # 50,000 crops that know the kind of a plate, then reading
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == [
        "Still at chance after 20,000 crops, where this experiment had left it after 20,000",
        "Still at chance after 40,000 crops, where this experiment had left it after 20,000",
        "After 52,000 crops the loss has left chance",
    ]
    assert "the slots' loss is 1.95 nats, the labels' marginal entropy 3.00, 2.00 where the kind" in told[0]
    for word in ("A plateau or a bug", "labels", "alphabet", "number of slots", "optim.lr"):
        assert word in told[0]
    assert "Patches" not in told[0] and of.left_chance_after == 52_000


def test_a_run_that_keeps_to_its_curve_or_has_none_is_not_warned(capsys: pytest.CaptureFixture[str]) -> None:
    for expected in (ExpectedCurve(52_000, 90_000), ExpectedCurve(), None):
        of = watch(expected=expected)
        run(of, [1.95] * 1000 + [1.0] * 500)
        validated(of, 1500, 0.6)
        told = capsys.readouterr().out.splitlines()
        assert [line.split(" crops ")[0] for line in told] == ["After 52,000", "After 75,000"], expected
    run(watch(expected=ExpectedCurve(51_950)), [1.95] * 1000 + [1.0] * 500)
    assert capsys.readouterr().out.startswith("Still at chance after 51,950 crops")


def test_a_run_that_reads_less_than_half_too_late_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    of = watch(expected=ExpectedCurve(20_000, 30_000))
    run(of, [1.0] * 1100)
    told = capsys.readouterr().out.splitlines()
    assert [line[:19] for line in told] == ["After 2,000 crops t", "After 30,000 crops ", "After 50,000 crops "]
    assert "less than half of the held-back plates" in told[1]


def test_an_expected_curve_is_checked() -> None:
    assert ExpectedCurve.of(None) == ExpectedCurve() and ExpectedCurve.of({"crops_to_half": 5}).crops_to_half == 5
    for wrong in ({"half": 3}, {"crops_to_half": 0}, {"left_chance_after": 2.5}):
        with pytest.raises(ValueError, match=r"watch\.expected is .*left_chance_after and crops_to_half"):
            ExpectedCurve.of(wrong)


def test_patches_are_told_of_the_pretraining(capsys: pytest.CaptureFixture[str]) -> None:
    run(watch(patches=True), [2.5] * 400)
    told = capsys.readouterr().out
    assert "Patches need" in told and "pretrain_encoder" in told and "pretrain_decoder" in told


def test_one_lucky_batch_is_no_reading(capsys: pytest.CaptureFixture[str]) -> None:
    of = watch()
    run(of, ([2.0] * 39 + [0.1]) * 10)
    assert of.left_chance_after is None and "Still at chance after 20,000" in capsys.readouterr().out


def test_a_resumed_run_counts_and_remembers_as_one_that_was_not_killed(capsys: pytest.CaptureFixture[str]) -> None:
    losses = [2.5] * 450 + [1.0] * 50
    whole = watch()
    run(whole, losses)
    said = capsys.readouterr().out
    for kill in (1, 399, 400, 413, 470):
        before, after = watch(), watch()
        run(before, losses[:kill])
        after.load_state_dict(before.state_dict())
        run(after, losses[kill:], first_step=kill)
        assert capsys.readouterr().out == said and after.state_dict() == whole.state_dict(), kill


def test_accumulated_batches_count_as_the_steps_they_make(capsys: pytest.CaptureFixture[str]) -> None:
    of = watch()
    run(of, [2.5] * 800 + [1.0] * 80, accumulated=4)
    assert [line[:34] for line in capsys.readouterr().out.splitlines()][:2] == [
        "Still at chance after 20,000 crops",
        "Still at chance after 40,000 crops",
    ]
    assert of.left_chance_after == 42_000


def test_the_crops_to_half_are_those_of_the_first_validation_there(capsys: pytest.CaptureFixture[str]) -> None:
    of = watch()
    validated(of, 0, 0.9, sanity=True)
    for step, accuracy in ((100, 0.2), (200, 0.5), (300, 0.4), (400, 0.9)):
        validated(of, step, accuracy)
    assert of.figures() == {"left_chance_after": None, "crops_to_half": 10_000}
    assert capsys.readouterr().out == "After 10,000 crops 50.0% of the held-back plates are read.\n"

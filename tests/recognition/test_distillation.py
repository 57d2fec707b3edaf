"""A student learns from its teacher, the teacher stays as it is, and nothing of it is left behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from alpr.plates.country import CountryPack
from alpr.recognition.distillation import DistillationSettings, DistilledRecogniser, divergence
from alpr.recognition.module import RecogniserModule
from alpr.recognition.targets import RecognitionBatch, recognition_batch
from alpr.runs.checkpoints import RunError
from alpr.runs.weights import write_weights
from alpr.training.runs import load_recogniser

SHAPE = {"stem_widths": (4, 8, 16), "width": 16, "heads": 2, "encoder_layers": 1, "dropout": 0.2}
WIDER = {**SHAPE, "width": 24, "encoder_layers": 2}


def teacher_of(china: CountryPack, **more: Any) -> RecogniserModule:
    torch.manual_seed(5)
    return RecogniserModule(china.to_dict(), **{"network": WIDER, "predictor": {"size": (16, 64)}, **more})


def student_of(china: CountryPack, path: str = "runs/x", network: Any = SHAPE, **distillation: float) -> Any:
    torch.manual_seed(6)
    predictor = {"size": (16, 64)}
    return DistilledRecogniser(china.to_dict(), path, distillation, network=network, predictor=predictor)


def batch_of(china: CountryPack) -> tuple[RecognitionBatch, list[str]]:
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (3, 16, 64, 3), dtype=torch.uint8, generator=generator).numpy()
    batch = recognition_batch(list(crops), ["皖A12345", "皖AD12345", ""], china.charset, china.slots, empty=True)
    return batch, []


def test_the_divergence_is_hintons() -> None:
    student, teacher = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    assert divergence(student, student, 3.0) == pytest.approx(0)
    p, q = (functional.softmax(logits / 3.0, -1) for logits in (teacher, student))
    assert divergence(student, teacher, 3.0) == pytest.approx(9 * float((p * (p / q).log()).sum(-1).mean()))
    assert divergence(student, teacher, 3.0) != pytest.approx(float(divergence(teacher, student, 3.0)))


def test_the_gradient_of_a_hot_divergence_keeps_its_size() -> None:
    """T^2 cancels the 1 / T^2 of the gradient: hot temperatures all give that of matched, centred logits."""
    teacher = torch.randn(4, 5, 7, dtype=torch.float64)

    def gradient(temperature: float) -> torch.Tensor:
        student = torch.zeros_like(teacher).requires_grad_()
        (found,) = torch.autograd.grad(divergence(student, teacher, temperature), student)
        return found

    assert torch.allclose(gradient(1000), -(teacher - teacher.mean(-1, keepdim=True)) / 7 / 20, rtol=0.02, atol=1e-5)


def test_a_teacher_with_the_students_weights_adds_nothing(china: CountryPack) -> None:
    student = student_of(china, network={**SHAPE, "dropout": 0.0}, ctc_weight=0.5)
    twin = teacher_of(china, network={**SHAPE, "dropout": 0.0})
    twin.load_state_dict(student.state_dict())
    student.learn_from(twin)
    student.network.eval()
    losses = student.losses(batch_of(china))
    assert losses.teacher.item() == pytest.approx(0, abs=1e-5)
    labels = RecogniserModule.losses(student, batch_of(china))
    assert losses.total.item() == pytest.approx(labels.total.item()) and losses.slots.item() == labels.slots.item()


def test_only_the_student_learns(china: CountryPack) -> None:
    student, teacher = student_of(china, ctc_weight=1.0), teacher_of(china)
    teacher.train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student.learn_from(teacher)
    student.train()
    losses = student.losses(batch_of(china))
    losses.total.backward()
    assert losses.total.item() == pytest.approx((losses.slots + losses.ctc + losses.teacher).item())
    assert all(p.grad is not None for p in student.network.parameters())
    assert all(p.grad is None for p in teacher.parameters()) and not teacher.network.training
    torch.optim.SGD(student.parameters(), lr=1.0).step()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_the_teacher_draws_no_dropout(china: CountryPack) -> None:
    """Its logits are those of evaluation, and the student's dropout draws what it drew without a teacher."""
    student = student_of(china)
    student.learn_from(teacher_of(china))
    student.train()
    torch.manual_seed(9)
    taught = student.losses(batch_of(china))
    torch.manual_seed(9)
    assert taught.slots.item() == RecogniserModule.losses(student, batch_of(china)).slots.item()


def prepared(student: DistilledRecogniser) -> None:
    """As a run does, before its first step."""
    data = SimpleNamespace(label_entropy=lambda: 3.0, kind_entropy=lambda: 2.0, counts=[2, 2])
    student.prepare(data, {"watch": {"expected": None}})


def test_a_student_comes_to_read_as_its_teacher(china: CountryPack) -> None:
    """Without labels' help: what falls is the divergence, far below where it began."""
    student = student_of(china, network={**SHAPE, "dropout": 0.0}, weight=10.0)
    student.learn_from(teacher_of(china))
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    history = []
    for _ in range(60):
        loss = student.losses(batch_of(china)).teacher
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.1 * history[0]


def test_what_it_leaves_is_a_recogniser_like_any_other(china: CountryPack, tmp_path: Path) -> None:
    write_weights(teacher_of(china), tmp_path / "teacher.safetensors")
    student = student_of(china, str(tmp_path / "teacher.safetensors"))
    prepared(student)
    assert teacher_of(china).teacher_path is None
    plain = teacher_of(china, network=SHAPE)
    assert list(student.state_dict()) == list(plain.state_dict())
    assert set(student.hparams) == set(plain.hparams)
    assert sum(1 for _ in student.modules()) == sum(1 for _ in plain.modules())
    write_weights(student, tmp_path / "student.safetensors")
    assert type(load_recogniser(tmp_path / "student.safetensors")) is RecogniserModule


def test_a_teacher_that_does_not_fit_is_refused(china: CountryPack, tmp_path: Path) -> None:
    plain = china.to_dict()
    shuffled = {**plain, "alphabet": china.alphabet[::-1]}
    narrow = {**plain["layouts"][0], "name": "long", "pattern": "PLAAAAAAA", "character_mm": [90, 30]}
    longer = {**plain, "layouts": [*plain["layouts"], narrow]}
    for country, predictor, sentence in (
        (plain, {"size": (16, 128)}, r"crop size .* runs/x is \(16, 128\); the student's is \(16, 64\)"),
        (plain, {"size": (16, 64), "margin": 0.1}, r"crop margin .* is 0\.1; the student's is 0\.04"),
        (longer, {"size": (16, 64)}, r"number of slots .* is 9; the student's is 8"),
        (shuffled, {"size": (16, 64)}, f"alphabet .* is {china.alphabet[::-1]}; the student's is {china.alphabet}"),
    ):
        teacher = RecogniserModule(country, network=SHAPE, predictor=predictor)
        with pytest.raises(ValueError, match=sentence):
            student_of(china).learn_from(teacher)
    finer = teacher_of(china, network={**SHAPE, "stem_stride_x": 4})
    student_of(china).learn_from(finer)
    with pytest.raises(ValueError, match=r"grid of tokens .* is \(2, 16\); the student's is \(2, 8\)"):
        student_of(china, ctc_weight=1.0).learn_from(finer)
    with pytest.raises(ValueError, match="trained without a CTC term"):
        student_of(china, ctc_weight=1.0).learn_from(teacher_of(china, loss={"ctc_weight": 0.0}))
    with pytest.raises(RunError, match="is no checkpoint and no run folder"):
        prepared(student_of(china, str(tmp_path / "gone")))
    with pytest.raises(RuntimeError, match="was not loaded"):
        student_of(china).losses(batch_of(china))


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"weight": -1.0}, {"weight": 0.0}, {"ctc_weight": -1.0}])
def test_a_setting_out_of_its_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected weights of 0 or more"):
        DistillationSettings(**wrong)

"""Export: parity holds for networks that keep the contract; a broken export raises and leaves nothing."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_bundle import ALPHABET, SLOTS, pack, write_bundle
from torch import Tensor, nn

from alpr import Reader
from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.export import onnx_bundle
from alpr.export.parity import ParityError, ReaderParity, check_detector, check_recogniser, generated_scenes
from alpr.images.prepare import letterbox
from alpr.reader.card import DataSource, ModelCard, TrainingRun, WeightFile
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser
from alpr.recognition.read import Recogniser
from alpr.recognition.settings import RecogniserSettings

DETECTOR = DetectorSettings(input_px=160, score_threshold=0.5, max_plates=10)
RECOGNISER = RecogniserSettings(slots=SLOTS)


class StandInDetector(nn.Module):
    """Two levels with a top-down sum, so that odd sizes and dynamic shapes are met as in the real network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 8, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 13, 3, 1, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = image.flip(-1).permute(0, 3, 1, 2).float() / 255 - 0.5
        fine = self.stem(x)
        coarse = self.down(fine)
        fine = fine + nn.functional.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        outputs = [self._level(fine, 8), self._level(coarse, 16)]
        scores, boxes, corners = (torch.cat(parts, 1) for parts in zip(*outputs, strict=True))
        return scores, boxes, corners

    def _level(self, x: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        out = self.dropout(self.head(x))
        batch, _, height, width = out.shape
        ys = torch.arange(height, device=x.device).float() + 0.5
        xs = torch.arange(width, device=x.device).float() + 0.5
        centres = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).reshape(1, -1, 2) * stride
        out = out.flatten(2).transpose(1, 2)
        scores = (3 * out[..., 0]).sigmoid()
        boxes = torch.cat([centres - stride * out[..., 1:3].exp(), centres + stride * out[..., 3:5].exp()], -1)
        offsets = torch.tensor([[-3.0, -1.0], [3.0, -1.0], [3.0, 1.0], [-3.0, 1.0]])
        corners = centres[:, :, None] + stride * (offsets + out[..., 5:].reshape(batch, -1, 4, 2))
        return scores, boxes, corners


class StandInRecogniser(nn.Module):
    def __init__(self, classes: int = len(ALPHABET) + 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 9, 8, 4), nn.GELU())
        self.queries = nn.Parameter(torch.randn(SLOTS, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, crop: Tensor) -> Tensor:
        x = self.stem(crop.permute(0, 3, 1, 2).float() / 127.5 - 1).flatten(2).transpose(1, 2)
        queries = self.queries.expand(len(x), -1, -1)
        return self.head(4 * self.attention(queries, x, x, need_weights=False)[0])


@pytest.fixture(scope="module")
def detector() -> StandInDetector:
    torch.manual_seed(0)
    return StandInDetector()


@pytest.fixture(scope="module")
def recogniser() -> StandInRecogniser:
    torch.manual_seed(1)
    return StandInRecogniser()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, detector: nn.Module, recogniser: nn.Module) -> Path:
    """A bundle of the two stand-ins; both are left in training mode, with their dropout, on purpose."""
    output = tmp_path_factory.mktemp("models") / "stand_in"
    detector.train()
    report = onnx_bundle.export_bundle(
        detector,
        DETECTOR,
        recogniser,
        RECOGNISER,
        pack(),
        output,
        commit="0" * 40,
        data=[DataSource("a.csv", "1" * 64, "CC0")],
        metrics={"read": 0.5},
        training=[TrainingRun("run", 3, {"lr": 0.1})],
        beside=lambda folder: (folder / "notes.txt").write_text("beside"),
    )
    assert detector.training
    assert report.detector.plates > 0 and report.recogniser.texts > 0
    return output


def test_the_bundle_is_whole_and_gives_the_networks_results(
    bundle: Path, detector: StandInDetector, recogniser: StandInRecogniser
) -> None:
    assert sorted(p.name for p in bundle.parent.iterdir()) == ["stand_in"]
    assert sorted(p.name for p in bundle.iterdir()) == ["card.json", "detector.onnx", "notes.txt", "recogniser.onnx"]
    card = ModelCard.read(bundle)
    assert card.other_files == (WeightFile.of(bundle / "notes.txt"),)
    assert (card.commit, card.training[0].seed, card.data[0].licence) == ("0" * 40, 3, "CC0")
    assert card.metrics["read"] == 0.5 and card.metrics["parity"]["detector"]["scores"] < 1e-4
    at_rest = onnx_bundle._at_rest
    parts = Reader.from_parts(
        Detector(onnx_bundle.torch_detector(at_rest(detector)), DETECTOR),
        Recogniser(onnx_bundle.torch_recogniser(at_rest(recogniser)), RECOGNISER, pack().charset),
    )
    scenes = generated_scenes(2, seed=7)
    expected, got = parts(scenes), Reader(bundle, threads=1)(scenes)
    assert [len(plates) for plates in got] == [len(plates) for plates in expected] and expected[0]
    for a, b in zip(expected[0], got[0], strict=True):
        np.testing.assert_allclose(a.detection.corners, b.detection.corners, atol=0.1)


def test_sizes_and_batches_other_than_the_traced_ones(bundle: Path, detector: StandInDetector) -> None:
    session = OnnxDetector(bundle / "detector.onnx", threads=1)
    reference = onnx_bundle.torch_detector(onnx_bundle._at_rest(detector))
    for shape in ((1, 32, 32, 3), (5, 96, 224, 3)):
        batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        for a, b in zip(reference(batch), session(batch), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)


def _nudged(path: Path, name_part: str) -> None:
    model = onnx.load(path)
    weights = next(w for w in model.graph.initializer if name_part in w.name and len(w.dims) > 1)
    values = onnx.numpy_helper.to_array(weights).copy()
    values += 0.05
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, path)


@pytest.mark.parametrize(("function", "weights"), [("export_detector", "head"), ("export_recogniser", "stem")])
def test_a_broken_export_raises_and_leaves_nothing(
    function: str,
    weights: str,
    tmp_path: Path,
    bundle: Path,
    detector: nn.Module,
    recogniser: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def copied(network: nn.Module, path: Path, settings: object) -> None:  # the export itself is slow and tested above
        shutil.copy(bundle / path.name, path)
        if function.endswith(path.stem):
            _nudged(path, weights)

    monkeypatch.setattr(onnx_bundle, "export_detector", copied)
    monkeypatch.setattr(onnx_bundle, "export_recogniser", copied)
    with pytest.raises(ParityError, match=r"differ by .* allowed"):
        onnx_bundle.export_bundle(detector, DETECTOR, recogniser, RECOGNISER, pack(), tmp_path / "models" / "broken")
    assert list((tmp_path / "models").iterdir()) == []
    # A bundle that stood there stays as it was.
    old = write_bundle(tmp_path / "models" / "old")
    before = {p.name: p.read_bytes() for p in old.iterdir()}
    with pytest.raises(ParityError):
        onnx_bundle.export_bundle(detector, DETECTOR, recogniser, RECOGNISER, pack(), old)
    assert {p.name: p.read_bytes() for p in old.iterdir()} == before
    assert [p.name for p in old.parent.iterdir()] == ["old"]
    # The same copies unbroken pass, and take the old bundle's place.
    function = "none"
    measured = ReaderParity(1, 0.0, 1.0, 1, 0.5)  # networks that have learnt nothing read noise, each in its own way
    monkeypatch.setattr(onnx_bundle, "check_reader", lambda card, folder, images: measured)
    report = onnx_bundle.export_bundle(detector, DETECTOR, recogniser, RECOGNISER, pack(), old, reader=True)
    assert (old / "detector.onnx").read_bytes() == (bundle / "detector.onnx").read_bytes()
    card = ModelCard.read(old)
    assert report.reader == measured and card.metrics["parity"] == asdict(report)
    assert card.reader_file == WeightFile.of(old / "reader.onnx")


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="is no bundle"):
        onnx_bundle.export_bundle(nn.Identity(), DETECTOR, nn.Identity(), RECOGNISER, pack(), tmp_path)
    assert (tmp_path / "thesis.txt").is_file()


class _Shifted:
    """A network whose results pass the raw tolerance or not, by one chosen output."""

    def __init__(self, network: OnnxDetector, output: int, by: float) -> None:
        self.network, self.output, self.by = network, output, by

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        outputs = list(self.network(batch))
        outputs[self.output] = outputs[self.output] + np.float32(self.by)
        return outputs[0], outputs[1], outputs[2]


@pytest.mark.parametrize(("output", "by"), [(0, 2e-4), (1, 0.05), (2, 0.05)])
def test_the_tolerance_is_what_it_says(bundle: Path, output: int, by: float) -> None:
    network = OnnxDetector(bundle / "detector.onnx", threads=1)
    reference, scenes = Detector(network, DETECTOR), generated_scenes(2)
    check_detector(reference, Detector(_Shifted(network, output, by / 1000), DETECTOR), scenes)
    with pytest.raises(ParityError, match=("scores", "boxes", "corners")[output]):
        check_detector(reference, Detector(_Shifted(network, output, by), DETECTOR), scenes)
    with pytest.raises(ParityError, match="differ by nan"):
        check_detector(reference, Detector(_Shifted(network, output, float("nan")), DETECTOR), scenes)


def test_decoded_results_are_compared_even_where_raw_outputs_agree(bundle: Path) -> None:
    """An exported detector with a fault that only the decoding shows: a plate lost in batches of three."""
    network = OnnxDetector(bundle / "detector.onnx", threads=1)

    def forgetful(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores, boxes, corners = network(batch)
        calls.append(len(batch))
        return (scores * 0 if len(calls) > 4 and len(batch) == 3 else scores), boxes, corners

    calls: list[int] = []
    scenes = [generated_scenes(1)[0]] * 3
    with pytest.raises(ParityError, match="0 plates are found after the export"):
        check_detector(Detector(network, DETECTOR), Detector(forgetful, DETECTOR), scenes)


def test_a_detector_that_finds_nothing_is_still_compared(bundle: Path) -> None:
    settings = DetectorSettings(input_px=160, score_threshold=1.0)
    network = OnnxDetector(bundle / "detector.onnx", threads=1)
    report = check_detector(Detector(network, settings), Detector(network, settings), generated_scenes(2))
    assert report.plates > 0 and report.threshold < 1.0


def test_another_text_is_refused(bundle: Path) -> None:
    network = OnnxRecogniser(bundle / "recogniser.onnx", RECOGNISER, len(ALPHABET) + 1, threads=1)
    charset = pack().charset

    def late(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        (logits,) = network(batch)
        calls.append(len(batch))
        return (np.roll(logits, 1, axis=-1) if len(calls) > 2 else logits,)

    calls: list[int] = []
    good = Recogniser(network, RECOGNISER, charset)
    crops = [letterbox(s, 192)[0] for s in generated_scenes(4)]
    assert check_recogniser(good, good, crops).logits == 0
    with pytest.raises(ParityError, match="reads"):
        check_recogniser(good, Recogniser(late, RECOGNISER, charset), crops)

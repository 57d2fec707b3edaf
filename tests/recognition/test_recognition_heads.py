"""Heads for a plate's country and kind: off by default, trained where labels exist, exported, read and written."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_bundle import write_bundle
from torch.nn import functional
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.export.onnx_bundle import export_recogniser
from alpr.export.parity import ParityError, check_recogniser
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.plates.records import Reading
from alpr.reader.card import CARD_FILE, CardError, ModelCard, WeightFile
from alpr.reader.reader import Reader
from alpr.reader.sessions import OnnxRecogniser, SessionError
from alpr.recognition.data import LabelledCrop
from alpr.recognition.datamodule import RecognitionData
from alpr.recognition.decode import decode_labels
from alpr.recognition.losses import RecognitionLossSettings, label_loss, recognition_losses
from alpr.recognition.metrics import RecognitionMetrics
from alpr.recognition.mixture.sources import kind_label
from alpr.recognition.model import MaskOcr, MaskOcrSettings
from alpr.recognition.module import RecogniserModule, torch_recogniser
from alpr.recognition.read import Recogniser
from alpr.recognition.settings import RecogniserSettings
from alpr.recognition.targets import UNKNOWN, RecognitionBatch
from alpr.runs.checkpoints import warm_start
from alpr.runs.weights import write_weights
from alpr.training.runs import load_recogniser

COUNTRIES, KINDS = ("BR", "US", "AR"), ("blue", "green")
PLAIN = MaskOcrSettings(3, 4, (16, 64), (4, 6, 8), width=16, heads=2, encoder_layers=1)
HEADS = replace(PLAIN, countries=COUNTRIES, kinds=KINDS)
CARD = RecogniserSettings((16, 64), slots=3, countries=COUNTRIES, kinds=KINDS)


def network(settings: MaskOcrSettings) -> MaskOcr:
    torch.manual_seed(0)
    return MaskOcr(settings).eval()


def crops(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 64, 3), np.uint8)


def pack(repository: Path, code: str) -> CountryPack:
    return CountryPack.read(repository / "configs" / "country" / f"{code}.yaml")


def test_without_heads_nothing_differs_and_with_them_the_reading_is_the_same() -> None:
    plain, heads = network(PLAIN), network(HEADS)
    state, batch = heads.state_dict(), torch.from_numpy(crops())
    more = set(state) - set(plain.state_dict())
    assert {name.split(".")[0] for name in more} == {"country_head", "kind_head"}
    heads.load_state_dict({**state, **plain.state_dict()}, strict=True)
    with torch.no_grad():
        logits, countries, kinds = heads(batch)
        assert torch.equal(plain(batch), logits)
        assert countries.shape == (3, 3) and kinds.shape == (3, 2)
        trained = heads.training_logits(batch)
        assert trained.countries is not None and torch.equal(trained.countries, countries)
        assert plain.training_logits(batch).countries is None
        assert len(network(replace(PLAIN, kinds=KINDS))(batch)) == 2
    for wrong in (("BR",), ("BR", "BR")):
        with pytest.raises(ValueError, match="at least two different"):
            replace(PLAIN, countries=wrong)


def batch_of(labels: list[int]) -> RecognitionBatch:
    n = len(labels)
    crops, known, rows = torch.zeros(n, 16, 64, 3, dtype=torch.uint8), torch.tensor(labels), torch.ones(n).long()
    return RecognitionBatch(crops, torch.ones(n, 3).long(), known, known, rows)


def test_only_known_labels_are_learnt() -> None:
    torch.manual_seed(1)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([2, UNKNOWN, 0, UNKNOWN])
    loss = label_loss(logits, labels)
    torch.testing.assert_close(loss, functional.cross_entropy(logits[[0, 2]], labels[[0, 2]]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[[1, 3]].any() and gradient[[0, 2]].any()
    assert torch.autograd.gradcheck(lambda z: label_loss(z, labels), logits)
    (gradient,) = torch.autograd.grad(label_loss(logits, torch.full((4,), UNKNOWN)), logits)
    assert gradient.isfinite().all() and not gradient.any()


def test_their_terms_are_weighed_and_finite_without_any_label() -> None:
    net, settings = network(HEADS), RecognitionLossSettings(country_weight=0.5, kind_weight=0.25)
    for labels in ([0, 1, UNKNOWN], [UNKNOWN] * 3):
        batch = batch_of(labels)
        logits = net.training_logits(batch.crops)
        found = recognition_losses(logits, batch, settings)
        assert found.country is not None and found.kind is not None and logits.countries is not None
        torch.testing.assert_close(found.total, found.slots + found.ctc + found.country + found.kind)
        torch.testing.assert_close(found.country, 0.5 * label_loss(logits.countries, batch.countries))
        found.total.backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())
    assert found.country.item() == found.kind.item() == 0


def test_the_exported_heads_are_the_networks(tmp_path: Path) -> None:
    net, charset, path = network(HEADS), Charset("ABC"), tmp_path / "r.onnx"
    with torch.no_grad():
        for head in (net.country_head, net.kind_head):
            assert head is not None
            head[1].weight.mul_(200)  # crops differ in their answers
    export_recogniser(net, path, CARD)
    exported = OnnxRecogniser(path, CARD, 4, threads=1)
    read, reads = (Recogniser(n, CARD, charset) for n in (torch_recogniser(net), exported))
    images = [*crops(7), np.zeros((20, 50, 3), np.uint8)]
    report = check_recogniser(read, reads, images)
    assert report.logits < 1e-4 and report.texts == 16
    for one, other in zip(read.read(images), reads.read(images), strict=True):
        assert (one.country, one.kind) == (other.country, other.kind) and one.country in COUNTRIES
        assert one.kind_score == pytest.approx(other.kind_score, abs=1e-4) and 0.5 <= (one.kind_score or 0) <= 1
    for output in (1, 2):

        def broken(batch: np.ndarray, output: int = output) -> tuple[np.ndarray, ...]:
            outputs = list(exported(batch))
            outputs[output] = outputs[output] + np.float32(0.5) * np.abs(outputs[output]).max()
            return tuple(outputs)

        with pytest.raises(ParityError, match=("countries", "kinds")[output - 1]):
            check_recogniser(read, Recogniser(broken, CARD, charset), images)
    for wrong in (replace(CARD, kinds=()), replace(CARD, kinds=("a", "b", "c"))):
        with pytest.raises(SessionError, match="kinds"):
            OnnxRecogniser(path, wrong, 4, threads=1)


def test_labels_by_hand() -> None:
    found = decode_labels(np.log(np.array([[0.1, 0.9], [0.6, 0.4]])), KINDS)
    assert [name for name, _ in found] == ["green", "blue"]
    assert [score for _, score in found] == pytest.approx([0.9, 0.6])
    for wrong, says in ((np.zeros((2, 3)), r"\(B, 2\)"), (np.full((1, 2), np.nan), "not finite")):
        with pytest.raises(ValueError, match=says):
            decode_labels(wrong, KINDS)


def test_a_warm_start_keeps_equal_heads_and_begins_others_anew(tmp_path: Path, china: CountryPack) -> None:
    def module(**heads: Any) -> RecogniserModule:
        shape = {"stem_widths": (4, 6, 8), "width": 16, "heads": 2, "encoder_layers": 1, **heads}
        return RecogniserModule(china.to_dict(), shape, predictor={"size": (16, 64)})

    def saved(of: RecogniserModule) -> Path:
        write_weights(of, tmp_path / "r.safetensors")
        return tmp_path / "r.safetensors"

    plain, both = module(), module(countries=["CN", "BR"], kinds=["blue", "green"])
    said = warm_start(both, saved(plain))
    assert "country classes and kind classes begin anew" in said
    again = load_recogniser(saved(both))
    assert again.predictor.countries == ("CN", "BR") and again.predictor.kinds == ("blue", "green")
    other = module(countries=["CN", "BR"], kinds=["green", "blue"])
    said = warm_start(other, tmp_path / "r.safetensors")
    assert "kind classes begin anew" in said and "the country classes" in said
    ours, theirs = other.state_dict(), again.state_dict()
    assert torch.equal(ours["network.country_head.1.weight"], theirs["network.country_head.1.weight"])
    assert not torch.equal(ours["network.kind_head.1.weight"], theirs["network.kind_head.1.weight"])
    assert "anew" not in warm_start(module(), tmp_path / "r.safetensors")


def test_released_weights_load_and_start_a_reader_with_heads(repository: Path, china: CountryPack) -> None:
    bundle = repository / "model_bin" / "cn"
    released = load_recogniser(bundle / "recogniser.safetensors")
    assert released.predictor.outputs == {} == ModelCard.read(bundle).recogniser.outputs
    settings = {**dict(released.hparams), "country": released.pack.to_dict()}
    settings["network"] = {**settings["network"], "kinds": ["blue", "green", "yellow"]}
    said = warm_start(RecogniserModule(**settings), bundle / "recogniser.safetensors")
    assert said.endswith("kind classes begin anew.")


def test_a_card_holds_the_labels_and_old_cards_load(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    card = ModelCard.read(bundle)
    replace(card, recogniser=replace(card.recogniser, countries=COUNTRIES, kinds=KINDS)).write(bundle)
    found = ModelCard.read(bundle).recogniser
    assert (found.countries, found.kinds) == (COUNTRIES, KINDS) and found.outputs == {"countries": 3, "kinds": 2}
    data = json.loads((bundle / CARD_FILE).read_text(encoding="utf-8"))
    settings = data["recogniser"]["settings"]
    for wrong in (["BR", 1], ["BR", "BR"], "BR"):
        with pytest.raises(CardError, match="countries"):
            settings["countries"] = wrong
            ModelCard.from_dict(data)
    del settings["countries"], settings["kinds"]
    assert ModelCard.from_dict(data).recogniser.outputs == {}


def test_lines_hold_the_labels_only_where_there_are_heads(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), crops(1)[0])
    bundle = write_bundle(tmp_path / "bundle")
    arguments = ["read", str(tmp_path / "a.png"), "--bundle", str(bundle), "--threads", "1"]
    before = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert not {"country", "kind"} & set(before)
    card, net = ModelCard.read(bundle), network(replace(HEADS, slots=4, classes=9, size=(48, 192)))
    settings = replace(card.recogniser, countries=COUNTRIES, kinds=KINDS)
    export_recogniser(net, bundle / "recogniser.onnx", settings)
    replace(card, recogniser=settings, recogniser_file=WeightFile.of(bundle / "recogniser.onnx")).write(bundle)
    line = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert set(line) - set(before) == {"country", "country_score", "kind", "kind_score"} and line["kind"] in KINDS
    (reading,) = Reader(bundle, threads=1).recogniser.read(list(crops(1)))
    assert line["country_score"] == round(reading.country_score or 0, 4)
    table = CliRunner().invoke(app, [*arguments, "--format", "csv"]).stdout.splitlines()
    assert table[0].endswith("country,country_score,kind,kind_score") and len(table) == 2


def test_accuracy_where_both_sides_are_known() -> None:
    metrics = RecognitionMetrics()
    for read, true in (("BR", "BR"), ("US", "BR"), ("US", None), (None, "US")):
        metrics.update(Reading("A", 0.9, (0.9,), country=read), "A", true)
    scores = metrics.compute()
    assert scores.country_accuracy == 0.5 and scores.kind_accuracy is None


def test_a_plates_kind_is_taken_from_the_surest_place(china: CountryPack) -> None:
    crop = LabelledCrop(Path("a.png"), None, "皖AD12345")
    assert kind_label(crop, china) == "green"  # only green plates have eight characters of this form
    assert kind_label(replace(crop, text="皖A12345"), china) is None  # blue, yellow, black ...
    assert kind_label(replace(crop, text="皖A12345"), china, "blue") == "blue"
    assert kind_label(replace(crop, text="皖A12345", layout="blue"), china) == "blue"
    assert kind_label(replace(crop, kind="white"), china, "blue") == "white"
    assert kind_label(replace(crop, text="?"), china) is None


def write_table(folder: Path) -> Path:
    names = [f"{i}.png" for i in range(30)]
    for name in names:
        cv2.imwrite(str(folder / name), crops(1)[0])
    texts = [f"ABC{i:04d}" if i % 2 else f"ABC1D{i:02d}" for i in range(30)]
    colour = ["black" if i == 1 else "" for i in range(30)]
    Manifest.of(folder, names, text=texts, country="BR", split="train", extra={"colour": colour}).write(
        folder / "labels.csv"
    )
    return folder / "labels.csv"


def test_several_packs_render_in_one_mixture_and_know_their_labels(tmp_path: Path, repository: Path) -> None:
    table = write_table(tmp_path)
    assert read_manifest([table]).plate(1).kind == "black"  # type: ignore[union-attr]
    latin, br, us = (pack(repository, code) for code in ("latin", "br", "us"))
    rendered = {"own": {"share": 1}, "br": {"pack": br.to_dict(), "share": 3}, "us": {"share": 2}}
    settings: dict[str, Any] = {
        "sources": {"br": {"manifest": str(table), "share": 4}}, "rendered": rendered, "negatives": 1,
        "crop": {"size": (16, 64)}, "heads": {"countries": ["BR", "US"], "kinds": ["grey", "white"]},
    }  # fmt: skip
    data = RecognitionData(latin.to_dict(), **settings)
    assert data.counts == [1, 3, 2, 4, 1] and len(data.weights()) == 5 and data.renderers[2].pack == us.reading("all")
    assert data.label_entropy() > 0 and "6 rendered and 4 real" in data.describe()
    kinds = {crop.text: crop.kind for crop in (*data.train_plates, *data.val_plates)}
    assert kinds["ABC0001"] == "black" and kinds["ABC0003"] is None and kinds["ABC1D04"] == "white"
    sources = data.training_crops().sources
    drawn = [source.draw(0, np.random.default_rng(i)) for i, source in enumerate(sources)]
    assert [crop.country for crop in drawn] == ["ZZ", "BR", "US", "BR", None]
    assert drawn[0].kind is None and drawn[1].kind in {"grey", "red", "white"}
    for wrong, says in (
        ({"rendered": {"own": {"share": 1}, "cn": {}}}, r"data\.rendered\.cn: .*symbols .*皖"),
        ({"heads": {"countries": ["BR", "us"]}}, "country 'us'.*'BR', 'US', 'ZZ'"),
        ({"heads": {"kinds": ["white", "pink"]}}, "kind 'pink'"),
    ):
        with pytest.raises(ValueError, match=says):
            RecognitionData(latin.to_dict(), **{**settings, **wrong})


def test_the_latin_pack_reads_any_short_text(repository: Path) -> None:
    latin = pack(repository, "latin")
    assert (latin.slots, latin.rows) == (12, 2)
    for text in ("A", "7ABC123", "ABC1D23", "AAAAAAAA", "A23456789012"):
        assert latin.layout_of(text) is not None
    assert latin.layout_of("A234567890123") is None and asdict(latin)["code"] == "ZZ"

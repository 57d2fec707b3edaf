"""Stems, grids of tokens and sizes of the recogniser: their shapes, what is refused, and that all can be exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from timm.models.vision_transformer import Block

from alpr.benchmark.recogniser_speed import multiply_adds, untrained
from alpr.export.onnx_bundle import export_recogniser
from alpr.export.parity import check_recogniser, generated_scenes
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.reader.sessions import OnnxRecogniser
from alpr.recognition.model import EncoderLayer, MaskOcr, MaskOcrSettings, slot_centre_bias
from alpr.recognition.module import RecogniserModule, torch_recogniser
from alpr.recognition.read import Recogniser
from alpr.recognition.settings import RecogniserSettings
from alpr.training.runs import load_recogniser

SMALL = MaskOcrSettings(5, 4, (48, 64), (4, 6, 8), width=16, heads=2, encoder_layers=1)
SHAPES = {
    "conv": replace(SMALL, stem_stride_x=8),
    "conv, twice the columns": replace(SMALL, stem_stride_x=4),
    "conv, two rows": replace(SMALL, stem_stride_x=4, text_rows=2),
    "strips": replace(SMALL, stem="patch", patch=(48, 4)),
    "strips, two rows of text": replace(SMALL, stem="patch", patch=(48, 8), text_rows=2),
    "square patches": replace(SMALL, stem="patch", patch=(8, 8)),
    "square patches, two rows of text": replace(SMALL, stem="patch", patch=(8, 8), text_rows=2),
    "flat patches, two rows of text": replace(SMALL, stem="patch", patch=(16, 8), text_rows=2),
    "heads of their own width": replace(
        SMALL, stem="patch", patch=(48, 8), encoder_head_width=12, mlp_ratio=1.0, decoder_mlp_ratio=4.0
    ),
}
GRIDS = [(1, 8), (1, 16), (2, 16), (1, 16), (1, 8), (6, 8), (6, 8), (3, 8), (1, 8)]
CTC_GRIDS = [(1, 8), (1, 16), (2, 16), (1, 16), (1, 8), (1, 8), (2, 8), (3, 8), (1, 8)]


def crops(batch: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, *size, 3), dtype=np.uint8))


def network(settings: MaskOcrSettings) -> MaskOcr:
    torch.manual_seed(0)
    return MaskOcr(settings).eval()


@pytest.mark.parametrize(("name", "grid", "ctc"), list(zip(SHAPES, GRIDS, CTC_GRIDS, strict=True)))
def test_every_shape_has_its_grid(name: str, grid: tuple[int, int], ctc: tuple[int, int]) -> None:
    settings = SHAPES[name]
    net = network(settings)
    assert settings.token_grid == grid
    with torch.no_grad():
        batch = crops(3, settings.size)
        assert net.embed(batch).shape == net.encode(batch).shape == (3, grid[0] * grid[1], 16)
        torch.testing.assert_close(net.encode(batch), net.encoder(net.embed(batch)))
        assert net.training_logits(batch).ctc.shape == (3, *ctc, 4)
        assert net(batch).shape == (3, 5, 4)


@pytest.mark.parametrize("name", ["conv, two rows", "square patches, two rows of text", "heads of their own width"])
def test_the_onnx_file_of_every_family_reads_the_same(name: str, tmp_path: Path) -> None:
    settings = SHAPES[name]
    net, batch = network(settings), crops(3, settings.size)
    card = RecogniserSettings(size=settings.size, slots=5)
    export_recogniser(net, tmp_path / "r.onnx", card)
    exported = OnnxRecogniser(tmp_path / "r.onnx", card, 4, threads=1)
    charset = Charset("AB9")
    read, reads = (Recogniser(n, card, charset) for n in (torch_recogniser(net), exported))
    assert check_recogniser(read, reads, generated_scenes(6)).logits < 1e-4  # batch 1 and 3
    assert exported(batch[:1].numpy())[0].shape == (1, 5, 4)


@pytest.mark.parametrize("name", ["conv, two rows", "square patches"])
def test_tokens_are_listed_row_by_row(name: str) -> None:
    net = network(SHAPES[name])
    rows, columns = SHAPES[name].token_grid
    pixels = crops(1, SHAPES[name].size)
    changed = pixels.clone()
    x = 20 * 8 // columns
    changed[:, 44:46, x : x + 2] = 255 - changed[:, 44:46, x : x + 2]  # at the bottom, in the third column
    with torch.no_grad():
        moved = (net.embed(pixels) - net.embed(changed)).abs().sum(-1).view(rows, columns)
    row, column = divmod(int(moved.argmax()), columns)
    assert row == rows - 1 and column in (1, 2, 3)  # convolutions look a token further
    assert not bool(moved[0].any()) and not bool(moved[:, 6:].any())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"stem": "patch", "patch": (32, 8)},
            r"height of 48 px is not a multiple of the patch's 32 px \(16 px .*24, 48",
        ),
        ({"stem": "patch", "patch": (48, 7)}, r"width of 192 px is not a multiple of the patch's 7 px"),
        ({"stem": "patch", "patch": (0, 8)}, r"patch is \[0, 8\]; expected \[height, width\]"),
        ({"stem": "patch", "patch": (48, 8), "token_rows": 2}, r"token_rows is 2, but patches 48 px high give 1 row"),
        ({"stem": "linear"}, "stem is 'linear'; expected one of conv, patch"),
        ({"stem_stride_x": 2}, "stem_stride_x is 2; expected 8 or 4"),
        ({"token_rows": 4}, "leaves 6 rows behind the stem, which cannot become 4 rows"),
        ({"size": (24, 96), "text_rows": 2}, "leaves 3 rows behind the stem, which cannot become 2 rows"),
        ({"text_rows": 0}, "A text of 0 rows"),
    ],
)
def test_what_no_stem_can_divide_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MaskOcrSettings(8, 69, **settings)  # type: ignore[arg-type]


def test_the_bias_of_two_rows_knows_both_ways_of_reading() -> None:
    slots, columns = 6, 12
    bias = slot_centre_bias(slots, (2, columns), text_rows=2).view(slots, 2, columns)
    alone = slot_centre_bias(slots, (1, columns))
    end_to_end = slot_centre_bias(slots, (1, 2 * columns)).view(slots, 2, columns)
    expected = ((alone[:, None].exp() + end_to_end.exp()) / 2).log()
    torch.testing.assert_close(bias, expected)
    # The fourth slot of a text of 3 + 3 begins the second row: there it looks left, and right of the middle otherwise.
    assert bool((bias[3, 1, :3] > bias[3, 0, :3] + 2).all())
    assert bias[3, 0].argmax().item() in (6, 7)
    # Finer tokens know as much, and without a second row all rows are alike.
    fine = slot_centre_bias(slots, (6, columns), 2).view(slots, 6, columns)
    torch.testing.assert_close(fine, bias.repeat_interleave(3, 1))
    assert torch.equal(slot_centre_bias(slots, (3, columns)), alone.repeat(1, 3))
    # A strip stands over both rows, the middle one of three rows of patches too.
    nearest = end_to_end.amax(1)
    expected = ((alone.exp() + nearest.exp()) / 2).log()
    torch.testing.assert_close(slot_centre_bias(slots, (1, columns), 2), expected)
    torch.testing.assert_close(slot_centre_bias(slots, (3, columns), 2).view(slots, 3, columns)[:, 1], expected)


def test_the_auxiliary_head_has_a_row_for_every_row_of_text() -> None:
    net = network(SHAPES["square patches, two rows of text"])
    tokens = torch.randn(2, 48, 16, generator=torch.manual_seed(1))
    with torch.no_grad():
        upper, lower = (net.ctc(tokens.view(2, 6, 8, 16)[:, part].mean(1)) for part in (slice(0, 3), slice(3, 6)))
        torch.testing.assert_close(net.ctc_logits(tokens), torch.stack([upper, lower], 1))
        plain = network(SHAPES["conv, two rows"])
        torch.testing.assert_close(plain.ctc_logits(tokens[:, :32]), plain.ctc(tokens[:, :32].view(2, 2, 16, 16)))


def test_the_layouts_that_are_read_say_how_many_rows(china: CountryPack) -> None:
    tiny = {"width": 16, "heads": 2, "encoder_layers": 1}
    assert china.rows == 2
    for layouts, grid in ((None, (1, 24)), ("all", (2, 24)), (["blue", "trailer"], (2, 24)), ("green small", (1, 24))):
        assert RecogniserModule(china.to_dict(), tiny, layouts=layouts).network.settings.token_grid == grid, layouts
    before = RecogniserModule(china.to_dict(), {**tiny, "token_rows": 1}).network  # as checkpoints before data.layouts
    assert before.settings.token_grid == (1, 24) and before.settings.text_rows == 2
    said = RecogniserModule(china.to_dict(), tiny, layouts=["blue", "trailer"]).describe()
    assert said == (
        "reads up to 7 of 72 symbols in 2 rows of text from 48 tokens (2 rows of 24); layouts of China: blue, trailer."
    )
    blue = replace(china, layouts=china.layouts[:1])
    assert blue.rows == 1
    assert RecogniserModule(blue.to_dict(), tiny).network.settings.token_grid == (1, 24)


def test_an_encoder_layer_is_timms_block() -> None:
    layer, block = EncoderLayer(replace(SMALL, dropout=0.0)).eval(), Block(16, 2, 4.0, qkv_bias=True).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours, theirs = layer.attention, block.attn
    pairs = {
        block.norm1: layer.norm_attention, block.norm2: layer.norm_mlp, theirs.proj: ours.output,
        block.mlp.fc1: layer.mlp[0], block.mlp.fc2: layer.mlp[3],
    }  # fmt: skip
    for to, of in pairs.items():
        to.load_state_dict(of.state_dict())
    with torch.no_grad():
        theirs.qkv.weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.qkv.bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        x = torch.randn(3, 7, 16)
        torch.testing.assert_close(layer(x), block(x), atol=1e-5, rtol=1e-5)


def by_hand(s: MaskOcrSettings) -> tuple[int, int]:
    """Parameters and multiply-adds of a deployed network of patches, written out."""
    d, t, slots = s.width, s.tokens, s.slots
    inner = s.heads * (s.encoder_head_width or d // s.heads)
    hidden, decoder_hidden = int(d * s.mlp_ratio), int(d * (s.decoder_mlp_ratio or s.mlp_ratio))
    pixels = 3 * s.patch[0] * s.patch[1]
    attention = d * 3 * inner + 3 * inner + inner * d + d
    encoder = attention + 2 * d * hidden + hidden + d + 2 * 2 * d
    decoder = 2 * (4 * d * d + 4 * d) + 2 * d * decoder_hidden + decoder_hidden + d + 3 * 2 * d + slots * t
    ends = pixels * d + d + t * d + slots * d + 2 * 2 * d + d * s.classes + s.classes
    parameters = ends + s.encoder_layers * encoder + s.decoder_layers * decoder
    of_encoder = t * (4 * d * inner + 2 * d * hidden) + 2 * t * t * inner
    of_decoder = slots * (4 * d * d + 2 * d * d + 2 * d * decoder_hidden) + t * 2 * d * d
    of_decoder += 2 * slots * slots * d + 2 * slots * t * d
    work = t * pixels * d + s.encoder_layers * of_encoder + s.decoder_layers * of_decoder + slots * d * s.classes
    return parameters, work


@pytest.mark.parametrize(
    ("name", "grid", "millions", "giga"),
    [
        ("maskocr_small", (1, 24), 31.2, 0.62),
        ("maskocr_base", (1, 24), 123.8, 2.44),
        ("maskocr_reference", (1, 24), 27.7, 0.53),
        ("maskocr_tiny", (1, 48), 3.4, 0.14),
        ("maskocr_fast", (2, 24), 2.6, 0.123),
    ],
)
def test_sizes(name: str, grid: tuple[int, int], millions: float, giga: float) -> None:
    """Against the figures that others count for these shapes, and for patches against the sum by hand."""
    with torch.device("meta"):
        module = untrained(name)
    settings = module.network.settings
    parameters = sum(p.numel() for key, p in module.network.named_parameters() if not key.startswith("ctc."))
    assert settings.token_grid == grid
    assert parameters / 1e6 == pytest.approx(millions, rel=0.03)
    assert multiply_adds(module) / 1e9 == pytest.approx(giga, rel=0.05)
    if settings.stem == "patch":
        assert (parameters, multiply_adds(module)) == by_hand(settings)
    else:  # the stem's convolutions, then 2 x 24 tokens of 192 through 4 + 1 layers
        stem = 96 * 24 * 27 * 32 + 48 * 12 * 9 * 32 * 64 + 24 * 6 * 9 * 64 * 128 + 24 * 6 * 128 * 192
        rest = by_hand(replace(settings, stem="patch", patch=(24, 8)))[1] - 48 * 3 * 24 * 8 * 192
        assert multiply_adds(module) == stem + rest


def test_released_weights_load_and_read_as_the_released_bundle(repository: Path, real_data: Path) -> None:
    released = repository / "model_bin" / "cn"
    module = load_recogniser(released / "recogniser.safetensors")
    assert module.network.settings.token_grid == (1, 24)
    onnx = OnnxRecogniser(released / "recogniser.onnx", module.predictor, len(module.charset), threads=1)
    paths = sorted((real_data / "crops" / "cn_blue").rglob("*.jpg"))[:6]
    assert paths
    images = [cv2.imread(str(path)) for path in paths]
    deployed, ours = Recogniser(onnx, module.predictor, module.charset).read(images), module.recogniser().read(images)
    assert [r.text for r in ours] == [r.text for r in deployed] and all(r.text for r in ours)
    for a, b in zip(ours, deployed, strict=True):
        assert a.score == pytest.approx(b.score, abs=0.01)  # the weights are kept in half precision

"""What pretraining hides, what it learns from, and that nothing hidden leaks into what is visible."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from alpr.data.manifest import Manifest
from alpr.optim import build_optimizer
from alpr.plates.charset import PAD
from alpr.plates.country import CountryPack
from alpr.recognition.model import MaskOcrSettings
from alpr.recognition.pretraining.data import UnlabelledData
from alpr.recognition.pretraining.metrics import ReconstructionMetrics
from alpr.recognition.pretraining.model import (
    BLANK,
    MaskedImageModel,
    MaskedImageSettings,
    MaskedLanguageSettings,
    Reconstruction,
    blanked,
    covered_tokens,
    crops_of_pixels,
    encoded,
    encoded_visible,
    hidden_characters,
    hidden_tokens,
    masked_image_losses,
    masked_language_losses,
    token_masks,
    token_pixels,
)
from alpr.recognition.pretraining.module import EncoderPretraining
from alpr.synthetic.renderer import PlateRenderer

SETTINGS = MaskOcrSettings(5, 11, (32, 96), (4, 6, 8), width=16, heads=2, encoder_layers=2, dropout=0.1)
GRIDS = [(1, 24), (2, 24), (1, 48), (6, 24), (1, 8), (1, 2)]


def network() -> MaskedImageModel:
    torch.manual_seed(0)
    return MaskedImageModel(SETTINGS, MaskedImageSettings())


def crops(batch: int = 3, size: tuple[int, int] = (32, 96), seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (batch, *size, 3), dtype=np.uint8))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_every_crop_keeps_and_loses_a_token_and_all_lose_equally_many(grid: tuple[int, int], share: float) -> None:
    masks = token_masks(200, grid, MaskedImageSettings(hidden=share))
    counts = masks.sum(1)
    assert masks.shape == (200, grid[0] * grid[1]) and bool((counts == counts[0]).all())
    tokens = grid[0] * grid[1]
    assert counts[0] == min(tokens - 1, max(1, round(share * tokens)))


@pytest.mark.parametrize("grid", GRIDS[:4])
def test_spans_are_as_wide_as_a_character_and_as_high_as_the_crop(grid: tuple[int, int]) -> None:
    rows, columns = grid
    least = round(columns / 8)
    masks = token_masks(300, grid, MaskedImageSettings(span_share=1.0)).view(-1, rows, columns)
    whole = masks.all(1)  # (N, columns)
    runs = torch.nn.functional.unfold(whole.float()[:, None, None], (1, least)).sum(1) == least
    assert bool(runs.any(1).all())
    assert float((whole.sum(1) >= 2 * least).float().mean()) > 0.9  # several of them
    scattered = token_masks(300, grid, MaskedImageSettings(span_share=0.0)).view(-1, rows, columns)
    assert float(scattered.all(1).sum() / whole.sum()) < (0.8 if rows > 1 else 1.01)
    assert not torch.equal(scattered, masks)


@pytest.mark.parametrize("grid", [(1, 12), (2, 12), (4, 6)])
def test_pixels_of_tokens_are_put_together_again(grid: tuple[int, int]) -> None:
    images = crops()
    pixels = token_pixels(images, grid)
    assert pixels.shape == (3, grid[0] * grid[1], 32 * 96 * 3 // (grid[0] * grid[1]))
    assert torch.equal(crops_of_pixels(pixels, grid, (32, 96)), images)
    hidden = torch.zeros(3, grid[0] * grid[1], dtype=torch.bool)
    hidden[:, -1] = True
    grey = blanked(images, hidden, grid)
    h, w = 32 // grid[0], 96 // grid[1]
    assert bool((grey[:, -h:, -w:] == BLANK).all()) and torch.equal(grey[:, :, :-w], images[:, :, :-w])
    assert torch.equal(token_pixels(grey, grid)[~hidden], pixels[~hidden])


def test_hidden_pixels_do_not_reach_visible_tokens() -> None:
    net, one = network().eval(), crops()
    hidden = token_masks(3, SETTINGS.token_grid, MaskedImageSettings())
    other = one.clone()
    where = blanked(torch.ones_like(one), hidden, SETTINGS.token_grid) == BLANK
    other[where] = crops(seed=1)[where]
    assert not torch.equal(one, other)
    with torch.no_grad():
        a, b = (encoded_visible(net, images, hidden) for images in (one, other))
        assert torch.equal(a, b) and bool((a[hidden] == 0).all()) and bool((a[~hidden] != 0).any(-1).all())
        assert not torch.equal(net.encode(one)[~hidden], net.encode(other)[~hidden])
        first, second = (net.reconstruct(images, hidden) for images in (one, other))
    assert torch.equal(first.pixels, second.pixels)


def test_tokens_keep_their_positions() -> None:
    """Whatever is hidden, token i has position i, as in fine-tuning; the reference implementation is one off."""
    net, images = network().eval(), crops()
    none = torch.zeros(3, SETTINGS.tokens, dtype=torch.bool)
    with torch.no_grad():
        assert torch.allclose(encoded_visible(net, images, none), net.encode(images), atol=1e-6)
        embedded = net.embed(images)
        for i in (0, 5, 11):
            alone = torch.arange(SETTINGS.tokens)[None].expand(3, -1) == i
            expected = net.encoder((embedded - net.positions)[:, i : i + 1] + net.positions[:, i : i + 1])
            assert torch.allclose(encoded(net, embedded, alone)[:, i], expected[:, 0], atol=1e-5)
    seen: list[torch.Tensor] = []
    net.regressor[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    hidden = token_masks(3, SETTINGS.token_grid, MaskedImageSettings())
    with torch.no_grad():
        net.reconstruct(images, hidden)
    expected = (net.mask_query + net.positions).expand(3, -1, -1)[hidden]
    assert torch.equal(seen[0].flatten(0, 1), expected)


def test_uneven_numbers_of_visible_tokens_are_each_encoded_alone() -> None:
    net, images = network().eval(), crops()
    kept = torch.rand(3, SETTINGS.tokens, generator=torch.Generator().manual_seed(1)) < torch.tensor(
        [[0.3], [0.6], [0.9]]
    )
    with torch.no_grad():
        embedded = net.embed(images)
        together = encoded(net, embedded, kept)
        for i in range(3):
            assert torch.allclose(together[i, kept[i]], net.encoder(embedded[i : i + 1, kept[i]])[0], atol=1e-5)
    with pytest.raises(ValueError, match="no visible token"):
        encoded(net, embedded, torch.zeros_like(kept))


def test_a_perfect_reconstruction_costs_nothing_and_the_target_is_detached() -> None:
    pixels, features = torch.randn(2, 3, 12), torch.randn(2, 3, 4, requires_grad=True)
    same = Reconstruction(pixels.clone(), features.detach().clone())
    assert masked_image_losses(same, pixels, features, 0.05).total == 0
    found = Reconstruction(pixels + 1, (features.detach() + 2).requires_grad_())
    losses = masked_image_losses(found, pixels, features, 0.05)
    assert losses.pixels.item() == pytest.approx(1, rel=1e-5) and losses.alignment.item() == pytest.approx(
        0.2, rel=1e-5
    )
    losses.total.backward()
    assert features.grad is None and found.representations.grad is not None
    net = network().train()
    hidden = token_masks(3, SETTINGS.token_grid, MaskedImageSettings())
    assert not net.representations(crops(), hidden).requires_grad


def test_normalisation_learns_its_statistics_of_whole_crops() -> None:
    net = network().train()
    hidden = token_masks(3, SETTINGS.token_grid, MaskedImageSettings())
    before = {k: v.clone() for k, v in net.state_dict().items() if "running" in k}
    net.reconstruct(crops(), hidden)
    assert all(torch.equal(net.state_dict()[k], v) for k, v in before.items())
    assert net.training and all(m.training for m in net.modules())
    net.representations(crops(), hidden)
    assert not any(torch.equal(net.state_dict()[k], v) for k, v in before.items())


def test_reconstruction_is_scored_beside_the_mean() -> None:
    hidden = torch.tensor([[True, False, False], [False, True, False]])
    pixels = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))
    features = torch.randn(2, 3, 4)
    means = [pixels[i][~hidden[i]].view(-1, 3).mean(0).repeat(2) for i in range(2)]
    of_mean = torch.stack(means)[:, None]
    one, two = ReconstructionMetrics(), ReconstructionMetrics()
    one.update(of_mean[:1], pixels[:1], hidden[:1], features[:1])
    two.update(of_mean[1:], pixels[1:], hidden[1:], features[1:])
    scores = one.merge(two).compute()
    assert scores.pixels_explained == pytest.approx(0, abs=1e-6)
    assert scores.pixel_mse == pytest.approx(float((of_mean - pixels[hidden].view(2, 1, 6)).square().mean()), rel=1e-5)
    assert scores.representation_variance == pytest.approx(float(features.var(0, unbiased=False).mean()), rel=1e-4)
    collapsed = ReconstructionMetrics()
    collapsed.update(of_mean, pixels, hidden, features[:1].expand(2, -1, -1))
    assert collapsed.compute().representation_variance == pytest.approx(0, abs=1e-9)


def test_tokens_under_a_character() -> None:
    nan = [float("nan")] * 4
    places = torch.tensor([[[0.25, 0.1, 0.5, 0.9], [0.51, 0.05, 0.74, 0.45], [0.3, 0.55, 0.31, 0.95], nan]])
    one, two = covered_tokens(places, (1, 8))[0], covered_tokens(places, (2, 8))[0]
    assert one.nonzero().tolist() == [[0, 2], [0, 3], [1, 4], [1, 5], [2, 2]]
    assert two[0].nonzero().flatten().tolist() == [2, 3, 10, 11]  # a row of text over both rows of tokens
    assert two[1].nonzero().flatten().tolist() == [4, 5] and two[2].nonzero().flatten().tolist() == [10]
    assert not two[3].any() and not one[3].any()
    chosen = torch.tensor([[False, True, True, False]])
    assert hidden_tokens(places, chosen, (2, 8))[0].nonzero().flatten().tolist() == [4, 5, 10]
    everything = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    assert not hidden_tokens(everything, torch.tensor([[True]]), (1, 4)).any()


def test_some_characters_are_hidden_and_one_stays() -> None:
    slots = torch.tensor([[3, 4, 5, 6, PAD], [3, 4, PAD, PAD, PAD], [3, PAD, PAD, PAD, PAD]]).repeat(200, 1)
    counts = (chosen := hidden_characters(slots, 3)).sum(1).view(200, 3)
    assert not (chosen & (slots == PAD)).any()
    assert set(counts[:, 0].tolist()) == {1, 2, 3} and set(counts[:, 1].tolist()) == {1} and not counts[:, 2].any()
    assert bool(chosen[::3, :4].any(0).all())


def test_only_hidden_characters_count() -> None:
    slots = torch.tensor([[1, 2, PAD]])
    chosen = torch.tensor([[True, False, False]])
    perfect = torch.nn.functional.one_hot(slots, 4) * 50.0
    wrong = perfect.clone()
    wrong[0, 1:] = torch.tensor([0.0, 0.0, 0.0, 50.0])
    assert masked_language_losses(perfect, slots, chosen, 0.0).total == pytest.approx(0)
    assert masked_language_losses(wrong, slots, chosen, 0.0).total == pytest.approx(0)
    assert masked_language_losses(wrong, slots, chosen, 0.5).total == pytest.approx(25)
    assert masked_language_losses(wrong, slots, ~chosen & (slots != PAD), 0.0).hidden == pytest.approx(50)


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"hidden": 1.0}, {"span": (0.2, 0.1)}, {"span_share": 2.0}, {"decoder_layers": 0}):
        with pytest.raises(ValueError, match="masked_image"):
            MaskedImageSettings(**wrong)
    with pytest.raises(ValueError, match="masked_language"):
        MaskedLanguageSettings(most_hidden=0)


@pytest.mark.parametrize("size", [(48, 192), (32, 128)])
def test_characters_stand_where_the_renderer_says(
    china: CountryPack, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same plate without its characters differs in their places, and hardly anywhere else."""
    renderer, empty = PlateRenderer(china), PlateRenderer(china)
    monkeypatch.setattr(empty, "_glyph", lambda _, cell, *rest: np.zeros(cell, np.uint8))
    shares = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        placed = renderer.crop_of(*renderer.draw_text(rng), rng, size)
        crop, text = renderer.crop(np.random.default_rng(seed), size)
        assert np.array_equal(crop, placed.crop) and text == placed.text and placed.places.shape == (len(text), 4)
        difference = np.abs(crop.astype(float) - empty.crop(np.random.default_rng(seed), size)[0]).sum(2)
        inside = np.zeros(size, bool)
        for x1, y1, x2, y2 in (placed.places * [size[1], size[0], size[1], size[0]]).round().astype(int).clip(0):
            assert difference[y1:y2, x1:x2].mean() > difference.mean()
            inside[y1:y2, x1:x2] = True
        shares.append(difference[inside].sum() / difference.sum())
    assert np.median(shares) > 0.85


def test_crops_without_labels_come_from_folders_and_tables(tmp_path: Path, china: CountryPack) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (20, 60, 3), dtype=np.uint8))
    nan = [np.nan] * 4
    corners = np.array([[5, 5], [50, 6], [50, 18], [5, 17]], float)
    nowhere = np.full((4, 2), np.nan)
    Manifest.of(
        tmp_path, [f"crops/{i}.png" for i in range(24)], text=["A", "", "", ""] * 6,
        box=[nan, [5, 5, 40, 18], nan, nan] * 6, corners=[nowhere, nowhere, corners, nowhere] * 6,
    ).write(tmp_path / "table.csv")  # fmt: skip
    data = UnlabelledData(china.to_dict(), ["crops", "table.csv"], root=str(tmp_path), split=None, size=(16, 64))
    kept = data.train_crops + data.val_crops
    assert len(kept) == 40 + 18  # the rows with neither place nor text say that there is no plate
    assert not any(crop.text for crop in kept)
    assert sum(crop.corners is not None for crop in kept) == 12
    assert set(data.manifests) == {"crops", "table.csv"}
    with pytest.raises(ValueError, match="holds no image"):
        (tmp_path / "empty").mkdir()
        UnlabelledData(china.to_dict(), "empty", root=str(tmp_path))


def test_stage_1_learns_four_crops(china: CountryPack) -> None:
    renderer, size = PlateRenderer(china), (32, 128)
    batch = torch.from_numpy(np.stack([renderer.crop(np.random.default_rng(i), size)[0] for i in range(4)]))
    torch.manual_seed(0)
    shape = {"stem_widths": (16, 24, 32), "width": 64, "heads": 4, "encoder_layers": 1, "dropout": 0.0, "token_rows": 1}
    optim = {"lr": 3e-3, "weight_decay": 0.0}
    module = EncoderPretraining(china.to_dict(), network=shape, optim=optim, predictor={"size": size})
    optimizer = build_optimizer(module.network, module.optim)
    module.train()
    hidden = module.masks(4)
    history = []
    for _ in range(200):
        losses = module._losses_of(batch, hidden)
        optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), 5.0)
        optimizer.step()
        history.append(losses.pixels.item())
    variance = float(token_pixels(batch, module.network.settings.token_grid)[hidden].var())
    assert history[-1] < 0.1 * variance

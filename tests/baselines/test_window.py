"""The window network: its rule of presence, its windows, its grid over photographs, its figures, a whole training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import REPOSITORY, WINDOW, Scripts, overrides

from alpr.baselines.window.detect import Seen, Sliding, WindowReader, joined
from alpr.baselines.window.figures import roc
from alpr.baselines.window.model import WindowLogits, WindowNetwork, WindowSettings, right, split, window_losses
from alpr.baselines.window.module import WindowModule
from alpr.baselines.window.windows import FITTED, SIZE, around, background, drawn_corners, present, with_plate
from alpr.evaluation.command import run as evaluate
from alpr.plates.country import CountryPack
from alpr.plates.geometry import box_corners, corner_box
from alpr.plates.records import FloatArray, ImageArray, Plate
from alpr.synthetic.renderer import PlateRenderer
from alpr.training.configuration import composed

SMALL = WindowSettings(3, 4, units=6, widths=(2, 3, 4))


def pack() -> CountryPack:
    return CountryPack.read(REPOSITORY / "configs" / "country" / "gb.yaml").reading(None)


def network(seed: int = 0) -> WindowNetwork:
    torch.manual_seed(seed)
    return WindowNetwork(SMALL).eval()


def picture(height: int, width: int, seed: int = 0) -> ImageArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def box(x1: float, y1: float, x2: float, y2: float) -> FloatArray:
    return box_corners(np.array([x1, y1, x2, y2], np.float32))


@pytest.mark.parametrize(
    ("corners", "there"),
    [
        (box(20, 20, 108, 44), True),  # 88 of 128 px wide
        (box(20, 20, 96, 44), False),  # 76: under 60 %
        (box(10, 20, 114, 44), False),  # 104: over 80 %
        (box(30, 10, 90, 50), True),  # 60 wide, but 40 of 64 high
        (box(30, 10, 90, 48), False),  # 38 high: under 60 %
        (box(30, 3, 90, 61), False),  # 58 high: over 87.5 %
        (box(-1, 20, 87, 44), False),  # out at the left
        (box(40, 45, 125, 65), False),  # out below
    ],
)
def test_the_rule_of_presence(corners: FloatArray, there: bool) -> None:
    assert present(corners) is there
    turned = np.roll(corners, 1, axis=0)
    assert present(turned) is there


def test_drawn_places_break_every_part_of_the_rule_and_keep_it_often() -> None:
    rng = np.random.default_rng(0)
    hulls = np.array([corner_box(drawn_corners((44, 208), rng)) for _ in range(600)])
    extent = (hulls[:, 2:] - hulls[:, :2]) / [SIZE[1], SIZE[0]]
    inside = (hulls[:, :2] >= 0).all(1) & (hulls[:, 2:] <= [SIZE[1], SIZE[0]]).all(1)
    kept = [present(box_corners(hull)) for hull in hulls]
    assert 0.3 < np.mean(kept) < 0.7
    assert 0.1 < np.mean(~inside) < 0.5
    assert (extent[:, 0] > 0.8).any() and (extent.max(1) < 0.6).any()
    assert len({tuple(np.sign(hull[:2] + hull[2:] - [SIZE[1], SIZE[0]])) for hull in hulls}) >= 4  # to all sides


def test_a_window_shows_its_plate_and_names_it_only_where_it_counts() -> None:
    renderer, behind = PlateRenderer(pack()), np.full(SIZE, 90, np.uint8)
    windows = [with_plate(behind, renderer, np.random.default_rng(i)) for i in range(40)]
    assert {w.present for w in windows} == {True, False}
    assert all(bool(w.text) is w.present and w.grey.shape == SIZE for w in windows)
    assert all(w.grey.std() > 10 for w in windows if w.present)
    again = with_plate(behind, renderer, np.random.default_rng(3))
    assert np.array_equal(again.grey, windows[3].grey) and again.text == windows[3].text


def test_a_background_shows_no_plate() -> None:
    image = np.full((400, 600, 3), 60, np.uint8)
    image[100:200, 150:450] = 255
    plates = (Plate("AB12", None, np.array([150, 100, 450, 200], np.float32)),)
    rng, scale = np.random.default_rng(0), np.ones(2, np.float32)
    drawn = [background(image, plates, scale, rng) for _ in range(50)]
    assert all(window.shape == SIZE and window.max() == 60 for window in drawn)
    covered = (Plate("AB12", None, np.array([0, 0, 600, 400], np.float32)),)
    assert np.ptp(background(image, covered, scale, rng)) == 0


def test_a_known_plate_stands_in_the_middle_as_the_rule_wants_it() -> None:
    image = np.zeros((300, 500, 3), np.uint8)
    image[120:160, 200:360] = 255
    window = around(image, box(200, 120, 360, 160))
    assert window is not None and window.shape == SIZE
    rows, columns = np.nonzero(window > 127)
    assert np.ptp(columns) + 1 == pytest.approx(FITTED * SIZE[1], abs=2)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(SIZE[1] / 2, abs=1)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(SIZE[0] / 2, abs=1)
    assert around(image, np.zeros((4, 2), np.float32)) is None
    assert around(image[120:160, 200:360], box(0, 0, 160, 40)).min() == 255  # type: ignore[union-attr]


def test_sliding_gives_what_each_window_alone_gives() -> None:
    net, grey = network(), torch.from_numpy(picture(96, 176)[..., 0].copy())
    with torch.no_grad():
        whole = net(grey[None])
        every_other = net(grey[None], (1, 2))
        assert whole.shape[2:] == (5, 13)
        torch.testing.assert_close(every_other, whole[:, :, :, ::2])
        # the padding at a window's rim sees the photograph there, so only a lone window's middle agrees in full
        alone = net(grey[None, :64, :128])
        assert alone.shape[2:] == (1, 1)
    logits = split(alone.flatten(1), SMALL)
    assert logits.presence.shape == (1,) and logits.slots.shape == (1, 3, 4)
    torch.testing.assert_close(logits.slots[0, 1, 2], alone[0, 1 + 1 * 4 + 2, 0, 0])


def test_the_loss_counts_slots_where_a_plate_is_present_alone() -> None:
    presence, slots = torch.tensor([0.3, -0.7]), torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    there, ids = torch.tensor([1.0, 0.0]), torch.tensor([[1, 2, 0], [0, 0, 0]])
    losses = window_losses(WindowLogits(presence, slots), there, ids)
    expected = 3 * (-(presence[0].sigmoid().log() + (1 - presence[1].sigmoid()).log()) / 2)
    own = -sum(slots[0, i].log_softmax(-1)[k] for i, k in enumerate([1, 2, 0])) / 2
    torch.testing.assert_close(losses.presence, expected)
    torch.testing.assert_close(losses.characters, own)
    torch.testing.assert_close(losses.total, expected + own)


def test_right_means_all_slots_or_both_absent() -> None:
    ids = torch.tensor([[1, 2], [1, 2], [0, 0], [0, 0], [1, 2]])
    said = torch.nn.functional.one_hot(torch.tensor([[1, 2], [1, 1], [1, 1], [0, 0], [1, 2]]), 3).float()
    logits = WindowLogits(torch.tensor([1.0, 1, -1, 1, -1]), said)
    assert right(logits, torch.tensor([1.0, 1, 0, 0, 1]), ids).tolist() == [True, False, True, False, False]


def test_windows_that_share_a_part_are_one_plate() -> None:
    seen = [
        Seen(np.array([0, 0, 128, 64.0]), 0.99),
        Seen(np.array([8, 8, 136, 72.0]), 0.98),
        Seen(np.array([500, 0, 628, 64.0]), 0.97),
        Seen(np.array([16, 0, 144, 64.0]), 0.96),
        Seen(np.array([130, 0, 258, 64.0]), 0.95),  # overlaps with windows of the first group, not with its common part
    ]
    found = joined(seen)
    assert [plate.score for plate in found] == [0.99, 0.97, 0.95]
    assert found[0].box.tolist() == [16, 8, 128, 64]
    assert joined([]) == []


def test_a_plate_is_found_where_it_is_at_its_scale() -> None:
    """A network that calls white windows present finds the white place of a photograph, at the level where it fits."""

    class White(torch.nn.Module):
        def forward(self, grey: torch.Tensor, step: tuple[int, int]) -> torch.Tensor:
            mean = torch.nn.functional.avg_pool2d(grey[:, None].float(), SIZE, (8 * step[0], 4 * step[1]))
            return torch.cat([mean - 200, mean], 1)

    image = np.zeros((512, 1024, 3), np.uint8)
    image[200:328, 400:656] = 255  # a window at half the size
    sliding = Sliding.__new__(Sliding)
    sliding.network, sliding.long_px, sliding.step, sliding.lowest = White(), 512, (1, 2), 0.9  # type: ignore[assignment]
    found = sliding.locate(image)
    assert len(found) == 1
    x1, y1, x2, y2 = found[0].box
    assert 400 <= x1 < x2 <= 656 and 200 <= y1 < y2 <= 328
    assert sliding.locate(image[:40]) == []


def test_the_curve_of_presence() -> None:
    curve = roc([0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False])
    assert curve.false.tolist() == [0, 0, 0, 0.5, 0.5, 1] and curve.true[-1] == 1
    assert curve.area == pytest.approx(5 / 6)  # of 3 * 2 pairs one is the wrong way round
    assert curve.at(0) == pytest.approx(2 / 3) and curve.at(0.5) == 1
    tied = roc([1, 1, 1, 1], [True, False, True, False])
    assert tied.area == 0.5 and len(tied.false) == 2
    with pytest.raises(ValueError, match="some with and some without"):
        roc([1, 2], [True, True])


def test_a_crop_is_read_by_its_window() -> None:
    torch.manual_seed(0)
    module = WindowModule(pack().to_dict(), {"units": 8, "widths": (2, 2, 2)}).eval()
    reader, image = WindowReader(module), picture(120, 240)
    crop = image[40:80, 60:180]
    [whole] = reader.read([crop])
    [placed, flat] = reader.read_plates(image, [box(60, 40, 180, 80), np.zeros((4, 2), np.float32)])
    assert len(whole.text) <= module.pack.slots and flat.text == "" and placed.text is not None
    with pytest.raises(ValueError, match="0 units"):
        WindowModule(pack().to_dict(), {"units": 0})


@pytest.fixture(scope="module")
def trained(scripts: Scripts, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("window") / "run"
    done = scripts.run("train.py", overrides(WINDOW, tiny_data, folder))
    assert done.code == 0, done.text
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["kind"], record["status"]) == (WindowModule.kind, "finished")
    return folder


def test_a_run_is_evaluated_as_a_baseline(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    table = tiny_data / "ccpd_green" / "alpr_dataset.csv"
    words = [f"data.manifest={table}", f"output={tmp_path}", "drawn=0", "worst=0", "baseline=window"]
    assert evaluate(composed("evaluate", [*words, f"baseline.run={trained}", "baseline.long_px=200"]))
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["model"]["name"] == "window network"
    with pytest.raises(ValueError, match="checkpoint"):
        evaluate(composed("evaluate", [*words, f"baseline.run={tmp_path}"]))


def test_the_exported_network_gives_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = WindowModule(pack().to_dict(), {"units": 8, "widths": (2, 2, 4)}).eval()
    assert module.export(tmp_path)["logits"] < 1e-4 and (tmp_path / "window.onnx").is_file()


def test_the_preview_shows_windows(tiny_data: Path) -> None:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    config = composed("train", [*WINDOW, f"data.root={tiny_data}", "output_dir=x"])
    sheet, what = instantiate(config.data, _convert_="all").preview(12)
    assert what == "windows of 128x64 px" and sheet.ndim == 3
    assert cv2.cvtColor(sheet, cv2.COLOR_BGR2GRAY).std() > 5
    with pytest.raises(InstantiationException, match=r"data\.backgrounds is 1\.0"):
        instantiate(
            composed("train", [*WINDOW, f"data.root={tiny_data}", "data.backgrounds=1.0"]).data, _convert_="all"
        )

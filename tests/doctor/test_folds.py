"""Folds: readers that never saw a plate judge its label, and an interrupted check goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.doctor.findings import Finding
from alpr.doctor.folds import LEAST_PLATES, Folds, fold_findings
from alpr.doctor.images import FactsCache, open_images
from alpr.doctor.table import read_rows
from alpr.doctor.table_pack import read_by
from alpr.plates.country import CountryPack
from alpr.plates.records import FloatArray, ImageBatch
from alpr.recognition.read import Recogniser
from alpr.recognition.settings import RecogniserSettings

SURE = 20.0
BRAZIL = {"BR": CountryPack.find("br")}


def text_of(number: int) -> str:
    return f"ABC{number:04d}"


def number_of(colour: Sequence[int]) -> int:
    return round(colour[0] / 8) + 32 * round(colour[1] / 8)


def crops(folder: Path, numbers: Sequence[int]) -> list[str]:
    """A crop for every number, which its colour says."""
    for i, number in enumerate(numbers):
        pixels = np.full((24, 96, 3), (number % 32 * 8, number // 32 * 8, i % 200), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), pixels)
    return [f"{i}.png" for i in range(len(numbers))]


@dataclass
class Trainer:
    """In place of a training: a reader that reads every colour rightly, and notes what it was given."""

    read: int = 0
    stop_at: int = 9
    tables: list[tuple[Path, Manifest]] = field(default_factory=list)
    unsure: frozenset[int] = frozenset()
    wrong: bool = False

    def __repr__(self) -> str:
        return "trainer"

    def __call__(self, folder: Path, table: Path, pack: CountryPack, rendered: bool) -> Recogniser:
        assert rendered
        if len(self.tables) + 1 == self.stop_at:
            raise KeyboardInterrupt
        self.tables.append((folder, read_manifest(table)))

        def network(batch: ImageBatch) -> tuple[FloatArray, ...]:
            self.read += len(batch)
            logits = np.zeros((len(batch), pack.slots, len(pack.charset)), np.float32)
            for row, crop in zip(logits, batch, strict=True):
                number = number_of(crop[20, 90].tolist())
                text = text_of(number + self.wrong)
                for slot, symbol in enumerate(pack.charset.encode_padded(text, pack.slots)):
                    row[slot, symbol] = SURE / 4 if number in self.unsure else SURE / 2 - number % 7 / 10
            return (logits,)

        settings = RecogniserSettings(slots=pack.slots, read_again_below=0.0)
        return Recogniser(network, settings, pack.charset)


def judged(table: Path, trainer: Trainer, folder: Path, cache: FactsCache | None = None) -> list[Finding]:
    rows = read_rows([table])
    facts = open_images(rows.images, FactsCache(None), 0)
    console = Console(quiet=True)
    folds = Folds(2, trainer, folder)
    return fold_findings(rows, facts, BRAZIL, None, folds, cache or FactsCache(None), console)[0]


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """240 plates, the first thirty in two crops; the labels of two crops are wrong: 5 is called 900, 240 (a 0) 7."""
    numbers = [*range(240), *range(30)]
    texts = [text_of(n) for n in numbers]
    texts[5], texts[240] = text_of(900), text_of(7)
    images = crops(tmp_path, numbers)
    Manifest.of(tmp_path, images, text=texts, country="BR", split="train").write(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def test_labels_that_a_reader_of_the_other_plates_contradicts_are_found(plates: Path, tmp_path: Path) -> None:
    trainer = Trainer()
    found = {f.row: f for f in judged(plates, trainer, tmp_path / "runs")}
    assert set(found) == {7, 242} and {f.rule for f in found.values()} == {"fold-text"}
    assert (found[7].reading, found[242].reading) == (text_of(5), text_of(0))
    assert found[7].other == 245 and "1 rows have that text" in found[7].message  # the other crop of plate 5
    assert found[242].other == 0 and found[242].score > 0.05


def test_no_plate_trains_a_reader_that_judges_it(plates: Path, tmp_path: Path) -> None:
    trainer = Trainer()
    judged(plates, trainer, tmp_path / "runs")
    (_, a), (_, b) = trainer.tables
    assert not set(a.text) & set(b.text)
    assert a.rows + b.rows == 270 and abs(len(set(a.text)) - len(set(b.text))) <= 1


def test_a_reading_less_sure_than_those_that_confirm_labels_contradicts_nothing(plates: Path, tmp_path: Path) -> None:
    found = judged(plates, Trainer(unsure=frozenset({5})), tmp_path / "runs")
    assert [f.row for f in found] == [242]


def test_a_reader_that_confirms_few_labels_judges_none(plates: Path, tmp_path: Path) -> None:
    assert judged(plates, Trainer(wrong=True), tmp_path / "runs") == []


def test_o_and_0_are_left_to_their_own_rule(tmp_path: Path) -> None:
    texts = [text_of(n) for n in range(220)]
    texts[100] = "ABCO1OO"
    images = crops(tmp_path, range(220))
    Manifest.of(tmp_path, images, text=texts, country="BR", split="train").write(tmp_path / "t.csv")
    assert judged(tmp_path / "t.csv", Trainer(), tmp_path / "runs") == []


def test_an_interrupted_check_trains_and_reads_nothing_again(plates: Path, tmp_path: Path) -> None:
    cache = FactsCache(tmp_path / "facts.jsonl")
    first = Trainer(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        judged(plates, first, tmp_path / "runs", cache)
    again = Trainer()
    assert len(judged(plates, again, tmp_path / "runs", FactsCache(tmp_path / "facts.jsonl"))) == 2
    assert again.tables[0][0] == first.tables[0][0]  # the same run folder, which a finished training only loads
    assert first.read + again.read == 270


def test_a_label_that_changed_trains_anew(plates: Path, tmp_path: Path) -> None:
    first, second = Trainer(), Trainer()
    judged(plates, first, tmp_path / "runs")
    plates.write_text(plates.read_text().replace(text_of(900), text_of(5)))
    judged(plates, second, tmp_path / "runs")
    assert not {folder for folder, _ in first.tables} & {folder for folder, _ in second.tables}


def test_too_few_plates_are_refused_with_the_number_needed(tmp_path: Path) -> None:
    images = crops(tmp_path, range(50))
    texts = [text_of(n) for n in range(50)]
    Manifest.of(tmp_path, images, text=texts, country="BR", split="train").write(tmp_path / "few.csv")
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path / "few.csv"), "--folds", "2", "--workers", "0"])
    assert done.exit_code == 2 and len(done.stderr.strip().splitlines()) == 1
    assert str(LEAST_PLATES) in done.stderr and "has 50" in done.stderr


@pytest.mark.parametrize("count", [1, 11, -1])
def test_a_number_of_folds_that_cannot_be_is_refused(plates: Path, count: int) -> None:
    done = CliRunner().invoke(app, ["data", "check", str(plates), "--folds", str(count), "--workers", "0"])
    assert done.exit_code == 2 and f"--folds is {count}" in done.stderr


def test_folds_need_the_images(plates: Path) -> None:
    done = CliRunner().invoke(app, ["data", "check", str(plates), "--folds", "2", "--no-images"])
    assert done.exit_code == 2 and "--no-images" in done.stderr


def test_a_known_country_is_read_by_its_pack_and_another_by_its_own_forms() -> None:
    known = read_by(["ABC1234", "abc-1235"], ["BR", "BR"], BRAZIL, 0.0)
    assert known.pack.name == "Brazil" and known.label("abc-1234") == "ABC1234" and known.label("ABC12345678") is None
    made = read_by(["01A123BC"] * 9 + ["1234567890"], ["UZ"] * 10, BRAZIL, 0.0)
    assert made.rendered and made.pack.slots == 10 and made.label("99 Z 999 ZZ") == "99Z999ZZ"
    assert made.pack.layouts[0].pattern == "DDLDDDLL"
    misfit = read_by(["ABC1234567"] * 10, ["BR"] * 10, BRAZIL, 0.0)  # the pack has no such plates
    assert misfit.pack.slots == 10


def test_other_scripts_are_read_and_not_drawn() -> None:
    made = read_by(["س ص ع 1234"], [""], BRAZIL, 0.0)
    assert not made.rendered and made.label("سصع1234") == "سصع1234"


def test_plates_of_two_rows_are_read_in_two_rows() -> None:
    assert read_by(["59A112345"], ["VN"], BRAZIL, 0.5).pack.rows == 2
    assert read_by(["59A112345"], ["VN"], BRAZIL, 0.05).pack.rows == 1
    assert read_by(["ABC1234"], ["BR"], BRAZIL, 0.5).pack.rows == 2


def test_the_engine_trains_a_reader_once(plates: Path, tmp_path: Path) -> None:
    from alpr.training.fold_reader import FoldTraining

    training = FoldTraining(images=256, workers=0)
    first = training(tmp_path / "run", plates, BRAZIL["BR"], True)
    written = (tmp_path / "run" / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    image = cv2.imread(str(tmp_path / "3.png"))
    again = training(tmp_path / "run", plates, BRAZIL["BR"], True)
    assert first.read([image]) == again.read([image])
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").stat().st_mtime_ns == written
    assert json.loads((tmp_path / "run" / "run.json").read_text())["steps"] == 4

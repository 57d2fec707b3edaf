"""The data doctor: every planted fault is found, a clean set raises no alarm, and mending mends."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from planted_faults import Planted, fabricate, place, plant, write
from rich.console import Console
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.data.columns import COLUMNS, ManifestError
from alpr.data.several_tables import read_manifest
from alpr.detection.detect import Found
from alpr.detection.settings import DetectorSettings
from alpr.doctor.examination import Settings, examine, ordered
from alpr.doctor.findings import DROP, RULES, Finding, Severity
from alpr.doctor.geometry_rules import mended_corners
from alpr.doctor.images import FactsCache, ImageFacts, image_facts, open_images
from alpr.doctor.mending import write_mended
from alpr.doctor.page import print_findings
from alpr.doctor.second_opinion import consult
from alpr.doctor.table import read_rows
from alpr.doctor.text_rules import judge
from alpr.images.photograph import Photograph
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box
from alpr.plates.records import Detection, PlateReading, Reading
from alpr.reader.reader import Reader
from alpr.recognition.settings import RecogniserSettings

WITHOUT_PLANTING = {"companion-lost", "image-huge", "symbols-mixed", "country-unknown", "kind-missing"}
IN_OTHER_TESTS = {
    "fold-text",
    "decided",
    "image-size",
    "coordinates-shares",
    "texts-alike",
    "empty-contradicted",
    "image-in-tables",
}


def check(manifest: Path, pack: CountryPack, images: bool = True) -> list[Finding]:
    table = read_rows([manifest])
    facts = open_images(table.images, FactsCache(None), 0) if images else {}
    return ordered(examine(table, Settings({"CN": pack}), facts))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, china: CountryPack) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    fabricate(folder, china)
    return folder / "clean.csv"


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory, china: CountryPack) -> tuple[Path, list[Planted], list[Finding]]:
    folder = tmp_path_factory.mktemp("spoilt")
    planted = plant(folder, fabricate(folder, china))
    return folder / "spoilt.csv", planted, check(folder / "spoilt.csv", china)


def test_a_clean_set_raises_no_alarm(clean: Path, china: CountryPack) -> None:
    assert check(clean, china) == []


def test_all_of_200_planted_faults_are_found(spoilt: tuple[Path, list[Planted], list[Finding]]) -> None:
    _, planted, found = spoilt
    assert len(planted) == 200
    assert {p.rule for p in planted} == {
        r for r in RULES if not r.startswith("model-")
    } - WITHOUT_PLANTING - IN_OTHER_TESTS
    at = {(f.rule, f.row) for f in found}
    missed = Counter(p.rule for p in planted if not any((p.rule, row) in at for row in p.rows))
    assert missed == {}


def test_rows_without_a_fault_raise_no_alarm(spoilt: tuple[Path, list[Planted], list[Finding]]) -> None:
    _, planted, found = spoilt
    touched = {row for p in planted for row in p.rows}
    assert [f for f in found if f.row not in touched] == []


def test_mending_leaves_no_error_that_it_can_mend(
    spoilt: tuple[Path, list[Planted], list[Finding]], china: CountryPack
) -> None:
    source, _, found = spoilt
    before = source.read_bytes()
    output = source.with_name("mended.csv")
    changes = write_mended(source, output, found)
    assert source.read_bytes() == before
    again = check(output, china)
    assert [f for f in again if f.mending] == []
    decided_by_a_person = {"leak-text", "leak-image", "labelled-twice", "text-alphabet", "text-length"}
    assert {f.rule for f in again if f.severity == Severity.ERROR} <= decided_by_a_person
    assert read_manifest(output).rejected == ()
    rows = list(csv.DictReader(source.with_name("mended.changes.csv").open(encoding="utf-8")))
    assert len(rows) == len(changes) and {"row", "text", "tl_x"} <= {row["column"] for row in rows}


def test_mended_corners_are_the_original_ones() -> None:
    corners = np.array([[10.0, 10], [70, 14], [69, 33], [9, 30]])
    for order in ([0, 3, 2, 1], [1, 0, 2, 3], [2, 3, 0, 1], [0, 2, 1, 3]):
        mended = mended_corners(corners[order])
        assert mended is not None and np.array_equal(mended, corners)
    assert mended_corners(np.array([[0.0, 0], [10, 0], [20, 0], [5, 5]])) is None
    steep = np.array([[0.0, 0], [20, 20], [15, 25], [-5, 5]])
    assert mended_corners(steep[::-1]) is None  # at 45 degrees the first corner is not certain


def test_a_lost_plate_takes_its_image_along(tmp_path: Path, china: CountryPack) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.random.default_rng(0).integers(0, 255, (90, 200, 3), np.uint8))
    quad = np.array([[10.0, 10], [70, 10], [70, 30], [10, 30]])
    row = dict.fromkeys(COLUMNS, "") | {"image": "a.jpg", "country": "CN"}
    good = {**row, "text": "皖A12345", **place(quad)}
    mendable = {**row, "text": "皖B12345", **place(quad[::-1] + np.array([90, 0]))}
    broken = {**row, "text": "皖C12345", **place(quad + np.array([0, 40])), "x1": "x"}
    for third, kept in ((mendable, 2), (broken, 0)):
        write(tmp_path / "m.csv", [good, third])
        write_mended(tmp_path / "m.csv", tmp_path / "o.csv", check(tmp_path / "m.csv", china, images=False))
        assert len((tmp_path / "o.csv").read_text(encoding="utf-8").splitlines()) == 1 + kept


@pytest.mark.parametrize(
    ("text", "rules", "mended"),
    [
        ("皖A12345", set(), "皖A12345"),
        (" 皖a·1２345", {"text-form"}, "皖A12345"),
        ("皖А12345", {"text-lookalike"}, "皖A12345"),  # Cyrillic А
        ("皖A123", {"text-length"}, "皖A123"),
        ("皖AO2I45", {"text-confused"}, "皖A02145"),
        ("皖0A2160", {"text-grammar"}, "皖0A2160"),  # an O that the alphabet does not have
        ("皖A1234#", {"text-alphabet"}, "皖A1234#"),
    ],
)  # fmt: skip
def test_a_text_is_judged_by_its_pack(text: str, rules: set[str], mended: str, china: CountryPack) -> None:
    verdict = judge(text, china)
    assert {rule for rule, _ in verdict.faults} == rules
    assert verdict.mended == mended


def test_a_text_that_two_swaps_would_mend_is_left_as_it_is(repository: Path) -> None:
    germany = CountryPack.read(repository / "configs" / "country" / "de.yaml")
    assert [bool(germany.layout_of(text)) for text in ("B0I23", "BOI23", "BO123")] == [False, True, True]
    verdict = judge("B0I23", germany)
    assert verdict.mended == "B0I23" and [rule for rule, _ in verdict.faults] == ["text-grammar"]
    assert judge("BOX23O", germany).mended == "BOX230"


def test_o_and_0_mixed_up_are_told_from_the_set_itself(tmp_path: Path, china: CountryPack) -> None:
    rng = np.random.default_rng(2)
    letters, digits = list("ABCDEFGHJKLMNPQRSTUVWXYZ"), list("23456789")
    texts = ["".join(rng.choice(letters, 3)) + "".join(rng.choice(digits, 4)) for _ in range(300)]
    texts += ["A0C2345", "ABC2O45", "ABC2045"]
    rows = [dict.fromkeys(COLUMNS, "") | {"image": f"{i}.png", "text": t, "country": "XX"} for i, t in enumerate(texts)]
    write(tmp_path / "m.csv", rows)
    found = {f.row: f for f in check(tmp_path / "m.csv", china, images=False) if f.rule == "text-confused"}
    assert set(found) == {302, 303, 304}
    assert "'AOC2345'" in found[302].message and not found[302].mending


def test_opened_images_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((9, 12, 3), 20 * i, np.uint8))
        paths.append(str(tmp_path / f"{i}.png"))
    store = tmp_path / "facts.jsonl"
    first = open_images(paths, FactsCache(store), 0)
    store.write_bytes(store.read_bytes()[:-20])  # as a kill leaves it
    opened: list[str] = []

    def watched(path: str) -> ImageFacts:
        opened.append(path)
        return image_facts(path)

    monkeypatch.setattr("alpr.doctor.images.image_facts", watched)
    assert open_images(paths, FactsCache(store), 0) == first
    assert opened == paths[-1:]
    cv2.imwrite(paths[0], np.full((9, 13, 3), 7, np.uint8))  # another file under the old name
    assert open_images(paths, FactsCache(store), 0)[paths[0]].width == 13
    assert opened == [paths[-1], paths[0]]


def test_a_terminal_is_given_no_escape_of_a_name_or_text() -> None:
    out = StringIO()
    hostile = "An exact copy of [red]\x1b[2J\x07\u202e.jpg."
    print_findings([Finding("duplicate-image", hostile, row=3)], Console(file=out, width=200, force_terminal=True))
    said = re.sub("\x1b\\[[0-9;]*m", "", out.getvalue())  # the table's own colours
    assert "row 3: An exact copy of [red]\ufffd[2J\ufffd\ufffd.jpg." in said
    assert all(c.isprintable() or c == "\n" for c in said)


def test_the_original_is_never_written_to(clean: Path) -> None:
    with pytest.raises(ManifestError, match="the manifest itself"):
        write_mended(clean, clean, [])


def test_a_dropped_row_says_so() -> None:
    assert Finding("row-rejected", "x", mending=DROP).mending_sentence == "drops the row"
    assert Finding("text-form", "x", mending=(("text", "AB"),)).mending_sentence == "sets text to 'AB'"


class StubDetector:
    """Finds the same quads in every image."""

    settings = DetectorSettings()

    def __init__(self, quads: list[np.ndarray]) -> None:
        self.quads = quads

    def to_be_read(self) -> StubDetector:
        return self

    def kept(self, plates: list[PlateReading]) -> list[PlateReading]:
        return plates

    def look(self, photographs: list[Photograph]) -> list[Found]:
        return [Found([Detection(q, corner_box(q), 0.8) for q in self.quads]) for _ in photographs]


class StubRecogniser:
    """Reads the same text everywhere."""

    symbols = frozenset("ABC123")
    settings = RecogniserSettings()

    def read_plates(self, image: np.ndarray, corners: list[np.ndarray]) -> list[Reading]:
        return [Reading("ABC123", 0.97, ())] * len(corners)

    def read_scenes(
        self, photographs: list[Photograph], corners: list[list[np.ndarray]], closest_px: float
    ) -> list[list[Reading]]:
        return [self.read_plates(p.pixels, quads) for p, quads in zip(photographs, corners, strict=True)]


def test_a_model_contradicts_texts_and_corners_and_finds_what_nobody_labelled(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((200, 300, 3), np.uint8))
    quad = np.array([[20.0, 20], [80, 20], [80, 40], [20, 40]])
    empty = dict.fromkeys(COLUMNS, "") | {"image": "a.png"}
    rows = [
        {**empty, "text": "ABC123", **place(quad)},
        {**empty, "text": "ABC122", **place(quad + np.array([100, 0]))},
        {**empty, "text": "ABC123", **place(quad + np.array([0, 60]))},
        {**empty, "text": "XYZ", "country": "DE", **place(quad + np.array([100, 60]))},  # not the model's to judge
    ]
    write(tmp_path / "m.csv", rows)
    seen = [quad, quad + np.array([100, 0]), quad + np.array([7, 60]), quad + np.array([180, 120])]
    reader = Reader.from_parts(StubDetector(seen), StubRecogniser())  # type: ignore[arg-type]
    found, readings = consult(reader, read_rows([tmp_path / "m.csv"]), FactsCache(None))
    assert {(f.rule, f.row) for f in found if f.row} == {
        ("model-text", 3),
        ("model-corners", 4),
        ("model-unlabelled", 2),
    }
    assert readings[1] == ("ABC123", 0.97)


def run(*arguments: str) -> Result:
    """How the command ended."""
    return CliRunner().invoke(app, ["data", "check", *arguments])


def test_the_command_reports_and_its_exit_code_says_how_it_ended(
    spoilt: tuple[Path, list[Planted], list[Finding]],
    clean: Path,
    tmp_path: Path,
) -> None:
    lines = spoilt[0].read_text(encoding="utf-8").splitlines(keepends=True)
    source = spoilt[0].with_name("part.csv")
    source.write_text("".join(lines[:60]), encoding="utf-8")
    page, listed = tmp_path / "report.html", tmp_path / "findings.json"
    arguments = [str(source), "--output", str(page), "--json", str(listed), "--workers", "0"]
    assert run(*arguments, "--country", "cn").exit_code == 1
    stored = json.loads(listed.read_text(encoding="utf-8"))
    assert stored["checked"]["rows"] == 59 and sum(stored["rules"].values()) == len(stored["findings"]) > 10
    assert page.read_text(encoding="utf-8").count("data:image/jpeg") > 10
    assert page.with_suffix(".facts.jsonl").is_file()
    assert run(str(clean), "--no-images", "--fail-on", "note").exit_code == 0
    refused = run(str(clean), "--fix", str(clean), "--no-images")
    assert refused.exit_code == 2 and "never written to" in refused.stderr

"""The doctor on labels that mislead: contradictions, sizes, shares, marks nobody sees, texts that look alike."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.doctor.alike_texts import Pair, alike_findings, near_texts
from alpr.doctor.examination import Settings, examine
from alpr.doctor.findings import Finding
from alpr.doctor.images import FactsCache, open_images
from alpr.doctor.mending import write_mended
from alpr.doctor.table import read_rows
from alpr.plates.country import CountryPack
from alpr.plates.records import ImageArray

CAR, VAN = (20, 30, 120, 60), (200, 100, 300, 125)


def picture(path: Path, size: tuple[int, int] = (200, 400), seed: int = 0) -> str:
    noise = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    return path.name


def table(path: Path, image: list[str], box: object = None, **columns: object) -> Path:
    Manifest.of(path.parent, image, box=box, **columns).write(path)  # type: ignore[arg-type]
    return path


def found(*tables: Path, images: bool = True) -> list[Finding]:
    rows = read_rows(tables)
    facts = open_images(rows.images, FactsCache(None), 0) if images else {}
    return examine(rows, Settings({"EG": CountryPack.find("eg")}), facts)


def of_rule(findings: list[Finding], rule: str) -> list[tuple[str, int]]:
    return [(Path(f.file).name, f.row) for f in findings if f.rule == rule]


def test_a_photograph_of_two_tables_is_found(tmp_path: Path) -> None:
    for i in range(3):
        picture(tmp_path / f"{i}.png", seed=i)
    cars = table(
        tmp_path / "cars.csv", ["0.png", "1.png", "2.png"], [CAR] * 3, text=["AB1", "AB2", "AB3"], split="train"
    )
    vans = table(
        tmp_path / "vans.csv", ["./0.png", str(tmp_path / "1.png")], [VAN, CAR], text=["XY1", "XY2"], split="val"
    )
    findings = found(cars, vans)
    assert of_rule(findings, "image-in-tables") == [("vans.csv", 2), ("vans.csv", 3)]
    assert of_rule(findings, "leak-image") == [("cars.csv", 2), ("cars.csv", 3)]
    assert of_rule(findings, "labelled-twice") == [("vans.csv", 3)]
    assert not of_rule(findings, "duplicate-image")
    assert of_rule(found(cars, vans, images=False), "image-in-tables") == [("vans.csv", 2), ("vans.csv", 3)]


def test_an_empty_row_beside_a_plate_is_found(tmp_path: Path) -> None:
    picture(tmp_path / "0.png")
    cars = table(tmp_path / "cars.csv", ["0.png"], [CAR])
    empty = table(tmp_path / "empty.csv", ["./0.png", "0.png"])
    findings = found(cars, empty)
    assert of_rule(findings, "empty-contradicted") == [("empty.csv", 2), ("empty.csv", 3)]
    assert not of_rule(found(empty), "empty-contradicted")


def test_a_plate_leaks_however_it_is_written(tmp_path: Path) -> None:
    texts = ["AB000CD", "ab-000 cd", "XY1", "XY1", "ZZ9", "ZZ9"]
    one = table(
        tmp_path / "t.csv",
        [f"{i}.png" for i in range(6)],
        [CAR] * 6,
        text=texts,
        country=["", "EG", "BR", "AR", "", "BR"],
        split=["train", "val"] * 3,
    )
    leaks = [f for f in found(one, images=False) if f.rule == "leak-text"]
    assert [f.row for f in leaks] == [2, 6]  # XY1 of Brazil is another plate than that of Argentina
    assert "'AB000CD' or 'ab-000 cd'" in leaks[0].message


def test_marks_that_nobody_sees_are_found_and_mended(tmp_path: Path) -> None:
    texts = ["\u200eAB123CD", "AB\u200b124CD", "AB125CD\u200f", "\ufeffAB126CD", "أبج\u200f١٢٣", "أبج124", "أبج۱۲۵"]
    countries = [*[""] * 4, *["EG"] * 3]
    path = tmp_path / "t.csv"
    table(path, [f"{i}.png" for i in range(7)], [CAR] * 7, text=texts, country=countries)
    findings = found(path, images=False)
    assert [row for _, row in of_rule(findings, "text-form")] == [2, 3, 4, 5, 6]
    assert "zero width space" in next(f.message for f in findings if f.row == 3)
    assert [row for _, row in of_rule(findings, "text-lookalike")] == [7, 8]
    write_mended(path, tmp_path / "clean.csv", findings)
    assert read_manifest(tmp_path / "clean.csv").text == [
        *("AB123CD", "AB124CD", "AB125CD", "AB126CD"),
        *("أبج١٢٣", "أبج١٢٤", "أبج١٢٥"),
    ]


def test_shares_are_an_error_and_are_mended_by_the_images_size(tmp_path: Path) -> None:
    picture(tmp_path / "0.png")
    head = table(tmp_path / "t.csv", ["0.png"], [CAR], text="AB123CD").read_text(encoding="utf-8").splitlines()[0]
    corners = ",".join(["0.05,0.15", "0.3,0.15", "0.3,0.3", "0.05,0.3"])
    rows = [f"0.png,AB123CD,,0.05,0.15,0.3,0.3,{corners},,", f"0.png,AB124CD,,0.5,0.6,0.8,0.7,{',' * 7},,"]
    (tmp_path / "t.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    findings = found(tmp_path / "t.csv")
    assert of_rule(findings, "coordinates-shares") == [("t.csv", 2), ("t.csv", 3)]
    assert {f.rule for f in findings if f.severity == 2} == {"coordinates-shares"}
    write_mended(tmp_path / "t.csv", tmp_path / "clean.csv", findings)
    clean = read_manifest(tmp_path / "clean.csv")
    assert clean.box.tolist() == [[20, 30, 120, 60], [200, 120, 320, 140]]
    assert clean.corners[0].tolist() == [[20, 30], [120, 30], [120, 60], [20, 60]]
    assert of_rule(found(tmp_path / "t.csv", images=False), "coordinates-shares")


@pytest.mark.parametrize("names", [("image_width", "image_height"), ("WIDTH", "HEIGHT")])
def test_a_declared_size_is_compared(tmp_path: Path, names: tuple[str, str]) -> None:
    declared = [(400, 200), (800, 400), (200, 400), (300, 200), ("", "")]
    for i in range(5):
        picture(tmp_path / f"{i}.png", seed=i)
    columns = {name: [str(size[k]) for size in declared] for k, name in enumerate(names)}
    path = table(tmp_path / "t.csv", [f"{i}.png" for i in range(5)], [CAR] * 5, extra=columns)
    sizes = [f for f in found(path) if f.rule == "image-size"]
    assert [f.row for f in sizes] == [3, 4, 5]
    assert ["multiplied by 0.5" in sizes[0].message, "turned" in sizes[1].message, "cut" in sizes[2].message] == [
        True
    ] * 3


def test_neighbouring_texts_are_found_by_what_is_left_of_them() -> None:
    rng = np.random.default_rng(0)
    letters = list("AB12")
    texts = sorted({"".join(rng.choice(letters, rng.integers(4, 8))) for _ in range(300)})
    expected = set()
    for i, a in enumerate(texts):
        for j, b in enumerate(texts[:i]):
            apart = [k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y]
            most = min(2, len(a) - 4)
            shorter, longer = sorted((a, b), key=len)
            lacks = len(longer) == len(shorter) + 1 and len(longer) > 5
            if len(a) == len(b) and len(apart) <= most:
                expected.add(Pair(j, i, tuple(apart)))
            elif lacks and any(longer[:k] + longer[k + 1 :] == shorter for k in range(len(longer))):
                expected.add(Pair(j, i, ()))
    assert set(near_texts(texts)) == expected and len(expected) > 100
    assert all(len(pair.at) < 2 for pair in near_texts(texts, 1))


def plate(text: str, seed: int) -> ImageArray:
    """A drawn plate, a little moved, lit and blurred by its seed."""
    rng = np.random.default_rng(seed)
    image = np.full((64, 256, 3), 225, np.uint8)
    for k, character in enumerate(text):
        cv2.putText(image, character, (10 + 34 * k, 48), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (20, 20, 20), 4, cv2.LINE_AA)
    x, y = rng.uniform(-4, 4), rng.uniform(-2, 2)
    matrix = np.array([[1 + rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), x], [rng.uniform(-0.02, 0.02), 1, y]])
    image = cv2.warpAffine(image, matrix, (256, 64), borderMode=cv2.BORDER_REPLICATE)
    lit = image * rng.uniform(0.4, 1) + rng.normal(0, 6, image.shape)
    return np.asarray(cv2.GaussianBlur(lit.clip(0, 255).astype(np.uint8), (0, 0), rng.uniform(0.5, 1.5)))


def test_texts_that_differ_where_the_pictures_do_not_are_found(tmp_path: Path) -> None:
    """Wrong labels are found with both pictures; plates that truly differ in a character are not."""
    rng = np.random.default_rng(1)
    images, texts, splits = [], [], []
    wrong = {}
    for n in range(12):
        text = "".join(rng.choice(list("ABEFHKMPRT"), 3)) + "".join(rng.choice(list("0123456789"), 4))
        for frame in range(3):
            name = f"{n}_{frame}.png"
            label = text
            if frame == 2:
                at = int(rng.integers(7))
                label = text[:at] + ("X" if at < 3 else "7" if text[at] != "7" else "1") + text[at + 1 :]
                wrong[name] = {text, label}
            cv2.imwrite(str(tmp_path / name), plate(text, 3 * n + frame))
            images.append(name)
            texts.append(label)
            splits.append("val" if frame == 2 else "train")
    for text in ("KLM1234", "KLM1239", "KLN1234", "KLM1734"):  # plates that differ
        images.append(f"{text}.png")
        texts.append(text)
        splits.append("train")
        cv2.imwrite(str(tmp_path / images[-1]), plate(text, 99))
    path = table(tmp_path / "t.csv", images, text=texts, split=splits)
    rows = read_rows([path])
    facts = open_images(rows.images, FactsCache(None), 0)
    findings = alike_findings(rows, facts)
    named = {f.image: {rows.text[f.index], rows.text[f.other]} for f in findings}
    assert all("train and val" in f.message for f in findings)
    assert set(named) <= set(wrong) and sum(named.get(name) == pair for name, pair in wrong.items()) >= 10
    done = CliRunner().invoke(
        app,
        ["data", "check", str(path), "--output", str(tmp_path / "page.html"), "--workers", "0", "--fail-on", "error"],
    )
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "texts-alike" in page and page.count("data:image") >= 10

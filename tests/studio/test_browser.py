"""The studio's page in a real browser; skipped where there is none. `make test-browser` brings one."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from tiny_bundle import scene, write_bundle

from alpr.data.columns import CORNER_COLUMNS

pytest.importorskip("fastapi", reason="the extra studio is not installed: pip install 'alpr-train[studio]'")
playwright = pytest.importorskip("playwright.sync_api", reason="no browser is driven here: pip install playwright")

from studio_parts import TOKEN, photographs, served, studio_of  # noqa: E402

BROWSER = os.environ.get("ALPR_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=document.title='taken'> \"'&.png"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        try:
            found = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"No browser starts here ({str(error).splitlines()[0]}); ALPR_BROWSER names one.")
        yield found
        found.close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def cars(tmp_path: Path) -> Path:
    photographs(tmp_path / "cars")
    return tmp_path / "cars"


class Page:
    """A page of a studio; at its end nothing stood in its console, and it asked no other host."""

    def __init__(self, browser: Any, address: str) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("request", lambda request: self._asked(request, address))
        self.page.goto(f"{address}/?token={TOKEN}")
        self.page.wait_for_selector("#reading article, #reading p:text('Nothing found')")

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and "409" not in message.text and "400" not in message.text:
            self.complaints.append(message.text)

    def _asked(self, request: Any, address: str) -> None:
        if not request.url.startswith(address):
            self.complaints.append(f"it asked {request.url}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sees(self, selector: str, text: str) -> None:
        """Waits until a part of the page holds a text."""
        playwright.expect(self.page.locator(selector)).to_contain_text(text, timeout=30_000)

    def drag(self, corner: int, by: tuple[int, int]) -> None:
        """Drags a corner by px of the screen."""
        box = self.page.locator(f"[data-corner='{corner}']").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by[0] / 2, y + by[1] / 2)
        self.page.mouse.move(x + by[0], y + by[1])
        assert self.page.locator("#glass").is_visible()
        self.page.mouse.up()


def rows(cars: Path) -> list[dict[str, str]]:
    table = cars / "studio.csv"
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_photograph_is_labelled_corrected_and_reviewed(cars: Path, bundle: Path, browser: Any) -> None:
    with served(studio_of(cars, bundle)) as address:
        one = Page(browser, address)
        one.sees("#reading strong", "皖A12")
        assert one.page.locator(".bar").count() == 4
        one.page.fill("#f-text", "car2")
        one.sees("#found", "1 of 5")
        one.page.fill("#f-text", "")
        one.sees("#found", "5 of 5")
        one.press("Escape", "Home", "ArrowRight", "ArrowLeft")
        one.sees("#status", "1 of 5: car0.png")
        one.sees("#reading strong", "皖A12")
        one.press("g")
        one.sees("#counts", "1 labelled")
        (row,) = rows(cars)
        drafted = [row[name] for name in CORNER_COLUMNS]
        assert (row["text"], row["reviewed"]) == ("皖A12", "") and abs(float(row["tl_x"]) - 200) < 1
        one.drag(0, (-30, -20))
        one.page.wait_for_function("() => !document.querySelector('#unsaved')")
        one.page.fill("input.text", "皖B45")
        one.press("Enter")
        one.sees(".judged", "China")  # the pack of CN has no such plate
        one.page.wait_for_timeout(200)
        (row,) = rows(cars)
        assert row["text"] == "皖B45" and float(row["tl_x"]) < 190 and float(row["tl_y"]) < 115
        moved = row["tl_x"]
        one.press("u")
        one.sees("#status", "Undone")
        assert (rows(cars)[0]["text"], rows(cars)[0]["tl_x"]) == ("皖A12", moved)
        one.press("u")
        one.page.wait_for_timeout(500)
        assert [rows(cars)[0][name] for name in CORNER_COLUMNS] == drafted
        one.press("U")
        one.sees("#status", "Done again")
        assert rows(cars)[0]["tl_x"] == moved
        one.press("r")
        one.sees("#status", "2 of 5")
        one.sees("#counts", "1 reviewed")
        one.page.reload()
        one.page.wait_for_selector("#state")
        one.sees("#state", "reviewed 20")
        (row,) = rows(cars)
        assert row["reviewed"].endswith("Z") and row["tl_x"] == moved and row["text"] == "皖A12"
        assert not one.complaints


def test_keys_reach_every_kind_of_label(cars: Path, bundle: Path, browser: Any) -> None:
    with served(studio_of(cars, bundle)) as address:
        one = Page(browser, address)
        one.press("r")
        one.sees("#status", "Nothing is said")
        one.press("a")
        box = one.page.locator("#canvas").bounding_box()
        one.page.mouse.move(box["x"] + 250, box["y"] + 250)
        one.page.mouse.down()
        one.page.mouse.move(box["x"] + 500, box["y"] + 380)
        one.page.mouse.up()
        one.sees("#counts", "1 labelled")
        one.press("s")
        one.sees("#status", "Snapped")
        right = float(rows(cars)[0]["tr_x"])
        assert rows(cars)[0]["text"] == "皖A12" and abs(right - 320) < 1
        one.press("2", "ArrowRight", "ArrowRight", "Escape")
        one.page.wait_for_timeout(300)
        assert float(rows(cars)[0]["tr_x"]) == right + 1
        one.press("x")
        one.page.wait_for_timeout(500)
        assert rows(cars)[0]["kind"] == "ignore"
        one.press("0")
        one.sees("#labels", "No plate is in this photograph")
        one.page.wait_for_timeout(500)
        assert (rows(cars)[0]["image"], rows(cars)[0]["text"], rows(cars)[0]["tl_x"]) == ("car0.png", "", "")
        one.press("?")
        assert one.page.locator("dialog").is_visible() and "reviewed" in one.page.inner_text("dialog")
        one.press("Escape", "t")
        assert one.page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert one.page.evaluate("document.documentElement.scrollHeight <= 720 && document.body.scrollWidth <= 1280")
        assert not one.complaints


def test_crossed_corners_are_not_written(cars: Path, bundle: Path, browser: Any) -> None:
    with served(studio_of(cars, bundle)) as address:
        one = Page(browser, address)
        one.press("g")
        one.sees("#counts", "1 labelled")
        before = rows(cars)
        one.drag(0, (250, 200))
        one.sees("#unsaved", "clockwise")
        one.press("ArrowRight")
        one.sees("#status", "is not saved")
        assert rows(cars) == before
        one.press("Escape", "u")
        one.page.wait_for_function("() => !document.querySelector('#unsaved')")
        one.press("ArrowRight")
        one.sees("#status", "2 of 5")
        assert rows(cars) == before and not one.complaints


def test_two_pages_keep_each_others_work(cars: Path, bundle: Path, browser: Any) -> None:
    with served(studio_of(cars, bundle)) as address:
        one, other = Page(browser, address), Page(browser, address)
        other.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        one.press("g")
        one.sees("#counts", "1 labelled")
        other.press("0")  # before it has heard of it, or after
        other.page.wait_for_selector("#conflict:not([hidden]), #state:text('draft')")
        if other.page.locator("#conflict").is_visible():
            assert rows(cars)[0]["text"] == "皖A12"
            other.sees("#conflict", "Theirs: 皖A12. Yours: no plate.")
            other.page.click("#keep-mine")
        other.page.wait_for_function("() => document.querySelector('#conflict').hidden")
        other.page.wait_for_timeout(500)
        assert [row["text"] for row in rows(cars)] == [""]
        one.sees("#labels", "No plate is in this photograph")  # the first page hears of it
        one.press("ArrowRight")
        one.sees("#status", "2 of 5")
        one.sees("#reading strong", "A123")
        one.press("g")
        one.sees("#counts", "2 labelled")
        assert [row["text"] for row in rows(cars)] == ["", "A123"]
        assert not one.complaints and not other.complaints


def test_a_stale_page_is_told(cars: Path, bundle: Path, browser: Any) -> None:
    studio = studio_of(cars, bundle)
    with served(studio) as address:
        one = Page(browser, address)
        one.page.route("**/api/state", lambda route: route.abort())  # it hears of nothing
        assert studio.project is not None
        studio.project.change(0, 0, [], known=True, reviewed=True)
        one.press("g")
        one.sees("#conflict", "Yours: 皖A12")
        assert rows(cars)[0]["text"] == ""
        one.page.click("#take-theirs")
        one.sees("#labels", "No plate is in this photograph")
        assert rows(cars)[0]["reviewed"]


def test_hostile_names_and_texts_inject_nothing(tmp_path: Path, bundle: Path, browser: Any) -> None:
    folder = tmp_path / "<b>odd"
    folder.mkdir()
    cv2.imwrite(str(folder / HOSTILE), scene())
    with served(studio_of(folder, bundle)) as address:
        one = Page(browser, address)
        one.press("g")
        one.sees("#counts", "1 labelled")
        one.page.fill("input.text", "<img src=x onerror=document.title=1>")
        one.press("Enter")
        one.sees("#list", "<img src=x onerror=document.title=1>")
        one.sees("#list", "document.title='taken'")
        one.sees("#title", "<b>odd")
        assert one.page.title() == "alpr studio"
        assert one.page.locator("img[src='x'], #list b b, #title b").count() == 0
        assert rows(folder)[0]["text"] == "<img src=x onerror=document.title=1>" and rows(folder)[0]["image"] == HOSTILE
        assert not one.complaints


def test_a_long_list_shows_few_rows(tmp_path: Path, bundle: Path, browser: Any) -> None:
    (path,) = photographs(tmp_path / "cars", ("皖A12",))[:1]
    head = "image,text,country,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y,split,note\n"
    lines = [
        f"cars/{path.name if i == 7000 else f'gone{i}.png'},T{i},CN,1,1,9,5,,,,,,,,,train,\n" for i in range(20_000)
    ]
    (tmp_path / "t.csv").write_text(head + "".join(lines), encoding="utf-8")
    with served(studio_of(tmp_path / "t.csv", bundle)) as address:
        one = browser.new_page(viewport={"width": 1280, "height": 720})
        one.goto(f"{address}/?token={TOKEN}")
        playwright.expect(one.locator("#found")).to_contain_text("20,000 of 20,000", timeout=60_000)
        one.keyboard.press("End")
        playwright.expect(one.locator("#status")).to_contain_text("20,000 of 20,000", timeout=30_000)
        assert one.locator(".row").count() < 30
        one.fill("#f-text", "T7000")
        playwright.expect(one.locator("#found")).to_contain_text("1 of 20,000", timeout=30_000)
        playwright.expect(one.locator("#list")).to_contain_text("T7000", timeout=30_000)

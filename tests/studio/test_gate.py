"""Who may ask the studio, and what it answers: token, host, origin, photographs, readings, and the verb itself."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle
from tiny_runs import ENVIRONMENT
from tiny_video import write_video

pytest.importorskip("fastapi", reason="the extra studio is not installed: pip install 'alpr-train[studio]'")
pytest.importorskip("uvicorn", reason="the extra studio is not installed: pip install 'alpr-train[studio]'")

from studio_parts import TOKEN, photographs, served, studio_of

from alpr.reader.reader import Reader
from alpr.studio.film import Film
from alpr.studio.readings import Readings
from alpr.studio.server import Studio

INSIDE = f"/t/{TOKEN}"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def place(tmp_path: Path, bundle: Path) -> Iterator[str]:
    photographs(tmp_path / "cars")
    with served(studio_of(tmp_path / "cars", bundle)) as address:
        yield address.removeprefix("http://")


def ask(
    place: str, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(place, timeout=60)
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        given["content-type"] = "application/json"
    connection.request(method, path, data, given)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def told(place: str, path: str, method: str = "GET", body: Any = None) -> Any:
    status, _, data = ask(place, f"{INSIDE}/api/{path}", method, body)
    return {"status": status, **json.loads(data)} if status != 200 else json.loads(data)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/?token=wrong", "/?token=", f"/?token={TOKEN}x", "/api/state", "/t/wrong/api/state", "/t//api/state",
        "/page/main.js", "/t/wrong/page/main.js", "/t/wrong/api/photos/0/image", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_without_the_token_nothing_is_given(place: str, path: str) -> None:
    status, _, body = ask(place, path)
    assert status == 401 and b"token" in body and TOKEN.encode() not in body.replace(b"wrong", b"")


def test_the_page_is_given_with_the_token_and_carries_its_rules(place: str) -> None:
    status, headers, body = ask(place, f"/?token={TOKEN}")
    assert status == 200 and f'<base href="{INSIDE}/">'.encode() in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert b"http://" not in body and b"https://" not in body  # no other host
    status, headers, _ = ask(place, f"{INSIDE}/page/main.js")
    assert status == 200 and headers["content-type"].startswith("text/javascript")
    assert ask(place, f"{INSIDE}/page/..%2fserver.py")[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"host": "example.com"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_foreign_pages_are_refused(place: str, headers: dict[str, str], status: int) -> None:
    assert ask(place, f"{INSIDE}/api/state", **headers)[0] == status
    own = ask(place, f"{INSIDE}/api/state", origin=f"http://{place}")
    assert own[0] == 200 and "access-control-allow-origin" not in own[1]


def test_a_large_request_is_refused(place: str) -> None:
    assert ask(place, f"{INSIDE}/api/photos/0", "PUT", "x" * 4_100_000)[0] == 413


def test_a_photograph_is_read_with_bars_and_a_crop(place: str) -> None:
    reading = told(place, "photos/0/reading")
    (plate,) = reading["plates"]
    assert (
        plate["text"] == "皖A12" and plate["layout"] == "plain" and set(reading["ms"]) == {"decode", "detect", "read"}
    )
    assert [slot["symbol"] for slot in plate["slots"]] == list("皖A12")
    assert all(len(slot["others"]) == 3 and slot["symbol"] not in dict(slot["others"]) for slot in plate["slots"])
    status, headers, data = ask(place, f"{INSIDE}/api/photos/0/seen/0")
    assert status == 200 and headers["content-type"] == "image/png" and data.startswith(b"\x89PNG")
    assert told(place, "photos/4/reading")["plates"] == []
    assert told(place, "list?state=nothing%20found")["numbers"] == [4]
    assert told(place, "photos/99/reading")["status"] == 404


def test_a_quad_is_snapped_and_read(place: str) -> None:
    rough = "190,110,330,112,325,155,195,150"
    found = told(place, f"photos/0/inside?corners={rough}&snap=true")
    assert found["text"] == "皖A12"
    np.testing.assert_allclose(found["corners"], [[200, 120], [320, 120], [320, 150], [200, 150]], atol=1)
    assert told(place, "photos/4/inside?corners=1,1,60,1,60,20,1,20&snap=true")["status"] == 404
    assert told(place, "photos/0/inside?corners=1,2")["status"] == 400
    assert told(place, "photos/0/inside?corners=nan,1,60,1,60,20,1,20")["status"] == 400


def test_a_change_tells_of_a_conflict(place: str) -> None:
    photo = told(place, "photos/0")
    label = {"text": "A1", "corners": [[1, 1], [9, 1], [9, 4], [1, 4]], "country": "CN"}
    body = {"revision": photo["revision"], "labels": [label], "known": True, "reviewed": True}
    assert told(place, "photos/0", "PUT", body)["reviewed"]
    again = told(place, "photos/0", "PUT", body)
    assert again["status"] == 409 and again["photo"]["labels"][0]["text"] == "A1"
    wrong = {**body, "revision": 1, "labels": [{**label, "corners": label["corners"][::-1]}]}
    crossed = told(place, "photos/0", "PUT", wrong)
    assert crossed["status"] == 400 and "clockwise" in crossed["error"]
    assert told(place, "photos/0", "PUT", {**body, "labels": [{"odd": 1}]})["status"] == 400
    assert told(place, "state")["reviewed"] == 1


def test_a_run_drafts_the_most_doubtful_first(place: str, tmp_path: Path) -> None:
    assert told(place, "run", "POST", {"drafting": True})["total"] == 5
    until = iter(range(1500))
    while told(place, "state")["run"]["running"]:
        next(until)
    state = told(place, "state")
    assert (state["run"]["drafted"], state["labelled"], state["reviewed"]) == (5, 5, 0) and not state["run"]["error"]
    numbers = told(place, "list?order=doubt")["numbers"]
    rows = told(place, f"rows?numbers={','.join(map(str, numbers))}")
    doubts = [row["doubt"] for row in rows]
    assert doubts == sorted(doubts, reverse=True) and rows[0]["plates"] == 0  # nothing found is the most doubtful
    assert (tmp_path / "cars" / "studio.csv").is_file()


def test_a_file_that_is_no_image_is_not_given_out(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    head = "image,text,country,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y,split,note"
    (tmp_path / "t.csv").write_text(f"{head}\nsecret.txt,A,,,,,,,,,,,,,,,\n")
    with served(studio_of(tmp_path / "t.csv", bundle)) as address:
        for part in ("image", "thumbnail", "reading"):
            status, _, body = ask(address.removeprefix("http://"), f"{INSIDE}/api/photos/0/{part}")
            assert status == 422 and b'"error"' in body and b"secret.txt" in body


def test_thumbnails_are_kept(tmp_path: Path, bundle: Path) -> None:
    photographs(tmp_path / "cars")
    studio = studio_of(tmp_path / "cars", bundle)
    assert studio.pictures is not None and studio.project is not None
    path = studio.project.photos[0].path
    data = studio.pictures.thumbnail(path)
    (kept,) = studio.pictures.folder.iterdir()
    kept.write_bytes(b"kept")
    assert studio.pictures.thumbnail(path) == b"kept" and data.startswith(b"\xff\xd8")
    cv2.imwrite(str(path), scene("B1", size=(300, 500)))
    assert studio.pictures.thumbnail(path) != b"kept"  # another photograph under the same name


def test_a_film_goes_forward_and_back(tmp_path: Path, bundle: Path) -> None:
    frames = [scene("皖A12", at=(200 - 10 * i, 120)) for i in range(40)]
    path = write_video(tmp_path / "film.avi", frames)
    readings = Readings(lambda: Reader(bundle, threads=1))
    film = Film(str(path), readings)
    with served(Studio("film", "tiny", readings, film=film)) as address:
        place = address.removeprefix("http://")
        seen = [told(place, f"film?after={i}")["frame"]["number"] for i in range(-1, 30)]
        assert seen == list(range(31))
        assert told(place, "film?before=30")["frame"]["number"] == 29
        assert told(place, "film?before=3")["frame"]["number"] == 2  # no longer kept: the file is opened again
        assert ask(place, f"{INSIDE}/api/film/2/image")[1]["content-type"] == "image/jpeg"
        last = told(place, "film?after=38")
        end = told(place, "film?after=39")
        assert last["frame"]["number"] == 39 and end["frame"] is None and end["ended"]


def test_the_verb_prints_its_address_and_ends(tmp_path: Path, bundle: Path) -> None:
    photographs(tmp_path / "cars")
    command = [sys.executable, "-m", "alpr", "studio", tmp_path / "cars", "--bundle", bundle, "--no-browser"]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"http://(127\.0\.0\.1:\d+)(/\?token=[\w-]+)\n", line)
        assert found is not None, line
        assert ask(found[1], found[2])[0] == 200 and ask(found[1], "/")[0] == 401
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0 and rest == "" and "studio.csv" in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere is no file"),
        (["empty"], "holds no image"),
        (["t.csv", "--table", "t.csv"], "never written over"),
        (["run"], "is a run's folder"),
    ],
)
def test_the_verb_says_what_it_cannot_open(tmp_path: Path, bundle: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "t.csv").write_text("image\n")
    command = [sys.executable, "-m", "alpr", "studio", *words, "--bundle", str(bundle), "--no-browser"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr

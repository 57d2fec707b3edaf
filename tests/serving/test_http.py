"""The HTTP routes, over real connections: answers, limits, tokens, and what happens when it is too much."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from serving_parts import ask, form, png, serving, until
from tiny_bundle import scene, write_bundle
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.reader.reader import Reader
from alpr.serving.queue import Limits
from alpr.serving.server import Server, Settings

pytest.importorskip("fastapi", reason="the extra serve is not installed: pip install 'alpr-train[serve]'")
pytest.importorskip("uvicorn", reason="the extra serve is not installed: pip install 'alpr-train[serve]'")

from alpr.serving import bodies, connections

HERE = "127.0.0.1:0"
TOKEN = "a-token-of-the-tests-1"
Place = tuple[str, int]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    limits = Limits(image_bytes=300_000, memory_bytes=2_000_000, pixels=500_000)
    with serving(bundle, Settings(http=HERE, limits=limits)) as server:
        until(lambda: server.alive)
        yield server


@pytest.fixture
def place(server: Server) -> Place:
    assert server.http is not None
    return server.http.place


def read(place: Place, body: bytes, path: str = "/v1/read", **headers: str) -> tuple[int, dict[str, str], Any]:
    return ask(place, "POST", path, body, {key.replace("_", "-"): value for key, value in headers.items()})


def test_an_answer_is_the_json_of_predict(bundle: Path, place: Place, tmp_path: Path) -> None:
    (tmp_path / "car.png").write_bytes(png("AB1"))
    done = CliRunner().invoke(app, ["predict", str(tmp_path / "car.png"), "--bundle", str(bundle), "--threads", "1"])
    expected = json.loads(done.stdout) | {"image": "car.png", "ms": 0}
    body, headers = form(("upload", "C:\\\\pictures\\\\car.png", png("AB1")))
    status, given, found = ask(place, "POST", "/v1/read", body, headers)
    assert status == 200 and found | {"ms": 0} == expected and list(found) == list(expected)
    status, given, found = read(
        place, png("AB1"), X_Request_Id="my-1", Content_Type="application/x-www-form-urlencoded"
    )
    assert status == 200 and found["image"] == given["x-request-id"] == "my-1"


def test_several_images_give_a_list_in_their_order(place: Place) -> None:
    body, headers = form(("a", "1.png", png("A")), ("note", None, b"x"), ("b", "2.png", b"none"), ("c", "", png("B")))
    status, given, found = ask(place, "POST", "/v1/read", body, headers)
    assert status == 200 and [one["image"] for one in found] == ["1.png", "2.png", given["x-request-id"] + "-3"]
    assert [one.get("plates", [{}])[0].get("text") for one in found] == ["A", None, "B"]
    assert found[1]["error"].startswith("2.png is no image")


def test_a_crop_is_read_as_it_is(place: Place) -> None:
    crop = cv2.imencode(".png", scene("AB12", at=(0, 0), size=(48, 192), plate=192))[1].tobytes()
    status, _, found = read(place, crop, "/v1/read-crop")
    assert status == 200 and found["text"] == "AB12" and list(found)[1:] == ["text", "text_score", "characters"]


def test_clients_of_other_servers_get_their_shapes(place: Place) -> None:
    body, headers = form(
        ("upload", "a.jpg", png("AB1")), ("min_confidence", None, b"0.1"), ("camera_id", None, b"gate")
    )
    status, _, found = ask(place, "POST", "/v1/image/alpr", body, headers)
    (one,) = found["predictions"]
    assert status == 200 and found["success"] and one["plate"] == "AB1" and one["label"] == "Plate: AB1"
    assert (one["x_min"], one["y_min"], one["x_max"], one["y_max"]) == (200, 120, 320, 150)
    status, _, found = ask(place, "POST", "/v1/plate-reader/", body, {**headers, "Authorization": "Token x"})
    (one,) = found["results"]
    assert status == 201 and one["plate"] == "ab1" and found["camera_id"] == "gate" and found["filename"] == "a.jpg"
    assert one["box"] == {"xmin": 200, "ymin": 120, "xmax": 320, "ymax": 150} and one["candidates"][0]["plate"] == "ab1"
    body, headers = form(("image", "a.jpg", png("AB1")))
    status, _, found = ask(place, "POST", "/v2/recognize?secret_key=x&topn=3", body, headers)
    (one,) = found["results"]
    assert (
        status == 200
        and found["data_type"] == "alpr_results"
        and (found["img_width"], found["img_height"]) == (480, 240)
    )
    assert one["plate"] == "AB1" and 0 < one["confidence"] <= 100 and one["coordinates"][2] == {"x": 320, "y": 150}
    assert len(one["candidates"]) == one["requested_topn"] == 3
    status, _, found = read(place, base64.b64encode(png("AB1")), "/v3/recognize_bytes")
    assert status == 200 and found["results"][0]["plate"] == "AB1"
    for shape, key in {"codeproject": "predictions", "platerecognizer": "results", "openalpr": "results"}.items():
        status, _, found = read(place, png("AB1"), f"/v1/read?format={shape}")
        assert status == 200 and len(found[key]) == 1
    body, headers = form(("upload", None, base64.b64encode(png("AB1"))))
    assert ask(place, "POST", "/v1/plate-reader/", body, headers)[2]["results"][0]["plate"] == "ab1"
    body, headers = form(("upload", "a.jpg", png("AB1")), ("min_confidence", None, b"1.1"))
    assert ask(place, "POST", "/v1/image/alpr", body, headers)[2]["predictions"] == []


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "said"),
    [
        ("/v1/read", b"", {}, 400, "no image in the body"),
        ("/v1/read", b"hello", {}, 422, "no image that OpenCV"),
        ("/v1/read?format=fly", b"x", {}, 400, "codeproject"),
        ("/v1/read", bytes(300_001), {}, 413, "at most 300000"),
        ("/v1/read", b"x", {"Content-Type": "multipart/form-data"}, 400, "form"),
        ("/v1/read", b"x", {"Content-Type": "multipart/form-data; boundary=edge"}, 400, "form"),
        ("/v1/read", b"--edge\r\n\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}, 400, "form"),
        ("/v1/image/alpr", b"hello", {}, 422, "no image that OpenCV"),
        ("/v3/recognize_bytes", b"!!!", {}, 400, "base64"),
        ("/v1/fly", b"", {}, 404, "/docs"),
        ("/health", b"", {}, 405, "takes no POST"),
    ],
)
def test_what_cannot_be_read_gets_a_status_and_a_sentence(
    place: Place, server: Server, path: str, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    found, given, answer = ask(place, "POST", path, body, headers)
    assert found == status and said in answer["error"] and answer["request_id"] == given["x-request-id"]
    assert "Traceback" not in answer["error"]
    until(lambda: server.queue.memory.held == 0)


def test_no_url_is_fetched(place: Place) -> None:
    for field in ("upload_url", "image_url"):
        body, headers = form((field, None, b"http://127.0.0.1:1/x.jpg"))
        status, _, found = ask(place, "POST", "/v1/plate-reader/", body, headers)
        assert status == 400 and "no URL is fetched" in found["error"]


def test_bombs_are_refused_before_they_unfold(place: Place, server: Server) -> None:
    large = cv2.imencode(".png", np.zeros((800, 800, 3), np.uint8))[1].tobytes()
    status, _, found = read(place, large)
    assert status == 422 and "640000 px" in found["error"]
    claims = bytearray(large)
    claims[16:24] = (60_000).to_bytes(4, "big") * 2
    assert read(place, bytes(claims))[0] == 422
    body, headers = form(*[("a", "x", b"1")] * (bodies.MOST_PARTS + 1))
    status, _, found = ask(place, "POST", "/v1/read", body, headers)
    assert status == 413 and "parts" in found["error"]
    wide = b"--edge\r\nX: " + b"y" * 20_000 + b"\r\n\r\n1\r\n--edge--\r\n"
    assert ask(place, "POST", "/v1/read", wide, {"Content-Type": "multipart/form-data; boundary=edge"})[0] == 400
    until(lambda: server.queue.memory.held == 0)


def test_a_body_without_a_length_is_cut_off(place: Place, server: Server) -> None:
    connection = http.client.HTTPConnection(*place, timeout=30)
    connection.request(
        "POST", "/v1/read", iter([bytes(100_000)] * 4), {"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    answer = connection.getresponse()
    assert answer.status == 413
    connection.close()
    until(lambda: server.queue.memory.held == 0)


def test_figures_are_open_and_consistent(place: Place) -> None:
    read(place, png("AB1"))
    assert ask(place, "GET", "/health")[2] == {"status": "alive"} and ask(place, "GET", "/ready")[0] == 200
    _, _, version = ask(place, "GET", "/version")
    assert version["bundle"] == "tiny" and "/" not in json.dumps(version)
    _, given, text = ask(place, "GET", "/metrics")
    assert given["content-type"].startswith("text/plain; version=0.0.4")
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+.\de]+')
    rows = [line for line in text.splitlines() if not line.startswith("# ")]
    assert all(sample.fullmatch(row) for row in rows)
    values = dict(row.rsplit(" ", 1) for row in rows)
    ended = sum(float(value) for key, value in values.items() if key.startswith("alpr_frames_total"))
    assert ended == float(values["alpr_frames_offered_total"]) > 0
    assert float(values['alpr_frames_total{client="127.0.0.1",outcome="read"}']) > 0
    buckets = [float(value) for key, value in values.items() if key.startswith("alpr_wait_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == float(values["alpr_wait_seconds_count"])


def test_the_schema_and_the_page_are_there(place: Place) -> None:
    schema = ask(place, "GET", "/openapi.json")[2]
    assert {"/v1/read", "/v1/read-crop", "/v1/image/alpr", "/v1/plate-reader/", "/v2/recognize"} <= set(schema["paths"])
    status, given, page = ask(place, "GET", "/")
    assert status == 200 and "page.js" in page and "default-src 'none'" in given["content-security-policy"]
    script = ask(place, "GET", "/page.js")[2]
    assert "innerHTML" not in script and set(re.findall(r'element\("(\w+)"\)', script)) <= set(
        re.findall(r'id="(\w+)"', page)
    )


def test_a_token_is_asked_for(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(bundle, Settings(http=HERE, token=TOKEN)) as server, caplog.at_level(logging.INFO, "alpr.serving"):
        assert server.http is not None
        place = server.http.place
        for given in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}):
            for method, path in (("POST", "/v1/read"), ("GET", "/metrics"), ("GET", "/version"), ("GET", "/docs")):
                status, headers, found = ask(place, method, path, png(), given)  # type: ignore[arg-type]
                assert status == 401 and headers["www-authenticate"] == "Bearer" and "token" in found["error"]
        assert ask(place, "POST", f"/v1/read?secret_key={TOKEN}", png())[0] == 401
        for scheme in ("Bearer", "bearer", "Token"):
            assert ask(place, "POST", "/v1/read", png(), {"Authorization": f"{scheme} {TOKEN}"})[0] == 200
        assert ask(place, "POST", f"/v2/recognize?secret_key={TOKEN}", png())[0] == 200
        assert {ask(place, "GET", path)[0] for path in ("/", "/page.js", "/health", "/ready")} == {200}
        assert server.queue.tally.offered == 4
    assert TOKEN not in caplog.text


def test_a_log_line_holds_no_text_unless_asked(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    for texts in (False, True):
        caplog.clear()
        with serving(bundle, Settings(http=HERE, texts=texts)) as server, caplog.at_level(logging.INFO, "alpr.serving"):
            assert server.http is not None
            read(server.http.place, png("AB12"), X_Request_Id="one")
            until(lambda: any(record.getMessage() == "request" for record in caplog.records))
        (record,) = [vars(record) for record in caplog.records if record.getMessage() == "request"]
        assert (record["id"], record["status"], record["outcome"], record["plates"]) == ("one", 200, "read", 1)
        assert record.get("texts") == (["AB12"] if texts else None)
        assert ("AB12" in repr(record)) == texts


def test_a_full_queue_says_when_to_come_again(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    whole = Reader.read_opened

    def waits(self: Reader, photographs: Any) -> Any:
        assert go.wait(60)
        return whole(self, photographs)

    settings = Settings(http=HERE, limits=Limits(frames=4, batch=1, wait_s=60))
    server = Server(Reader(bundle, threads=1), settings)
    server.start()
    monkeypatch.setattr(Reader, "read_opened", waits)
    assert server.http is not None
    place, answers = server.http.place, list[tuple[int, dict[str, str], Any]]()
    threads = [threading.Thread(target=lambda: answers.append(read(place, png("A")))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(server.queue) == 2 and server.queue.reading == 1)
    status, headers, found = read(place, png("B"))
    assert status == 429 and int(headers["retry-after"]) >= 1 and "wait already" in found["error"]
    assert ask(place, "GET", "/health")[0] == 200
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    until(lambda: not server.ready)
    go.set()
    for thread in (*threads, stopping):
        thread.join(60)
    assert [status for status, _, _ in answers] == [200] * 3, "what was accepted is answered while it stops"
    assert server.queue.tally.outcomes() == {"read": 3, "refused": 1, "unreadable": 0, "too late": 0}


def test_slow_and_silent_connections_are_closed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_S", 0.2)
    monkeypatch.setattr(bodies, "BODY_S", 0.3)
    with serving(bundle, Settings(http=HERE)) as server:
        assert server.http is not None
        place = server.http.place
        for sent in (b"", b"POST /v1/read HT", b"GET /health HTTP/1.1\r\nHost: x\r\n"):
            with socket.create_connection(place, timeout=30) as client:
                client.sendall(sent)
                assert client.recv(100) == b"", sent
        with socket.create_connection(place, timeout=30) as client:
            client.sendall(b"POST /v1/read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
            assert client.recv(100).startswith(b"HTTP/1.1 408")
        assert read(place, png("A"))[0] == 200
        until(lambda: server.queue.memory.held == 0)


def test_a_wrong_token_file_is_one_sentence(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("abc")
    (tmp_path / "two").write_text("aaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbb")
    for name in ("short", "two", "missing"):
        words = ["serve", "--http", HERE, "--bundle", str(bundle), "--token-file", str(tmp_path / name)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2 and str(tmp_path / name) in done.stderr and len(done.stderr.splitlines()) == 1

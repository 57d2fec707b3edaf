"""Cameras of a server: their frames in its queue, their events in a file, a stream, a webhook and on a page."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_parts import Endings, ask, png, serving, until
from tiny_bundle import scene, write_bundle
from tiny_runs import ENVIRONMENT
from tiny_video import passing, write_video

from alpr.serving.event_stream import KEPT, EventStream
from alpr.serving.frames import Frame, Outcome
from alpr.serving.live import Live, LiveSettings
from alpr.serving.queue import FrameQueue, Limits
from alpr.serving.server import Server, Settings
from alpr.video.events import WatchSettings

HERE = "127.0.0.1:0"
TEXTS = ["皖A12", "皖B34"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "gate.avi", passing(TEXTS, frames=6, gap=20))


def streamed(place: tuple[str, int], path: str, count: int, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """So many events of a stream, with their numbers."""
    connection = http.client.HTTPConnection(*place, timeout=20)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    number = 0
    while count:
        line = answer.readline().decode()
        assert line, "the stream ended"
        if line.startswith("id: "):
            number = int(line[4:])
        if line.startswith("data: "):
            count -= 1
            yield number, json.loads(line[6:])
    connection.close()


def http_of(server: Server) -> tuple[str, int]:
    assert server.http is not None
    return server.http.place


def test_one_process_is_a_whole_installation(bundle: Path, video: Path, tmp_path: Path) -> None:
    events = tmp_path / "out" / "events.jsonl"
    live = LiveSettings((f"gate={video}",), events=events, evidence=tmp_path / "evidence")
    with serving(bundle, Settings(http=HERE, tcp=HERE, live=live)) as server:
        status, _, read = ask(http_of(server), "POST", "/v1/read", png("AB1"))
        assert status == 200 and read["plates"][0]["text"] == "AB1"
        found = list(streamed(http_of(server), "/v1/events?recent=9", 2))
        assert [(number, event["text"]) for number, event in found] == [(1, TEXTS[0]), (2, TEXTS[1])]
        assert found[0][1]["picture"] and found[0][1]["source"] == "gate"
        assert [event["text"] for _, event in streamed(http_of(server), "/v1/events", 1, {"Last-Event-ID": "1"})] == [
            TEXTS[1]
        ]
        until(lambda: server.queue.tally.by_client()["watch/gate"]["read"] == 52)
        assert server.alive
    lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == TEXTS and Path(lines[0]["crop_file"]).is_file()
    assert "picture" not in lines[0]


def test_without_a_camera_there_are_no_events(bundle: Path) -> None:
    with serving(bundle, Settings(http=HERE)) as server:
        status, _, said = ask(http_of(server), "GET", "/v1/events")
        assert status == 404 and "--watch" in said["error"]


def test_a_stopped_server_writes_the_events_of_the_cars_in_view(bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "long.avi", [scene(TEXTS[0])] * 400)
    command = [sys.executable, "-m", "alpr", "serve", "--watch", f"gate={clip}", "--tcp", HERE, "--bundle", bundle]
    process = subprocess.Popen(
        [*map(str, command), "--events", str(tmp_path / "e.jsonl")], env=ENVIRONMENT, text=True, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    while "watching" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    (event,) = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()]
    assert process.returncode == 0 and event["text"] == TEXTS[0] and 0 < event["seen"] < 400
    assert json.loads(said.splitlines()[-1])["event"] == "stopped"


def test_a_camera_has_a_place_where_strangers_fill_the_queue_and_only_its_turn() -> None:
    queue, ended = FrameQueue(Limits(frames=8, batch=1)), Endings()
    for client in ("one", "two", "three"):
        for number in range(4):
            queue.offer(Frame(client, f"{client}{number}", b"x", ended))
    assert ended.outcomes == [(f"three{number}", "refused") for number in range(4)]
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert queue.offer(Frame("watch/gate", "gate", pixels, ended, own=True))
    assert [queue.take()[0].name for _ in range(4)] == ["one0", "two0", "gate", "one1"]


def test_a_frame_of_a_file_is_offered_until_it_is_read(bundle: Path, video: Path, tmp_path: Path) -> None:
    left = [Outcome.LATE] * 3
    with serving(bundle, Settings(tcp=HERE)) as server:
        whole = server.queue.offer

        def offer(frame: Frame) -> bool:
            if not left:
                return whole(frame)
            server.queue.fail(frame, left.pop(), "was too late.")
            return False

        server.queue.offer = offer  # type: ignore[method-assign]
        live = Live(
            LiveSettings((str(video),), events=tmp_path / "e.jsonl"), server.reader, server.queue, EventStream(), None
        )
        live.start()
        until(lambda: live.watched[0].source.ended)
        live.stop()
    assert live.watched[0].watcher.counts["frames"] == 52 and live.watched[0].source.counts.dropped == 3


def test_a_stream_keeps_the_last_events_and_ends_when_it_is_closed() -> None:
    stream = EventStream()
    for number in range(KEPT + 5):
        stream.put({"n": number})
    assert [number for number, _ in stream.after(0)] == list(range(6, KEPT + 6))
    got: list[str] = []

    async def listen(**given: Any) -> None:
        async for part in stream.listen(**given):
            got.append(part)

    threading.Timer(0.2, stream.close).start()
    asyncio.run(listen(behind=KEPT + 3))
    assert [part.split("\n")[0] for part in got[1:]] == [f"id: {KEPT + 4}", f"id: {KEPT + 5}"]
    got.clear()
    asyncio.run(listen(recent=3))
    assert len(got) == 4
    got.clear()
    asyncio.run(listen(behind=10**9))  # of an earlier run
    assert len(got) == KEPT + 1 and stream.full


def test_no_page_names_another_host(bundle: Path, video: Path, tmp_path: Path) -> None:
    live = LiveSettings((f"gate={video}",), events=tmp_path / "e.jsonl", watch=WatchSettings())
    with serving(bundle, Settings(http=HERE, live=live)) as server:
        for path in ("/", "/page.js", "/events", "/events.js", "/docs", "/openapi.json"):
            status, headers, body = ask(http_of(server), "GET", path)
            text = body if isinstance(body, str) else json.dumps(body)
            assert status == 200 and not re.search(r"""https?:|["'(=]\s*//""", text), path
            if path in ("/", "/events"):
                assert "default-src 'none'" in headers["content-security-policy"]
        routes = ask(http_of(server), "GET", "/docs")[2]
        for route in ("POST /v1/read", "GET /v1/events", "POST /v1/plate-reader/", "Last-Event-ID", "Retry-After"):
            assert route in routes

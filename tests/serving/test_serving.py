"""A server on free ports of this machine: what its clients get, and what it says where they get nothing."""

from __future__ import annotations

import http.server
import io
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from serving_parts import png, serving, until
from tiny_bundle import scene, write_bundle
from tiny_runs import ENVIRONMENT, REPOSITORY
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.serving.frames import Ended, Frame, Outcome
from alpr.serving.results import Results
from alpr.serving.sending import Sender, old_datagrams
from alpr.serving.server import Server, Settings
from alpr.serving.sockets import address
from alpr.serving.tally import Tally

HERE = "127.0.0.1:0"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@dataclass
class Lined:
    """A server whose lines go into memory."""

    server: Server
    file: io.StringIO

    @property
    def udp(self) -> tuple[str, int]:
        assert self.server.udp is not None
        return self.server.udp.place

    @property
    def tcp(self) -> tuple[str, int]:
        assert self.server.tcp is not None
        return self.server.tcp.place

    def lines(self, count: int) -> list[dict[str, Any]]:
        """All lines so far, as soon as there are so many."""
        until(lambda: self.file.getvalue().count("\n") >= count)
        found = [json.loads(line) for line in self.file.getvalue().splitlines()]
        assert len(found) == count
        return found


@pytest.fixture
def lined(bundle: Path, tmp_path: Path) -> Iterator[Lined]:
    with serving(bundle, Settings(udp=HERE, tcp=HERE, folder=tmp_path)) as server:
        file = io.StringIO()
        assert server.udp is not None
        server.udp.results.ordered[-1].file = file  # type: ignore[attr-defined]
        yield Lined(server, file)


def test_an_old_client_is_read_and_gets_no_answer(lined: Lined) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        for text in ("AB1", ""):
            file = png(text) if text else cv2.imencode(".png", np.full((99, 99, 3), 90, np.uint8))[1].tobytes()
            for datagram in old_datagrams(file):
                client.sendto(datagram, lined.udp)
        one, none = lined.lines(2)
        with pytest.raises(TimeoutError):
            client.recv(10)
    assert one["plates"][0]["text"] == "AB1" and one["outcome"] == "read" and one["image"].endswith("/#1")
    assert none["plates"] == [] and one["client"] == none["client"]


def test_folders_are_those_of_the_old_server(lined: Lined, tmp_path: Path) -> None:
    for _ in range(2):
        with socket.create_connection(lined.tcp) as client:
            client.sendall(png("B12"))
    lined.lines(2)
    folders = sorted((tmp_path / "unconfirmed").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["lp.png", "lp_feedback.png", "orig.png", "result.txt"]
        assert (folder / "result.txt").read_bytes() == b"B12"
        assert cv2.imread(str(folder / "lp.png"), cv2.IMREAD_UNCHANGED).shape == (112, 512)
        assert cv2.imread(str(folder / "orig.png"), cv2.IMREAD_UNCHANGED).shape == scene().shape[:2]


def test_a_tcp_connection_that_brings_nothing_whole_is_counted(lined: Lined) -> None:
    with socket.create_connection(lined.tcp):
        pass
    with socket.create_connection(lined.tcp) as client:
        client.sendall(b"no image")
    (line,) = lined.lines(1)
    assert line["outcome"] == "unreadable" and "no image" in line["error"] and "plates" not in line
    assert lined.server.queue.tally.outcomes()["unreadable"] == 1 and lined.server.queue.memory.held == 0


def test_the_new_form_is_answered(lined: Lined) -> None:
    told: list[dict[str, Any]] = []
    sender = Sender(lined.udp, 100.0, old=False, told=told.append)
    for name, file in (("good", png("A1")), ("bad", b"no image at all, " * 20)):
        sender.send(name, file)
    sender.wait(30)
    assert sender.sent.outcomes == {"read": 1, "unreadable": 1}
    answers = {one["image"]: one for one in told}
    assert answers["good"]["plates"][0]["text"] == "A1" and "no image" in answers["bad"]["error"]


def test_a_folder_and_a_video_are_sent(lined: Lined, tmp_path: Path) -> None:
    where = "{}:{}".format(*lined.udp)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a", "b"):
        (pictures / f"{name}.png").write_bytes(png("AB1"))
    done = CliRunner().invoke(app, ["send", str(pictures), "--to", where, "--rate", "50"])
    assert done.exit_code == 0 and "answers: 2 read." in done.stderr
    assert '"image": "a.png"' in done.stdout
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 50, (480, 240))
    for _ in range(3):
        writer.write(scene("AB1"))
    writer.release()
    lined.lines(2)
    done = CliRunner().invoke(app, ["send", str(tmp_path / "v.avi"), "--to", where, "--old"])
    assert done.exit_code == 0 and "3 frames sent" in done.stderr
    lined.lines(5)
    nothing = CliRunner().invoke(app, ["send", str(tmp_path / "none"), "--to", where])
    assert nothing.exit_code == 2 and "There is no" in nothing.stderr


class Hook:
    """A receiver that keeps what is posted to it."""

    def __init__(self, port: int = 0) -> None:
        got: list[dict[str, Any]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.got = got
        self.server = http.server.HTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_the_webhook_gets_every_record_also_of_a_server_that_found_no_receiver(bundle: Path, tmp_path: Path) -> None:
    hook = Hook()
    hook.close()
    settings = Settings(tcp=HERE, webhook=f"http://127.0.0.1:{hook.port}/x", spool=tmp_path / "spool")
    with pytest.MonkeyPatch.context() as patch, serving(bundle, settings) as server:
        patch.setattr("alpr.serving.server.HOOK_S", 0.0)
        assert server.tcp is not None and server.webhook is not None
        for text in ("AB1", "B12"):
            with socket.create_connection(server.tcp.place) as client:
                client.sendall(png(text))
        until(lambda: server.webhook is not None and server.webhook.waiting == 2)
        server.stop()
    hook = Hook(hook.port)
    with serving(bundle, settings) as server:
        until(lambda: len(hook.got) == 2)
        assert server.webhook is not None
        server.webhook.wait(5)
    hook.close()
    assert [one["plates"][0]["text"] for one in hook.got] == ["AB1", "B12"] and hook.got[0]["client"] == "127.0.0.1"


def test_records_of_a_client_keep_its_order() -> None:
    at_once: list[str] = []
    ordered: list[str] = []
    results = Results(
        [lambda frame, *_: at_once.append(frame.name)], Tally(), [lambda frame, *_: ordered.append(frame.name)]
    )
    frames = {name: Frame(name[0], name, b"x", results) for name in ("a1", "a2", "a3", "a4", "b1")}
    for frame in frames.values():
        results.expect(frame)
    read = Ended(Outcome.READ, {})
    for name, how in (("a2", read), ("b1", read), ("a4", Ended(Outcome.REFUSED, {})), ("a1", read), ("a3", read)):
        results(frames[name], how)
    assert at_once == ["a2", "b1", "a4", "a1", "a3"]
    assert ordered == ["b1", "a4", "a1", "a2", "a3"]  # what was refused waits for nobody
    assert not results._under_way


def test_a_busy_port_and_a_wrong_address_are_one_sentence(bundle: Path) -> None:
    for kind, name in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")):
        with socket.socket(socket.AF_INET, kind) as busy:
            busy.bind(("127.0.0.1", 0))
            where = f"127.0.0.1:{busy.getsockname()[1]}"
            if kind is socket.SOCK_STREAM:
                busy.listen()
            done = CliRunner().invoke(app, ["serve", f"--{name}", where, "--bundle", str(bundle)])
            assert done.exit_code == 2 and where in done.stderr and len(done.stderr.splitlines()) == 1
    for text in ("8000", "a:b", ":1", "127.0.0.1:70000", "127.0.0.1:-1"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            address(text)
    assert address("[::1]:80") == ("::1", 80)


def test_sigterm_finishes_what_was_accepted(bundle: Path) -> None:
    code = (
        "import sys, time\n"
        "from alpr.reader.reader import Reader\n"
        "whole = Reader.read_opened\n"
        "def slowly(self, photographs):\n"
        "    time.sleep(0.05)\n"
        "    return whole(self, photographs)\n"
        "Reader.read_opened = slowly\n"
        f"from alpr.cli.main import main; main(['serve', '--tcp', '{HERE}', '--bundle', {str(bundle)!r}])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    line = json.loads(process.stderr.readline())
    host, port = address(line["address"])
    for _ in range(40):
        with socket.create_connection((host, port)) as client:
            client.sendall(png("AB1"))
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    last = json.loads(said.splitlines()[-1])
    assert process.returncode == 0 and last["event"] == "stopped" and last["read"] > 0
    assert last["offered"] == last["read"] == len(out.splitlines())


def test_one_server_is_all_protocols_and_one_queue(bundle: Path) -> None:
    with serving(bundle, Settings(udp=HERE, tcp=HERE)) as server:
        assert server.ready and server.udp is not None and server.tcp is not None
        sender = Sender(server.udp.place, 100.0, old=False, told=lambda _: None)
        sender.send("x", png())
        with socket.create_connection(server.tcp.place) as client:
            client.sendall(png())
        until(lambda: server.queue.tally.outcomes()["read"] == 2)
        counts = server.queue.tally.by_client()
        assert len(counts) == 2 and all(count["read"] == 1 for count in counts.values())
    assert not server.ready


def test_stopping_is_logged(bundle: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    # a server that ran in this process took it away
    monkeypatch.setattr(logging.getLogger("alpr.serving"), "propagate", True)
    with caplog.at_level(logging.INFO, "alpr.serving"), serving(bundle, Settings(tcp=HERE)):
        pass
    assert caplog.records[-1].getMessage() == "stopped"

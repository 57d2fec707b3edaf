"""Events to a web address: each once, in order, over broken receivers and kills."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from alpr.video.webhook import Webhook

FAST = (0.01,)


class Receiver:
    """A web server that keeps what it gets; `answers` are given in turn, then 200."""

    def __init__(self, port: int = 0, answers: tuple[int, ...] = ()) -> None:
        self.got: list[dict[str, Any]] = []
        self.keys: list[str] = []
        outer, left = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = left.pop(0) if left else 200
                if code == 200:
                    outer.got.append(json.loads(body))
                    outer.keys.append(self.headers["Idempotency-Key"])
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/events"


def numbers(receiver: Receiver) -> list[int]:
    return [body["n"] for body in receiver.got]


def test_events_arrive_once_and_in_order(tmp_path: Path, receiver: Receiver) -> None:
    hook = Webhook(url(receiver.port), tmp_path / "spool", pauses_s=FAST)
    for n in range(30):
        assert hook.put(f"e{n}/0", {"n": n})
    assert not hook.put("e3/0", {"n": 3})
    assert hook.wait(20) == 0
    hook.close()
    assert numbers(receiver) == list(range(30)) and receiver.keys[3] == "e3/0"


def test_a_receiver_that_is_away_loses_nothing(tmp_path: Path) -> None:
    first = Receiver()
    told: list[str] = []
    hook = Webhook(url(first.port), tmp_path / "spool", told=told.append, pauses_s=FAST)
    for n in range(10):
        hook.put(f"e{n}/0", {"n": n})
    assert hook.wait(20) == 0
    first.close()
    for n in range(10, 40):
        hook.put(f"e{n}/0", {"n": n})
    second = Receiver(first.port)
    assert hook.wait(20) == 0
    hook.close()
    second.close()
    assert numbers(first) + numbers(second) == list(range(40))
    assert len(told) <= 2


def test_what_was_not_sent_goes_out_with_the_next_run(tmp_path: Path, receiver: Receiver) -> None:
    spool = tmp_path / "spool"
    hook = Webhook("http://127.0.0.1:9/events", spool, pauses_s=(60.0,))
    for n in range(5):
        hook.put(f"e{n}/0", {"n": n})
    hook.close()
    with spool.open("ab") as file:
        file.write(b'{"key": "e5/0", "bo')  # a kill in the middle of a line
    again = Webhook(url(receiver.port), spool, fresh=False, pauses_s=FAST)
    assert not again.put("e4/0", {"n": 4}) and again.put("e5/0", {"n": 5})
    assert again.wait(20) == 0
    again.close()
    assert numbers(receiver) == list(range(6))
    third = Webhook(url(receiver.port), spool, fresh=False, pauses_s=FAST)
    assert not third.put("e5/0", {"n": 5}) and third.waiting == 0
    third.close()
    fourth = Webhook(url(receiver.port), spool, fresh=True, pauses_s=FAST)  # the same file watched anew
    assert fourth.put("e5/0", {"n": 5}) and fourth.wait(20) == 0
    fourth.close()


def test_what_a_receiver_refuses_holds_nothing_up(tmp_path: Path) -> None:
    receiver = Receiver(answers=(503, 200, 400))
    hook = Webhook(url(receiver.port), tmp_path / "spool", pauses_s=FAST)
    for n in range(4):
        hook.put(f"e{n}/0", {"n": n})
    assert hook.wait(20) == 0
    hook.close()
    receiver.close()
    assert numbers(receiver) == [0, 2, 3] and hook.refused == 1
    assert json.loads((tmp_path / "spool.refused").read_text())["body"] == {"n": 1}


def test_a_long_spool_is_shortened(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alpr.video.webhook.KEPT_KEYS", 3)
    hook = Webhook(url(receiver.port), tmp_path / "spool", pauses_s=FAST)
    for n in range(20):
        hook.put(f"e{n}/0", {"n": n})
        assert hook.wait(20) == 0
    assert len((tmp_path / "spool").read_text().splitlines()) <= 7
    assert not hook.put("e19/0", {"n": 19})
    hook.close()
    assert numbers(receiver) == list(range(20))


def test_what_is_no_webhook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected http"):
        Webhook("file:///etc/passwd", tmp_path / "spool")
    (tmp_path / "other").write_text("a letter\n")
    with pytest.raises(ValueError, match="no spool"):
        Webhook("http://127.0.0.1:9/", tmp_path / "other")
    assert (tmp_path / "other").read_text() == "a letter\n"


def test_a_long_spool_is_shortened_also_while_events_wait(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alpr.video.webhook.KEPT_KEYS", 3)
    monkeypatch.setattr("alpr.video.webhook.MOST_SENT_BYTES", 1)
    spool = tmp_path / "spool"
    hook = Webhook(url(receiver.port), spool, pauses_s=FAST)
    for number in range(40):
        hook.put(f"k{number}", {"n": number})
    assert hook.wait(20) == 0
    assert not hook.put("k39", {"n": 39}) and hook.put("k0", {"n": 40})  # the last keys are known, the first forgotten
    assert hook.wait(20) == 0
    hook.close()
    assert numbers(receiver) == list(range(41)) and len(spool.read_bytes().splitlines()) <= 8


def test_more_events_than_may_wait_are_not_taken(tmp_path: Path) -> None:
    hook = Webhook("http://127.0.0.1:9/x", tmp_path / "spool", pauses_s=(60.0,), most=2)
    assert [hook.put(f"k{number}", {}) for number in range(3)] == [True, True, False] and hook.waiting == 2
    hook.close()

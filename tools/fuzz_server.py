"""Sends what no honest client sends to a running server, and looks whether it lives, answers and stays small.

python tools/fuzz_server.py --http 127.0.0.1:8000 --udp 127.0.0.1:6112 --requests 50000 --datagrams 150000

The server must be of this machine: its memory is read from its `/metrics`. Every 1,000 cases an honest request is sent,
whose answer must be the first one's.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import struct
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import cv2
import numpy as np

from alpr.serving.new_form import cut
from alpr.serving.sending import old_datagrams
from alpr.serving.sockets import address

EVERY = 1000
HALF_OPEN = 100
"""Connections that are left in the middle of a request, at once."""


def picture(seed: int) -> bytes:
    """A small JPEG of noise and shapes."""
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (60, 120, 3), np.uint8)
    cv2.rectangle(image, (20, 20), (90, 40), (255, 255, 255), -1)
    return cv2.imencode(".jpg", image)[1].tobytes()


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Bytes with a few of them changed, cut off, doubled or made up."""
    kind, broken = draw.randrange(5), bytearray(data)
    if kind == 0:
        for _ in range(draw.randrange(1, 8)):
            broken[draw.randrange(min(len(broken), draw.choice([30, 700, 10**6])))] = draw.randrange(256)
    elif kind == 1:
        del broken[draw.randrange(len(broken)) :]
    elif kind == 2:
        at = draw.randrange(len(broken))
        broken[at:at] = broken[: draw.randrange(len(broken))]
    elif kind == 3:
        broken = bytearray(draw.randbytes(draw.choice([0, 1, 100, 3000])))
    else:  # it claims to be huge
        at = data.find(b"\xff\xc0")
        broken[at + 5 : at + 9] = struct.pack(
            ">HH", draw.choice([0, 1, 20_000, 65_535]), draw.choice([0, 9000, 65_535])
        )
    return bytes(broken)


def request(draw: random.Random, image: bytes) -> bytes:
    """A request as bytes, mostly a wrong one."""
    path = draw.choice(
        ["/v1/read", "/v1/read?format=codeproject", "/v1/read?format=%00", "/v1/read-crop", "/v1/image/alpr",
         "/v1/plate-reader/", "/v2/recognize", "/v3/recognize_bytes", "/metrics", "/%2e%2e/etc/passwd",
         "/" + "a" * 3000]
    )  # fmt: skip
    body, kind = damaged(draw, image), "image/jpeg"
    if draw.random() < 0.4:
        kind = draw.choice(["multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary="])
        parts = draw.choice([1, 2, 5, 70, 2000])
        head = b'--b\r\nContent-Disposition: form-data; name="upload"; filename="../../x"\r\n\r\n'
        field = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n'
        body = field * (parts - 1) + head + body + b"\r\n--b--\r\n"
        if draw.random() < 0.5:
            body = damaged(draw, body)
    length = draw.choice([len(body)] * 5 + [0, 1, 10**9, 10**19, -1])
    lines = [
        f"{draw.choice(['POST'] * 8 + ['GET', 'PUT', 'X' * 200])} {path} HTTP/1.1", "Host: x", "Connection: close",
        f"Content-Type: {kind}", draw.choice([f"Content-Length: {length}"] * 6 + ["Transfer-Encoding: chunked"]),
    ]  # fmt: skip
    lines += [f"X-{i}: {'y' * draw.choice([1, 5000])}" for i in range(draw.choice([0] * 8 + [3, 200]))]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return damaged(draw, whole) if draw.random() < 0.1 else whole


def datagram(draw: random.Random, frames: list[list[bytes]]) -> bytes:
    """A datagram of either form, or none."""
    part = draw.choice(draw.choice(frames))
    kind = draw.randrange(5)
    if kind == 0:
        return draw.randbytes(draw.choice([0, 1, 3, 4, 5, 24, 25, 1472, 9000]))
    if kind == 1:
        return struct.pack("<I", draw.choice([0, 1, 5000, 64_000_000, 2**31 - 1, 2**32 - 1]))
    return damaged(draw, part) if kind == 2 and part else part


class Fuzzer:
    """Sends cases, and asks in between."""

    def __init__(self, http: tuple[str, int], udp: tuple[str, int] | None, seed: int) -> None:
        self.http, self.udp, self.draw = http, udp, random.Random(seed)
        self.images = [picture(i) for i in range(20)]
        self.expected, self.most, self.first = self.honest(), 0, self.memory()
        self.half_open: list[socket.socket] = []

    def ask(self, method: str, path: str, body: bytes | None = None) -> str:
        connection = HTTPConnection(*self.http, timeout=60)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def honest(self) -> str:
        answer = self.ask("POST", "/v1/read", self.images[0])
        return re.sub(r'"image": "[^"]*"|"ms": \{[^}]*\}|"request_id": "[^"]*"', "", answer)

    def memory(self) -> int:
        found = re.search(r"process_resident_memory_bytes (\d+)", self.ask("GET", "/metrics"))
        return int(found.group(1)) if found else 0

    def check(self) -> None:
        for _ in range(30):  # the queue may be full for a moment
            answer = self.honest()
            if answer == self.expected:
                break
            time.sleep(1)
        else:
            sys.exit(f"The answer to an honest request changed: {answer[:500]}")
        self.most = max(self.most, self.memory())

    def requests(self, count: int) -> None:
        for number in range(count):
            with suppress(OSError, HTTPException):  # it was closed in the middle, which is right
                self._request()
            self._every(number, "requests")

    def _request(self) -> None:
        data = request(self.draw, self.draw.choice(self.images))
        sock = socket.create_connection(self.http, timeout=60)
        if self.draw.random() < 0.02:  # half open: nothing more comes
            sock.sendall(data[: len(data) // 2])
            self.half_open.append(sock)
            if len(self.half_open) > HALF_OPEN:
                self.half_open.pop(0).close()
            return
        with sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    def datagrams(self, count: int) -> None:
        assert self.udp is not None
        frames = [list(old_datagrams(image)) for image in self.images]
        frames += [list(cut(image, 1, i)) for i, image in enumerate(self.images)]
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        for number in range(count):
            self.draw.choice(socks).sendto(datagram(self.draw, frames), self.udp)
            if number % 50 == 0:
                time.sleep(0.001)
            self._every(number, "datagrams")

    def _every(self, number: int, what: str) -> None:
        if number % EVERY == EVERY - 1:
            self.check()
            print(f"{number + 1} {what}; {self.most / 1e6:.0f} MB at most, {self.first / 1e6:.0f} at first", flush=True)


def main() -> None:
    """Runs the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", required=True, type=address)
    parser.add_argument("--udp", type=address)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--datagrams", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    fuzzer = Fuzzer(given.http, given.udp, given.seed)
    if given.udp is not None:
        fuzzer.datagrams(given.datagrams)
    fuzzer.requests(given.requests)
    fuzzer.check()
    print(f"done; {fuzzer.most / 1e6:.0f} MB at most, {fuzzer.first / 1e6:.0f} MB at first")


if __name__ == "__main__":
    main()

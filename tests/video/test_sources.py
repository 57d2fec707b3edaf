"""Frames of files, folders, bytes and cameras."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_video import write_video

from alpr.plates.records import ImageArray
from alpr.video import camera
from alpr.video.camera import Camera
from alpr.video.sources import ImageFolder, JpegStream, SourceError, VideoFile, open_source, split_jpegs


def grey(level: int) -> ImageArray:
    return np.full((48, 64, 3), level, np.uint8)


def levels(source: Any) -> list[int]:
    return [round(float(frame.image.mean()) / 10) for frame in source]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.avi", [grey(10 * i) for i in range(20)])


def test_a_file_gives_every_frame_with_its_time(video: Path) -> None:
    frames = list(VideoFile(video, "a"))
    assert [frame.number for frame in frames] == list(range(20))
    assert np.allclose([frame.time_s for frame in frames], np.arange(20) / 10, atol=0.01)


def test_every_nth_and_from_a_frame_on(video: Path) -> None:
    source = open_source(str(video), every=3)
    source.skip_to(7)
    assert [frame.number for frame in source] == [9, 12, 15, 18] and source.counts.skipped == 9
    assert source.name == "a" and source.fps == 10


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"f{i}.png"), grey(10 * i))
    (tmp_path / "f3.png").write_bytes(b"no picture")
    (tmp_path / "f4.heic").write_bytes(b"\0\0\0\x18ftypheic")
    source = ImageFolder(tmp_path, "a", fps=5)
    told: list[str] = []
    source.told = told.append
    frames = list(source)
    assert [round(float(f.image.mean()) / 10) for f in frames] == [1, 2, 10]
    assert [frame.time_s for frame in frames][:2] == [0, 0.2]
    assert source.counts.broken >= 1 and any("f3.png" in sentence for sentence in told)


def test_jpegs_on_a_pipe(tmp_path: Path) -> None:
    whole = [cv2.imencode(".jpg", grey(10 * i))[1].tobytes() for i in range(5)]
    thumbnail = b"\xff\xd8\xff\xe1" + (len(whole[0]) + 2).to_bytes(2, "big") + whole[0]  # a JPEG within a JPEG's header
    nested = thumbnail + whole[3][2:]
    stream = b"junk".join([*whole, nested]) + whole[1][:50]
    assert list(split_jpegs(io.BytesIO(stream))) == [*whole, nested]
    source = JpegStream(fps=10, file=io.BytesIO(stream))
    assert levels(source) == [0, 1, 2, 3, 4, 3] and not source.error
    empty = JpegStream(file=io.BytesIO(b"nothing"))
    assert list(empty) == [] and "no JPEG" in empty.error


def test_names(tmp_path: Path, video: Path) -> None:
    assert open_source(f"gate={video}").name == "gate"
    assert open_source(str(video), taken={"a"}).name == "a_2"
    secret = open_source("rtsp://user:secret@10.0.0.1:554/live?token=5")
    assert secret.live and secret.name == "10.0.0.1_live"
    odd = video.with_name("b=c.avi")
    video.rename(odd)
    assert open_source(str(odd)).name == "b=c"


def test_what_is_no_source_gets_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "a.mp4"
    broken.write_bytes(b"nothing of a film")
    (tmp_path / "empty").mkdir()
    for text, told in ((broken, "decoded"), (tmp_path / "none.mp4", "no file"), (tmp_path / "empty", "no image")):
        with pytest.raises(SourceError, match=told):
            open_source(str(text))


class Film:
    """A camera that gives frames as fast as they are taken, until it breaks off."""

    def __init__(self, frames: int, pause_s: float = 0.0) -> None:
        self.left, self.pause_s = frames, pause_s

    def grab(self) -> bool:
        time.sleep(self.pause_s)
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, ImageArray]:
        return True, grey(self.left)

    def get(self, _: int) -> float:
        return 25.0

    def release(self) -> None:
        pass


def test_a_camera_gives_the_newest_frame_and_is_reached_again(monkeypatch: pytest.MonkeyPatch) -> None:
    films = iter([Film(50), None, Film(50)])
    done = threading.Event()

    def opened(address: object) -> Film | None:
        film = next(films, None)
        if film is None and next_is_last[0] > 1:
            done.set()
        next_is_last[0] += film is None
        return film

    next_is_last = [0]
    monkeypatch.setattr(camera, "opened_capture", opened)
    monkeypatch.setattr(camera, "PAUSES_S", (0.01, 0.02))
    told: list[str] = []
    source = Camera("rtsp://a:b@cam/1", "cam")
    source.told = told.append
    assert source.take(wait=False) is None or True
    assert done.wait(20)
    frame = source.take()
    source.stop()
    assert frame is not None and frame.number == 99 and frame.taken is not None  # the last of all, none before it
    assert source.counts.dropped + source.counts.frames == 100 and source.counts.reconnects == 1
    assert any("broke off" in one for one in told) and any("is back" in one for one in told)
    assert not any("a:b" in one for one in told)


def test_a_camera_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "opened_capture", lambda address: None)
    monkeypatch.setattr(camera, "PAUSES_S", (0.01,))
    source = Camera(0, "cam", give_up_s=0.05)
    assert source.take() is None and source.ended and "given up" in source.error

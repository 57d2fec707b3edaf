"""`alpr watch` as it is called: files to events, evidence, a table, a video, kills and another start."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from test_webhook import Receiver
from tiny_bundle import scene
from tiny_runs import ENVIRONMENT
from tiny_video import passing, write_video
from typer.testing import CliRunner, Result

from alpr import Reader
from alpr.cli.main import app
from alpr.video.event_files import Resumption
from alpr.video.events import WatchSettings
from alpr.video.fusion import TEMPERATURE
from alpr.video.run import Outputs, Run
from alpr.video.watch import temperature_of, watch

TEXTS = ["皖A12", "皖B34", "皖A55", "皖B21"]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["watch", *map(str, words)])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "gate.avi", passing(TEXTS, frames=6, gap=18))


def test_a_file_gives_one_object_per_vehicle(video: Path, bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "events.jsonl"
    done = run(video, "--bundle", bundle, "--output", output, "--explain")
    assert done.exit_code == 0, done.output
    events = lines(output)
    assert [event["text"] for event in events] == TEXTS
    assert {"source", "track", "text", "score", "first_s", "last_s", "frames"} <= events[0].keys()
    assert [event["first_s"] for event in events] == [0.0, 2.4, 4.8, 7.2]
    assert "4 events" in done.stderr and done.stderr.count("an event;") == 4 and not done.stdout
    again = run(video, "--bundle", bundle, "--output", output)
    assert again.exit_code == 0 and lines(output) == events
    assert sorted(path.name for path in output.parent.iterdir()) == ["events.jsonl"]


def test_python_gives_the_same(video: Path, bundle: Path) -> None:
    events = list(watch(str(video), Reader(bundle), keep_frames=True))
    assert [event.text for event in events] == TEXTS
    assert events[0].picture is not None and events[0].crop is not None and events[0].crop.shape == (64, 256, 3)


def test_everything_that_can_be_written(video: Path, bundle: Path, tmp_path: Path) -> None:
    done = run(
        video, "--bundle", bundle, "--csv", tmp_path / "e.csv", "--annotate", tmp_path / "a.mp4",
        "--evidence", tmp_path / "ev", "--blur", "--threads", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    with (tmp_path / "e.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == TEXTS
    for event in events:
        frame, crop = cv2.imread(event["frame_file"]), cv2.imread(event["crop_file"])
        x, y = np.mean(event["corners"], axis=0).astype(int)
        assert frame[y, x, 0] > 200 and crop.shape == (64, 256, 3)
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 96
    _, first = capture.read()
    x, y = (int(v) for v in np.mean(events[0]["corners"], axis=0))
    reds = first[y - 10 : y + 10, 45:155, 2].astype(float)
    assert np.ptp(reds.mean(axis=0)) < 60  # the slots' levels, which are the text, are not to be seen


def test_several_sources_of_which_some_are_broken(video: Path, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / f"{i}.png"), scene("皖A44", at=(100 + 5 * i, 100)))
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    done = run(f"one={video}", folder, tmp_path / "broken.mp4", "--bundle", bundle, "--output", tmp_path / "e.jsonl")
    assert done.exit_code == 1 and "broken.mp4 cannot be decoded" in done.stderr
    events = lines(tmp_path / "e.jsonl")
    assert [e["text"] for e in events if e["source"] == "one"] == TEXTS
    assert [e["source"] for e in events if e["source"] != "one"] == ["frames"]


def test_what_cannot_be_gets_one_sentence(video: Path, bundle: Path, tmp_path: Path) -> None:
    for words, told in (
        ([tmp_path / "none.mp4"], "no file"),
        ([video, "--resume"], "--output"),
        ([video, "--blur"], "--annotate"),
        ([video, "--zone", "z"], "NAME="),
        ([video, "--webhook", "ftp://a"], "http"),
        ([video, "--list", tmp_path / "none.csv"], "none.csv"),
    ):
        done = run(*words, "--bundle", bundle)
        assert done.exit_code == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1, done.output


def test_jpegs_on_standard_input(bundle: Path) -> None:
    frames = [
        cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        for frame in passing(TEXTS[:2], frames=4, gap=18)
    ]
    command = [sys.executable, "-m", "alpr", "watch", "-", "--fps", "10", "--bundle", str(bundle)]
    done = subprocess.run(command, input=b"".join(frames), env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == TEXTS[:2]


def test_kills_lose_nothing_and_double_nothing(bundle: Path, tmp_path: Path) -> None:
    texts = [f"皖{a}{b}" for a in "AB12345" for b in "AB12345"][:8]
    video = write_video(tmp_path / "long.avi", passing(texts, frames=4, gap=18))
    receiver = Receiver()
    output, port = tmp_path / "e.jsonl", receiver.port
    command = [
        sys.executable, "-m", "alpr", "watch", str(video), "--bundle", str(bundle), "--output", str(output),
        "--csv", str(tmp_path / "e.csv"), "--webhook", f"http://127.0.0.1:{port}/", "--quiet", "0",
    ]  # fmt: skip
    rng, kills, kept = np.random.default_rng(4), 0, []
    while kills < 2:
        process = subprocess.Popen([*command, *(["--resume"] * bool(kills))], env=ENVIRONMENT, stderr=subprocess.PIPE)
        target = len(kept) + int(rng.integers(1, 4))
        while process.poll() is None and (not output.exists() or output.read_bytes().count(b"\n") < target):
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.03)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        written = [line for line in output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        assert written[: len(kept)] == kept  # nothing that was written is lost
        kept, kills = written, kills + 1
    done = subprocess.run([*command, "--resume"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    receiver.close()
    assert done.returncode == 0, done.stderr
    assert [event["text"] for event in lines(output)] == texts
    with (tmp_path / "e.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == texts
    sent = {body["event"]: body["text"] for body in receiver.got}
    assert list(sent.values()) == texts and len(receiver.got) <= len(texts) + kills
    assert not output.with_name("e.jsonl.resume").exists()


def test_resuming_goes_on_from_where_the_road_was_empty(video: Path, bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "e.jsonl"
    assert run(video, "--bundle", bundle, "--output", output).exit_code == 0
    whole = output.read_text(encoding="utf-8").splitlines(keepends=True)
    half = Run([str(video)], Reader(bundle), WatchSettings(), Outputs(output))
    note = Resumption(output, half._identity())
    half._note, half._bar = note, None
    for event in half.watch:
        if event.text == TEXTS[2]:
            break
    note.write()
    output.write_text("".join(whole[:3]) + whole[3][:20], encoding="utf-8")
    done = run(video, "--bundle", bundle, "--output", output, "--resume")
    assert done.exit_code == 0 and output.read_text(encoding="utf-8") == "".join(whole)
    assert re.search(r"goes on from frame [4-7]\d\.", done.stderr), done.stderr
    other = run(video, "--bundle", bundle, "--output", output, "--min-score", 0.1, "--resume")
    assert other.exit_code == 0  # the note is gone: everything is read, nothing is written twice
    assert output.read_text(encoding="utf-8") == "".join(whole)


def test_the_card_brings_the_fused_temperature(video: Path, bundle: Path) -> None:
    reader = Reader(bundle)
    assert temperature_of(reader) == TEMPERATURE
    assert reader.card is not None
    reader.card = replace(reader.card, fusion_temperature=1.3)
    assert temperature_of(reader) == 1.3
    (warm, *_), (usual, *_) = list(watch(str(video), reader)), list(watch(str(video), Reader(bundle)))
    assert warm.text == usual.text and warm.score < usual.score

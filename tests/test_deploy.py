"""The consumer of docs/deploy.md reads with ONNX Runtime and NumPy alone what the predictor reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import scene, write_bundle

from alpr import Reader
from alpr.export.one_graph.compose import READER_FILE, write_reader
from alpr.plates.records import ImageArray
from alpr.reader.card import ModelCard

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "deploy.md"
MOST_LINES = 40
ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(("cv2", "torch", "alpr", "onnx", "PIL")))  # importing one of them fails
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LINE = re.compile(r"(\S+) +([\d.]+) (\[\[.*\]\])")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_bundle(tmp_path_factory.mktemp("models") / "tiny")
    write_reader(ModelCard.read(folder), folder, folder / READER_FILE)
    return folder


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.S | re.M)
    (code,) = [block for block in blocks if "onnxruntime" in block]
    assert len(code.splitlines()) <= MOST_LINES
    imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.M))
    assert imported == {"json", "sys", "numpy", "onnxruntime"}
    path = tmp_path_factory.mktemp("machine") / "consumer.py"
    path.write_text(code, encoding="utf-8")
    return path


def write_ppm(path: Path, image: ImageArray) -> None:
    height, width = image.shape[:2]
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + image[..., ::-1].tobytes())


@pytest.mark.parametrize("suffix", ["npy", "ppm"])
def test_the_consumer_needs_nothing_else(bundle: Path, consumer: Path, tmp_path: Path, suffix: str) -> None:
    frame = scene("AB1")
    frame[0, 0] = (10, 32, 9)  # pixels that look like white space
    path = tmp_path / f"frame.{suffix}"
    np.save(path, frame) if suffix == "npy" else write_ppm(path, frame)
    environment = {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(consumer), str(bundle / READER_FILE), str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (expected,) = Reader(bundle, threads=1)(frame)
    (line,) = done.stdout.splitlines()
    match = LINE.fullmatch(line)
    assert match is not None, line
    text, score, corners = match.groups()
    assert text == expected.reading.text == "AB1"
    assert float(score) == pytest.approx(expected.reading.score, abs=0.01)
    np.testing.assert_allclose(json.loads(corners), expected.detection.corners, atol=0.5)

"""Times the preparation of CCPD on fabricated photographs, beside the reference implementation's way of doing it.

The reference's way, in our own words: one process takes file names one by one, splits them and writes a row each; a
second pass takes the rows one by one, opens the whole photograph with Pillow, cuts the upright box and stores it at
48x192. Both ways run on the same files in the same call, each as a command of its own, its start included.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.data.ccpd import CHARACTERS, LETTERS, CcpdLabel, encode_name
from alpr.files import write_atomically
from alpr.reports.progress import progress_bar

SIZE = (1160, 720)
PICTURES = 50
SUBSET = "ccpd_base"


class Measured(NamedTuple):
    """What a command took."""

    what: str
    seconds: float
    cpu_seconds: float  # of all its processes: what it takes where the machine is busy with other work
    per_second: float
    peak_mb: float  # of its largest process; never less than this script's own


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of its own for photographs, tables and crops")
    parser.add_argument("--images", type=int, default=20_000, help="photographs of 720x1160 px, 75 kB each (20000)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the parallel run (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    parser.add_argument("--reference", choices=("table", "crops"), help=argparse.SUPPRESS)
    return parser.parse_args()


def fabricate(folder: Path, images: int) -> None:
    """Photographs with CCPD names: fifty pictures of the size of CCPD's files, each under many names."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in folder.glob("*.jpg")}
    rng = np.random.default_rng(7)
    pictures = [_picture(rng) for _ in range(PICTURES)]
    with progress_bar("photographs") as progress:
        for i in progress.track(range(images), description="Fabricating"):
            name = _name(rng, i)
            if name not in there:
                write_atomically(folder / name, [pictures[i % PICTURES]], sync=False)


def _picture(rng: np.random.Generator) -> bytes:
    """A JPEG of 75 kB or a little less: shapes of many sizes and the noise that fills the file."""
    height, width = SIZE
    image = np.zeros((*SIZE, 3), np.float32)
    for cells in (4, 16, 64, 200):
        layer = rng.normal(0, 40 / cells**0.3, (cells * 2, cells, 3)).astype(np.float32)
        image += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, 6, (*SIZE, 1)).astype(np.float32)
    pixels = np.clip(image + noise + 120, 0, 255).astype(np.uint8)
    for quality in range(95, 5, -5):
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) < 80_000:
            break
    return data


def _name(rng: np.random.Generator, number: int) -> str:
    """The name of a photograph whose plate has CCPD's usual size and place."""
    w = float(np.clip(rng.normal(220, 60), 90, 420))
    h, x, y = w / 2.75, rng.uniform(210, 500), rng.uniform(400, 660)
    tilt = rng.uniform(-0.15, 0.15) * w / 2
    quad = [(x - w / 2, y - h / 2 - tilt), (x + w / 2, y - h / 2 + tilt), (x + w / 2, y + h / 2 + tilt)]
    quad.append((x - w / 2, y + h / 2 - tilt))
    corners = tuple((max(0, min(int(a), SIZE[1])), int(b)) for a, b in quad)
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    text = "皖" + LETTERS[number % 24] + "".join(CHARACTERS[i] for i in rng.integers(0, 34, 5))
    box = (min(xs), min(ys), max(xs), max(ys))
    return encode_name(CcpdLabel(text, box, corners, "025", "90", "88", "120", str(number)))  # type: ignore[arg-type]


def reference_table(folder: Path) -> None:
    """A row per file name, one after the other."""
    with (folder / "reference.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quotechar="|")
        for path in sorted(folder.iterdir()):
            if path.suffix != ".jpg":
                continue
            fields = path.stem.split("-")
            box = [int(value) for point in fields[2].split("_") for value in point.split("&")]
            points = [int(value) for point in fields[3].split("_") for value in point.split("&")]
            writer.writerow([str(path), *box, *points, *(int(index) + 1 for index in fields[4].split("_"))])


def reference_crops(folder: Path, output: Path) -> None:
    """The boxes of a table's rows, one after the other."""
    from PIL import Image

    output.mkdir(exist_ok=True)
    with (folder / "reference.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file, quotechar="|"):
            with Image.open(row[0]) as image:
                crop = image.crop((int(row[1]), int(row[2]), int(row[3]), int(row[4]))).resize((192, 48))
            crop.save(output / Path(row[0]).name, quality=95)


def measured(what: str, images: int, command: Sequence[str]) -> Measured:
    """Runs a command of this interpreter.

    Raises:
        RuntimeError: a command that failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{what}: {' '.join(command)} ended with {process.returncode}.")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(what, seconds, cpu, images / seconds, usage.ru_maxrss / 1024)


def decoding(folder: Path) -> Measured:
    """Decoding alone, by OpenCV on one thread, of the first thousand photographs."""
    cv2.setNumThreads(1)
    files = sorted(folder.glob("*.jpg"))[:1000]
    started, cpu = time.perf_counter(), time.process_time()
    for path in files:
        cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Measured("decoding 1,000, whole, one thread", seconds, cpu, len(files) / seconds, float("nan"))


def main() -> int:
    """Runs both ways and prints a Markdown table."""
    arguments = parse_arguments()
    root: Path = arguments.folder
    photographs = root / SUBSET
    if arguments.reference == "table":
        reference_table(photographs)
        return 0
    if arguments.reference == "crops":
        reference_crops(photographs, root / "reference_crops")
        return 0
    fabricate(photographs, arguments.images)
    create = ["-m", "alpr", "data", "ccpd", "--dataset-path", str(root)]
    cut = ["-m", "alpr", "data", "crops", "--dataset-path", str(root), "--categories", SUBSET]
    workers = str(arguments.workers)
    n = len(list(photographs.glob("*.jpg")))
    found = [
        decoding(photographs),
        measured("table, the reference's way", n, [__file__, str(root), "--reference", "table"]),
        measured("table, alpr data ccpd", n, create),
        measured("crops, the reference's way", n, [__file__, str(root), "--reference", "crops"]),
    ]
    for processes, again in (("1", ""), (workers, ""), (workers, ", all there already")):
        what = f"crops, alpr data crops, {processes} process{'es' * (processes != '1')}{again}"
        options = ["--workers", processes, "--output", str(root / f"crops_{processes}")]
        found.append(measured(what, n, [*cut, *options]))
    print(f"{n:,} photographs of {SIZE[1]}x{SIZE[0]} px; ratios are the reference's time by this one's.\n")
    print("| what | s | CPU s | files/s | peak MB | ratio | of CPU time |\n|---|---:|---:|---:|---:|---:|---:|")
    base = {m.what.split(",")[0]: m for m in found if "reference" in m.what}
    for m in found:
        of = base.get(m.what.split(",")[0])
        ratios = f"{of.seconds / m.seconds:.1f} | {of.cpu_seconds / m.cpu_seconds:.1f}" if of else " | "
        peak = f"{m.peak_mb:,.0f}" if m.peak_mb == m.peak_mb else ""
        print(f"| {m.what} | {m.seconds:.2f} | {m.cpu_seconds:.2f} | {m.per_second:,.0f} | {peak} | {ratios} |")
    if arguments.json:
        arguments.json.write_text(json.dumps([m._asdict() for m in found], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

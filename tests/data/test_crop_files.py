"""Cutting plates out of photographs: right, resumable, and unmoved by bad files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr import files as files_module
from alpr.data import crop_files
from alpr.data.ccpd import CcpdLabel, encode_name
from alpr.data.ccpd_folders import REJECTED_TABLE, TABLE
from alpr.data.columns import ManifestError
from alpr.data.crop_files import CropSettings, extract, extract_subset
from alpr.data.decoded_images import read_upper_part
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.images.prepare import UnreadableImage, read_image

CORNERS = ((100, 200), (290, 230), (300, 300), (110, 270))
QUADRANTS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))  # top left, top right, bottom right, bottom left


def photograph(seed: int = 0) -> tuple[str, np.ndarray]:
    """A 400x400 picture with a plate of four colours at CORNERS, and its CCPD name."""
    image = np.full((400, 400, 3), 60, np.uint8)
    source = np.array([[0, 0], [200, 0], [200, 60], [0, 60]], np.float32)
    plate = np.zeros((60, 200, 3), np.uint8)
    for (y, x), colour in zip(((0, 0), (0, 100), (30, 100), (30, 0)), QUADRANTS, strict=True):
        plate[y : y + 30, x : x + 100] = colour
    matrix = cv2.getPerspectiveTransform(source, np.array(CORNERS, np.float32))
    cv2.warpPerspective(plate, matrix, (400, 400), dst=image, borderMode=cv2.BORDER_TRANSPARENT)
    label = CcpdLabel(f"皖A{seed:05}", (100, 200, 300, 300), CORNERS, "1", "9", "9", "100", str(seed))
    return encode_name(label), image


def subset(root: Path, count: int, name: str = "ccpd_base") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for seed in range(count):
        file, image = photograph(seed)
        cv2.imwrite(str(folder / file), image)
    return folder


def test_a_crop_shows_the_plate_and_its_label(tmp_path: Path) -> None:
    report = extract_subset(subset(tmp_path, 2), CropSettings(), 1)
    assert (report.made, report.kept, report.failed) == (2, 0, 0)
    assert report.folder == tmp_path / "plates_ccpd_base_48"
    manifest = read_manifest(report.folder / TABLE, strict=True)
    assert manifest.text == ["皖A00000", "皖A00001"] and manifest.split == ["train"] * 2
    assert np.isnan(manifest.corners).all() and manifest.extra["subset"] == ["ccpd_base"] * 2
    crop = read_image(manifest.path(0))
    assert crop.shape == (48, 192, 3)
    for (y, x), colour in zip(((12, 48), (12, 144), (36, 144), (36, 48)), QUADRANTS, strict=True):
        assert np.abs(crop[y, x].astype(int) - colour).max() < 20


def test_the_box_cut_and_the_margin_show_more(tmp_path: Path) -> None:
    folder = subset(tmp_path, 1)
    for settings in (CropSettings("box", (32, 64)), CropSettings("corners", (64, 128), 0.2)):
        report = extract_subset(folder, settings, 1)
        crop = read_image(read_manifest(report.folder / TABLE).path(0))
        assert crop.shape[:2] == settings.size
        assert np.abs(crop[2, -3].astype(int) - 60).max() < 20  # the top right corner is background
    with pytest.raises(ManifestError, match=r"holds crops cut with .*0\.2.* Remove the folder"):
        extract_subset(folder, CropSettings("corners", (64, 128)), 1)


def test_several_plates_and_none(tmp_path: Path) -> None:
    _, image = photograph()
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), image)
    corners = np.array([CORNERS] * 4, np.float64)
    corners[2:] = np.nan
    manifest = Manifest.of(
        tmp_path,
        ["images/a.jpg", "images/a.jpg", "images/a.jpg", "b.jpg"],
        text=["X1", "X2", "X3", ""],
        corners=corners,
    )
    report = extract(manifest, tmp_path / "crops", CropSettings(), 1)
    assert (report.made, report.failed) == (2, 1)
    crops = read_manifest(tmp_path / "crops" / TABLE)
    assert crops.text == ["X1", "X2"] and len(set(crops.image)) == 2
    assert all(crops.path(i).is_file() for i in range(2))
    assert "the plate has no corners" in (tmp_path / "crops" / REJECTED_TABLE).read_text()
    again = extract(manifest, tmp_path / "crops", CropSettings(), 1)
    assert (again.made, again.kept, again.failed) == (0, 2, 1)
    with pytest.raises(ManifestError, match="none of the 1 rows has a plate with a text"):
        extract(Manifest.of(tmp_path, ["a.jpg"]), tmp_path / "none", CropSettings(), 1)


def test_bad_files_are_counted_listed_and_passed(tmp_path: Path) -> None:
    folder = subset(tmp_path, 4)
    files = sorted(folder.iterdir())
    files[0].write_text("no picture")
    files[1].write_bytes(files[1].read_bytes()[:900])
    files[2].write_bytes(b"")
    report = extract_subset(folder, CropSettings(), 2)
    assert (report.made, report.failed) == (1, 3)
    listed = (report.folder / REJECTED_TABLE).read_text()
    assert "no image that OpenCV can decode" in listed and "truncated" in listed and "is empty" in listed
    assert all(file.name in listed for file in files[:3])
    assert read_manifest(report.folder / TABLE).rows == 1
    name, image = photograph(0)
    cv2.imwrite(str(folder / name), image)  # mended files are cut by the next run
    assert extract_subset(folder, CropSettings(), 1).made == 1


def test_a_folder_of_text_files_gives_a_sentence(tmp_path: Path) -> None:
    folder = subset(tmp_path, 2)
    for file in folder.iterdir():
        file.write_text("no picture")
    with pytest.raises(ManifestError, match=r"No plate could be cut .*no image that OpenCV can decode"):
        extract_subset(folder, CropSettings(), 1)


def test_processes_change_nothing(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        extract_subset(subset(tmp_path / name, 5), CropSettings(), workers)
    files = {p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()}
    assert len(files) == 5 + 5 + 2
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_a_full_disk_stops_with_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = subset(tmp_path, 4)
    replace, left = Path.replace, [3]

    def until_full(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", until_full)
    with pytest.raises(files_module.NotWritten, match="the disk is full"):
        extract_subset(folder, CropSettings(), 1)
    monkeypatch.undo()
    crops = tmp_path / "plates_ccpd_base_48"
    assert len(list(crops.glob("*.jpg"))) == 2 and not list(crops.glob(".*")) and not (crops / TABLE).exists()
    report = extract_subset(folder, CropSettings(), 1)
    assert (report.made, report.kept) == (2, 2)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_taken_up(tmp_path: Path, repository: Path, kill: signal.Signals) -> None:
    folder = subset(tmp_path, 1)
    _, image = photograph(0)
    big = cv2.imencode(".jpg", cv2.copyMakeBorder(image, 0, 2600, 0, 2600, cv2.BORDER_CONSTANT))[1].tobytes()
    for seed in range(150):
        (folder / photograph(seed)[0]).write_bytes(big)
    crops = tmp_path / "plates_ccpd_base_48"
    process = subprocess.Popen(
        [
            *(sys.executable, str(repository / "scripts" / "extract_plates_mp.py"), "--ccpd_dir", str(tmp_path)),
            *("--categories", "ccpd_base", "--num_workers", "2"),
        ],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a suite that runs in a shell's background would pass on that SIGINT is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and len(list(crops.glob("*.jpg"))) < 5:
        time.sleep(0.02)
    children = children_of(process.pid)
    process.send_signal(kill)
    output, _ = process.communicate(timeout=300)
    if kill == signal.SIGINT:
        assert process.returncode == 130 and "Run the same command to go on" in output
    made = len(list(crops.glob("*.jpg")))
    assert 5 <= made < 150 and not (crops / TABLE).exists()
    assert children and gone(children)
    assert all(read_image(path).shape == (48, 192, 3) for path in crops.glob("*.jpg"))
    made = len(list(crops.glob("*.jpg")))
    report = extract_subset(folder, CropSettings(), 1)
    assert (report.made, report.kept) == (150 - made, made)
    assert read_manifest(crops / TABLE).rows == 150 and not list(crops.glob(".*"))


def children_of(parent: int) -> list[int]:
    """The processes of the new session; empty where /proc does not exist."""
    if not Path("/proc/self").exists():
        pytest.skip("This test looks at processes through /proc.")
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == parent and int(stat.parent.name) != parent:
            found.append(int(stat.parent.name))
    return found


def gone(processes: list[int]) -> bool:
    for _ in range(2000):  # a process that was told to end may take a while on a busy machine
        if not any(alive(p) for p in processes):
            return True
        time.sleep(0.05)
    return False


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "wrong", [{"size": (4, 192)}, {"margin": 0.5}, {"margin": float("nan")}, {"rectify": "hull"}, {"sharp": 0.5}]
)
def test_settings_that_make_no_crop_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        CropSettings(**wrong)  # type: ignore[arg-type]


def test_real_scenes(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "CCPD2020" / "ccpd_green" / "val"
    if not source.is_dir():
        pytest.skip("The photographs of CCPD2020 are not there.")
    folder = tmp_path / "ccpd_green" / "val"
    folder.mkdir(parents=True)
    for path in sorted(source.iterdir())[:20]:
        (folder / path.name).symlink_to(path)
    report = extract_subset(tmp_path / "ccpd_green", CropSettings(), 1)
    assert (report.made, report.failed) == (20, 0)
    manifest = read_manifest(report.folder / TABLE)
    assert set(manifest.split) == {"val"} and {len(text) for text in manifest.text} == {8}
    # Rectified green plates are greener than red or blue, nearly all of them.
    crops = np.stack([read_image(manifest.path(i)) for i in range(20)]).mean(axis=(1, 2))
    assert np.sum((crops[:, 1] > crops[:, 0]) & (crops[:, 1] > crops[:, 2])) >= 17


def test_nothing_is_written_beside_photographs_when_an_output_is_given(tmp_path: Path, repository: Path) -> None:
    name = "0359-5_21-151&285_417&398-417&398_179&377_151&285_389&306-0_0_4_33_32_25_12-59-4.jpg"
    subset = tmp_path / "data" / "ccpd_tilt"
    subset.mkdir(parents=True)
    cv2.imwrite(str(subset / name), np.full((1160, 720, 3), 90, np.uint8))
    out = tmp_path / "out"
    for script, options in (
        ("create_dataset.py", ["--dataset_path", str(tmp_path / "data")]),
        ("extract_plates_mp.py", ["--ccpd_dir", str(tmp_path / "data"), "--categories", "ccpd_tilt"]),
    ):
        command = [sys.executable, str(repository / "scripts" / script), *options, "--output", str(out)]
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [p.name for p in subset.iterdir()] == [name]
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["ccpd_tilt"]
    manifest = read_manifest(out / "ccpd_tilt" / "alpr_dataset.csv")
    assert manifest.path(0) == subset / name
    assert len(list((out / "plates_ccpd_tilt_48").rglob("*.jpg"))) == 1


@pytest.mark.parametrize("kind", ["baseline", "restarts", "progressive", "grey", "444", "png", "turned"])
def test_the_upper_part_is_that_of_the_whole(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (333, 250, 3), np.uint8), (0, 0), 2)
    options = {
        "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
        "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        "444": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    }
    image = picture[..., 0] if kind == "grey" else picture
    data = cv2.imencode(".png" if kind == "png" else ".jpg", image, options.get(kind, []))[1].tobytes()
    if kind == "turned":  # EXIF data that ask for a quarter turn
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
        data = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    size = (250, 333) if kind == "turned" else (333, 250)
    for reduce in (1, 2, 4):
        whole = read_image(data, reduce=reduce)
        for rows in (0, 1, 100, 101, 110, 300, 320, 1000):
            upper = read_upper_part(data, "a", rows, reduce=reduce)
            shown = min(-(-rows // reduce), whole.shape[0])
            assert np.array_equal(upper.image[:shown], whole[:shown])
            assert reduce > 1 or upper.size == size
            partly = kind not in ("progressive", "png", "turned")
            assert (upper.image.shape[0] < whole.shape[0]) == (partly and rows + 16 * reduce < 333)
    assert capfd.readouterr().err == ""
    cut = data[: len(data) * 2 // 3]
    if kind not in ("progressive", "png", "turned"):  # of these, the rows that are there are read
        assert np.array_equal(read_upper_part(cut, "a", 100).image[:100], read_image(data)[:100])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_upper_part(cut, "a", 300)


def test_large_plates_are_decoded_small_and_stay_sharp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plate is 192 px wide and 71 high: a half of it is too low for a crop of 48 px, not for one of 34."""
    folder = subset(tmp_path, 1)
    used: list[int] = []
    whole = crop_files.read_upper_part
    monkeypatch.setattr(
        crop_files, "read_upper_part", lambda *a, reduce: (used.append(reduce), whole(*a, reduce=reduce))[1]
    )
    found = {}
    for size, sharp in (((48, 144), 1.0), ((34, 96), 1.0), ((34, 96), 0.0), ((34, 96), 1.5), ((16, 40), 1.0)):
        output = tmp_path / f"{size[0]}_{sharp}"
        report = extract_subset(folder, CropSettings(size=size, sharp=sharp), 1, output)
        found[size, sharp] = read_image(read_manifest(report.folder / TABLE).path(0)).astype(float)
    assert used == [1, 2, 1, 1, 4]
    inner = np.s_[3:15, 3:45]  # within the first colour
    difference = np.abs(found[(34, 96), 1.0][inner] - found[(34, 96), 0.0][inner])
    assert difference.mean() < 2


def test_a_killed_worker_is_said_and_loses_nothing(tmp_path: Path) -> None:
    folder = subset(tmp_path, 120)
    place = tmp_path / "plates_ccpd_base_48"
    poison = sorted(folder.iterdir())[70]
    picture = poison.read_bytes()
    poison.unlink()
    os.mkfifo(poison)  # the worker that opens it waits, until it is killed
    process = subprocess.Popen(
        [
            *(sys.executable, "scripts/extract_plates_mp.py", "--ccpd_dir", str(tmp_path)),
            *("--categories", "ccpd_base", "--num_workers", "2"),
        ],
        env=ENVIRONMENT, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    while process.poll() is None and len(list(place.glob("*.jpg"))) < 90:
        time.sleep(0.02)
    workers = [p for p in children_of(process.pid) if "spawn_main" in Path(f"/proc/{p}/cmdline").read_text()]
    os.kill(workers[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "A worker process died" in output and gone(workers)
    made = len(list(place.glob("*.jpg")))
    assert 90 <= made < 120 and not (place / TABLE).exists()
    assert all(read_image(path).shape == (48, 192, 3) for path in place.glob("*.jpg"))
    poison.unlink()
    poison.write_bytes(picture)
    (place / f"{poison.stem}.jpg").touch()  # without a byte, as after a loss of power
    report = extract_subset(folder, CropSettings(), 1)
    assert (report.made, report.kept) == (120 - made, made)
    assert read_image(place / f"{poison.stem}.jpg").shape == (48, 192, 3)

"""Paths that others name: devices, pipes and false members of tar files are refused, and none is waited for."""

from __future__ import annotations

import ast
import csv
import os
import socket
import tempfile
from pathlib import Path

import pytest
from patch_world import ColourRecogniser, PatchDetector, three_scenes
from rich.console import Console
from tiny_bundle import write_bundle
from tiny_runs import DETECTOR, Scripts, overrides
from typer.testing import CliRunner

import alpr
from alpr.cli.main import app
from alpr.data.columns import COLUMNS, ManifestError
from alpr.data.decoded_images import Photographs
from alpr.data.importers.text_files import read_json
from alpr.data.several_tables import read_manifest
from alpr.data.table_reading import read_table
from alpr.doctor.check import Asked, check
from alpr.evaluation.evaluate import evaluate
from alpr.files import file_sha256, open_regular, open_regular_text, read_regular, regular
from alpr.images.prepare import UnreadableImage, read_image
from alpr.images.tar_members import BLOCK, member_of, read_bytes
from alpr.plates.country import CountryPack
from alpr.plates.records import Scene
from alpr.reader.parts import Parts
from alpr.reader.predictions import read_predictions

PACKAGE = Path(alpr.__file__).parent
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and no devices here")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


@pytest.fixture
def foreign(tmp_path: Path, pipe: Path) -> list[str]:
    """A device, a pipe, and members that begin or end behind the end of their tar file or have no such size."""
    tar = tmp_path / "x.tar"
    tar.write_bytes(bytes(4 * BLOCK))
    members = ("512+999999999999", "99999999999999999999+1", "999999999999999999+8", "512+1" + "0" * 5000, "1024+1025")
    return ["/dev/zero", str(pipe), *(f"{tar}/{member}/a.png" for member in members)]


def test_only_regular_files_of_a_size_are_opened(tmp_path: Path, pipe: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_regular(file, 5) == b"12345" and regular(file, 5) == file
    with open_regular(file, 5) as opened:
        assert opened.read() == b"12345"
    with open_regular_text(file, 5) as text:
        assert text.read() == "12345"
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"{short}/s")
        for path in ("/dev/zero", "/dev/null", pipe, f"{short}/s"):
            for refuse in (read_regular, regular, open_regular, open_regular_text):
                with pytest.raises(OSError, match="no regular file"):
                    refuse(Path(path), 5)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 5)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 5)
    with pytest.raises(OSError, match="has 5 bytes; at most 4 are read"):
        read_regular(file, 4)
    with pytest.raises(OSError, match="no regular file"):
        file_sha256(pipe)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no such file here")
def test_a_file_of_the_system_without_a_size_is_refused() -> None:
    with pytest.raises(OSError, match="it has no size"):
        open_regular("/proc/self/status", 5)


def test_what_was_checked_is_what_is_read(tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that takes a file's place after its first look."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    harmless = file.stat()
    monkeypatch.setattr(os, "stat", lambda *_, **__: harmless)
    with pytest.raises(OSError, match="no regular file"):
        read_regular(pipe, 5)


def test_images_of_foreign_paths_are_unreadable(foreign: list[str], tmp_path: Path) -> None:
    for path in foreign:
        with pytest.raises(OSError):
            read_bytes(path)
        with pytest.raises(UnreadableImage, match="cannot be read"):
            read_image(path)
        with pytest.raises(UnreadableImage, match="cannot be read"):  # as training opens them
            Photographs().read(Path(path))
    large = tmp_path / "large.png"
    large.touch()
    os.truncate(large, 1 << 40)
    with pytest.raises(UnreadableImage, match="at most 1073741824 are read"):
        read_image(large)
    assert member_of("a.tar/" + "1" * 5000 + "+1/a") is None  # Python reads no number of so many digits


def table_of(images: list[str], path: Path) -> Path:
    corners = [10, 10, 90, 10, 90, 40, 10, 40]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([image, "皖A12345", "CN", 10, 10, 90, 40, *corners, "test", ""] for image in images)
    return path


def test_predict_names_what_it_cannot_read(foreign: list[str], tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny")
    for path in foreign:
        words = ["predict", path, "--bundle", str(tmp_path / "tiny"), "--threads", "1"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code in (1, 2) and result.exception.__class__ is SystemExit, path
        assert path[:80] in (result.stdout + result.stderr).replace("\n", ""), path


def test_a_tables_foreign_paths_are_findings_and_errors(foreign: list[str], tmp_path: Path) -> None:
    table = table_of(foreign, tmp_path / "table.csv")
    found = check(Asked((table,), country="CN", workers=1), Console(quiet=True))
    assert sum(f.rule == "image-unreadable" for f in found) == len(foreign)
    scenes = [*three_scenes(tmp_path), *(Scene(Path(path), ()) for path in foreign)]
    report = evaluate(Parts(PatchDetector(), ColourRecogniser()), scenes)
    assert len(report.errors) == len(foreign)
    assert len(read_manifest([table]).scenes()) == len(foreign)


def test_a_training_skips_them(foreign: list[str], scripts: Scripts, tiny_data: Path, tmp_path: Path) -> None:
    own = tiny_data / "ccpd_green" / "alpr_dataset.csv"
    header, *rows = own.read_text(encoding="utf-8").splitlines()
    at = header.split(",").index("image")
    made = []
    for row, image in zip(rows, foreign, strict=False):
        cells = row.split(",")
        cells[at] = image
        made.append(",".join(cells))
    folder = tmp_path / "ccpd_green"
    folder.mkdir()
    whole = [",".join([*(c := row.split(","))[:at], str(own.parent / c[at]), *c[at + 1 :]]) for row in rows]
    (folder / "alpr_dataset.csv").write_text("\n".join([header, *whole, *made]) + "\n", encoding="utf-8")
    settings = [*DETECTOR, "trainer.max_epochs=1"]
    done = scripts.run("train.py", overrides(settings, tmp_path, tmp_path / "run"))
    assert done.code == 0 and "Skipped" in done.text, done.text


def test_tables_labels_packs_and_predictions_are_regular_files(pipe: Path) -> None:
    with pytest.raises(ManifestError, match="no regular file"):
        read_table(pipe)
    with pytest.raises(ManifestError, match="no regular file"):
        read_json(pipe)
    with pytest.raises(OSError, match="no regular file"):
        read_predictions(pipe)
    with pytest.raises(OSError, match="no regular file"):
        CountryPack.read(pipe)


METHODS = {"open", "read_bytes", "read_text"}
FUNCTIONS = {"open", "os.open", "np.load", "np.loadtxt", "np.fromfile", "torch.load", "onnx.load", "OmegaConf.load",
             "tarfile.open", "Image.open", "ImageFont.truetype", "cv2.imread", "safe_open", "zipfile.ZipFile",
             "onnxruntime.InferenceSession", "ElementTree.parse"}  # fmt: skip
"""What opens a file by its path; methods are a path's."""
ALLOWED = {
    "the one function, and what it has looked at": {
        "files.py | open(_opened(path, most)[0], 'rb')",
        "files.py | open(descriptor, 'rb')",
        "files.py | os.open(path, flags)",
        "export/targets/static.py | onnxruntime.InferenceSession(whole, options, providers=[CPU])",
        "reader/sessions.py | onnxruntime.InferenceSession(str(path), options, providers=asked)",
        "synthetic/glyphs.py | ImageFont.truetype(str(regular(path, IMAGE_BYTES)), px, index=number)",
        "baselines/array_files.py | safe_open(regular(path, WEIGHT_BYTES), framework='numpy')",
        "runs/weights.py | safe_open(regular(path, WEIGHT_BYTES), framework='pt')",
    },
    "bytes that are there, or a file that is open": {
        "data/importers/places.py | Image.open(file)",
        "data/shards.py | tarfile.open(fileobj=file, mode='r:')",
        "images/tar_members.py | tarfile.open(fileobj=file, mode='r:')",
        "images/prepare.py | Image.open(BytesIO(data))",
        "synthetic/glyph_bank.py | np.load(io.BytesIO(data), allow_pickle=False)",
        "training/pack_source.py | OmegaConf.load(file)",
        "runs/checkpoints.py | torch.load(file, map_location='cpu', weights_only=True)",
    },
    "a temporary file of its own": {
        "files.py | temporary.open('rb+')",
        "video/event_files.py | path.open('ab' if there else 'wb', buffering=0)",
        "video/webhook.py | self.path.open('rb')",
        "baselines/window/module.py | onnxruntime.InferenceSession(path)",
        "export/graph_folding.py | onnx.load(path)",
        "export/onnx_bundle.py | onnx.load(part)",
        "export/targets/int8.py | onnx.load(target)",
        "export/targets/ncnn.py | param.with_suffix(f'.{suffix}').read_bytes()",
        "export/targets/ncnn.py | prepared.read_bytes()",
    },
    "a file of the package or of another one that is installed": {
        "doctor/decision_cards.py | Path(__file__).with_name('decisions.js').read_text(encoding='utf-8')",
        "serving/http.py | folder.joinpath(name).read_bytes()",
        "studio/server.py | item.read_bytes()",
        "evaluation/gallery.py | ImageFont.truetype(str(font_file), 16)",
        "provenance.py | Path(str(file.locate())).read_bytes()",
        "reader/reader.py | default.read_text(encoding='utf-8')",
        "reports/drawing.py | ImageFont.truetype(str(path), height)",
        "training/configuration.py | ours.read_bytes()",
    },
    "a file of the system": {
        "benchmark/reader_speed.py | statm.read_text()",
        "serving/metrics.py | Path('/proc/self/statm').read_text(encoding='ascii')",
        "studio/project.py | os.open(folder, os.O_RDONLY)",
        "cli/reading.py | os.open(os.devnull, os.O_WRONLY)",
        "data/decoded_images.py | os.open(os.devnull, os.O_WRONLY)",
        "provenance.py | info.read_text(encoding='utf-8')",
        "reader/cores.py | (folder / 'cpu.max').read_text(encoding='ascii')",
        "reader/cores.py | (folder / f'cpu.cfs_{name}_us').read_text(encoding='ascii')",
        "reader/cores.py | own.read_text(encoding='utf-8')",
        "training/fit.py | cpuinfo.read_text()",
    },
}  # fmt: skip
"""Why a place opens files by itself, and the places: the file and the call as it is written."""


def openings(tree: ast.AST) -> list[str]:
    """The calls that open a file for reading by its path, as they are written."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        writes = any(isinstance(m, str) and set(m) <= set("rwaxbt+") and set(m) & set("wax") for m in modes)
        # a path's own method takes no path; what is opened by other objects is theirs to open
        method = isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and len(modes) >= len(node.args)
        if called in FUNCTIONS or (method and called not in {"self.open", "results.open"}):
            found += [] if writes or "SerializeToString" in ast.unparse(node) else [ast.unparse(node)]
    return found


def test_files_are_opened_by_one_function() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()} | {call}"
        for path in PACKAGE.rglob("*.py")
        for call in openings(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == {place for places in ALLOWED.values() for place in places}


def test_openings_would_be_noticed() -> None:
    lines = (
        "open(p)",
        "p.open()",
        "p.open('rb')",
        "p.read_bytes()",
        "(a / b).read_text()",
        "np.load(p)",
        "os.open(p, 0)",
    )
    assert [len(openings(ast.parse(line))) for line in lines] == [1] * len(lines)
    assert (
        openings(ast.parse("p.open('wb'); p.open(mode='a'); read_bytes(p); open_regular(p, 5); p.write_text(t)")) == []
    )

"""Weights are data: crafted networks and cards are refused with a sentence, and nothing unpickles or evaluates."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import DETECTOR, RECOGNISER, scene, write_bundle

from alpr.detection.backbones import TimmBackbone
from alpr.files import SMALL_BYTES
from alpr.reader.card import CardError, ModelCard, WeightFile
from alpr.reader.onnx_file import MalformedOnnx, names_other_files
from alpr.reader.reader import Reader
from alpr.reader.sessions import SessionError
from alpr.runs.checkpoints import RunError, read_checkpoint
from alpr.training.record import RUN_FILE, RunRecord

PACKAGE = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    [
        *(PACKAGE / "alpr").rglob("*.py"),
        *(PACKAGE / "scripts").glob("*.py"),
        *(PACKAGE / "tools").glob("*.py"),
        *PACKAGE.glob("*.py"),
    ]
)


def crafted(folder: Path, name: str, model: onnx.ModelProto | bytes) -> Path:
    """A bundle in which one network is replaced and the card vouches for it: whoever crafts one crafts the hash too."""
    write_bundle(folder)
    data = model if isinstance(model, bytes) else model.SerializeToString()
    (folder / f"{name}.onnx").write_bytes(data)
    card = ModelCard.read(folder)
    replace(card, **{f"{name}_file": WeightFile.of(folder / f"{name}.onnx")}).write(folder)
    return folder


def outside(location: str) -> onnx.ModelProto:
    """A detector with a weight in another file."""
    model = onnx.parser.parse_model(DETECTOR)
    weight = numpy_helper.from_array(np.zeros(4, np.float32), "weight")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    model.graph.initializer.append(weight)
    return model


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "detector.data"])
def test_weights_in_other_files_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "detector.data").write_bytes(bytes(16))
    with pytest.raises(SessionError, match="keeps weights in other files"):
        Reader(crafted(tmp_path / "bundle", "detector", outside(location)))


def test_weights_in_other_files_are_found_wherever_they_hide() -> None:
    weight = outside("x").graph.initializer[-1]
    inner = helper.make_graph([], "inner", [], [], [weight])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner)
    constant = helper.make_node("Constant", [], ["y"], value=weight)
    for graph in (helper.make_graph([node], "g", [], []), helper.make_graph([constant], "g", [], [])):
        assert names_other_files(helper.make_model(graph).SerializeToString())
    named = onnx.parser.parse_model(DETECTOR)
    named.graph.node[0].name = "location"
    assert not names_other_files(named.SerializeToString())
    for damaged in (b"\x3a\xff\x7flocation", b"\x3blocation", b"\x3a\x09location" + b"\x80" * 11):
        with pytest.raises(MalformedOnnx):
            names_other_files(damaged)


def changed(text: str, *changes: tuple[str, str]) -> onnx.ModelProto:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return onnx.parser.parse_model(text)


# Graphs that promise what the contract asks, by symbolic sizes, and give something else when they run.
LIARS = [
    ("detector", lambda: changed(DETECTOR, ("score = Mul (found, sure)", "none = Sub (found, found)\n"
     "  score = Div (none, none)")), "detector gave outputs that are not finite"),
    ("detector", lambda: changed(DETECTOR, ("boxes = Unsqueeze (box, c1)", "two = Concat <axis = 0> (box, box)\n"
     "  boxes = Unsqueeze (two, c1)")), r"gave boxes as float32 \[2, 1, 4\]; expected float32 \[1, 1, 4\]"),
    ("detector", lambda: changed(DETECTOR, ("scores = Unsqueeze (score, c1)", "three = Concat <axis = 0> "
     "(score, score, score)\n  scores = Unsqueeze (three, c1)")), r"gave scores as float32 \[3, 1\]"),
    ("recogniser", lambda: changed(RECOGNISER, ("logits = Mul (squared, sharp)", "once = Mul (squared, sharp)\n"
     "  logits = Concat <axis = 0> (once, once)")), r"gave logits as float32 \[2, 4, 9\]"),
    ("recogniser", lambda: changed(RECOGNISER, ("logits = Mul (squared, sharp)", "below = Sub (squared, squared)\n"
     "  logits = Div (below, below)")), "logits that are not finite"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "model", "sentence"), LIARS)
def test_a_network_that_lies_is_found_out(
    name: str, model: Callable[[], onnx.ModelProto], sentence: str, tmp_path: Path
) -> None:
    reader = Reader(crafted(tmp_path / "bundle", name, model()), threads=1)
    with pytest.raises(ValueError, match=sentence):
        reader(scene("A1"))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: changed(DETECTOR, ("uint8[B, H, W, 3] image", "uint8[B, H, W, 4] image")), "its input is 'image'"),
        (lambda: changed(DETECTOR, ("boxes", "places")), r"outputs \['scores', 'places', 'corners'\]"),
        (lambda: changed(RECOGNISER, ("48, 192, 3", "48, 96, 3")), "expected|cannot be loaded"),
        (lambda: b"no network", "cannot be loaded"),
        (lambda: b"", "cannot be loaded"),
    ],
)
def test_a_network_of_other_shapes_is_refused(
    model: Callable[[], onnx.ModelProto | bytes], sentence: str, tmp_path: Path
) -> None:
    crafted_model = model()
    name = "recogniser" if not isinstance(crafted_model, bytes) and "crop" in str(crafted_model) else "detector"
    with pytest.raises(SessionError, match=sentence):
        Reader(crafted(tmp_path / "bundle", name, crafted_model))


@pytest.mark.parametrize("name", ["../detector.onnx", "/etc/passwd", "..", "a/b.onnx", "a\\b.onnx", "C:x", "a\0b"])
def test_a_card_with_a_path_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["detector"]["file"] = name
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(CardError, match="expected the plain name of a file inside the bundle's folder"):
        Reader(folder)


def test_a_link_to_another_file_must_have_the_hash(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    weights = folder / "detector.onnx"
    kept = tmp_path / "kept.onnx"
    weights.rename(kept)
    weights.symlink_to(kept)  # as a cache of downloads lays them out
    assert len(Reader(folder, threads=1)(scene("A1"))) == 1
    kept.write_bytes(b"another file")
    with pytest.raises(CardError, match="has SHA-256"):
        Reader(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["card.json", "detector.onnx"])
def test_a_pipe_in_a_files_place_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CardError, match="no regular file"):
        Reader(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text + " " * SMALL_BYTES, "has more than 4000000 bytes"),
        (lambda text: text.replace('"metrics": {', '"metrics": {"a": ' + "[" * 100_000, 1), "no valid JSON"),
        (lambda text: text.replace('"format"', '"name": "x", "format"', 1), "the key 'name' is given twice"),
        (lambda text: text.replace('"input_px": 320', '"input_px": 32000000'), "input_px is 32000000"),
        (lambda text: text.replace('"input_px": 320', f'"input_px": {"9" * 5000}'), "JSON|expected"),
    ],
)
def test_a_hostile_card_is_refused(change: Callable[[str], str], sentence: str, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "bundle") / "card.json"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CardError, match=sentence):
        ModelCard.read(path.parent)


def dangers(tree: ast.AST) -> list[str]:
    """What could execute a file's contents: unpickling, YAML objects, evaluation, shells."""
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        pickles = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        found += [name for name in names if name.split(".")[0] in pickles]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {key.arg: ast.unparse(key.value) for key in node.keywords}
        unsafe = {
            "eval": True,
            "exec": True,
            "os.system": True,
            "torch.load": given.get("weights_only") != "True",
            "yaml.load": "SafeLoader" not in given.get("Loader", ""),
            "yaml.unsafe_load": True,
            "yaml.full_load": True,
            "np.load": given.get("allow_pickle") != "False",
            "torch.jit.load": True,
        }
        if unsafe.get(called) or given.get("shell") == "True":
            found.append(ast.unparse(node))
    return found


def test_no_file_is_executed() -> None:
    found = {path: dangers(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {} and len(found) > 100


def test_dangers_would_be_noticed() -> None:
    lines = ("import pickle", "from joblib import load", "eval(x)", "torch.load(p)", "yaml.load(t, Loader=yaml.Loader)",
             "np.load(p)", "np.load(p, allow_pickle=True)", "subprocess.run(c, shell=True)")  # fmt: skip
    assert [len(dangers(ast.parse(line))) for line in lines] == [1] * len(lines)
    assert dangers(ast.parse("torch.load(p, weights_only=True); np.load(p, allow_pickle=False); model.eval()")) == []


CHOOSING = {"instantiate", "get_class", "get_object", "get_method", "import_module", "importlib.import_module",
            "__import__", "hydra.utils.instantiate"}  # fmt: skip
CHOSEN = {
    "what a person named": {
        "runs/checkpoints.py", "training/preview.py", "training/step_times.py", "training/fit.py",
        "training/one_pass.py", "evaluation/command.py",
    },
    "a name in the package's own code": {
        "export/target.py", "plates/fonts.py", "cli/main.py", "baselines/scikit_learn.py",
    },
}  # fmt: skip
"""Where a text becomes code: why it may, and the files. What a run, a card or a checkpoint stored is no such text."""


def choosing(tree: ast.AST) -> list[str]:
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.unparse(node) for node in called if ast.unparse(node.func) in CHOOSING]


def test_what_is_read_never_chooses_what_runs() -> None:
    package = PACKAGE / "alpr"
    found = {p for p in package.rglob("*.py") if choosing(ast.parse(p.read_text(encoding="utf-8")))}
    assert {p.relative_to(package).as_posix() for p in found} == {file for files in CHOSEN.values() for file in files}
    assert choosing(ast.parse("instantiate(x); import_module(y)")) == ["instantiate(x)", "import_module(y)"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(number: str, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "bundle") / "card.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"metrics": {', f'"metrics": {{"a": {number}, ', 1).replace(", }", "}"), "utf-8")
    with pytest.raises(CardError, match=rf"{number} is no finite number"):
        ModelCard.read(path.parent)
    (tmp_path / RUN_FILE).write_text(f'{{"name": "a", "seconds": {number}}}', encoding="utf-8")
    with pytest.raises(RunError, match=rf"run\.json is no run record: {number} is no finite number"):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize("text", ['{"name": "a", "name": "b"}', "[" * 100_000, "[]", '{"name": "a", "seed": 1}'])
def test_a_hostile_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json is no run record"):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize("name", ["hf-hub:someone/network", "local-dir:/tmp/network"])
def test_no_architecture_is_fetched(name: str) -> None:
    with pytest.raises(ValueError, match="expected the plain name"):
        TimmBackbone(name, False, (1, 2, 3))


def test_no_weights_are_fetched_for_a_checkpoint(tmp_path: Path) -> None:
    settings = {"network": {"timm": "resnet18", "pretrained": True}}
    torch.save({"state_dict": {}, "hyper_parameters": settings}, tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]["network"]["pretrained"] is False


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("[]", r"started_from\[0\] is \[\]; expected a mapping"),
        ('{"name": "a"}', r"missing started_from\[0\]\.sha256"),
        ('{"name": "a", "sha256": "0", "data": [1]}', r"started_from\[0\]\.data is \[1\]; expected a mapping"),
        ('{"name": "a", "sha256": "0", "data": {}, "more": 1}', r"unknown started_from\[0\]\.more"),
    ],
)
def test_the_line_of_earlier_trainings_is_checked(entry: str, says: str, tmp_path: Path) -> None:
    RunRecord("a", {}, 1, {}, commit=None, versions={}, device="").write(tmp_path)
    text = (tmp_path / RUN_FILE).read_text(encoding="utf-8")
    assert '"started_from": []' in text
    (tmp_path / RUN_FILE).write_text(text.replace('"started_from": []', f'"started_from": [{entry}]'), "utf-8")
    with pytest.raises(RunError, match=rf"run\.json is no run record: .*{says}"):
        RunRecord.read(tmp_path)

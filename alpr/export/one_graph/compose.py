"""reader.onnx: one ONNX graph of a whole reader, frames in; corners, scores and the probabilities of texts out.

It is composed of the bundle's own two networks, whose parity is proved already, and of what stands between them in
standard operators (`parts`): so any bundle can have one, and nothing is exported a second time.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, version_converter
from onnx.helper import make_node, make_tensor_value_info

from alpr.export.one_graph.parts import crops_part, labels_part, letterbox_part, plates_part, texts_part
from alpr.files import WEIGHT_BYTES, read_regular, write_atomically
from alpr.reader.card import ModelCard
from alpr.reader.sessions import ONE_BY_ONE

READER_FILE = "reader.onnx"
OPSET = 20
METADATA_KEY = "alpr"
"""The key of the file's metadata under which JSON says how its outputs are read."""


def write_reader(card: ModelCard, folder: Path, path: Path) -> None:
    """Writes the graph of a bundle's two networks, whole or not at all.

    Its input is `frame`, (B, H, W, 3) uint8 BGR, of any batch and size. Its outputs, of N plates in all, those of a
    frame together and best first: `frame_index` (N,), `corners` (N, 4, 2) and `boxes` (N, 4) in px of the frame,
    `scores` (N,), `probabilities` (N, L, K+1) and, where the recogniser has such heads, `countries` and `kinds` (N, C).
    Corners from which no crop can be made have probabilities that read as "".

    Args:
        card: its settings, alphabet and file names count.
        folder: holds the two networks.
    """
    model = _composed(card, folder)
    about = {
        "name": card.name,
        "country": card.country.code,
        "alphabet": card.alphabet,  # class k of a slot is alphabet[k - 1]; class 0 is padding
        "detector": asdict(card.detector),
        "recogniser": asdict(card.recogniser),
    }
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(about, ensure_ascii=False)})
    onnx.checker.check_model(model, full_check=True)
    write_atomically(path, [model.SerializeToString()])


def _composed(card: ModelCard, folder: Path) -> onnx.ModelProto:
    networks = [
        _converted(onnx.load_from_string(read_regular(folder / entry.file, WEIGHT_BYTES)))
        for entry in (card.detector_file, card.recogniser_file)
    ]
    if any(entry.key == ONE_BY_ONE for entry in networks[1].metadata_props):
        networks[1] = one_by_one(networks[1])
    graph = onnx.GraphProto(name=card.name)
    _add(graph, "letterbox", letterbox_part(card.detector), frame="frame")
    _add(graph, "detector", networks[0], image="letterbox/image")
    found = {f"network_{name}": f"detector/{name}" for name in ("scores", "boxes", "corners")}
    _add(graph, "plates", plates_part(card.detector), scale="letterbox/scale", **found)
    where = {"frame_index": "plates/frame_index", "corners": "plates/corners"}
    _add(graph, "crops", crops_part(card.recogniser), frames="frame", **where)
    _add(graph, "recogniser", networks[1], crop="crops/crop")
    _add(graph, "texts", texts_part(card.recogniser), logits="recogniser/logits", readable="crops/readable")
    for head in card.recogniser.outputs:
        _add(graph, head, labels_part(), head=f"recogniser/{head}", readable="crops/readable")
    graph.input.append(make_tensor_value_info("frame", TensorProto.UINT8, ["B", "H", "W", 3]))
    for name, source, kind, shape in _outputs(card):
        graph.node.append(make_node("Identity", [source], [name]))
        graph.output.append(make_tensor_value_info(name, kind, shape))
    return onnx.helper.make_model(graph, ir_version=networks[0].ir_version, opset_imports=networks[0].opset_import)


def _converted(network: onnx.ModelProto) -> onnx.ModelProto:
    """A network in the operators of `OPSET`, if it is written in older ones."""
    [imported] = network.opset_import
    return version_converter.convert_version(network, OPSET) if imported.version < OPSET else network


def one_by_one(network: onnx.ModelProto) -> onnx.ModelProto:
    """A network of a batch of crops as one that takes them in turn, so that none depends on the others' company."""
    [given] = network.graph.input
    body = onnx.compose.add_prefix_graph(network.graph, "each/")
    body.node.insert(0, make_node("Gather", [given.name, "turns"], [f"each/{given.name}"]))
    body.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), "batch axis"))
    body.node.insert(0, make_node("Unsqueeze", ["turn", "batch axis"], ["turns"]))
    for output in body.output:
        body.node.append(make_node("Squeeze", [output.name, "batch axis"], [f"{output.name} of its own"]))
        output.name += " of its own"
        del output.type.tensor_type.shape.dim[0]
    del body.input[:]
    body.input.append(make_tensor_value_info("turn", TensorProto.INT64, []))
    body.input.append(make_tensor_value_info("on", TensorProto.BOOL, []))
    body.node.append(make_node("Identity", ["on"], ["go on"]))
    body.output.insert(0, make_tensor_value_info("go on", TensorProto.BOOL, []))
    names = [output.name for output in network.graph.output]
    count = [
        make_node("Shape", [given.name], ["count"], start=0, end=1),
        make_node("Squeeze", ["count"], ["turns in all"]),
    ]
    turns = make_node("Loop", ["turns in all", ""], names, body=body)
    graph = onnx.helper.make_graph([*count, turns], network.graph.name, [given], network.graph.output)
    return onnx.helper.make_model(graph, ir_version=network.ir_version, opset_imports=network.opset_import)


def _add(graph: onnx.GraphProto, name: str, part: onnx.ModelProto, **inputs: str) -> None:
    """Adds a part, its values as `name/...`, its inputs fed from values of the graph.

    Raises:
        ValueError: a network of other operators or another version of them than the parts between are written in.
    """
    found = {(imported.domain, imported.version) for imported in part.opset_import}
    if found != {("", OPSET)}:
        raise ValueError(f"The {name} is written in the operators {sorted(found)}; {READER_FILE} is in opset {OPSET}.")
    # Named beforehand: it forgets constants that only a branch uses.
    constants = {entry.name: f"{name}/{entry.name}" for entry in part.graph.initializer}
    inside = onnx.compose.add_prefix_graph(part.graph, f"{name}/", name_map=constants)
    graph.node.extend(make_node("Identity", [source], [f"{name}/{key}"]) for key, source in inputs.items())
    graph.node.extend(inside.node)
    graph.initializer.extend(inside.initializer)


def _outputs(card: ModelCard) -> list[tuple[str, str, int, list[str | int]]]:
    """Every output's name, the value it is, its type and its shape."""
    settings, number = card.recogniser, TensorProto.FLOAT
    labels: list[tuple[str, str, int, list[str | int]]] = [
        (name, f"{name}/found", number, ["N", classes]) for name, classes in settings.outputs.items()
    ]
    return [
        ("frame_index", "plates/frame_index", TensorProto.INT64, ["N"]),
        ("corners", "plates/corners", number, ["N", 4, 2]),
        ("scores", "plates/scores", number, ["N"]),
        ("boxes", "plates/boxes", number, ["N", 4]),
        ("probabilities", "texts/probabilities", number, ["N", settings.slots, len(card.alphabet) + 1]),
        *labels,
    ]

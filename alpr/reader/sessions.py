"""ONNX Runtime sessions for the two networks of a bundle: threads and providers explicit, the graph checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from alpr.files import WEIGHT_BYTES, read_regular
from alpr.plates.records import FloatArray
from alpr.reader.cores import available_cores
from alpr.reader.onnx_file import MalformedOnnx, names_other_files
from alpr.recognition.settings import RecogniserSettings

CPU = "CPUExecutionProvider"
ONE_BY_ONE = "one_by_one"
"""A key of the metadata of networks whose answer to a crop depends on the other crops of its batch."""


class SessionError(ValueError):
    """A network or a provider that ONNX Runtime cannot give as asked; the sentence names it."""


def open_session(
    path: Path, threads: int | None = None, providers: Sequence[str] | None = None
) -> onnxruntime.InferenceSession:
    """A session for one ONNX file.

    Raises:
        SessionError: a number of threads below 1, a provider that is not there or would not start (never a silent
            fallback), or a file that cannot be loaded.
    """
    threads = available_cores() if threads is None else threads
    if threads < 1:
        raise SessionError(f"The number of threads is {threads}; expected at least 1.")
    if isinstance(providers, str):
        providers = [providers]
    asked = [CPU] if providers is None else list(providers)
    offered = onnxruntime.get_available_providers()
    lacking = [name for name in asked if name not in offered]
    if lacking or not asked:
        raise SessionError(
            f"ONNX Runtime has no provider {', '.join(lacking) or '(none was named)'} here; "
            f"it has {', '.join(offered)}."
        )
    try:
        outside = names_other_files(read_regular(path, WEIGHT_BYTES))
    except (OSError, MalformedOnnx) as error:
        raise SessionError(f"{path} cannot be loaded: {error}.") from error
    if outside:
        raise SessionError(f"{path} keeps weights in other files, which no hash vouches for; expected all within it.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the core from decoding: two of them were slower than one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # warnings of the graph optimiser are no news to a reader's user
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=asked)
    except Exception as error:  # its exceptions share no narrower parent
        raise SessionError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
    idle = [name for name in asked if name not in session.get_providers()]
    if idle:
        raise SessionError(
            f"ONNX Runtime could not start {', '.join(idle)} for {path}; in use would be "
            f"{', '.join(session.get_providers())}."
        )
    return session


def _check_value(path: Path, what: str, value: Any, name: str, kind: str, shape: Sequence[int | None]) -> None:
    """Compares an input or output with the contract. None stands for an input's size that must be free to change."""
    found = list(value.shape)
    # A symbolic size is a text and passes: only what the file promises can be compared before it runs.
    fits = len(found) == len(shape) and all(
        not isinstance(size, int) or size == expected or (expected is None and what == "output")
        for size, expected in zip(found, shape, strict=True)
    )
    if value.name != name or value.type != f"tensor({kind})" or not fits:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise SessionError(
            f"{path}: its {what} is {value.name!r}, {value.type}, {found}; "
            f"expected {name!r}, tensor({kind}), [{expected}]."
        )


def _check_graph(
    path: Path,
    session: onnxruntime.InferenceSession,
    given: tuple[str, Sequence[int | None]],
    wanted: Sequence[tuple[str, Sequence[int | None]]],
) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [name for name, _ in wanted]
    if len(inputs) != 1 or [o.name for o in outputs] != names:
        raise SessionError(
            f"{path} has the inputs {[i.name for i in inputs]} and the outputs {[o.name for o in outputs]}; "
            f"expected {[given[0]]} and {names}."
        )
    _check_value(path, "input", inputs[0], given[0], "uint8", given[1])
    for output, (name, shape) in zip(outputs, wanted, strict=True):
        _check_value(path, "output", output, name, "float", shape)


def _run(path: Path, session: onnxruntime.InferenceSession, outputs: Sequence[str], name: str, batch: Any) -> list[Any]:
    try:
        return list(session.run(list(outputs), {name: batch}))
    except Exception as error:  # its exceptions share no narrower parent
        raise SessionError(f"{path} failed on a batch of shape {batch.shape}: {error}") from error


def _check_result(path: Path, name: str, found: Any, shape: Sequence[int | None]) -> None:
    """Compares what a network gave with the contract: what a graph says of itself may be a lie."""
    fits = isinstance(found, np.ndarray) and found.dtype == np.float32 and len(found.shape) == len(shape)
    if not fits or any(size not in (None, side) for size, side in zip(shape, found.shape, strict=True)):
        what = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise SessionError(f"{path} gave {name} as {what}; expected float32 [{expected}].")


class OnnxDetector:
    """A detector's ONNX file as a callable: (B, H, W, 3) uint8 -> scores, boxes, corners.

    Raises:
        SessionError: see `open_session`; also a graph that does not keep the contract.
    """

    outputs = ("scores", "boxes", "corners")

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        self.path = path
        self.session = open_session(path, threads, providers)
        self.providers: tuple[str, ...] = tuple(self.session.get_providers())
        shapes = ((None, None), (None, None, 4), (None, None, 4, 2))
        _check_graph(
            path,
            self.session,
            ("image", (None, None, None, 3)),
            list(zip(self.outputs, shapes, strict=True)),
        )

    def __call__(self, batch: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray, FloatArray]:
        scores, boxes, corners = _run(self.path, self.session, self.outputs, "image", batch)
        _check_result(self.path, "scores", scores, (len(batch), None))
        _check_result(self.path, "boxes", boxes, (*scores.shape, 4))
        _check_result(self.path, "corners", corners, (*scores.shape, 4, 2))
        return scores, boxes, corners


class OnnxRecogniser:
    """A recogniser's ONNX file as a callable: (B, h, w, 3) uint8 -> logits (B, L, K+1), and those of its other heads.

    A file that says `ONE_BY_ONE` gets one crop at a time: what a crop reads is its own affair.

    Raises:
        SessionError: see `open_session`; also a graph that does not keep the contract.
    """

    def __init__(
        self,
        path: Path,
        settings: RecogniserSettings,
        classes: int,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        self.path = path
        self.session = open_session(path, threads, providers)
        self.providers: tuple[str, ...] = tuple(self.session.get_providers())
        self.one_by_one = ONE_BY_ONE in self.session.get_modelmeta().custom_metadata_map
        height, width = settings.size
        self.shapes: dict[str, tuple[int, ...]] = {
            "logits": (settings.slots, classes),
            **{name: (names,) for name, names in settings.outputs.items()},
        }
        _check_graph(
            path,
            self.session,
            ("crop", (None, height, width, 3)),
            [(name, (None, *shape)) for name, shape in self.shapes.items()],
        )

    def __call__(self, batch: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        if self.one_by_one and len(batch) > 1:
            return tuple(map(np.concatenate, zip(*(self(crop[None]) for crop in batch), strict=True)))
        found = _run(self.path, self.session, tuple(self.shapes), "crop", batch)
        for array, (name, shape) in zip(found, self.shapes.items(), strict=True):
            _check_result(self.path, name, array, (len(batch), *shape))
        return tuple(found)

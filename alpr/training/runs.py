"""Runs: a folder that says what made it, checkpoints that load strictly, and training that resumes exactly."""

from __future__ import annotations

import contextlib
import os
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from alpr.data.source_settings import named
from alpr.detection.module import DetectorModule
from alpr.files import SMALL_BYTES, WEIGHT_BYTES, file_sha256, open_regular, read_regular, write_json
from alpr.plates.values import strict_json
from alpr.provenance import commit_label, device_name, versions
from alpr.reader.parts import Parts
from alpr.recognition.calibration import CALIBRATION_FILE, Calibration
from alpr.recognition.distillation import DistilledRecogniser
from alpr.recognition.mixture.one_form import one_form
from alpr.recognition.mixture.short_words import PLATES
from alpr.recognition.module import RecogniserModule
from alpr.recognition.pretraining.module import (
    LABELS,
    DecoderPretraining,
    EncoderPretraining,
    PretrainingModule,
    part_of,
)
from alpr.task import TaskModule
from alpr.training.weights import SUFFIX, read_weights

RUN_FILE = "run.json"
MOVED_CLASSES = {
    "alpr.recognition.datamodule.RecognitionData": PLATES,
    "alpr.metrics_csv.MetricsCsv": "alpr.training.metrics_csv.MetricsCsv",
    "alpr.recognition.pretrain_data.PlacedData": "alpr.recognition.pretraining.data.PlacedData",
    "alpr.recognition.pretrain_data.UnlabelledData": "alpr.recognition.pretraining.data.UnlabelledData",
    "alpr.recognition.pretrain_module.DecoderPretraining": "alpr.recognition.pretraining.module.DecoderPretraining",
    "alpr.recognition.pretrain_module.EncoderPretraining": "alpr.recognition.pretraining.module.EncoderPretraining",
}
"""What the configuration of a stored run names, and the same class where it stands now."""
CLASS_LAYERS = ("classifier", "ctc")
"""Layers of a recogniser whose outputs are the padding and the symbols of its alphabet."""
M = TypeVar("M", bound=TaskModule)


class RunError(ValueError):
    """A run or checkpoint that cannot be used as asked; the sentence names it."""


def best_checkpoint(path: str | os.PathLike[str]) -> Path:
    """The checkpoint that a path means: itself, or the best of a run folder.

    Raises:
        RunError: neither is there.
    """
    given = Path(path)
    found = given if given.is_file() else given / "checkpoints" / "best.ckpt"
    if not found.is_file():
        raise RunError(f"{given} is no checkpoint and no run folder with checkpoints/best.ckpt.")
    return found


def load_detector(path: str | os.PathLike[str]) -> DetectorModule:
    """The detector of a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Raises:
        RunError: nothing there, another kind of model, or weights that do not fit.
    """
    return _load(path, DetectorModule)


def load_recogniser(path: str | os.PathLike[str], *, calibrated: bool = True) -> RecogniserModule:
    """The recogniser of a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Args:
        calibrated: with the temperature and the thresholds of the calibration beside the weights, where there is one
            for just these weights. One for others is left out, and a warning says so.

    Raises:
        RunError: nothing there, another kind of model, weights that do not fit, or a damaged calibration.
    """
    module = _load(path, RecogniserModule)
    if calibrated:
        _apply_calibration(module, best_checkpoint(path))
    return module


def load_module(path: str | os.PathLike[str]) -> TaskModule:
    """A module of any kind from a run folder or checkpoint, with its averaged weights, in evaluation mode.

    Raises:
        RunError: nothing there, or weights that do not fit.
    """
    checkpoint = read_checkpoint(best_checkpoint(path))
    return _rebuilt(path, checkpoint, _kind_of(checkpoint))


def load_teacher(module: TaskModule) -> str | None:
    """Gives a module that learns from a teacher its teacher; the SHA-256 of the weights, or None for other modules.

    Raises:
        RunError: nothing there, or another kind of model.
        ValueError: a teacher that does not fit, see `DistilledRecogniser.learn_from`.
    """
    if not isinstance(module, DistilledRecogniser):
        return None
    module.learn_from(load_recogniser(module.teacher_path, calibrated=False))
    return file_sha256(best_checkpoint(module.teacher_path))


def calibration_of(checkpoint: Path) -> Path:
    """Where the calibration of a checkpoint stands: in its run's folder, else beside it."""
    return run_folder(checkpoint) / CALIBRATION_FILE


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a file of weights belongs to, if it belongs to one."""
    folder = checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" else folder


def _apply_calibration(module: RecogniserModule, checkpoint: Path) -> None:
    path = calibration_of(checkpoint)
    if not path.is_file():
        return
    try:
        found = Calibration.read(path)
        if found.checkpoint != file_sha256(checkpoint):
            warnings.warn(f"{path} is not of {checkpoint}; its scores stay uncalibrated.", stacklevel=3)
            return
        module.predictor = replace(
            module.predictor,
            temperature=found.temperature,
            threshold_99=None if found.threshold_99 is None else found.threshold_99.score,
            threshold_999=None if found.threshold_999 is None else found.threshold_999.score,
        )
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: {error}") from error
    module.hparams["predictor"] = asdict(module.predictor)


def load_reader(
    *,
    detector: str | os.PathLike[str] | None = None,
    recogniser: str | os.PathLike[str] | None = None,
    grammar: bool = False,
) -> Parts:
    """The predictor's own code over the networks of runs or checkpoints, on a GPU where there is one.

    Args:
        grammar: whether readings that fit no layout of the country give way to those that do.

    Raises:
        RunError: nothing there, another kind of model, or weights that do not fit.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Parts(
        detector=None if detector is None else load_detector(detector).to(device).detector(),
        recogniser=None if recogniser is None else load_recogniser(recogniser).to(device).recogniser(grammar),
    )


def _load(path: str | os.PathLike[str], kind: type[M]) -> M:
    checkpoint = read_checkpoint(best_checkpoint(path))
    held = _kind_of(checkpoint)
    if held is not kind:
        raise RunError(f"{path} holds the weights of a {held.what}; expected those of a {kind.what}.")
    return _rebuilt(path, checkpoint, kind)


def _rebuilt(path: str | os.PathLike[str], checkpoint: Mapping[str, Any], kind: type[M]) -> M:
    try:
        module = kind(**checkpoint["hyper_parameters"])
        module.load_state_dict(checkpoint["state_dict"], strict=True)
    except (TypeError, RuntimeError) as error:
        raise RunError(f"{path} does not hold a {kind.__name__}: {str(error).splitlines()[0]}") from error
    return module.eval()


def _kind_of(checkpoint: Mapping[str, Any]) -> type[TaskModule]:
    """The module that wrote a checkpoint, by the settings that only it has."""
    settings = checkpoint["hyper_parameters"]
    for key, kind in (
        ("masked_image", EncoderPretraining),
        ("masked_language", DecoderPretraining),
        ("country", RecogniserModule),
    ):
        if key in settings:
            return kind
    return DetectorModule


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's, or a safetensors file's, tensors and plain values; nothing in it is executed.

    Raises:
        RunError: a file that is neither.
    """
    if path.suffix == SUFFIX:
        try:
            return read_weights(path)
        except ValueError as error:
            raise RunError(str(error)) from error
    try:
        with open_regular(path, WEIGHT_BYTES) as file:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for damaged files
        raise RunError(
            f"{path} cannot be loaded as a checkpoint: {(str(error) or 'it is empty').splitlines()[0]}"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= set(checkpoint):
        raise RunError(f"{path} holds no 'state_dict' and 'hyper_parameters'; it is no checkpoint of this project.")
    settings = checkpoint["hyper_parameters"]
    network = settings.get("network") if isinstance(settings, dict) else None
    if isinstance(network, dict) and network.get("pretrained"):
        network["pretrained"] = False  # the weights are here; a file never chooses what is fetched
    return checkpoint


def warm_start(module: TaskModule, path: str | os.PathLike[str], only: Sequence[str] | None = None) -> str:
    """Copies the weights of another run into a module; gives a sentence that says which.

    Of a pretraining only the parts that it learnt are taken, and a pretraining's own parts begin anew in another stage.
    A head for countries or kinds begins anew where the other run's tells other ones apart, or has none.

    Args:
        only: of the parts that could be taken just these, such as the encoder for another alphabet; None for all.

    Raises:
        RunError: another kind of model, weights of other shapes, or, where characters are read, an alphabet with a
            symbol that this run does not have. This run may have more; they begin anew. Or a part that is not there.
    """
    checkpoint = read_checkpoint(best_checkpoint(path))
    parts = _parts_to_copy(module, checkpoint)
    if only is not None:
        if not set(only) <= parts:
            raise RunError(f"{path} has the parts {sorted(parts)}; expected those of {sorted(only)}.")
        parts = set(only)
    new = ""
    if isinstance(module, RecogniserModule) and "decoder" in parts:
        theirs = str(checkpoint["hyper_parameters"].get("country", {}).get("alphabet"))
        if theirs != module.charset.symbols:
            ours = module.charset.symbols
            if set(theirs) - set(ours):
                raise RunError(f"{path} has the alphabet {theirs}; this run's is {ours}. {_difference(theirs, ours)}")
    part = part_of if isinstance(module, RecogniserModule) else lambda _: "network"
    own = {name: part(name) for name in module.state_dict()}
    parts &= set(own.values())
    fresh = sorted(set(own.values()) - parts)
    kept = {name: value for name, value in module.state_dict().items() if own[name] in fresh}
    taken = {name: value for name, value in checkpoint["state_dict"].items() if part(name) in parts}
    if isinstance(module, RecogniserModule) and "decoder" in parts:
        taken = _grown(taken, module.state_dict(), theirs, module.charset.symbols)
        new = "".join(symbol for symbol in module.charset.symbols if symbol not in theirs)
    try:
        module.load_state_dict({**kept, **taken}, strict=True)
    except RuntimeError as error:
        raise RunError(f"The weights of {path} do not fit this network: {str(error)[:500]}") from error
    if isinstance(module, PretrainingModule):
        module.learnt = sorted(parts | module.trained)
    anew = f"; {' and '.join(fresh)} begin anew" if fresh else ""
    grown = f"; the symbols {new} are new" if new else ""
    return f"It begins with the {' and '.join(sorted(parts))} of {path} ({len(taken)} tensors){anew}{grown}."


def _grown(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Weights whose classes stand where this run's alphabet has them; a symbol they do not know keeps the own ones."""
    rows = [0, *(ours.index(symbol) + 1 for symbol in theirs)]
    result = dict(weights)
    for name, value in weights.items():
        if name.split(".")[1] in CLASS_LAYERS and theirs != ours:
            result[name] = own[name].clone()
            result[name][rows] = value.to(own[name])
    return result


def _parts_to_copy(module: TaskModule, checkpoint: Mapping[str, Any]) -> set[str]:
    """The parts of a checkpoint's network that hold learnt weights.

    Raises:
        RunError: a detector's weights for a recogniser, or the other way round.
    """
    held = _kind_of(checkpoint)
    if issubclass(held, RecogniserModule) != isinstance(module, RecogniserModule):
        raise RunError(f"The weights to begin with are those of a {held.what}; this run trains a {module.what}.")
    if not isinstance(module, RecogniserModule):
        return {"network"}
    settings = checkpoint["hyper_parameters"]
    learnt = (
        settings["learnt"] if issubclass(held, PretrainingModule) else ["encoder", "decoder", "heads", *LABELS.values()]
    )
    theirs, ours = settings.get("network") or {}, module.network.settings
    names = {"country_head": "countries", "kind_head": "kinds"}
    other = {LABELS[head] for head, key in names.items() if tuple(theirs.get(key, ())) != getattr(ours, key)}
    return set(learnt) - other


def _difference(theirs: str, ours: str) -> str:
    """In which symbols two alphabets differ."""
    lacking, more = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    return f"Only the weights have {' '.join(lacking)}" + (f"; only this run has {' '.join(more)}." if more else ".")


@dataclass
class RunRecord:
    """What made a run, and what came of it; `run.json`."""

    name: str
    config: Mapping[str, Any]
    seed: int
    manifests: Mapping[str, str]  # file -> SHA-256
    split: str | None = None  # of the manifests' rows; None for all
    fold: int | None = None  # the tenth of the plates that was held back to choose the checkpoint
    teacher: str | None = None  # SHA-256 of the weights that it was distilled from
    started_from: Sequence[Mapping[str, Any]] = ()  # earlier trainings, the last first; see `lineage.line_of`
    status: str = "running"  # running, finished, stopped or failed
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0  # over all resumptions
    resumed: int = 0
    steps: int = 0
    result: Mapping[str, float | None] = field(default_factory=dict)  # of the last validation, and the best figure
    commit: str | None = field(default_factory=commit_label)
    versions: Mapping[str, str] = field(default_factory=lambda: versions())
    device: str = field(default_factory=lambda: device_name())
    precision: str = ""  # what trainer.precision came to
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])  # a resumed run goes on under it in W&B

    def write(self, folder: Path) -> None:
        """Writes `run.json`, whole or not at all."""
        write_json(folder / RUN_FILE, vars(self))

    @classmethod
    def read(cls, folder: Path) -> RunRecord | None:
        """The record of a run folder, or None where there is none.

        Raises:
            RunError: a file that is no run record.
        """
        path = folder / RUN_FILE
        if not path.is_file():
            return None
        try:
            record = cls(**strict_json(read_regular(path, SMALL_BYTES)))
            record.config = as_spelt_now(record.config)
            return record
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise RunError(f"{path} is no run record: {error}") from error


def as_spelt_now(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with today's names of classes, and the sources of data in their one form.

    Data that are wrong stay as they are; what makes them says so, and a run that is only exported needs none.
    """
    moved: dict[str, Any] = _with_moved_classes(config)
    data = moved.get("data")
    with contextlib.suppress(ValueError):
        if isinstance(data, dict) and data.get("_target_") == PLATES:
            moved["data"] = one_form(data).settings
        elif isinstance(data, dict) and data.get("sources"):
            moved["data"] = {**data, "sources": named(data["sources"], [])}
    return moved


def split_of(data: Mapping[str, Any]) -> str | None:
    """The split that the rows of a run's data are of; None where they are of several, or of all."""
    sources = data.get("sources")
    splits = {entry.get("split") for entry in sources.values()} if isinstance(sources, Mapping) else {data.get("split")}
    return splits.pop() if len(splits) == 1 else None


def _with_moved_classes(config: Any) -> Any:
    """A stored configuration with every class under its name of today."""
    if isinstance(config, Mapping):
        new = {key: _with_moved_classes(value) for key, value in config.items()}
        return new | {"_target_": MOVED_CLASSES.get(new["_target_"], new["_target_"])} if "_target_" in new else new
    return [_with_moved_classes(value) for value in config] if isinstance(config, list) else config


def differences(before: Mapping[str, Any], now: Mapping[str, Any], spared: frozenset[str], at: str = "") -> list[str]:
    """What another configuration changes, one `key: before -> now` each.

    Args:
        spared: keys that may differ, in full.
    """
    found: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        where = f"{at}{key}"
        old, new = before.get(key), now.get(key)
        if where in spared or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, spared, f"{where}.")
        else:
            found.append(f"{where}: {old} -> {new}")
    return found


def precision_of(setting: str | int, accelerator: str) -> str | int:
    """The trainer's precision; "auto" is the fastest that the device computes itself.

    bf16-mixed where it has bfloat16, 16-mixed (with loss scaling) on CUDA devices that have float16 only, with tensor
    cores, and 32-true elsewhere.

    Args:
        accelerator: the trainer's; "cpu" leaves a GPU alone.
    """
    if setting != "auto":
        return setting
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed"
        return "16-mixed" if torch.cuda.get_device_capability() >= (7, 0) else "32-true"
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    return "bf16-mixed" if flags & {"avx512_bf16", "amx_bf16"} else "32-true"

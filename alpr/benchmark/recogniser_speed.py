"""How long recognisers of several shapes take per plate in ONNX Runtime, untrained, in turns in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from alpr.reader.card import ModelCard
from alpr.reader.sessions import OnnxRecogniser

if TYPE_CHECKING:
    from alpr.recognition.module import RecogniserModule

REFERENCE = "maskocr_reference"
"""The reference recogniser's shape, which every measurement times beside the others."""
BATCHES = (1, 8)


@dataclass(frozen=True)
class RecogniserLatency:
    """Milliseconds per plate at each batch of `BATCHES`; the minima are what a busy machine disturbs least.

    Attributes:
        token_grid: (rows, columns); None where the file of a bundle does not say it.
        parameters: of the network as it is deployed, without the auxiliary head; None as above.
        multiply_adds: of one plate; None as above.
        times_reference: the reference shape's milliseconds over this one's, by the minima.
    """

    name: str
    token_grid: tuple[int, int] | None
    parameters: int | None
    multiply_adds: int | None
    min_ms: tuple[float, ...]
    p50_ms: tuple[float, ...]
    times_reference: tuple[float, ...]


@dataclass(frozen=True)
class _Candidate:
    name: str
    network: OnnxRecogniser
    size: tuple[int, int]
    token_grid: tuple[int, int] | None = None
    parameters: int | None = None
    multiply_adds: int | None = None


def time_recognisers(
    names: Sequence[str],
    *,
    bundle: Path | None = None,
    threads: int = 1,
    rounds: int = 100,
    advance: Callable[[], object] = lambda: None,
) -> tuple[RecogniserLatency, ...]:
    """Times networks of `configs/model`, and a bundle's, call by call in turn; the reference shape is always one.

    Args:
        names: files of `configs/model` that hold a recogniser, without `.yaml`.
        bundle: a folder whose recogniser is timed as well.
        advance: called after each of `rounds` + 1 rounds; the first is not counted.

    Raises:
        ValueError: a name that is no recogniser of `configs/model`, or a network that ONNX Runtime cannot run.
    """
    with tempfile.TemporaryDirectory() as folder:
        candidates = [] if bundle is None else [_of_bundle(bundle, threads)]
        for name in dict.fromkeys([*names, REFERENCE]):
            candidates.append(_exported(name, Path(folder), threads))
        times = _timed(candidates, rounds, advance)
    reference = next(i for i, candidate in enumerate(candidates) if candidate.name == REFERENCE)
    least, middle = times.min(axis=0), np.median(times, axis=0)
    return tuple(
        RecogniserLatency(
            c.name,
            c.token_grid,
            c.parameters,
            c.multiply_adds,
            tuple(round(float(ms), 3) for ms in least[i]),
            tuple(round(float(ms), 3) for ms in middle[i]),
            tuple(round(float(ratio), 2) for ratio in least[reference] / least[i]),
        )
        for i, c in enumerate(candidates)
    )


def untrained(name: str) -> RecogniserModule:
    """A recogniser of `configs/model` with random weights, for the default country.

    Raises:
        ValueError: no such file, or one of a detector.
    """
    from omegaconf import OmegaConf  # here, since a deployer who measures a bundle has none of it

    from alpr.recognition.module import RecogniserModule
    from alpr.training.configuration import CONFIGS, composed

    def of(model: str) -> Any:
        chosen = [f"model={model}", "data=plates", "augment=plates", "name=benchmark", "data.manifest=none"]
        return composed("train", chosen).model

    ours = f"{RecogniserModule.__module__}.{RecogniserModule.__qualname__}"
    files = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
    if name not in files or of(name)._target_ != ours:
        known = [file for file in files if of(file)._target_ == ours]
        raise ValueError(f"{name} is no recogniser of configs/model; expected one of {', '.join(known)}.")
    model: Any = OmegaConf.to_container(of(name), resolve=True)
    return RecogniserModule(country=model["country"], network=model["network"], predictor=model["predictor"]).eval()


def multiply_adds(module: RecogniserModule) -> int:
    """The multiply-adds of one plate in convolutions, linear layers and attention."""
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = copy.deepcopy(module.network).to("meta").requires_grad_(False)
    crop = torch.zeros((1, *module.predictor.size, 3), dtype=torch.uint8, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(crop)
    return int(counter.get_total_flops()) // 2


def _exported(name: str, folder: Path, threads: int) -> _Candidate:
    from alpr.export.onnx_bundle import export_recogniser

    module = untrained(name)
    path = folder / f"{name}.onnx"
    export_recogniser(module.network, path, module.predictor)
    parameters = sum(p.numel() for key, p in module.network.named_parameters() if not key.startswith("ctc."))
    network = OnnxRecogniser(path, module.predictor, len(module.charset), threads=threads)
    grid = module.network.settings.token_grid
    return _Candidate(name, network, module.predictor.size, grid, parameters, multiply_adds(module))


def _of_bundle(folder: Path, threads: int) -> _Candidate:
    card = ModelCard.read(folder)
    path = folder / card.recogniser_file.file
    network = OnnxRecogniser(path, card.recogniser, len(card.alphabet) + 1, threads=threads)
    return _Candidate(card.name, network, card.recogniser.size)


def _timed(candidates: Sequence[_Candidate], rounds: int, advance: Callable[[], object]) -> np.ndarray:
    """Milliseconds per plate: (rounds, candidates, batches)."""
    noise = np.random.default_rng(0)
    crops = [[noise.integers(0, 256, (b, *c.size, 3), dtype=np.uint8) for b in BATCHES] for c in candidates]
    times = np.empty((rounds + 1, len(candidates), len(BATCHES)))
    for row in times:
        for i, candidate in enumerate(candidates):
            for j, batch in enumerate(crops[i]):
                started = perf_counter()
                candidate.network(batch)
                row[i, j] = 1000 * (perf_counter() - started) / len(batch)
        advance()
    return times[1:]  # the first call of each also prepares

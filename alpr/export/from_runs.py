"""From two runs to a bundle: the networks, and the card that says what made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from alpr.detection.settings import DetectorSettings
from alpr.evaluation.by_width import readable_widths
from alpr.evaluation.outcomes import records_in
from alpr.export.data_sources import Network, data_sources
from alpr.export.one_graph.compose import READER_FILE
from alpr.export.onnx_bundle import add_companion, add_reader, add_report, export_bundle
from alpr.export.parity import ParityReport, ReaderParity
from alpr.files import LIST_BYTES, file_sha256, read_regular
from alpr.images.prepare import IMAGE_SUFFIXES, read_image
from alpr.plates.records import ImageArray
from alpr.plates.values import read_as
from alpr.provenance import UnknownProvenance, commit_label, installed_source, source_commit
from alpr.reader.card import EarlierRun, TrainingRun
from alpr.reader.reader import find_bundle
from alpr.runs.checkpoints import RunError, best_checkpoint, run_folder
from alpr.runs.weights import SUFFIX, write_weights
from alpr.training.lineage import bundled
from alpr.training.record import RunRecord
from alpr.training.runs import load_detector, load_recogniser

PARITY_SCENES = 16
REPORT_PAGE = "report.html"
"""What alpr evaluate writes beside its report.json, for people to look at; a bundle gets a copy."""


def bundle_runs(config: DictConfig) -> None:
    """Exports `config.detector` and `config.recogniser` to `config.output`; see `configs/export.yaml`.

    With neither, the bundle that stands at `config.output` gets the figures and the page of `config.report`, the
    recognisers of other bundles that `config.companions` names, and with `config.reader` its reader.onnx. Beside a new
    one lie the weights as safetensors, for `warm_start` of another training, and the report's page.

    Raises:
        RunError: a run that cannot be loaded, or a report without figures.
        ValueError: an input size or a threshold out of its range.
        OriginError: data whose origin and licence nothing says.
        ParityError: an exported network that gives other results; no file is left then.
        OSError: a file that cannot be read or written.
    """
    if config.release:
        refuse_uncommitted()
    output = Path(config.output)
    scenes = parity_scenes(config.images)
    compared = f"{len(scenes)} scenes of {config.images}" if scenes else "generated scenes"
    metrics = {} if config.report is None else reported_figures(Path(config.report))
    page = None if config.report is None else Path(config.report).with_name(REPORT_PAGE)
    page = page if page is not None and page.is_file() else None
    companions = {str(code): str(name) for code, name in (config.companions or {}).items()}
    if (config.reader or metrics or companions) and config.detector is None and config.recogniser is None:
        add_companions(output, companions)
        if metrics:
            add_report(output, metrics, page)
            print(f"{output} holds the figures of {config.report}.")
        if config.reader:
            print(f"Adding {READER_FILE} to {output}; parity is checked on {compared}.", flush=True)
            print(reader_parity_held(add_reader(output, scenes)))
        return
    for key in ("detector", "recogniser"):
        if config[key] is None:
            raise RunError(f"{key} is not given; expected a {key}'s run folder, checkpoint or safetensors file.")
    detector, recogniser = load_detector(config.detector), load_recogniser(config.recogniser)
    keys = ("input_px", "score_threshold", "small_px", "fine_px", "fine_weight")
    chosen = {key: config[key] for key in keys if config[key] is not None}
    chosen |= dict(config.detector_settings or {})
    detector.predictor = read_as(DetectorSettings, {**asdict(detector.predictor), **chosen})
    further = {key: config[key] for key in ("read_again_below", "unreadable_below") if config[key] is not None}
    if config.unread is not None:
        further["unread"] = tuple(config.unread)
    recogniser.predictor = replace(recogniser.predictor, **further)
    for module in (detector, recogniser):
        module.hparams["predictor"] = asdict(module.predictor)
    records = {path: RunRecord.read(run_folder(best_checkpoint(path))) for path in (config.detector, config.recogniser)}
    training = tuple(training_run(path, record) for path, record in records.items())
    networks = (Network(config.detector), Network(config.recogniser, recogniser.pack))
    sources = data_sources(networks, config.sources, config.licence)

    def write_both(folder: Path) -> None:
        for module in (detector, recogniser):
            write_weights(module, folder / f"{module.kind}{SUFFIX}")
        if page is not None:
            shutil.copyfile(page, folder / REPORT_PAGE)

    print(f"Exporting to {output}; parity is checked on {compared}, which takes about half a minute.", flush=True)
    report = export_bundle(
        detector.network,
        detector.predictor,
        recogniser.network,
        recogniser.predictor,
        recogniser.pack,
        output,
        images=scenes,
        commit=commit_label(),
        data=sources,
        metrics=metrics,
        training=training,
        beside=write_both,
        reader=config.reader,
    )
    sizes = ", ".join(f"{file.name} {file.stat().st_size / 1e6:.1f} MB" for file in sorted(output.iterdir()))
    print(f"{output}: {sizes}")
    print(parity_held(report))
    add_companions(output, companions)


def add_companions(output: Path, companions: Mapping[str, str]) -> None:
    """Gives a bundle the recognisers of others, by the codes of the countries whose plates they read.

    Raises:
        ValueError: a bundle that is not there, or recognisers that do not fit together.
    """
    for name in dict.fromkeys(companions.values()):
        countries = [code for code, other in companions.items() if other == name]
        add_companion(output, find_bundle(name), countries)
        print(f"{output} reads plates of {', '.join(countries)} with the recogniser of {name}.", flush=True)


def parity_held(report: ParityReport) -> str:
    """What parity measured, in a line for the networks and another for `reader.onnx`."""
    found, read = report.detector, report.recogniser
    raw = max(found.scores, found.boxes, found.corners, read.logits)
    line = (
        f"Parity held: largest raw difference {raw:.1e}, largest corner difference {found.plate_corners_px:.4f} px, "
        f"{read.texts} of {read.texts} texts equal."
    )
    return line if report.reader is None else f"{line}\n{reader_parity_held(report.reader)}"


def reader_parity_held(parity: ReaderParity) -> str:
    """What the parity of `reader.onnx` measured."""
    return (
        f"Parity held for {READER_FILE}: largest corner difference {parity.corners_px:.4f} px, "
        f"{round(parity.equal * parity.plates)} of {parity.plates} texts equal."
    )


def refuse_uncommitted() -> None:
    """Refuses to make a release that its commit does not make.

    Raises:
        RunError: files that differ from the commit, or a commit that is not known.
    """
    try:
        commit, changed = installed_source() or source_commit()
    except UnknownProvenance as error:
        raise RunError(f"A released bundle names the commit that made it. {error}") from error
    if changed:
        raise RunError(
            f"A released bundle names the commit that made it, and tracked files differ from {commit[:12]}: commit "
            "them, or give release=false for a bundle that is none."
        )


def training_run(path: str, record: RunRecord | None) -> TrainingRun:
    """What the card says of a run: of a bundle's weights what its card says, of a lone checkpoint only its name."""
    if record is not None:
        return TrainingRun(
            record.name, record.seed, _portable(record.config), tuple(EarlierRun(**e) for e in record.started_from)
        )
    weights = best_checkpoint(path)
    found = bundled(weights, file_sha256(weights))
    return TrainingRun(weights.name) if found is None else found[0]


def _portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration without the paths of the machine, and without the pack, which the card holds anyway."""
    dropped = ("output_dir", "root", "country", "logger", "warm_start", "_target_")
    return {k: _portable(v) if isinstance(v, Mapping) else v for k, v in config.items() if k not in dropped}


def parity_scenes(folder: str | None) -> list[ImageArray]:
    """Up to 16 photographs of a folder.

    Raises:
        RunError: a folder without images.
    """
    if folder is None:
        return []
    files = sorted(f for f in Path(folder).rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise RunError(f"images={folder} holds no image.")
    step = max(1, len(files) // PARITY_SCENES)
    return [read_image(file) for file in files[::step][:PARITY_SCENES]]


def reported_figures(path: Path) -> dict[str, Any]:
    """The headline figures of a `report.json`, and how narrow a plate was still read.

    Raises:
        RunError: a file without them.
    """
    try:
        report = json.loads(read_regular(path, LIST_BYTES))
        readable = readable_widths(records_in(report["plates"]))
        found = {"manifests": report["manifests"], "figures": report["figures"], "readable": readable.to_dict()}
        times = (report.get("made_with") or {}).get("scored")
        return {**found, **({} if times is None else {"scored": int(times)})}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no report of alpr evaluate: {error!r}") from error

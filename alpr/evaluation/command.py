"""One evaluation as `configs/evaluate` describes it: a table on the screen, report.json, and pages of pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from alpr.data.corrections import read_corrections
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.evaluation.by_width import curve_grid, detector_ms, recall_curve, write_curves
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.gallery import DetectionGallery, Gallery, contact_sheet, write_picture
from alpr.evaluation.outcomes import EvaluationReport, write_report
from alpr.evaluation.page import evaluation_page
from alpr.evaluation.protocols.rules import Protocol
from alpr.evaluation.protocols.scoring import Scoring, print_overlap, print_protocols, scoring_of, write_protocol
from alpr.evaluation.report_grids import print_report
from alpr.evaluation.scored import note_scoring
from alpr.evaluation.slices import MAX_GROUPS, columns_of, groups_of, slices_named
from alpr.evaluation.tables import as_text
from alpr.files import file_sha256
from alpr.plates import charset
from alpr.provenance import device_name, processor, provenance
from alpr.reader.cores import available_cores
from alpr.reader.parts import Parts
from alpr.reader.predictions import Predicted, read_predictions, with_replaced, write_predictions
from alpr.reader.reader import Reader, find_bundle

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(config: DictConfig) -> bool:
    """Evaluates, prints and writes; False when it was stopped before the last image.

    Raises:
        ValueError: a wrong setting, model or manifest.
        OSError: a file that cannot be read or written.
    """
    console = Console()
    rename(config)
    find_labels(config, console)
    check(config)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    scoring = opened_scoring(config, console)
    if config.predictions is not None:
        assert scoring is not None
        score_file(config, scoring, output, console)
        return True
    paths = [Path(p) for p in listed(config.data.manifest)]
    manifest = read_manifest(paths, splits=split_of(config)) if scoring is None else scoring.wanted()
    manifest = manifest.select(fold=config.data.fold)
    if not manifest.rows:
        raise ValueError(f"data.fold={config.data.fold} holds no row of {', '.join(map(str, paths))}.")
    if manifest.rejected:
        console.print(f"{len(manifest.rejected)} rows cannot be used; the first: {manifest.rejected[0]}", markup=False)
    parts, identity = open_model(config)
    if config.input_px is None:
        return evaluate_once(config, parts, identity, manifest, output, console, scoring).complete
    if parts.detector is None:
        raise ValueError("input_px is the detector's; there is only a recogniser to evaluate.")
    sizes = [int(px) for px in listed(config.input_px)]
    sized = {px: replace(parts, detector=parts.detector.at(px)) for px in sizes}  # type: ignore[attr-defined]
    curves = []
    for px, at_size in sized.items():
        folder = output if len(sized) == 1 else output / f"{px}px"
        report = evaluate_once(config, at_size, identity | {"input_px": str(px)}, manifest, folder, console, scoring)
        if not report.complete:
            return False
        assert at_size.detector is not None
        curves.append(recall_curve(report.plates, px, detector_ms(at_size.detector, manifest.scenes())))
    write_curves(curves, output, made_with(config))
    console.print(as_text([curve_grid(curves)]), markup=False, highlight=False, soft_wrap=True)
    return True


def rename(config: DictConfig) -> None:
    """Takes `model`, the old name of `bundle`, with a note on stderr.

    Raises:
        ValueError: both are given.
    """
    if config.model is None:
        return
    if config.bundle is not None:
        raise ValueError(f"bundle={config.bundle} and model={config.model} are both given; expected bundle alone.")
    print("Note: model= is called bundle= now.", file=sys.stderr)
    config.bundle, config.model = config.model, None


def evaluate_once(
    config: DictConfig,
    parts: Parts,
    identity: dict[str, str],
    manifest: Manifest,
    output: Path,
    console: Console,
    scoring: Scoring | None = None,
) -> EvaluationReport:
    """One evaluation: printed, and written into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    paths = [Path(p) for p in listed(config.data.manifest)]
    gallery = Gallery(limit=config.worst) if config.worst else None
    drawings = DetectionGallery(config.drawn // 2, config.drawn - config.drawn // 2) if config.drawn else None
    slices = None if config.slices is None else slices_named(listed(config.slices), manifest)
    predictions: list[Predicted] = []
    released = output / "predictions.jsonl" if config.predictions_out is None else Path(config.predictions_out)
    report = evaluate(
        parts,
        manifest.scenes(),
        model=identity,
        manifests=named(paths, manifest),
        predictions=predictions,
        groups=groups_of(manifest, paths),
        columns=columns_of(manifest, slices or ()),
        slices=slices,
        gallery=gallery,
        drawings=drawings,
        crops=listed(config.crops),
        corrections=() if config.corrections is None else read_corrections(Path(config.corrections)),
        replaced=replaced_by(config),
        confusable=parts.confusable,
        batch=config.batch,
        workers=config.workers,
        console=console,
    )
    sizes = {"model_bytes": sum(file.stat().st_size for file in parts.files)} if parts.files else {}
    report = replace(report, made_with=made_with(config) | sizes)
    for name in [name for name in slices or () if all(s.by != name for s in report.slices)]:
        print(f"Note: {name} has more than {MAX_GROUPS} values here; it is no slice.", file=sys.stderr)
    print_report(report, console)
    report = replace(report, made_with=dict(report.made_with) | times_scored_here(config, report, console))
    write_report(report, output / "report.json")
    evaluation_page(report, gallery).write(output / "report.html")
    if gallery is not None and gallery.misses:
        write_picture(contact_sheet(gallery.misses), output / "worst.jpg")
    if drawings is not None and drawings.drawn:
        write_picture(drawings.sheet(), output / "detections.jpg")
    if predictions:
        write_predictions(predictions, released)
    if scoring is not None and report.complete:  # what is released is scored: all come to the same figures
        score(config, scoring, read_predictions(released), identity, output, console, clock_of(config))
    console.print(f"Written to {output}", markup=False, highlight=False)
    return report


def times_scored_here(config: DictConfig, report: EvaluationReport, console: Console) -> dict[str, Any]:
    """Notes that a split which trains nothing was scored, and says how often it was; empty for other rows."""
    splits = split_of(config) or []
    if not splits or "train" in splits:
        return {}
    folder = Path(config.output).parent
    times = note_scoring(folder, report.manifests, ",".join(splits), report.model)
    console.print(
        f"Split {','.join(splits)} of {', '.join(report.manifests)}: scored {times} "
        f"time{'s' * (times != 1)} by evaluations below {folder}.",
        markup=False,
        highlight=False,
    )
    return {"scored": times}


def opened_scoring(config: DictConfig, console: Console) -> Scoring | None:
    """The protocols and their labels, with what their parts share printed; None where no protocol is asked for."""
    if config.protocol is None and config.predictions is None:
        return None
    scoring = scoring_of(
        ["plain"] if config.protocol is None else listed(config.protocol),
        [Path(p) for p in listed(config.data.manifest)],
        images=None if config.data.images is None else Path(config.data.images),
        train=[] if config.data.train is None else [Path(p) for p in listed(config.data.train)],
        splits=split_of(config),
        corrections=() if config.corrections is None else read_corrections(Path(config.corrections)),
    )
    print_overlap(scoring, console)
    return scoring


def score_file(config: DictConfig, scoring: Scoring, output: Path, console: Console) -> None:
    """Scores any system's predictions."""
    path = Path(config.predictions)
    replaced = replaced_by(config)
    predictions = with_replaced(read_predictions(path), replaced)
    texts = [charset.replaced(text, replaced) for text in scoring.manifest.text]
    scoring = replace(scoring, manifest=replace(scoring.manifest, text=texts))
    score(config, scoring, predictions, {"name": path.stem, "predictions": file_sha256(path)}, output, console, "")
    console.print(f"Written to {output}", markup=False, highlight=False)


def score(
    config: DictConfig,
    scoring: Scoring,
    predictions: Sequence[Predicted],
    model: dict[str, str],
    output: Path,
    console: Console,
    clock: str,
) -> None:
    """Predictions under each protocol: printed, and written into a folder."""
    paths = [Path(p) for p in listed(config.data.manifest)]
    reports = scoring.reports(
        predictions,
        model=model,
        manifests=named(paths, scoring.manifest),
        made_with=made_with(config),
        clock=clock,
    )
    print_protocols(reports, console)
    for report in reports:
        write_protocol(report, scoring.manifest, output, config.worst)


def clock_of(config: DictConfig) -> str:
    """What the times of an evaluation's predictions measure."""
    return (
        "decoding the file, letterbox, network and non-maximum suppression (with candidates for AP, in batches of up "
        f"to {config.batch}), rectification and reading of all detections, one stage after the other; while threads "
        f"read ahead. Drawing, scoring and writing stand outside. On {made_with(config)['device']}."
    )


def named(paths: Sequence[Path], manifest: Manifest) -> dict[str, str]:
    """The labels' SHA-256 by the names of their files."""
    return {", ".join(f"{p.absolute().parent.name}/{p.name}" for p in paths): manifest.sha256}


def split_of(config: DictConfig) -> list[str] | None:
    """The splits that are asked for."""
    return None if config.data.split is None else listed(config.data.split)


def made_with(config: DictConfig) -> dict[str, Any]:
    """The commit, the device and the versions behind a report's figures."""
    from omegaconf import OmegaConf

    of_torch = config.bundle is None and config.predictions is None and config.baseline is None
    runtimes = (
        ("torch",) if of_torch else () if config.bundle is None and config.baseline is not None else ("onnxruntime",)
    )
    if config.predictions is not None:
        device = "another program's"
    elif of_torch:
        device = device_name()
    else:
        device = processor(config.threads or available_cores())
    made = provenance(device, ("numpy", "opencv-python-headless", *runtimes))
    return {**asdict(made), "settings": OmegaConf.to_container(config, resolve=True)}


def find_labels(config: DictConfig, console: Console) -> None:
    """Sets data.manifest, and data.train, to the protocol's own where none are given; says which are not there.

    Raises:
        ValueError: none is there, or there is no such protocol.
    """
    if config.data.manifest is not None or config.protocol is None:
        return
    protocols, root = [Protocol.read(name) for name in listed(config.protocol)], Path(config.data.root)
    tables = list(dict.fromkeys(file for protocol in protocols for file in protocol.tables))
    train = list(dict.fromkeys(file for protocol in protocols for file in protocol.train))
    there = [str(root / file) for file in tables if (root / file).is_file()]
    lacking = [str(root / file) for file in tables if str(root / file) not in there]
    if not there:
        where = f"of {', '.join(lacking)} none is there" if lacking else "the protocol names none"
        raise ValueError(f"Nothing gives data.manifest, and {where}. See datasets/ccpd.md, or give data.manifest.")
    if lacking:
        console.print(
            f"Not there, so not measured: {', '.join(lacking)}.", markup=False, highlight=False, soft_wrap=True
        )
    config.data.manifest = there
    if config.data.train is None:
        config.data.train = [str(root / file) for file in train if (root / file).is_file()] or None


def check(config: DictConfig) -> None:
    """Refuses a missing manifest and wrong values.

    Raises:
        ValueError: the sentence names the key, what is expected and what was given.
    """
    if not config.data.manifest:
        raise ValueError("Nothing gives data.manifest; expected the path of a CSV table of labelled plates.")
    for key, least in (("batch", 1), ("workers", 1), ("worst", 0), ("drawn", 0)):
        if type(config[key]) is not int or config[key] < least:
            raise ValueError(f"{key} is {config[key]!r}; expected a whole number from {least}.")
    if config.threads is not None and (type(config.threads) is not int or config.threads < 1):
        raise ValueError(f"threads is {config.threads!r}; expected a whole number from 1, or null.")
    fold = config.data.fold
    if fold is not None and (type(fold) is not int or not 0 <= fold <= 9):
        raise ValueError(f"data.fold is {fold!r}; expected 0 to 9, or null.")
    sizes = [] if config.input_px is None else listed(config.input_px)
    if config.input_px is not None and (not sizes or not all(px.isdecimal() for px in sizes)):
        raise ValueError(f"input_px is {config.input_px!r}; expected a size in px, a list such as [320,640], or null.")
    if config.only not in (None, "detector", "recogniser"):
        raise ValueError(f"only is {config.only!r}; expected detector, recogniser or null.")

    unknown = [source for source in listed(config.crops) if source not in ("corners", "detector", "box")]
    if unknown:
        raise ValueError(f"crops has {unknown[0]!r}; expected some of corners, detector and box.")
    scored = config.protocol is not None or config.predictions is not None
    if scored and (config.data.fold is not None or (config.data.replace and config.predictions is None)):
        raise ValueError("data.replace and data.fold do not go with protocol or predictions; a protocol has its rules.")
    if config.data.replace and config.protocol not in (None, "plain", "crops"):
        raise ValueError(f"data.replace does not go with protocol={config.protocol}, which is published as it is.")
    if config.baseline is not None and (lone := [key for key in ("detector", "recogniser", "input_px") if config[key]]):
        raise ValueError(f"baseline and {lone[0]} are both given; expected baseline, with or without bundle=BUNDLE.")
    given = [key for key in ("baseline", "bundle", "detector", "recogniser", "input_px") if config[key] is not None]
    if config.predictions is not None and given:
        raise ValueError(f"predictions and {given[0]} are both given; expected one of them.")
    for old, new in replaced_by(config).items():
        if len(old) != 1 or len(new) > 1:
            raise ValueError(f"data.replace has {old!r}: {new!r}; expected one character for another.")


def replaced_by(config: DictConfig) -> dict[str, str]:
    """The characters that count as others."""
    return {str(old): str(new) for old, new in (config.data.replace or {}).items()}


def listed(value: Any) -> list[str]:
    """One value or a list of them, as texts."""
    return [str(value)] if isinstance(value, str | int) else [str(v) for v in value]


def open_model(config: DictConfig) -> tuple[Parts, dict[str, str]]:
    """What is evaluated, and its identity for the report.

    Raises:
        ValueError: no model, two kinds of model, or a folder that is no bundle.
    """
    if config.baseline is not None:
        return open_baseline(config)
    runs = {key: Path(config[key]) for key in ("detector", "recogniser") if config[key] is not None}
    if (config.bundle is None) == (not runs):
        found = ", ".join(f"{key}={config[key]}" for key in ("bundle", "detector", "recogniser"))
        raise ValueError(
            f"Expected either bundle=BUNDLE, or detector=RUN and/or recogniser=RUN, or baseline=NAME; found {found}."
        )
    if config.bundle is not None:
        return open_bundle(find_bundle(str(config.bundle)), config, config.only)
    from alpr.runs.checkpoints import best_checkpoint
    from alpr.training.runs import load_reader

    for key, path in runs.items():
        if not path.exists():
            raise ValueError(f"{key}={path} does not exist; expected a run folder or a checkpoint.")
    if config.only is not None and config.only not in runs:
        raise ValueError(f"only={config.only}, but no {config.only}=RUN is given.")
    reader = load_reader(detector=runs.get("detector"), recogniser=runs.get("recogniser"), grammar=config.grammar)
    chosen = [key for key in runs if config.only in (None, key)]
    identity = {key: f"{runs[key].name} {file_sha256(best_checkpoint(runs[key]))}" for key in chosen}
    return Parts(**{key: getattr(reader, key) for key in chosen}, confusable=reader.confusable), identity


def open_baseline(config: DictConfig) -> tuple[Parts, dict[str, str]]:
    """An older method, joined with the half of a bundle that it lacks, where one is given.

    Raises:
        ValueError: settings that no method takes, or a method without the half that is asked for.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        found: Any = instantiate(config.baseline, _convert_="all")
    except InstantiationException as error:
        raise ValueError(str(error.__cause__ or error)) from error
    if not isinstance(found, Parts):
        raise ValueError(f"baseline gives {type(found).__name__}; expected alpr.reader.parts.Parts of its _target_.")
    identity = {"name": found.name} | {file.name: file_sha256(file) for file in found.files}
    parts = found
    if config.bundle is not None:
        lacking = [key for key in ("detector", "recogniser") if getattr(found, key) is None]
        if len(lacking) != 1:
            raise ValueError(f"{found.name} finds and reads itself; expected it without bundle={config.bundle}.")
        other, of_bundle = open_bundle(find_bundle(str(config.bundle)), config, lacking[0])
        parts = replace(
            found,
            detector=found.detector or other.detector,
            recogniser=found.recogniser or other.recogniser,
            confusable=found.confusable or other.confusable,
            files=(*found.files, *other.files),
        )
        identity |= {f"bundle's {key}" if key != "name" else "bundle": value for key, value in of_bundle.items()}
    if config.only == "detector":
        parts = replace(parts, recogniser=None)
    if config.only == "recogniser":
        parts = replace(parts, detector=None)
    if parts.detector is None and parts.recogniser is None:
        raise ValueError(f"only={config.only}, but {found.name} has no {config.only}; bundle=BUNDLE gives one.")
    return parts, identity


def open_bundle(folder: Path, config: DictConfig, only: str | None) -> tuple[Parts, dict[str, str]]:
    """The halves of an exported bundle, and its name and checksums.

    Args:
        only: detector or recogniser: this half alone.

    Raises:
        ValueError: a folder that is no bundle.
    """
    if not (folder / "card.json").is_file():
        raise ValueError(
            f"bundle={folder} is no bundle: it has no card.json. For a run folder or a checkpoint give "
            f"detector=RUN and/or recogniser=RUN."
        )
    reader = Reader(folder, threads=config.threads, grammar=config.grammar)
    card = reader.card
    identity = {"name": folder.name}
    chosen = [key for key in ("detector", "recogniser") if only in (None, key)]
    files: list[Path] = []
    if card is not None:
        both = {"detector": card.detector_file, "recogniser": card.recogniser_file}
        identity = {"name": card.name, **{key: both[key].sha256 for key in chosen}}
        files = [folder / both[key].file for key in chosen]
        if only != "detector":
            identity |= {f"recogniser of {', '.join(one.countries)}": one.file.sha256 for one in card.companions}
            files += [folder / one.file.file for one in card.companions]
    confusable = () if card is None else card.country.confusable
    halves = {key: getattr(reader, key) for key in chosen}
    return Parts(**halves, confusable=confusable, files=tuple(files)), identity

"""The commands about a bundle: `alpr info` says what it is, `alpr bench` how fast it is on this machine.

What they need is imported when they run: `alpr predict` shall begin at once.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alpr.cli.predict import stop
from alpr.reader.many_images import collect_images, progress
from alpr.reader.reader import default_bundle

if TYPE_CHECKING:
    from alpr.benchmark.reader_speed import BenchmarkReport


def info(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle's folder; else the default one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Say what a bundle is: what it reads and how well, thresholds, smallest plate, licences; verify its files."""
    from alpr.cli.bundle_info import bundle_info, info_text

    try:
        found = bundle_info(default_bundle() if bundle is None else bundle)
    except (OSError, ValueError) as error:
        stop(str(error), 2)
    if not as_json:
        typer.echo(info_text(found))
        return
    import onnxruntime

    machine = {"providers": onnxruntime.get_available_providers()}
    typer.echo(json.dumps(found.to_dict() | {"machine": machine}, ensure_ascii=False, allow_nan=False, indent=2))


def bench(
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGE...]", help="Images, folders, globs; else noise."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A bundle's folder; else the default one.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the figures to this JSON file.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="How often every image is read.")] = 3,
    threads: Annotated[int, typer.Option("--threads", metavar="N", min=1, help="Threads per network.")] = 1,
) -> None:
    """Measure a bundle on this machine from file to text, and whether its memory grows; images with plates say most."""
    from alpr.benchmark.reader_speed import run_benchmark, write_report

    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = [item.path for item in collect_images(images)] if images else [_noise(Path(folder))]
            with progress(len(paths) * repeat) as advance:
                report = run_benchmark(model, paths, repeats=repeat, threads=threads, advance=advance)
        if output is not None:
            write_report(report, output)
    except (RuntimeError, OSError, ValueError) as error:
        stop(str(error), 2)
    except KeyboardInterrupt:
        stop("Interrupted; nothing was measured.", 130)
    typer.echo(_summary(report))


def _noise(folder: Path) -> Path:
    """A picture without plates in the size of CCPD's photographs."""
    import cv2
    import numpy as np

    coarse = np.random.default_rng(0).integers(0, 256, (58, 36, 3), np.uint8)
    path = folder / "noise.jpg"
    cv2.imwrite(str(path), cv2.resize(coarse, (720, 1160), interpolation=cv2.INTER_CUBIC))
    return path


def _summary(report: BenchmarkReport) -> str:
    where = report.environment
    lines = [f"{'stage':<8}{'p50 ms':>9}{'p95 ms':>9}{'mean ms':>9}"]
    lines += [f"{name:<8}{f.p50_ms:9.2f}{f.p95_ms:9.2f}{f.mean_ms:9.2f}" for name, f in report.stages.items()]
    lines.append(
        f"{report.bundle}: {report.images_per_s:.1f} images/s on {report.threads} thread(s), {report.images} images "
        f"{report.repeats} times, {report.plates_per_image:.2f} plates per image"
        + ("" if report.plates_per_image else ": reading is not in these figures")
        + "."
    )
    lines.append(f"Ready after {report.start_ms:.0f} ms, first image {report.first_ms:.0f} ms.")
    if report.memory is not None:
        lines.append(
            f"Memory {report.memory.first_mb:.0f} MB after the first image, {report.memory.early_mb:.0f} MB after "
            f"{report.memory.early_images}, {report.memory.last_mb:.0f} MB at the end; "
            f"peak {report.peak_memory_mb or float('nan'):.0f} MB."
        )
    lines.append(f"{where.cpu}, {where.cores} cores, {where.system}; onnxruntime {where.onnxruntime} on ")
    lines[-1] += f"{', '.join(report.providers)}; alpr {where.alpr}, {where.commit}"
    lines[-1] += " with changes." if where.uncommitted_changes else "."
    return "\n".join(lines)

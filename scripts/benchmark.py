"""Measure a bundle from file to text, stage by stage: python scripts/benchmark.py --model DIR --images FOLDER"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alpr.batch import collect_images, progress
from alpr.benchmark import BenchmarkReport, compare_detectors, run_benchmark


def main(
    images: Annotated[list[str], typer.Option("--images", help="Images, folders or globs; may be given again.")],
    model: Annotated[Path | None, typer.Option(help="A bundle's folder; else the default one.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often every image is read.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads per network.")] = 1,
    reference: Annotated[bool, typer.Option(help="Time the reference detector's shape beside the bundle's.")] = False,
    reference_size: Annotated[
        tuple[int, int], typer.Option(help="Height and width px of the bundle's detector beside it.")
    ] = (448, 288),  # a portrait scene in the default bundle's input
    output: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """Measure a bundle from file to text: p50, p95, images/s and peak memory, on one thread by default."""
    try:
        paths = [item.path for item in collect_images(images)]
        with progress(len(paths) * repeat) as advance:
            report = run_benchmark(model, paths, repeats=repeat, threads=threads, advance=advance)
        if reference:
            config = ["experiment=reference_detector"]
            compared = compare_detectors(model, reference_size, config, repeats=100, threads=threads)
            report = replace(report, reference=compared)
        if output is not None:
            report.write(output)
    except (RuntimeError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    show(report)


def show(report: BenchmarkReport) -> None:
    """Prints the figures as a table."""
    table = Table("stage", "p50 ms", "p95 ms", "mean ms")
    for name, figures in report.stages.items():
        table.add_row(name, f"{figures.p50_ms:.2f}", f"{figures.p95_ms:.2f}", f"{figures.mean_ms:.2f}")
    console = Console()
    console.print(table)
    where = report.environment
    console.print(
        f"{report.images} images, {report.repeats} times, {report.plates_per_image:.2f} plates per image: "
        f"{report.images_per_s:.1f} images/s on {report.threads} thread(s); start {report.start_ms:.0f} ms, "
        f"first image {report.first_ms:.0f} ms, peak memory {report.peak_memory_mb:.0f} MB."
    )
    if report.reference is not None:
        other = report.reference
        console.print(
            f"Detector alone: {other.bundle_min_ms:.2f} ms at {other.bundle_size[0]}x{other.bundle_size[1]}, best of "
            f"100; {other.name}, untrained, at {other.size[0]}x{other.size[1]}: {other.onnxruntime_min_ms:.2f} ms in "
            f"ONNX Runtime, {other.pytorch_min_ms:.2f} ms in PyTorch; {other.times_faster:.1f} times faster."
        )
    if report.unreadable:
        console.print(f"{len(report.unreadable)} images could not be read: {', '.join(report.unreadable[:5])}")
    changed = " with uncommitted changes" if where.uncommitted_changes else ""
    console.print(
        f"{where.cpu}, {where.cores} cores; Python {where.python}, numpy {where.numpy}, OpenCV {where.opencv}, "
        f"ONNX Runtime {where.onnxruntime}, alpr {where.alpr} at {where.commit[:12]}{changed}."
    )


if __name__ == "__main__":
    typer.run(main)

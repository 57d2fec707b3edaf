"""Measure a bundle from file to text, stage by stage, or recognisers of several shapes per plate.

python scripts/benchmark.py --model DIR --images FOLDER
python scripts/benchmark.py --recognisers maskocr_fast --recognisers maskocr_tiny
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alpr.benchmark.reader_speed import BenchmarkReport, LatencyReport, latency_report, run_benchmark, write_report
from alpr.benchmark.recogniser_speed import BATCHES, RecogniserLatency, time_recognisers
from alpr.benchmark.reference_system import REFERENCE_DETECTOR, compare_detectors, compare_whole
from alpr.provenance import Environment
from alpr.reader.many_images import collect_images, progress
from alpr.reader.reader import default_bundle

ROUNDS = 100


def main(
    images: Annotated[
        list[str] | None, typer.Option("--images", help="Images, folders or globs; may be given again.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A bundle's folder; else the default one.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often every image is read.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads per network.")] = 1,
    reference: Annotated[bool, typer.Option(help="Time the shapes of the reference's two networks as well.")] = False,
    reference_size: Annotated[
        tuple[int, int], typer.Option(help="Height and width px of the bundle's detector beside it.")
    ] = (448, 288),  # a portrait scene in the default bundle's input
    recognisers: Annotated[
        list[str] | None,
        typer.Option(help="Instead: time this recogniser of configs/model, untrained; may be given again."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each recogniser is timed.")] = ROUNDS,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """Measure a bundle from file to text: p50, p95, images/s and peak memory, on one thread by default."""
    try:
        if (images is None) == (recognisers is None):
            raise ValueError(
                "Give --images, to measure a bundle on them, or --recognisers, to time shapes of networks."
            )
        if recognisers is not None:
            with progress(rounds + 1) as advance:
                latencies = latency_report(recognisers, threads=threads, rounds=rounds, advance=advance)
            if output is not None:
                write_report(latencies, output)
            show_latencies(latencies)
            return
        paths = [item.path for item in collect_images(images or [])]
        with progress(len(paths) * repeat) as advance:
            report = run_benchmark(model, paths, repeats=repeat, threads=threads, advance=advance)
        if reference:
            report = beside_the_reference(report, model or default_bundle(), paths, reference_size, threads, rounds)
        if output is not None:
            write_report(report, output)
    except (RuntimeError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    show(report)


def beside_the_reference(
    report: BenchmarkReport, bundle: Path, images: Sequence[Path], size: tuple[int, int], threads: int, rounds: int
) -> BenchmarkReport:
    """The report with the reference's shape, timed in turns with the bundle: file to text, and each network alone."""
    readable = [path for path in images if str(path) not in report.unreadable][:rounds]
    with progress(len(readable) + 1) as advance:
        whole = compare_whole(bundle, readable, threads=threads, advance=advance)
    detector = compare_detectors(bundle, size, REFERENCE_DETECTOR, repeats=rounds, threads=threads)
    recognisers = time_recognisers([], bundle=bundle, threads=threads, rounds=rounds)
    return replace(report, reference=detector, reference_whole=whole, recognisers=recognisers)


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
        f"first image {report.first_ms:.0f} ms, peak memory {report.peak_memory_mb or float('nan'):.0f} MB."
    )
    show_looks(console, report)
    if report.floor is not None:
        floor = report.floor
        console.print(
            f"Floor: decoding {floor.decode_ms:.2f} ms, and the networks' {floor.detector_gmac:.3f} + "
            f"{floor.recogniser_gmac:.3f} GMAC at the core's {floor.peak_gmac_s:.0f} GMAC/s, make {floor.ms:.2f} ms, "
            f"{floor.share:.0%} of the median."
        )
    if report.reference_whole is not None:
        whole = report.reference_whole
        console.print(
            f"File to text beside the reference's shape in PyTorch, {whole.images} images in turns: "
            f"{whole.bundle.p50_ms:.2f} and {whole.pytorch.p50_ms:.2f} ms, {whole.times_faster:.1f} times faster."
        )
    if report.reference is not None:
        other = report.reference
        console.print(
            f"Detector alone: {other.bundle_min_ms:.2f} ms at {other.bundle_size[0]}x{other.bundle_size[1]}, best of "
            f"many; {other.name}, untrained, at {other.size[0]}x{other.size[1]}: {other.onnxruntime_min_ms:.2f} ms in "
            f"ONNX Runtime, {other.pytorch_min_ms:.2f} ms in PyTorch; {other.times_faster:.1f} times faster."
        )
    if report.unreadable:
        console.print(f"{len(report.unreadable)} images could not be read: {', '.join(report.unreadable[:5])}")
    if report.recognisers:
        console.print(latency_table(report.recognisers))
    console.print(machine(where))


def show_looks(console: Console, report: BenchmarkReport) -> None:
    """Prints how often a second look was taken, and what it costs."""
    if report.fine_px is None:
        return
    paths = [("one look", report.whole_once), ("two", report.whole_twice)]
    costs = ", ".join(f"{name} {figures.p50_ms:.2f} ms" for name, figures in paths if figures is not None)
    console.print(
        f"A second look at {report.fine_px} px was taken in {report.looked_again:.1%} of the images; medians: {costs}."
    )


def show_latencies(report: LatencyReport) -> None:
    """Prints the recognisers' times as a table."""
    console = Console()
    console.print(latency_table(report.recognisers))
    console.print(
        f"ms per plate, best (median) of {report.rounds} rounds on {report.threads} thread(s), untrained weights; "
        "times faster than the reference's shape."
    )
    console.print(machine(report.environment))


def latency_table(recognisers: Sequence[RecogniserLatency]) -> Table:
    """One row per recogniser: its size, the best (median) time of a plate, and how much faster than the reference."""
    batches = [column for b in BATCHES for column in (f"ms, batch {b}", "times faster")]
    table = Table("recogniser", "tokens", "M par.", "GMAC", *batches)
    for r in recognisers:
        grid = "-" if r.token_grid is None else f"{r.token_grid[0]} x {r.token_grid[1]}"
        size = "-" if r.parameters is None else f"{r.parameters / 1e6:.1f}"
        work = "-" if r.multiply_adds is None else f"{r.multiply_adds / 1e9:.2f}"
        times = zip(r.min_ms, r.p50_ms, r.times_reference, strict=True)
        figures = [cell for least, middle, x in times for cell in (f"{least:.2f} ({middle:.2f})", f"{x:.1f}")]
        table.add_row(r.name, grid, size, work, *figures)
    return table


def machine(where: Environment) -> str:
    """What the figures were measured on."""
    changed = " with uncommitted changes" if where.uncommitted_changes else ""
    return (
        f"{where.cpu}, {where.cores} cores; Python {where.python}, numpy {where.numpy}, OpenCV {where.opencv}, "
        f"ONNX Runtime {where.onnxruntime}, alpr {where.alpr} at {where.commit[:12]}{changed}."
    )


if __name__ == "__main__":
    typer.run(main)

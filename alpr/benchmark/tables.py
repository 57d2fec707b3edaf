"""The figures of a benchmark, printed as tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from alpr.benchmark.reader_speed import BenchmarkReport, LatencyReport
from alpr.benchmark.recogniser_speed import BATCHES, RecogniserLatency
from alpr.provenance import Provenance


def print_benchmark(report: BenchmarkReport) -> None:
    """Prints the figures as a table."""
    table = Table("stage", "p50 ms", "p95 ms", "mean ms")
    for name, figures in report.stages.items():
        table.add_row(name, f"{figures.p50_ms:.2f}", f"{figures.p95_ms:.2f}", f"{figures.mean_ms:.2f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    unread = "" if report.plates_per_image else ": reading is not in these figures"
    console.print(
        f"{report.bundle}: {report.images_per_s:.1f} images/s on {report.threads} thread(s), {report.images} images "
        f"{report.repeats} times, {report.plates_per_image:.2f} plates per image{unread}."
    )
    console.print(f"Ready after {report.start_ms:.0f} ms, first image {report.first_ms:.0f} ms.")
    if report.memory is not None:
        console.print(
            f"Memory {report.memory.first_mb:.0f} MB after the first image, {report.memory.early_mb:.0f} MB after "
            f"{report.memory.early_images}, {report.memory.last_mb:.0f} MB at the end; "
            f"peak {report.peak_memory_mb or float('nan'):.0f} MB."
        )
    _print_looks(console, report)
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
        console.print(_latency_table(report.recognisers))
    console.print(_machine(report.environment))


def _print_looks(console: Console, report: BenchmarkReport) -> None:
    """Prints how often a second look was taken, and what it costs."""
    if report.fine_px is None:
        return
    paths = [("one look", report.whole_once), ("more", report.whole_twice)]
    taken = ", ".join(f"{n} {share:.1%}" for n, share in enumerate(report.looks, start=1))
    costs = ", ".join(f"{name} {figures.p50_ms:.2f} ms" for name, figures in paths if figures is not None)
    console.print(f"Looks, the last at {report.fine_px} px, in shares of the images: {taken}; medians: {costs}.")


def print_latencies(report: LatencyReport) -> None:
    """Prints the recognisers' times as a table."""
    console = Console()
    console.print(_latency_table(report.recognisers))
    console.print(
        f"ms per plate, best (median) of {report.rounds} rounds on {report.threads} thread(s), untrained weights; "
        "times faster than the reference's shape."
    )
    console.print(_machine(report.environment))


def _latency_table(recognisers: Sequence[RecogniserLatency]) -> Table:
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


def _machine(where: Provenance) -> str:
    """What the figures were measured on."""
    commit, changed, _ = str(where.commit).partition("+changes")
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    return f"{where.cpu}, {where.cores} cores; {versions} at {commit[:12]}{changed and ' with uncommitted changes'}."

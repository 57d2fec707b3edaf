"""`alpr bench`: how fast a bundle is on this machine, or recognisers of several shapes.

What it needs is imported when it runs: `alpr predict` shall begin at once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import BundleOption, complaints
from alpr.reader.many_images import collect_images, progress
from alpr.reader.reader import find_bundle


def bench(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="IMAGE", help="Images, folders, globs; else noise.")
    ] = None,
    also: Annotated[list[str] | None, typer.Option("--images", hidden=True)] = None,
    bundle: BundleOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the figures to this JSON file.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="How often every image is read.")] = 3,
    threads: Annotated[int, typer.Option("--threads", metavar="N", min=1, help="Threads per network.")] = 1,
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="Time the shapes of the reference's two networks too.")
    ] = False,
    reference_size: Annotated[
        tuple[int, int],
        typer.Option("--reference-size", metavar="H W", help="Size px of the bundle's detector beside it."),
    ] = (448, 288),  # a portrait scene in the default bundle's input
    recognisers: Annotated[
        list[str] | None,
        typer.Option(
            "--recognisers", metavar="NAME", help="Instead: time this one of configs/model, untrained; again for more."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="How often each recogniser is timed.")
    ] = 100,
) -> None:
    """Measure a bundle on this machine, from file to text.

    And whether its memory grows; images with plates say most.
    The shapes of the reference and of recognisers need the extra `train`.
    """
    from alpr.benchmark.measurement import beside_the_reference, noise_picture
    from alpr.benchmark.reader_speed import latency_report, run_benchmark, write_report
    from alpr.benchmark.tables import print_benchmark, print_latencies

    inputs = [*(images or []), *(also or [])]
    with complaints("Interrupted; nothing was measured."), tempfile.TemporaryDirectory() as folder:
        if recognisers is not None:
            if inputs:
                raise ValueError("--recognisers and images are both given; expected one of them.")
            with progress(rounds + 1, "rounds") as advance:
                latencies = latency_report(recognisers, threads=threads, rounds=rounds, advance=advance)
            if output is not None:
                write_report(latencies, output)
            print_latencies(latencies)
            return
        chosen = find_bundle(bundle)
        paths = [item.path for item in collect_images(inputs)] if inputs else [noise_picture(Path(folder))]
        with progress(len(paths) * repeat) as advance:
            report = run_benchmark(chosen, paths, repeats=repeat, threads=threads, advance=advance)
        if reference:
            report = beside_the_reference(report, chosen, paths, reference_size, threads, rounds)
        if output is not None:
            write_report(report, output)
        print_benchmark(report)

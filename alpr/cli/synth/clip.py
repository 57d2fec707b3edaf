"""`alpr synth clip`: a video of cars whose every plate is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import CountryOption, SeedOption, complaints
from alpr.synthetic.clips import ClipPlan

PLAN = ClipPlan()


def clip(
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The video, such as a.mp4.")],
    country: CountryOption = "de",
    photograph: Annotated[
        Path | None, typer.Option("--photograph", metavar="FILE", help="The scene behind the cars; else a drawn road.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="A car's text; may be given again.")
    ] = None,
    vehicles: Annotated[
        int | None, typer.Option("--vehicles", metavar="N", help="Cars; else one, or one for each text.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Seconds of the clip.")] = PLAN.seconds,
    fps: Annotated[float, typer.Option("--fps", metavar="N", help="Frames per second.")] = PLAN.fps,
    size: Annotated[
        tuple[int, int], typer.Option("--size", metavar="H W", help="px, without a photograph.")
    ] = PLAN.size,
    width_px: Annotated[
        tuple[float, float], typer.Option("--width-px", metavar="A B", help="A plate's width as it comes and leaves.")
    ] = PLAN.width_px,
    speed: Annotated[
        float, typer.Option("--speed", metavar="N", help="Crossings of the picture per second; 0: cars stand.")
    ] = PLAN.speed,
    shutter: Annotated[
        float, typer.Option("--shutter", metavar="S", help="Share of a frame's time that is exposed: motion blur.")
    ] = PLAN.shutter,
    blur_px: Annotated[float, typer.Option("--blur-px", metavar="PX", help="Lens out of focus.")] = PLAN.blur_px,
    noise: Annotated[float, typer.Option("--noise", metavar="N", help="Sensor noise, grey levels.")] = PLAN.noise,
    quality: Annotated[
        int, typer.Option("--quality", metavar="N", help="JPEG of each frame, 1 to 100.")
    ] = PLAN.quality,
    occlude: Annotated[
        float, typer.Option("--occlude", metavar="S", help="Share of the width that posts cover.")
    ] = PLAN.occlude,
    crossing: Annotated[bool, typer.Option("--crossing", help="Every other car drives the other way.")] = False,
    seed: SeedOption = PLAN.seed,
) -> None:
    """Film cars with rendered plates, and write what every frame shows.

    The truth stands beside the video, a.truth.json: every car's text, and its corners and the share that can be seen in
    every frame.
    """
    with complaints("Interrupted; the video is not whole."):
        from alpr.images.prepare import read_image
        from alpr.plates.country import CountryPack
        from alpr.synthetic.clips import Clip, write_clip

        plan = ClipPlan(
            vehicles=max(1, len(text or ())) if vehicles is None else vehicles,
            seconds=seconds,
            fps=fps,
            seed=seed,
            size=size,
            width_px=width_px,
            speed=speed,
            shutter=shutter,
            blur_px=blur_px,
            noise=noise,
            quality=quality,
            occlude=occlude,
            crossing=crossing,
        )
        scene = None if photograph is None else read_image(photograph)
        made = Clip(plan, CountryPack.find(country), scene, tuple(text) if text else None)
        truth = write_clip(made, output)
    typer.echo(f"{plan.frames:,} frames with {plan.vehicles:,} cars: {output}, truth: {truth}")

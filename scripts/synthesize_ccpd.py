"""Makes a synthetic CCPD data set: blue plates in ccpd_base, green ones in ccpd_green/{train,val,test}, no download."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from alpr.plates.country import CountryPack
from alpr.synthetic.ccpd_set import SyntheticPlan, synthesize


def parse_arguments() -> argparse.Namespace:
    plan = SyntheticPlan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the folder of the data set; begun ones go on")
    parser.add_argument("--scenes", type=int, default=plan.scenes, help="how many scenes of 720x1160 px")
    parser.add_argument("--seed", type=int, default=plan.seed, help="the same seed gives the same files")
    parser.add_argument("--green-share", type=float, default=plan.green_share, help="how many plates are green, 0 to 1")
    parser.add_argument("--val-share", type=float, default=plan.val_share, help="how many scenes are for validation")
    parser.add_argument("--test-share", type=float, default=plan.test_share, help="how many scenes are for the test")
    parser.add_argument("--quality", type=int, default=plan.quality, help="of the JPEG files, 1 to 100")
    parser.add_argument("--num_workers", type=int, default=2, help="processes; the files do not depend on it")
    parser.add_argument("--country", default="cn", help="a pack of configs/country, or a YAML file")
    return parser.parse_args()


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 an error, 130 interrupted."""
    arguments = parse_arguments()
    console = Console()
    try:
        plan = SyntheticPlan(
            scenes=arguments.scenes,
            seed=arguments.seed,
            green_share=arguments.green_share,
            val_share=arguments.val_share,
            test_share=arguments.test_share,
            quality=arguments.quality,
        )
        pack = CountryPack.find(arguments.country)
        report = synthesize(arguments.output, plan, pack, workers=arguments.num_workers)
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; the same command goes on from here.", style="yellow")
        return 130
    folders = ", ".join(f"{folder} {count:,}" for folder, count in report.images.items())
    console.print(
        f"{report.written:,} scenes written, {report.kept:,} were there: {folders}.", highlight=False, soft_wrap=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

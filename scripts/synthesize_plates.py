"""Writes rendered plate crops of a country and their table (image, text, country, layout, split).

python scripts/synthesize_plates.py --country br --output datasets/br_synthetic --crops 20000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alpr.plates.country import CountryPack
from alpr.synthetic.crop_set import CropPlan, synthesize_crops


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 an error, 130 interrupted."""
    plan = CropPlan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--country", required=True, help="a code of configs/country, or a pack's path")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the data set; begun ones go on")
    parser.add_argument("--crops", type=int, default=plan.crops, help="how many crops (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=plan.seed, help="the same seed gives the same files")
    parser.add_argument("--size", type=int, nargs=2, default=plan.size, metavar=("HEIGHT", "WIDTH"), help="in px")
    parser.add_argument("--margin", type=float, default=plan.margin, help="fraction left around the plate")
    parser.add_argument("--val-share", type=float, default=plan.val_share, help="how many plates are for validation")
    parser.add_argument(
        "--glyph-bank", help="glyphs of your own plates, see make_glyph_bank.py, for most of the plates"
    )
    parser.add_argument("--num_workers", type=int, default=2, help="processes; the files do not depend on it")
    arguments = parser.parse_args()
    size = (arguments.size[0], arguments.size[1])
    try:
        counts = arguments.crops, arguments.seed
        plan = CropPlan(*counts, size, arguments.margin, arguments.val_share, arguments.glyph_bank)
        written = synthesize_crops(
            arguments.output, plan, CountryPack.find(arguments.country), workers=arguments.num_workers
        )
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(f"synthesize_plates.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    print(f"{written:,} crops written, {plan.crops - written:,} were there: {arguments.output / 'labels.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

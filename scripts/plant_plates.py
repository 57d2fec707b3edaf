"""Puts rendered plates of a country into labelled photographs of others, or takes the plates away.

python scripts/plant_plates.py datasets/scenes/world_boxes/labels.csv --country cn --output datasets/cn_planted
python scripts/plant_plates.py datasets/scenes/world_boxes/labels.csv --blank --output datasets/empty_cars

The table labels.csv has the corners, texts and layouts; it trains the detector and, as text and corners in a
photograph, the recogniser. Photographs of which only boxes are labelled serve: quads are fitted into them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alpr.data.manifest import read_manifest
from alpr.synthetic.planted_set import TABLE, PlantedPlan, plant_set
from alpr.synthetic.planting import PlantSettings


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 an error, 130 interrupted."""
    plan = PlantedPlan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST", help="tables of labelled photographs")
    parser.add_argument("--country", default="cn", help="a code of configs/country, or a pack's path (%(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the data set")
    parser.add_argument("--split", help="only photographs of this split")
    parser.add_argument("--copies", type=int, default=plan.copies, help="pictures of each photograph (%(default)s)")
    parser.add_argument("--blank", action="store_true", help="cover the plates instead: pictures known to hold none")
    parser.add_argument("--max-side", type=int, metavar="PX", help="halve photographs until they are within it")
    parser.add_argument("--seed", type=int, default=plan.seed, help="the same seed gives the same files")
    parser.add_argument("--num_workers", type=int, default=2, help="processes; the files do not depend on it")
    arguments = parser.parse_args()
    try:
        plan = PlantedPlan(arguments.copies, arguments.seed, arguments.blank, arguments.max_side)
        splits = None if arguments.split is None else [arguments.split]
        manifest = read_manifest(arguments.manifests, splits=splits)
        pack = PlantSettings(arguments.country).pack()
        made = plant_set(arguments.output, plan, manifest, pack, workers=arguments.num_workers)
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(f"plant_plates.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command makes the set anew.", file=sys.stderr)
        return 130
    left_out = f"; {len(made.rejected)} left out (labels.rejected.csv)" if made.rejected else ""
    print(f"{made.pictures:,} pictures with {made.plates:,} plates{left_out}: {arguments.output / TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

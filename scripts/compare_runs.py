"""Compares two evaluations of the same plates: McNemar's test, the plates that flipped, and the settings that differ.

python scripts/compare_runs.py runs/evaluate/a runs/evaluate/b
python scripts/compare_runs.py runs/evaluate/a/ccpd2019.json runs/evaluate/b/ccpd2019.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alpr.evaluation.comparison import as_text, compared, read_evaluated


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, metavar="A", help="a folder with report.json, or a protocol's JSON")
    parser.add_argument("second", type=Path, metavar="B")
    parser.add_argument("--flips", type=int, default=20, help="the most plates listed of each kind (20)")
    return parser.parse_args()


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 a file cannot be used."""
    arguments = parse_arguments()
    try:
        comparison = compared(read_evaluated(arguments.first), read_evaluated(arguments.second))
    except (ValueError, OSError) as error:
        print(f"compare_runs.py: {error}", file=sys.stderr)
        return 1
    print(as_text(comparison, arguments.flips), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

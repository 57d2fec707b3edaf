"""A door to `alpr train`: python train.py experiment=NAME [group=choice ...] [key=value ...]."""

import sys

from alpr.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])

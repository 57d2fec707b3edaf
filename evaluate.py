"""A door to `alpr evaluate`: python evaluate.py bundle=BUNDLE data.manifest=TABLE [key=value ...]."""

import sys

from alpr.cli.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])

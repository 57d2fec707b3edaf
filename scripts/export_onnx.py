"""A door to `alpr export`: python scripts/export_onnx.py detector=RUN recogniser=RUN output=DIR."""

import sys

from alpr.cli.main import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])

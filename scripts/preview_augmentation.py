"""Draws what a detector would be taught: augmented canvases with their labels, on one sheet to be looked at.

python scripts/preview_augmentation.py experiment=ccpd_green_detector n=36 output=preview.jpg augment=scenes_scrfd

Green: four corners, a dot on the first. Light blue: a box only. Grey: ignored. Other settings are those of train.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported
from alpr.configuration import HELP, complaint_about, composed, plain_sentence


def main(arguments: list[str]) -> int:
    """Writes the sheet; gives 1 after a complaint."""
    if not arguments or any(a in HELP for a in arguments):
        print(__doc__)
        return 0
    own = {key: value for key, _, value in (a.partition("=") for a in arguments) if key in ("n", "output")}
    settings = [a for a in arguments if a.partition("=")[0] not in own]
    count = own.get("n", "36")
    complaint = complaint_about(settings, "train")
    if complaint is None and not (count.isdigit() and int(count)):
        complaint = f"n is {count!r}; expected how many canvases to draw, at least 1."
    if complaint is not None:
        print(f"preview_augmentation.py: {complaint}", file=sys.stderr)
        return 1
    from hydra.utils import instantiate

    from alpr.detection.datamodule import DetectionData
    from alpr.preview import preview
    from alpr.sheets import write_jpeg

    output = Path(own.get("output", "preview.jpg"))
    try:
        data = instantiate(composed("train", settings).data, _convert_="all")
        if not isinstance(data, DetectionData):
            raise ValueError("These are the data of a recogniser; expected those of a detector (data=scenes).")
        write_jpeg(preview(data, int(count)), output)
    except Exception as error:  # Hydra wraps whatever the data raise
        if not isinstance(error.__cause__ or error, ValueError | OSError | TypeError):
            raise
        print(f"preview_augmentation.py: {plain_sentence(error)}", file=sys.stderr)
        return 1
    print(f"{count} canvases of {data.canvas[1]}x{data.canvas[0]} px: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
